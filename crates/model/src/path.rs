//! Absolute paths, compared by component and never by prefix of text.

use crate::os_text::OsText;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Component, Path, PathBuf};

#[cfg(any(windows, test))]
mod windows;

/// An absolute path without `.` and `..` components and without NUL.
///
/// It says nothing about what is on disk: symbolic links may still be in it. A path that was resolved on disk is kept
/// next to the file identity that was seen (see [`crate::facts::FileId`]).
///
/// On Unix its text is kept in one form (single separators, none at the end), so equality, order and containment are
/// found on the bytes: a start compares thousands of paths.
///
/// On Windows small and capital letters are the same, `\\?\C:\w` is `C:\w`, and what leads elsewhere than it says is none:
/// `NUL`, `.git.`, `.git::$INDEX_ALLOCATION`.
#[derive(Clone)]
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
    /// A name in it isn't read as it stands, on Windows; why.
    Misleading(PathBuf, &'static str),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, why) = match self {
            Self::Relative(path) => (path, "is not absolute"),
            Self::DotDot(path) => (path, "has a `..` component"),
            Self::Nul(path) => (path, "contains a NUL byte"),
            Self::Misleading(path, why) => (path, *why),
        };
        write!(f, "`{}` {why}", crate::text::escape_os(path))
    }
}

impl std::error::Error for PathError {}

impl AbsPath {
    /// Takes an absolute path; repeated separators and `.` go, `..` is an error.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        let path = path.into();
        if cfg!(unix) && is_normal(path.as_os_str().as_encoded_bytes()) {
            return Ok(Self(path));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(PathError::Nul(path));
        }
        if !path.has_root() {
            return Err(PathError::Relative(path));
        }
        #[cfg(windows)]
        return windows::normal(path).map(Self);
        #[cfg(not(windows))]
        {
            if path.components().any(|part| part == Component::ParentDir) {
                return Err(PathError::DotDot(path));
            }
            Ok(Self(path.components().collect()))
        }
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
        #[cfg(unix)]
        if let Some(joined) = self.join_normal(name) {
            return Ok(joined);
        }
        let has_drive = matches!(name.components().next(), Some(Component::Prefix(_)));
        if name.has_root() || has_drive {
            return Err(PathError::Relative(name.to_path_buf()));
        }
        Self::new(self.0.join(name))
    }

    /// The same for a name in normal form, as nearly all are, without a look at this path.
    #[cfg(unix)]
    fn join_normal(&self, name: &Path) -> Option<Self> {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let (above, name) = (self.bytes(), name.as_os_str().as_bytes());
        if !are_normal(name) {
            return None;
        }
        let mut joined = Vec::with_capacity(above.len() + 1 + name.len());
        joined.extend_from_slice(above);
        if above != b"/" {
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        Some(Self(PathBuf::from(std::ffi::OsString::from_vec(joined))))
    }

    /// The directory that holds this path; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if cfg!(not(unix)) {
            return self.0.parent().map(|parent| Self(parent.to_path_buf()));
        }
        let at = self.split()?;
        Some(Self(PathBuf::from(text(&self.bytes()[..at.max(1)]))))
    }

    /// The last component; none for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&OsStr> {
        if cfg!(not(unix)) {
            return self.0.file_name();
        }
        Some(text(&self.bytes()[self.split()? + 1..]))
    }

    /// Whether this path is `root` or lies below it, by component: `/w/app-evil` is not within `/w/app`.
    #[must_use]
    pub fn is_within(&self, root: &Self) -> bool {
        self.below(root).is_some()
    }

    /// What remains of this path below `root`; empty for `root` itself.
    #[must_use]
    pub fn below(&self, root: &Self) -> Option<&Path> {
        #[cfg(windows)]
        return windows::below(&self.0, &root.0);
        #[cfg(not(windows))]
        self.bytes_below(root)
    }

    #[cfg(not(windows))]
    fn bytes_below(&self, root: &Self) -> Option<&Path> {
        let rest = self.bytes().strip_prefix(root.bytes())?;
        match rest.split_first() {
            None => Some(Path::new("")),
            Some((b'/', rest)) => Some(Path::new(text(rest))),
            Some(_) if root.bytes() == b"/" => Some(Path::new(text(rest))),
            Some(_) => None,
        }
    }

    /// Number of components below the root directory.
    #[must_use]
    pub fn depth(&self) -> usize {
        #[cfg(windows)]
        return windows::depth(&self.0);
        #[cfg(not(windows))]
        self.0.components().count().saturating_sub(1)
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_os_str().as_encoded_bytes()
    }

    /// Where the last separator stands; none for the root.
    fn split(&self) -> Option<usize> {
        let bytes = self.bytes();
        if bytes.len() == 1 { None } else { bytes.iter().rposition(|byte| *byte == b'/') }
    }

    /// A form that is safe to print.
    #[must_use]
    pub fn display(&self) -> String {
        crate::text::escape_os(&self.0)
    }

    /// Takes the path out.
    #[must_use]
    pub fn into_path_buf(self) -> PathBuf {
        self.0
    }
}

/// A letter as names are compared on Windows.
#[cfg(windows)]
pub(crate) fn folded(letter: char) -> char {
    let unit = u16::try_from(u32::from(letter)).map(windows::folded);
    unit.ok().and_then(|unit| char::from_u32(u32::from(unit))).unwrap_or(letter)
}

/// Whether this is the one form in which an absolute path is kept on Unix.
fn is_normal(path: &[u8]) -> bool {
    match path.split_first() {
        Some((b'/', [])) => true,
        Some((b'/', rest)) => are_normal(rest),
        _ => false,
    }
}

