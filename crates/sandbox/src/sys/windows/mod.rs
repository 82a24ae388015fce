//! Calls of Windows: one function per task, each the owner of what it is given.

pub(crate) mod access;
pub(crate) mod check;
pub(crate) mod console;
pub(crate) mod descriptor;
pub(crate) mod desktop;
pub(crate) mod job;
pub(crate) mod process;
pub(crate) mod token;

use std::ffi::c_void;
use std::io;
use windows_sys::Win32::Foundation::LocalFree;

/// The result of a call that answers with an error number.
fn status(code: u32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}

/// The result of a call that answers whether it succeeded.
fn succeeded(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Memory that the system allotted, given back when this goes.
struct Local(*mut c_void);

impl Local {
    fn none() -> Self {
        Self(std::ptr::null_mut())
    }

    fn of(memory: *mut c_void) -> Self {
        Self(memory)
    }

    fn get(&self) -> *mut c_void {
        self.0
    }

    /// Where a call puts it.
    fn place(&mut self) -> *mut *mut c_void {
        &raw mut self.0
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a call that says it is to be freed so, and nobody else has it; null is allowed.
        unsafe { LocalFree(self.0) };
    }
}
