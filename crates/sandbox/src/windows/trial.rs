//! Whether this system checks a restricted token as the tier relies on: asked, not assumed. Windows does; a system that only
//! takes the calls for its programs' sake, as Wine, lets such a token write whatever its user may.

use super::sid::Sid;
use crate::compile::windows::TOKEN_LINES;
use crate::host::Tried;
use crate::sys::{check, token};
use std::io;

const READ: u32 = 1;
const WRITE: u32 = 2;

/// Makes a token as the tier does and asks what it may do. Touches no file.
pub(crate) fn restricted_token() -> Tried {
    let remedy = || Some("run on Windows itself, or in WSL 2".to_owned());
    match unheld() {
        Ok(None) => Tried::Works,
        Ok(Some(what)) => {
            Tried::Fails { why: format!("a restricted token isn't checked as it should: {what}"), remedy: remedy() }
        }
        Err(cause) => Tried::Fails { why: format!("a restricted token can't be had: {cause}"), remedy: remedy() },
    }
}

/// The first thing that such a token may or may not do, against what the tier relies on.
fn unheld() -> io::Result<Option<&'static str>> {
    let run = Sid::of_a_run();
    let own = token::own()?;
    let user = token::user(&own)?;
    let lines: Vec<String> = TOKEN_LINES.iter().map(|line| (*line).to_owned()).collect();
    let made = super::enforce::token_of(&lines, &run).map_err(|(what, cause)| io::Error::new(cause.kind(), what))?;
    let made = check::askable(&made)?;
    let (user, run) = (user.text(), run.text());
    // Whoever owns something may always read and change its access list, so rights to data are what is asked for.
    let owned = |entries: &str, label: &str| format!("O:{user}G:{user}D:{entries}{label}");
    let users = format!("(A;;GA;;;{user})");
    let runs = format!("(A;;GA;;;{run})");
    let open = "S:(ML;;NW;;;LW)";
    let expected = [
        (owned(&users, open), READ, true, "what its user may read can't be read"),
        (owned(&users, open), WRITE, false, "what only its user may write can be written"),
        (owned(&format!("{users}{runs}"), open), WRITE, true, "what the run may write can't be written"),
        (owned(&format!("(D;;GA;;;{run}){users}{runs}"), open), WRITE, false, "what the run is denied can be written"),
        (
            owned(&format!("{users}{runs}"), ""),
            WRITE,
            false,
            "what ordinary programs own can be written at low integrity",
        ),
    ];
    for (descriptor, access, allowed, what) in expected {
        if check::allows(&made, &descriptor, access)? != allowed {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
