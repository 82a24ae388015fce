//! Names: what must not come into being, and everything else as without a broker.

use super::harness::{PROTECTED, Scenario, Scratch, refused};
use rustix::fs::{self as rfs, AtFlags, CWD, Mode, OFlags, RenameFlags};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

pub const SCENARIOS: &[Scenario] = &[
    ("absent", absent),
    ("other-ways", other_ways),
    ("prepared-trees", prepared_trees),
    ("pinned", pinned),
    ("honest", honest),
    ("modes", modes),
    ("honest-errors", honest_errors),
    ("present", present),
    ("only", only),
    ("globs", globs),
    ("everything", everything),
    ("umasks", umasks),
];

fn absent(dir: &Path) {
    let ws = dir.join("ws");
    for name in [".git", ".codex", ".envrc"] {
        let path = ws.join(name);
        refused("mkdir", fs::create_dir(&path));
        refused("open", fs::File::create(&path));
        refused("open relative", fs::File::create(name));
        refused("open with O_EXCL", fs::File::create_new(&path));
        refused("symlink", symlink("/tmp", &path));
        fs::write("decoy", "x").unwrap();
        fs::create_dir_all("tree/hooks").unwrap();
        refused("rename a file", fs::rename("decoy", &path));
        refused("rename a tree", fs::rename("tree", &path));
        refused("link", fs::hard_link("decoy", &path));
        refused("mkfifo", rfs::mknodat(CWD, &path, rfs::FileType::Fifo, Mode::RUSR, 0).map_err(Into::into));
        refused("bind", std::os::unix::net::UnixListener::bind(&path));
        refused("exchange", rfs::renameat_with(CWD, "decoy", CWD, &path, RenameFlags::EXCHANGE).map_err(Into::into));
        assert!(fs::symlink_metadata(&path).is_err());
    }
    fs::create_dir(".vscode").unwrap();
    refused("below a directory made anew", fs::write(".vscode/settings.json", "{}"));
    fs::write(".vscode/launch.json", "{}").unwrap();
    fs::write("src/.codex", "not at the top").unwrap();
}

fn other_ways(dir: &Path) {
    let ws = dir.join("ws");
    symlink("..", "src/up").unwrap();
    symlink(&ws, "abs").unwrap();
    symlink(".git", "dangling").unwrap();
    let root = fs::File::open(&ws).unwrap();
    let ways = [
        "src/../.git".to_owned(),
        "./.git".to_owned(),
        "src/up/.git".to_owned(),
        "abs/.git".to_owned(),
        "/proc/self/cwd/.git".to_owned(),
        format!("/proc/self/fd/{}/.git", root.as_raw_fd()),
        format!("/dev/fd/{}/.git", root.as_raw_fd()),
        format!("/proc/thread-self/fd/{}/.git", root.as_raw_fd()),
        format!("/proc/self/root{}/.git", ws.display()),
        format!("/proc/{}/cwd/.git", std::process::id()),
        "dangling".to_owned(),
        "../ws/.git".to_owned(),
    ];
    for way in &ways {
        refused(way, fs::File::create(way));
        if way != "dangling" {
            refused(way, fs::create_dir(way));
        }
    }
    std::env::set_current_dir("src").unwrap();
    refused("from below", fs::File::create("../.git"));
    refused(
        "by descriptor",
        rfs::openat(&root, ".git", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).map_err(Into::into),
    );
    refused("mkdirat", rfs::mkdirat(&root, ".git", Mode::RWXU).map_err(Into::into));
    // Unnamed first, named afterwards.
    let unnamed = fs::OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(&ws).unwrap();
    let own = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
    let linked = rfs::linkat(CWD, &own, &root, ".git", AtFlags::SYMLINK_FOLLOW);
    refused("O_TMPFILE and linkat", linked.map_err(Into::into));
    let linked = rfs::linkat(&unnamed, "", &root, ".git", AtFlags::EMPTY_PATH);
    refused("AT_EMPTY_PATH", linked.map_err(Into::into));
    // The supervisor's own files aren't ours, whatever path leads there.
    let parent = std::os::unix::process::parent_id();
    refused(
        "the supervisor's memory",
        fs::OpenOptions::new().create(true).truncate(false).write(true).open(format!("/proc/{parent}/mem")),
    );
}

