//! Connections to the proxy where it listens on the machine's loopback: each begins with the voucher of the run, which the
//! proxy knows it by. The broker says it on the very socket that it connects, before the caller hears that it is connected.

use super::caller::errno;
use crate::sys::address as socket;
use ringfence_model::Voucher;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::getpeername;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a connection that isn't made at once is waited for. On loopback that is one for which the proxy has no room yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It was said, or there is nobody any more to say it to: what went wrong stays for the caller to see.
    Done,
    /// The connection isn't made yet.
    NotYet,
}

/// Whether a socket is connected already: whoever is at the other end was told when it was.
pub(super) fn is_connected(taken: &OwnedFd) -> bool {
    getpeername(taken).is_ok()
}

/// Says it, if the connection is made.
pub(super) fn say(taken: &OwnedFd, voucher: &Voucher) -> Said {
    say_within(taken, voucher, Duration::ZERO)
}

/// Says it as soon as the connection is made. The proxy turns away what it was never said on.
pub(super) fn say_when_connected(taken: &OwnedFd, voucher: &Voucher) {
    say_within(taken, voucher, PATIENCE);
}

fn say_within(taken: &OwnedFd, voucher: &Voucher, patience: Duration) -> Said {
    let end = Instant::now() + patience;
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
        let mut fds = [PollFd::new(taken, PollFlags::OUT)];
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => return Said::NotYet,
            // An error that is asked for is gone: that is the caller's to do.
            Ok(_) if fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)) => {
                return Said::Done;
            }
            Ok(_) => match socket::sendto(taken.as_fd(), voucher.bytes(), libc::MSG_DONTWAIT, &[]) {
                Err(error) if [Errno::AGAIN, Errno::INPROGRESS, Errno::INTR].contains(&errno(&error)) => {
                    if Instant::now() >= end {
                        return Said::NotYet;
                    }
                }
                _ => return Said::Done,
            },
            Err(Errno::INTR) => {}
            Err(_) => return Said::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn it_is_what_a_connection_begins_with_and_an_error_is_left_to_the_caller() {
        let voucher = Voucher::new(&[7; ringfence_model::voucher::RANDOM]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = OwnedFd::from(TcpStream::connect(at).unwrap());
        assert!(is_connected(&client));
        assert_eq!(say(&client, &voucher), Said::Done);
        drop(client);
        let mut said = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut said).unwrap();
        assert_eq!(said, voucher.bytes());
        drop(listener);
        let kind = rustix::net::SocketType::STREAM;
        let flags = rustix::net::SocketFlags::NONBLOCK;
        let refused = rustix::net::socket_with(rustix::net::AddressFamily::INET, kind, flags, None).unwrap();
        assert!(!is_connected(&refused));
        let _ = rustix::net::connect(&refused, &at);
        say_when_connected(&refused, &voucher);
        let error = rustix::net::sockopt::socket_error(&refused).unwrap();
        assert_eq!(error, Err(Errno::CONNREFUSED));
    }
}
