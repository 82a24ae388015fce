//! Path globs: `*` and `?` stay within one component, `**` crosses directories, a leading `/**/` means anywhere.
//!
//! Matching works on bytes, costs at most pattern × path steps, and never looks at a disk.

use crate::os_text::OsText;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;
use std::fmt;

/// A glob over absolute paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathGlob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    AnyDepth,
    Name(Vec<u8>),
}

/// Why a pattern is not a [`PathGlob`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobError {
    text: String,
    why: &'static str,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", crate::text::escape(&self.text), self.why)
    }
}

impl std::error::Error for GlobError {}

/// Longest accepted pattern, in bytes; the size of `PATH_MAX`.
pub const MAX_PATTERN: usize = 4096;

impl PathGlob {
    /// Reads an absolute pattern.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let error = |why| Err(GlobError { text: text.to_owned(), why });
        if text.len() > MAX_PATTERN {
            return error("is longer than 4096 bytes");
        }
        if text.contains('\0') {
            return error("contains a NUL byte");
        }
        if !is_absolute(text) {
            return error("is not absolute: begin it with `/`, `~` or `/**/`");
        }
        let mut parts = Vec::new();
        for part in text.split(is_separator) {
            match part {
                "" | "." => {}
                ".." => return error("has a `..` component"),
                "**" if parts.last() == Some(&Part::AnyDepth) => {}
                "**" => parts.push(Part::AnyDepth),
                name if name.contains("**") => {
                    return error("has `**` beside other characters; `**` is a whole component");
                }
                name => parts.push(Part::Name(compared(name.as_bytes()).into_owned())),
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether `text` has a wildcard at all; without one it is an exact path.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `path` (absolute bytes) matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let names = names(path);
        self.reachable(&names).last() == Some(&true)
    }

    /// Whether `path` or any directory above it matches: a denied directory denies what is in it.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        let names = names(path);
        self.reachable(&names).contains(&true)
    }

    /// Whether everything this pattern covers at or below `from` would still be covered at the same place below `to`.
    ///
    /// Compares where the pattern can stand after either path; a sufficient test, exact for patterns without repetition.
    #[must_use]
    pub fn stays_covered(&self, from: &[u8], to: &[u8]) -> bool {
        if self.covers(to) {
            return true;
        }
        if self.covers(from) {
            return false;
        }
        let after = self.standings(to);
        self.standings(from).iter().zip(&after).all(|(before, after)| !before || *after)
    }

    /// For each number of leading parts of the pattern: can exactly those have matched all of `path`?
    fn standings(&self, path: &[u8]) -> Vec<bool> {
        let names = names(path);
        (0..=self.parts.len())
            .map(|count| Self::row(self.parts.get(..count).unwrap_or_default(), &names).last() == Some(&true))
            .collect()
    }

    /// For each number of leading components: does the pattern match exactly that many?
    fn reachable(&self, names: &[Cow<'_, [u8]>]) -> Vec<bool> {
        Self::row(&self.parts, names)
    }

    fn row(parts: &[Part], names: &[Cow<'_, [u8]>]) -> Vec<bool> {
        let mut row = vec![false; names.len() + 1];
        row[0] = true;
        for part in parts {
            let mut next = vec![false; names.len() + 1];
            match part {
                Part::AnyDepth => {
                    let mut seen = false;
                    for (slot, was) in next.iter_mut().zip(&row) {
                        seen |= *was;
                        *slot = seen;
                    }
                }
                Part::Name(pattern) => {
                    for (index, name) in names.iter().enumerate() {
                        next[index + 1] = row[index] && name_matches(pattern, name);
                    }
                }
            }
            row = next;
        }
        row
    }
}

#[cfg(not(windows))]
fn is_absolute(text: &str) -> bool {
    text.starts_with('/')
}

/// There a drive letter makes a path absolute too.
#[cfg(windows)]
fn is_absolute(text: &str) -> bool {
    let after_drive = match text.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
        _ => text,
    };
    after_drive.starts_with(is_separator)
}

fn is_separator(c: char) -> bool {
    c == '/' || cfg!(windows) && c == '\\'
}

/// The names of a path, each in the form it is compared in.
fn names(path: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let names = path.split(|byte| is_separator(char::from(*byte)));
    names.filter(|name| !name.is_empty()).map(compared).collect()
}

#[cfg(not(windows))]
fn compared(name: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(name)
}

/// There small and capital letters are the same.
#[cfg(windows)]
fn compared(name: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(name) {
        Ok(text) => Cow::Owned(text.chars().map(crate::path::folded).collect::<String>().into_bytes()),
        Err(_) => Cow::Owned(name.to_ascii_uppercase()),
    }
}

/// Matches one name against a pattern with `*` and `?`, in linear memory and pattern × name steps at most.
#[must_use]
pub fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    matches_by(pattern, name, |pattern, name| pattern == name)
}

/// As [`name_matches`], ignoring ASCII case: for names of environment variables.
#[must_use]
pub fn name_matches_ignoring_case(pattern: &str, name: &[u8]) -> bool {
    // Most patterns differ from most names at once.
    if let (Some(first), Some(byte)) = (pattern.as_bytes().first(), name.first())
        && !matches!(first, b'*' | b'?')
        && !first.eq_ignore_ascii_case(byte)
    {
        return false;
    }
    matches_by(pattern.as_bytes(), name, |pattern, name| pattern.eq_ignore_ascii_case(&name))
}

