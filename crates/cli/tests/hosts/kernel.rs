//! Another kernel: a user-mode Linux, which runs as an ordinary program over this machine's files. What Debian packages is
//! a 6.1 without Landlock that mounts nothing on what isn't attached yet, and has control groups of version 2.

use crate::common::{Place, have, program, skip};
use std::process::{Command, Stdio};

/// What the other machine does first: file systems of its own, a delegated control group, an ordinary user with a workspace.
const BOOT: &str = r#"#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs own /mnt; mkdir -p /mnt/ws/.git/hooks /mnt/home /mnt/out; cp "$PROGRAM" /mnt/ringfence
for dir in /run /tmp /var/tmp; do mount -t tmpfs -o mode=1777 own $dir; done
ip link set lo up; echo '+memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/a /sys/fs/cgroup/b; mkfifo -m 666 /mnt/out/fifo; echo canary > /mnt/out/keep
chown -R 1000:1000 /mnt /sys/fs/cgroup/a /sys/fs/cgroup/b; cd /mnt/ws
in_group() {
    group=$1; shift
    sh -c 'echo $$ > /sys/fs/cgroup/'$group'/cgroup.procs; exec "$@"' sh $AS "$@"; echo "status=$?"
}
AS='setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/mnt/home PATH=/usr/bin:/bin'
echo "kernel=$(uname -r)"
echo '== acts'; (timeout 20 cat /mnt/out/fifo &) ; $AS /mnt/ringfence sandbox -s workspace-write -c private_tmp=true \
  -c 'deny_read=["/etc/hostname"]' -- sh -c 'echo tier=$RINGFENCE_SANDBOX; echo made > made; cat made; cat /etc/hostname; \
  echo x > .git/hooks/h; mkdir .codex; echo x > ../out/keep; echo through > ../out/fifo; ls -A . /tmp; exit 7' 2>&1; echo "status=$?"
cat /mnt/out/keep; ls -A /mnt/ws/.git/hooks
echo '== memory'; in_group a /mnt/ringfence sandbox -s workspace-write -c limits.memory=32MiB -- \
  sh -c 'head -c 64m /dev/zero | tail | wc -c' 2>&1
echo '== processes'; in_group b /mnt/ringfence sandbox -s workspace-write --log-denials -c limits.processes=8 -- \
  sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait' 2>&1
echo '== prove'; $AS /mnt/ringfence prove 2>&1 | grep -v ^held
echo '== over'; sync; poweroff -f
"#;

#[test]
fn another_kernel_without_landlock_holds_and_counts() {
    let test = "another_kernel_without_landlock_holds_and_counts";
    if !have(test, "linux.uml") || !have(test, "setpriv") {
        return;
    }
    let place = Place::new();
    place.write("boot", &BOOT.replace("$PROGRAM", &program().display().to_string()));
    let boot = place.path("boot");
    let script = Command::new("chmod").arg("755").arg(&boot).status();
    assert!(script.is_ok_and(|status| status.success()));
    let out = Command::new("timeout")
        .args(["300", "linux.uml", "mem=1024M", "root=/dev/root", "rootfstype=hostfs", "hostfs=/", "ro", "quiet"])
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("init={}", boot.display()))
        .arg(format!("uml_dir={}/", place.path("out").display()))
        .env("TMPDIR", place.path("out"))
        .stdin(Stdio::null())
        .output()
        .expect("`timeout` runs");
    let text = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    let Some((_, said)) = text.split_once("kernel=") else {
        return skip(
            test,
            &format!("the other kernel doesn't start here: {}", text.lines().last().unwrap_or_default()),
        );
    };
    let part = |name: &str| -> &str {
        let from = said.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("no {name}:\n{text}")).1;
        from.split_once("\n== ").map_or(from, |(part, _)| part)
    };
    let acts = part("acts");
    for wanted in ["tier=namespaces\n", "made\n", "status=7\n", "\ncanary", "/etc/hostname: Permission denied"] {
        assert!(acts.contains(wanted), "{wanted:?}:\n{acts}");
    }
    assert!(!acts.contains("through\n") && !acts.contains("\nh\n") && !acts.contains(".codex\n/"), "{acts}");
    let memory = part("memory");
    assert!(memory.contains("the limit on memory ended the command") && memory.contains("status=137"), "{memory}");
    let processes = part("processes");
    assert!(processes.contains("start a process more than 8: limits.processes"), "{processes}");
    assert!(part("prove").contains(" 0 broken"), "{}", part("prove"));
}
