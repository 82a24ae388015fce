//! Reading keys: only single, deliberate ones count. A burst (a paste, an escape sequence) is no answer.

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Yes, this once.
    Yes,
    /// Yes, for this session.
    Session,
    /// Yes, always.
    Always,
    /// No.
    No,
    /// No, and say what to do instead.
    Explain,
    /// No, and the run ends.
    Quit,
    /// The next page.
    Next,
    /// A number.
    Digit(usize),
    /// One by one.
    OneByOne,
    /// Not now.
    Later,
}

/// What a read of the terminal gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// A key.
    Key(Key),
    /// A key that means nothing here; Enter alone is one.
    Nothing,
    /// Several at once: pasted or generated, so none of them counts.
    Burst,
}

/// Reads keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys;

impl Keys {
    /// What the bytes of one read mean. A person's key comes alone.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Read {
        let [byte] = bytes else {
            return if bytes.is_empty() { Read::Nothing } else { Read::Burst };
        };
        Read::Key(match byte {
            b'y' | b'Y' => Key::Yes,
            b's' | b'S' => Key::Session,
            b'a' | b'A' => Key::Always,
            b'n' | b'N' => Key::No,
            b'e' | b'E' => Key::Explain,
            // What stops a program stops the question: Ctrl-C and Ctrl-\.
            b'q' | b'Q' | 0x03 | 0x1c => Key::Quit,
            b'o' | b'O' => Key::OneByOne,
            b'l' | b'L' => Key::Later,
            b' ' => Key::Next,
            digit @ b'1'..=b'9' => Key::Digit(usize::from(digit - b'0')),
            _ => return Read::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ap_05_only_single_deliberate_keys_count() {
        assert_eq!(Keys::read(b"y"), Read::Key(Key::Yes));
        assert_eq!(Keys::read(b"\n"), Read::Nothing, "Enter alone does nothing");
        assert_eq!(Keys::read(b"\r"), Read::Nothing);
        assert_eq!(Keys::read(b"yes\n"), Read::Burst);
        assert_eq!(Keys::read(b"yy"), Read::Burst);
        assert_eq!(Keys::read(b"\x1b[A"), Read::Burst);
        assert_eq!(Keys::read(b"\x1b[200~y\x1b[201~"), Read::Burst, "a bracketed paste");
        assert_eq!(Keys::read(b"\x03"), Read::Key(Key::Quit));
        assert_eq!(Keys::read(b""), Read::Nothing);
    }
}
