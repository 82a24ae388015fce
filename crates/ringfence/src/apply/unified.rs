//! Unified diffs, as `diff -u` and `git diff` write them.

use super::{FilePatch, Hunk, Line, Op, PatchError};
use ringfence_model::OsText;

pub(super) fn parse(lines: &[&[u8]]) -> Result<Vec<FilePatch>, PatchError> {
    let mut reader = Reader { lines, at: 0 };
    let mut files = Vec::new();
    while let Some(line) = reader.peek() {
        if line.starts_with(b"diff --git ") {
            files.push(reader.git_file()?);
        } else if line.starts_with(b"--- ") && reader.peek_at(1).is_some_and(|next| next.starts_with(b"+++ ")) {
            files.push(reader.plain_file()?);
        } else if line.starts_with(b"@@ ") {
            return Err(reader.error("a hunk without a file; `--- ` and `+++ ` lines come before it"));
        } else if line.starts_with(b"Binary files ") || line.starts_with(b"GIT binary patch") {
            return Err(reader.error("binary changes aren't applied"));
        } else {
            // Prose around a diff: a commit message, `Index:` lines.
            reader.at += 1;
        }
    }
    Ok(files)
}

struct Reader<'p> {
    lines: &'p [&'p [u8]],
    at: usize,
}

/// What the header lines of git say.
#[derive(Default)]
struct Header {
    from: Option<OsText>,
    to: Option<OsText>,
    rename_from: Option<OsText>,
    rename_to: Option<OsText>,
    copy: bool,
    new_file: bool,
    deleted: bool,
    mode: Option<u32>,
}

impl<'p> Reader<'p> {
    fn peek(&self) -> Option<&'p [u8]> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'p [u8]> {
        self.lines.get(self.at + ahead).map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn raw(&self) -> Option<&'p [u8]> {
        self.lines.get(self.at).copied()
    }

    fn error(&self, what: impl Into<String>) -> PatchError {
        PatchError::at(self.at + 1, what)
    }

    fn git_file(&mut self) -> Result<FilePatch, PatchError> {
        let line = self.at + 1;
        let named = self.peek().and_then(|line| line.strip_prefix(b"diff --git ")).unwrap_or_default();
        self.at += 1;
        let mut header = Header::default();
        while let Some(text) = self.peek() {
            let number = self.at + 1;
            if let Some(mode) = text.strip_prefix(b"new mode ").or_else(|| text.strip_prefix(b"new file mode ")) {
                header.mode = Some(file_mode(mode, number)?);
                header.new_file |= text.starts_with(b"new file");
            } else if text.starts_with(b"deleted file mode ") {
                header.deleted = true;
            } else if let Some(name) = text.strip_prefix(b"rename from ").or_else(|| text.strip_prefix(b"copy from ")) {
                header.rename_from = Some(name_of(name, number)?);
                header.copy = text.starts_with(b"copy");
            } else if let Some(name) = text.strip_prefix(b"rename to ").or_else(|| text.strip_prefix(b"copy to ")) {
                header.rename_to = Some(name_of(name, number)?);
            } else if let Some(name) = text.strip_prefix(b"--- ") {
                header.from = side(name, b"a/", number)?;
            } else if let Some(name) = text.strip_prefix(b"+++ ") {
                header.to = side(name, b"b/", number)?;
                self.at += 1;
                break;
            } else if text.starts_with(b"GIT binary patch") || text.starts_with(b"Binary files ") {
                return Err(self.error("binary changes aren't applied"));
            } else if !["old mode ", "index ", "similarity index ", "dissimilarity index "]
                .iter()
                .any(|start| text.starts_with(start.as_bytes()))
            {
                break;
            }
            self.at += 1;
        }
        let hunks = self.hunks()?;
        let by_header = || both_names(named).ok_or_else(|| PatchError::at(line, "its file names can't be told apart"));
        let missing = |side: Option<OsText>| match side {
            Some(name) => Ok(name),
            None => by_header().and_then(|name| os_path(name, line)),
        };
        let file = if header.new_file {
            FilePatch {
                path: missing(header.to)?,
                op: Op::Add { content: added(&hunks, line)?, mode: header.mode },
                line,
            }
        } else if header.deleted {
            FilePatch { path: missing(header.from)?, op: Op::Delete { hunks }, line }
        } else if let (Some(from), Some(to)) = (header.rename_from, header.rename_to) {
            let op = Op::Update { hunks, move_to: Some(to), copy: header.copy, mode: header.mode };
            FilePatch { path: from, op, line }
        } else {
            if hunks.is_empty() && header.mode.is_none() {
                return Err(PatchError::at(line, "this file has no change"));
            }
            let op = Op::Update { hunks, move_to: None, copy: false, mode: header.mode };
            FilePatch { path: missing(header.from)?, op, line }
        };
        Ok(file)
    }

