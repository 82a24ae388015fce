//! Ways out by another system, and what a denied read doesn't cover.

use super::{World, backend, run, tiers};
use ringfence_model::report::Exit;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// What stands in for the program that WSL has the kernel start for every program of Windows: it asks the other system to run
/// it, over a socket of `/run/WSL`, or over one to the machine that holds this one.
const INTERPRETER: &str = r#"#!/usr/bin/python3
import glob, os, socket, sys
for path in [os.environ.get("WSL_INTEROP", ""), sys.argv[1] if len(sys.argv) > 1 else ""] + glob.glob("/run/WSL/*_interop"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        try:
            asked = socket.socket(socket.AF_UNIX, kind)
            asked.connect(path)
            asked.send(b"cmd.exe /c whoami")
            sys.exit(0)
        except OSError:
            pass
try:
    asked = socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM)
except OSError:
    sys.exit(1)
print("a socket to the machine outside")
sys.exit(0)
"#;

/// Where WSL has its sockets, if they can be had there, else beside.
struct Interop(UnixListener, PathBuf);

impl Interop {
    fn new(world: &World) -> Self {
        let name = format!("{}_interop", std::process::id());
        let real = PathBuf::from("/run/WSL");
        let dir = match std::fs::create_dir_all(&real) {
            Ok(()) => real,
            Err(_) => world.path("ws"),
        };
        let path = dir.join(name);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener, path)
    }

    fn was_asked(&self) -> bool {
        !matches!(self.0.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Drop for Interop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
        // Only if nobody else has anything there.
        let _ = std::fs::remove_dir("/run/WSL");
    }
}

#[test]
fn proc_16_programs_of_the_system_around_are_not_started() {
    let world = World::new();
    let program = world.path("ws/cmd.exe");
    std::fs::write(&program, INTERPRETER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let interop = Interop::new(&world);
    let act = format!("WSL_INTEROP={0} ./cmd.exe {0}", interop.1.display());
    let outside = std::process::Command::new("sh").args(["-c", &act]).current_dir(world.path("ws")).status();
    assert!(outside.unwrap().success() && interop.was_asked(), "outside it can be asked");
    for tier in tiers(|backend| world.wish(backend), "proc_16_programs_of_the_system_around_are_not_started") {
        let (outcome, said) = run(&world.wish(backend(tier)), &act).unwrap();
        assert_ne!(outcome.exit, Exit::Code(0), "{tier}: {said}");
        assert!(!interop.was_asked(), "{tier}");
    }
}

#[test]
fn fs_25_copies_of_a_denied_file_can_be_read_and_that_is_said() {
    let world = World::new();
    let commit =
        "git add -f src/.env && git -c user.name=a -c user.email=a@b commit -q -m two && cp src/.env src/.env.swp";
    let made = std::process::Command::new("sh").args(["-c", commit]).current_dir(world.path("ws")).status();
    assert!(made.unwrap().success());
    for tier in tiers(|backend| world.wish(backend), "fs_25_copies_of_a_denied_file_can_be_read_and_that_is_said") {
        let (_, said) =
            run(&world.wish(backend(tier)), "cat src/.env; git show HEAD:src/.env; cat src/.env.swp").unwrap();
        assert_eq!(said, "KEYKEY", "{tier}: history and the other copy, and not the file");
    }
    let said = include_str!("../../../../docs/security.md");
    assert!(said.contains("**Copies of a denied file**") && said.contains("git show HEAD:.env"));
}
