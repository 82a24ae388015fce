//! Other kernels, over this machine's files: an older one as a user-mode Linux, which runs as an ordinary program, and a
//! newer one in an emulator. What Debian packages as `user-mode-linux` is a 6.1 without Landlock that mounts nothing on what
//! isn't attached yet. The newer one is what `RINGFENCE_KERNEL` names, or the newest that is installed: it is of interest
//! from 7.1 on, whose Landlock has a right for unix sockets. Both have control groups of version 2.

use crate::common::{Place, have, program, skip};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the other machine does first: file systems of its own, a delegated control group, an ordinary user with a workspace.
const BOOT: &str = r#"#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs own /mnt; mkdir -p /mnt/ws/.git/hooks /mnt/home /mnt/out; cp "$PROGRAM" /mnt/ringfence
cp $HOSTILE /mnt/out/hostile.py
for dir in /run /tmp /var/tmp; do mount -t tmpfs -o mode=1777 own $dir; done
ip link set lo up; echo '+memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
export HOME=/mnt/home
mkdir /sys/fs/cgroup/a /sys/fs/cgroup/b; mkfifo -m 666 /mnt/out/fifo; echo canary > /mnt/out/keep
chown -R 1000:1000 /mnt /sys/fs/cgroup/a /sys/fs/cgroup/b; chmod 777 /mnt/ws; cd /mnt/ws
in_group() {
    group=$1; shift
    sh -c 'echo $$ > /sys/fs/cgroup/'$group'/cgroup.procs; exec "$@"' sh "$@"; echo "status=$?"
}
AS='setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/mnt/home PATH=/usr/bin:/bin'
echo "kernel=$(uname -r)"
echo '== acts'; (timeout 20 cat /mnt/out/fifo &) ; $AS /mnt/ringfence sandbox -s workspace-write -c private_tmp=true \
  -c 'deny_read=["/etc/hostname"]' -- sh -c 'echo tier=$RINGFENCE_SANDBOX; echo made > made; cat made; cat /etc/hostname; \
  echo x > .git/hooks/h; mkdir .codex; echo x > ../out/keep; echo through > ../out/fifo; ls -A . /tmp; exit 7' 2>&1; echo "status=$?"
cat /mnt/out/keep; ls -A /mnt/ws/.git/hooks
for who in "$AS" ''; do
echo '== memory'; in_group a $who /mnt/ringfence sandbox -s workspace-write -c limits.memory=32MiB -- \
  sh -c 'for i in 1 2 3; do (head -c 16m /dev/zero | (cat > /dev/shm/$i; sleep 9)) & done; wait' 2>&1
echo '== processes'; in_group b $who /mnt/ringfence sandbox -s workspace-write --log-denials -c limits.processes=8 -- \
  sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait' 2>&1
done
echo '== sockets'; cat > /mnt/out/serve.py <<'P'
import socket as s
l = s.socket(s.AF_UNIX); l.bind('/mnt/out/s'); l.listen(); d = s.socket(s.AF_UNIX, s.SOCK_DGRAM); d.bind('/mnt/out/d')
a = s.socket(s.AF_UNIX); a.bind('\0outside'); a.listen(); open('/mnt/out/serves', 'w').close()
import select; [print('reached', x.getsockname(), flush=True) for x in select.select([l, d, a], [], [], 3600)[0]]
P
cat > /mnt/ws/reach.py <<'P'
import socket as s
for kind, path in ((s.SOCK_STREAM, '/mnt/out/s'), (s.SOCK_DGRAM, '/mnt/out/d'), (s.SOCK_STREAM, '\0outside')):
    try: s.socket(s.AF_UNIX, kind).connect(path); print('connected')
    except OSError as e: print(e.strerror)
try: x = s.socket(s.AF_UNIX, s.SOCK_DGRAM); x.bind('own'); s.socket(s.AF_UNIX, s.SOCK_DGRAM).sendto(b'y', 'own'); print('inside', x.recv(1))
except OSError as e: print('no datagrams')
P
python3 /mnt/out/serve.py > /mnt/out/served 2>&1 & served=$!
for i in $(seq 600); do test -e /mnt/out/serves && break; sleep 0.1; done
for tier in namespaces landlock; do for who in "$AS" ''; do rm -f /mnt/ws/own; $who /mnt/ringfence sandbox -s workspace-write \
  --log-denials --network on -c linux.backend=\"$tier\" -- python3 reach.py 2>&1; echo "status=$? $tier"; done; done
