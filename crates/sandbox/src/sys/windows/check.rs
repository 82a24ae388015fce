//! `AccessCheck`: what a token would be let do, without a file to try it on.

use super::{Local, succeeded};
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    AccessCheck, DuplicateTokenEx, GENERIC_MAPPING, PRIVILEGE_SET, SecurityIdentification, TOKEN_DUPLICATE,
    TOKEN_QUERY, TokenImpersonation,
};

/// How the general rights are read for files.
const FILES: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0012_0089,
    GenericWrite: 0x0012_0116,
    GenericExecute: 0x0012_00A0,
    GenericAll: 0x001F_01FF,
};

/// A copy of the token that can be asked about.
pub(crate) fn askable(token: &OwnedHandle) -> io::Result<OwnedHandle> {
    let mut made = std::ptr::null_mut();
    // SAFETY: the token is open; no attributes are allowed; `made` is a place for one handle.
    succeeded(unsafe {
        DuplicateTokenEx(
            token.as_raw_handle(),
            TOKEN_QUERY | TOKEN_DUPLICATE,
            std::ptr::null(),
            SecurityIdentification,
            TokenImpersonation,
            &raw mut made,
        )
    })?;
    // SAFETY: the call gave a handle that nobody else knows yet.
    Ok(unsafe { OwnedHandle::from_raw_handle(made) })
}

/// Whether `token` would be let do `access` (rights of files) with what `descriptor` (SDDL) describes, which names an owner
/// and a group.
pub(crate) fn allows(token: &OwnedHandle, descriptor: &str, access: u32) -> io::Result<bool> {
    let text: Vec<u16> = descriptor.encode_utf16().chain([0]).collect();
    let mut described = Local::none();
    // SAFETY: `text` ends with a zero; `described` is a place for one pointer.
    succeeded(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            described.place(),
            std::ptr::null_mut(),
        )
    })?;
    let mapping = FILES;
    let mut privileges = PRIVILEGE_SET::default();
    let mut length = u32::try_from(size_of::<PRIVILEGE_SET>()).unwrap_or(0);
    let (mut granted, mut allowed) = (0_u32, 0);
    // SAFETY: the descriptor is whole; the token is one that can be asked about; every place is as large as its type says.
    succeeded(unsafe {
        AccessCheck(
            described.get(),
            token.as_raw_handle(),
            access,
            &raw const mapping,
            &raw mut privileges,
            &raw mut length,
            &raw mut granted,
            &raw mut allowed,
        )
    })?;
    Ok(allowed != 0)
}
