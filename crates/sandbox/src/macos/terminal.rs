//! The controlling terminal: lent to the command's group while it runs, taken back afterwards.

use crate::sys;
use std::fs::File;
use std::os::fd::AsRawFd;

/// The terminal, if this process is in its foreground.
#[derive(Debug)]
pub(super) struct Terminal(File);

impl Terminal {
    pub(super) fn ours() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let foreground = sys::foreground(terminal.as_raw_fd()) == Some(sys::own_group());
        foreground.then_some(Self(terminal))
    }

    pub(super) fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(super) fn lend(&self, group: i32) {
        sys::set_foreground(self.number(), group);
    }

    pub(super) fn take_back(&self) {
        sys::set_foreground(self.number(), sys::own_group());
    }
}
