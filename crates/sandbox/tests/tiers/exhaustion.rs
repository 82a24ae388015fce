//! Using everything up, in every tier: long files however they are made long, and a command that stops what watches it.

use super::{World, backend, run, tiers};
use ringfence_model::report::Exit;
use ringfence_model::units::{ByteSize, Span};
use ringfence_model::{Origin, Sourced};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Every way to a long file: by path, by descriptor, by writing far behind its end, by setting space aside. Each that works
/// says so.
const LONG: &str = r#"
import os
far = 10 << 40
def tried(act, *args):
    try:
        act(*args)
    except OSError:
        return
    print(act.__name__, args, flush=True)
def made(name):
    return os.open(name, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
fd = made("a"); tried(os.truncate, "a", far); tried(os.truncate, "./a", far)
fd = made("b"); tried(os.ftruncate, fd, far)
fd = made("c"); tried(os.pwrite, fd, b"x", far)
fd = made("d"); tried(os.posix_fallocate, fd, 0, 2 << 20)
fd = made("e"); os.lseek(fd, far, 0); tried(os.write, fd, b"x")
os.symlink("f", "link"); fd = made("f"); tried(os.truncate, "link", far)
fd = made("g"); tried(os.truncate, "/proc/self/fd/%d" % fd, far)
fd = os.open("h", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
for _ in range(40):
    try:
        os.write(fd, b"x" * 65536)
    except OSError:
        break
fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600); tried(os.ftruncate, fd, far)
"#;

#[test]
fn fs_17_a_file_is_not_longer_than_its_limit_however_it_is_made_long() {
    let world = World::new();
    std::fs::write(world.path("ws/long.py"), LONG).unwrap();
    let limited = |backend| {
        let mut wish = world.wish(backend);
        wish.limits.file_size = Some(Sourced::new(ByteSize(1 << 20), Origin::builtin("test")));
        wish
    };
    for tier in tiers(limited, "fs_17_a_file_is_not_longer_than_its_limit_however_it_is_made_long") {
        let (outcome, said) = run(&limited(backend(tier)), "python3 long.py 2>&1").unwrap();
        assert_eq!((outcome.exit, said.as_str()), (Exit::Code(0), ""), "{tier}");
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let path = world.path("ws").join(name);
            let found = std::fs::metadata(&path).unwrap();
            assert!(found.size() <= 1 << 20, "{tier}: {name} has {} bytes", found.size());
            std::fs::remove_file(path).unwrap();
        }
        std::fs::remove_file(world.path("ws/link")).unwrap();
        // What is not too long is no matter.
        let (outcome, _) = run(&limited(backend(tier)), "truncate -s 1M ok && rm ok").unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}");
    }
}

#[test]
fn proc_12_a_command_that_stops_itself_or_its_parent_ends_with_its_time() {
    let world = World::new();
    let short = |backend| {
        let mut wish = world.wish(backend);
        let time = Span(Duration::from_millis(600));
        wish.limits.wall_clock = Some(Sourced::new(time, Origin::builtin("test")));
        wish
    };
    let acts = [
        "kill -STOP $$; sleep 60",
        "kill -STOP $PPID; sleep 60",
        "kill -STOP 1; kill -STOP -1; sleep 60",
        "kill -STOP 0; sleep 60",
        "trap '' TERM; (trap '' TERM; while :; do kill -STOP $PPID; kill -STOP $$; done) & while :; do :; done",
        "python3 -c 'import os, signal; [os.kill(p, signal.SIGSTOP) for p in (os.getppid(), os.getpid())]'; sleep 60",
    ];
    for tier in tiers(short, "proc_12_a_command_that_stops_itself_or_its_parent_ends_with_its_time") {
        for act in acts {
            let began = Instant::now();
            let (outcome, _) = run(&short(backend(tier)), act).unwrap();
            assert_eq!((outcome.exit, outcome.exit.status()), (Exit::Timeout, 124), "{tier}: {act}");
            assert!(began.elapsed() < Duration::from_secs(20), "{tier}: {act}: {:?}", began.elapsed());
        }
    }
}
