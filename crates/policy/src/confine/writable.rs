//! Writable roots: refused where they are too broad, merged where they nest, with the read-only islands inside them.

use super::protect;
use super::{ConfineError, Request};
use crate::roots::{self, Surroundings};
use ringfence_model::confinement::{Protected, WritableRoot};
use ringfence_model::facts::RootFacts;
use ringfence_model::{AbsPath, Notice, Origin, Settings, WorldFacts};

/// Where the system's settings and requirements lie.
pub const SYSTEM_SETTINGS: &str = "/etc/ringfence";

#[derive(Debug, Default)]
pub(super) struct Writable {
    pub roots: Vec<WritableRoot>,
    pub protected: Vec<Protected>,
}

pub(super) fn writable(settings: &Settings, facts: &WorldFacts, request: &Request) -> Result<Writable, ConfineError> {
    let found = found_roots(settings, facts, request)?;
    for (root, _) in &found {
        refuse_broad(root, settings, facts)?;
    }
    let mut protected = protect::protected(settings, facts, &found);
    let granted: Vec<&AbsPath> = request.granted.write.iter().map(|path| &path.value).collect();
    protect::lift_granted(&mut protected, &found, &granted)?;
    let roots = merge(found.into_iter().map(|(root, _)| root).collect(), &protected);
    protected.retain(|entry| roots.iter().any(|root| entry.path.is_within(&root.path)));
    Ok(Writable { roots, protected: protect::outermost(protected) })
}

pub(super) fn notices(settings: &Settings, facts: &WorldFacts) -> Vec<Notice> {
    let mut notices = Vec::new();
    for request in roots::requests(settings, &surroundings(facts), &[]) {
        // One that a flag asked for is an error, which says it.
        let left_out = !request.required;
        if left_out && lookup(facts, &request.path.value).is_none_or(|root| root.resolved.is_none()) {
            notices.push(Notice {
                code: "root-missing".to_owned(),
                text: format!(
                    "`{}` isn't an existing directory and is left out of the workspace",
                    request.path.value.display()
                ),
                origin: Some(request.path.origin),
                hint: Some("create it, or take it off `writable_roots`".to_owned()),
            });
        }
    }
    if let Ok(found) = found_roots(settings, facts, &Request::default()) {
        let protected = match found.iter().any(|(root, _)| may_lie_in_protected(root, &found)) {
            true => protect::protected(settings, facts, &found),
            false => Vec::new(),
        };
        for (root, _) in &found {
            if let Some(over) = protected.iter().find(|entry| root.path.is_within(&entry.path)) {
                notices.push(Notice {
                    code: "root-protected".to_owned(),
                    text: format!(
                        "the root `{}` stays read-only: it lies in the protected path `{}` ({})",
                        root.path.display(),
                        over.path.display(),
                        over.reason
                    ),
                    origin: Some(root.origin.clone()),
                    hint: None,
                });
            }
        }
    }
    notices
}

/// Whether a root can lie in a protected path at all, as told without listing those: names lie strictly below a root, so
/// either it lies in another root, or a link or a Git directory leads to it or above it.
fn may_lie_in_protected(root: &WritableRoot, all: &[(WritableRoot, &RootFacts)]) -> bool {
    let leads_here = |path: &AbsPath| root.path.is_within(path);
    all.iter().any(|(other, facts)| {
        (root != other && leads_here(&other.path))
            || facts.names.iter().filter_map(|name| name.target.as_ref()).any(|target| leads_here(&target.path))
            || facts.git.iter().any(|git| {
                [&git.entry, &git.git_dir, &git.common_dir].into_iter().any(leads_here)
                    || git.configured.iter().any(|(_, target)| leads_here(&target.path))
            })
    })
}

fn surroundings(facts: &WorldFacts) -> Surroundings {
    Surroundings { cwd: facts.cwd.clone(), tmpdir: facts.tmpdir.clone(), slash_tmp: facts.slash_tmp.clone() }
}

