//! A shell script, scanned in one pass: its commands, and what keeps it from being plain.
//!
//! The scanner reads the grammar that bash, sh, dash, zsh and ksh share. Where they differ, or where a word's value isn't
//! known before the shell runs, it says so and goes on, so that commands behind it are still found. It never decides that
//! something is *not* a command because it doesn't understand it.

use crate::command::{Joined, SimpleCommand, Span};
use crate::names::Sieve;
use crate::reading::{OpaqueReason, ShellKind};
use ringfence_model::OsText;
use ringfence_model::text::is_deceptive;

/// Substitutions within each other that are still looked into.
const MAX_NESTED: usize = 60;
/// Reasons that are kept; one is enough to be opaque.
const MAX_REASONS: usize = 16;

/// What was found in a script.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every command, outermost first in order of appearance, those in substitutions included.
    pub commands: Vec<SimpleCommand>,
    /// What makes the script opaque; empty for a plain one.
    pub why: Vec<OpaqueReason>,
    /// Bodies of here-documents and here-strings: scripts, if a shell reads them.
    pub bodies: Vec<String>,
    /// Whether substitutions are nested too deeply to be looked into.
    pub too_deep: bool,
}

/// Scans a script in the grammar of `kind`.
pub(crate) fn scan(text: &str, kind: ShellKind) -> Scan {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, kind, nested: 0, out: Scan::default() };
    if let Some(at) = text.find('\0') {
        scanner.reason("a NUL, which shells drop", at, at + 1);
    }
    scanner.list(End::Text, &mut Vec::new());
    scanner.out
}

/// Words after which a command begins, and what they make a script.
const RESERVED: &[&str] = &[
    "!",
    "{",
    "}",
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "while",
    "until",
    "do",
    "done",
    "coproc",
    "esac",
    "[[",
    "nocorrect",
    "noglob",
    "always",
];
/// Words that begin a construct whose words aren't a command.
const CONSTRUCTS: &[&str] = &["for", "case", "select", "function", "foreach"];

const KEYWORDS: Sieve = Sieve::new().with_all(RESERVED).with_all(CONSTRUCTS);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Text,
    Paren,
}

struct Heredoc {
    delimiter: String,
    strip_tabs: bool,
    expands: bool,
}

#[derive(Default)]
struct Word {
    value: String,
    start: usize,
    begun: bool,
    quoted: bool,
    unknown: bool,
}

/// The command that is being read.
#[derive(Default)]
struct Current {
    words: Vec<OsText>,
    unknown: Vec<usize>,
    start: usize,
    end: usize,
    word: Word,
    /// What the next word is: the target of a redirection, or none.
    redirect: Option<Redirect>,
}

#[derive(Clone)]
struct Redirect {
    operator: String,
    start: usize,
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    kind: ShellKind,
    nested: usize,
    out: Scan,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn reason(&mut self, what: &'static str, start: usize, end: usize) {
        if self.out.why.len() < MAX_REASONS {
            self.out.why.push(OpaqueReason { what, span: Some(Span { start, end }) });
        }
    }

    /// Reads commands until the text or the substitution ends.
    fn list(&mut self, end: End, through: &mut Vec<String>) {
        let mut joined = Joined::First;
        let mut current = Current { start: self.at, ..Current::default() };
        let mut heredocs: Vec<Heredoc> = Vec::new();
        let (mut parens, mut cases) = (0usize, 0usize);
        while let Some(byte) = self.peek(0) {
            let start = self.at;
            match byte {
                b' ' | b'\t' => {
                    self.finish_word(&mut current, &mut heredocs, &mut cases);
                    self.at += 1;
                }
                b'\n' | b';' | b'&' | b'|' => {
                    if byte == b'&' && self.redirect_both(&mut current, &mut heredocs, &mut cases) {
                        continue;
                    }
                    self.finish(&mut current, joined, through, &mut heredocs, &mut cases);
                    joined = self.operator(byte);
                    if byte == b'\n' && !heredocs.is_empty() {
                        self.heredoc_bodies(&mut heredocs, through);
                    }
                    current.start = self.at;
                }
                b'(' => {
                    self.finish(&mut current, joined, through, &mut heredocs, &mut cases);
                    self.reason("a subshell, function or array", start, start + 1);
                    parens += 1;
                    self.at += 1;
                    (joined, current.start) = (Joined::First, self.at);
                }
                b')' => {
                    self.finish(&mut current, joined, through, &mut heredocs, &mut cases);
                    self.at += 1;
                    (joined, current.start) = (Joined::First, self.at);
                    if parens > 0 {
                        parens -= 1;
                    } else if end == End::Paren && cases == 0 {
                        return;
                    } else {
                        self.reason("an unmatched `)`", start, start + 1);
                    }
                }
                b'<' | b'>' => self.redirection(&mut current, &mut heredocs, &mut cases, through),
                b'#' if !current.word.begun => {
                    while self.peek(0).is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                    let rest = self.text.get(self.at..).unwrap_or("");
                    if !rest.trim_matches(['\n', ' ', '\t']).is_empty() {
                        self.reason("a comment before more commands", start, self.at);
                    }
                }
                byte if is_plain(byte) => self.plain_part(&mut current.word),
                _ => self.word_part(&mut current.word, through),
            }
        }
        self.finish(&mut current, joined, through, &mut heredocs, &mut cases);
        if !heredocs.is_empty() {
            self.reason("a here-document without an end", self.at, self.at);
        }
        if end == End::Paren || parens > 0 {
            self.reason("an unmatched `(`", self.at, self.at);
        }
    }