/// Whether these are components with one `/` between each two.
fn are_normal(components: &[u8]) -> bool {
    !components.contains(&0) && components.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

/// A part, cut at separators, of a path's text.
#[cfg(unix)]
fn text(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(not(unix))]
fn text(bytes: &[u8]) -> &OsStr {
    // Never asked for there.
    OsStr::new(std::str::from_utf8(bytes).unwrap_or_default())
}

impl PartialEq for AbsPath {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(windows)]
        return windows::parts(&self.0).eq(windows::parts(&other.0));
        #[cfg(not(windows))]
        {
            self.bytes() == other.bytes()
        }
    }
}

impl Eq for AbsPath {}

impl Hash for AbsPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        #[cfg(windows)]
        windows::parts(&self.0).for_each(|part| part.hash(state));
        #[cfg(not(windows))]
        self.bytes().hash(state);
    }
}

impl PartialOrd for AbsPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AbsPath {
    /// By component, as `std` orders paths: a separator comes before every byte that a name may have.
    fn cmp(&self, other: &Self) -> Ordering {
        #[cfg(windows)]
        return windows::parts(&self.0).cmp(windows::parts(&other.0));
        #[cfg(not(windows))]
        self.cmp_bytes(other)
    }
}

impl AbsPath {
    #[cfg(not(windows))]
    fn cmp_bytes(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.bytes(), other.bytes());
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        match ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs) {
            Some((ours, theirs)) => rank(ours).cmp(&rank(theirs)),
            None => ours.len().cmp(&theirs.len()),
        }
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
    #[cfg(unix)]
    use proptest::prelude::*;

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
        assert_eq!(abs("/w/.//app//"), abs("/w/app"));
        assert_eq!(AbsPath::lexical("/usr/bin/../bin/git").expect("lexical"), abs("/usr/bin/git"));
        assert_eq!(AbsPath::lexical("/../../x").expect("lexical"), abs("/x"));
    }

    // Elsewhere there are no bytes to compare; two leading separators name a machine on Windows.
    #[cfg(unix)]
    proptest! {
        #[test]
        fn bytes_say_what_components_say(ours in "(/[./ab-]{0,3}){0,4}", theirs in "(/[./ab-]{0,3}){0,4}") {
            let (Ok(ours), Ok(theirs)) = (AbsPath::new(ours), AbsPath::new(theirs)) else { return Ok(()) };
            let (a, b) = (ours.as_path(), theirs.as_path());
            prop_assert_eq!(ours.cmp(&theirs), a.cmp(b));
            prop_assert_eq!(ours == theirs, a == b);
            prop_assert_eq!(ours.below(&theirs), a.strip_prefix(b).ok());
            prop_assert_eq!(ours.is_within(&theirs), a.starts_with(b));
            let parent = ours.parent();
            prop_assert_eq!(parent.as_ref().map(AbsPath::as_path), a.parent());
            prop_assert_eq!(ours.file_name(), a.file_name());
            let built: PathBuf = a.components().collect();
            prop_assert_eq!(built.as_os_str(), a.as_os_str());
        }
    }

    #[test]
    fn a_child_stays_below() {
        assert!(abs("/w").join("../x").is_err());
        assert!(abs("/w").join("/etc").is_err());
        assert_eq!(abs("/w").join("a/b").expect("child"), abs("/w/a/b"));
    }

    #[cfg(windows)]
    #[test]
    fn fs_24_one_place_has_one_path_on_windows() {
        let plain = abs(r"C:\Work\App");
        for same in [r"c:\work\APP", "C:/work/app", r"C:\Work\.\App\", r"\\?\C:\Work\App", r"\\?\c:\WORK\App"] {
            assert_eq!(abs(same), plain, "{same}");
            assert!(abs(same).is_within(&abs(r"c:\WORK")), "{same}");
        }
        assert_eq!(abs(r"\\?\C:\Work\App").display(), r"C:\Work\App");
        assert_eq!(abs(r"\\?\UNC\server\share\x"), abs(r"\\SERVER\Share\X"));
        assert_eq!(plain.below(&abs("c:/work")), Some(Path::new("App")));
        assert_eq!((abs(r"C:\").depth(), plain.depth()), (0, 2));
        for other in [r"D:\Work\App", r"C:\Work\App-evil", r"C:\Work", r"\\server\C$\Work\App"] {
            assert_ne!(abs(other), plain, "{other}");
            assert!(!abs(other).is_within(&plain), "{other}");
        }
        let mut both = [abs(r"c:\b"), abs(r"C:\A"), abs(r"C:\a\x"), abs(r"C:\a.b")];
        both.sort();
        assert_eq!(both, [abs(r"C:\A"), abs(r"C:\a\x"), abs(r"C:\a.b"), abs(r"c:\b")]);
    }

    #[cfg(windows)]
    #[test]
    fn fs_24_what_leads_elsewhere_than_it_says_is_no_path_on_windows() {
        for path in [
            r"C:relative",
            r"relative",
            r"C:\w\..\x",
            r"C:\w\.git.",
            r"C:\w\.git \config",
            r"C:\w\.git::$INDEX_ALLOCATION\config",
            r"C:\w\config:hidden",
            r"C:\w\NUL",
            r"C:\w\con.txt",
            r"\\?\C:\w\.git.",
            r"\\?\C:\w\a/b",
            r"\\.\pipe\x",
            r"\\.\PhysicalDrive0",
            r"\\?\GLOBALROOT\Device\HarddiskVolume1\x",
        ] {
            assert!(AbsPath::new(path).is_err(), "{path}");
        }
        assert!(abs(r"C:\w").join(r"\x").is_err() && abs(r"C:\w").join("D:x").is_err());
        let volume = r"\\?\Volume{01234567-89ab-cdef-0123-456789abcdef}\w";
        assert!(abs(volume).join("a").expect("a child").is_within(&abs(volume)));
    }
}