fn prepared_trees(_: &Path) {
    fs::create_dir_all("evil").unwrap();
    fs::write("evil/settings.json", "{}").unwrap();
    refused("rename over a chain", fs::rename("evil", ".vscode"));
    symlink("evil", "link").unwrap();
    refused("a link for a chain", fs::rename("link", ".vscode"));
    refused("a new link for a chain", symlink("evil", ".vscode"));
    refused("a second name of a link", fs::hard_link("link", ".vscode"));
    fs::create_dir(".vscode").unwrap();
    let exchanged = rfs::renameat_with(CWD, "evil", CWD, ".vscode", RenameFlags::EXCHANGE);
    refused("exchange", exchanged.map_err(Into::into));
    refused("rename the file", fs::rename("evil/settings.json", ".vscode/settings.json"));
    fs::create_dir("good").unwrap();
    fs::write("good/tasks.txt", "").unwrap();
    fs::remove_dir(".vscode").unwrap();
    fs::rename("good", ".vscode").unwrap();
}

fn pinned(dir: &Path) {
    let outer = dir.join("ws");
    refused("rename the root within a root", fs::rename(outer.join("a/inner"), outer.join("a/x")));
    refused("rename above it", fs::rename(outer.join("a"), outer.join("b")));
    refused("replace it", fs::rename(outer.join("src"), outer.join("a/inner")));
    refused("remove it", fs::remove_dir(outer.join("a/inner")));
    refused("protected there too", fs::create_dir(outer.join("a/inner/.git")));
    fs::create_dir(outer.join("c")).unwrap();
    fs::rename(outer.join("c"), outer.join("d")).unwrap();
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn honest(_: &Path) {
    fs::write("a.txt", "one").unwrap();
    fs::write("a.txt", "two").unwrap();
    let mut appending = fs::OpenOptions::new().append(true).create(true).open("a.txt").unwrap();
    appending.write_all(b"three").unwrap();
    assert_eq!(fs::read_to_string("a.txt").unwrap(), "twothree");
    for umask in [0o022, 0o077, 0o000] {
        rustix::process::umask(Mode::from_raw_mode(umask));
        let name = format!("umask-{umask:o}");
        fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o666).open(&name).unwrap();
        assert_eq!(mode(&name), 0o666 & !umask);
        let name = format!("dir-{umask:o}");
        fs::create_dir(&name).unwrap();
        assert_eq!(mode(&name), 0o777 & !umask);
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Close-on-exec as asked for, both ways.
    for (flag, wanted) in [(OFlags::CLOEXEC, true), (OFlags::empty(), false)] {
        let fd = rfs::open("cloexec", OFlags::CREATE | OFlags::WRONLY | flag, Mode::RUSR | Mode::WUSR).unwrap();
        let got = rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC);
        assert_eq!(got, wanted);
    }
    fs::create_dir_all("deep/er/and/deeper").unwrap();
    fs::write("deep/er/and/deeper/f", "x").unwrap();
    symlink("deep/er", "short").unwrap();
    fs::write("short/and/g", "y").unwrap();
    assert_eq!(fs::read_to_string("deep/er/and/g").unwrap(), "y");
    symlink("target", "to-target").unwrap();
    fs::write("to-target", "through a dangling link").unwrap();
    assert_eq!(fs::read_to_string("target").unwrap(), "through a dangling link");
    fs::hard_link("target", "second").unwrap();
    assert_eq!(fs::metadata("second").unwrap().nlink(), 2);
    fs::rename("second", "third").unwrap();
    fs::rename("deep", "deeper").unwrap();
    let unnamed = fs::OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(".").unwrap();
    rfs::linkat(CWD, format!("/proc/self/fd/{}", unnamed.as_raw_fd()), CWD, "named", AtFlags::SYMLINK_FOLLOW).unwrap();
    fs::write("/dev/null", "x").unwrap();
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open("/proc/self/comm")
        .unwrap()
        .write_all(b"renamed")
        .unwrap();
    assert_eq!(fs::read_to_string("/proc/self/comm").unwrap().trim(), "renamed");
    // A FIFO that nobody reads yet holds up its writer, and nobody else.
    rfs::mknodat(CWD, "fifo", rfs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| fs::OpenOptions::new().create(true).truncate(false).write(true).open("fifo").unwrap())
        })
        .collect();
    for number in 0..100 {
        fs::write(format!("meanwhile-{number}"), "x").unwrap();
    }
    let mut reader = fs::File::open("fifo").unwrap();
    for writer in writers {
        writer.join().unwrap().write_all(b".").unwrap();
    }
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 8);
    let mut made = std::process::Command::new("sh");
    made.args(["-c", "umask 027; echo x > from-sh; mkdir -p p/q/r; ln -s x y; mv y z"]);
    assert!(made.status().unwrap().success());
    assert_eq!(mode("from-sh"), 0o640);
}

