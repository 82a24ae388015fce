//! Whether two names are one to a file system that folds case, composes characters, or drops what can't be seen. Pure.

/// A name as the most forgiving file system would compare it.
///
/// Full case folding by way of upper case (`ſ`, `K` and ligatures become ASCII), without characters that file systems
/// ignore, without the dots and blanks that DOS-like ones drop from the end or what follows a stream's colon. A longer
/// form than any one file system has: what it makes equal is refused only where names are folded at all.
#[must_use]
pub fn fold(name: &[u8]) -> Vec<u8> {
    if name.is_ascii() {
        return trim(&name.to_ascii_lowercase()).to_vec();
    }
    let mut folded = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars().filter(|c| !is_ignored(*c)) {
            folded.extend(narrow(c).to_uppercase().flat_map(char::to_lowercase));
        }
    }
    trim(folded.as_bytes()).to_vec()
}

fn trim(name: &[u8]) -> &[u8] {
    let name = name.split(|byte| *byte == b':').next().unwrap_or(name);
    let end = name.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |at| at + 1);
    name.get(..end).unwrap_or(name)
}

/// Full-width forms as their ASCII twins.
fn narrow(c: char) -> char {
    match c as u32 {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

/// Default-ignorable code points, and combining marks that could hide on an ASCII letter.
fn is_ignored(c: char) -> bool {
    matches!(c as u32,
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether `path` is `wanted` or below it, as the most forgiving file system would compare them, short forms too.
#[must_use]
pub fn is_below_alike(path: &[u8], wanted: &[u8]) -> bool {
    let [mut given, wanted] = [path, wanted].map(|path| {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.collect::<Vec<_>>()
    });
    given.truncate(wanted.len());
    let alike = |(given, wanted): (&&[u8], &&[u8])| fold(given) == fold(wanted) || is_short_form(given, wanted);
    given.len() == wanted.len() && given.iter().zip(&wanted).all(alike)
}

/// Every name of a path, or of a pattern for paths, folded.
#[must_use]
pub fn fold_path(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == b'/').map(fold).collect::<Vec<_>>().join(&b'/')
}

/// Whether `name` could be the short form (`GIT~1`) that DOS-like file systems give to `protected`.
#[must_use]
pub fn is_short_form(name: &[u8], protected: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let Some(tilde) = lower.iter().position(|byte| *byte == b'~') else { return false };
    let (stem, number) = lower.split_at(tilde);
    let digits = number.get(1..).unwrap_or_default();
    let digits = digits.split(|byte| *byte == b'.').next().unwrap_or_default();
    if stem.is_empty() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let kept: Vec<u8> = fold(protected).into_iter().filter(u8::is_ascii_alphanumeric).collect();
    kept.starts_with(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_of_one_name_fold_to_it() {
        for name in [
            ".git",
            ".GIT",
            ".gIt",
            ".g\u{200c}it",
            ".git.",
            ".git ",
            ".git::$INDEX_ALLOCATION",
            ".ｇｉｔ",
            ".\u{feff}git",
        ] {
            assert_eq!(fold(name.as_bytes()), b".git", "{name:?}");
        }
        assert_eq!(fold("ſet\u{212a}".as_bytes()), b"setk");
        assert_ne!(fold(b".gitignore"), b".git");
        assert_ne!(fold(b"git"), b".git");
    }

    #[test]
    fn paths_are_alike_name_by_name() {
        for path in ["/w/secret", "/w/Secret/x", "/W/SECRET./a/b", "/w/se\u{200c}cret", "/w/SECRET~1/x"] {
            assert!(is_below_alike(path.as_bytes(), b"/w/secret"), "{path}");
        }
        for path in ["/w", "/w/secrets", "/w/x/secret", "/", ""] {
            assert!(!is_below_alike(path.as_bytes(), b"/w/secret"), "{path}");
        }
    }

    #[test]
    fn short_forms_are_told_from_ordinary_names() {
        assert!(is_short_form(b"GIT~1", b".git"));
        assert!(is_short_form(b"settin~2.jso", b"settings.json"));
        assert!(!is_short_form(b"git", b".git"));
        assert!(!is_short_form(b"main~", b".git"));
        assert!(!is_short_form(b"main~1", b".git"));
    }
}
