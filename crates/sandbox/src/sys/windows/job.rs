//! Job objects: what nothing in them can leave.

use super::succeeded;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, JOBOBJECT_BASIC_UI_RESTRICTIONS, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicUIRestrictions, JobObjectExtendedLimitInformation, SetInformationJobObject, TerminateJobObject,
};

/// A new job without a name: only the handle leads to it.
pub(crate) fn create() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes and no name are allowed.
    let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call gave a handle that nobody else knows yet.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Sets its limits.
pub(crate) fn limit(job: &OwnedHandle, limits: &JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> io::Result<()> {
    let size = u32::try_from(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()).unwrap_or(0);
    // SAFETY: a whole structure of this class and size.
    succeeded(unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            std::ptr::from_ref(limits).cast(),
            size,
        )
    })
}

/// Keeps it from what belongs to the desktop.
pub(crate) fn restrict_windows(job: &OwnedHandle, flags: u32) -> io::Result<()> {
    let restrictions = JOBOBJECT_BASIC_UI_RESTRICTIONS { UIRestrictionsClass: flags };
    let size = u32::try_from(size_of::<JOBOBJECT_BASIC_UI_RESTRICTIONS>()).unwrap_or(0);
    // SAFETY: as in `limit`.
    succeeded(unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectBasicUIRestrictions,
            (&raw const restrictions).cast(),
            size,
        )
    })
}

/// Ends everything in it.
pub(crate) fn terminate(job: &OwnedHandle, code: u32) -> io::Result<()> {
    // SAFETY: the job is open.
    succeeded(unsafe { TerminateJobObject(job.as_raw_handle(), code) })
}
