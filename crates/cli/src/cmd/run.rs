//! `ringfence sandbox -- COMMAND…`: confine, execute, report. The way before confinement is kept short: nothing here may
//! be added to it that another subcommand needs.

use super::ended::{finish, start_failure};
use super::managed::{self, Managed};
use crate::args::RunArgs;
use crate::out::{Failure, notices, report};
use crate::start::{self, More};
use ringfence_model::mode::Backend;
use ringfence_model::{Confinement, OsText};
use ringfence_sandbox::{Ahead, Command, Options, Outcome, Plan, Sandbox, Signals, StartError, compile, fallback};
use std::process::ExitCode;

/// Runs the command in the sandbox that settings resolve to.
pub fn sandbox(args: &RunArgs, ahead: Option<Ahead>) -> Result<ExitCode, Failure> {
    let mut more = vec![More::Env(&args.environment)];
    more.extend(args.timeout.as_deref().map(More::Timeout));
    let ready = start::ready(&args.shared, &more)?;
    if !args.shared.json {
        notices::print(&start::notices(&ready));
    }
    let mut wish = start::confinement(&ready, args.keep_background)?;
    let mut network = match args.dry_run {
        true => None,
        false => managed::start(&ready, &mut wish, args.shared.ignore_user_config)?,
    };
    let host = ringfence_sandbox::probe::quick_for(&wish);
    let every_refusal = args.log_denials;
    let compiled = |wish: &Confinement| match compile(wish, &host, &Options::default()) {
        Ok(plan) => Ok(Plan { every_refusal, ..plan }),
        Err(error) => Err(super::plan::unenforceable(&error)),
    };
    let mut plan = compiled(&wish)?;
    if args.dry_run {
        return super::plan::show(&plan, &args.command, args.shared.json);
    }
    if fallback::needs_shared_proxy(&wish, &plan) {
        managed::share(network.as_mut(), &mut wish)?;
        plan = compiled(&wish)?;
    }
    let target = report::Target::open(args.report.as_deref())?;
    let argv: Vec<OsText> = args.command.iter().map(OsText::new).collect();
    let (plan, mut outcome) = start(plan, &mut wish, &argv, network.as_mut(), ahead)?;
    outcome.denials.extend(managed::finish(network));
    let status = finish(args, target.as_ref(), &ready, &plan, &argv, outcome)?;
    // The kernel takes everything back at once, sooner than it could be taken apart piece by piece.
    std::mem::forget((ready, wish, plan, argv));
    Ok(status)
}

/// Starts the command under `plan`; where that tier turns out not to hold here and no tier was asked for by name, under
/// those that remain.
fn start(
    plan: Plan,
    wish: &mut Confinement,
    argv: &[OsText],
    mut network: Option<&mut Managed>,
    ahead: Option<Ahead>,
) -> Result<(Plan, Outcome), Failure> {
    let (tried, every_refusal) = (plan.tier, plan.every_refusal);
    let mut failure = match spawn(plan, argv, network.as_deref(), ahead) {
        Ok(ran) => return Ok(ran),
        Err(error @ StartError::Tier { .. }) if wish.backend.value == Backend::Auto => error,
        Err(error) => return Err(start_failure(&error)),
    };
    loop {
        let shared = managed::is_shared(wish);
        let plans = match fallback::after(wish, tried) {
            Ok(plans) => plans,
            // The tier that needs the proxy to listen elsewhere isn't among them yet.
            Err(_) if network.is_some() && !shared => Vec::new(),
            Err(error) => return Err(super::plan::unenforceable(&error)),
        };
        for plan in plans {
            match spawn(Plan { every_refusal, ..plan }, argv, network.as_deref(), None) {
                Ok(ran) => return Ok(ran),
                Err(error @ StartError::Tier { .. }) => failure = error,
                Err(error) => return Err(start_failure(&error)),
            }
        }
        if network.is_none() || shared {
            return Err(start_failure(&failure));
        }
        managed::share(network.as_deref_mut(), wish)?;
    }
}

fn spawn(
    plan: Plan,
    argv: &[OsText],
    network: Option<&Managed>,
    ahead: Option<Ahead>,
) -> Result<(Plan, Outcome), StartError> {
    let sandbox = Sandbox::new(plan)?;
    let mut command = Command::new(argv.iter().cloned());
    command.signals = Signals::Forward;
    let mut running = sandbox.spawn_ahead(ahead, command, None)?;
    managed::serve(network, &mut running)?;
    let outcome = running.wait();
    Ok((sandbox.into_plan(), outcome))
}
