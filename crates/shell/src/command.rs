//! One simple command: the words a program would be started with, and where they were seen.

use ringfence_model::OsText;
pub use ringfence_model::action::display_word as quoted;

/// A range of bytes in the script a command was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The text it names in `script`; empty when it doesn't lie in it.
    #[must_use]
    pub fn of(self, script: &str) -> &str {
        script.get(self.start..self.end).unwrap_or("")
    }
}

/// How a command hangs on the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Joined {
    /// It is the first, or it stands in a place of its own (a substitution, behind a wrapper).
    #[default]
    First,
    /// After `;` or a line end.
    Then,
    /// After `&&`.
    And,
    /// After `||`.
    Or,
    /// After `|` or `|&`: it reads what the one before it writes.
    Pipe,
    /// After `&`.
    Background,
}

/// The words of one command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimpleCommand {
    /// Program and arguments. A word in `unknown` holds its source text instead of a value.
    pub words: Vec<OsText>,
    /// Positions of the words whose value isn't known before the shell runs (`$x`, `*.c`, `$(…)`), ascending.
    pub unknown: Vec<usize>,
    /// How it hangs on the command before it in the same list.
    pub joined: Joined,
    /// The wrappers and constructs that it was seen through, outermost first: `sudo`, `xargs`, `$(…)`.
    pub through: Vec<String>,
    /// Where it stands in the script; none for a plain argv.
    pub span: Option<Span>,
}

impl SimpleCommand {
    /// A command whose words are all known.
    pub fn new<T: Into<OsText>>(words: impl IntoIterator<Item = T>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The words up to the first that isn't known: what rules are matched against.
    #[must_use]
    pub fn known_prefix(&self) -> &[OsText] {
        let end = self.unknown.first().copied().unwrap_or(self.words.len());
        self.words.get(..end).unwrap_or(&self.words)
    }

    /// Whether every word is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.unknown.is_empty()
    }

    /// The word that names the program, if it is known.
    #[must_use]
    pub fn program(&self) -> Option<&OsText> {
        self.known_prefix().first()
    }

    /// The last component of the program's word: `rm` for `/bin/rm`.
    #[must_use]
    pub fn program_name(&self) -> Option<&str> {
        self.program().and_then(OsText::as_str).map(base_name)
    }

    /// A form for people: words quoted as a shell would need them, deceptive characters escaped.
    #[must_use]
    pub fn display(&self) -> String {
        let mut out = String::new();
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            let known = self.unknown.binary_search(&index).is_err();
            out.push_str(&if known { quoted(word) } else { word.display() });
        }
        out
    }
}

/// The last component of a path, as text; on Windows without the extension of a program.
#[must_use]
pub fn base_name(path: &str) -> &str {
    if cfg!(windows) { windows_name(path) } else { path.rsplit('/').next().unwrap_or(path) }
}

/// `git` for `C:\Git\git.exe`.
fn windows_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\', ':']).next().unwrap_or(path);
    match name.len().checked_sub(4).and_then(|dot| name.split_at_checked(dot)) {
        Some((bare, extension)) if [".exe", ".com"].iter().any(|known| extension.eq_ignore_ascii_case(known)) => bare,
        _ => name,
    }
}

/// A program's name as it is looked up in tables: Windows starts `CMD` where `cmd` is asked for.
pub(crate) fn in_tables(name: &str) -> std::borrow::Cow<'_, str> {
    if cfg!(windows) { name.to_ascii_lowercase().into() } else { name.into() }
}
