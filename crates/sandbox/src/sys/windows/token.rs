//! `CreateRestrictedToken` and what goes with it.

use super::{Local, succeeded};
use crate::windows::sid::Sid;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use windows_sys::Win32::Security::Authorization::{
    EXPLICIT_ACCESS_W, GRANT_ACCESS, NO_MULTIPLE_TRUSTEE, SetEntriesInAclW, TRUSTEE_IS_SID, TRUSTEE_IS_UNKNOWN,
    TRUSTEE_W,
};
use windows_sys::Win32::Security::{
    CreateRestrictedToken, GetLengthSid, GetTokenInformation, SID_AND_ATTRIBUTES, SetTokenInformation,
    TOKEN_ADJUST_DEFAULT, TOKEN_ASSIGN_PRIMARY, TOKEN_DEFAULT_DACL, TOKEN_DUPLICATE, TOKEN_GROUPS,
    TOKEN_INFORMATION_CLASS, TOKEN_MANDATORY_LABEL, TOKEN_QUERY, TOKEN_USER, TokenDefaultDacl, TokenGroups,
    TokenIntegrityLevel, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

const SE_GROUP_INTEGRITY: u32 = 0x20;
const SE_GROUP_LOGON_ID: u32 = 0xC000_0000;
const GENERIC_ALL: u32 = 0x1000_0000;

/// This process's token.
pub(crate) fn own() -> io::Result<OwnedHandle> {
    let mut handle = std::ptr::null_mut();
    let access = TOKEN_DUPLICATE | TOKEN_QUERY | TOKEN_ASSIGN_PRIMARY | TOKEN_ADJUST_DEFAULT;
    // SAFETY: the pseudo handle of this process needs no closing; `handle` is a place for one handle.
    succeeded(unsafe { OpenProcessToken(GetCurrentProcess(), access, &raw mut handle) })?;
    // SAFETY: the call gave a handle that nobody else knows yet.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A token that has `flags` of its kind, and whose writes are checked against `restrict` too.
pub(crate) fn restricted(token: &OwnedHandle, flags: u32, restrict: &[Sid]) -> io::Result<OwnedHandle> {
    let restrict: Vec<_> = restrict.iter().map(|sid| SID_AND_ATTRIBUTES { Sid: sid.as_ptr(), Attributes: 0 }).collect();
    let count = u32::try_from(restrict.len()).unwrap_or(0);
    let mut made = std::ptr::null_mut();
    // SAFETY: the token is open; no identifiers and privileges are named, with counts of 0; `restrict` holds `count`
    // entries that point to identifiers which outlive the call.
    succeeded(unsafe {
        CreateRestrictedToken(
            token.as_raw_handle(),
            flags,
            0,
            std::ptr::null(),
            0,
            std::ptr::null(),
            count,
            restrict.as_ptr(),
            &raw mut made,
        )
    })?;
    // SAFETY: as in `own`.
    Ok(unsafe { OwnedHandle::from_raw_handle(made) })
}

/// What the system says of a token, in memory that is laid out for any of its structures.
fn information(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<usize>> {
    let mut length = 0_u32;
    // SAFETY: with no room the call only says how much it needs.
    unsafe { GetTokenInformation(token.as_raw_handle(), class, std::ptr::null_mut(), 0, &raw mut length) };
    let mut room = vec![0_usize; usize::try_from(length).unwrap_or(0).div_ceil(size_of::<usize>()).max(1)];
    // SAFETY: `room` has at least `length` bytes, aligned as the largest of its structures.
    succeeded(unsafe {
        GetTokenInformation(token.as_raw_handle(), class, room.as_mut_ptr().cast(), length, &raw mut length)
    })?;
    Ok(room)
}

/// A copy of an identifier in the system's memory.
///
/// # Safety
/// `sid` points to a whole identifier.
unsafe fn copied(sid: *mut c_void) -> Sid {
    // SAFETY: the caller says so.
    let length = usize::try_from(unsafe { GetLengthSid(sid) }).unwrap_or(0);
    let mut words = vec![0_u32; length / size_of::<u32>()];
    // SAFETY: an identifier is `length` bytes, a multiple of 4, and `words` has as many.
    unsafe { std::ptr::copy_nonoverlapping(sid.cast::<u8>(), words.as_mut_ptr().cast::<u8>(), words.len() * 4) };
    Sid::from_words(words)
}

/// The user.
pub(crate) fn user(token: &OwnedHandle) -> io::Result<Sid> {
    let room = information(token, TokenUser)?;
    // SAFETY: the call filled `room` with this structure, whose pointer leads into `room`.
    Ok(unsafe { copied((*room.as_ptr().cast::<TOKEN_USER>()).User.Sid) })
}

/// The log-on session.
pub(crate) fn logon_session(token: &OwnedHandle) -> io::Result<Sid> {
    let room = information(token, TokenGroups)?;
    // SAFETY: the call filled `room` with this structure; as many groups follow as it says.
    let groups = unsafe {
        let groups = room.as_ptr().cast::<TOKEN_GROUPS>();
        let first = (&raw const (*groups).Groups).cast::<SID_AND_ATTRIBUTES>();
        std::slice::from_raw_parts(first, usize::try_from((*groups).GroupCount).unwrap_or(0))
    };
    let found = groups.iter().find(|group| group.Attributes & SE_GROUP_LOGON_ID == SE_GROUP_LOGON_ID);
    let found = found.ok_or_else(|| io::Error::other("the token names no log-on session"))?;
    // SAFETY: as above; the pointer leads into `room`.
    Ok(unsafe { copied(found.Sid) })
}

/// Gives the token a mandatory level.
pub(crate) fn set_integrity(token: &OwnedHandle, level: &Sid) -> io::Result<()> {
    let label =
        TOKEN_MANDATORY_LABEL { Label: SID_AND_ATTRIBUTES { Sid: level.as_ptr(), Attributes: SE_GROUP_INTEGRITY } };
    let size = u32::try_from(size_of::<TOKEN_MANDATORY_LABEL>()).unwrap_or(0);
    // SAFETY: the structure is whole, of this size, and points to an identifier that outlives the call.
    succeeded(unsafe {
        SetTokenInformation(token.as_raw_handle(), TokenIntegrityLevel, (&raw const label).cast(), size)
    })
}

/// What the command's own pipes and events may be written by: otherwise it couldn't open again what it made.
pub(crate) fn set_default_access(token: &OwnedHandle, who: &[&Sid]) -> io::Result<()> {
    let entries: Vec<EXPLICIT_ACCESS_W> = who
        .iter()
        .map(|sid| EXPLICIT_ACCESS_W {
            grfAccessPermissions: GENERIC_ALL,
            grfAccessMode: GRANT_ACCESS,
            grfInheritance: 0,
            Trustee: trustee(sid),
        })
        .collect();
    let mut list = Local::none();
    let count = u32::try_from(entries.len()).unwrap_or(0);
    // SAFETY: `entries` holds `count` whole entries whose identifiers outlive the call; there is no list to begin from.
    let code = unsafe { SetEntriesInAclW(count, entries.as_ptr(), std::ptr::null(), list.place().cast()) };
    super::status(code)?;
    let dacl = TOKEN_DEFAULT_DACL { DefaultDacl: list.get().cast() };
    let size = u32::try_from(size_of::<TOKEN_DEFAULT_DACL>()).unwrap_or(0);
    // SAFETY: the structure is whole and of this size; its list lives until the end of this function.
    succeeded(unsafe { SetTokenInformation(token.as_raw_handle(), TokenDefaultDacl, (&raw const dacl).cast(), size) })
}

/// Somebody, by identifier.
pub(super) fn trustee(sid: &Sid) -> TRUSTEE_W {
    TRUSTEE_W {
        pMultipleTrustee: std::ptr::null_mut(),
        MultipleTrusteeOperation: NO_MULTIPLE_TRUSTEE,
        TrusteeForm: TRUSTEE_IS_SID,
        TrusteeType: TRUSTEE_IS_UNKNOWN,
        ptstrName: sid.as_ptr().cast(),
    }
}
