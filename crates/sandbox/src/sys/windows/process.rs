//! Starting a program with a token, inside a job, with three handles and nothing else.

use super::succeeded;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawHandle};
use std::time::Duration;
use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, CreateProcessW, DeleteProcThreadAttributeList,
    EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess, INFINITE, InitializeProcThreadAttributeList,
    PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROC_THREAD_ATTRIBUTE_JOB_LIST, PROCESS_INFORMATION, STARTF_USESTDHANDLES,
    STARTUPINFOEXW, UpdateProcThreadAttribute, WaitForSingleObject,
};

/// What is started. Texts end with a zero.
pub(crate) struct Start<'s> {
    /// The program.
    pub(crate) program: &'s [u16],
    /// Its arguments as one line.
    pub(crate) line: Vec<u16>,
    /// Its variables as one block.
    pub(crate) environment: &'s [u16],
    /// Its directory.
    pub(crate) directory: &'s [u16],
    /// The desktop it sees, if not the present one.
    pub(crate) desktop: Option<Vec<u16>>,
    /// Standard input, output and error.
    pub(crate) streams: [RawHandle; 3],
}

/// A list of attributes, taken apart when it goes.
struct Attributes {
    room: Vec<usize>,
}

impl Attributes {
    fn new(count: u32) -> io::Result<Self> {
        let mut size = 0_usize;
        // SAFETY: with no room the call only says how much it needs.
        unsafe { InitializeProcThreadAttributeList(std::ptr::null_mut(), count, 0, &raw mut size) };
        let mut room = vec![0_usize; size.div_ceil(size_of::<usize>()).max(1)];
        // SAFETY: `room` has at least `size` bytes.
        succeeded(unsafe { InitializeProcThreadAttributeList(room.as_mut_ptr().cast(), count, 0, &raw mut size) })?;
        Ok(Self { room })
    }

    /// Adds handles under an attribute. They must outlive the list.
    fn add(&mut self, attribute: u32, handles: &[HANDLE]) -> io::Result<()> {
        // SAFETY: the list was made with room for it; `handles` outlive it in the one function that uses it.
        succeeded(unsafe {
            UpdateProcThreadAttribute(
                self.room.as_mut_ptr().cast(),
                0,
                usize::try_from(attribute).unwrap_or(0),
                handles.as_ptr().cast(),
                size_of_val(handles),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: it was initialised.
        unsafe { DeleteProcThreadAttributeList(self.room.as_mut_ptr().cast()) };
    }
}

/// Starts it, inside the job from its first instruction on, if there is one; without a token, as this process's user. The
/// process.
pub(crate) fn start(
    token: Option<&OwnedHandle>,
    job: Option<&OwnedHandle>,
    start: &mut Start<'_>,
) -> io::Result<OwnedHandle> {
    let mut inherited: Vec<HANDLE> = Vec::new();
    for handle in start.streams {
        // The same handle twice in the list is an error.
        if !inherited.contains(&handle) {
            // SAFETY: the caller's streams are open.
            succeeded(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) })?;
            inherited.push(handle);
        }
    }
    let jobs: Vec<HANDLE> = job.map(|job| job.as_raw_handle()).into_iter().collect();
    let mut attributes = Attributes::new(2)?;
    attributes.add(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &inherited)?;
    if !jobs.is_empty() {
        attributes.add(PROC_THREAD_ATTRIBUTE_JOB_LIST, &jobs)?;
    }
    let mut info = STARTUPINFOEXW::default();
    info.StartupInfo.cb = u32::try_from(size_of::<STARTUPINFOEXW>()).unwrap_or(0);
    info.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    [info.StartupInfo.hStdInput, info.StartupInfo.hStdOutput, info.StartupInfo.hStdError] = start.streams;
    if let Some(desktop) = &mut start.desktop {
        info.StartupInfo.lpDesktop = desktop.as_mut_ptr();
    }
    info.lpAttributeList = attributes.room.as_mut_ptr().cast();
    let mut made = PROCESS_INFORMATION::default();
    let (program, line) = (start.program.as_ptr(), start.line.as_mut_ptr());
    let flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT;
    let (environment, directory) = (start.environment.as_ptr().cast(), start.directory.as_ptr());
    let (info, none) = ((&raw const info).cast(), std::ptr::null());
    // SAFETY: every text ends with a zero and outlives the call; the line may be written to; the start information is
    // the extended one, as its flag says, with a whole attribute list; the token, if there is one, is open.
    let done = unsafe {
        match token.map(|token| token.as_raw_handle()) {
            Some(token) => CreateProcessAsUserW(
                token,
                program,
                line,
                none,
                none,
                1,
                flags,
                environment,
                directory,
                info,
                &raw mut made,
            ),
            None => CreateProcessW(program, line, none, none, 1, flags, environment, directory, info, &raw mut made),
        }
    };
    succeeded(done)?;
    // SAFETY: the call gave two handles that nobody else knows yet; the thread's isn't needed.
    unsafe {
        drop(OwnedHandle::from_raw_handle(made.hThread));
        Ok(OwnedHandle::from_raw_handle(made.hProcess))
    }
}

/// Waits for its end; none: it goes on after `limit`.
pub(crate) fn wait(process: &OwnedHandle, limit: Option<Duration>) -> io::Result<Option<u32>> {
    let milliseconds = limit.map_or(INFINITE, |limit| u32::try_from(limit.as_millis()).unwrap_or(INFINITE - 1));
    // SAFETY: the process is open.
    match unsafe { WaitForSingleObject(process.as_raw_handle(), milliseconds) } {
        WAIT_OBJECT_0 => {}
        WAIT_TIMEOUT => return Ok(None),
        _ => return Err(io::Error::last_os_error()),
    }
    let mut code = 0_u32;
    // SAFETY: as above; `code` is a place for one number.
    succeeded(unsafe { GetExitCodeProcess(process.as_raw_handle(), &raw mut code) })?;
    Ok(Some(code))
}
