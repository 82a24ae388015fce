//! `ringfence run -- COMMAND…` and `ringfence explain`: one command decided about as an agent's is, then run and
//! recorded, or only explained.

use super::{ask, session};
use crate::args::decide::{DecideArgs, ExplainArgs};
use crate::out::{Failure, Paint, denials, json, notices, report, table};
use crate::start::{self, More};
use ringfence::{Flow, Opening, PerformError, RunError, Session, Streams};
use ringfence_model::report::{Report, SCHEMA};
use ringfence_model::{OsText, Verdict, text};
use ringfence_policy::explain::{Explained, Explanation};
use ringfence_sandbox::Signals;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Decides, asks if need be, runs and reports.
pub fn run(args: &DecideArgs) -> Result<ExitCode, Failure> {
    let run = &args.run;
    let mut more = vec![More::Env(&run.environment), More::Answers(&args.answers)];
    more.extend(run.timeout.as_deref().map(More::Timeout));
    let mut ready = start::ready(&run.shared, &more)?;
    if ask::is_person(&args.answers, &run.shared) {
        ready = super::trust::ask_first(ready, || start::ready(&run.shared, &more))?;
    }
    let opening = Opening {
        session: args.session.clone(),
        agent: args.agent.clone(),
        keep_background: run.keep_background,
        every_refusal: run.log_denials,
        approver: ask::terminal(),
        front_end: ask::front_end(&args.answers, &ready.resolved.settings)?,
        ..Opening::default()
    };
    let session = session::open(&run.shared, ready, opening)?;
    if !run.shared.json {
        notices::print(session.notices());
    }
    let action = session::action(&session, &run.command, &args.wish)?;
    if run.dry_run {
        explain_to(&session, &run.command, &action, run.shared.json)?;
        return super::dry_run(run);
    }
    let roots = session.world().roots.iter().filter_map(|root| root.resolved.as_ref()).map(|(path, _)| path);
    let target = report::Target::open(run.report.as_deref(), roots)?;
    let streams = streams(ask::takes_stdio(&args.answers))?;
    let flow = || Flow { streams: streams(), ..Flow::default() };
    let report = match session.run(action, flow) {
        Ok(report) => report,
        Err(error) => return refused(args, target.as_ref(), &session, &error),
    };
    if let Some(problem) = session.journal_problem() {
        eprintln!("{} the journal isn't written: {problem}", Paint::stderr().warn("ringfence: notice:"));
    }
    if !give(args, target.as_ref(), &report)? {
        let recorded = session.settings().history.persist.value && session.journal_problem().is_none();
        denials::after_run(report.exit, &report.not_held, &report.denials, run.log_denials, recorded);
        notices::print(&session.leftovers());
    }
    drop(session);
    let status = report.exit.map_or(ringfence_model::report::status::FAILED, |exit| exit.status());
    Ok(super::ended::as_ours(report.exit, status))
}

