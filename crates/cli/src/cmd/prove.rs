//! `ringfence prove`: attacks the sandbox under the user's present settings; exit status 1 if anything got through.

use crate::args::ProveArgs;
use crate::out::{Failure, Paint, json, notices, table};
use crate::prove::{Launcher, Promised, Row, Stage, State, run};
use crate::start::{self, Ready};
use ringfence_model::confinement::PathPattern;
use ringfence_model::mode::{SandboxMode, Tier};
use ringfence_model::{AbsPath, Confinement};
use ringfence_sandbox::plan::{Act, Plan, Promise, Shortfall};
use ringfence_sandbox::{Options, compile};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    tier: Tier,
    mode: SandboxMode,
    held: usize,
    broken: usize,
    skipped: usize,
    no_verdict: usize,
    acts: Vec<Shown<'a>>,
    not_held: &'a [Shortfall],
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    row: &'a Row,
    /// What the plan holds that promise with.
    held_by: Vec<&'static str>,
}

/// Runs the proof.
pub fn main(args: &ProveArgs) -> Result<ExitCode, Failure> {
    crate::prove::check(&args.only)?;
    let ready = start::ready(&args.shared, &[])?;
    let wish = start::confinement(&ready, /* keep background */ false)?;
    if wish.mode.value == SandboxMode::DangerFullAccess {
        return Err(Failure::new("there is nothing to prove: `danger-full-access` confines nothing")
            .origin(wish.mode.origin)
            .hint("add `--sandbox workspace-write`"));
    }
    let host = ringfence_sandbox::probe::survey().facts;
    let plan = compile(&wish, &host, &Options::default()).map_err(|error| super::plan::unenforceable(&error))?;
    let program =
        std::env::current_exe().map_err(|error| Failure::from_error(&error).cause("this program's own path"))?;
    let (place, secret) = (place(&ready, &wish)?, secret()?);
    let mut stage = Stage::set(&place, &program, &secret, denied(&wish)).map_err(|error| {
        Failure::from_error(&error).cause(format!("canaries can't be set up in {}", place.display()))
    })?;
    let promised = promised(&wish);
    let launcher = Launcher { program, flags: args.shared.to_args() };
    let paint = Paint::stdout();
    if !args.shared.json {
        notices::print(&start::notices(&ready));
        json::text_out(&format!("attacking the `{}` tier, {}  [{}]\n", plan.tier, wish.mode.value, wish.mode.origin));
    }
    let rows = run(&launcher, &mut stage, &promised, &args.only, |row| {
        if !args.shared.json {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(line(row, &plan, paint).as_bytes()).and_then(|()| out.flush());
        }
    })?;
    let count = |wanted: fn(&State) -> bool| rows.iter().filter(|row| wanted(&row.state)).count();
    let held = count(|state| matches!(state, State::Held { .. }));
    let broken = count(|state| matches!(state, State::Broken { .. }));
    let skipped = count(|state| matches!(state, State::Skipped { .. }));
    let no_verdict = count(|state| matches!(state, State::NoVerdict { .. }));
    if args.shared.json {
        json::print(&Document {
            schema: "ringfence.dev/v1/prove",
            version: env!("CARGO_PKG_VERSION"),
            tier: plan.tier,
            mode: wish.mode.value,
            held,
            broken,
            skipped,
            no_verdict,
            acts: rows.iter().map(|row| Shown { row, held_by: held_by(&plan, row.promise) }).collect(),
            not_held: &plan.not_held,
        })?;
    } else {
        json::text_out(&summary(&rows, &plan, [held, broken, skipped, no_verdict], paint));
    }
    Ok(ExitCode::from(u8::from(broken > 0 || no_verdict > 0)))
}

fn line(row: &Row, plan: &Plan, paint: Paint) -> String {
    let (word, how) = match &row.state {
        State::Held { how } => (paint.good("held  "), how.clone()),
        State::Broken { seen } => (paint.bad("BROKEN"), seen.clone()),
        State::Skipped { why } => (paint.faint("-     "), why.clone()),
        State::NoVerdict { why } => (paint.warn("?     "), why.clone()),
    };
    let by = match &row.state {
        State::Held { .. } => held_by(plan, row.promise).join(", "),
        _ => String::new(),
    };
    let by = if by.is_empty() { String::new() } else { format!("  [{by}]") };
    format!("{word}  {:<20} {}: {how}{by}\n", row.promise.name(), row.act)
}

