//! What was refused during a run, one line each: what, by which rule, and the smallest grant that would allow it.

use super::Paint;
use ringfence_model::denial::{Denial, Evidence};
use ringfence_model::report::{Exit, NotHeld};
use std::io::IsTerminal;

/// The most lines shown unasked.
const SHOWN: usize = 5;

/// After a run: on a terminal the first few denials, with `--log-denials` all; and always what wasn't held, and the limit
/// that ended the command.
///
/// Denials that aren't in the journal are shown without the names by which they would be looked up there.
pub fn after_run(exit: Option<Exit>, not_held: &[NotHeld], denials: &[Denial], all: bool, recorded: bool) {
    let paint = Paint::stderr();
    for (weakened, kind) in [(false, "not held here"), (true, "held weaker here")] {
        let gaps: Vec<&NotHeld> = not_held.iter().filter(|gap| gap.weakened == weakened).collect();
        if let Some(text) = told(&gaps) {
            eprintln!("{} {kind}: {text}", paint.warn("ringfence: notice:"));
        }
    }
    if let Some((limit, setting)) = exit.and_then(ended_by) {
        eprintln!("{} the limit on {limit} ended the command (`{setting}`)", paint.bad("ringfence:"));
    }
    if !(all || std::io::stderr().is_terminal()) {
        return;
    }
    let shown = if all { denials.len() } else { SHOWN };
    for denial in denials.iter().take(shown) {
        let text = if recorded { line(denial) } else { line(&Denial { id: String::new(), ..denial.clone() }) };
        eprintln!("{} {text}", paint.bad("ringfence: denied:"));
    }
    let more = denials.len().saturating_sub(shown);
    if more > 0 {
        let how = if recorded { "`ringfence log --denied`" } else { "`--log-denials` lists them" };
        eprintln!("ringfence: {more} more: {how}");
    }
}

/// One gap whole; of several the names, since every run says it.
fn told(gaps: &[&NotHeld]) -> Option<String> {
    match gaps {
        [] => None,
        [gap] => Some(format!("{}: {}", gap.promise, gap.why)),
        _ => {
            let mut names: Vec<String> = gaps.iter().map(|gap| gap.promise.to_string()).collect();
            names.sort();
            names.dedup();
            Some(format!("{} (`ringfence status` and `--report FILE` say why)", names.join(", ")))
        }
    }
}

/// The limit that ended a command, in words and as the setting.
fn ended_by(exit: Exit) -> Option<(&'static str, &'static str)> {
    Some(match exit {
        Exit::Code(_) | Exit::Signal(_) => return None,
        Exit::Timeout => ("time", "limits.wall_clock"),
        Exit::Limit(kind) => kind.words(),
    })
}

/// One denial as one line.
#[must_use]
pub fn line(denial: &Denial) -> String {
    let guess = if denial.evidence == Evidence::Guess { " (a guess)" } else { "" };
    let grant = match denial.allow_with.first() {
        Some(grant) => format!("; allow with {grant}"),
        None => "; nothing would allow it".to_owned(),
    };
    // What isn't recorded has no name to look it up by.
    let id = if denial.id.is_empty() { String::new() } else { format!("  ({})", denial.id) };
    format!("{} {}: {} [{}]{guess}{grant}{id}", denial.operation, denial.target.display(), denial.rule, denial.origin,)
}

/// How a denial is known, in words.
#[must_use]
pub fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Broker => "the broker's own record",
        Evidence::KernelAudit => "the kernel's audit record",
        Evidence::Proxy => "the proxy's decision",
        Evidence::Trace => "an errno on something the plan denies",
        Evidence::Guess => "the command's own output: a guess",
    }
}