    /// Consumes the operator at hand and says how the next command hangs on it.
    fn operator(&mut self, byte: u8) -> Joined {
        let start = self.at;
        let next = self.peek(1);
        let (length, joined, what) = match (byte, next) {
            (b'\n', _) => (1, Joined::Then, None),
            (b'&', Some(b'&')) => (2, Joined::And, None),
            (b'|', Some(b'|')) => (2, Joined::Or, None),
            (b'|', Some(b'&')) => (2, Joined::Pipe, Some("`|&`, which shells read differently")),
            (b'|', _) => (1, Joined::Pipe, None),
            (b';', Some(b';' | b'&' | b'|')) => (2, Joined::Then, Some("a `case`")),
            (b';', _) => (1, Joined::Then, None),
            _ => (1, Joined::Background, Some("a command in the background")),
        };
        self.at += length;
        if let Some(what) = what {
            self.reason(what, start, self.at);
        }
        joined
    }

    /// `&>` and `&>>` where the shell has them: both outputs to a file.
    fn redirect_both(&mut self, current: &mut Current, heredocs: &mut Vec<Heredoc>, cases: &mut usize) -> bool {
        if self.peek(1) != Some(b'>') || !matches!(self.kind, ShellKind::Bash | ShellKind::Zsh) {
            return false;
        }
        self.finish_word(current, heredocs, cases);
        let start = self.at;
        self.at += if self.peek(2) == Some(b'>') { 3 } else { 2 };
        current.redirect = Some(Redirect { operator: "&>".to_owned(), start });
        true
    }

    fn redirection(
        &mut self,
        current: &mut Current,
        heredocs: &mut Vec<Heredoc>,
        cases: &mut usize,
        through: &mut Vec<String>,
    ) {
        let start = self.at;
        // A word of digits directly before it names the descriptor.
        let word = &current.word;
        if word.begun && !word.quoted && word.value.bytes().all(|byte| byte.is_ascii_digit()) {
            current.word = Word::default();
        }
        self.finish_word(current, heredocs, cases);
        let rest = self.text.get(self.at..).unwrap_or("");
        let operator = ["<<<", "<<-", "<<", "<&", "<>", "<(", ">>", ">&", ">|", ">(", "<", ">"]
            .into_iter()
            .find(|operator| rest.starts_with(operator))
            .unwrap_or(">");
        self.at += operator.len();
        if operator.ends_with('(') {
            self.reason("a process substitution", start, self.at);
            current.word = Word { begun: true, unknown: true, start, ..Word::default() };
            self.substitution(through, operator);
            return;
        }
        current.redirect = Some(Redirect { operator: operator.to_owned(), start });
    }

    /// As many characters of a word as stand for themselves in every one of these shells.
    fn plain_part(&mut self, word: &mut Word) {
        let start = self.at;
        if !word.begun {
            (word.begun, word.start) = (true, start);
        }
        let rest = self.bytes.get(start..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_plain(**byte)).count();
        word.value.push_str(self.text.get(start..self.at).unwrap_or(""));
    }

