//! Git's configuration files, read as Git reads them: sections, values, quotes, continuations, includes left to the caller.

use crate::git::config::Kind::{BadEscape, BadKey, BadSection, NotUtf8, TooLarge, Unfinished};
use ringfence_model::Origin;

/// Bytes of one file that are read.
const MAX_BYTES: usize = 4 << 20;

/// One `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The section, in lower case.
    pub section: String,
    /// The subsection, as it stands.
    pub subsection: Option<String>,
    /// The name, in lower case.
    pub name: String,
    /// The value; `true` for a name without `=`.
    pub value: String,
    /// Where it stands.
    pub origin: Origin,
}

impl ConfigEntry {
    /// The key as Git prints it.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.subsection {
            Some(sub) => format!("{}.{sub}.{}", self.section, self.name),
            None => format!("{}.{}", self.section, self.name),
        }
    }

    /// The file that an `include.path` or `includeIf.….path` names.
    #[must_use]
    pub fn include(&self) -> Option<&str> {
        let includes = matches!(self.section.as_str(), "include" | "includeif") && self.name == "path";
        includes.then_some(self.value.as_str())
    }
}

/// A file that can't be read as Git reads it: nothing in it may be taken for harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ConfigError {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong.
    pub kind: Kind,
}

/// What is wrong in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Kind {
    /// A section header that isn't one.
    #[error("a section header that git doesn't read")]
    BadSection,
    /// A name that isn't one, or outside any section.
    #[error("a name that git doesn't read")]
    BadKey,
    /// A backslash before something else than `"`, `\`, `n`, `t`, `b` or a line end.
    #[error("an escape that git doesn't read")]
    BadEscape,
    /// A quote that isn't closed on its line.
    #[error("an unfinished quote")]
    Unfinished,
    /// Not UTF-8.
    #[error("the text isn't UTF-8")]
    NotUtf8,
    /// Too many bytes.
    #[error("the file is too large")]
    TooLarge,
}

/// Reads a configuration file. `origin` gives file and layer; each entry gets its line.
pub fn parse(text: &[u8], origin: &Origin) -> Result<Vec<ConfigEntry>, ConfigError> {
    if text.len() > MAX_BYTES {
        return Err(ConfigError { line: 0, kind: TooLarge });
    }
    let text = std::str::from_utf8(text).map_err(|_| ConfigError { line: 0, kind: NotUtf8 })?;
    match read(text, origin) {
        (entries, None) => Ok(entries),
        (_, Some(error)) => Err(error),
    }
}

/// Reads as far as the text is well formed: for whoever must overlook nothing, since what stands behind an error may be
/// read once that is mended.
#[must_use]
pub fn read(text: &str, origin: &Origin) -> (Vec<ConfigEntry>, Option<ConfigError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { chars: text.chars().peekable(), line: 1 };
    let mut entries = Vec::new();
    let mut section = None;
    loop {
        match reader.step(&mut section, origin) {
            Ok(Step::Entry(entry)) => entries.push(entry),
            Ok(Step::Other) => {}
            Ok(Step::End) => return (entries, None),
            Err(error) => return (entries, Some(error)),
        }
    }
}

/// What was read.
enum Step {
    Entry(ConfigEntry),
    /// Blanks, a comment, a section's header.
    Other,
    End,
}

/// A section with its subsection.
type Section = (String, Option<String>);

fn at(origin: &Origin, line: u32) -> Origin {
    match origin {
        Origin::File { file, layer, .. } => Origin::File { file: file.clone(), line, column: 0, layer: *layer },
        other => other.clone(),
    }
}

struct Reader<'t> {
    chars: std::iter::Peekable<std::str::Chars<'t>>,
    line: u32,
}

