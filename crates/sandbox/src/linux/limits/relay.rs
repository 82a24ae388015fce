//! The relay: passes a command's output on and counts it. What goes beyond the limit is cut.

use crate::linux::quiet;
use crate::sys::fs;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

/// One way of output: what the command writes, and where it goes.
#[derive(Debug)]
pub(in crate::linux) struct Way {
    pub(in crate::linux) from: File,
    pub(in crate::linux) to: File,
}

/// A relay at work.
#[derive(Debug)]
pub(in crate::linux) struct Relay {
    /// Hangs up when the relay has ended.
    ended: OwnedFd,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Begins to pass on what comes these ways, up to `most` bytes of all together.
    pub(in crate::linux) fn start(ways: Vec<Way>, most: u64) -> io::Result<Self> {
        let (ended, ends) = io::pipe()?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = quiet::thread("ringfence-output", move || {
            pass(ways, most, &seen);
            drop(ends);
        })?;
        Ok(Self { ended: ended.into(), over, thread: Some(thread) })
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.ended.as_raw_fd()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Leaves it to itself: whoever reads the output doesn't.
    pub(super) fn abandon(mut self) {
        drop(self.thread.take());
    }
}

fn pass(mut ways: Vec<Way>, most: u64, over: &AtomicBool) {
    let mut left = most;
    let mut buffer = vec![0u8; 64 << 10];
    while !ways.is_empty() {
        let mut fds: Vec<libc::pollfd> = ways
            .iter()
            .map(|way| libc::pollfd { fd: way.from.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        let _ = fs::poll(&mut fds, -1);
        let mut index = 0;
        ways.retain_mut(|way| {
            let ready = fds.get(index).is_some_and(|fd| fd.revents != 0);
            index += 1;
            !ready || (!over.load(SeqCst) && one(way, &mut buffer, &mut left, over))
        });
        if over.load(SeqCst) {
            return;
        }
    }
}

/// Passes one piece on; false if nothing more comes this way, or nobody wants it.
fn one(way: &mut Way, buffer: &mut [u8], left: &mut u64, over: &AtomicBool) -> bool {
    let count = match way.from.read(buffer) {
        Ok(count) => count,
        Err(error) => return error.kind() == io::ErrorKind::Interrupted,
    };
    let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { return false };
    let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
    let written = way.to.write_all(piece.get(..allowed).unwrap_or_default());
    *left = left.saturating_sub(allowed as u64);
    if allowed < piece.len() {
        over.store(true, SeqCst);
    }
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> (File, Way, File) {
        let (from, writer) = io::pipe().unwrap();
        let (reader, to) = io::pipe().unwrap();
        let file = |fd: OwnedFd| File::from(fd);
        (file(writer.into()), Way { from: file(from.into()), to: file(to.into()) }, file(reader.into()))
    }

    #[test]
    fn what_fits_is_passed_on_whole_and_the_rest_is_cut() {
        for (most, text, wanted, over) in
            [(5, "12345", "12345", false), (4, "12345", "1234", true), (0, "1", "", true), (9, "", "", false)]
        {
            let (mut writer, way, mut reader) = way();
            let relay = Relay::start(vec![way], most).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            drop(writer);
            let mut got = String::new();
            reader.read_to_string(&mut got).unwrap();
            assert_eq!((got.as_str(), relay.is_over()), (wanted, over), "{most} {text}");
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_the_way() {
        let (mut writer, way, reader) = way();
        drop(reader);
        let relay = Relay::start(vec![way], 1000).unwrap();
        let _ = writer.write_all(b"x");
        while !relay.has_ended() {
            std::thread::yield_now();
        }
        assert!(writer.write_all(b"x").is_err());
    }
}
