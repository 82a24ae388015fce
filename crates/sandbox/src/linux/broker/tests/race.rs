//! Races: paths, addresses and directories that change while the broker looks. Short here; `RINGFENCE_RACE_SECONDS=60`
//! makes each a minute.

use super::harness::{Scenario, Scratch};
use ringfence_model::Origin;
use ringfence_model::confinement::{DeniedRead, PathPattern};
use ringfence_model::glob::PathGlob;
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
    ("race-bound", race_bound),
    ("race-killed", race_killed),
    ("race-unmapped", race_unmapped),
    ("race-program", race_program),
    ("race-reuse", race_reuse),
    ("bad-memory", bad_memory),
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
                for flag in [0, libc::O_TRUNC, libc::O_EXCL] {
                    let fd = libc::open(path, libc::O_CREAT | libc::O_WRONLY | flag, 0o644);
                    if fd >= 0 {
                        libc::close(fd);
                    }
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

/// A socket made outside is put into the place of one that is just being bound, while somebody keeps workers busy, so that
/// others answer beside them.
fn race_bound(_: &Path) {
    symlink("src", "long").unwrap();
    // It leads through a link, and so is walked name by name.
    let slow = format!("long/{}x/y", "../src/".repeat(500));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = fs::create_dir(&slow);
                }
            });
        }
        meanwhile(
            || {
                let _ = fs::rename("o.sock", "b.sock");
                let _ = std::os::unix::net::UnixStream::connect("b.sock");
                let _ = renameat_with(CWD, "b.sock", CWD, "o.sock", RenameFlags::NOREPLACE);
            },
            || drop(std::os::unix::net::UnixListener::bind("b.sock")),
        );
        done.store(true, Ordering::Relaxed);
    });
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

/// The page that a path ends on is unmapped and mapped again.
fn race_unmapped(_: &Path) {
    let pages = Pages::new();
    // The name begins just before the page that comes and goes.
    pages.write(pages.second().wrapping_sub(1), b".git\0");
    let pages = &pages;
    meanwhile(
        || {
            // SAFETY: the page is ours, and nothing but the calls under test reads it.
            unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                libc::mmap(pages.second().cast(), PAGE, libc::PROT_NONE, flags, -1, 0);
                libc::mmap(pages.second().cast(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            }
        },
        || {
            // SAFETY: plain calls; whether the memory is there is the point.
            unsafe {
                libc::mkdir(pages.second().sub(1).cast(), 0o755);
                libc::rmdir(c".".as_ptr());
            }
        },
    );
}

const PAGE: usize = 4096;

/// Two pages, the second of which may go.
struct Pages(*mut u8);

// SAFETY: the memory is only written by one thread and mapped anew by others, on purpose.
unsafe impl Sync for Pages {}

impl Pages {
    fn new() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: fresh memory.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Self(at.cast())
    }

    fn second(&self) -> *mut u8 {
        self.0.wrapping_add(PAGE)
    }

    fn write(&self, at: *mut u8, text: &[u8]) {
        // SAFETY: within the two pages.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), at, text.len()) };
    }
}

/// Paths and addresses that aren't there, don't end, or are longer than they can be: the errors are the kernel's.
fn bad_memory(_: &Path) {
    let pages = Pages::new();
    let errno =
        |done: libc::c_int| if done < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
    // SAFETY: plain calls with addresses that the kernel, or the broker, finds out about.
    unsafe {
        libc::munmap(pages.second().cast(), PAGE);
        std::ptr::write_bytes(pages.0, b'a', PAGE);
        let last = pages.second().wrapping_sub(3);
        let absent = pages.second();
        for path in [last.cast_const(), absent, std::ptr::null(), std::ptr::without_provenance(usize::MAX - 8)] {
            let path: *const libc::c_char = path.cast();
            let calls = [
                libc::mkdir(path, 0o755),
                libc::open(path, libc::O_CREAT | libc::O_WRONLY, 0o644),
                libc::rename(path, c"b".as_ptr()),
                libc::rename(c"src".as_ptr(), path),
                libc::symlink(path, c"b".as_ptr()),
                libc::symlink(c"x".as_ptr(), path),
                libc::link(path, c"b".as_ptr()),
                libc::mknod(path, 0o644, 0),
                libc::rmdir(path),
            ];
            for (call, done) in calls.into_iter().enumerate() {
                assert!(done < 0, "call {call} at {path:?} worked");
            }
            assert_eq!(errno(libc::mkdir(path, 0o755)), libc::EFAULT, "{path:?}");
        }
        let long = vec![b'a'; 5000];
        assert_eq!(errno(libc::mkdir(long.as_ptr().cast(), 0o755)), libc::ENAMETOOLONG);
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        for (address, length) in [(absent.cast_const(), 110), (last, 110), (pages.0, u32::MAX), (std::ptr::null(), 16)]
        {
            assert!(libc::connect(fd, address.cast(), length) < 0 && libc::bind(fd, address.cast(), length) < 0);
        }
        libc::close(fd);
    }
    fs::create_dir("still-works").unwrap();
}

