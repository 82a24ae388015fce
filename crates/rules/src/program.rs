//! What a command's first word says of its program: where it is, and by which other words it would be the same.

/// An absolute program path, lexically normalised, and the name that rules have for it.
pub(crate) fn at(word: &str) -> Option<(String, String)> {
    let path = normal(word)?;
    let name = name(&path)?.to_owned();
    Some((path, name))
}

/// An absolute path without `.`, `..` and doubled separators. Nothing is looked up.
pub(crate) fn normal(path: &str) -> Option<String> {
    if cfg!(windows) { on_windows::normal(path) } else { slashes(path) }
}

/// The name that rules have for the program at a normal path.
pub(crate) fn name(normal: &str) -> Option<&str> {
    let last = normal.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(if cfg!(windows) { on_windows::bare(last) } else { last })
}

/// Other words that start what the bare name `word` starts, where the system knows any.
pub(crate) fn other_spellings(word: &str) -> Vec<String> {
    if cfg!(windows) { on_windows::other_spellings(word) } else { Vec::new() }
}

fn slashes(path: &str) -> Option<String> {
    let rest = path.strip_prefix('/')?;
    Some(format!("/{}", plain(rest.split('/')).join("/")))
}

fn plain<'p>(parts: impl Iterator<Item = &'p str>) -> Vec<&'p str> {
    let mut plain: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            "" | "." => {}
            ".." => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// There a program is found with and without its extension, and in either case of letters.
#[cfg_attr(not(windows), allow(dead_code))]
mod on_windows {
    const EXTENSIONS: [&str; 4] = [".exe", ".com", ".bat", ".cmd"];

    /// `c:/git/git.exe` for `C:\Git\.\git.exe`: small letters, one kind of separator.
    pub(super) fn normal(path: &str) -> Option<String> {
        let path = path.to_ascii_lowercase().replace('\\', "/");
        let path = path.strip_prefix("//?/").unwrap_or(&path);
        // On the present drive.
        if path.starts_with('/') && !path.starts_with("//") {
            return super::slashes(path);
        }
        let (drive, rest) = path.split_at_checked(2)?;
        match drive.as_bytes() {
            [letter, b':'] if letter.is_ascii_lowercase() => {
                let rest = rest.strip_prefix('/')?;
                Some(format!("{drive}/{}", super::plain(rest.split('/')).join("/")))
            }
            // A share of another machine.
            b"//" => Some(format!("//{}", super::plain(rest.split('/')).join("/"))),
            _ => None,
        }
    }

    pub(super) fn bare(name: &str) -> &str {
        EXTENSIONS
            .iter()
            .find_map(|extension| name.strip_suffix(extension))
            .filter(|bare| !bare.is_empty())
            .unwrap_or(name)
    }

    pub(super) fn other_spellings(word: &str) -> Vec<String> {
        if word.is_empty() || word.contains(['/', '\\', ':']) {
            return Vec::new();
        }
        // Windows drops these at the end of a name.
        let small = word.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        let bare = bare(&small);
        let with = EXTENSIONS.iter().map(|extension| format!("{bare}{extension}"));
        std::iter::once(bare.to_owned()).chain(with).filter(|other| other != word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::on_windows;

    #[test]
    fn a_program_of_windows_has_one_path() {
        for same in [r"C:\Git\cmd\git.exe", "c:/git/./cmd//GIT.EXE", r"\\?\C:\Git\x\..\cmd\git.exe"] {
            assert_eq!(on_windows::normal(same).as_deref(), Some("c:/git/cmd/git.exe"), "{same}");
        }
        assert_eq!(on_windows::normal(r"\\Server\Share\a.exe").as_deref(), Some("//server/share/a.exe"));
        assert_eq!(on_windows::normal(r"\usr\bin\Git.exe").as_deref(), Some("/usr/bin/git.exe"));
        for none in ["git", r"git\x", "c:git.exe", "", "é"] {
            assert_eq!(on_windows::normal(none), None, "{none}");
        }
    }

    #[test]
    fn cmd_30_a_name_is_the_same_with_its_extension() {
        assert_eq!(
            (on_windows::bare("git.exe"), on_windows::bare("npm.cmd"), on_windows::bare(".exe")),
            ("git", "npm", ".exe")
        );
        let all = on_windows::other_spellings("GIT.exe.");
        assert!(all.contains(&"git".to_owned()) && all.contains(&"git.exe".to_owned()), "{all:?}");
        assert!(!on_windows::other_spellings("git").contains(&"git".to_owned()));
        assert!(on_windows::other_spellings(r"C:\git.exe").is_empty());
    }
}
