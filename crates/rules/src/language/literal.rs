//! A short way for the files that nearly everyone has: statements with literal arguments and nothing else.
//!
//! It reads no more than strings and lists of strings in calls at the beginning of a line. Whatever else it meets, an error
//! included, it gives up, and the whole file goes the long way through Starlark's parser; so it can't accept what the
//! language refuses nor read it differently (`the_short_way_agrees_with_the_long_way` and the fuzz target hold it to that).

use super::eval::Arguments;
use super::statements::{self, Sink};
use super::value::{Heap, Value};
use super::{Limits, Loaded};
use ringfence_model::Origin;

/// The statements of a file of literals; none for any other file.
pub(super) fn load(text: &str, file: &Origin, home: Option<&str>, limits: &Limits) -> Option<Loaded> {
    // Escapes, tabs and carriage returns are the lexer's business.
    if text.bytes().any(|byte| (byte < b' ' && byte != b'\n') || byte == b'\\' || byte == 0x7f) {
        return None;
    }
    let mut heap = Heap::new(limits);
    let mut sink = Sink::new(file, home);
    let mut reader = Reader { text, at: 0, line: 1, depth: 0 };
    loop {
        let indented = reader.peek() == Some(b' ');
        reader.blanks();
        match reader.peek() {
            None => return Some(sink.loaded),
            Some(b'\n') => reader.next_line(),
            Some(b'#') => reader.comment(),
            Some(_) if indented => return None,
            Some(_) => {
                let line = reader.line;
                let word = reader.word()?;
                let name = statements::NAMES.iter().find(|known| **known == word)?;
                let given = reader.call(&mut heap)?;
                sink.statement(&mut heap, name, given, line).ok()?;
                reader.blanks();
                if !matches!(reader.peek(), None | Some(b'\n' | b'#')) {
                    return None;
                }
            }
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Everything between tokens inside brackets.
    fn space(&mut self) {
        loop {
            match self.peek() {
                Some(b' ') => self.at += 1,
                Some(b'\n') => self.next_line(),
                Some(b'#') => self.comment(),
                _ => return,
            }
        }
    }

    fn word(&mut self) -> Option<&'t str> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            self.at += 1;
        }
        self.text.get(start..self.at).filter(|word| !word.is_empty())
    }

    /// `( name = value, … )`.
    fn call(&mut self, heap: &mut Heap<'_>) -> Option<Arguments> {
        self.take(b'(')?;
        let mut given = Arguments::default();
        loop {
            self.space();
            match self.peek()? {
                b')' => break,
                b'"' | b'\'' | b'[' => {
                    // A positional argument after a named one is an error.
                    if !given.named.is_empty() {
                        return None;
                    }
                    given.positional.push(self.value(heap)?);
                }
                _ => {
                    let name = self.word()?;
                    self.space();
                    self.take(b'=')?;
                    self.space();
                    if given.named.iter().any(|(known, _)| known == name) {
                        return None;
                    }
                    given.named.push((name.to_owned(), self.value(heap)?));
                }
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b')' => break,
                _ => return None,
            }
        }
        self.take(b')')?;
        Some(given)
    }

    fn value(&mut self, heap: &mut Heap<'_>) -> Option<Value> {
        match self.peek()? {
            b'[' if self.depth < 4 => {
                self.at += 1;
                self.depth += 1;
                let mut items = Vec::new();
                loop {
                    self.space();
                    if self.peek()? == b']' {
                        break;
                    }
                    items.push(self.value(heap)?);
                    self.space();
                    match self.peek()? {
                        b',' => self.at += 1,
                        b']' => break,
                        _ => return None,
                    }
                }
                self.take(b']')?;
                self.depth -= 1;
                heap.list(items).ok()
            }
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let rest = self.text.get(start..)?;
                let length = rest.bytes().position(|byte| byte == quote || byte == b'\n')?;
                let text = rest.get(..length)?;
                self.at = start + length;
                self.take(quote)?;
                // Two quotes and a third begin another kind of string.
                if text.is_empty() && self.peek() == Some(quote) {
                    return None;
                }
                heap.meter.make(text.len()).ok()?;
                Some(Value::str(text))
            }
            _ => None,
        }
    }
}
