//! Processes outside are not seen, signalled or traced; those inside can be.

use super::harness::{Failure, Probe, Scratch, Verdict, expect};
use ringfence_model::report::Exit;

pub const PROBES: &[Probe] = &[
    ("proc_01_processes_outside_are_not_seen", hidden),
    ("proc_01_processes_outside_are_not_signalled", signals),
    ("proc_01_a_signal_to_the_own_group_stays_inside", group),
    ("proc_02_own_children_can_be_traced", traced),
    ("proc_13_the_status_is_the_commands_own", status),
];

fn hidden(scratch: &Scratch) -> Verdict {
    let seen = scratch.sh(scratch.wish(), "cd /proc; for p in [0-9]*; do echo $p; done | wc -l")?;
    let count: usize = seen.out.trim().parse().unwrap_or(usize::MAX);
    expect(count <= 4, format!("{count} processes are seen inside"))?;
    let seen = scratch
        .sh(scratch.wish(), "cat /proc/1/environ /proc/1/mem /proc/1/maps; for f in /proc/1/fd/* /proc/1/cwd /proc/1/root /proc/1/exe; do readlink $f; done; exit 0")?;
    expect(seen.out.is_empty(), format!("process 1 shows {:?}", seen.out))
}

fn signals(scratch: &Scratch) -> Verdict {
    let mut victim = std::process::Command::new("/bin/sleep").arg("30").spawn()?;
    let pid = victim.id().to_string();
    scratch.sh(scratch.wish(), &format!("kill -9 {pid}; kill -9 -1; exit 0"))?;
    scratch.attack(scratch.wish(), &["signal", &pid, "9"])?;
    let alive = victim.try_wait()?.is_none();
    victim.kill()?;
    victim.wait()?;
    expect(alive, "a process outside was killed")
}

fn group(scratch: &Scratch) -> Verdict {
    // A harmless signal whose default ends a process: had it reached this process, nothing would come after.
    let seen = scratch.sh(scratch.wish(), "trap 'echo caught; exit 3' USR1; kill -USR1 0; exit 1")?;
    expect(seen.outcome.exit == Exit::Code(3), format!("{seen:?}"))
}

fn traced(scratch: &Scratch) -> Verdict {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return Err(Failure::Skipped("strace is not installed".to_owned()));
    }
    let seen = scratch.sh(scratch.wish(), "strace -f -e trace=execve -o t /bin/true && grep -q exited t")?;
    seen.works()
}

fn status(scratch: &Scratch) -> Verdict {
    for code in [0, 1, 42, 255] {
        let seen = scratch.sh(scratch.wish(), &format!("exit {code}"))?;
        expect(seen.outcome.exit == Exit::Code(code), format!("{seen:?}"))?;
    }
    let seen = scratch.sh(scratch.wish(), "kill -TERM $$")?;
    expect(seen.outcome.exit == Exit::Signal(15), format!("{seen:?}"))
}
