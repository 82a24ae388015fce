//! One promise, one verdict: the same hostile and honest acts under every tier this host offers. Where a tier differs, the
//! table says so and why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

mod detours;
mod elsewhere;
mod exhaustion;
mod folding;
mod git;
mod grid;
mod ipc;
mod sockets;
mod watch;

use ringfence_model::confinement::{
    Confinement, DeniedRead, EnvVar, NetworkWish, PathPattern, Protected, ReadBase, Reads, Tmp, UnixSockets,
    WritableRoot,
};
use ringfence_model::facts::{FileId, FileKind};
use ringfence_model::glob::PathGlob;
use ringfence_model::limits::Limits;
use ringfence_model::mode::{AbsentHold, Backend, GitAccess, Tier};
use ringfence_model::report::{Exit, LimitKind};
use ringfence_model::units::{ByteSize, Span};
use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Sourced};
use ringfence_sandbox::{Command, Options, Outcome, Sandbox, Stdio, compile};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

const TIERS: [Tier; 3] = [Tier::Namespaces, Tier::Bwrap, Tier::Landlock];

/// What must happen to an act.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    Fail,
    Work,
    /// Works, but in the landlock tier it is refused, for this reason.
    WorkUnlessLandlock(&'static str),
}

/// Name, act as a shell line in the workspace with `$OUT` outside it, and what must happen in every tier.
const ACTS: &[(&str, &str, Must)] = &[
    ("FS-01 create outside", "echo x > $OUT/new", Must::Fail),
    ("FS-01 append outside", "echo x >> $OUT/keep", Must::Fail),
    ("FS-01 truncate outside", ": > $OUT/keep", Must::Fail),
    ("FS-01 remove outside", "rm -f $OUT/keep", Must::Fail),
    ("FS-01 mkdir outside", "mkdir $OUT/d", Must::Fail),
    ("FS-01 rename in", "mv $OUT/keep stolen", Must::Fail),
    ("FS-01 rename out", "echo x > r && mv r $OUT/r", Must::Fail),
    ("FS-01 link in", "ln $OUT/keep linked", Must::Fail),
    ("FS-01 symlink outside", "ln -s x $OUT/l", Must::Fail),
    ("FS-01 mkfifo outside", "mkfifo $OUT/f", Must::Fail),
    ("FS-01 chmod outside", "chmod 777 $OUT/keep", Must::Fail),
    ("FS-01 touch outside", "touch -d 2001-01-01 $OUT/keep", Must::Fail),
    ("FS-01 write into a FIFO outside", "echo x > $OUT/fifo", Must::Fail),
    ("FS-02 by /proc/self/root", "echo x > /proc/self/root$OUT/new", Must::Fail),
    ("FS-02 by /proc/self/cwd", "echo x > /proc/self/cwd/../out/new", Must::Fail),
    ("FS-03 by a link", "ln -sfn $OUT l && echo x > l/new", Must::Fail),
    ("FS-04 write .git/config", "echo x >> .git/config", Must::Fail),
    ("FS-04 make a hook", "echo x > .git/hooks/pre-commit", Must::Fail),
    ("FS-04 rename .git", "mv .git gone", Must::Fail),
    ("FS-05 mkdir .codex", "mkdir .codex", Must::Fail),
    ("FS-05 rename to .codex", "mkdir -p t/u && mv t .codex", Must::Fail),
    ("FS-05 link .codex", "ln -s /tmp .codex", Must::Fail),
    ("FS-05 .vscode made anew", "mkdir -p .vscode && echo x > .vscode/settings.json", Must::Fail),
    (
        "FS-05 tree renamed to .vscode",
        "mkdir -p e && echo x > e/settings.json && rm -rf .vscode && mv e .vscode",
        Must::Fail,
    ),
    ("FS-06 rename above a protected path", "mv sub sub2", Must::Fail),
    ("FS-09 denied file", "cat secret/key", Must::Fail),
    ("FS-09 denied directory", "ls secret", Must::Fail),
    ("FS-09 denied directory, renamed", "mv secret seen && cat seen/key", Must::Fail),
    ("FS-09 denied file, renamed", "mv secret/key key && cat key", Must::Fail),
    ("FS-09 glob", "cat src/.env", Must::Fail),
    (
        "FS-09 glob, by a path descriptor",
        "python3 -c 'import os; d=os.open(\"src/.env\", os.O_PATH); print(open(f\"/proc/self/fd/{d}\").read())'",
        Must::Fail,
    ),
    ("FS-09 glob, executed", "chmod 755 src/.env; src/.env", Must::Fail),
    ("FS-20 .git replaced", "cp -r .git g2 && mv .git g1 && mv g2 .git", Must::Fail),
    (
        "FS-20 .git exchanged",
        "mkdir -p g3/hooks && python3 -c 'import ctypes; assert ctypes.CDLL(None).renameat2(-100, b\"g3\", -100, b\".git\", 2) == 0'",
        Must::Fail,
    ),
    ("FS-09 glob, renamed", "mv src/.env src/env", Must::Fail),
    ("FS-09 glob, copied by link", "ln src/.env src/env", Must::Fail),
    (
        "FS-13 a device of no kind, made or left behind by a rename",
        "python3 -c 'import ctypes, os, stat\n\
         def tried(act, *args):\n try: return act(*args) == 0 or os.path.lexists(\"dev\")\n except OSError: return False\n\
         for kind in (stat.S_IFCHR, stat.S_IFBLK):\n\
         \x20 for device in (0, os.makedev(1, 3)):\n  if tried(os.mknod, \"dev\", kind | 0o600, device): exit(0)\n\
         open(\"w1\", \"w\")\nexit(not tried(ctypes.CDLL(None).renameat2, -100, b\"w1\", -100, b\"w2\", 4))'",
        Must::Fail,
    ),
    (
        "FS-13 a device of the host's, read",
        "for device in /dev/loop-control /dev/loop0 /dev/vd? /dev/sd? /dev/nvme?n? /dev/mem /dev/tty1 /dev/vcs1 /dev/net/tun; do \
         test -e $device && (exec 3<$device) 2>/dev/null && exit 0; done; exit 1",
        Must::Fail,
    ),
    ("FS-15 set-user-id", "cp /bin/true s && chmod u+s s", Must::Fail),
    ("PROC-01 signal outside", "kill -0 $VICTIM", Must::Fail),
    (
        "PROC-01 descriptor outside",
        "python3 -c 'import os, sys\nfor flags in (0, os.O_NONBLOCK, os.O_EXCL):\n try: os.pidfd_open(int(sys.argv[1]), flags); exit(0)\n\
         \x20except OSError: pass\nexit(1)' $VICTIM",
        Must::Fail,
    ),
    ("PROC-01 memory outside", "cat /proc/$VICTIM/mem", Must::Fail),
    (
        "PROC-01 environment outside",
        "test -s /proc/$VICTIM/environ && cat /proc/$VICTIM/environ | grep -q .",
        Must::Fail,
    ),
    ("PROC-07 user namespace", "unshare -U true", Must::Fail),
    (
        "NET-01 connect outside",
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", PORT), 1)'",
        Must::Fail,
    ),
    (
        "IPC-01 socket outside",
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"SOCKETPATH\")'",
        Must::Fail,
    ),
    ("write", "echo x > w && echo y >> w && test \"$(cat w)\" = 'x\ny'", Must::Work),
    ("make, rename, remove", "mkdir -p a/b && echo x > a/b/c && mv a/b/c a/d && rm -r a", Must::Work),
    (
        "copy into a directory",
        "mkdir -p into && echo x > one && cp one into/ && cp -a into two && mv one into/ && rm -r into two",
        Must::Work,
    ),
    ("links", "echo x > t1 && ln t1 t2 && ln -s t1 t3 && test \"$(cat t3)\" = x && rm t1 t2 t3", Must::Work),
    (
        "modes and times",
        "echo x > m && chmod 640 m && touch -d 2001-01-01 m && test \"$(stat -c %a m)\" = 640",
        Must::Work,
    ),
    ("unpack an archive", "tar cf x.tar -C /usr/include stdio.h && tar xf x.tar && test -s stdio.h", Must::Work),
    ("temporary file", "f=$(mktemp) && echo x > $f && rm $f", Must::Work),
    ("devices", "echo x > /dev/null && head -c 4 /dev/urandom > rnd && head -c 4 /dev/zero > zero", Must::Work),
    ("FIFO inside", "rm -f p; mkfifo p && (echo hi > p &) && test \"$(cat p)\" = hi", Must::Work),
    ("git status", "git status --short > /dev/null && git log -1 --oneline > /dev/null", Must::Work),
    (
        "pipes and here-documents",
        "seq 1 100 | sort -n | tail -1 | grep -q 100 && cat <<E | grep -q x\nx\nE",
        Must::Work,
    ),
    (
        "loopback",
        "python3 -c 'import socket as s; l=s.create_server((\"127.0.0.1\",0)); c=s.create_connection(l.getsockname()); a,_=l.accept(); c.sendall(b\"x\"); assert a.recv(1)==b\"x\"'",
        Must::Work,
    ),
    (
        "a port that nobody has refuses connections",
        "python3 -c 'import socket as s\nfor host in (\"127.0.0.1\", \"::1\"):\n try: s.create_connection((host, 1), 1)\n \
         except ConnectionRefusedError: pass\n else: assert 0'",
        Must::Work,
    ),
    (
        "unix socket inside",
        "python3 -c 'import os, socket as s; os.path.exists(\"u\") and os.unlink(\"u\"); l=s.socket(s.AF_UNIX); l.bind(\"u\"); l.listen(); c=s.socket(s.AF_UNIX); c.connect(\"u\"); a,_=l.accept(); c.sendall(b\"x\"); assert a.recv(1)==b\"x\"'",
        Must::Work,
    ),
    (
        "IPC-05 a unix socket is called what it was given",
        "d=$(mktemp -d) && python3 -c 'import os, socket as s, sys; p=sys.argv[1]+\"/s\"; l=s.socket(s.AF_UNIX); l.bind(p); l.listen(); \
         assert l.getsockname()==p; os.chdir(\"/\"); c=s.socket(s.AF_UNIX); c.connect(l.getsockname())' $d && rm -r $d",
        Must::Work,
    ),
    (
        "what would come to nothing fails as it does outside",
        "mkdir -p $OUT . .git/hooks && rm -f $OUT/none .git/none .codex && python3 -c 'import errno, os\n\
         def fails(why, act, *paths):\n try: act(*paths)\n except OSError as e: assert e.errno==why, (e, paths)\n else: assert 0\n\
         for there in (\"/usr\", \".git/hooks\", \".git\"):\n\
         \x20 fails(errno.EEXIST, os.mkdir, there); fails(errno.EEXIST, os.symlink, \"x\", there); fails(errno.EEXIST, os.mkfifo, there)\n\
         for gone in (\".codex\", \"none\"):\n\
         \x20 fails(errno.ENOENT, os.unlink, gone); fails(errno.ENOENT, os.rmdir, gone); fails(errno.ENOENT, os.rename, gone, \"y\")'",
        Must::Work,
    ),
    (
        "datagram pair",
        "python3 -c 'import socket as s; a,b=s.socketpair(s.AF_UNIX,s.SOCK_DGRAM); a.send(b\"x\"); assert b.recv(9)==b\"x\"'",
        Must::Work,
    ),
    (
        "a unix socket that nobody has any more refuses connections",
        "python3 -c 'import os, socket as s\ntry: s.socket(s.AF_UNIX).connect(os.environ[\"OUT\"] + \"/stale\")\n\
         except ConnectionRefusedError: pass\nelse: assert 0'",
        Must::Work,
    ),
    (
        "descriptors over a socket",
        "python3 -c 'import socket as s,os; a,b=s.socketpair(); s.send_fds(a,[b\"x\"],[1]); m,f,_,_=s.recv_fds(b,9,1); os.write(f[0],b\"\")'",
        Must::Work,
    ),
    (
        "shared memory",
        "python3 -c 'from multiprocessing import shared_memory as m; x=m.SharedMemory(create=True,size=9); x.close(); x.unlink()'",
        Must::Work,
    ),
    (
        "System V semaphores",
        "python3 -c 'import ctypes; c=ctypes.CDLL(None); i=c.semget(0,1,0o1600); assert i>=0; c.semctl(i,0,0)'",
        Must::Work,
    ),
    (
        "IPC-04 other families: keys, packets, bluetooth, crypto, virtual machines, XDP",
        "python3 -c 'import socket as s\nfor family in (15, 17, 31, 38, 40, 44):\n for kind in (1, 2, 3, 5):\n  try: s.socket(family, kind)\n  \
         except OSError: continue\n  exit(0)\nexit(1)'",
        Must::Fail,
    ),
    (
        "IPC-04 netlink but for routes",
        "python3 -c 'import socket as s\nfor protocol in range(1, 23):\n try: s.socket(16, 3, protocol)\n except OSError: continue\n \
         exit(0)\nexit(1)'",
        Must::Fail,
    ),
    (
        "IPC-04 interfaces and names are found",
        "python3 -c 'import socket as s; assert s.if_nameindex(); s.getaddrinfo(\"localhost\", 80)'",
        Must::Work,
    ),
    (
        "FS-18 names of any bytes, long ones and chains of links",
        "python3 -c 'import errno, os\n\
         def fails(why, act, *args):\n try: act(*args)\n except OSError as e: assert e.errno==why, (e, args)\n else: assert 0\n\
         for name in (b\"\\xff\\xfe\", b\"a\\nb\\x1b[2J\", b\"x\"*255, b\" \", b\"-rf\", b\".codex\\n\", b\".codex \"):\n\
         \x20 os.mkdir(name); os.close(os.open(name+b\"/f\", os.O_CREAT|os.O_WRONLY)); os.rename(name+b\"/f\", name+b\"/g\")\n\
         \x20 assert os.listdir(name)==[b\"g\"]; os.unlink(name+b\"/g\"); os.rmdir(name)\n\
         fails(errno.ENAMETOOLONG, os.mkdir, \"x\"*256); fails(errno.ENAMETOOLONG, os.mkdir, \"./\"*2048+\"x\")\n\
         for i in range(41): os.symlink(\"chain%d\" % (i+1), \"chain%d\" % i)\n\
         fails(errno.ELOOP, os.open, \"chain0\", os.O_CREAT|os.O_WRONLY); fails(errno.ELOOP, os.mkdir, \"chain0/x\")\n\
         for i in range(41): os.unlink(\"chain%d\" % i)'",
        Must::Work,
    ),
    (
        "FS-18 other spellings of a protected name",
        "for p in ././/.codex ../ws/.codex /proc/self/cwd/.codex src/../.codex; do mkdir $p && exit 0; done; exit 1",
        Must::Fail,
    ),
    (
        "IPC-03 POSIX message queue",
        "python3 -c 'import ctypes; c=ctypes.CDLL(None, use_errno=True); q=c.mq_open(b\"/q\",0o102,0o600,None); assert q>=0'",
        Must::Fail,
    ),
    ("processes outside can't be listed", "! test -e /proc/$VICTIM", Must::WorkUnlessLandlock("`/proc` is the host's")),
    (
        "descriptors for processes inside",
        "python3 -c 'import os, select, signal, subprocess as p, time\n\
         os.pidfd_open(os.getpid())\nc=p.Popen([\"sleep\", \"60\"]); d=os.pidfd_open(c.pid, os.O_NONBLOCK)\n\
         assert not select.select([d], [], [], 0)[0]; signal.pidfd_send_signal(d, 9); assert select.select([d], [], [], 9)[0]\n\
         e=os.pidfd_open(c.pid); assert os.waitid(os.P_PIDFD, e, os.WEXITED).si_status==9\n\
         try: os.pidfd_open(c.pid)\nexcept ProcessLookupError: pass\nelse: assert 0\n\
         o=int(p.check_output([\"sh\", \"-c\", \"(sleep 60 >/dev/null & echo $!)\"])); time.sleep(0.1); d=os.pidfd_open(o)\n\
         signal.pidfd_send_signal(d, 9); assert select.select([d], [], [], 9)[0]'",
        Must::Work,
    ),
    ("own limits and priority", "ulimit -n 64 && nice -n 5 true", Must::Work),
];