/// The requested roots that exist, with what was found there, in the order of the requests.
fn found_roots<'f>(
    settings: &Settings,
    facts: &'f WorldFacts,
    request: &Request,
) -> Result<Vec<(WritableRoot, &'f RootFacts)>, ConfineError> {
    let mut settings_of_action = settings.clone();
    if request.reads_only.is_some() {
        settings_of_action.sandbox_mode.value = ringfence_model::SandboxMode::ReadOnly;
    }
    let mut found = Vec::new();
    for wanted in roots::requests(&settings_of_action, &surroundings(facts), &request.granted.write) {
        let root = lookup(facts, &wanted.path.value);
        match root.and_then(|root| root.resolved.as_ref().map(|resolved| (root, resolved))) {
            Some((root, (path, id))) => {
                found.push((WritableRoot { path: path.clone(), id: *id, origin: wanted.path.origin }, root));
            }
            None if wanted.required => {
                return Err(ConfineError::MissingRoot { path: wanted.path.value, origin: wanted.path.origin });
            }
            None => {}
        }
    }
    Ok(found)
}

fn lookup<'f>(facts: &'f WorldFacts, requested: &AbsPath) -> Option<&'f RootFacts> {
    facts.roots.iter().find(|root| root.requested.value == *requested)
}

fn refuse_broad(root: &WritableRoot, settings: &Settings, facts: &WorldFacts) -> Result<(), ConfineError> {
    let forced = settings.dangerously_allow_broad_roots.value || matches!(root.origin, Origin::Grant { .. });
    let covers = if root.path == AbsPath::root() {
        Some("the whole file system")
    } else if facts.home.as_ref().is_some_and(|home| home.is_within(&root.path)) {
        Some("the whole home directory")
    } else {
        None
    };
    if let (Some(covers), false) = (covers, forced) {
        return Err(ConfineError::BroadRoot { path: root.path.clone(), covers, origin: root.origin.clone() });
    }
    for (what, own) in own_files(facts) {
        if root.path.is_within(&own) {
            return Err(ConfineError::RootInOwnFiles {
                what,
                own,
                root: root.path.clone(),
                origin: root.origin.clone(),
            });
        }
        if own.is_within(&root.path) && !forced {
            return Err(ConfineError::OwnFilesInside {
                what,
                own,
                root: root.path.clone(),
                hint: hint_for(&root.origin),
                origin: root.origin.clone(),
            });
        }
    }
    Ok(())
}

fn hint_for(origin: &Origin) -> &'static str {
    match origin {
        Origin::BuiltIn { builtin } if builtin == "`/tmp`" => " (`exclude_slash_tmp = true`)",
        Origin::BuiltIn { builtin } if builtin == "`$TMPDIR`" => " (`exclude_tmpdir_env_var = true`)",
        _ => "",
    }
}

/// What holds policy and journal, with its name.
pub(super) fn own_files(facts: &WorldFacts) -> Vec<(&'static str, AbsPath)> {
    let mut own = vec![("Ringfence's home", facts.ringfence_home.clone())];
    own.extend(AbsPath::new(SYSTEM_SETTINGS).map(|path| ("the system's settings", path)));
    own
}

/// Outermost roots only, sorted; a root inside a protected path stays protected and is left out.
fn merge(mut roots: Vec<WritableRoot>, protected: &[Protected]) -> Vec<WritableRoot> {
    roots.retain(|root| !protected.iter().any(|entry| root.path.is_within(&entry.path)));
    roots.sort_by(|a, b| a.path.depth().cmp(&b.path.depth()).then_with(|| a.path.cmp(&b.path)));
    let mut outermost: Vec<WritableRoot> = Vec::new();
    for root in roots {
        if !outermost.iter().any(|outer| root.path.is_within(&outer.path)) {
            outermost.push(root);
        }
    }
    outermost.sort();
    outermost
}