fn matches_by(pattern: &[u8], name: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    // Behind a star, where the next character of the pattern can be at all.
    let seek = |p: usize, from: usize| match pattern.get(p) {
        Some(b'*' | b'?') | None => Some(from),
        Some(byte) => name.get(from..)?.iter().position(|there| same(*byte, *there)).map(|at| from + at),
    };
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                let Some(from) = seek(p + 1, n) else { return false };
                retry = Some((p, from));
                (p, n) = (p + 1, from);
            }
            Some(b'?') => {
                p += 1;
                n += char_length(name, n);
            }
            Some(byte) if same(*byte, name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    let Some(next) = seek(star + 1, from + 1) else { return false };
                    retry = Some((star, next));
                    (p, n) = (star + 1, next);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn char_length(name: &[u8], at: usize) -> usize {
    let length = match name[at] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    match name.get(at..at + length) {
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => length,
        _ => 1,
    }
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathGlob({:?})", self.text)
    }
}

impl Serialize for PathGlob {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PathGlob {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl From<&PathGlob> for OsText {
    fn from(glob: &PathGlob) -> Self {
        OsText::new(glob.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathGlob::new(pattern).expect(pattern).matches(path.as_bytes())
    }

    #[test]
    fn a_rename_that_would_uncover_something_is_known() {
        let anywhere = PathGlob::new("/**/.env").unwrap();
        assert!(anywhere.stays_covered(b"/w/a", b"/w/b"));
        assert!(!anywhere.stays_covered(b"/w/.env", b"/w/env"));
        let keys = PathGlob::new("/w/secrets/*.pem").unwrap();
        assert!(!keys.stays_covered(b"/w/secrets", b"/w/open"));
        assert!(!keys.stays_covered(b"/w/secrets/a.pem", b"/w/secrets/a.txt"));
        assert!(keys.stays_covered(b"/w/other", b"/w/else"));
        assert!(keys.stays_covered(b"/w/secrets/a.txt", b"/w/secrets/b.txt"));
    }

    #[test]
    fn stars_and_depth() {
        assert!(matches("/**/*.env", "/a/b/.env"));
        assert!(matches("/**/*.env", "/x.env"));
        assert!(matches("/w/**/.env", "/w/.env"));
        assert!(matches("/w/**", "/w/a/b"));
        assert!(matches("/w/*", "/w/a"));
        assert!(!matches("/w/*", "/w/a/b"));
        assert!(!matches("/w/*", "/w"));
        assert!(matches("/w/?", "/w/é"));
        assert!(!matches("/w/a", "/w/ab"));
    }

    #[test]
    fn a_denied_directory_covers_what_is_in_it() {
        let glob = PathGlob::new("/**/secrets").expect("pattern");
        assert!(glob.covers(b"/a/secrets/deep/key"));
        assert!(!glob.covers(b"/a/secrets2/key"));
    }

    #[cfg(windows)]
    #[test]
    fn on_windows_drives_separators_and_letters_of_either_case_are_taken() {
        assert!(matches("/**/.env", r"C:\w\.ENV"));
        assert!(matches(r"C:\Users\me\*.key", "c:/users/ME/a.Key"));
        assert!(matches("c:/w/**", r"C:\W\a\b"));
        assert!(!matches(r"C:\w\*.key", r"D:\w\a.key"));
        assert!(PathGlob::new("C:w").is_err() && PathGlob::new("1:/w").is_err());
        assert!(PathGlob::new(r"C:\w\..\*").is_err());
    }

    #[test]
    fn refused_patterns() {
        for bad in ["./x", "x", "", "/a/../b", "/a**b", "/a\0"] {
            assert!(PathGlob::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dos_03_many_stars_stay_cheap() {
        let pattern = "a*".repeat(1000) + "b";
        assert!(!name_matches(pattern.as_bytes(), "a".repeat(4000).as_bytes()));
    }

    /// What a pattern means, without a thought for speed.
    fn means(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| means(rest, &name[skip..])),
            (Some((b'?', rest)), Some((_, left))) => means(rest, left),
            (Some((byte, rest)), Some((there, left))) => byte.eq_ignore_ascii_case(there) && means(rest, left),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn names_match_as_their_pattern_says(pattern in "[abA*?]{0,8}", name in "[abB]{0,10}") {
            let expected = means(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(name_matches_ignoring_case(&pattern, name.as_bytes()), expected);
        }
        #[test]
        fn no_pattern_or_path_panics(pattern in "/[ab*?/.]{0,24}", path in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(glob) = PathGlob::new(&pattern)
                && glob.matches(&path) { prop_assert!(glob.covers(&path)); }
        }
        #[test]
        fn a_pattern_without_wildcards_matches_itself_alone(path in "(/[a-c]{1,3}){1,4}", other in "(/[a-c]{1,3}){1,4}") {
            let glob = PathGlob::new(&path).expect("a path is a pattern");
            prop_assert!(glob.matches(path.as_bytes()));
            prop_assert_eq!(glob.matches(other.as_bytes()), path == other);
        }
    }
}