    fn plain_file(&mut self) -> Result<FilePatch, PatchError> {
        let line = self.at + 1;
        let old = self.peek().and_then(|line| line.strip_prefix(b"--- ")).unwrap_or_default();
        let new = self.peek_at(1).and_then(|line| line.strip_prefix(b"+++ ")).unwrap_or_default();
        self.at += 2;
        // `a/` and `b/` are prefixes only where both sides have theirs.
        let both = (old.starts_with(b"a/") || old.starts_with(b"\"a/") || is_null(old))
            && (new.starts_with(b"b/") || new.starts_with(b"\"b/") || is_null(new));
        let (a, b): (&[u8], &[u8]) = if both { (b"a/", b"b/") } else { (b"", b"") };
        let from = side(old, a, line)?;
        let to = side(new, b, line + 1)?;
        let hunks = self.hunks()?;
        if hunks.is_empty() {
            return Err(self.error("expected a hunk, which begins with `@@ `"));
        }
        Ok(match (from, to) {
            (None, None) => return Err(PatchError::at(line, "both sides are `/dev/null`")),
            (None, Some(path)) => FilePatch { path, op: Op::Add { content: added(&hunks, line)?, mode: None }, line },
            (Some(path), None) => FilePatch { path, op: Op::Delete { hunks }, line },
            // `diff -u old new`: the new side is the file that is meant.
            (Some(_), Some(path)) => {
                FilePatch { path, op: Op::Update { hunks, move_to: None, copy: false, mode: None }, line }
            }
        })
    }

    fn hunks(&mut self) -> Result<Vec<Hunk>, PatchError> {
        let mut hunks = Vec::new();
        while let Some(text) = self.peek() {
            if !text.starts_with(b"@@ ") {
                break;
            }
            let (at, old, new) = ranges(text).ok_or_else(|| self.error("expected `@@ -LINE,COUNT +LINE,COUNT @@`"))?;
            self.at += 1;
            hunks.push(self.hunk(at, old, new)?);
        }
        Ok(hunks)
    }

    fn hunk(&mut self, at: usize, mut old: usize, mut new: usize) -> Result<Hunk, PatchError> {
        let mut hunk = Hunk { at: Some(at), ..Hunk::default() };
        while old > 0 || new > 0 {
            let line = self.raw().ok_or_else(|| self.error("the hunk ends before its lines do"))?;
            let too_many = || self.error("the hunk has more lines than it says");
            match line.split_first() {
                Some((b'\\', _)) => {
                    self.no_newline(&mut hunk);
                    continue;
                }
                Some((b'-', text)) => {
                    old = old.checked_sub(1).ok_or_else(too_many)?;
                    hunk.lines.push(Line::Remove(text.to_vec()));
                }
                Some((b'+', text)) => {
                    new = new.checked_sub(1).ok_or_else(too_many)?;
                    hunk.lines.push(Line::Add(text.to_vec()));
                }
                // An empty line is a kept empty line that lost its blank.
                Some((b' ', _)) | Some((b'\r', [])) | None => {
                    old = old.checked_sub(1).ok_or_else(too_many)?;
                    new = new.checked_sub(1).ok_or_else(too_many)?;
                    let text = line.strip_prefix(b" ").unwrap_or(line);
                    hunk.lines.push(Line::Keep(text.to_vec()));
                }
                Some(_) => return Err(self.error("a line of a hunk begins with a blank, `-` or `+`")),
            }
            self.at += 1;
        }
        if self.raw().is_some_and(|line| line.starts_with(b"\\")) {
            self.no_newline(&mut hunk);
        }
        // A hunk that goes on after its count would be cut short silently. `--` begins the next file or a signature.
        if self.raw().is_some_and(|line| line.starts_with(b"+") || (line.starts_with(b"-") && !line.starts_with(b"--")))
        {
            return Err(self.error("the hunk has more lines than it says"));
        }
        Ok(hunk)
    }

    /// `\ No newline at end of file` is about the line before it.
    fn no_newline(&mut self, hunk: &mut Hunk) {
        match hunk.lines.last() {
            Some(Line::Add(_) | Line::Keep(_)) => hunk.no_newline = true,
            _ => {}
        }
        self.at += 1;
    }
}

/// The content that hunks of nothing but additions make.
fn added(hunks: &[Hunk], line: usize) -> Result<Vec<u8>, PatchError> {
    let mut content = Vec::new();
    for hunk in hunks {
        for one in &hunk.lines {
            match one {
                Line::Add(text) => {
                    content.extend_from_slice(text);
                    content.push(b'\n');
                }
                _ => return Err(PatchError::at(line, "a new file has only lines that come")),
            }
        }
        if hunk.no_newline {
            content.pop();
        }
    }
    Ok(content)
}

