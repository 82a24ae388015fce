//! Limits are held, and named.

use super::harness::{Probe, Scratch, Verdict, Wish, expect};
use ringfence_model::report::{Exit, LimitKind};
use ringfence_model::units::{ByteSize, Span};
use ringfence_model::{Origin, Sourced};
use std::time::Duration;

pub const PROBES: &[Probe] = &[
    ("dos_01_wall_clock", wall_clock),
    ("dos_01_open_files", open_files),
    ("dos_01_file_size", file_size),
    ("dos_01_processor_time", cpu_time),
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
