//! `CreateDesktopW`: a desktop on which no other program has a window.

use super::{Local, succeeded};
use std::io;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::StationsAndDesktops::{CloseDesktop, CreateDesktopW, HDESK};

const GENERIC_ALL: u32 = 0x1000_0000;

/// A desktop, closed when this goes.
pub(crate) struct Desktop(HDESK);

impl Drop for Desktop {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody else has it.
        unsafe { CloseDesktop(self.0) };
    }
}

/// Makes a desktop of this name, open to those that `access` (SDDL) lets in.
pub(crate) fn create(name: &str, access: &str) -> io::Result<Desktop> {
    let wide = |text: &str| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let (name, access) = (wide(name), wide(access));
    let mut descriptor = Local::none();
    // SAFETY: `access` ends with a zero; `descriptor` is a place for one pointer.
    succeeded(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            access.as_ptr(),
            SDDL_REVISION_1,
            descriptor.place(),
            std::ptr::null_mut(),
        )
    })?;
    let attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: descriptor.get(),
        bInheritHandle: 0,
    };
    // SAFETY: the name ends with a zero; the attributes are whole and outlive the call.
    let made = unsafe {
        CreateDesktopW(name.as_ptr(), std::ptr::null(), std::ptr::null(), 0, GENERIC_ALL, &raw const attributes)
    };
    if made.is_null() { Err(io::Error::last_os_error()) } else { Ok(Desktop(made)) }
}
