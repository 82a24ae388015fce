//! What the kernel says of unix sockets: `sock_diag(7)`.

use super::own;
use super::raw::{Result, call, word};
use std::os::fd::{AsRawFd, OwnedFd};

/// `NETLINK_SOCK_DIAG`.
const SOCK_DIAG: i32 = 4;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `UDIAG_SHOW_VFS`: which file a socket is bound to.
const SHOW_FILE: u32 = 2;
/// `UNIX_DIAG_VFS`.
const FILE: u16 = 1;
/// Lengths of `struct nlmsghdr`, `struct unix_diag_msg`, `struct rtattr`.
const HEADER: usize = 16;
const MESSAGE: usize = 16;
const ATTRIBUTE: usize = 4;

/// Whether some socket of this network namespace is bound to the file with these numbers. The kernel says the lower half of an
/// inode's, so a stranger may be taken for it.
pub(crate) fn is_bound(device: (u32, u32), inode: u64) -> Result<bool> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: integers only.
    let fd = unsafe { call(libc::SYS_socket, [word(libc::AF_NETLINK), word(kind), word(SOCK_DIAG), 0, 0, 0]) }?;
    let socket = own(fd as i32);
    ask(&socket)?;
    // As the kernel numbers devices itself.
    let device = device.0 << 20 | device.1;
    let mut buffer = vec![0u8; 32 << 10];
    loop {
        let args = [word(socket.as_raw_fd()), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most as many bytes as the buffer has; the last two arguments ask for no address.
        let count = unsafe { call(libc::SYS_recvfrom, args) }?;
        let mut rest = buffer.get(..count).unwrap_or_default();
        while let Some((length, kind)) = head(rest) {
            let message = rest.get(HEADER..length).unwrap_or_default();
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(false),
                libc::NLMSG_ERROR => {
                    let errno = message.first_chunk().map_or(libc::EIO, |bytes| -i32::from_ne_bytes(*bytes));
                    return Err(super::Errno(errno));
                }
                _ if files(message.get(MESSAGE..).unwrap_or_default()).any(|file| file == (inode as u32, device)) => {
                    return Ok(true);
                }
                _ => {}
            }
            rest = rest.get(aligned(length)..).unwrap_or_default();
        }
        if count == 0 {
            return Ok(false);
        }
    }
}

fn ask(socket: &OwnedFd) -> Result<()> {
    let mut request = Vec::with_capacity(HEADER + 24);
    request.extend_from_slice(&40u32.to_ne_bytes());
    request.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    // In every state, whatever its number.
    request.extend_from_slice(&u32::MAX.to_ne_bytes());
    request.extend_from_slice(&0u32.to_ne_bytes());
    request.extend_from_slice(&SHOW_FILE.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    let args = [word(socket.as_raw_fd()), request.as_ptr() as usize, request.len(), 0, 0, 0];
    // SAFETY: the kernel reads as many bytes as there are; an empty address is the kernel's own.
    unsafe { call(libc::SYS_sendto, args) }.map(drop)
}

/// Length and kind of the message that `bytes` begins with.
fn head(bytes: &[u8]) -> Option<(usize, u16)> {
    let [a, b, c, d, e, f] = *bytes.first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
    (length >= HEADER && length <= bytes.len()).then_some((length, u16::from_ne_bytes([e, f])))
}

/// The files among the attributes of a message: inode and device.
fn files(mut bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    std::iter::from_fn(move || {
        loop {
            let [a, b, c, d] = *bytes.first_chunk()?;
            let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
            // One that is shorter than its own head has no end: `get` gives nothing of it.
            let value = bytes.get(ATTRIBUTE..length)?;
            bytes = bytes.get(aligned(length)..).unwrap_or_default();
            if let (FILE, [a, b, c, d, e, f, g, h]) = (kind, value) {
                return Some((u32::from_ne_bytes([*a, *b, *c, *d]), u32::from_ne_bytes([*e, *f, *g, *h])));
            }
        }
    })
}

fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    fn bound(path: &std::path::Path) -> bool {
        let stat = std::fs::metadata(path).unwrap();
        is_bound((libc::major(stat.dev()), libc::minor(stat.dev())), stat.ino()).unwrap()
    }

    #[test]
    fn a_socket_is_bound_as_long_as_somebody_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (stream, datagram) = (dir.path().join("s"), dir.path().join("d"));
        let listener = UnixListener::bind(&stream).unwrap();
        let receiver = UnixDatagram::bind(&datagram).unwrap();
        assert!(bound(&stream) && bound(&datagram));
        drop((listener, receiver));
        assert!(!bound(&stream) && !bound(&datagram));
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        assert_eq!(head(&[1, 2, 3]), None);
        assert_eq!(head(&[255; 16]), None);
        assert_eq!(files(&[8, 0, 1, 0, 1]).next(), None);
        assert_eq!(files(&[0; 64]).next(), None);
    }
}
