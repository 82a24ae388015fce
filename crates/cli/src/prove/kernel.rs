//! Acts on the kernel: its settings, its rarely used parts, and what would regain privilege.

use super::inputs::Inputs;
use ringfence_sandbox::attack::{self, OnKernel, on_kernel};
use std::fs;
use std::io::{self, Write};

/// Writes back what is there, so that nothing changes if it is let through.
fn write_back(path: &str) -> io::Result<()> {
    let text = fs::read(path)?;
    fs::OpenOptions::new().write(true).open(path)?.write_all(&text)
}

pub fn proc_sys(_: &Inputs) -> io::Result<()> {
    write_back("/proc/sys/vm/swappiness")
}

pub fn host_name(_: &Inputs) -> io::Result<()> {
    write_back("/proc/sys/kernel/hostname")
}

pub fn sys(_: &Inputs) -> io::Result<()> {
    write_back("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs")
}

pub fn sysrq(_: &Inputs) -> io::Result<()> {
    // Opened, never written to.
    fs::OpenOptions::new().write(true).open("/proc/sysrq-trigger").map(drop)
}

pub fn join(_: &Inputs) -> io::Result<()> {
    attack::join_namespace(std::path::Path::new("/proc/1/ns/mnt"))
}

pub fn capabilities(_: &Inputs) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let any = ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"].iter().any(|name| {
        let bits = status.lines().find_map(|line| line.strip_prefix(name)).map_or("0", str::trim);
        u64::from_str_radix(bits, 16).is_ok_and(|bits| bits != 0)
    });
    if any { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

macro_rules! acts {
    ($($name:ident => $act:ident),+ $(,)?) => {
        $(pub fn $name(_: &Inputs) -> io::Result<()> {
            on_kernel(OnKernel::$act)
        })+
    };
}

acts! {
    user_namespace => UserNamespace,
    mount => Mount,
    remount => Remount,
    unmount => Unmount,
    chroot => Chroot,
    bpf => Bpf,
    perf => Perf,
    userfaultfd => Userfaultfd,
    io_uring => IoUring,
    add_key => AddKey,
    keyctl => Keyctl,
    raw_socket => RawSocket,
    packet_socket => PacketSocket,
    crypto_socket => CryptoSocket,
    vsock => VsockSocket,
    tiocsti => TypeInto,
    tiocsti_high => TypeIntoHigh,
}