/// Whoever makes a file may use it as asked, whatever its mode says to those who come later.
fn modes(_: &Path) {
    let fill = |name: &str, umask: u32, options: &mut fs::OpenOptions| {
        rustix::process::umask(Mode::from_raw_mode(umask));
        let mut made = options.write(true).open(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        made.write_all(b"x").unwrap();
        rustix::process::umask(Mode::from_raw_mode(0o022));
        assert_eq!(made.metadata().unwrap().len(), 1);
        mode(name)
    };
    let mut plain = fs::OpenOptions::new();
    plain.create(true).truncate(true);
    assert_eq!(fill("none", 0o777, &mut plain), 0);
    assert_eq!(fill("unreadable", 0o022, plain.clone().mode(0o200)), 0o200);
    assert_eq!(fill("unwritable", 0o022, plain.clone().mode(0o444)), 0o444);
    assert_eq!(fill("unwritable-both", 0o022, plain.clone().read(true).mode(0o444)), 0o444);
    assert_eq!(fill("new", 0o022, plain.clone().create_new(true).mode(0o666)), 0o644);
    // A directory whose files are read-only to everybody: `user::r--,group::r--,other::r--` by default.
    fs::create_dir("taking").unwrap();
    let mut acl = vec![2, 0, 0, 0];
    for tag in [0x01u16, 0x04, 0x20] {
        acl.extend([&tag.to_le_bytes()[..], &4u16.to_le_bytes(), &u32::MAX.to_le_bytes()].concat());
    }
    let set = rfs::setxattr("taking", "system.posix_acl_default", &acl, rfs::XattrFlags::empty());
    let wanted = if set.is_ok() { 0o444 } else { 0o644 };
    assert_eq!(fill("taking/file", 0o022, &mut plain), wanted);
    // What is there keeps its mode and number.
    let number = fs::metadata("new").unwrap().ino();
    fs::write("new", "again").unwrap();
    assert_eq!((fs::metadata("new").unwrap().ino(), mode("new")), (number, 0o644));
    let mut names: Vec<_> = fs::read_dir("taking").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["file"]);
}

#[track_caller]
fn fails<T>(errno: i32, done: std::io::Result<T>) {
    assert_eq!(done.map(|_| ()).unwrap_err().raw_os_error(), Some(errno));
}

fn honest_errors(_: &Path) {
    fs::write("file", "x").unwrap();
    fails(libc::EEXIST, fs::create_dir("src"));
    fails(libc::EEXIST, fs::create_dir("src/."));
    fails(libc::EEXIST, fs::create_dir("/"));
    fails(libc::EEXIST, fs::File::create_new("file"));
    fails(libc::ENOENT, fs::write("no/such/dir", "x"));
    fails(libc::ENOTDIR, fs::write("file/x", "x"));
    fails(libc::EISDIR, fs::File::create("src"));
    fails(libc::EISDIR, fs::File::create("new/"));
    fails(libc::ENOENT, fs::rename("none", "other"));
    fails(libc::ENOENT, fs::write("", "x"));
    fails(libc::ENAMETOOLONG, fs::write("x".repeat(5000), "x"));
    fails(libc::ENAMETOOLONG, fs::write("x".repeat(300), "x"));
    symlink("loop-b", "loop-a").unwrap();
    symlink("loop-a", "loop-b").unwrap();
    fails(libc::ELOOP, fs::File::create("loop-a"));
    fails(libc::EEXIST, fs::File::create_new("loop-a"));
    let nofollow =
        fs::OpenOptions::new().create(true).truncate(false).write(true).custom_flags(libc::O_NOFOLLOW).open("loop-a");
    fails(libc::ELOOP, nofollow);
    let closed = rfs::mkdirat(fs::File::open("file").unwrap(), "x", Mode::RWXU);
    assert_eq!(closed, Err(rustix::io::Errno::NOTDIR));
    let setuid = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o4755).open("suid");
    fails(libc::EPERM, setuid);
    // Strings that aren't there, or have no end.
    // SAFETY: the addresses are wrong on purpose; the kernel or the broker is to say so.
    unsafe {
        let bad = 8 as *const libc::c_char;
        assert_eq!(libc::mkdir(bad, 0o755), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EFAULT));
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        std::ptr::write_bytes(page.cast::<u8>(), b'a', 4096);
        assert_eq!(libc::mkdir(page.cast(), 0o755), -1);
        let errno = std::io::Error::last_os_error().raw_os_error();
        assert!(errno == Some(libc::EFAULT) || errno == Some(libc::ENAMETOOLONG), "{errno:?}");
    }
}