kill $served; cat /mnt/out/served
echo '== nested'; $AS python3 /mnt/out/hostile.py listener /mnt/ringfence sandbox -s read-only -- sh -c 'echo tier=$RINGFENCE_SANDBOX' 2>&1
for who in $PROVERS; do echo '== prove'; $who /mnt/ringfence prove 2>&1 | grep -v ^held; done
echo '== over'; sync; poweroff -f
"#;

/// Kernels from here on have Landlock's right for unix sockets.
const HOLDS_SOCKETS: (u32, u32) = (7, 1);

/// What the other machine printed, by the parts of [`BOOT`].
struct Said(String);

impl Said {
    #[track_caller]
    fn parts(&self, name: &str) -> Vec<&str> {
        let parts: Vec<&str> = self.0.split("\n== ").filter_map(|part| part.strip_prefix(name)).collect();
        assert!(!parts.is_empty(), "no {name}:\n{}", self.0);
        parts
    }

    #[track_caller]
    fn part(&self, name: &str) -> &str {
        self.parts(name)[0]
    }

    /// What holds on every kernel.
    #[track_caller]
    fn holds(&self) {
        let acts = self.part("acts");
        for wanted in ["tier=namespaces\n", "made\n", "status=7\n", "\ncanary", "/etc/hostname: Permission denied"] {
            assert!(acts.contains(wanted), "{wanted:?}:\n{acts}");
        }
        assert!(!acts.contains("through\n") && !acts.contains("\nh\n") && !acts.contains(".codex\n/"), "{acts}");
        // As an ordinary user and as root; files in memory count, too.
        for memory in self.parts("memory") {
            assert!(
                memory.contains("the limit on memory ended the command") && memory.contains("status=137"),
                "{memory}"
            );
            let weaker = memory.lines().any(|line| line.contains("held weaker") && line.contains("limits"));
            assert!(!weaker, "{memory}");
        }
        for processes in self.parts("processes") {
            assert!(processes.contains("start a process more than 8: limits.processes"), "{processes}");
        }
        let sockets = self.part("sockets");
        assert!(!sockets.contains("connected\n") && !sockets.contains("reached"), "{sockets}");
        assert!(sockets.contains("allow_unix_sockets=[\"/mnt/out/s\"]"), "nobody says what would allow it: {sockets}");
        for prove in self.parts("prove") {
            assert!(prove.contains(" 0 broken"), "{prove}");
        }
    }
}

/// Writes what the other machine starts with; `provers` are those who attack the sandbox, as the shell has them.
fn boot(place: &Place, provers: &str) -> PathBuf {
    place.write("hostile.py", include_str!("hostile.py"));
    let script = BOOT.replace("$PROGRAM", &program().display().to_string()).replace("$PROVERS", provers);
    place.write("boot", &script.replace("$HOSTILE", &place.path("hostile.py").display().to_string()));
    let boot = place.path("boot");
    let made = Command::new("chmod").arg("755").arg(&boot).status();
    assert!(made.is_ok_and(|status| status.success()));
    boot
}

/// What `machine` prints once its kernel runs this script; none, and said, if it doesn't get there.
fn said(test: &str, machine: &mut Command) -> Option<Said> {
    let out = machine.stdin(Stdio::null()).output().expect("`timeout` runs");
    let text = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    if let Some((_, said)) = text.split_once("kernel=") {
        return Some(Said(said.to_owned()));
    }
    let last = text.lines().last().unwrap_or_default();
    let why = String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default().to_owned();
    skip(test, &format!("the other kernel doesn't start here: {last} {why}"));
    None
}

