//! The terminal: whose foreground it is, and its modes, remembered before and restored after.

use crate::sys::{process, signal};
use std::ffi::CString;

/// The terminal as it was before the command.
#[derive(Debug)]
pub(crate) struct Terminal {
    descriptor: i32,
    modes: [u8; 64],
    /// Whether our own process group had the foreground.
    foreground: bool,
}

impl Terminal {
    /// The first of the standard streams that is a terminal.
    pub(crate) fn remember() -> Option<Self> {
        (0..3).find_map(|descriptor| {
            let modes = signal::modes(descriptor).ok()?;
            let foreground = signal::foreground(descriptor).is_ok_and(|group| group == process::getpgrp());
            Some(Self { descriptor, modes, foreground })
        })
    }

    /// Its name on the host, if it is a pseudo-terminal.
    pub(crate) fn path(&self) -> Option<CString> {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", self.descriptor)).ok()?;
        let pseudo = name.starts_with("/dev/pts");
        CString::new(name.into_os_string().into_encoded_bytes()).ok().filter(|_| pseudo)
    }

    /// The descriptor, if our group has the foreground.
    pub(crate) fn foreground(&self) -> Option<i32> {
        self.foreground.then_some(self.descriptor)
    }

    /// Gives the foreground to a group, if ours has it.
    pub(crate) fn give_to(&self, group: i32) {
        let ours = process::getpgrp();
        if signal::foreground(self.descriptor).is_ok_and(|now| now == ours) {
            let _ = signal::set_foreground(self.descriptor, group);
        }
    }

    /// The group that has the foreground.
    pub(crate) fn holder(&self) -> Option<i32> {
        signal::foreground(self.descriptor).ok()
    }

    /// Takes the foreground back and restores the modes, where they were changed. Signals are blocked meanwhile.
    pub(crate) fn restore(&self) {
        if !self.foreground {
            return;
        }
        let group = process::getpgrp();
        let mask = signal::set_mask(signal::ALL);
        if signal::foreground(self.descriptor).is_ok_and(|now| now != group) {
            let _ = signal::set_foreground(self.descriptor, group);
        }
        if signal::modes(self.descriptor).is_ok_and(|now| now != self.modes) {
            let _ = signal::set_modes(self.descriptor, &self.modes);
        }
        signal::set_mask(mask);
    }
}