fn present(_: &Path) {
    // What is there already fails as it always does, so that tools go on.
    fails(libc::EEXIST, fs::create_dir(".git"));
    fails(libc::EEXIST, symlink("x", ".git"));
    refused("rename away", fs::rename(".git", "old"));
    refused("write the file", fs::write(".envrc", "x"));
    refused("write by another path", fs::write("./src/../.envrc", "x"));
    refused("second name", fs::hard_link(".envrc", "second"));
    refused("write by a descriptor's path", {
        let open = fs::File::open(".envrc").unwrap();
        fs::write(format!("/proc/self/fd/{}", open.as_raw_fd()), "x")
    });
    refused("replace", {
        fs::write("new", "x").unwrap();
        fs::rename("new", ".envrc")
    });
    assert_eq!(fs::read_to_string(".envrc").unwrap(), "ours");
}

fn only(_: &Path) {
    fs::write("gitdir/index.lock", "x").unwrap();
    fs::rename("gitdir/index.lock", "gitdir/index").unwrap();
    fs::create_dir("gitdir/refs").unwrap();
    fs::write("gitdir/refs/anything", "x").unwrap();
    refused("config", fs::write("gitdir/config", "x"));
    refused("hooks", fs::create_dir("gitdir/hooks"));
    refused("rename to config", fs::rename("gitdir/index", "gitdir/config"));
    refused("unknown", fs::write("gitdir/unknown", "x"));
}

fn globs(_: &Path) {
    refused("read", fs::read("secret/.env"));
    refused("read later", fs::read("later/.env"));
    symlink("later/.env", "innocent").unwrap();
    refused("through a link", fs::read("innocent"));
    refused("second name", fs::hard_link("later/.env", "copy"));
    refused("other name", fs::rename("later/.env", "later/env"));
    refused("create", fs::write("later/fresh/../../.env", "x"));
    fs::rename("later", "moved").unwrap();
    refused("after its directory moved", fs::read("moved/.env"));
    assert_eq!(fs::read_to_string("secret/readable").unwrap(), "fine");
    refused("list", fs::read_dir("hidden"));
    refused("move the hidden away", fs::rename("hidden", "seen"));
    refused("execute", std::process::Command::new("./hidden/script").status());
    assert!(std::process::Command::new("/bin/true").status().unwrap().success());
    fs::write("plain", "x").unwrap();
    assert_eq!(fs::read("plain").unwrap(), b"x");
}

