//! What isn't there or can't be held is said before anything runs.

use super::harness::{Failure, Probe, Scratch, Verdict, expect};
use ringfence_sandbox::{Command, StartError, StepResult};

pub const PROBES: &[Probe] = &[
    ("start_a_missing_program_is_127", missing),
    ("start_a_file_that_is_no_program_is_126", not_executable),
    ("start_a_script_without_a_first_line_runs", script),
    ("start_every_step_is_accounted_for", accounted),
    ("start_in_a_directory_of_somebody_else", somebody_else),
    ("start_a_program_that_was_just_written_runs", just_written),
];

fn error(scratch: &Scratch, argv: &[&str]) -> Result<StartError, Failure> {
    let sandbox = scratch.wish().sandbox()?;
    match sandbox.spawn(Command::new(argv.iter().map(|word| ringfence_model::OsText::new(*word))), None) {
        Ok(running) => Err(Failure::Broken(format!("it ran: {:?}", running.wait()))),
        Err(error @ StartError::Tier { .. }) => Err(super::harness::unstarted(error)),
        Err(error) => Ok(error),
    }
}

/// Whoever made the file for the command has let go of it by the time the command runs it.
fn just_written(scratch: &Scratch) -> Verdict {
    let script = "for n in $(seq 100); do cp /bin/true new$n && ./new$n || exit 1; done";
    scratch.sh(scratch.wish(), script)?.works()
}

fn missing(scratch: &Scratch) -> Verdict {
    expect(error(scratch, &["no-such-program-anywhere"])?.status() == 127, "by name")?;
    expect(error(scratch, &["./nothing"])?.status() == 127, "by path")
}

fn not_executable(scratch: &Scratch) -> Verdict {
    std::fs::write(scratch.path("ws/text"), "text\n")?;
    expect(error(scratch, &["./text"])?.status() == 126, "a file without the bit")?;
    expect(error(scratch, &["./src"])?.status() == 126, "a directory")
}

fn script(scratch: &Scratch) -> Verdict {
    scratch.sh(scratch.wish(), "echo 'test \"$1\" = a' >s; chmod 755 s")?.works()?;
    scratch.run(scratch.wish(), &["./s", "a"])?.works()
}

fn accounted(scratch: &Scratch) -> Verdict {
    let sandbox = scratch.wish().sandbox()?;
    let steps = sandbox.plan().steps.len();
    let running = sandbox.spawn(Command::new(["/bin/true"]), None).map_err(super::harness::unstarted)?;
    let outcome = running.wait();
    expect(outcome.enforced.len() == steps, "a step was passed over")?;
    for enforced in &outcome.enforced {
        if let StepResult::Weakened { how: why, .. } | StepResult::Absent { why, .. } = &enforced.result {
            expect(!why.is_empty(), format!("{enforced:?}"))?;
        }
    }
    Ok(())
}

fn somebody_else(scratch: &Scratch) -> Verdict {
    let mut wish = scratch.wish().read_only();
    wish.0.cwd = ringfence_model::AbsPath::new("/usr").expect("absolute");
    scratch.sh(wish, "test \"$(pwd)\" = /usr && ls >/dev/null")?.works()
}