fn summary(rows: &[Row], plan: &Plan, counts: [usize; 4], paint: Paint) -> String {
    let [held, broken, skipped, no_verdict] = counts;
    let mut out = String::new();
    let through: Vec<Vec<String>> = rows
        .iter()
        .filter_map(|row| match &row.state {
            State::Broken { seen } => Some(vec![row.promise.name().to_owned(), row.name.to_owned(), seen.clone()]),
            _ => None,
        })
        .collect();
    if !through.is_empty() {
        out.push_str(&format!("\n{}\n{}", paint.bad("got through"), table::columns(&through, "  ")));
    }
    for gap in &plan.not_held {
        let kind = if gap.weakened { "held weaker here" } else { "not held here" };
        out.push_str(&format!("\n{}: {}: {}: {}", paint.warn(kind), gap.promise, gap.what, gap.why));
    }
    out.push_str(&format!("\n{held} held, {broken} broken, {skipped} not promised, {no_verdict} without a verdict"));
    out
}

/// What the plan holds a promise with, in words.
fn held_by(plan: &Plan, promise: Promise) -> Vec<&'static str> {
    let own = steps_of(plan, promise);
    if !own.is_empty() {
        return own;
    }
    // Some promises rest on steps that serve another one first.
    let Some((_, others)) = RESTS_ON.iter().find(|(name, _)| *name == promise) else { return own };
    let words: BTreeSet<_> = others.iter().flat_map(|other| steps_of(plan, *other)).collect();
    words.into_iter().collect()
}

/// Promises without a step of their own, and those whose steps hold them too.
const RESTS_ON: &[(Promise, &[Promise])] = &[
    (Promise::NetworkOff, &[Promise::Processes]),
    (Promise::Ipc, &[Promise::Processes]),
    (Promise::NoSetuid, &[Promise::KernelSurface]),
    (Promise::Keyring, &[Promise::KernelSurface]),
    (Promise::Terminal, &[Promise::KernelSurface]),
];

fn steps_of(plan: &Plan, promise: Promise) -> Vec<&'static str> {
    let words: BTreeSet<&'static str> = plan
        .steps
        .iter()
        .filter(|step| step.promise == promise)
        .filter_map(|step| {
            Some(match &step.act {
                Act::Namespaces { .. } => "namespaces",
                Act::ReadOnlyTree | Act::ReadOnlyPath { .. } => "read-only mounts",
                Act::Pin { .. } => "pinned directories",
                Act::Mask { .. } => "masks",
                Act::OwnProc { .. } => "own /proc",
                Act::OwnDev { .. } => "own /dev",
                Act::OwnDirectory { .. } => "own directories",
                Act::Landlock { .. } | Act::LandlockRule { .. } => "Landlock",
                Act::Seccomp { .. } => "seccomp",
                Act::DropPrivileges => "no capabilities",
                Act::CloseDescriptors => "closed descriptors",
                Act::Environment { .. } => "filtered environment",
                Act::Broker(_) => "the broker",
                Act::DieWithSupervisor => "death signal and pid namespace",
                Act::KillLeftovers => "the end of its first process",
                Act::Limit { .. } => "limits",
                _ => return None,
            })
        })
        .collect();
    words.into_iter().collect()
}

fn promised(wish: &Confinement) -> Promised {
    Promised {
        mode: wish.mode.clone(),
        network: wish.network.clone(),
        sockets: wish.unix_sockets.clone(),
        // The proof sets a variable of this name; whether such names pass shows on any that is there, and by default
        // on none.
        secrets_dropped: !wish.environment.iter().any(|variable| {
            variable.name.as_str().is_some_and(|name| name.contains("SECRET") || name.contains("TOKEN"))
                && !variable.origin.is_explicit()
        }),
    }
}

/// An exact path that settings deny and that exists.
fn denied(wish: &Confinement) -> Option<PathBuf> {
    wish.reads.denied.iter().find_map(|denied| match &denied.pattern {
        PathPattern::Path(path) => path.as_path().exists().then(|| path.as_path().to_path_buf()),
        PathPattern::Glob(_) => None,
    })
}

/// A directory that is no writable root and where canaries may be laid.
fn place(ready: &Ready, wish: &Confinement) -> Result<PathBuf, Failure> {
    let home = ready.start.home.iter().map(|home| home.as_path().to_path_buf());
    let candidates: Vec<PathBuf> = std::iter::once(PathBuf::from("/var/tmp")).chain(home).collect();
    let outside = |path: &Path| {
        let Ok(real) = std::fs::canonicalize(path).and_then(|real| AbsPath::new(real).map_err(std::io::Error::other))
        else {
            return false;
        };
        !wish.roots.iter().any(|root| real.is_within(&root.path))
    };
    candidates.iter().find(|path| outside(path) && writable(path)).cloned().ok_or_else(|| {
        Failure::new("there is no place for canaries outside the writable roots")
            .hint("`/var/tmp` or your home must be writable for you and no writable root")
    })
}

fn writable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_dir() && !meta.permissions().readonly())
}

/// Sixteen random letters: the canaries' name and what must not leak.
fn secret() -> Result<String, Failure> {
    use std::io::Read;
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Failure::from_error(&error).cause("/dev/urandom"))?;
    Ok(bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect())
}