fn everything(dir: &Path) {
    let out = dir.join("out/keep");
    let shown = out.to_str().unwrap();
    refused("write", fs::write(&out, "x"));
    refused("append", fs::OpenOptions::new().append(true).open(&out));
    refused("truncate", fs::OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(&out));
    refused("truncate by path", rustix_truncate(shown));
    refused("create", fs::write(dir.join("out/new"), "x"));
    refused("unlink", fs::remove_file(&out));
    refused("mkdir", fs::create_dir(dir.join("out/new")));
    refused("rename out", {
        fs::write("x", "x").unwrap();
        fs::rename("x", dir.join("out/x"))
    });
    refused("rename in", fs::rename(&out, "stolen"));
    refused("link in", fs::hard_link(&out, "stolen"));
    refused("chmod", fs::set_permissions(&out, fs::Permissions::from_mode(0o777)));
    let read = fs::File::open(&out).unwrap();
    refused("fchmod", read.set_permissions(fs::Permissions::from_mode(0o777)));
    refused("times", read.set_modified(std::time::SystemTime::UNIX_EPOCH));
    refused("xattr", rfs::setxattr(&out, "user.x", b"x", rfs::XattrFlags::empty()).map_err(Into::into));
    refused("chown", std::os::unix::fs::chown(&out, Some(0), None));
    refused("write a protected file", fs::write(".git/config", "x"));
    refused("make in a protected directory", fs::write(".git/new", "x"));
    refused("remove there", fs::remove_file(".git/config"));
    refused("chmod there", fs::set_permissions(".git/config", fs::Permissions::from_mode(0o777)));
    refused("rename it", fs::rename(".git", "gone"));
    refused("rename above it", fs::rename("sub", "gone"));
    assert_eq!(fs::read_to_string(".git/config").unwrap(), "conf");
    fs::write("mine", "x").unwrap();
    fs::set_permissions("mine", fs::Permissions::from_mode(0o640)).unwrap();
    let mine = fs::OpenOptions::new().write(true).open("mine").unwrap();
    mine.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    mine.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(fs::metadata("mine").unwrap().mtime(), 0);
    refused("set-user-id", fs::set_permissions("mine", fs::Permissions::from_mode(0o4755)));
    rustix_truncate("mine").unwrap();
    fs::remove_file("mine").unwrap();
    fs::create_dir("d").unwrap();
    fs::remove_dir("d").unwrap();
    fs::write("/dev/null", "x").unwrap();
}

fn rustix_truncate(path: &str) -> std::io::Result<()> {
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: a string and an integer.
    let rc = unsafe { libc::truncate(path.as_ptr(), 1) };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn fs_05_absent_names_do_not_come_into_being() {
    for scratch in Scratch::both_ways() {
        let denials = scratch.run("absent");
        for name in PROTECTED {
            assert!(!scratch.path("ws").join(name).exists(), "{name}");
        }
        assert!(denials.len() >= 20, "{}", denials.len());
        assert!(denials.iter().all(|denial| denial.rule == "protected-path"), "{denials:#?}");
        assert!(denials.iter().any(|denial| denial.target.raw().ends_with("ws/.git") && denial.operation == "rename"));
    }
}

#[test]
fn fs_05_nor_by_any_other_path() {
    for scratch in Scratch::both_ways() {
        scratch.run("other-ways");
        assert!(!scratch.path("ws/.git").exists());
    }
}

#[test]
fn fs_05_nothing_is_placed_in_the_tree_for_it() {
    let scratch = Scratch::new();
    let before = scratch.listing("ws");
    let (mut child, broker) = scratch.start("idle");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(broker);
    assert_eq!(scratch.listing("ws"), before);
}

#[test]
fn fs_05_a_tree_prepared_elsewhere_does_not_take_the_name() {
    let scratch = Scratch::new();
    scratch.run("prepared-trees");
    assert!(!scratch.path("ws/.vscode/settings.json").exists());
}

#[test]
fn fs_06_roots_and_what_is_above_keep_their_names() {
    let mut scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("ws/a/inner")).unwrap();
    scratch.root("ws/a/inner");
    scratch.run("pinned");
}

#[test]
fn fs_20_a_protected_file_stays_so_whoever_replaces_it() {
    let mut scratch = Scratch::new();
    std::fs::create_dir(scratch.path("ws/.git")).unwrap();
    std::fs::write(scratch.path("ws/.envrc"), "first").unwrap();
    scratch.protect("ws/.git");
    scratch.protect("ws/.envrc");
    scratch.plan.traps.writes = true;
    // The host saves it anew: another file has the name now.
    std::fs::write(scratch.path("ws/tmp"), "ours").unwrap();
    std::fs::rename(scratch.path("ws/tmp"), scratch.path("ws/.envrc")).unwrap();
    scratch.run("present");
}

#[test]
fn honest_work_is_as_without_a_broker() {
    for scratch in Scratch::both_ways() {
        scratch.run("honest");
        scratch.run("modes");
    }
}

#[test]
fn failures_are_as_without_a_broker() {
    for scratch in Scratch::both_ways() {
        scratch.run("honest-errors");
    }
}

