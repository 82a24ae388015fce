//! `ringfence apply`: a patch, judged and then written all or not at all.

use super::{ask, session};
use crate::args::files::ApplyArgs;
use crate::out::{Failure, Paint, json, notices};
use crate::start::{self, More};
use ringfence::Opening;
use ringfence::session::ApplyError;
use ringfence_model::report::status;
use ringfence_model::{Origin, OsText, Verdict};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Applies or judges it.
pub fn main(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let stdio = ask::takes_stdio(&args.answers);
    let more = [More::Answers(&args.answers)];
    let mut ready = start::ready(&args.shared, &more)?;
    if ask::is_person(&args.answers, &args.shared) && !args.check {
        ready = super::trust::ask_first(ready, || start::ready(&args.shared, &more))?;
    }
    let opening = Opening {
        approver: ask::terminal(),
        front_end: ask::front_end(&args.answers, &ready.resolved.settings)?,
        writer: writer()?,
        ..Opening::default()
    };
    let session = session::open(&args.shared, ready, opening)?;
    if stdio && args.patch.as_deref().is_none_or(|file| file == Path::new("-")) {
        return Err(Failure::new("standard input can't give both the patch and the answers")
            .origin(Origin::flag("--approve-over"))
            .hint("name the file of the patch"));
    }
    let patch = read(args.patch.as_deref())?;
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
        ApplyError::Inside(error) => session::perform_failure(error),
        other => Failure::from_error(other).status(1),
    })?;
    let document = json!({ "schema": "ringfence.dev/v1/apply", "files": applied.files, "reasons": applied.reasons });
    if stdio {
        json::text_out(&document.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if args.shared.json {
        return json::print(&document);
    }
    let paint = Paint::stdout();
    for done in &applied.files {
        let counts =
            format!("{} {}", paint.good(&format!("+{}", done.added)), paint.bad(&format!("-{}", done.removed)));
        json::text_out(&format!("{} {counts}", done.path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The writer's part, inside the sandbox: the job on standard input, the answer on standard output.
pub fn write() -> Result<ExitCode, Failure> {
    ringfence::apply::write_inside(std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| Failure::new("the writer's answer can't be given").cause(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// This very program as the one that writes inside; where commands can't be confined yet, none.
#[cfg(target_os = "linux")]
fn writer() -> Result<Option<Vec<OsText>>, Failure> {
    use std::os::unix::fs::MetadataExt;

    let failed = |why: String| Failure::new("Ringfence's own program can't be found, which writes patches").cause(why);
    let path = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let id = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    let running = id(Path::new("/proc/self/exe")).map_err(|error| failed(error.to_string()))?;
    match id(&path) {
        Ok(found) if found == running => Ok(Some(vec![OsText::new(path), OsText::new("__write")])),
        Ok(_) => Err(failed(format!("`{}` was replaced since it was started", path.display()))),
        Err(error) => Err(failed(format!("`{}`: {error}", path.display()))),
    }
}

#[cfg(not(target_os = "linux"))]
fn writer() -> Result<Option<Vec<OsText>>, Failure> {
    Ok(None)
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
