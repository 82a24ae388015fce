//! Gathering what the decision must know of one act: programs, identity, git's configuration, how much would be lost.

use super::{Session, seconds};
use crate::facts::{self, is_variable, program};
use ringfence_model::action::{Action, Exec, Identity};
use ringfence_model::facts::ProgramFacts;
use ringfence_model::{AbsPath, Denial, OsText, Sourced, WorldFacts};
use ringfence_policy::decide::{ActFacts, agent_places, inquire};
use ringfence_policy::destructive::Touched;
use ringfence_policy::environment;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::Path;

/// Facts of one act, owned.
#[derive(Debug, Clone)]
pub struct Gathered {
    world: WorldFacts,
    now: u64,
    identity: Identity,
    programs: Vec<ProgramFacts>,
    path_writable: bool,
    git_runs: Option<Vec<String>>,
    touched: Vec<Touched>,
    denials: Vec<Denial>,
    keep_background: Sourced<bool>,
}

impl Gathered {
    /// As the decision takes them.
    pub(super) fn facts<'f>(&'f self, session: Option<&'f str>) -> ActFacts<'f> {
        ActFacts {
            world: &self.world,
            now: self.now,
            session,
            identity: self.identity.clone(),
            programs: self.programs.clone(),
            path_writable: self.path_writable,
            git_runs: self.git_runs.clone(),
            touched: self.touched.clone(),
            denials: self.denials.clone(),
            keep_background: self.keep_background.clone(),
        }
    }
}

impl Session {
    /// Everything about `action` that can't be told from its words.
    pub(super) fn gather(&self, action: &Action, denials: &[Denial]) -> Gathered {
        let mut world = self.world_with(action, denials);
        let mut gathered = Gathered {
            now: seconds(),
            identity: self.identity(action),
            programs: Vec::new(),
            path_writable: false,
            git_runs: None,
            touched: Vec::new(),
            denials: denials.to_vec(),
            keep_background: self.keep_background.clone(),
            world: world.clone(),
        };
        if let Action::Exec(exec) = action {
            world.cwd.clone_from(&exec.cwd);
            let places = agent_places(&world);
            let path = self.path_inside();
            let inquiry = inquire(exec);
            gathered.programs = inquiry
                .programs
                .iter()
                .map(|word| program::find(word, &exec.cwd, path.as_deref().map(OsText::as_os_str), &places))
                .collect();
            gathered.path_writable = path_is_writable(path.as_deref(), &exec.cwd, &places);
            for subcommand in &inquiry.git {
                let runs = facts::git_runs(&exec.cwd, &self.start.user_git(), &places, subcommand);
                // Of several the worst holds: one that couldn't be looked at, or all that was found.
                gathered.git_runs = match (gathered.git_runs.take(), runs) {
                    (_, None) => None,
                    (None, runs) => runs,
                    (Some(mut known), Some(more)) => {
                        known.extend(more);
                        Some(known)
                    }
                };
                if gathered.git_runs.is_none() {
                    break;
                }
            }
            let above = self.settings().destructive_ask_above.value;
            gathered.touched = inquiry.counted.iter().map(|word| count(word, &exec.cwd, above)).collect();
            gathered.world = world;
        }
        gathered
    }

    /// `PATH` as the command gets it.
    fn path_inside(&self) -> Option<Box<OsText>> {
        let settings = self.settings();
        let filtered = environment::filter(&settings.environment, &settings.unix_sockets, &self.start.environment);
        filtered.kept.into_iter().find(|var| is_variable(var.name.as_os_str(), "PATH")).map(|var| Box::new(var.value))
    }

    /// What an approval of `action` is bound to.
    pub(super) fn identity(&self, action: &Action) -> Identity {
        let act = digest(serde_json::to_vec(action).unwrap_or_default());
        let Action::Exec(exec) = action else {
            return Identity { act, ..Identity::default() };
        };
        let settings = self.settings();
        let filtered = environment::filter(&settings.environment, &settings.unix_sockets, &self.start.environment);
        let mut variables = Vec::new();
        let mut path = None;
        for var in &filtered.kept {
            for part in [&var.name, &var.value] {
                variables.extend_from_slice(&(part.as_bytes().len() as u64).to_le_bytes());
                variables.extend_from_slice(part.as_bytes());
            }
            if is_variable(var.name.as_os_str(), "PATH") {
                path = Some(var.value.as_os_str());
            }
        }
        let program = exec.argv.first().and_then(|word| resolved_program(word, exec, path));
        Identity {
            act,
            cwd: directory(&exec.cwd),
            program_state: program.as_ref().and_then(|(path, _)| state(path)),
            program,
            environment: Some(digest(variables)),
        }
    }
}

fn directory(path: &AbsPath) -> Option<(AbsPath, ringfence_model::facts::FileId)> {
    let resolved = facts::resolve(path.as_path()).ok()?;
    let meta = std::fs::metadata(resolved.as_path()).ok()?;
    Some((resolved, facts::file_id(&meta)))
}

fn resolved_program(
    word: &OsText,
    exec: &Exec,
    path: Option<&OsStr>,
) -> Option<(AbsPath, ringfence_model::facts::FileId)> {
    let found = program::find(word, &exec.cwd, path, &[]);
    Some((found.resolved?, found.id?))
}

/// Size and last change of a file. Whoever writes it moves the change, and can't move it back.
fn state(path: &AbsPath) -> Option<String> {
    let meta = std::fs::metadata(path.as_path()).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some(format!("{} {}.{:09}", meta.len(), meta.ctime(), meta.ctime_nsec()))
    }
    #[cfg(not(unix))]
    {
        Some(format!("{} {:?}", meta.len(), meta.modified().ok()?))
    }
}

pub(super) fn digest(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `PATH` has an entry that is empty, relative, or in a place an agent can write.
fn path_is_writable(path: Option<&OsText>, cwd: &AbsPath, places: &[AbsPath]) -> bool {
    let Some(path) = path else { return false };
    std::env::split_paths(path.as_os_str()).any(|dir| {
        if !dir.is_absolute() {
            return true;
        }
        let dir = cwd.as_path().join(dir);
        let resolved = facts::resolve(&dir).or_else(|_| AbsPath::lexical(&dir));
        resolved.is_ok_and(|dir| places.iter().any(|place| dir.is_within(place)))
    })
}

/// How many files are at or below what `word` names, counted no further than just above the threshold.
fn count(word: &OsText, cwd: &AbsPath, above: u64) -> Touched {
    let path = cwd.as_path().join(word.as_os_str());
    let most = above.saturating_add(1).min(100_000);
    let mut files = 0;
    let mut dirs = Vec::new();
    match std::fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_dir() => dirs.push(path),
        Ok(_) => files = 1,
        Err(_) => {}
    }
    // A tree of nothing but directories must not be walked for ever either.
    let mut looked_at = 0u64;
    while let Some(dir) = dirs.pop() {
        for item in list(&dir) {
            looked_at += 1;
            if files >= most || looked_at > most.saturating_mul(20) {
                return Touched { path: word.clone(), files: most };
            }
            match item.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(item.path()),
                _ => files += 1,
            }
        }
    }
    Touched { path: word.clone(), files }
}

fn list(dir: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}