impl Reader<'_> {
    fn step(&mut self, section: &mut Option<Section>, origin: &Origin) -> Result<Step, ConfigError> {
        match self.peek() {
            None => return Ok(Step::End),
            Some('\n' | ' ' | '\t' | '\r' | '\u{b}' | '\u{c}') => {
                self.next();
            }
            Some('#' | ';') => self.comment(),
            Some('[') => *section = Some(self.section()?),
            Some(c) if c.is_ascii_alphabetic() => {
                let line = self.line;
                let (name, value) = self.entry()?;
                let Some((section, subsection)) = section.clone() else { return Err(self.error(BadKey)) };
                return Ok(Step::Entry(ConfigEntry { section, subsection, name, value, origin: at(origin, line) }));
            }
            Some(_) => return Err(self.error(BadKey)),
        }
        Ok(Step::Other)
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += u32::from(c == Some('\n'));
        c
    }

    fn error(&self, kind: Kind) -> ConfigError {
        ConfigError { line: self.line, kind }
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.next();
        }
    }

    /// `[section]`, `[section.old]`, `[section "sub"]`.
    fn section(&mut self) -> Result<Section, ConfigError> {
        self.next();
        let mut name = String::new();
        loop {
            match self.next() {
                Some(']') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphanumeric() || c == '-' || c == '.' => name.push(c.to_ascii_lowercase()),
                Some(' ' | '\t') if !name.is_empty() => {
                    let sub = self.subsection()?;
                    return Ok((name, Some(sub)));
                }
                _ => return Err(self.error(BadSection)),
            }
        }
        // The old spelling of a subsection, always in lower case.
        Ok(match name.split_once('.') {
            Some((section, sub)) => (section.to_owned(), Some(sub.to_owned())),
            None => (name, None),
        })
    }

    fn subsection(&mut self) -> Result<String, ConfigError> {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        if self.next() != Some('"') {
            return Err(self.error(BadSection));
        }
        let mut sub = String::new();
        loop {
            match self.next() {
                Some('"') => break,
                Some('\\') => match self.next() {
                    Some('\n') | None => return Err(self.error(BadSection)),
                    Some(c) => sub.push(c),
                },
                Some('\n') | None => return Err(self.error(BadSection)),
                Some(c) => sub.push(c),
            }
        }
        if self.next() == Some(']') { Ok(sub) } else { Err(self.error(BadSection)) }
    }

    fn entry(&mut self) -> Result<(String, String), ConfigError> {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '-') {
            name.push(c.to_ascii_lowercase());
            self.next();
        }
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        match self.peek() {
            None | Some('\n') => Ok((name, "true".to_owned())),
            Some('\r') => {
                self.next();
                if matches!(self.peek(), None | Some('\n')) {
                    Ok((name, "true".to_owned()))
                } else {
                    Err(self.error(BadKey))
                }
            }
            Some('=') => {
                self.next();
                Ok((name, self.value()?))
            }
            // `name # comment` isn't read by Git either.
            Some(_) => Err(self.error(BadKey)),
        }
    }

    fn value(&mut self) -> Result<String, ConfigError> {
        let (mut value, mut kept) = (String::new(), 0);
        let mut quoted = false;
        let mut begun = false;
        loop {
            match self.next() {
                None if quoted => return Err(self.error(Unfinished)),
                Some('\n') if quoted => return Err(self.error(Unfinished)),
                None | Some('\n') => break,
                Some('\r') if !quoted && matches!(self.peek(), None | Some('\n')) => {}
                Some('#' | ';') if !quoted => {
                    self.comment();
                }
                Some('"') => {
                    quoted = !quoted;
                    begun = true;
                    kept = value.len();
                }
                Some('\\') => {
                    begun = true;
                    match self.next() {
                        Some('\n') => continue,
                        Some('\r') if self.peek() == Some('\n') => {
                            self.next();
                            continue;
                        }
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('b') => value.push('\u{8}'),
                        Some(c @ ('"' | '\\')) => value.push(c),
                        _ => return Err(self.error(BadEscape)),
                    }
                    kept = value.len();
                }
                // Blanks at the ends don't belong to the value.
                Some(c) if !quoted && c.is_ascii_whitespace() => {
                    if begun {
                        value.push(c);
                    }
                }
                Some(c) => {
                    begun = true;
                    value.push(c);
                    kept = value.len();
                }
            }
        }
        value.truncate(kept);
        Ok(value)
    }
}