struct World {
    dir: tempfile::TempDir,
    listener: std::net::TcpListener,
    _socket: UnixListener,
    _victim: Victim,
    victim: u32,
}

struct Victim(std::process::Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    fn new() -> Self {
        // Not below `/tmp`, which is a root of its own elsewhere; the workspace here is the only one.
        Self::of(tempfile::tempdir().unwrap())
    }

    /// In this directory, which is on another file system.
    fn within(dir: &Path) -> Self {
        Self::of(tempfile::tempdir_in(dir).unwrap())
    }

    fn of(dir: tempfile::TempDir) -> Self {
        let at = |name: &str| dir.path().join(name);
        for name in ["ws/src", "ws/secret", "ws/sub/inner/.git", "out"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("out/keep"), "keep\n").unwrap();
        std::fs::write(at("ws/secret/key"), "KEY").unwrap();
        std::fs::write(at("ws/src/.env"), "KEY").unwrap();
        let git = |args: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(at("ws"));
            assert!(git.status().unwrap().success());
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["commit", "-q", "--allow-empty", "-m", "one"]);
        let fifo = std::process::Command::new("mkfifo").arg(at("out/fifo")).status().unwrap();
        assert!(fifo.success());
        let socket = UnixListener::bind(at("out/sock")).unwrap();
        drop(UnixListener::bind(at("out/stale")).unwrap());
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut victim = std::process::Command::new("sleep");
        let victim = victim.arg("600").env("SECRET", "1").stdout(std::process::Stdio::null()).spawn().unwrap();
        let pid = victim.id();
        Self { dir, listener, _socket: socket, _victim: Victim(victim), victim: pid }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn abs(&self, name: &str) -> AbsPath {
        AbsPath::new(self.path(name)).unwrap()
    }

    fn wish(&self, backend: Backend) -> Confinement {
        let origin = Origin::builtin("test");
        let ws = self.abs("ws");
        let stat = std::fs::metadata(&ws).unwrap();
        let protect = [".git", ".codex", ".vscode/settings.json", "sub/inner/.git"];
        let mut protected: Vec<Protected> = protect
            .iter()
            .map(|name| {
                let path = ws.join(name).unwrap();
                let found = path.as_path().is_dir().then_some(FileKind::Directory);
                Protected { path, found, reason: "test".into(), origin: origin.clone() }
            })
            .collect();
        protected.sort();
        let denied = [PathPattern::Path(self.abs("ws/secret")), PathPattern::Glob(PathGlob::new("/**/.env").unwrap())];
        let environment = [
            ("OUT", self.path("out").to_str().unwrap().to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            ("VICTIM", self.victim.to_string()),
            ("TMPDIR", self.path("ws").to_str().unwrap().to_owned()),
        ];
        let environment = environment
            .into_iter()
            .map(|(name, value)| EnvVar { name: OsText::new(name), value: OsText::new(value), origin: origin.clone() })
            .collect();
        Confinement {
            mode: Sourced::new(SandboxMode::WorkspaceWrite, origin.clone()),
            cwd: ws.clone(),
            roots: vec![WritableRoot {
                path: ws,
                id: FileId { device: stat.dev(), inode: stat.ino() },
                origin: origin.clone(),
            }],
            protected,
            reads: Reads {
                base: Sourced::new(ReadBase::Everything, origin.clone()),
                also: Vec::new(),
                denied: denied.into_iter().map(|pattern| DeniedRead { pattern, origin: origin.clone() }).collect(),
            },
            tmp: Sourced::new(Tmp::Shared, origin.clone()),
            network: Sourced::new(NetworkWish::Off, origin.clone()),
            allow_local_binding: Sourced::new(false, origin.clone()),
            unix_sockets: UnixSockets::Only(Vec::new()),
            git: Sourced::new(GitAccess::ReadOnly, origin.clone()),
            git_dirs: Vec::new(),
            environment,
            environment_dropped: Vec::new(),
            limits: Limits::default(),
            keep_background: Sourced::new(false, origin.clone()),
            backend: Sourced::new(backend, origin.clone()),
            absent_protected: Sourced::new(AbsentHold::Broker, origin),
        }
    }

    fn act(&self, line: &str) -> String {
        let port = self.listener.local_addr().unwrap().port().to_string();
        line.replace("PORT", &port).replace("SOCKETPATH", self.path("out/sock").to_str().unwrap())
    }

    /// Brings the workspace back to how it was.
    fn reset(&self) {
        let _ = std::fs::remove_dir_all(self.path("ws/.vscode"));
        assert_eq!(std::fs::read_to_string(self.path("out/keep")).unwrap(), "keep\n");
        assert_eq!(std::fs::read_dir(self.path("out")).unwrap().count(), 4, "something was made outside");
    }
}

fn backend(tier: Tier) -> Backend {
    match tier {
        Tier::Bwrap => Backend::Bwrap,
        Tier::Landlock => Backend::Landlock,
        _ => Backend::Namespaces,
    }
}

/// Runs one line; its outcome and what it printed.
fn run(wish: &Confinement, line: &str) -> Result<(Outcome, String), String> {
    run_on(wish, line, Stdio::Null)
}

/// The same with this for standard input.
fn run_with(wish: &Confinement, line: &str, input: impl Into<OwnedFd>) -> Result<(Outcome, String), String> {
    run_on(wish, line, Stdio::Descriptor(input.into()))
}

fn run_on(wish: &Confinement, line: &str, input: Stdio) -> Result<(Outcome, String), String> {
    let facts = ringfence_sandbox::probe::quick_for(wish);
    let plan = compile(wish, &facts, &Options::default()).map_err(|error| error.to_string())?;
    let sandbox = Sandbox::new(plan).map_err(|error| error.to_string())?;
    let mut command = Command::new(["/bin/sh", "-c", line].map(OsText::new));
    command.stdin = input;
    command.stdout = Stdio::Piped;
    command.stderr = Stdio::Null;
    let mut running = sandbox.spawn(command, None).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    })?;
    let out = running.pipes().stdout.take();
    // Memory and time are watched by whoever waits, so reading must not come first.
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = out.map(|mut out| out.read_to_string(&mut said));
        said
    });
    let outcome = running.wait();
    Ok((outcome, reader.join().unwrap_or_default()))
}

