//! The controlling terminal of this process.

// `SpecialCodes` is indexed by a closed set of names; there is no position to get wrong.
#![allow(clippy::indexing_slicing)]

use super::render::Look;
use super::terminal::{Taken, Tty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// The controlling terminal.
#[derive(Debug)]
pub struct ControllingTty {
    file: File,
    unicode: bool,
    color: bool,
}

impl ControllingTty {
    /// Opens it. None: there is none, or this process is in the background, where nobody sees a question.
    #[must_use]
    pub fn open() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?);
        let foreground = rustix::termios::tcgetpgrp(&file).ok()?;
        if foreground != rustix::process::getpgrp() {
            return None;
        }
        let says = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = says("LC_ALL").or_else(|| says("LC_CTYPE")).or_else(|| says("LANG")).unwrap_or_default();
        let unicode = locale.to_ascii_uppercase().replace('-', "").contains("UTF8");
        let dumb = says("TERM").is_none_or(|term| term == "dumb");
        let color = says("NO_COLOR").is_none() && !dumb;
        Some(Self { file, unicode, color })
    }
}

impl Tty for ControllingTty {
    fn look(&self) -> Look {
        let size = rustix::termios::tcgetwinsize(&self.file).ok();
        let at_least =
            |value: Option<u16>, least: usize| value.map(usize::from).filter(|value| *value > 0).unwrap_or(least);
        Look {
            width: at_least(size.map(|size| size.ws_col), 80),
            rows: at_least(size.map(|size| size.ws_row), 24),
            unicode: self.unicode,
            color: self.color,
        }
    }

    fn take(&self) -> io::Result<Box<dyn Taken + '_>> {
        let before = rustix::termios::tcgetattr(&self.file)?;
        let mut raw = before.clone();
        // Keys come one by one, aren't shown, and Ctrl-C is read as an answer: it must not leave the terminal like this.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(&self.file, OptionalActions::Drain, &raw)?;
        Ok(Box::new(Held { file: &self.file, before, raw }))
    }
}

struct Held<'t> {
    file: &'t File,
    before: Termios,
    raw: Termios,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(self.file, OptionalActions::Drain, &self.before);
    }
}

impl Taken for Held<'_> {
    fn show(&mut self, text: &str) -> io::Result<()> {
        let mut file = self.file;
        file.write_all(text.as_bytes())?;
        file.flush()
    }

    fn drain(&mut self) -> io::Result<()> {
        Ok(rustix::termios::tcflush(self.file, QueueSelector::IFlush)?)
    }

    fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        Ok(ready(self.file, i64::try_from(limit.as_millis()).unwrap_or(i64::MAX / 1_000_000)))
    }

    fn keys(&mut self) -> io::Result<Vec<u8>> {
        let mut file = self.file;
        let mut bytes = vec![0; 256];
        let read = file.read(&mut bytes)?;
        bytes.truncate(read);
        // A paste may come in pieces; what follows within a moment belongs to it.
        while read > 0 && ready(self.file, 25) {
            let mut more = [0; 256];
            let read = file.read(&mut more)?;
            if read == 0 {
                break;
            }
            bytes.extend(more.iter().take(read));
            if bytes.len() > 64 << 10 {
                break;
            }
        }
        Ok(bytes)
    }

    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        self.show(prompt)?;
        // Editing a line is the terminal's own business.
        let mut cooked = self.before.clone();
        cooked.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO);
        cooked.local_modes.remove(LocalModes::ISIG);
        rustix::termios::tcsetattr(self.file, OptionalActions::Drain, &cooked)?;
        let mut file = self.file;
        let mut bytes = [0; 4096];
        let read = file.read(&mut bytes);
        rustix::termios::tcsetattr(self.file, OptionalActions::Drain, &self.raw)?;
        let read = read?;
        let text: Vec<u8> = bytes.iter().take(read).copied().collect();
        Ok((read > 0).then(|| String::from_utf8_lossy(&text).trim_end().to_owned()))
    }
}

fn ready(file: &File, milliseconds: i64) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
    matches!(poll(&mut fds, Some(&timeout)), Ok(count) if count > 0)
}
