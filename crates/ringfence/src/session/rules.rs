//! Loading the rules of every layer: system, user, a trusted project's, and those of requirements.
//!
//! A folder or file that is there and can't be read counts as broken: whatever it forbids would be lost otherwise.

use crate::facts::Start;
use ringfence_config::gather::chain;
use ringfence_config::{Places, ProjectLayer, Resolved};
use ringfence_model::requirements::RequiredDecision;
use ringfence_model::{Layer, Notice, Origin, OsText};
use ringfence_rules::{Alternatives, Broken, Decision, Permit, RequirementRule, RuleFile, RuleSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest rule file that is read.
const MAX_FILE: u64 = 4 << 20;

/// Every rule that counts, and what a person should be told of them.
pub fn load(start: &Start, resolved: &Resolved, ignore_user: bool) -> (RuleSet, Vec<Notice>) {
    let mut set = match start.home.as_ref().and_then(|home| home.as_path().to_str()) {
        Some(home) => RuleSet::with_home(home),
        None => RuleSet::new(),
    };
    let mut notices = Vec::new();
    for rule in &resolved.requirements.prefix_rules {
        set.require(RequirementRule {
            pattern: rule
                .pattern
                .iter()
                .map(|place| match place.as_slice() {
                    [one] => Alternatives::One(one.clone()),
                    any => Alternatives::Any(any.to_vec()),
                })
                .collect(),
            decision: match rule.decision {
                RequiredDecision::Prompt => Decision::Prompt,
                RequiredDecision::Forbidden => Decision::Forbidden,
            },
            justification: rule.justification.clone(),
            origin: rule.origin.clone(),
        });
    }
    for (folder, layer, permit) in folders(start, resolved, ignore_user) {
        match files(&folder) {
            Ok(files) => {
                for file in files {
                    load_file(&mut set, &file, layer, permit, &mut notices);
                }
            }
            Err(cause) => set.push_broken(unreadable(&folder, layer, &cause)),
        }
    }
    (set, notices)
}

/// The folders that are looked at, lowest layer first.
fn folders(start: &Start, resolved: &Resolved, ignore_user: bool) -> Vec<(PathBuf, Layer, Permit)> {
    let places = Places::of_machine(start.ringfence_home.clone());
    let mut folders = vec![(places.system.join("rules"), Layer::System, Permit::Everything)];
    if !ignore_user {
        folders.push((start.ringfence_home.as_path().join("rules"), Layer::User, Permit::Everything));
    }
    // Trusted, and still what was trusted.
    if resolved.project_layer == ProjectLayer::Read {
        let may_allow = resolved.settings.project_overrides.iter().any(|key| key.value == "rules.allow");
        let permit = if may_allow { Permit::Everything } else { Permit::TightenOnly };
        for dir in chain(&start.cwd, &resolved.project.root) {
            folders.push((dir.as_path().join(".ringfence/rules"), Layer::Project, permit));
        }
    }
    // The user's own folder may lie in the project, or be the same as another: it counts once, as what it first was.
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|(folder, _, _)| seen.insert(fs::canonicalize(folder).unwrap_or_else(|_| folder.clone())));
    folders
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for item in items {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "rules") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load_file(set: &mut RuleSet, file: &Path, layer: Layer, permit: Permit, notices: &mut Vec<Notice>) {
    match read(file) {
        Ok(text) => notices.extend(set.load(&RuleFile { origin: origin(file, layer), text: &text, permit })),
        Err(cause) => set.push_broken(unreadable(file, layer, &cause)),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it isn't a regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is larger than 4 MiB"));
    }
    Ok(text)
}

fn origin(file: &Path, layer: Layer) -> Origin {
    Origin::File { file: OsText::new(file.as_os_str()), line: 0, column: 0, layer }
}

fn unreadable(file: &Path, layer: Layer, cause: &io::Error) -> Broken {
    Broken { origin: origin(file, layer), cause: format!("it can't be read: {cause}") }
}