#[test]
fn fs_11_only_listed_names_change_in_such_a_directory() {
    let mut scratch = Scratch::new();
    std::fs::create_dir(scratch.path("ws/gitdir")).unwrap();
    scratch.plan.only.push(crate::linux::broker::plan::OnlyNames {
        dir: ringfence_model::AbsPath::new(scratch.path("ws/gitdir")).unwrap(),
        or_made_inside: false,
        names: ["index", "index.lock", "refs"].map(str::to_owned).to_vec(),
        reason: "test".into(),
        origin: ringfence_model::Origin::builtin("test"),
    });
    scratch.run("only");
}

#[test]
fn fs_09_globs_hold_for_what_appears_later() {
    let mut scratch = Scratch::new();
    for name in ["ws/secret", "ws/later", "ws/later/fresh", "ws/hidden"] {
        std::fs::create_dir(scratch.path(name)).unwrap();
    }
    std::fs::write(scratch.path("ws/secret/.env"), "KEY").unwrap();
    std::fs::write(scratch.path("ws/later/.env"), "KEY").unwrap();
    std::fs::write(scratch.path("ws/secret/readable"), "fine").unwrap();
    std::fs::write(scratch.path("ws/hidden/script"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(scratch.path("ws/hidden/script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let hidden = format!("{}/hid*", scratch.path("ws").display());
    for pattern in ["/**/.env", hidden.as_str()] {
        scratch.plan.denied.push(ringfence_model::confinement::DeniedRead {
            pattern: ringfence_model::confinement::PathPattern::Glob(
                ringfence_model::glob::PathGlob::new(pattern).unwrap(),
            ),
            origin: ringfence_model::Origin::builtin("test"),
        });
    }
    scratch.plan.traps.reads = true;
    let denials = scratch.run("globs");
    assert!(denials.iter().all(|denial| denial.rule == "deny-read"));
}

#[test]
fn fs_01_the_broker_alone_holds_what_is_outside() {
    let mut scratch = Scratch::new();
    for name in ["ws/.git", "ws/sub", "ws/sub/.git"] {
        std::fs::create_dir(scratch.path(name)).unwrap();
        scratch.protect(name);
    }
    scratch.plan.protected.retain(|held| !held.path.as_path().ends_with("ws/sub"));
    std::fs::write(scratch.path("ws/.git/config"), "conf").unwrap();
    let all = crate::linux::broker::trap::Traps {
        names: true,
        writes: true,
        removals: true,
        metadata: true,
        connects: true,
        unix_datagrams: true,
        ..Default::default()
    };
    scratch.plan.traps = all;
    scratch.plan.holds = crate::linux::broker::plan::Holds::Everything;
    scratch.plan.also_writable.push(ringfence_model::AbsPath::new("/dev/null").unwrap());
    scratch.run("everything");
    assert_eq!(std::fs::read_to_string(scratch.path("out/keep")).unwrap(), "keep");
}

/// Threads share a umask; one changes it while others make files. What is made after the change is made by it.
fn umasks(_: &Path) {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        for busy in 0..2 {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let name = format!("busy{busy}");
                    fs::write(&name, "").unwrap();
                    fs::remove_file(&name).unwrap();
                }
            });
        }
        let (asks, asked) = channel::<u32>();
        let (says, said) = channel::<u32>();
        scope.spawn(move || {
            for number in asked {
                let name = format!("made{number}");
                fs::write(&name, "").unwrap();
                says.send(fs::metadata(&name).unwrap().permissions().mode() & 0o777).unwrap();
                fs::remove_file(name).unwrap();
            }
        });
        for number in 0..400 {
            let umask = if number % 2 == 0 { 0o077 } else { 0o002 };
            rustix::process::umask(Mode::from_raw_mode(umask));
            asks.send(number).unwrap();
            let mode = said.recv().unwrap();
            // Not here: the others have to be ended first.
            if mode != 0o666 & !umask {
                done.store(true, Ordering::Relaxed);
                panic!("{number}: {mode:o} by {umask:o}");
            }
        }
        done.store(true, Ordering::Relaxed);
        drop(asks);
    });
}

#[test]
fn a_umask_that_threads_share_holds_for_all_from_its_change_on() {
    for scratch in Scratch::both_ways() {
        scratch.run("umasks");
    }
}