/// The tiers that work here; the others are named.
fn tiers(wish: impl Fn(Backend) -> Confinement, test: &str) -> Vec<Tier> {
    TIERS
        .into_iter()
        .filter(|tier| match run(&wish(backend(*tier)), "true") {
            Ok(_) => true,
            Err(why) => {
                println!("SKIPPED: {test} in the `{tier}` tier: {why}");
                false
            }
        })
        .collect()
}

#[test]
fn the_same_acts_have_the_same_verdicts_in_every_tier() {
    let world = World::new();
    let mut wrong = Vec::new();
    for tier in tiers(|backend| world.wish(backend), "the_same_acts_have_the_same_verdicts_in_every_tier") {
        let wish = world.wish(backend(tier));
        for (name, line, must) in ACTS {
            let (outcome, _) = run(&wish, &world.act(line)).unwrap_or_else(|why| panic!("{tier}: {name}: {why}"));
            assert_eq!(outcome.tier, tier);
            let worked = outcome.exit == Exit::Code(0);
            let wanted = match must {
                Must::Fail => false,
                Must::Work => true,
                Must::WorkUnlessLandlock(_) => tier != Tier::Landlock,
            };
            if worked != wanted {
                wrong.push(format!("{tier}: {name}: {:?}", outcome.exit));
            }
            world.reset();
        }
        assert!(!world.path("ws/.codex").exists());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn proc_03_nothing_outlives_the_command_in_any_tier() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "proc_03_nothing_outlives_the_command_in_any_tier") {
        let line =
            "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP; sleep 3; echo late > late' &) ; done; sleep 0.3";
        run(&world.wish(backend(tier)), line).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(4));
        assert!(!Path::new(&world.path("ws/late")).exists(), "{tier}");
    }
}

