//! `/dev/tty`: it means the terminal of whoever opens it, so it is opened by its real name.

use super::reply::{Job, Reply};
use super::rules::Refusal;
use crate::sys::peek;
use ringfence_model::{DenialKind, Origin};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, major, makedev, minor, openat2};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Whether a device number is that of `/dev/tty`.
#[must_use]
pub(super) fn is_own_terminal(device: u64) -> bool {
    major(device) == 5 && minor(device) == 0
}

/// Opens the caller's own terminal.
pub(super) fn open(job: &Job<'_, '_>, flags: OFlags, close_on_exec: bool) -> Result<Reply, Errno> {
    let Some(number) = job.caller.terminal()? else { return Err(Errno::NXIO) };
    // As in `/proc/PID/stat`: minor number in bits 0-7 and 20-31, major in bits 8-15 (proc_pid_stat(5)).
    let wanted = ((number >> 8) & 0xff, (number & 0xff) | ((number >> 12) & 0xfff00));
    let fd = find(job, wanted, flags - OFlags::CREATE - OFlags::EXCL - OFlags::TRUNC)?;
    Ok(Reply::Descriptor(fd, close_on_exec))
}

/// The number of a pseudo-terminal: each of its major numbers stands for 256.
fn pseudo(major: u32, minor: u32) -> Option<u32> {
    (136..=143).contains(&major).then(|| (major - 136) * 256 + minor)
}

/// Whether this is a pseudo-terminal; whose, [`shared`] asks.
pub(super) fn is_pseudo(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && pseudo(major(stat.st_rdev), minor(stat.st_rdev)).is_some()
}

/// Where terminals are shared with the host: opens those that are the caller's own or were made inside, remembers new ones,
/// and refuses others. None for other devices.
pub(super) fn shared(
    job: &Job<'_, '_>,
    entry: &OwnedFd,
    device: u64,
    flags: OFlags,
    close_on_exec: bool,
) -> Result<Option<Reply>, Errno> {
    let reopened = || super::open::reopen(job.shared.descriptors.as_fd(), entry.as_fd(), flags);
    match (major(device), minor(device)) {
        (5, 2) => {
            let made = reopened()?;
            if let Ok(number) = peek::pty_number(made.as_fd())
                && let Ok(file) = slave(job, number)
            {
                job.shared.inside.add_terminal(number, file);
            }
            Ok(Some(Reply::Descriptor(made, close_on_exec)))
        }
        (kind @ 136..=143, low) => {
            let number = pseudo(kind, low).ok_or(Errno::NXIO)?;
            let encoded = (kind << 8) | (low & 0xff) | ((low & 0xfff00) << 12);
            let open = (0..3).filter_map(|fd| job.caller.descriptor(fd).ok());
            let own = job.shared.inside.has_terminal(number)
                || job.caller.terminal()? == Some(encoded)
                || open.into_iter().any(|fd| fstat(&fd).is_ok_and(|stat| stat.st_rdev == device));
            if own {
                return Ok(Some(Reply::Descriptor(reopened()?, close_on_exec)));
            }
            let refusal = Refusal {
                errno: Errno::ACCESS,
                kind: DenialKind::FsWrite,
                rule: "terminal-outside",
                origin: Origin::builtin("other terminals are left alone"),
                allow_with: Vec::new(),
            };
            Ok(Some(job.refuse(refusal, "open", format!("/dev/pts/{number}").as_bytes())))
        }
        _ => Ok(None),
    }
}

/// The file of the pseudo-terminal of this number, as a path.
fn slave(job: &Job<'_, '_>, number: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = format!("dev/pts/{number}");
    let file = openat2(job.caller.root(), path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let stat = fstat(&file)?;
    let found = pseudo(major(stat.st_rdev), minor(stat.st_rdev));
    if is_pseudo(&stat) && found == Some(number) { Ok(file) } else { Err(Errno::NXIO) }
}

fn find(job: &Job<'_, '_>, (major_number, minor_number): (u32, u32), flags: OFlags) -> Result<OwnedFd, Errno> {
    let names: [String; 3] = match major_number {
        136..=143 => {
            let number = pseudo(major_number, minor_number).ok_or(Errno::NXIO)?;
            [format!("dev/pts/{number}"), String::new(), String::new()]
        }
        4 if minor_number < 64 => [format!("dev/tty{minor_number}"), String::new(), String::new()],
        4 => [format!("dev/ttyS{}", minor_number - 64), String::new(), String::new()],
        _ => [format!("dev/hvc{minor_number}"), format!("dev/ttyAMA{minor_number}"), "dev/console".to_owned()],
    };
    for name in names.iter().filter(|name| !name.is_empty()) {
        let Ok(fd) = openat2(job.caller.root(), name.as_str(), flags, Mode::empty(), ResolveFlags::IN_ROOT) else {
            continue;
        };
        let stat = fstat(&fd)?;
        let same = stat.st_rdev == makedev(major_number, minor_number);
        if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && same {
            return Ok(fd);
        }
    }
    // It isn't in the caller's `/dev`; but what it has open may be it.
    for fd in 0..3 {
        let Ok(entry) = job.caller.descriptor(fd) else { continue };
        if fstat(&entry)?.st_rdev == makedev(major_number, minor_number) {
            return super::open::reopen(job.shared.descriptors.as_fd(), entry.as_fd(), flags);
        }
    }
    Err(Errno::NXIO)
}
