//! The project: its root, its own settings files, and whether they are still what the user trusted.

use super::{Places, Request, World, read};
use crate::error::ConfigError;
use crate::layers::Document;
use crate::node::{Node, Table, at};
use crate::resolve::Facts;
use crate::trust::ProjectFacts;
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Layer, Origin};
use ringfence_model::os_text::OsText;
use ringfence_model::path::AbsPath;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Files below a directory, by relative name, with a fingerprint of each.
pub type Contents = BTreeMap<String, String>;

/// The directory of a project's own settings and rules.
const OWN: &str = ".ringfence";
/// Most files of it that are looked at.
const MAX_FILES: usize = 1_000;
/// Deepest directory of it that is looked at.
const MAX_DEPTH: usize = 8;
/// How the record is written.
const FORMAT: u32 = 1;

/// Whether the project's own settings and rules count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectLayer {
    /// They aren't read: the project isn't trusted.
    NotRead,
    /// They count.
    Read,
    /// They aren't read: they changed since the user trusted them.
    Changed(ProjectChange),
}

/// What changed of a project's own settings since they were trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProjectChange {
    /// Files that are new.
    pub added: Vec<String>,
    /// Files that are gone.
    pub removed: Vec<String>,
    /// Files whose content is another.
    pub changed: Vec<String>,
}

/// What is remembered of trusted projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// Per root: every file of its own settings, by absolute name, with its fingerprint.
    projects: BTreeMap<String, Contents>,
}

impl Default for Record {
    fn default() -> Self {
        Self { format: FORMAT, projects: BTreeMap::new() }
    }
}

/// The names that mark a project's root.
pub(super) fn markers(tables: &[&Table]) -> Vec<String> {
    let set = tables.iter().rev().find_map(|table| at(table, &["project_root_markers"])).and_then(Node::as_list);
    let names = set.map(|list| list.iter().filter_map(Node::as_str).map(str::to_owned).collect::<Vec<_>>());
    names.unwrap_or_else(|| vec![".git".to_owned()])
}

/// Finds the project of a directory: the nearest directory upwards that has one of the markers, else the directory.
#[must_use]
pub fn find(cwd: &AbsPath, markers: &[String], world: &dyn World) -> ProjectFacts {
    let mut directory = Some(cwd.clone());
    let plain = |marker: &&String| !marker.is_empty() && !marker.contains(['/', '\\', '\0']) && *marker != "..";
    while let Some(here) = directory {
        if markers.iter().filter(plain).any(|marker| world.exists(&here.as_path().join(marker))) {
            return ProjectFacts { root: here, version_controlled: true };
        }
        directory = here.parent();
    }
    ProjectFacts { root: cwd.clone(), version_controlled: false }
}

/// The directories from the project's root down to the working directory: where a project may have settings and rules.
#[must_use]
pub fn chain(cwd: &AbsPath, root: &AbsPath) -> Vec<AbsPath> {
    let mut chain = Vec::new();
    let mut directory = Some(cwd.clone());
    while let Some(here) = directory.filter(|here| here.is_within(root)) {
        directory = here.parent();
        chain.push(here);
    }
    chain.reverse();
    chain
}

/// Reads the files of a trusted project, if they still are what was trusted. Trust that was written by hand has no record
/// yet: then what is there now is recorded.
pub(super) fn layer(
    request: &Request,
    facts: &Facts,
    world: &dyn World,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Document>, ProjectLayer), ConfigError> {
    let root = &facts.project.root;
    let directories = chain(&facts.cwd, root);
    let now = contents(&directories, world)
        .map_err(|cause| ConfigError::Unreadable { file: root.as_path().join(OWN), cause })?;
    let file = record_file(&request.places);
    let record = remembered(&file, world)?;
    match record.projects.get(&root.display()) {
        Some(then) => {
            let change = compare(then, &now, &directories);
            if change != ProjectChange::default() {
                notices.push(changed(root, &change));
                return Ok((Vec::new(), ProjectLayer::Changed(change)));
            }
        }
        None => {
            if let Err(error) = write(&file, record, root, now, world) {
                notices.push(Notice {
                    code: "trust-not-recorded".into(),
                    text: format!("what this project's settings are now couldn't be recorded: {error}"),
                    origin: Some(Origin::host("trusted project")),
                    hint: Some("a later change of them won't be noticed until it can be".into()),
                });
            }
        }
    }
    let mut documents = Vec::new();
    for directory in directories {
        let file = directory.as_path().join(OWN).join("config.toml");
        documents.extend(read(world, &file, Layer::Project)?);
    }
    Ok((documents, ProjectLayer::Read))
}

/// Records what a project's own settings are now as what the user trusts: after `ringfence trust`, or a yes to a change.
pub fn accept(places: &Places, cwd: &AbsPath, root: &AbsPath, world: &dyn World) -> Result<(), ConfigError> {
    let own = || root.as_path().join(OWN);
    let now = contents(&chain(cwd, root), world).map_err(|cause| ConfigError::Unreadable { file: own(), cause })?;
    let file = record_file(places);
    let record = remembered(&file, world)?;
    write(&file, record, root, now, world).map_err(|cause| ConfigError::Unwritable { file, cause })
}

