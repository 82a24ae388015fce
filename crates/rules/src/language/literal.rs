//! A short way for the files that nearly everyone has: statements with literal arguments and nothing else.
//!
//! It reads no more than strings and lists of strings in calls at the beginning of a line, and makes a rule of them without
//! values in between: a start waits for it. Whatever else it meets, an error included, it gives up, and the whole file goes
//! the long way through Starlark's parser; so it can't accept what the language refuses nor read it differently
//! (`the_short_way_agrees_with_the_long_way` and the fuzz target hold it to that).

use super::eval::Arguments;
use super::statements::{self, PREFIX_RULE, PREFIX_RULE_PARAMETERS, Sink};
use super::value::{Heap, Value};
use super::{Limits, Loaded};
use crate::decision::Decision;
use crate::rule::{Alternatives, Example, PrefixRule};
use ringfence_model::Origin;

/// The statements of a file of literals; none for any other file.
pub(super) fn load(text: &str, file: &Origin, home: Option<&str>, limits: &Limits) -> Option<Loaded> {
    // Escapes, tabs and carriage returns are the lexer's business. By pieces, so that each is looked at in one go.
    let strange = |byte: u8| (byte < b' ' && byte != b'\n') || byte == b'\\' || byte == 0x7f;
    if text.as_bytes().chunks(4_096).any(|piece| piece.iter().fold(false, |found, byte| found | strange(*byte))) {
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
                reader.statement(&mut heap, &mut sink)?;
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

/// What a `prefix_rule` has been given so far, by its parameters.
#[derive(Default)]
struct Given {
    pattern: Option<Vec<Alternatives>>,
    decision: Option<Decision>,
    matches: Option<Vec<Example>>,
    not_matches: Option<Vec<Example>>,
    justification: Option<String>,
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

    /// A call of one of the statements.
    fn statement(&mut self, heap: &mut Heap<'_>, sink: &mut Sink<'_>) -> Option<()> {
        let (start, line) = (self.at, self.line);
        let word = self.word()?;
        if word == PREFIX_RULE {
            let rule = self.prefix_rule(sink.origin(line))?;
            // What it holds is no more than what was read.
            heap.meter.make(self.at - start).ok()?;
            return sink.rule(heap, rule).ok();
        }
        let name = statements::NAMES.iter().find(|known| **known == word)?;
        let given = self.call(heap)?;
        sink.statement(heap, name, given, line).ok().map(drop)
    }

    /// `( name = value, … )`: each argument is read by `read`, which is told its name, or its number where it has none.
    fn arguments(&mut self, mut read: impl FnMut(&mut Self, Option<&'t str>, usize) -> Option<()>) -> Option<()> {
        self.take(b'(')?;
        let (mut positional, mut named) = (0, false);
        loop {
            self.space();
            match self.peek()? {
                b')' => break,
                // A positional argument after a named one is an error.
                b'"' | b'\'' | b'[' if named => return None,
                b'"' | b'\'' | b'[' => {
                    read(self, None, positional)?;
                    positional += 1;
                }
                _ => {
                    named = true;
                    let name = self.word()?;
                    self.space();
                    self.take(b'=')?;
                    self.space();
                    read(self, Some(name), positional)?;
                }
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b')' => break,
                _ => return None,
            }
        }
        self.take(b')')
    }

    /// The items of a list, each read by `read`.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.peek()? == b']' {
                break;
            }
            items.push(read(self)?);
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.take(b']')?;
        Some(items)
    }

    fn string(&mut self) -> Option<&'t str> {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|byte| *byte == quote || *byte == b'\n')?;
        let text = self.text.get(start..start + length)?;
        self.at = start + length;
        self.take(quote)?;
        // Two quotes and a third begin another kind of string.
        if text.is_empty() && self.peek() == Some(quote) { None } else { Some(text) }
    }

    /// The rest of a `prefix_rule`. What isn't as it must be is for the long way to say.
    fn prefix_rule(&mut self, origin: Origin) -> Option<PrefixRule> {
        let mut given = Given::default();
        self.arguments(|this, name, number| {
            let name = match name {
                Some(name) => name,
                None => PREFIX_RULE_PARAMETERS.get(number).copied()?,
            };
            match name {
                "pattern" => {
                    let places = this.list(Self::alternatives)?;
                    once(&mut given.pattern, Some(places).filter(|places| !places.is_empty())?)
                }
                "decision" => once(&mut given.decision, Decision::from_name(this.string()?)?),
                "match" => once(&mut given.matches, this.list(Self::example)?),
                "not_match" => once(&mut given.not_matches, this.list(Self::example)?),
                "justification" => {
                    let text = this.string().filter(|text| !text.trim().is_empty())?;
                    once(&mut given.justification, text.to_owned())
                }
                _ => None,
            }
        })?;
        Some(PrefixRule {
            pattern: given.pattern?,
            decision: given.decision.unwrap_or(Decision::Allow),
            justification: given.justification,
            matches: given.matches.unwrap_or_default(),
            not_matches: given.not_matches.unwrap_or_default(),
            origin,
        })
    }

    fn alternatives(&mut self) -> Option<Alternatives> {
        if self.peek()? != b'[' {
            return Some(Alternatives::One(self.string()?.to_owned()));
        }
        let tokens = self.list(|this| Some(this.string()?.to_owned()))?;
        Some(Alternatives::Any(tokens)).filter(|any| !any.tokens().is_empty())
    }

    fn example(&mut self) -> Option<Example> {
        let example = if self.peek()? == b'[' {
            Example { words: self.list(|this| Some(this.string()?.to_owned()))?, line: None }
        } else {
            let line = self.string()?;
            Example { words: statements::words(line)?, line: Some(line.to_owned()) }
        };
        Some(example).filter(|example| !example.words.is_empty())
    }

    /// The arguments of any other statement, as values.
    fn call(&mut self, heap: &mut Heap<'_>) -> Option<Arguments> {
        let mut given = Arguments::default();
        self.arguments(|this, name, _| {
            let Some(name) = name else {
                given.positional.push(this.value(heap)?);
                return Some(());
            };
            if given.named.iter().any(|(known, _)| known == name) {
                return None;
            }
            given.named.push((name.to_owned(), this.value(heap)?));
            Some(())
        })?;
        Some(given)
    }

    fn value(&mut self, heap: &mut Heap<'_>) -> Option<Value> {
        match self.peek()? {
            b'[' if self.depth < 4 => {
                self.depth += 1;
                let items = self.list(|this| this.value(heap))?;
                self.depth -= 1;
                heap.list(items).ok()
            }
            b'[' => None,
            _ => {
                let text = self.string()?;
                heap.meter.make(text.len()).ok()?;
                Some(Value::str(text))
            }
        }
    }
}

/// Fills what isn't filled yet: an argument that is given twice is an error.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    match slot {
        Some(_) => None,
        None => {
            *slot = Some(value);
            Some(())
        }
    }
}