#[test]
fn dos_01_limits_hold_in_every_tier_and_are_named() {
    let world = World::new();
    let limited = |backend, change: &dyn Fn(&mut Limits)| {
        let mut wish = world.wish(backend);
        change(&mut wish.limits);
        wish
    };
    let origin = || Origin::builtin("test");
    for tier in tiers(|backend| world.wish(backend), "dos_01_limits_hold_in_every_tier_and_are_named") {
        let few = limited(backend(tier), &|limits| limits.processes = Some(Sourced::new(20, origin())));
        let (outcome, said) = run(&few, "for i in $(seq 60); do sleep 3 & echo started; done").unwrap();
        assert!((5..=20).contains(&said.lines().count()), "{tier}: {said}");
        assert!(
            outcome.denials.iter().any(|denial| denial.rule == "limits.processes"),
            "{tier}: {:?}",
            outcome.denials
        );
        let (outcome, _) = run(&few, "for i in $(seq 50); do /bin/true; done; seq 9 | sort -n | tail -1").unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {:?}", outcome.denials);
        let threads = "python3 -c 'import threading as t, time\nfor i in range(60): t.Thread(target=time.sleep, args=(2,), \
                       daemon=True).start()'";
        assert_ne!(run(&few, threads).unwrap().0.exit, Exit::Code(0), "{tier}: threads count too");
        let small = limited(backend(tier), &|limits| limits.memory = Some(Sourced::new(ByteSize(150 << 20), origin())));
        let together = "for i in 1 2 3 4; do (head -c 60000000 /dev/zero; sleep 8) | tail > /dev/null & done; wait";
        assert_eq!(run(&small, together).unwrap().0.exit, Exit::Limit(LimitKind::Memory), "{tier}");
        let terse = limited(backend(tier), &|limits| limits.output = Some(Sourced::new(ByteSize(10_000), origin())));
        let (outcome, said) = run(&terse, "yes").unwrap();
        assert_eq!((outcome.exit, said.len()), (Exit::Limit(LimitKind::Output), 10_000), "{tier}");
        let short = limited(backend(tier), &|limits| {
            limits.wall_clock = Some(Sourced::new(Span(std::time::Duration::from_millis(300)), origin()));
        });
        let (outcome, _) = run(&short, "trap '' TERM; (trap '' TERM; sleep 30) & sleep 30; sleep 30").unwrap();
        assert_eq!((outcome.exit, outcome.exit.status()), (Exit::Timeout, 124), "{tier}");
    }
}
