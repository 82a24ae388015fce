//! Limits are held, and named.

use super::harness::{Probe, Scratch, Verdict, Wish, expect};
use ringfence_model::report::{Exit, LimitKind};
use ringfence_model::units::{ByteSize, Span};
use ringfence_model::{Origin, Sourced};
use ringfence_sandbox::{Command, Stdio};
use std::time::Duration;

pub const PROBES: &[Probe] = &[
    ("dos_01_wall_clock", wall_clock),
    ("dos_01_open_files", open_files),
    ("dos_01_file_size", file_size),
    ("dos_01_processor_time", cpu_time),
    ("dos_01_memory_of_all_processes", memory),
    ("dos_01_processes", processes),
    ("dos_02_output", output),
    ("dos_02_output_in_order", output_in_order),
];

fn set<T>(value: T) -> Option<Sourced<T>> {
    Some(Sourced::new(value, Origin::builtin("probe")))
}

fn wish(scratch: &Scratch, change: impl FnOnce(&mut Wish)) -> Wish {
    let mut wish = scratch.wish();
    change(&mut wish);
    wish
}

fn wall_clock(scratch: &Scratch) -> Verdict {
    let limited = wish(scratch, |wish| wish.0.limits.wall_clock = set(Span(Duration::from_millis(300))));
    let seen = scratch.sh(limited, "trap '' TERM; sleep 60 & wait; sleep 60")?;
    expect(seen.outcome.exit == Exit::Timeout && seen.outcome.exit.status() == 124, format!("{seen:?}"))?;
    let limited = wish(scratch, |wish| wish.0.limits.wall_clock = set(Span(Duration::from_secs(60))));
    scratch.sh(limited, "exit 0")?.works()
}

fn open_files(scratch: &Scratch) -> Verdict {
    let limited = wish(scratch, |wish| wish.0.limits.open_files = set(32));
    let seen = scratch.sh(limited, "ulimit -n; ulimit -n 4096 && echo raised; exit 0")?;
    expect(seen.out == "32\n", format!("{seen:?}"))
}

fn file_size(scratch: &Scratch) -> Verdict {
    let limited = wish(scratch, |wish| wish.0.limits.file_size = set(ByteSize(64 << 10)));
    let seen = scratch.run(limited, &["/bin/dd", "if=/dev/zero", "of=big", "bs=64k", "count=4"])?;
    expect(std::fs::metadata(scratch.path("ws/big"))?.len() <= 64 << 10, "a file grew beyond the limit")?;
    expect(seen.outcome.exit == Exit::Limit(LimitKind::FileSize), format!("{seen:?}"))
}

fn cpu_time(scratch: &Scratch) -> Verdict {
    let limited = wish(scratch, |wish| wish.0.limits.cpu_time = set(Span(Duration::from_secs(1))));
    let seen = scratch.sh(limited, "while :; do :; done")?;
    expect(seen.outcome.exit == Exit::Limit(LimitKind::CpuTime), format!("{seen:?}"))
}

fn memory(scratch: &Scratch) -> Verdict {
    let limited = || wish(scratch, |wish| wish.0.limits.memory = set(ByteSize(150 << 20)));
    // `tail` keeps what has no line in it. Each stays below the limit, all together don't.
    let seen = scratch.sh(
        limited(),
        "for i in 1 2 3 4; do (head -c 60000000 /dev/zero; sleep 8) | tail > /dev/null & done; wait; echo late",
    )?;
    expect(
        seen.outcome.exit == Exit::Limit(LimitKind::Memory) && seen.outcome.exit.status() == 137,
        format!("{seen:?}"),
    )?;
    expect(!seen.out.contains("late"), "something went on")?;
    scratch.sh(limited(), "head -c 60000000 /dev/zero | tail -c 1 > /dev/null")?.works()
}

fn processes(scratch: &Scratch) -> Verdict {
    let limited = |most| wish(scratch, |wish| wish.0.limits.processes = set(most));
    let seen = scratch.sh(limited(20), "for i in $(seq 60); do sleep 3 & echo started; done")?;
    let started = seen.out.lines().count();
    expect((5..=20).contains(&started), format!("{started} were started: {seen:?}"))?;
    let named = seen.outcome.denials.iter().any(|denial| denial.rule == "limits.processes");
    expect(named, format!("{:?}", seen.outcome.denials))?;
    scratch.sh(limited(20), "for i in $(seq 100); do /bin/true; done; seq 9 | sort | tail -1")?.works()
}

fn output(scratch: &Scratch) -> Verdict {
    let limited = || wish(scratch, |wish| wish.0.limits.output = set(ByteSize(100_000)));
    let seen = scratch.sh(limited(), "yes 0123456789")?;
    expect(seen.outcome.exit == Exit::Limit(LimitKind::Output), format!("{:?}", seen.outcome))?;
    expect(seen.out.len() + seen.err.len() == 100_000, format!("{} bytes came", seen.out.len()))?;
    let seen = scratch.sh(limited(), "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2")?;
    expect(seen.out.len() + seen.err.len() == 100_000, "both streams count together")?;
    let seen = scratch.sh(limited(), "head -c 50000 /dev/zero; head -c 50000 /dev/zero >&2")?;
    seen.works()?;
    expect(seen.out.len() == 50_000 && seen.err.len() == 50_000, "what fits comes whole")
}

fn output_in_order(scratch: &Scratch) -> Verdict {
    let file = scratch.path("both");
    let limited = wish(scratch, |wish| wish.0.limits.output = set(ByteSize(100_000)));
    let sandbox = limited.sandbox()?;
    let mut command = Command::new(["/bin/sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; done"]);
    let both = std::fs::File::create(&file)?;
    command.stdout = Stdio::Descriptor(both.try_clone()?.into());
    command.stderr = Stdio::Descriptor(both.into());
    let outcome = sandbox.spawn(command, None).map_err(super::harness::unstarted)?.wait();
    expect(outcome.exit == Exit::Code(0), format!("{outcome:?}"))?;
    let text = std::fs::read_to_string(file)?;
    expect(text == "o1\ne1\no2\ne2\no3\ne3\n", format!("two streams into one file lost their order: {text}"))
}
