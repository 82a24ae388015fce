//! Facts: what a decision must know of the world, gathered beforehand by whoever may look.

use crate::origin::{Origin, Sourced};
use crate::os_text::OsText;
use crate::path::AbsPath;
use serde::{Deserialize, Serialize};

/// Identity of a file: the same pair is the same file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else: device, socket, FIFO.
    Other,
}

/// The world around one start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldFacts {
    /// The working directory, resolved.
    pub cwd: AbsPath,
    /// The user's home, resolved, if there is one.
    pub home: Option<AbsPath>,
    /// Ringfence's home, resolved as far as it exists.
    pub ringfence_home: AbsPath,
    /// `$TMPDIR` if it is absolute, exists, and isn't `/`; resolved.
    pub tmpdir: Option<AbsPath>,
    /// `/tmp`, resolved, if it exists.
    pub slash_tmp: Option<AbsPath>,
    /// Effective user id; 0 is root. None where users aren't numbers.
    pub uid: Option<u32>,
    /// The project root: the nearest directory upwards with a marker, else the working directory.
    pub project_root: AbsPath,
    /// Whether the project root has a version-control marker.
    pub version_controlled: bool,
    /// What was found at each writable root that was asked for, in that order.
    pub roots: Vec<RootFacts>,
    /// Ringfence's own environment.
    pub environment: Vec<(OsText, OsText)>,
    /// Every mount that can be seen, where some file system is mounted in more than one place; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountFacts>,
}

/// A mount: a part of a file system, and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// The file system, as the kernel numbers it.
    pub device: String,
    /// Which part of it, from its own root.
    pub root: AbsPath,
    /// Where.
    pub point: AbsPath,
}

/// A directory that shall be writable, as found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFacts {
    /// As asked for.
    pub requested: Sourced<AbsPath>,
    /// Resolved; none if it doesn't exist or isn't a directory.
    pub resolved: Option<(AbsPath, FileId)>,
    /// Protected names looked up at the top of this root, present or not.
    pub names: Vec<NameFacts>,
    /// Git directories that belong to this root.
    pub git: Vec<GitFacts>,
}

/// One protected name under a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFacts {
    /// Relative to the root.
    pub name: OsText,
    /// What is there; none if nothing is.
    pub found: Option<FileKind>,
    /// Where it leads, if what is there is a symbolic link: what is missing on the way may be made later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<LinkTarget>,
}

/// Where something leads, whether or not anything is there yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkTarget {
    /// The place, resolved as far as it exists.
    pub path: AbsPath,
    /// What is there; none if nothing is.
    pub found: Option<FileKind>,
}

/// One Git directory, found behind a `.git` directory, file or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitFacts {
    /// The `.git` that led here.
    pub entry: AbsPath,
    /// Whether the entry is a directory, a pointer file or a link.
    pub entry_kind: FileKind,
    /// The Git directory, resolved.
    pub git_dir: AbsPath,
    /// The common directory, resolved: the same as `git_dir` but in a linked worktree.
    pub common_dir: AbsPath,
    /// Names present at the top of the Git directory, for `git = "commit"`.
    pub present: Vec<(OsText, FileKind)>,
    /// The Git directory names this entry as its own (`gitdir`, `core.worktree`, or it is the entry itself). A pointer
    /// that nothing points back to may have been planted, so it opens nothing for writing.
    #[serde(default)]
    pub linked_back: bool,
    /// Places outside the Git directory that its configuration has git run or read programs and settings from
    /// (`core.hooksPath`, `include.path`), with the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured: Vec<(String, LinkTarget)>,
    /// Those of the two directories that aren't there yet: whoever makes one says what git runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<AbsPath>,
}

/// The program a command would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// The word that named it.
    pub requested: OsText,
    /// The file found for it, resolved through symbolic links; none if nothing was found.
    pub resolved: Option<AbsPath>,
    /// Its identity.
    pub id: Option<FileId>,
    /// Whether a directory searched before it, or it itself, lies in a writable root.
    pub from_writable: bool,
}

/// Where facts that no setting names come from.
#[must_use]
pub fn found(fact: &str) -> Origin {
    Origin::host(fact)
}
