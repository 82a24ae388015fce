//! Judging changes to files, and reads of files, by where their paths lead.

use super::reasons::{self, codes, reason};
use super::{Basis, Case, Stop};
use crate::confine::{Request, confine, pattern_text};
use crate::table::{Cell, Row, cell};
use ringfence_model::action::{Edit, FileChange, More, Placement, Read};
use ringfence_model::confinement::{DeniedRead, PathPattern, ReadBase};
use ringfence_model::grant::{Lasts, Scope};
use ringfence_model::report::Reason;
use ringfence_model::text::shell_word;
use ringfence_model::verdict::{Offer, QuestionKind};
use ringfence_model::{AbsPath, Confinement, Origin, SandboxMode};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Where a path lies, as a change to it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lies {
    /// In a writable root, unprotected.
    Inside,
    /// In a protected path.
    Protected(Cow<'static, str>, Origin),
    /// In no writable root.
    Outside,
    /// Among Ringfence's own files.
    Own,
    /// It can't be read, so it can't be changed either.
    Unreadable(String, Origin),
}

fn lies(basis: &Basis<'_>, confinement: &Confinement, path: &AbsPath) -> Lies {
    let own = [Some(basis.facts.world.ringfence_home.clone()), AbsPath::new(crate::confine::SYSTEM_SETTINGS).ok()];
    if own.into_iter().flatten().any(|own| path.is_within(&own)) {
        return Lies::Own;
    }
    if let Some(denied) = denied(&basis.settings.filesystem.deny_read, path) {
        return Lies::Unreadable(pattern_text(&denied.pattern), denied.origin.clone());
    }
    if let Some(protected) = confinement.protected.iter().find(|entry| path.is_within(&entry.path)) {
        return Lies::Protected(protected.reason.clone(), protected.origin.clone());
    }
    match confinement.roots.iter().any(|root| path.is_within(&root.path)) {
        true => Lies::Inside,
        false => Lies::Outside,
    }
}

fn denied<'d>(denied: &'d [DeniedRead], path: &AbsPath) -> Option<&'d DeniedRead> {
    denied.iter().find(|entry| match &entry.pattern {
        PathPattern::Path(denied) => path.is_within(denied),
        PathPattern::Glob(glob) => glob.covers(path.as_path().as_os_str().as_encoded_bytes()),
    })
}

pub(super) fn judge_edit(basis: &Basis<'_>, edit: &Edit) -> Case {
    let settings = basis.settings;
    let mode = settings.sandbox_mode.value;
    let mut case = Case::new(Placement::Inside);
    let confinement = match confine(settings, basis.facts.world, &Request::default()) {
        Ok(confinement) => confinement,
        Err(error) => return Case::refuse(reasons::cannot_confine(&error)),
    };
    if edit.changes.is_empty() {
        let nothing = reason(codes::EDIT, "the change touches no file", Origin::builtin("file changes"), Vec::new());
        return Case::refuse(nothing);
    }
    let mut elsewhere: Vec<AbsPath> = Vec::new();
    let mut rows = BTreeSet::new();
    for change in &edit.changes {
        let name = change.path.display();
        match lies(basis, &confinement, &change.path) {
            Lies::Own => case.stops.push(Stop::Refuse(own_file(change))),
            Lies::Unreadable(pattern, origin)
                if mode != SandboxMode::DangerFullAccess || origin.layer().is_requirement() =>
            {
                let text = format!("`{name}` can't be read (`{pattern}`), so it can't be changed");
                let change = vec!["the entry that denies it".to_owned()];
                case.stops.push(Stop::Refuse(reason(codes::DENY_READ, text, origin, change)));
            }
            Lies::Inside | Lies::Unreadable(..) => {
                rows.insert(Row::EditInside);
            }
            Lies::Protected(why, origin) => {
                rows.insert(Row::EditElsewhere);
                elsewhere.push(change.path.clone());
                let text = format!("`{name}` lies in a protected path: {why}");
                let change = vec!["unprotected_paths (in your own settings)".to_owned()];
                case.reasons.push(reason(codes::EDIT, text, origin, change));
                case.marks.push(format!("changes `{name}`, a protected path: {why}"));
            }
            Lies::Outside => {
                // Where nothing is writable, or everything, it doesn't matter where in the workspace a change would lie.
                rows.insert(if mode == SandboxMode::WorkspaceWrite { Row::EditElsewhere } else { Row::EditInside });
                elsewhere.push(change.path.clone());
                if mode != SandboxMode::DangerFullAccess {
                    let text = format!("`{name}` lies in no writable root");
                    let change =
                        vec![format!("--add-dir {}", shell_word(&parent_of(&change.path).display().to_string()))];
                    case.reasons.push(reason(codes::EDIT, text, settings.sandbox_mode.origin.clone(), change));
                }
            }
        }
    }
    for row in rows {
        let why = reasons::by_policy(mode, row, &settings.approval_policy);
        match cell(mode, row, settings.approval_policy.value) {
            Cell::Run => case.reasons.push(why),
            Cell::Refuse => case.stops.push(Stop::Refuse(why)),
            Cell::Ask | Cell::Report => case.stops.push(Stop::Ask(QuestionKind::Edit, why)),
        }
    }
    case.offers = edit_offers(&elsewhere);
    case
}