/// `@@ -l,s +l,s @@`: line and count of the old side, count of the new.
fn ranges(text: &[u8]) -> Option<(usize, usize, usize)> {
    let text = std::str::from_utf8(text.get(..text.len().min(80))?).ok().or_else(|| {
        let end = text.windows(3).skip(3).position(|window| window == b" @@")? + 6;
        std::str::from_utf8(text.get(..end)?).ok()
    })?;
    let mut words = text.strip_prefix("@@ ")?.split(' ');
    let range = |word: &str, sign: char| -> Option<(usize, usize)> {
        let word = word.strip_prefix(sign)?;
        match word.split_once(',') {
            Some((line, count)) => Some((number(line)?, number(count)?)),
            None => Some((number(word)?, 1)),
        }
    };
    let (at, old) = range(words.next()?, '-')?;
    let (_, new) = range(words.next()?, '+')?;
    words.next()?.starts_with("@@").then_some((at, old, new))
}

fn number(text: &str) -> Option<usize> {
    // More lines than any patch we read can have.
    text.parse().ok().filter(|number| *number <= super::MAX_PATCH && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_null(name: &[u8]) -> bool {
    name == b"/dev/null" || name.starts_with(b"/dev/null\t")
}

/// The name on one side; none for `/dev/null`.
fn side(name: &[u8], prefix: &[u8], line: usize) -> Result<Option<OsText>, PatchError> {
    if is_null(name) {
        return Ok(None);
    }
    let name = unquote(name, line)?;
    let name = name.strip_prefix(prefix).unwrap_or(&name);
    os_path(name, line).map(Some)
}

fn name_of(name: &[u8], line: usize) -> Result<OsText, PatchError> {
    os_path(&unquote(name, line)?, line)
}

/// `a/NAME b/NAME` with one name: what git writes where there are no `---` and `+++` lines.
fn both_names(text: &[u8]) -> Option<&[u8]> {
    let half = text.len().checked_sub(1)? / 2;
    let (a, b) = (text.get(..half)?, text.get(half + 1..)?);
    let name = a.strip_prefix(b"a/")?;
    (text.get(half) == Some(&b' ') && b.strip_prefix(b"b/") == Some(name)).then_some(name)
}

/// Undoes C quoting, or cuts a time stamp behind a tab.
fn unquote(name: &[u8], line: usize) -> Result<Vec<u8>, PatchError> {
    let Some(quoted) = name.strip_prefix(b"\"") else {
        let end = name.iter().position(|byte| *byte == b'\t').unwrap_or(name.len());
        return Ok(name.get(..end).unwrap_or(name).to_vec());
    };
    let mut out = Vec::new();
    let mut rest = quoted.iter().copied();
    loop {
        match rest.next() {
            Some(b'"') => return Ok(out),
            Some(b'\\') => match rest.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'r') => out.push(b'\r'),
                Some(b'a') => out.push(7),
                Some(b'b') => out.push(8),
                Some(b'f') => out.push(12),
                Some(b'v') => out.push(11),
                Some(byte @ (b'"' | b'\\')) => out.push(byte),
                Some(first @ b'0'..=b'3') => {
                    let digits = [Some(first), rest.next(), rest.next()];
                    let value = digits.iter().try_fold(0u32, |value, digit| {
                        digit
                            .filter(|digit| (b'0'..=b'7').contains(digit))
                            .map(|digit| value * 8 + u32::from(digit - b'0'))
                    });
                    let byte = value.and_then(|value| u8::try_from(value).ok());
                    out.push(byte.ok_or_else(|| PatchError::at(line, "a quoted name has a bad escape"))?);
                }
                _ => return Err(PatchError::at(line, "a quoted name has a bad escape")),
            },
            Some(byte) => out.push(byte),
            None => return Err(PatchError::at(line, "a quoted name has no end")),
        }
    }
}

/// A name as the system takes it. Where it leads is judged later; here it only must be one.
pub(super) fn os_path(name: &[u8], line: usize) -> Result<OsText, PatchError> {
    if name.is_empty() || name.contains(&0) {
        return Err(PatchError::at(line, "a file name is empty or has a NUL byte"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(OsText::new(std::ffi::OsStr::from_bytes(name)))
    }
    #[cfg(not(unix))]
    {
        match std::str::from_utf8(name) {
            Ok(name) => Ok(OsText::new(name)),
            Err(_) => Err(PatchError::at(line, "a file name isn't UTF-8")),
        }
    }
}

fn file_mode(text: &[u8], line: usize) -> Result<u32, PatchError> {
    let mode = std::str::from_utf8(text).ok().and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    match mode {
        Some(mode) if mode & 0o170_000 == 0o100_000 => Ok(mode & 0o777),
        Some(0o120_000) => Err(PatchError::at(line, "symbolic links aren't made by patches")),
        _ => Err(PatchError::at(line, "only regular files can be changed")),
    }
}
