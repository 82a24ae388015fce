//! `GetSecurityInfo`: who owns a file, and who may do what with it.

use super::Local;
use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION};

/// Owner and access list of an opened file or directory, as text (SDDL). The handle must have been opened with
/// `READ_CONTROL`.
pub(crate) fn of(file: &File) -> io::Result<String> {
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    let mut found = Local::none();
    // SAFETY: the handle is open as long as `file`; parts that aren't wanted may be null; `found` is a place for one
    // pointer, which the call fills with memory of its own.
    let code = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            wanted,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            found.place(),
        )
    };
    super::status(code)?;
    let (mut text, mut length) = (std::ptr::null_mut::<u16>(), 0_u32);
    // SAFETY: `found` holds the descriptor that the call above gave; `text` and `length` are places for one value each.
    let done = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            found.get(),
            SDDL_REVISION_1,
            wanted,
            &raw mut text,
            &raw mut length,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let text = Local::of(text.cast());
    // SAFETY: the call said that it wrote `length` units there, which live as long as `text`.
    let units = unsafe { std::slice::from_raw_parts(text.get().cast::<u16>(), usize::try_from(length).unwrap_or(0)) };
    let units = units.split(|unit| *unit == 0).next().unwrap_or_default();
    String::from_utf16(units).map_err(|_| io::Error::other("the access list isn't text"))
}
