//! Races: paths, addresses and directories that change while the broker looks. Short here; `RINGFENCE_RACE_SECONDS=60`
//! makes each a minute.

use super::harness::{Scenario, Scratch};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    ("race-string", race_string),
    ("race-directory", race_directory),
    ("race-chain", race_chain),
    ("race-address", race_address),
    ("race-killed", race_killed),
];

fn length() -> Duration {
    let seconds = std::env::var("RINGFENCE_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(Duration::from_millis(700), Duration::from_secs)
}

/// Calls `act` until time is up, while other threads call `disturb`.
fn meanwhile(disturb: impl Fn() + Sync, act: impl Fn() + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    disturb();
                }
            });
        }
        let end = Instant::now() + length();
        while Instant::now() < end {
            for _ in 0..50 {
                act();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The path in memory is rewritten between a harmless and a protected name.
fn race_string(_: &Path) {
    let bytes: [AtomicU8; 6] = std::array::from_fn(|_| AtomicU8::new(0));
    let set = |name: &[u8; 5]| {
        for (byte, to) in bytes.iter().zip(name) {
            byte.store(*to, Ordering::Relaxed);
        }
    };
    set(b"abcde");
    meanwhile(
        || {
            set(b"abcde");
            set(b".git\0");
        },
        || {
            // SAFETY: the memory lives on; that it changes meanwhile is the point.
            unsafe {
                let path = bytes.as_ptr().cast();
                libc::mkdir(path, 0o755);
                let fd = libc::open(path, libc::O_CREAT | libc::O_WRONLY, 0o644);
                if fd >= 0 {
                    libc::close(fd);
                }
                libc::rmdir(c"abcde".as_ptr());
                libc::unlink(c"abcde".as_ptr());
            }
        },
    );
}

/// The directory that the path leads through is exchanged for a link to the root.
fn race_directory(_: &Path) {
    fs::create_dir("real").unwrap();
    symlink(".", "link").unwrap();
    meanwhile(
        || {
            let _ = renameat_with(CWD, "real", CWD, "link", RenameFlags::EXCHANGE);
        },
        || {
            for name in ["real/.git", "link/.git"] {
                let _ = fs::create_dir(name);
                let _ = fs::write(name, "x");
            }
            let _ = fs::remove_dir("src/.git");
        },
    );
    // In the directory that isn't the root the name is allowed.
    for name in ["real/.git", "link/.git"] {
        if fs::symlink_metadata(name.split('/').next().unwrap()).is_ok_and(|found| found.is_dir()) {
            let _ = fs::remove_dir_all(name);
        }
    }
}

/// A prepared tree is exchanged for an empty one while it is renamed into place.
fn race_chain(_: &Path) {
    fs::create_dir("empty").unwrap();
    fs::create_dir("evil").unwrap();
    fs::write("evil/settings.json", "{}").unwrap();
    meanwhile(
        || {
            let _ = renameat_with(CWD, "empty", CWD, "evil", RenameFlags::EXCHANGE);
            let _ = fs::write("empty/settings.json", "{}");
            let _ = fs::remove_file("empty/settings.json");
        },
        || {
            let _ = fs::rename("empty", ".vscode");
            assert!(fs::symlink_metadata(".vscode/settings.json").is_err(), "the tree is in place");
            let _ = fs::rename(".vscode", "empty");
        },
    );
}

/// The address is rewritten between a socket made inside and one made outside.
fn race_address(_: &Path) {
    let _inside = std::os::unix::net::UnixListener::bind("a.sock").unwrap();
    let mut address: libc::sockaddr_un = rustix_zeroed();
    address.sun_family = 1;
    for (byte, to) in address.sun_path.iter_mut().zip(b"a.sock") {
        *byte = to.cast_signed();
    }
    let shared = std::sync::atomic::AtomicPtr::new(&raw mut address);
    meanwhile(
        || {
            let first = shared.load(Ordering::Relaxed);
            // SAFETY: one byte of memory that outlives the threads, written without tearing.
            unsafe {
                (&raw mut (*first).sun_path[0]).write_volatile(b'o'.cast_signed());
                (&raw mut (*first).sun_path[0]).write_volatile(b'a'.cast_signed());
            }
        },
        || {
            // SAFETY: plain socket calls; the address may change meanwhile, which is the point.
            unsafe {
                let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
                libc::connect(fd, shared.load(Ordering::Relaxed).cast(), 110);
                libc::close(fd);
            }
        },
    );
}

fn rustix_zeroed() -> libc::sockaddr_un {
    libc::sockaddr_un { sun_family: 0, sun_path: [0; 108] }
}

/// Callers are killed in the middle of their calls.
fn race_killed(_: &Path) {
    let end = Instant::now() + length();
    let mut rounds = 0;
    while Instant::now() < end || rounds < 3 {
        let script = "while :; do : > k1; ln -sf x k2; mkdir -p k3; mv k1 k4; done 2>/dev/null";
        let mut children: Vec<_> =
            (0..4).map(|_| std::process::Command::new("sh").args(["-c", script]).spawn().unwrap()).collect();
        std::thread::sleep(Duration::from_millis(20));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        rounds += 1;
    }
    fs::write("after", "x").unwrap();
}

#[test]
fn proc_11_a_path_that_changes_meanwhile() {
    let scratch = Scratch::new();
    scratch.run("race-string");
    assert!(!scratch.path("ws/.git").exists());
}

#[test]
fn proc_11_a_directory_that_changes_meanwhile() {
    let scratch = Scratch::new();
    scratch.run("race-directory");
    assert!(!scratch.path("ws/.git").exists());
}

#[test]
fn proc_11_a_tree_that_changes_meanwhile() {
    Scratch::new().run("race-chain");
}

#[test]
fn proc_11_an_address_that_changes_meanwhile() {
    let scratch = Scratch::new();
    let outside = std::os::unix::net::UnixListener::bind(scratch.path("ws/o.sock")).unwrap();
    scratch.run("race-address");
    outside.set_nonblocking(true).unwrap();
    assert!(outside.accept().is_err());
}

#[test]
fn proc_11_callers_that_are_killed_meanwhile() {
    let scratch = Scratch::new();
    scratch.run("race-killed");
    assert!(scratch.path("ws/after").exists());
}