fn record_file(places: &Places) -> PathBuf {
    places.home.as_path().join("state").join("trust.json")
}

fn remembered(file: &Path, world: &dyn World) -> Result<Record, ConfigError> {
    let unreadable = |cause: io::Error| ConfigError::Unreadable { file: file.to_path_buf(), cause };
    match world.read(file).map_err(unreadable)? {
        None => Ok(Record::default()),
        Some(bytes) => match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.format == FORMAT => Ok(record),
            Ok(record) => Err(unreadable(io::Error::other(format!("it has the unknown format {}", record.format)))),
            Err(error) => Err(unreadable(io::Error::other(error))),
        },
    }
}

fn write(file: &Path, mut record: Record, root: &AbsPath, now: Contents, world: &dyn World) -> io::Result<()> {
    record.projects.insert(root.display(), now);
    world.keep(file, &serde_json::to_vec_pretty(&record).map_err(io::Error::other)?)
}

/// The files of the own settings of each directory, by absolute name.
fn contents(directories: &[AbsPath], world: &dyn World) -> io::Result<Contents> {
    let mut all = Contents::new();
    for directory in directories {
        let own = directory.as_path().join(OWN);
        for (name, print) in world.contents(&own)?.unwrap_or_default() {
            all.insert(OsText::new(own.join(name).into_os_string()).display(), print);
        }
    }
    Ok(all)
}

/// What differs in the directories that are looked at now; other directories of the project were or will be looked at
/// when something starts in them.
fn compare(then: &Contents, now: &Contents, directories: &[AbsPath]) -> ProjectChange {
    let here = |name: &&String| {
        directories
            .iter()
            .any(|directory| name.starts_with(&format!("{}/{OWN}/", directory.display().trim_end_matches('/'))))
    };
    ProjectChange {
        added: now.keys().filter(|name| !then.contains_key(*name)).cloned().collect(),
        removed: then.keys().filter(here).filter(|name| !now.contains_key(*name)).cloned().collect(),
        changed: now
            .iter()
            .filter(|(name, print)| then.get(*name).is_some_and(|then| then != *print))
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

fn changed(root: &AbsPath, change: &ProjectChange) -> Notice {
    let list = |what: &str, names: &[String]| match names {
        [] => None,
        [name] => Some(format!("{what} {name}")),
        [name, more @ ..] => Some(format!("{what} {name} and {} more", more.len())),
    };
    let parts = [list("new:", &change.added), list("gone:", &change.removed), list("changed:", &change.changed)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Notice {
        code: "project-changed".into(),
        text: format!(
            "the project's own settings changed since you trusted them, and aren't read ({})",
            parts.join("; ")
        ),
        origin: None,
        hint: Some(format!("look at them, then `ringfence trust {}`", root.display())),
    }
}

/// Every file below a directory with the SHA-256 of its content; a link's own text counts with what it leads to.
pub(super) fn contents_on_disk(world: &dyn World, directory: &Path) -> io::Result<Option<Contents>> {
    match directory.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        // A link or a file of this name still leads somewhere: it counts as one file.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut contents = Contents::new();
    walk(world, directory, "", 0, (&mut contents, &mut 0))?;
    Ok(Some(contents))
}

fn walk(
    world: &dyn World,
    directory: &Path,
    name: &str,
    depth: usize,
    (contents, steps): (&mut Contents, &mut usize),
) -> io::Result<()> {
    *steps += 1;
    if depth > MAX_DEPTH || *steps > MAX_FILES {
        return Err(io::Error::other(format!("more than {MAX_FILES} files, or deeper than {MAX_DEPTH} directories")));
    }
    let mut hash = Sha256::new();
    let metadata = directory.symlink_metadata()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let part = OsText::new(entry.file_name()).display();
            let below = if name.is_empty() { part } else { format!("{name}/{part}") };
            walk(world, &entry.path(), &below, depth + 1, (&mut *contents, &mut *steps))?;
        }
        return Ok(());
    }
    if metadata.is_symlink() {
        hash.update(b"link\0");
        hash.update(std::fs::read_link(directory)?.as_os_str().as_encoded_bytes());
        hash.update(b"\0");
    }
    // A link to a directory is followed by whoever reads settings, so what is in there counts too.
    if metadata.is_symlink() && directory.is_dir() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let below = format!("{name}/{}", OsText::new(entry.file_name()).display());
            walk(world, &entry.path(), &below, depth + 1, (&mut *contents, &mut *steps))?;
        }
    } else if let Some(bytes) = world.read(directory)? {
        hash.update(&bytes);
    }
    let print: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    contents.insert(name.to_owned(), print);
    Ok(())
}
