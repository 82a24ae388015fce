//! The `*** Begin Patch` form that agents write: files by name, hunks by context instead of line numbers.

use super::{FilePatch, Hunk, Line, Op, PatchError};
use ringfence_model::OsText;

pub(super) fn parse(lines: &[&[u8]], first: usize) -> Result<Vec<FilePatch>, PatchError> {
    let mut reader = Reader { lines, at: first + 1 };
    let mut files = Vec::new();
    loop {
        let number = reader.at + 1;
        let Some(line) = reader.next() else {
            return Err(PatchError::at(number, "`*** End Patch` is missing"));
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii() == b"*** End Patch" {
            break;
        }
        if let Some(name) = line.strip_prefix(b"*** Add File: ") {
            files.push(FilePatch { path: path(name, number)?, op: reader.added()?, line: number });
        } else if let Some(name) = line.strip_prefix(b"*** Delete File: ") {
            files.push(FilePatch { path: path(name, number)?, op: Op::Delete { hunks: Vec::new() }, line: number });
        } else if let Some(name) = line.strip_prefix(b"*** Update File: ") {
            files.push(FilePatch { path: path(name, number)?, op: reader.updated(number)?, line: number });
        } else if !line.trim_ascii().is_empty() {
            let what = "expected `*** Add File: `, `*** Delete File: `, `*** Update File: ` or `*** End Patch`";
            return Err(PatchError::at(number, what));
        }
    }
    while let Some(line) = reader.next() {
        if !line.trim_ascii().is_empty() {
            return Err(PatchError::at(reader.at, "there is more after `*** End Patch`"));
        }
    }
    Ok(files)
}

struct Reader<'p> {
    lines: &'p [&'p [u8]],
    at: usize,
}

impl<'p> Reader<'p> {
    fn peek(&self) -> Option<&'p [u8]> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'p [u8]> {
        let line = self.peek()?;
        self.at += 1;
        Some(line)
    }

    fn added(&mut self) -> Result<Op, PatchError> {
        let mut content = Vec::new();
        while let Some(line) = self.peek() {
            if line.starts_with(b"*** ") {
                break;
            }
            let Some(text) = line.strip_prefix(b"+") else {
                if line.trim_ascii().is_empty() {
                    self.at += 1;
                    continue;
                }
                return Err(PatchError::at(self.at + 1, "every line of an added file begins with `+`"));
            };
            content.extend_from_slice(text);
            content.push(b'\n');
            self.at += 1;
        }
        Ok(Op::Add { content, mode: None })
    }

    fn updated(&mut self, number: usize) -> Result<Op, PatchError> {
        let mut move_to = None;
        if let Some(name) = self.peek().and_then(|line| line.strip_prefix(b"*** Move to: ")) {
            move_to = Some(path(name.strip_suffix(b"\r").unwrap_or(name), self.at + 1)?);
            self.at += 1;
        }
        let mut hunks: Vec<Hunk> = Vec::new();
        while let Some(line) = self.peek() {
            let bare = line.strip_suffix(b"\r").unwrap_or(line);
            if bare == b"*** End of File" {
                match hunks.last_mut() {
                    Some(hunk) => hunk.at_end = true,
                    None => return Err(PatchError::at(self.at + 1, "`*** End of File` belongs behind a hunk")),
                }
            } else if bare.starts_with(b"*** ") {
                break;
            } else if let Some(header) = bare.strip_prefix(b"@@") {
                let header = header.trim_ascii_start();
                let under = (!header.is_empty()).then(|| header.to_vec());
                hunks.push(Hunk { under, ..Hunk::default() });
            } else {
                let parsed = match line.split_first() {
                    Some((b' ', text)) => Line::Keep(text.to_vec()),
                    Some((b'-', text)) => Line::Remove(text.to_vec()),
                    Some((b'+', text)) => Line::Add(text.to_vec()),
                    // An empty line in a hunk is a kept empty line that lost its blank.
                    None | Some((b'\r', [])) => Line::Keep(Vec::new()),
                    Some(_) => {
                        let what = "a line of a hunk begins with a blank, `-` or `+`";
                        return Err(PatchError::at(self.at + 1, what));
                    }
                };
                if hunks.is_empty() {
                    hunks.push(Hunk::default());
                }
                if let Some(hunk) = hunks.last_mut() {
                    hunk.lines.push(parsed);
                }
            }
            self.at += 1;
        }
        for hunk in &mut hunks {
            // Blank lines between a hunk and the next header are no lines of the file.
            while hunk.lines.last() == Some(&Line::Keep(Vec::new())) && !hunk.at_end {
                hunk.lines.pop();
            }
        }
        let changes = |line: &Line| !matches!(line, Line::Keep(_));
        if let Some(position) = hunks.iter().position(|hunk| !hunk.lines.iter().any(changes)) {
            return Err(PatchError::at(number, format!("hunk {} of this file changes nothing", position + 1)));
        }
        if hunks.is_empty() && move_to.is_none() {
            return Err(PatchError::at(number, "this file has no hunk"));
        }
        Ok(Op::Update { hunks, move_to, copy: false, mode: None })
    }
}

fn path(name: &[u8], line: usize) -> Result<OsText, PatchError> {
    super::unified::os_path(name.trim_ascii(), line)
}
