//! What Windows makes of a path: names that lead elsewhere than they say, prefixes that say the same thing twice, and
//! letters of which both cases are one. Pure text; what needs no `std` of that system is tested on every one.

/// Why a name of a path would lead elsewhere than it says; none if it is what it seems.
///
/// Refused rather than tidied up: what is done to such names differs between the calls that take them, and a file that
/// really is called so is opened only by whoever means harm.
pub(super) fn misleading(name: &[u8]) -> Option<&'static str> {
    if name.contains(&b':') {
        return Some("names a data stream of a file, by a `:`");
    }
    if name.contains(&b'/') {
        return Some("has a `/` that isn't a separator");
    }
    if matches!(name.last(), Some(b'.' | b' ')) {
        return Some("has a name that ends with a dot or a space, which Windows drops");
    }
    is_device(name).then_some("names a device, whatever directory it is said to be in")
}

/// `CON`, `nul.txt`, `COM1 .log`: what comes before the first dot decides.
fn is_device(name: &[u8]) -> bool {
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    match stem.as_slice() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CONIN$" | b"CONOUT$" => true,
        [b'C', b'O', b'M', rest @ ..] | [b'L', b'P', b'T', rest @ ..] => {
            // Superscript digits count: they are digits of the code page that these names are from.
            matches!(rest, [b'0'..=b'9']) || ["¹", "²", "³"].iter().any(|digit| rest == digit.as_bytes())
        }
        _ => false,
    }
}

/// The one form of a letter, as far as file names go: the capital where capital and small letter are a pair, unit by unit
/// as the file system keeps them. Letters that only share a capital (`ı`, `ſ`) stay themselves.
pub(super) fn folded(unit: u16) -> u16 {
    let Some(small) = char::from_u32(u32::from(unit)) else { return unit };
    let mut capital = small.to_uppercase();
    match (capital.next(), capital.next()) {
        (Some(capital), None) if capital.to_lowercase().eq([small]) => {
            u16::try_from(u32::from(capital)).unwrap_or(unit)
        }
        _ => unit,
    }
}

#[cfg(windows)]
pub(super) use on_windows::{below, depth, normal, parts};

#[cfg(windows)]
mod on_windows {
    use super::super::PathError;
    use super::{folded, misleading};
    use std::ffi::OsString;
    use std::os::windows::ffi::OsStrExt as _;
    use std::path::{Component, Path, PathBuf, Prefix};

    /// The one form of an absolute path: a capital drive letter or a share, backslashes, no `\\?\` where it says nothing
    /// that the plain form doesn't.
    pub(in super::super) fn normal(path: PathBuf) -> Result<PathBuf, PathError> {
        let misread = |path: &Path, why| Err(PathError::Misleading(path.to_path_buf(), why));
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                Component::Prefix(prefix) => match prefix.kind() {
                    Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => {
                        out.push(format!("{}:\\", char::from(letter.to_ascii_uppercase())));
                    }
                    Prefix::UNC(server, share) | Prefix::VerbatimUNC(server, share) => {
                        let mut text = OsString::from(r"\\");
                        text.push(server);
                        text.push(r"\");
                        text.push(share);
                        text.push(r"\");
                        out.push(text);
                    }
                    // A disk without a letter.
                    Prefix::Verbatim(name) if is_volume(name.as_encoded_bytes()) => out.push(prefix.as_os_str()),
                    Prefix::Verbatim(_) | Prefix::DeviceNS(_) => return misread(&path, "names a device"),
                },
                Component::RootDir => out.push(r"\"),
                Component::CurDir => {}
                Component::ParentDir => return Err(PathError::DotDot(path)),
                Component::Normal(name) => match misleading(name.as_encoded_bytes()) {
                    Some(why) => return misread(&path, why),
                    None => out.push(name),
                },
            }
        }
        Ok(out)
    }

    fn is_volume(name: &[u8]) -> bool {
        name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"Volume{")) && name.last() == Some(&b'}')
    }

    /// The components in the form they are compared in.
    pub(in super::super) fn parts(path: &Path) -> impl Iterator<Item = Vec<u16>> + '_ {
        path.components().map(compared)
    }

    fn compared(part: Component<'_>) -> Vec<u16> {
        part.as_os_str().encode_wide().map(folded).collect()
    }

    /// What remains of `path` below `root`.
    pub(in super::super) fn below<'p>(path: &'p Path, root: &Path) -> Option<&'p Path> {
        let mut rest = path.components();
        for part in root.components() {
            if compared(rest.next()?) != compared(part) {
                return None;
            }
        }
        Some(rest.as_path())
    }

    /// How many names it has.
    pub(in super::super) fn depth(path: &Path) -> usize {
        path.components().filter(|part| matches!(part, Component::Normal(_))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::{folded, misleading};

    #[test]
    fn fs_24_names_that_lead_elsewhere_are_known() {
        for name in [
            ".git.",
            ".git ",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            "config:hidden",
            "NUL",
            "nul.txt",
            "Con ",
            "aux .log",
            "COM1",
            "com¹.x",
            "LPT9.",
            "CONOUT$",
            "a/b",
        ] {
            assert!(misleading(name.as_bytes()).is_some(), "{name}");
        }
        for name in [".git", "console", "com", "com10", "nul1", "a.b.c", "GIT~1", "a b", "lpt", "..."] {
            let expected = name == "...";
            assert_eq!(misleading(name.as_bytes()).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn letters_are_one_in_both_cases_and_no_others() {
        let fold = |text: &str| text.encode_utf16().map(folded).collect::<Vec<_>>();
        assert_eq!(fold(".gIt"), fold(".GiT"));
        assert_eq!(fold("ÄÖ-été-яд"), fold("äö-ÉTÉ-ЯД"));
        for (one, other) in [("gıt", "git"), ("ſet", "set"), ("straße", "STRASSE"), ("\u{212a}", "k")] {
            assert_ne!(fold(one), fold(other));
        }
    }
}
