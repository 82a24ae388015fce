//! `ringfence sandbox -- COMMAND…`: confine, execute, report. The way before confinement is kept short: nothing here may
//! be added to it that another subcommand needs.

use super::ended::{finish, start_failure};
use super::{begin, managed, plan};
use crate::args::RunArgs;
use crate::out::{Failure, report};
use ringfence_model::OsText;
use ringfence_sandbox::fallback::{Failed, Share, Wishes};
use ringfence_sandbox::{Ahead, Command, Signals};
use std::cell::RefCell;
use std::process::ExitCode;

/// Runs the command in the sandbox that settings resolve to.
pub fn sandbox(args: &RunArgs, mut ahead: Option<Ahead>) -> Result<ExitCode, Failure> {
    let (ready, mut wish) = begin(args)?;
    let network = match args.dry_run {
        true => None,
        false => managed::start(&ready, &mut wish, args.shared.ignore_user_config)?,
    };
    let has_network = network.is_some();
    let network = RefCell::new(network);
    let share = || managed::share(network.borrow_mut().as_mut(), &wish);
    let wishes = Wishes { own: &wish, shared: has_network.then_some(&share as &Share<'_, _>) };
    let mut plan = wishes.plan().map_err(failure)?;
    plan.every_refusal = args.log_denials;
    if args.dry_run {
        return plan::show(&plan, &args.command, args.shared.json);
    }
    let target = report::Target::open(args.report.as_deref(), wish.roots.iter().map(|root| &root.path))?;
    let argv: Vec<OsText> = args.command.iter().map(OsText::new).collect();
    let mut command = Command::new(argv.iter().cloned());
    command.signals = Signals::Forward;
    command.voucher = managed::voucher(network.borrow().as_ref());
    let started = wishes.start(plan, command, |sandbox, command| {
        let mut running = sandbox.spawn_ahead(ahead.take(), command, None)?;
        managed::serve(network.borrow().as_ref(), &mut running)?;
        Ok(running.wait())
    });
    let (plan, mut outcome) = started.map_err(failure)?;
    outcome.denials.extend(managed::finish(network.into_inner()));
    let status = finish(args, target.as_ref(), &ready, &plan, &argv, outcome)?;
    // The kernel takes everything back at once, sooner than it could be taken apart piece by piece.
    std::mem::forget((ready, wish, plan, argv));
    Ok(status)
}

fn failure(failed: Failed<Failure>) -> Failure {
    match failed {
        Failed::Unenforceable(error) => plan::unenforceable(&error),
        Failed::Start(error) => start_failure(&error),
        Failed::Share(failure) => failure,
    }
}