fn own_file(change: &FileChange) -> Reason {
    let text = format!("`{}` is one of Ringfence's own files, which no agent changes", change.path.display());
    reason(codes::OWN_FILES, text, Origin::builtin("Ringfence's own files"), Vec::new())
}

fn parent_of(path: &AbsPath) -> AbsPath {
    path.parent().unwrap_or_else(AbsPath::root)
}

/// For the session: further changes below the one directory that holds all of what lies elsewhere.
fn edit_offers(elsewhere: &[AbsPath]) -> Vec<Offer> {
    let Some((first, rest)) = elsewhere.split_first() else { return Vec::new() };
    let dir = parent_of(first);
    if dir.depth() < 2 || rest.iter().any(|path| !path.is_within(&dir)) {
        return Vec::new();
    }
    vec![Offer {
        text: format!("every change below `{}`, for this session", dir.display()),
        scope: Scope::Path { path: dir },
        lasts: Lasts::Session,
    }]
}

pub(super) fn judge_read(basis: &Basis<'_>, read: &Read) -> Case {
    let settings = basis.settings;
    let wish = Placement::With(More { read: vec![read.path.clone()], ..More::default() });
    let name = read.path.display();
    if let Some(denied) = denied(&settings.filesystem.deny_read, &read.path) {
        let text = format!("reading `{name}` is denied by `{}`", pattern_text(&denied.pattern));
        let change = vec!["the entry that denies it".to_owned()];
        let why = reason(codes::DENY_READ, text, denied.origin.clone(), change);
        if denied.origin.layer().is_requirement() {
            return Case::refuse(why);
        }
        return ask_for(basis, wish, why);
    }
    let confinement = match confine(settings, basis.facts.world, &Request::default()) {
        Ok(confinement) => confinement,
        Err(error) => return Case::refuse(reasons::cannot_confine(&error)),
    };
    let restricted = confinement.reads.base.value == ReadBase::Minimal;
    let listed = confinement.reads.also.iter().any(|also| read.path.is_within(&also.value))
        || confinement.roots.iter().any(|root| read.path.is_within(&root.path))
        || read.path.is_within(&basis.facts.world.cwd);
    if restricted && !listed {
        let origin = confinement.reads.base.origin.clone();
        let why = reason(codes::DENY_READ, format!("`{name}` isn't among what may be read"), origin, Vec::new());
        return ask_for(basis, wish, why);
    }
    let mut case = Case::new(Placement::Inside);
    let origin = settings.sandbox_mode.origin.clone();
    case.reasons.push(reason(codes::POLICY, "reading it needs no permission", origin, Vec::new()));
    case
}

fn ask_for(basis: &Basis<'_>, wish: Placement, why: Reason) -> Case {
    let policy = &basis.settings.approval_policy;
    let mode = basis.settings.sandbox_mode.value;
    let mut case = Case::new(wish);
    match cell(mode, Row::Escalation, policy.value) {
        Cell::Run => case.reasons.push(why),
        Cell::Refuse => case.stops.push(Stop::Refuse(why)),
        Cell::Ask | Cell::Report => case.stops.push(Stop::Ask(QuestionKind::Escalation, why)),
    }
    case.reasons.push(reasons::by_policy(mode, Row::Escalation, policy));
    case
}