/// Writes and prints a report where it is asked for. Whether it was printed, in the place of text.
fn give(args: &DecideArgs, target: Option<&report::Target>, report: &Report) -> Result<bool, Failure> {
    if let Some(target) = target {
        target.write(report)?;
    }
    if ask::takes_stdio(&args.answers) {
        report::print_to(&mut std::io::stdout().lock(), report)?;
    } else if args.run.shared.json {
        report::print(report)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// The streams of the command: ours, or where questions go over ours, nothing to read, and standard error for what it
/// writes.
#[cfg(unix)]
fn streams(taken: bool) -> Result<impl Fn() -> Streams, Failure> {
    use ringfence_sandbox::Stdio;
    use std::os::fd::AsFd;

    let error = || std::io::stderr().as_fd().try_clone_to_owned();
    // Looked at once before anything runs, so that a later copy can hardly fail.
    if taken {
        drop(error().map_err(|error| Failure::new("standard error can't be used").cause(error.to_string()))?);
    }
    Ok(move || {
        let mut streams = Streams { signals: Signals::Forward, ..Streams::default() };
        if taken {
            streams.stdin = Stdio::Null;
            streams.stdout = error().map_or(Stdio::Null, Stdio::Descriptor);
        }
        streams
    })
}

/// The streams of the command, which are ours.
#[cfg(not(unix))]
fn streams(taken: bool) -> Result<impl Fn() -> Streams, Failure> {
    if taken {
        return Err(Failure::new("questions over the standard streams aren't there on this system yet"));
    }
    Ok(|| Streams { signals: Signals::Forward, ..Streams::default() })
}

/// A command that didn't run: the reason as text, or as a report for programs.
fn refused(
    args: &DecideArgs,
    target: Option<&report::Target>,
    session: &Session,
    error: &RunError,
) -> Result<ExitCode, Failure> {
    let failure = session::run_failure(error);
    let reasons = match error {
        RunError::Authorize(error) => error.reasons().to_vec(),
        _ => Vec::new(),
    };
    let verdict = match error {
        RunError::Authorize(ringfence::AuthorizeError::Refused(_)) => "refuse",
        RunError::Authorize(_) | RunError::Perform(PerformError::Ended { .. }) => "ask-refused",
        _ => "not-started",
    };
    let report = Report {
        schema: SCHEMA.to_owned(),
        command: args.run.command.iter().map(OsText::new).collect(),
        cwd: session.cwd().clone(),
        verdict: verdict.to_owned(),
        reasons,
        plan_id: String::new(),
        tier: None,
        exit: None,
        duration_ms: 0,
        denials: Vec::new(),
        not_held: Vec::new(),
        grants_used: Vec::new(),
    };
    match give(args, target, &report)? {
        true => Ok(ExitCode::from(failure.exit_status())),
        false => Err(failure),
    }
}

/// Explains what would happen; nothing runs and nobody is asked.
pub fn explain(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let opening = Opening { sink: Some(super::ask::no_journal()), ..Opening::default() };
    let session = session::open(&args.shared, start::ready(&args.shared, &[])?, opening)?;
    if !args.shared.json {
        notices::print(session.notices());
    }
    let action = session::action(&session, &args.command, &args.wish)?;
    explain_to(&session, &args.command, &action, args.shared.json)?;
    Ok(ExitCode::SUCCESS)
}

fn explain_to(
    session: &Session,
    command: &[OsString],
    action: &ringfence_model::Action,
    as_json: bool,
) -> Result<(), Failure> {
    let ringfence_model::Action::Exec(exec) = action else { return Err(Failure::new("only commands are explained")) };
    let explanation = session.explain(exec);
    if as_json {
        let mut document = serde_json::to_value(&explanation).map_err(|error| Failure::from_error(&error))?;
        if let Some(object) = document.as_object_mut() {
            object.insert("schema".into(), "ringfence.dev/v1/explain".into());
            let command: Vec<OsText> = command.iter().map(OsText::new).collect();
            object.insert("command".into(), serde_json::to_value(command).unwrap_or_default());
        }
        return json::print(&document).map(drop);
    }
    json::text_out(render(&explanation, action, Paint::stdout()).trim_end());
    Ok(())
}

fn render(explanation: &Explanation, action: &ringfence_model::Action, paint: Paint) -> String {
    let mut out = String::new();
    let verdict = match &explanation.decision.verdict {
        Verdict::Run(run) => paint.good(&format!("runs {}", place(&run.placement))),
        Verdict::Ask(_) => paint.warn("asks first"),
        Verdict::Refuse(_) => paint.bad("is refused"),
    };
    let _ = writeln!(out, "{} {verdict}", action.display());
    for reason in &explanation.decision.reasons {
        let _ = writeln!(out, "  {} [{}] ({})", reason.text, reason.source, reason.kind);
        for change in &reason.would_change {
            let _ = writeln!(out, "    would change it: {change}");
        }
    }
    if !explanation.opaque.is_empty() {
        let _ = writeln!(out, "\njudged as one command, since it has {}", explanation.opaque.join(", "));
    }
    let _ = writeln!(out, "\n{}", paint.bold("commands"));
    explanation.commands.iter().for_each(|command| one(command, &mut out));
    if !explanation.inner.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("seen inside (for rules that prompt or forbid, and for danger)"));
        explanation.inner.iter().for_each(|command| one(command, &mut out));
    }
    let row = &explanation.row;
    let _ = writeln!(out, "\n{}", paint.bold("policy"));
    let mut rows = vec![vec![format!("{} under {}", row.mode, row.policy), word(&row.row), word(&row.cell)]];
    rows.extend(row.others.iter().map(|(policy, cell)| vec![format!("under {policy}"), String::new(), word(cell)]));
    out.push_str(&table::columns(&rows, "  "));
    out
}

fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.replace('-', " "),
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn place(placement: &ringfence_model::action::Placement) -> &'static str {
    use ringfence_model::action::Placement;
    match placement {
        Placement::Inside => "in the sandbox",
        Placement::With(_) => "in the sandbox, with more",
        Placement::Outside => "outside the sandbox",
    }
}

fn one(command: &Explained, out: &mut String) {
    let class = command.class.unwrap_or("seen");
    let why = command.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let at = command.word.as_deref().map(|word| format!(" (`{}`)", text::escape(word))).unwrap_or_default();
    let _ = writeln!(out, "  {}  {class}{why}{at}", command.command);
    if !command.through.is_empty() {
        let _ = writeln!(out, "    seen through {}", command.through.join(", "));
    }
    for rule in &command.rules {
        let justification =
            rule.justification.as_deref().map(|text| format!(": {}", text::escape(text))).unwrap_or_default();
        let matched: Vec<_> = rule.matched.iter().map(|word| text::escape(word)).collect();
        let _ = writeln!(out, "    rule {} `{}`{justification}  [{}]", rule.decision, matched.join(" "), rule.origin);
    }
}
