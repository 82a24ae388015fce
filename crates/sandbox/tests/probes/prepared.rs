//! A prepared sandbox runs many commands, each alone.

use super::harness::{Probe, Scratch, Verdict, expect, unstarted};
use ringfence_model::report::Exit;
use ringfence_sandbox::{Command, Stdio};
use std::io::Read;

pub const PROBES: &[Probe] = &[
    ("prepared_commands_do_not_see_each_other", alone),
    ("prepared_is_confined_the_same", confined),
    ("prepared_many_at_once", many),
];

fn alone(scratch: &Scratch) -> Verdict {
    let prepared = scratch.wish().sandbox()?.prepare().map_err(unstarted)?;
    let first = prepared.spawn(Command::new(["/bin/sleep", "60"]), None).map_err(unstarted)?;
    let mut command = Command::new(["/bin/sh", "-c", "cd /proc; echo [0-9]*; kill -9 -1; cat /proc/1/environ; exit 5"]);
    (command.stdout, command.stderr) = (Stdio::Piped, Stdio::Null);
    let mut second = prepared.spawn(command, None).map_err(unstarted)?;
    let mut text = String::new();
    if let Some(mut out) = second.pipes().stdout.take() {
        out.read_to_string(&mut text)?;
    }
    let outcome = second.wait();
    expect(text.split_whitespace().count() <= 2, format!("processes: {text}"))?;
    expect(outcome.exit == Exit::Code(5) || outcome.exit == Exit::Signal(9), format!("{outcome:?}"))?;
    first.signal(15);
    expect(first.wait().exit == Exit::Signal(15), "the first command was not left alone")
}

fn confined(scratch: &Scratch) -> Verdict {
    let prepared = scratch.wish().sandbox()?.prepare().map_err(unstarted)?;
    let out = scratch.path("out").display().to_string();
    for round in 0..3 {
        let script = format!(
            "echo x >{out}/keep; echo x >{out}/new; echo x >.git/hooks/h; echo x >>f; grep -q '^Seccomp:.2' /proc/self/status"
        );
        let mut command = Command::new(["/bin/sh", "-c", script.as_str()]);
        command.stderr = Stdio::Null;
        let outcome = prepared.spawn(command, None).map_err(unstarted)?.wait();
        expect(outcome.exit == Exit::Code(0), format!("round {round}: {outcome:?}"))?;
    }
    scratch.outside_is_intact()?;
    expect(std::fs::read(scratch.path("ws/f"))? == b"x\nx\nx\n", "the workspace was not written")
}

fn many(scratch: &Scratch) -> Verdict {
    let prepared = scratch.wish().sandbox()?.prepare().map_err(unstarted)?;
    let results: Vec<Verdict> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number: i32| {
                let prepared = &prepared;
                scope.spawn(move || -> Verdict {
                    for _ in 0..5 {
                        let script = format!("exit {number}");
                        let command = Command::new(["/bin/sh", "-c", script.as_str()]);
                        let outcome = prepared.spawn(command, None).map_err(unstarted)?.wait();
                        expect(outcome.exit == Exit::Code(number), format!("{outcome:?}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).collect()
    });
    results.into_iter().collect()
}
