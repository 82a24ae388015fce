//! `SetConsoleCtrlHandler`: who is ended by Ctrl-C.

use super::succeeded;
use std::io;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};

/// As long as this is there, Ctrl-C and Ctrl-Break don't end this process. The programs it starts get them as ever: a
/// handler, unlike the flag that ignores them, isn't inherited.
pub(crate) struct Left(());

impl Drop for Left {
    fn drop(&mut self) {
        // SAFETY: the handler is the one that was added.
        unsafe { SetConsoleCtrlHandler(Some(left), 0) };
    }
}

/// Leaves interrupts to the programs that this one starts.
pub(crate) fn leave_interrupts() -> io::Result<Left> {
    // SAFETY: the handler is a function that touches nothing.
    succeeded(unsafe { SetConsoleCtrlHandler(Some(left), 1) })?;
    Ok(Left(()))
}

/// Whether nobody else needs to hear of an event. The console being closed, logging off and shutting down end us, and with
/// us the job.
extern "system" fn left(event: u32) -> i32 {
    i32::from(matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT))
}
