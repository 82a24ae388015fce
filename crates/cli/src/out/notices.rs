//! Remarks on settings, one line each, on standard error.

use super::Paint;
use ringfence_model::notice::Notice;

/// Prints each notice with its place and what to do.
pub fn print(notices: &[Notice]) {
    let paint = Paint::stderr();
    for notice in notices {
        eprintln!("{}", line(notice, paint));
    }
}

/// One notice as one line.
#[must_use]
pub fn line(notice: &Notice, paint: Paint) -> String {
    let place = notice.origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
    let hint = notice.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{} {place}{}{hint}", paint.warn("ringfence: notice:"), notice.text)
}
