//! Reading hostile and honest scripts, each against counting the bytes of the same script in the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::OsText;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    for (name, script) in [
        ("an honest line", "cd sub && ls -la | head -3 && grep -rn 'a;b' src 2>/dev/null".to_owned()),
        ("1 MiB of words", "a ".repeat(1 << 19)),
        ("100,000 open brackets", "(".repeat(100_000)),
        ("100,000 substitutions", "$(".repeat(100_000)),
        ("100,000 backticks", "`".repeat(100_000)),
        ("an open quote", "'".repeat(99_999)),
        ("50,000 open cases", "case x in ".repeat(50_000)),
        ("10,000 here-documents", "<<A <<B ".repeat(5_000)),
        ("16 KiB of commands", "true;".repeat(3_200)),
        ("1 MiB of commands", "true;".repeat(200_000)),
        ("10,000 times eval", "eval ".repeat(10_000)),
    ] {
        let argv = ["bash", "-c", &script].map(OsText::from);
        let reading = best(|| black_box(ringfence_shell::read(&argv)));
        let counting = best(|| black_box(script.bytes().filter(|byte| *byte == b';').count()));
        println!(
            "{name}: {reading:?}, {:.0} × counting its bytes",
            reading.as_secs_f64() / counting.as_secs_f64().max(1e-9)
        );
    }
}

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            let made = run();
            let took = start.elapsed();
            drop(made);
            took
        })
        .min()
        .unwrap_or_default()
}