#[test]
fn another_kernel_without_landlock_holds_and_counts() {
    let test = "another_kernel_without_landlock_holds_and_counts";
    if !have(test, "linux.uml") || !have(test, "setpriv") {
        return;
    }
    let place = Place::new();
    let boot = boot(&place, r#""$AS""#);
    let mut machine = Command::new("timeout");
    machine
        .args(["400", "linux.uml", "mem=1024M", "root=/dev/root", "rootfstype=hostfs", "hostfs=/", "ro", "quiet"])
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("init={}", boot.display()))
        .arg(format!("uml_dir={}/", place.path("out").display()))
        .env("TMPDIR", place.path("out"));
    let Some(said) = said(test, &mut machine) else { return };
    said.holds();
    assert!(said.part("sockets").contains("no datagrams\n"), "{}", said.part("sockets"));
    assert!(said.part("nested").contains("only the broker holds it, and none can be had"), "{}", said.part("nested"));
}

#[test]
fn another_kernel_that_holds_unix_sockets_itself() {
    let test = "another_kernel_that_holds_unix_sockets_itself";
    let Some(kernel) = newer_kernel() else {
        return skip(test, "no kernel from 7.1 on is installed, and `RINGFENCE_KERNEL` names none");
    };
    if !["qemu-system-x86_64", "setpriv"].iter().all(|program| have(test, program)) {
        return;
    }
    let place = Place::new();
    let Some(files) = Files::share(&place) else {
        return skip(test, "`virtiofsd`, which gives the other machine these files, isn't there or needs root");
    };
    let boot = boot(&place, r#""$AS" ''"#);
    let mut machine = Command::new("timeout");
    machine
        .args(["1800", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"])
        .args(["-M", "q35", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel"])
        .arg(kernel)
        .args(["-object", "memory-backend-memfd,id=memory,size=2048M,share=on", "-numa", "node,memdev=memory"])
        .arg("-chardev")
        .arg(format!("socket,id=files,path={}", files.socket.display()))
        .args(["-device", "vhost-user-fs-pci,chardev=files,tag=files", "-append"])
        .arg(format!(
            "console=ttyS0 root=files rootfstype=virtiofs ro quiet panic=-1 no_timer_check mitigations=off \
             rcupdate.rcu_expedited=1 init={}",
            boot.display()
        ));
    let Some(said) = said(test, &mut machine) else { return };
    said.holds();
    let sockets = said.part("sockets");
    // Four runs: both tiers, both users. Datagram sockets work there, among those made inside.
    for (wanted, times) in [("Permission denied\n", 8), ("inside b'y'\n", 4), ("status=0 ", 4)] {
        assert!(sockets.matches(wanted).count() >= times, "{wanted:?}:\n{sockets}");
    }
    let nested = said.part("nested");
    assert!(nested.contains("tier=namespaces\n") && !nested.contains("held weaker"), "{nested}");
}

/// The kernel that is asked for, or the newest installed one of interest.
fn newer_kernel() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("RINGFENCE_KERNEL") {
        return Some(named.into());
    }
    let places = [("/boot", "vmlinuz-", ""), ("/usr/lib/modules", "", "/vmlinuz"), ("/lib/modules", "", "/vmlinuz")];
    let mut found: Vec<((u32, u32), PathBuf)> = Vec::new();
    for (directory, before, after) in places {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(version) = name.strip_prefix(before).and_then(version) else { continue };
            let path = PathBuf::from(format!("{directory}/{name}{after}"));
            if version >= HOLDS_SOCKETS && std::fs::File::open(&path).is_ok() && path.is_file() {
                found.push((version, path));
            }
        }
    }
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// This machine's files, shared with another one as long as this is there.
struct Files {
    server: Child,
    socket: PathBuf,
}

impl Files {
    fn share(place: &Place) -> Option<Self> {
        let known = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/bin/virtiofsd"];
        let program = known.iter().find(|path| Path::new(path).exists())?;
        let socket = place.path("out/files");
        let mut server = Command::new(program);
        server
            .arg(format!("--socket-path={}", socket.display()))
            .args(["-o", "source=/", "-o", "cache=auto", "-o", "sandbox=chroot"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut files = Self { server: server.spawn().ok()?, socket };
        for _ in 0..100 {
            if files.socket.exists() {
                return Some(files);
            }
            if files.server.try_wait().ok()?.is_some() {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
