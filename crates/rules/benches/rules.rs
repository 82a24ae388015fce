//! Loading 10,000 rules, and deciding one command among them; each against a yardstick of the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::{Layer, Origin, OsText};
use ringfence_rules::{Permit, Programs, RuleFile, RuleSet};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let mut text = String::new();
    for n in 0..10_000 {
        let decision = ["allow", "prompt", "forbidden"][n % 3];
        let _ = writeln!(
            text,
            "prefix_rule(pattern = [\"tool{}\", [\"sub{n}\", \"alias{n}\"]], decision = \"{decision}\", match = [\"tool{} sub{n} x\"], justification = \"rule {n}\")",
            n / 10,
            n / 10
        );
    }
    let origin = Origin::File { file: "bench.rules".into(), line: 0, column: 0, layer: Layer::User };
    let load = || {
        let mut set = RuleSet::new();
        set.load(&RuleFile { origin: origin.clone(), text: text.as_bytes(), permit: Permit::Everything });
        assert!(set.broken().is_empty());
        set
    };
    let (loading, set) = best(10, load);
    let (reading, _) = best(10, || black_box(text.bytes().filter(|byte| *byte == b'\n').count()));
    let commands: Vec<Vec<OsText>> = (0..10_000)
        .map(|n| [format!("tool{}", n % 1_000), format!("sub{n}"), "x".into()].map(OsText::from).to_vec())
        .collect();
    let (deciding, _) =
        best(10, || commands.iter().filter(|words| set.judge(words, Programs::AtRunTime).decision.is_some()).count());
    let each = deciding / 10_000;
    println!(
        "load 10,000 rules ({} KiB): {loading:?}, {:.0} × counting its lines",
        text.len() >> 10,
        ratio(loading, reading)
    );
    println!("decide one command among them: {each:?}, {:.6} of the load", ratio(each, loading));
}

fn best<T>(times: u32, mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut held = None;
    for _ in 0..times {
        let start = Instant::now();
        let made = run();
        let took = start.elapsed();
        if held.as_ref().is_none_or(|(best, _)| took < *best) {
            held = Some((took, made));
        }
    }
    held.expect("at least one run")
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
