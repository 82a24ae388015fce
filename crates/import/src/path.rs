//! Path patterns, as agents write them, read as entries of a permission profile.

use ringfence_model::glob::{PathGlob, name_matches};

/// Where a pattern applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Absolute, or from the home (`~`).
    Anywhere(String),
    /// Below each workspace root; `.` is the root itself.
    Workspace(String),
}

impl Place {
    pub(crate) fn is_below_home(&self) -> bool {
        matches!(self, Self::Anywhere(text) if text.starts_with('~'))
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Anywhere(text) | Self::Workspace(text) => text,
        }
    }

    /// What the place counts from, and the names below it.
    fn split(&self) -> (u8, Vec<&str>) {
        let (base, rest) = match self {
            Self::Anywhere(text) if text == ":root" => (b'/', ""),
            Self::Anywhere(text) => match text.strip_prefix('~') {
                Some(rest) => (b'~', rest),
                None => (b'/', text.as_str()),
            },
            Self::Workspace(text) if text == "." => (b'.', ""),
            Self::Workspace(text) => (b'.', text.as_str()),
        };
        (base, rest.split('/').filter(|name| !name.is_empty()).collect())
    }

    /// Whether this covers `other` wherever home and workspace lie.
    pub(crate) fn surely_covers(&self, other: &Self) -> bool {
        self.split().0 == other.split().0 && self.may_cover(other)
    }

    /// Whether this may cover `other`, wherever home and workspace lie. What counts from different places is compared by
    /// names alone, and counts as covered where it could be; a workspace that lies inside a restricted directory as a
    /// whole isn't seen.
    pub(crate) fn may_cover(&self, other: &Self) -> bool {
        let ((base, names), (other_base, other_names)) = (self.split(), other.split());
        if names.is_empty() {
            return true;
        }
        if base == b'/' && other_base == b'~' && may_hold_a_home(&names) {
            return true;
        }
        let joined = names.join("/");
        let target = format!("/{}", other_names.join("/"));
        let covers = |pattern: String| PathGlob::new(&pattern).map_or(true, |glob| glob.covers(target.as_bytes()));
        if base == other_base {
            return covers(format!("/{joined}"));
        }
        if self.text().starts_with("/**/") {
            return covers(format!("/{joined}"));
        }
        let tail_meets_head = (0..names.len()).any(|from| {
            let tail = names.get(from..).unwrap_or_default();
            let head = other_names.get(..tail.len()).unwrap_or_default();
            head.len() == tail.len()
                && tail
                    .iter()
                    .zip(head)
                    .all(|(pattern, name)| *pattern == "**" || name_matches(pattern.as_bytes(), name.as_bytes()))
        });
        tail_meets_head || covers(format!("/**/{joined}"))
    }
}

/// Homes as systems lay them out.
const HOMES: &[&str] = &["/home/user", "/Users/user", "/root", "/var/home/user", "/export/home/user"];

/// Whether a pattern from the root may mean a home as a whole, or a directory above it.
fn may_hold_a_home(names: &[&str]) -> bool {
    let one_user = matches!(names, ["home" | "Users", _] | ["var" | "export", "home", _]);
    let glob = PathGlob::new(&format!("/{}", names.join("/")));
    one_user || glob.map_or(true, |glob| HOMES.iter().any(|home| glob.covers(home.as_bytes())))
}

/// A pattern read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) place: Place,
    /// Whether it has wildcards left: such can be denied, not granted.
    pub(crate) glob: bool,
    /// Whether it means exactly what was written; if not, it covers more.
    pub(crate) exact: bool,
}

/// What a relative pattern is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base<'a> {
    /// The workspace.
    Workspace,
    /// A directory of the user's home, such as `~/.claude`.
    Home(&'a str),
}

