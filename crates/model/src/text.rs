//! Making foreign text safe to show.
//!
//! What an agent, a file name or a server says may hold escape codes, line ends, bidirectional overrides or invisible
//! characters. Everything Ringfence prints of it goes through here; a program's own output never does.

/// Text from outside. It has no `Display` on purpose: show it with [`Untrusted::display`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Marks `text` as foreign.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it came: for comparing and matching, never for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// The text with everything that could deceive escaped.
    #[must_use]
    pub fn display(&self) -> String {
        escape(&self.0)
    }
}

/// Escapes control, bidirectional, invisible and private characters, and the backslash.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out
}

/// As [`escape`], for bytes that need not be UTF-8: what is not is shown as `\xNN`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
            out.push_str(chunk.valid());
        } else {
            for c in chunk.valid().chars() {
                push_escaped(&mut out, c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// As [`escape_bytes`], for a path or whatever else the system takes. On Windows the backslash is its separator and stays.
#[must_use]
pub fn escape_os(text: impl AsRef<std::ffi::OsStr>) -> String {
    let bytes = text.as_ref().as_encoded_bytes();
    if cfg!(windows)
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return escape_controls(text);
    }
    escape_bytes(bytes)
}

/// As [`escape`], for text that was put together by us from parts that are escaped already: the backslash stays.
#[must_use]
pub fn escape_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push(c),
            c => push_escaped(&mut out, c),
        }
    }
    out
}

/// A word of a command line that a person may copy: whatever a shell would read as more than one is quoted. `shown` is
/// escaped already, so a name that needs that comes out as it is shown, which is no other's.
#[must_use]
pub fn shell_word(shown: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !shown.is_empty() && shown.chars().all(plain) {
        return shown.to_owned();
    }
    single_quoted(shown)
}

/// Text in single quotes, which a shell reads back as it is.
#[must_use]
pub(crate) fn single_quoted(shown: &str) -> String {
    format!("'{}'", shown.replace('\'', r"'\''"))
}

/// Text as a string in double quotes that TOML and Starlark both read back as it was. What could deceive a reader of the
/// file is written as an escape.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_deceptive(c) => {
                let code = u32::from(c);
                out.push_str(&if code <= 0xffff { format!("\\u{code:04x}") } else { format!("\\U{code:08x}") });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if is_deceptive(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Whether a character changes how its neighbours are shown, or shows as nothing or as a blank.
///
/// Ranges from the Unicode general categories Cc, Cf, Co, Zl, Zp, the spaces other than U+0020, the fillers, the
/// variation selectors and the tag characters.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c as u32,
            0xA0 | 0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2
            | 0x115F..=0x1160 | 0x1680 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x2000..=0x200F | 0x2028..=0x202F | 0x205F..=0x206F | 0x2800 | 0x3000 | 0x3164
            | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF | 0xF0000..=0x10FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_forge_a_line_or_move_the_cursor() {
        assert_eq!(escape("a\nb\x1b[2J\u{202e}c\u{200d}"), "a\\nb\\u{1b}[2J\\u{202e}c\\u{200d}");
        assert_eq!(escape_bytes(b"a\xff\\"), "a\\xff\\\\");
        assert_eq!(escape("naïve 日本"), "naïve 日本");
    }

    #[test]
    fn ap_01_a_word_to_be_copied_stays_one_word() {
        assert_eq!(shell_word("/w/a-b_c.d"), "/w/a-b_c.d");
        for text in ["/w/x; id #", "/w/$(id)", "/w/`id`", "/w/a b", "~", "a&b", ""] {
            assert_eq!(shell_word(text), format!("'{text}'"));
        }
        assert_eq!(shell_word("/w/it's; id"), r"'/w/it'\''s; id'");
    }

    #[test]
    fn a_quoted_string_shows_what_it_holds() {
        assert_eq!(quote("a\"b\\\n\u{202e}\u{e0041}é"), r#""a\"b\\\n\u202e\U000e0041é""#);
    }
}
