//! Access entries on opened files and directories: one added, the same one taken away.

use super::token::trustee;
use super::{Local, status, succeeded};
use crate::windows::sid::Sid;
use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use windows_sys::Win32::Security::Authorization::{
    ACCESS_MODE, ConvertStringSecurityDescriptorToSecurityDescriptorW, DENY_ACCESS, EXPLICIT_ACCESS_W, GRANT_ACCESS,
    GetSecurityInfo, REVOKE_ACCESS, SDDL_REVISION_1, SE_FILE_OBJECT, SetEntriesInAclW, SetSecurityInfo,
};
use windows_sys::Win32::Security::{
    ACL, DACL_SECURITY_INFORMATION, GetSecurityDescriptorSacl, LABEL_SECURITY_INFORMATION,
    SUB_CONTAINERS_AND_OBJECTS_INHERIT,
};

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// May be written, with everything below.
    AllowWrite,
    /// May not be written, nor anything below.
    DenyWrite,
    /// No entry for this identifier any more.
    Revoke,
}

/// Everything of a file but what only its owner should: changing owner and access.
const MODIFY: u32 = 0x0013_01BF;
/// Data, attributes, removal, owner and access: whatever changes a file or directory or its name.
const CHANGE: u32 = 0x0002 | 0x0004 | 0x0010 | 0x0040 | 0x0100 | 0x0001_0000 | 0x0004_0000 | 0x0008_0000;

/// Adds or takes away the entry of `sid` on an opened file, and lets the system hand it down. The handle needs
/// `READ_CONTROL` and `WRITE_DAC`.
pub(crate) fn set(file: &File, sid: &Sid, entry: Entry) -> io::Result<()> {
    let (permissions, mode): (u32, ACCESS_MODE) = match entry {
        Entry::AllowWrite => (MODIFY, GRANT_ACCESS),
        Entry::DenyWrite => (CHANGE, DENY_ACCESS),
        Entry::Revoke => (0, REVOKE_ACCESS),
    };
    let change = EXPLICIT_ACCESS_W {
        grfAccessPermissions: permissions,
        grfAccessMode: mode,
        grfInheritance: SUB_CONTAINERS_AND_OBJECTS_INHERIT,
        Trustee: trustee(sid),
    };
    let mut list: *mut ACL = std::ptr::null_mut();
    let mut descriptor = Local::none();
    // SAFETY: the handle is open as long as `file`; `list` will point into `descriptor`, which lives to the end.
    let code = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut list,
            std::ptr::null_mut(),
            descriptor.place(),
        )
    };
    status(code)?;
    if list.is_null() {
        return Err(io::Error::other("it has no access list: everybody may change it"));
    }
    let mut changed = Local::none();
    // SAFETY: one whole entry, whose identifier outlives the call, and the list read above.
    status(unsafe { SetEntriesInAclW(1, &raw const change, list, changed.place().cast()) })?;
    // SAFETY: the handle is open; the list is the one that was just made.
    status(unsafe {
        SetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            changed.get().cast(),
            std::ptr::null(),
        )
    })
}

/// Labels an opened file as open to programs of low integrity, or takes the label away. The handle needs `WRITE_OWNER`.
pub(crate) fn set_low(file: &File, low: bool) -> io::Result<()> {
    let text = if low { "S:(ML;OICI;NW;;;LW)\0" } else { "S:\0" };
    let text: Vec<u16> = text.encode_utf16().collect();
    let mut descriptor = Local::none();
    // SAFETY: `text` ends with a zero; `descriptor` is a place for one pointer.
    succeeded(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            descriptor.place(),
            std::ptr::null_mut(),
        )
    })?;
    let (mut present, mut defaulted) = (0, 0);
    let mut list: *mut ACL = std::ptr::null_mut();
    // SAFETY: the descriptor is whole; `list` will point into it.
    succeeded(unsafe {
        GetSecurityDescriptorSacl(descriptor.get(), &raw mut present, &raw mut list, &raw mut defaulted)
    })?;
    // SAFETY: the handle is open; the list lives until the end of this function.
    status(unsafe {
        SetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            LABEL_SECURITY_INFORMATION,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null(),
            list,
        )
    })
}