/// Reads `pattern` with `*`, `?`, `**` and character classes. A pattern without a slash matches at any depth if
/// `floating`, as in ignore files. `None`: nothing that a profile could say, not even more broadly.
pub(crate) fn read(pattern: &str, base: Base<'_>, floating: bool) -> Option<Read> {
    let pattern = pattern.trim();
    if pattern.is_empty() || pattern.starts_with('!') || pattern.chars().any(char::is_control) || pattern.len() > 2048 {
        return None;
    }
    let (rooted, rest) = if pattern == "~" {
        (Some("~"), "")
    } else if let Some(rest) = pattern.strip_prefix("~/") {
        (Some("~"), rest)
    } else if pattern.starts_with('~') {
        return None;
    } else if let Some(rest) = pattern.strip_prefix('/') {
        (Some(""), rest)
    } else {
        (None, pattern)
    };
    let floats = rooted.is_none() && floating && !rest.trim_end_matches('/').contains('/');
    let (parts, mut exact) = components(rest)?;
    let mut text = parts.join("/");
    let whole = parts.is_empty();
    let place = match (rooted, base) {
        // A name that counts at any depth below a base is denied at any depth anywhere.
        (None, _) if floats && !whole => {
            exact = false;
            Place::Anywhere(format!("/**/{text}"))
        }
        (Some(root), _) if whole => Place::Anywhere(if root.is_empty() { "/".to_owned() } else { root.to_owned() }),
        (Some(root), _) => Place::Anywhere(format!("{root}/{text}")),
        (None, Base::Workspace) => {
            if whole {
                text = ".".to_owned();
            }
            Place::Workspace(text)
        }
        (None, Base::Home(directory)) if whole => Place::Anywhere(format!("~/{directory}")),
        (None, Base::Home(directory)) => Place::Anywhere(format!("~/{directory}/{text}")),
    };
    let shown = match &place {
        Place::Anywhere(text) | Place::Workspace(text) => text,
    };
    Some(Read { glob: shown.contains(['*', '?']), place, exact })
}

/// The components of a relative pattern, rewritten into those that a profile knows; whether that was exact.
fn components(text: &str) -> Option<(Vec<String>, bool)> {
    let mut parts: Vec<String> = Vec::new();
    let mut exact = true;
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            "**" => {
                if parts.last().is_none_or(|last| last != "**") {
                    parts.push("**".to_owned());
                }
            }
            part => {
                let (part, same) = component(part);
                exact &= same;
                parts.push(part);
            }
        }
    }
    // What is below a directory: the directory, which covers all of it, and itself.
    while parts.last().is_some_and(|last| last == "**") {
        parts.pop();
    }
    // `**` alone would deny the root as a glob; an empty list says it plainly.
    Some((parts, exact))
}

/// One component: classes, braces and escapes become wildcards that match more.
fn component(part: &str) -> (String, bool) {
    let mut out = String::new();
    let mut exact = true;
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' if out.ends_with('*') => {}
            '\\' => {
                chars.next();
                out.push('?');
                exact = false;
            }
            '[' => match chars.as_str().split_once(']') {
                Some((_, after)) => {
                    out.push('?');
                    exact = false;
                    chars = after.chars();
                }
                None => {
                    out.push('?');
                    exact = false;
                }
            },
            '{' => match chars.as_str().split_once('}') {
                Some((_, after)) => {
                    if !out.ends_with('*') {
                        out.push('*');
                    }
                    exact = false;
                    chars = after.chars();
                }
                None => out.push('{'),
            },
            c => out.push(c),
        }
    }
    (out, exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(pattern: &str) -> Option<(String, bool)> {
        read(pattern, Base::Workspace, true).map(|read| match read.place {
            Place::Anywhere(text) => (text, read.exact),
            Place::Workspace(text) => (format!("<{text}>"), read.exact),
        })
    }

    #[test]
    fn patterns_and_what_they_become() {
        for (pattern, expected, exact) in [
            ("/etc/shadow", "/etc/shadow", true),
            ("~/.ssh", "~/.ssh", true),
            ("~", "~", true),
            ("/", "/", true),
            ("./secrets/**", "<secrets>", true),
            ("src/gen/*.rs", "<src/gen/*.rs>", true),
            (".", "<.>", true),
            ("**", "<.>", true),
            (".env", "/**/.env", false),
            ("*.pem", "/**/*.pem", false),
            ("secrets/", "/**/secrets", false),
            ("**/.env", "<**/.env>", true),
            ("/a/**/**/b", "/a/**/b", true),
            ("/a/b**c", "/a/b*c", true),
            ("/a/[abc].txt", "/a/?.txt", false),
            ("/a/{x,y}", "/a/*", false),
            ("/a/\\*", "/a/?", false),
        ] {
            assert_eq!(shown(pattern), Some((expected.to_owned(), exact)), "{pattern}");
        }
        for bad in ["", "!x", "../x", "a/../b", "~other/x", "a\nb"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_absolute_result_is_a_pattern_that_the_vocabulary_accepts(pattern in "[~/.*?ab\\[\\]{},\\\\!]{0,16}") {
            if let Some(Read { place: Place::Anywhere(text), .. }) = read(&pattern, Base::Home(".claude"), true) {
                let absolute = text.strip_prefix('~').map_or(text.clone(), |rest| format!("/home/u{rest}"));
                prop_assert!(ringfence_model::glob::PathGlob::new(&absolute).is_ok(), "{} → {}", pattern, text);
            }
        }
    }
}
