//! Calls of Windows: one function per task, each the owner of what it is given. Type-checked for Windows, and not yet
//! run there.

pub(crate) mod descriptor;

use std::io;

/// The result of a call that answers with an error number.
fn status(code: u32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}
