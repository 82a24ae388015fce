//! Judging changes to files for front ends that write them themselves: editors, agents' own patch tools.

use super::Session;
use crate::facts;
use ringfence_model::action::{Action, ChangeKind, Edit, FileChange};
use ringfence_model::{AbsPath, Decision, OsText};
use std::path::Path;

/// What is to be changed, by name, and the verdict.
#[derive(Debug, Clone)]
pub struct EditCheck {
    /// The action, with every path resolved.
    pub action: Action,
    /// What would happen.
    pub decision: Decision,
}

impl Session {
    /// Judges changes without making them: what `ringfence apply --check` does, for a front end that writes by itself.
    /// `digest` stands for the content: what is approved is only that.
    #[must_use]
    pub fn edit_check(&self, changes: &[(OsText, ChangeKind)], digest: &str) -> EditCheck {
        let changes = changes.iter().map(|(named, kind)| self.file_change(named, *kind)).collect();
        let action = Action::Edit(Edit { changes, digest: digest.to_owned() });
        EditCheck { decision: self.decide(&action), action }
    }

    /// One change, with the path resolved from the session's directory.
    pub(crate) fn file_change(&self, named: &OsText, kind: ChangeKind) -> FileChange {
        FileChange { named: named.clone(), path: leads_to(self.cwd(), Path::new(named.as_os_str())), kind }
    }
}

/// Where a name leads: through every symbolic link, also one at its end, and by what exists of its directories. A name that
/// leads nowhere is judged by where it would come into being.
#[must_use]
pub(crate) fn leads_to(cwd: &AbsPath, named: &Path) -> AbsPath {
    let mut path = cwd.as_path().join(named);
    // Each turn follows one link; a chain that doesn't end is judged by its text.
    for _ in 0..40 {
        if let Ok(resolved) = facts::resolve(&path) {
            return resolved;
        }
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().map_or_else(|| target.clone(), |parent| parent.join(&target)),
            Err(_) => break,
        }
    }
    let mut missing = Vec::new();
    let mut at = path.as_path();
    loop {
        if let Ok(resolved) = facts::resolve(at) {
            let full = missing.iter().rev().fold(resolved.into_path_buf(), |dir, name| dir.join(name));
            return AbsPath::lexical(&full).unwrap_or_else(|_| cwd.clone());
        }
        match (at.parent(), at.components().next_back()) {
            (Some(parent), Some(last)) => {
                missing.push(last.as_os_str().to_owned());
                at = parent;
            }
            _ => return AbsPath::lexical(&path).unwrap_or_else(|_| cwd.clone()),
        }
    }
}