/// A program's path is rewritten between one that may run and a script that can't be read.
fn race_program(_: &Path) {
    let bytes: [AtomicU8; 6] = std::array::from_fn(|_| AtomicU8::new(0));
    let set = |name: &[u8; 5]| {
        for (byte, to) in bytes.iter().zip(name) {
            byte.store(*to, Ordering::Relaxed);
        }
    };
    /// Executes what stands at `path` by then.
    extern "C" fn execute(path: *mut libc::c_void) -> libc::c_int {
        let path: *const libc::c_char = path.cast();
        let arguments = [path, std::ptr::null()];
        // SAFETY: a string that others rewrite, which is the point; the arguments outlive the call.
        unsafe { libc::execve(path, arguments.as_ptr(), std::ptr::null()) };
        0
    }
    meanwhile(
        || {
            set(b"progr");
            set(b".env\0");
        },
        || {
            let mut stack = vec![0u64; 4096];
            let path = bytes.as_ptr().cast_mut().cast();
            // SAFETY: a child that shares our memory, on a stack of its own which outlives it, since we wait until it has
            // executed something or ended.
            unsafe {
                let top = stack.as_mut_ptr().add(stack.len() - 16).cast();
                let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
                let child = libc::clone(execute, top, flags, path);
                libc::waitpid(child, std::ptr::null_mut(), 0);
            }
        },
    );
}

/// Numbers come round again within moments: each process finds its own directory and umask, never its predecessor's.
fn race_reuse(_: &Path) {
    let most: u32 = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut again = 0u32;
    let began = Instant::now();
    for number in 0u32.. {
        if number >= 4 * most.min(1000) && began.elapsed() >= length() {
            break;
        }
        let dir = format!("d{}", number % 7);
        let _ = fs::create_dir(&dir);
        let umask = if number % 2 == 0 { "077" } else { "022" };
        let script = format!("cd {dir} && umask {umask} && mkdir -p n{number} && : > f{number}");
        let mut child = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
        again += u32::from(!seen.insert(child.id()));
        assert!(child.wait().unwrap().success(), "{script}");
        use std::os::unix::fs::PermissionsExt;
        let wanted = if number % 2 == 0 { 0o600 } else { 0o644 };
        let made = format!("{dir}/f{number}");
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, wanted, "{made}");
        fs::remove_file(&made).unwrap();
        fs::remove_dir(format!("{dir}/n{number}")).unwrap();
    }
    assert!(again > 0 || most > 1000, "no number came round again");
}

#[test]
fn proc_11_a_path_that_changes_meanwhile() {
    for scratch in Scratch::both_ways() {
        scratch.run("race-string");
        assert!(!scratch.path("ws/.git").exists());
    }
}

#[test]
fn proc_11_a_directory_that_changes_meanwhile() {
    for scratch in Scratch::both_ways() {
        scratch.run("race-directory");
        assert!(!scratch.path("ws/.git").exists());
    }
}

#[test]
fn proc_11_a_tree_that_changes_meanwhile() {
    Scratch::new().run("race-chain");
}

/// A race inside, beside a socket that was made outside.
fn reaches_no_socket_of_outside(race: &str) {
    let scratch = Scratch::new();
    let outside = std::os::unix::net::UnixListener::bind(scratch.path("ws/o.sock")).unwrap();
    scratch.run(race);
    outside.set_nonblocking(true).unwrap();
    assert!(outside.accept().is_err());
}

#[test]
fn proc_11_an_address_that_changes_meanwhile() {
    reaches_no_socket_of_outside("race-address");
}

#[test]
fn proc_11_a_socket_that_is_exchanged_while_it_is_bound() {
    reaches_no_socket_of_outside("race-bound");
}

#[test]
fn proc_11_callers_that_are_killed_meanwhile() {
    let scratch = Scratch::new();
    scratch.run("race-killed");
    assert!(scratch.path("ws/after").exists());
}

#[test]
fn proc_11_memory_that_goes_meanwhile() {
    let scratch = Scratch::new();
    scratch.run("race-unmapped");
    assert!(!scratch.path("ws/.git").exists());
}

#[test]
fn proc_11_strings_that_are_not_there_or_do_not_end() {
    let scratch = Scratch::new();
    scratch.run("bad-memory");
    assert!(scratch.path("ws/still-works").exists());
}

#[test]
fn proc_11_a_program_that_changes_meanwhile_is_never_read() {
    use std::os::unix::fs::PermissionsExt;
    let mut scratch = Scratch::new();
    scratch.plan.traps.reads = true;
    scratch.plan.denied.push(DeniedRead {
        pattern: PathPattern::Glob(PathGlob::new("/**/.env").unwrap()),
        origin: Origin::builtin("test"),
    });
    // Whoever gets it run still can't read it: its interpreter opens it by name.
    for (name, text) in [(".env", "#!/bin/sh\necho leaked > leaked\n"), ("progr", "#!/bin/sh\n: > ran\n")] {
        let path = scratch.path("ws").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    scratch.run("race-program");
    assert!(scratch.path("ws/ran").exists(), "what may run did");
    assert!(!scratch.path("ws/leaked").exists(), "the script was read");
}

/// The whole test again, where numbers are few.
#[test]
fn proc_11_numbers_that_come_round_again() {
    if std::env::var_os("RINGFENCE_FEW_NUMBERS").is_none() {
        let few = "echo 400 > /proc/sys/kernel/pid_max && exec \"$@\"";
        let unshare = |line: &str| {
            let mut command = std::process::Command::new("unshare");
            command.args(["-Urpf", "--mount-proc", "sh", "-c", line, "sh"]);
            command
        };
        let able = unshare("echo 400 > /proc/sys/kernel/pid_max").output();
        if !able.is_ok_and(|done| done.status.success()) {
            println!("SKIPPED: proc_11_numbers_that_come_round_again: this kernel has one greatest number for all");
            return;
        }
        let mut command = unshare(few);
        command.arg(std::env::current_exe().unwrap());
        command.args(["linux::broker::tests::race::proc_11_numbers_that_come_round_again", "--exact", "--nocapture"]);
        let done = command.env("RINGFENCE_FEW_NUMBERS", "1").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        return;
    }
    Scratch::new().run("race-reuse");
}