    /// One piece of a word: a character, a quoted part, an expansion.
    fn word_part(&mut self, word: &mut Word, through: &mut Vec<String>) {
        let start = self.at;
        if !word.begun {
            (word.begun, word.start) = (true, start);
        }
        let Some(c) = self.text.get(start..).and_then(|rest| rest.chars().next()) else {
            self.at += 1;
            return;
        };
        self.at += c.len_utf8();
        match c {
            '\'' => {
                word.quoted = true;
                let rest = self.text.get(self.at..).unwrap_or("");
                let length = rest.find('\'').unwrap_or_else(|| {
                    self.reason("an unfinished quote", start, self.text.len());
                    rest.len()
                });
                word.value.push_str(rest.get(..length).unwrap_or(""));
                self.at = (self.at + length + 1).min(self.text.len());
            }
            '"' => self.double_quotes(word, start, through),
            '\\' => match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
                Some('\n') => {
                    self.at += 1;
                    // A continued line alone doesn't begin a word.
                    word.begun = word.begun && (word.quoted || word.unknown || !word.value.is_empty());
                }
                Some(next) => {
                    self.at += next.len_utf8();
                    word.quoted = true;
                    word.value.push(next);
                    if !next.is_ascii_graphic() && next != ' ' {
                        self.reason("an escaped character that shells may read differently", start, self.at);
                    }
                }
                None => {
                    self.reason("a backslash at the end", start, self.at);
                    word.value.push('\\');
                }
            },
            '$' => self.dollar(word, start, through),
            '`' => self.backticks(word, start, through),
            '*' | '?' | '[' => {
                self.reason("a glob", start, self.at);
                word.unknown = true;
                word.value.push(c);
            }
            '{' | '}' => {
                word.value.push(c);
                // `{}` stands for itself in all of these shells.
                if c == '{' && self.peek(0) == Some(b'}') && word.value == "{" {
                    self.at += 1;
                    word.value.push('}');
                } else {
                    self.reason("a brace, which may group or expand", start, self.at);
                    word.unknown |= word.value.len() > 1;
                }
            }
            '~' if word.value.is_empty() || word.value.ends_with(['=', ':']) => {
                self.reason("a tilde", start, self.at);
                word.unknown = true;
                word.value.push(c);
            }
            '=' if word.value.is_empty() && !word.quoted && self.kind == ShellKind::Zsh => {
                self.reason("`=name`, which zsh expands", start, self.at);
                word.unknown = true;
                word.value.push(c);
            }
            c => {
                word.value.push(c);
                if is_deceptive(c) || c.is_whitespace() {
                    self.reason("an invisible or control character", start, self.at);
                }
            }
        }
    }

    fn double_quotes(&mut self, word: &mut Word, start: usize, through: &mut Vec<String>) {
        word.quoted = true;
        while let Some(byte) = self.peek(0) {
            let here = self.at;
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek(0) {
                        Some(b'\n') => self.at += 1,
                        Some(next @ (b'"' | b'\\' | b'$' | b'`')) => {
                            self.at += 1;
                            word.value.push(char::from(next));
                        }
                        _ => word.value.push('\\'),
                    }
                }
                // A dollar sign that nothing follows stands for itself.
                b'$' if matches!(self.peek(1), Some(b'"' | b' ')) => {
                    self.at += 1;
                    word.value.push('$');
                }
                b'$' => {
                    self.at += 1;
                    self.dollar(word, here, through);
                }
                b'`' => {
                    self.at += 1;
                    self.backticks(word, here, through);
                }
                _ => {
                    let rest = self.text.get(here..).unwrap_or("");
                    let length = rest.find(['"', '\\', '$', '`']).unwrap_or(rest.len());
                    word.value.push_str(rest.get(..length).unwrap_or(""));
                    self.at += length.max(1);
                }
            }
        }
        self.reason("an unfinished quote", start, self.text.len());
    }

    /// Behind a `$`: whatever it is, the word's value isn't known.
    fn dollar(&mut self, word: &mut Word, start: usize, through: &mut Vec<String>) {
        word.unknown = true;
        match self.peek(0) {
            Some(b'(') => {
                self.at += 1;
                self.reason("a command substitution", start, self.at);
                self.substitution(through, "$(");
            }
            Some(b'{') => {
                self.at += 1;
                self.reason("a variable", start, self.at);
                self.braces(through);
            }
            Some(b'\'') if !matches!(self.kind, ShellKind::Dash) => {
                self.at += 1;
                self.reason("a string with escapes", start, self.at);
                self.ansi_c(word);
            }
            Some(b'"') => self.reason("a translated string", start, self.at),
            _ => {
                while self.peek(0).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.at += 1;
                }
                self.reason("a variable", start, self.at);
            }
        }
    }

    /// `$'…'`: the value is decoded, so that rules see it, though the word counts as unknown to `allow`.
    fn ansi_c(&mut self, word: &mut Word) {
        let mut value = String::new();
        let mut closed = false;
        while let Some(c) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            self.at += c.len_utf8();
            match c {
                '\'' => {
                    closed = true;
                    break;
                }
                '\\' => value.push_str(&self.ansi_c_escape()),
                c => value.push(c),
            }
        }
        if !closed {
            self.reason("an unfinished quote", self.at, self.at);
        }
        // Known after all: the escapes are the grammar's own.
        word.unknown = word.value.contains('$');
        word.quoted = true;
        word.value.push_str(&value);
    }

    fn ansi_c_escape(&mut self) -> String {
        let Some(c) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) else { return String::new() };
        self.at += c.len_utf8();
        let (radix, most) = match c {
            'n' => return "\n".to_owned(),
            't' => return "\t".to_owned(),
            'r' => return "\r".to_owned(),
            'e' | 'E' => return "\u{1b}".to_owned(),
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => {
                self.at -= 1;
                (8, 3)
            }
            c => return c.to_string(),
        };
        let rest = self.text.get(self.at..).unwrap_or("");
        let digits = rest.bytes().take(most).take_while(|byte| char::from(*byte).is_digit(radix)).count();
        let code = rest.get(..digits).and_then(|digits| u32::from_str_radix(digits, radix).ok());
        self.at += digits;
        code.and_then(char::from_u32).map(String::from).unwrap_or_default()
    }

    fn substitution(&mut self, through: &mut Vec<String>, mark: &str) {
        if self.nested >= MAX_NESTED {
            self.out.too_deep = true;
            self.at = self.text.len();
            return;
        }
        self.nested += 1;
        through.push(format!("{mark}…)"));
        self.list(End::Paren, through);
        through.pop();
        self.nested -= 1;
    }

    /// `${…}`: up to its brace, substitutions inside looked into.
    fn braces(&mut self, through: &mut Vec<String>) {
        let mut inside = Word::default();
        let mut open = 1usize;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'}' => {
                    self.at += 1;
                    open -= 1;
                    if open == 0 {
                        return;
                    }
                }
                b'$' if self.peek(1) == Some(b'{') => {
                    open += 1;
                    self.at += 2;
                }
                b'\'' | b'"' | b'\\' | b'$' | b'`' => self.word_part(&mut inside, through),
                _ => self.at += 1,
            }
            inside.value.clear();
        }
        self.reason("an unfinished `${`", self.at, self.at);
    }

    fn backticks(&mut self, word: &mut Word, start: usize, through: &mut Vec<String>) {
        word.unknown = true;
        let mut inside = String::new();
        let mut closed = false;
        while let Some(c) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            self.at += c.len_utf8();
            match c {
                '`' => {
                    closed = true;
                    break;
                }
                '\\' => match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
                    Some(next @ ('`' | '\\' | '$')) => {
                        self.at += next.len_utf8();
                        inside.push(next);
                    }
                    _ => inside.push('\\'),
                },
                c => inside.push(c),
            }
        }
        self.reason(if closed { "a command substitution" } else { "an unfinished quote" }, start, self.at);
        self.inner_script(&inside, through, "`…`");
    }

    /// A script inside the script: its commands count as seen, its spans don't.
    fn inner_script(&mut self, text: &str, through: &mut Vec<String>, mark: &str) {
        if self.nested >= MAX_NESTED {
            self.out.too_deep = true;
            return;
        }
        let mut inner = Scanner {
            text,
            bytes: text.as_bytes(),
            at: 0,
            kind: self.kind,
            nested: self.nested + 1,
            out: Scan::default(),
        };
        through.push(mark.to_owned());
        inner.list(End::Text, through);
        through.pop();
        self.out.too_deep |= inner.out.too_deep;
        self.out.bodies.extend(inner.out.bodies);
        for mut command in inner.out.commands {
            command.span = None;
            self.out.commands.push(command);
        }
    }

    fn finish_word(&mut self, current: &mut Current, heredocs: &mut Vec<Heredoc>, cases: &mut usize) {
        if !current.word.begun {
            return;
        }
        let word = std::mem::take(&mut current.word);
        if let Some(redirect) = current.redirect.take() {
            self.redirect_target(&redirect, word, heredocs);
            current.end = self.at;
            return;
        }
        let bare = !word.quoted && !word.unknown;
        if current.words.is_empty() {
            if bare && word.value.ends_with('=') && self.peek(0) == Some(b'(') {
                self.reason("an array", word.start, self.at);
                return;
            }
            if is_assignment(&word.value) {
                self.reason("an assignment", word.start, self.at);
                return;
            }
            let keyword = bare && KEYWORDS.may_hold(&word.value);
            if keyword && RESERVED.contains(&word.value.as_str()) {
                self.reason("control flow", word.start, self.at);
                *cases = cases.saturating_sub(usize::from(word.value == "esac"));
                return;
            }
            if keyword && CONSTRUCTS.contains(&word.value.as_str()) {
                self.reason("control flow", word.start, self.at);
                *cases += usize::from(word.value == "case");
            }
            current.start = word.start;
            // Most of what is many is short.
            current.words.reserve_exact(1);
        }
        if !current.words.is_empty() && bare && self.begins_body(current, &word.value) {
            return;
        }
        current.end = self.at;
        if word.unknown {
            current.unknown.push(current.words.len());
            let source = self.text.get(word.start..self.at).unwrap_or(&word.value);
            current.words.push(OsText::from(source));
        } else {
            current.words.push(OsText::from(word.value));
        }
    }

    /// Whether a word in the middle of a command begins the body of a group, loop or function, so that what follows is a
    /// command of its own.
    fn begins_body(&mut self, current: &mut Current, word: &str) -> bool {
        let first = current.words.first().and_then(OsText::as_str);
        let body = match word {
            "{" => true,
            "do" => matches!(first, Some("for" | "select")),
            _ => false,
        };
        if body {
            let words = std::mem::take(&mut current.words);
            let unknown = std::mem::take(&mut current.unknown);
            let span = Some(Span { start: current.start, end: current.end });
            self.out.commands.push(SimpleCommand { words, unknown, span, ..SimpleCommand::default() });
        }
        body
    }

    fn redirect_target(&mut self, redirect: &Redirect, word: Word, heredocs: &mut Vec<Heredoc>) {
        let known = !word.unknown;
        let digits = word.value.bytes().all(|byte| byte.is_ascii_digit());
        match redirect.operator.as_str() {
            "<<" | "<<-" => {
                self.reason("a here-document", redirect.start, self.at);
                heredocs.push(Heredoc {
                    delimiter: word.value,
                    strip_tabs: redirect.operator == "<<-",
                    expands: !word.quoted,
                });
            }
            "<<<" => {
                self.reason("a here-string", redirect.start, self.at);
                self.out.bodies.push(word.value);
            }
            ">&" if known && digits => {}
            ">" | ">>" | "&>" | "<" if known && word.value == "/dev/null" => {}
            _ => self.reason("a redirection", redirect.start, self.at),
        }
    }

    fn finish(
        &mut self,
        current: &mut Current,
        joined: Joined,
        through: &[String],
        heredocs: &mut Vec<Heredoc>,
        cases: &mut usize,
    ) {
        self.finish_word(current, heredocs, cases);
        if let Some(redirect) = current.redirect.take() {
            self.reason("a redirection without a target", redirect.start, self.at);
        }
        let Current { words, unknown, start, end, .. } = std::mem::take(current);
        if words.is_empty() {
            return;
        }
        self.out.commands.push(SimpleCommand {
            words,
            unknown,
            joined,
            through: through.to_vec(),
            span: Some(Span { start, end }),
        });
    }

    /// The bodies of here-documents, which begin after the line end.
    fn heredoc_bodies(&mut self, heredocs: &mut Vec<Heredoc>, through: &mut Vec<String>) {
        for heredoc in std::mem::take(heredocs) {
            let mut body = String::new();
            let mut ended = false;
            while self.at < self.text.len() {
                let rest = self.text.get(self.at..).unwrap_or("");
                let line = rest.split('\n').next().unwrap_or("");
                self.at = (self.at + line.len() + 1).min(self.text.len());
                let line = if heredoc.strip_tabs { line.trim_start_matches('\t') } else { line };
                if line == heredoc.delimiter {
                    ended = true;
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            if !ended {
                self.reason("a here-document without an end", self.at, self.at);
            }
            if heredoc.expands && body.contains(['$', '`']) {
                // In the body only substitutions are live: the same as between double quotes, where quotes are text.
                let quoted = format!("\"{}\"", body.replace('"', " "));
                self.inner_words(&quoted, through);
            }
            self.out.bodies.push(body);
        }
    }

    /// Substitutions in a text that is a word, not a script.
    fn inner_words(&mut self, text: &str, through: &mut Vec<String>) {
        let before = self.out.commands.len();
        self.inner_script(&format!(": {text}"), through, "<<");
        // The `:` is ours.
        let is_ours = |command: &SimpleCommand| command.words.first().and_then(OsText::as_str) == Some(":");
        let position = self.out.commands.get(before..).and_then(|found| found.iter().rposition(is_ours));
        if let Some(position) = position {
            self.out.commands.remove(before + position);
        }
    }
}

/// Whether a byte is a character that stands for itself wherever it is in a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b',' | b'+' | b'@' | b'%')
}

/// Whether a first word assigns a variable.
pub(crate) fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split_once('[').map_or(name, |(name, _)| name);
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
