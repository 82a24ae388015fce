//! `ringfence apply`: a patch, judged and then written all or not at all.

use super::session;
use crate::args::files::ApplyArgs;
use crate::out::{Failure, Paint, json, notices};
use crate::start;
use ringfence::Opening;
use ringfence::session::ApplyError;
use ringfence_model::Verdict;
use ringfence_model::report::status;
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Applies or judges it.
pub fn main(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let patch = read(args.patch.as_deref())?;
    let opening = Opening { approver: super::ask::terminal(), ..Opening::default() };
    let session = session::open(&args.shared, start::ready(&args.shared, &[])?, opening)?;
    if !args.shared.json {
        notices::print(session.notices());
    }
    if args.check {
        let check = session.check_patch(&patch).map_err(|error| Failure::from_error(&error))?;
        let name = check.decision.verdict.name();
        if args.shared.json {
            json::print(&json!({ "schema": "ringfence.dev/v1/apply", "decision": check.decision }))?;
        } else {
            json::text_out(&format!("{name}: {}", check.action.display()));
            for reason in &check.decision.reasons {
                json::text_out(&format!("  {} [{}]", reason.text, reason.source));
            }
        }
        let refused = matches!(check.decision.verdict, Verdict::Refuse(_));
        return Ok(ExitCode::from(if refused { status::DENIED } else { 0 }));
    }
    let applied = session.apply(&patch).map_err(|error| match &error {
        ApplyError::Authorize(error) => session::authorize_failure(error),
        other => Failure::from_error(other).status(1),
    })?;
    if args.shared.json {
        return json::print(
            &json!({ "schema": "ringfence.dev/v1/apply", "files": applied.files, "reasons": applied.reasons }),
        );
    }
    let paint = Paint::stdout();
    for done in &applied.files {
        let counts =
            format!("{} {}", paint.good(&format!("+{}", done.added)), paint.bad(&format!("-{}", done.removed)));
        json::text_out(&format!("{} {counts}", done.path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut patch = Vec::new();
    let result = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut patch)),
        None => std::io::stdin().lock().read_to_end(&mut patch),
    };
    result.map_err(|error| Failure::new("the patch can't be read").cause(error.to_string()))?;
    Ok(patch)
}
