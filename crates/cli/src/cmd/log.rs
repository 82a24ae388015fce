//! `ringfence log` and `ringfence why`: what the journal holds.

use crate::args::WhyArgs;
use crate::args::log::LogArgs;
use crate::out::{Failure, Paint, denials, json};
use crate::start;
use ringfence_audit::reader::{self, Entry, Filter, Follow};
use ringfence_model::event::What;
use ringfence_model::report::Exit;
use ringfence_model::text;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints events.
pub fn main(args: &LogArgs) -> Result<ExitCode, Failure> {
    let directory = directory()?;
    let failed = |error: std::io::Error| unreadable(&error, &directory);
    if args.verify {
        return verify(&directory);
    }
    let filter =
        Filter { denied: args.denied, network: args.network, session: args.session.clone(), ..Filter::default() };
    let mut kept: VecDeque<Entry> = VecDeque::new();
    reader::each(&directory, &filter, |entry| {
        if args.last != 0 && kept.len() == args.last {
            kept.pop_front();
        }
        kept.push_back(entry);
    })
    .map_err(failed)?;
    let paint = Paint::stdout();
    let show = |entry: &Entry| json::text_out(&line(entry, args.json, paint));
    kept.iter().for_each(show);
    if args.follow {
        reader::follow(&directory, &filter, |entry| {
            if let Some(entry) = &entry {
                show(entry);
            }
            if json::gone() { Follow::Stop } else { Follow::On }
        })
        .map_err(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains one denial.
pub fn why(args: &WhyArgs) -> Result<ExitCode, Failure> {
    let directory = directory()?;
    let failed = |error: std::io::Error| unreadable(&error, &directory);
    let id = match &args.id {
        Some(id) => id.clone(),
        None => latest(&directory).map_err(failed)?.ok_or_else(|| Failure::new("nothing was denied so far"))?,
    };
    let Some((denial, entries)) = reader::why(&directory, &id).map_err(failed)? else {
        return Err(Failure::new(format!("there is no denial `{}` in the journal", text::escape(&id)))
            .hint("`ringfence log --denied` lists them"));
    };
    if args.json {
        let mut document = serde_json::to_value(&denial).map_err(|error| Failure::from_error(&error))?;
        if let Some(object) = document.as_object_mut() {
            object.insert("schema".into(), "ringfence.dev/v1/denial".into());
        }
        return json::print(&document);
    }
    let mut out = format!("{} {}\n", denial.operation, denial.target.display());
    out.push_str(&format!("  refused by  {}  [{}]\n", denial.rule, denial.origin));
    out.push_str(&format!("  known from  {}\n", denials::evidence(denial.evidence)));
    match denial.allow_with.as_slice() {
        [] => out.push_str("  allow with  nothing: no setting or approval allows it\n"),
        grants => {
            for (at, grant) in grants.iter().enumerate() {
                out.push_str(&format!("  {}  {grant}\n", if at == 0 { "allow with" } else { "        or" }));
            }
        }
    }
    let paint = Paint::stdout();
    if !entries.is_empty() {
        out.push_str("during\n");
        entries.iter().for_each(|entry| out.push_str(&format!("  {}\n", line(entry, /* json */ false, paint))));
    }
    json::text_out(out.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn latest(directory: &Path) -> std::io::Result<Option<String>> {
    let mut last = None;
    reader::each(directory, &Filter { denied: true, ..Filter::default() }, |entry| {
        if let Some(What::Denied { denial }) = entry.event.map(|event| event.what) {
            last = Some(denial.id.clone());
        }
    })?;
    Ok(last)
}

fn directory() -> Result<PathBuf, Failure> {
    Ok(start::home()?.as_path().join("log"))
}

fn unreadable(error: &std::io::Error, directory: &Path) -> Failure {
    Failure::new("the journal can't be read").cause(format!("{}: {error}", text::escape_os(directory)))
}

fn verify(directory: &Path) -> Result<ExitCode, Failure> {
    let verified = ringfence_audit::verify(directory).map_err(|error| unreadable(&error, directory))?;
    let paint = Paint::stdout();
    for broken in &verified.breaks {
        let file = text::escape_os(&broken.file);
        json::text_out(&format!("{} {file}:{}: {}", paint.bad("broken"), broken.line, broken.what));
    }
    let range = match (verified.first, verified.last) {
        (Some(first), Some(last)) => format!(" ({first} to {last})"),
        _ => String::new(),
    };
    let word = if verified.breaks.is_empty() { paint.good("whole") } else { paint.bad("not whole") };
    json::text_out(&format!("{word}: {} events{range}, {} breaks", verified.lines, verified.breaks.len()));
    Ok(ExitCode::from(u8::from(!verified.breaks.is_empty())))
}

/// One event as one line; everything that came from outside is escaped.
fn line(entry: &Entry, as_json: bool, paint: Paint) -> String {
    let Some(event) = entry.event.as_ref().filter(|_| !as_json) else {
        return if as_json { entry.line.clone() } else { format!("{}  an event this version doesn't know", entry.seq) };
    };
    let what = match &event.what {
        What::Started { mode, policy, network, .. } => format!("session    {mode}, {policy}, network {network}"),
        What::Decided { act, verdict, reasons } => {
            let reason = reasons.first().map(|reason| format!(": {}", text::escape(&reason.text))).unwrap_or_default();
            format!("{verdict:<10} {}{reason}", act.display())
        }
        What::Asked { wish, whom } => format!("asked      {whom}: {}", text::escape(wish)),
        What::Answered { decision, by, .. } => format!("answered   {decision}, by {by}"),
        What::Intent { act, .. } => format!("starts     {}", text::escape(act)),
        What::Outcome { result, exit, duration_ms, tier, error, .. } => {
            let exit = exit.map(|exit| format!(" {}", ended(exit))).unwrap_or_default();
            let tier = tier.as_deref().map(|tier| format!(" in {tier}")).unwrap_or_default();
            let error = error.as_deref().map(|error| format!(": {}", text::escape(error))).unwrap_or_default();
            format!("{result:<10}{exit} after {duration_ms} ms{tier}{error}")
        }
        What::Denied { denial } => format!("{}     {}", paint.bad("denied"), denials::line(denial)),
        What::Network { .. } => format!("network    {}", connection(&event.what)),
        other => format!("{other:?}").chars().take(160).collect(),
    };
    format!("{}  {}  {what}", paint.faint(&time(event.at)), text::escape(&event.id))
}

/// A decision about a connection: what was asked for, which rule decided, and what came of it.
fn connection(what: &What) -> String {
    let What::Network {
        host,
        port,
        protocol,
        method,
        decision,
        rule,
        origin: _,
        detail,
        status,
        bytes_up,
        bytes_down,
        duration_ms,
    } = what
    else {
        return String::new();
    };
    let method = method.as_deref().map(|method| format!("{} ", text::escape(method))).unwrap_or_default();
    let mut out = format!("{decision} {method}{}:{port} ({protocol})", text::escape(host));
    if !rule.is_empty() {
        out.push_str(&format!(" by {}", text::escape(rule)));
    }
    if !detail.is_empty() {
        out.push_str(&format!(": {}", text::escape(detail)));
    }
    if let Some(status) = status {
        out.push_str(&format!(", status {status}"));
    }
    out.push_str(&format!(", {bytes_up} bytes up, {bytes_down} down, {duration_ms} ms"));
    out
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("status {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::Timeout => "time limit".into(),
        Exit::Limit(kind) => format!("limit on {}", kind.words().0),
    }
}

/// Milliseconds since 1970 as UTC: `2026-01-31 12:00:00`. The civil calendar from days, as Howard Hinnant describes it.
fn time(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(time(1_767_225_599_999), "2025-12-31 23:59:59");
    }
}
