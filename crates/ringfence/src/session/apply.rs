//! Applying a patch: read, judged, asked about where policy wants that, then worked out and written all or not at all.

use super::act::digest;
use super::authorize::{Authorization, AuthorizeError};
use super::edits::{EditCheck, leads_to};
use super::perform::PerformError;
use super::{Session, millis};
use crate::apply::{self, Done, Patch, PatchError, WorkError};
use ringfence_model::OsText;
use ringfence_model::action::Action;
use ringfence_model::event::What;
use ringfence_model::report::Reason;
use std::path::Path;

/// A patch that was applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What was done, file by file.
    pub files: Vec<Done>,
    /// Why it was allowed.
    pub reasons: Vec<Reason>,
}

/// Why a patch wasn't applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It can't be read.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// It doesn't fit, or it can't be written.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// It isn't authorized.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// A name leads elsewhere than it did when it was judged.
    #[error("`{}` leads elsewhere than when it was judged; nothing was changed", path.display())]
    Moved {
        /// The file, as named.
        path: OsText,
    },
    /// The sandbox for writing can't be made.
    #[error("the patch can't be written inside the sandbox")]
    Inside(#[source] PerformError),
    /// The process that writes inside the sandbox gave no answer.
    #[error("the writer inside the sandbox {what}; see what became of the files")]
    Writer {
        /// What it did instead.
        what: String,
    },
    /// The process that writes inside the sandbox changed nothing, and says why.
    #[error("{}", said.join(": "))]
    NotWritten {
        /// What failed, and what lies behind it.
        said: Vec<String>,
    },
}

impl Session {
    /// Judges a patch without working it out or writing: `ringfence apply --check`.
    pub fn check_patch(&self, patch: &[u8]) -> Result<EditCheck, PatchError> {
        let parsed = apply::parse(patch)?;
        Ok(self.edit_check(&parsed.changes(), &digest(patch)))
    }

    /// Applies a patch. Where [`Opening::writer`](crate::Opening) names a program, that reads and writes the files, in a
    /// sandbox that holds nothing writable but their directories; else this process does.
    pub fn apply(&self, patch: &[u8]) -> Result<Applied, ApplyError> {
        let parsed = apply::parse(patch)?;
        let check = self.edit_check(&parsed.changes(), &digest(patch));
        let authorization = self.authorize(check.action)?;
        let id = authorization.id.clone();
        let began = millis();
        let result = self.write_patch(patch, &parsed, &authorization);
        let what = What::Outcome {
            result: if result.is_ok() { "done" } else { "failed" }.to_owned(),
            exit: None,
            duration_ms: millis().saturating_sub(began),
            tier: None,
            not_held: Vec::new(),
            error: result.as_ref().err().map(ToString::to_string),
        };
        self.record(&[self.event(&id, what)]);
        let files = result?;
        Ok(Applied { files, reasons: authorization.reasons })
    }

    fn write_patch(&self, bytes: &[u8], patch: &Patch, authorization: &Authorization) -> Result<Vec<Done>, ApplyError> {
        // What was judged is what is written: every name must lead where it led.
        let Action::Edit(judged) = &authorization.action else { return Ok(Vec::new()) };
        let mut places = apply::Places::new();
        for change in &judged.changes {
            if leads_to(self.cwd(), Path::new(change.named.as_os_str())) != change.path {
                return Err(ApplyError::Moved { path: change.named.clone() });
            }
            places.insert(change.named.clone(), change.path.clone());
        }
        if let Some(writer) = &self.writer {
            return self.write_through(writer, authorization, judged, &places, bytes);
        }
        self.record(&[self.event(&authorization.id, What::Intent { act: authorization.action.display(), plan: None })]);
        Ok(apply::work(patch, &places)?)
    }
}
