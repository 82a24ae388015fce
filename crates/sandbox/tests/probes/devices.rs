//! The devices are the harmless ones.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] =
    &[("fs_13_only_harmless_devices_are_there", devices), ("fs_13_no_device_can_be_made", made)];

fn devices(scratch: &Scratch) -> Verdict {
    let seen = scratch.sh(scratch.wish(), "ls /dev")?;
    let names: Vec<&str> = seen.out.split_whitespace().collect();
    let known =
        ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];
    expect(names == known, format!("in /dev there is {names:?}"))?;
    let honest = "echo x >/dev/null && head -c 8 /dev/urandom | wc -c && head -c 4 /dev/zero | wc -c && : </dev/fd/0 && \
                  echo x >/dev/shm/f && rm /dev/shm/f && script -qec true /dev/null >/dev/null && ! echo x >/dev/full";
    scratch.sh(scratch.wish(), honest)?.works()?;
    let shm = std::path::Path::new("/dev/shm/ringfence-probe");
    scratch.sh(scratch.wish(), "echo x >/dev/shm/ringfence-probe; echo x >/dev/new; exit 0")?;
    expect(!shm.exists(), "the host's /dev/shm was written")
}

fn made(scratch: &Scratch) -> Verdict {
    let node = scratch.path("ws/node").display().to_string();
    scratch.attack(scratch.wish(), &["file", "DeviceNode", &node])?;
    scratch.sh(scratch.wish(), "mknod sda b 8 0; mknod mem c 1 1; exit 0")?;
    let none = ["ws/node", "ws/sda", "ws/mem"].iter().all(|name| !scratch.path(name).exists());
    expect(none, "a device node was made")
}
