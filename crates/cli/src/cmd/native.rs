//! `ringfence sandbox -- COMMAND…` on systems with one tier of their own: macOS, Windows.

use super::{begin, ended, plan};
use crate::args::RunArgs;
use crate::out::{Failure, report};
use ringfence_model::OsText;
use ringfence_model::confinement::NetworkWish;
use ringfence_sandbox::{Command, Options, Sandbox, Signals, compile, probe};
use std::process::ExitCode;

/// Runs the command in the sandbox that settings resolve to.
pub fn sandbox(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (ready, wish) = begin(args)?;
    if matches!(wish.network.value, NetworkWish::Proxy { .. }) && !args.dry_run {
        return Err(Failure::new("the managed network isn't there on this system yet")
            .origin(wish.network.origin)
            .hint("`-c features.network_proxy=false` runs without network"));
    }
    let plan =
        compile(&wish, &probe::survey().facts, &Options::default()).map_err(|error| plan::unenforceable(&error))?;
    if args.dry_run {
        return plan::show(&plan, &args.command, args.shared.json);
    }
    let target = report::Target::open(args.report.as_deref(), wish.roots.iter().map(|root| &root.path))?;
    let argv: Vec<OsText> = args.command.iter().map(OsText::new).collect();
    let sandbox = Sandbox::new(plan).map_err(|error| ended::start_failure(&error))?;
    let mut command = Command::new(argv.iter().cloned());
    command.signals = Signals::Forward;
    let outcome = sandbox.run(command).map_err(|error| ended::start_failure(&error))?;
    ended::finish(args, target.as_ref(), &ready, sandbox.plan(), &argv, outcome)
}
