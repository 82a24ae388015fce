//! Absolute paths, compared by component and never by prefix of text.

use crate::os_text::OsText;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// An absolute path without `.` and `..` components and without NUL.
///
/// It says nothing about what is on disk: symbolic links may still be in it. A path that was resolved on disk is kept
/// next to the file identity that was seen (see [`crate::facts::FileId`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(PathBuf);

/// Why a path is not an [`AbsPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin at the root.
    Relative(PathBuf),
    /// It has a `..` component, whose meaning depends on symbolic links.
    DotDot(PathBuf),
    /// It contains a NUL byte, which no system call takes.
    Nul(PathBuf),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, why) = match self {
            Self::Relative(path) => (path, "is not absolute"),
            Self::DotDot(path) => (path, "has a `..` component"),
            Self::Nul(path) => (path, "contains a NUL byte"),
        };
        write!(f, "`{}` {why}", crate::text::escape_bytes(path.as_os_str().as_encoded_bytes()))
    }
}

impl std::error::Error for PathError {}

impl AbsPath {
    /// Takes an absolute path; repeated separators and `.` go, `..` is an error.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        let path = path.into();
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(PathError::Nul(path));
        }
        if !path.has_root() {
            return Err(PathError::Relative(path));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(PathError::DotDot(path));
        }
        Ok(Self(path.components().collect()))
    }

    /// Takes an absolute path and removes `..` by text alone. Only for paths that a person reads, never for enforcement:
    /// where a component is a symbolic link the kernel would go elsewhere.
    pub fn lexical(path: impl AsRef<Path>) -> Result<Self, PathError> {
        let path = path.as_ref();
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    out.pop();
                }
                other => out.push(other),
            }
        }
        Self::new(out)
    }

    /// The root directory.
    #[must_use]
    pub fn root() -> Self {
        Self(PathBuf::from("/"))
    }

    /// This path as `std` has it.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// A child: `name` is relative and may have several components, but no `..`.
    pub fn join(&self, name: impl AsRef<Path>) -> Result<Self, PathError> {
        let name = name.as_ref();
        if name.has_root() {
            return Err(PathError::Relative(name.to_path_buf()));
        }
        Self::new(self.0.join(name))
    }

    /// The directory that holds this path; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_path_buf()))
    }

    /// The last component; none for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// Whether this path is `root` or lies below it, by component: `/w/app-evil` is not within `/w/app`.
    #[must_use]
    pub fn is_within(&self, root: &Self) -> bool {
        self.0.starts_with(&root.0)
    }

    /// What remains of this path below `root`; empty for `root` itself.
    #[must_use]
    pub fn below(&self, root: &Self) -> Option<&Path> {
        self.0.strip_prefix(&root.0).ok()
    }

    /// Number of components below the root directory.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.components().count().saturating_sub(1)
    }

    /// A form that is safe to print.
    #[must_use]
    pub fn display(&self) -> String {
        crate::text::escape_bytes(self.0.as_os_str().as_encoded_bytes())
    }

    /// Takes the path out.
    #[must_use]
    pub fn into_path_buf(self) -> PathBuf {
        self.0
    }
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Debug for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for AbsPath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        OsText::new(self.0.as_os_str()).serialize(s)
    }
}

impl<'de> Deserialize<'de> for AbsPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(OsText::deserialize(d)?.into_os_string()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abs(path: &str) -> AbsPath {
        AbsPath::new(path).expect(path)
    }

    #[test]
    fn fs_19_paths_compare_by_component() {
        assert!(abs("/w/app/x").is_within(&abs("/w/app")));
        assert!(abs("/w/app").is_within(&abs("/w/app")));
        assert!(!abs("/w/app-evil").is_within(&abs("/w/app")));
        assert!(AbsPath::new("/w/app/../x").is_err());
        assert!(AbsPath::new("/w/app\0x").is_err());
        assert!(AbsPath::new("w/app").is_err());
    }

    #[test]
    fn separators_and_dots_do_not_count() {
        assert_eq!(abs("//w/./app//"), abs("/w/app"));
        assert_eq!(AbsPath::lexical("/usr/bin/../bin/git").expect("lexical"), abs("/usr/bin/git"));
        assert_eq!(AbsPath::lexical("/../../x").expect("lexical"), abs("/x"));
    }

    #[test]
    fn a_child_stays_below() {
        assert!(abs("/w").join("../x").is_err());
        assert!(abs("/w").join("/etc").is_err());
        assert_eq!(abs("/w").join("a/b").expect("child"), abs("/w/a/b"));
    }
}
