//! Nothing outlives the command, nothing outlives the supervisor, and nothing keeps the supervisor.

use super::harness::{Probe, Scratch, Verdict, expect};
use ringfence_model::report::Exit;
use std::time::{Duration, Instant};

pub const PROBES: &[Probe] = &[
    ("proc_03_daemons_end_with_the_command", daemons),
    ("proc_03_daemons_go_on_where_they_may_and_the_run_with_them", kept),
    ("proc_04_everything_ends_with_the_supervisor", supervisor),
    ("proc_05_a_grandchild_with_the_pipe_does_not_keep_the_supervisor", pipe),
];

/// Whether a process whose command line has this mark is there. Its end may take a moment to be seen.
fn lives(mark: &str) -> bool {
    let found = || {
        std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok).any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| {
                String::from_utf8_lossy(&line).contains(mark)
                    && entry.file_name().to_string_lossy() != std::process::id().to_string()
            })
        })
    };
    (0..100).all(|_| {
        std::thread::sleep(Duration::from_millis(10));
        found()
    })
}

fn daemons(scratch: &Scratch) -> Verdict {
    // An interval that nothing else sleeps.
    let mark = format!("4{:07}", std::process::id());
    let script = format!(
        "(sleep {mark} &) ; setsid sleep {mark} >/dev/null 2>&1 & nohup sleep {mark} >/dev/null 2>&1 & \
         (trap '' TERM HUP INT; exec sleep {mark}) & (sh -c 'kill -STOP $$; sleep {mark}') & sleep 0.1; exit 0"
    );
    scratch.sh(scratch.wish(), &script)?;
    expect(!lives(&mark), "a process outlived the command")
}

fn kept(scratch: &Scratch) -> Verdict {
    let script = "(sleep 0.4; echo x >later; echo x >../out/later) >/dev/null 2>&1 & echo now; exit 3";
    let seen = scratch.sh(scratch.wish(), script)?;
    std::thread::sleep(Duration::from_millis(800));
    expect(!scratch.path("ws/later").exists(), "it went on unasked")?;
    expect(seen.out == "now\n", format!("{seen:?}"))?;
    let seen = scratch.sh(scratch.wish().keep_background(), script)?;
    expect(scratch.path("ws/later").exists(), format!("it did not go on: {seen:?}"))?;
    expect(seen.outcome.exit == Exit::Code(3), format!("{:?}", seen.outcome.exit))?;
    scratch.outside_is_intact()
}

fn supervisor(scratch: &Scratch) -> Verdict {
    let mark = format!("5{:07}", std::process::id());
    let me = std::env::current_exe()?;
    let workspace = scratch.path("");
    let mut child =
        std::process::Command::new(me).arg("--attack").arg("supervise").arg(&workspace).arg(&mark).spawn()?;
    let started = Instant::now();
    while !scratch.path("ws/up").exists() && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let up = scratch.path("ws/up").exists();
    child.kill()?;
    let ended = child.wait()?;
    if !up {
        return Err(super::harness::Failure::Skipped(format!("the supervisor did not start: {ended}")));
    }
    expect(!lives(&mark), "a process outlived the supervisor")
}

fn pipe(scratch: &Scratch) -> Verdict {
    let sandbox = scratch.wish().sandbox()?;
    let mut command = ringfence_sandbox::Command::new(["/bin/sh", "-c", "sleep 60 & exit 7"]);
    command.stdout = ringfence_sandbox::Stdio::Piped;
    let running = sandbox.spawn(command, None).map_err(super::harness::unstarted)?;
    let began = Instant::now();
    let outcome = running.wait();
    expect(outcome.exit == Exit::Code(7), format!("{outcome:?}"))?;
    expect(began.elapsed() < Duration::from_secs(30), "the status came only with the grandchild's end")
}
