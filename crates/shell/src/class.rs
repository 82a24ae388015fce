//! What kind of act a command is: a known-safe read, ordinary, or dangerous.

use crate::command::{SimpleCommand, Span};
use crate::reading::Reading;
use ringfence_model::facts::ProgramFacts;
use ringfence_model::{AbsPath, OsText};

/// The system a command would run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Linux, with GNU or BusyBox programs.
    Linux,
    /// macOS, with BSD programs.
    MacOs,
    /// Windows.
    Windows,
}

impl Platform {
    /// The system this was built for.
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }
}

/// What the judgement must know of the world, gathered beforehand. Facts that are missing make nothing safe.
#[derive(Debug, Clone)]
pub struct ClassifyFacts {
    /// The system.
    pub platform: Platform,
    /// The directory the command would start in, resolved.
    pub cwd: AbsPath,
    /// Every writable root, resolved (the workspace, temporary directories, …).
    pub writable_roots: Vec<AbsPath>,
    /// Whether `PATH` as the command gets it has an entry that is empty, relative, or in a writable root.
    pub path_writable: bool,
    /// For each program word of the reading's commands: what it resolves to. A word that isn't here is unresolved.
    pub programs: Vec<ProgramFacts>,
    /// The environment the command gets.
    pub environment: Vec<(OsText, OsText)>,
}

/// What kind of act a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Reads only, runs nothing else, loads no configuration that could, reaches no network.
    Safe(Finding),
    /// Safe when it is run as [`Neutralised`] says, and only if the repository's configuration holds nothing that runs a
    /// program or fetches.
    SafeIfNeutralised(Neutralised),
    /// Neither known to be safe nor known to be dangerous; the finding says what keeps it from being safe.
    Ordinary(Finding),
    /// Would do damage a sandbox doesn't stop, or has no honest use unasked.
    Dangerous(Finding),
}

/// Why a command got its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A lower-case fragment: "`sort -o` writes a file".
    pub why: String,
    /// The word that mattered, if one did.
    pub word: Option<OsText>,
    /// The command it was found in, when that isn't the one that was asked about.
    pub command: Option<SimpleCommand>,
    /// Where in the script, if it was read from one.
    pub span: Option<Span>,
}

impl Finding {
    /// A finding about the command itself.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), word: None, command: None, span: None }
    }

    /// Names the word that mattered.
    #[must_use]
    pub fn with_word(mut self, word: &OsText) -> Self {
        self.word = Some(word.clone());
        self
    }
}

/// How a Git read must be run to be safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neutralised {
    /// The argv to run instead.
    pub argv: Vec<OsText>,
    /// Variables to set.
    pub set: Vec<(OsText, OsText)>,
    /// Variables to remove; a name that ends in `*` is a prefix.
    pub unset: Vec<&'static str>,
    /// The Git subcommand.
    pub subcommand: &'static str,
    /// Why it is safe then.
    pub finding: Finding,
}

/// The classes of all commands of a reading, and the one that holds for the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingClass {
    /// The class of the line: the worst of its commands and of what was seen inside.
    pub class: Class,
    /// The class of each of [`Reading::commands`], in order.
    pub commands: Vec<Class>,
}

/// Judges one command by itself.
#[must_use]
pub fn classify(command: &SimpleCommand, _facts: &ClassifyFacts) -> Class {
    let name = command.program_name().unwrap_or("").to_owned();
    Class::Ordinary(Finding::new(format!("`{name}` isn't in the table of known-safe reads")))
}

/// Judges everything a reading found.
#[must_use]
pub fn classify_reading(reading: &Reading, facts: &ClassifyFacts) -> ReadingClass {
    let commands: Vec<Class> = reading.commands.iter().map(|command| classify(command, facts)).collect();
    let class = match &reading.opaque {
        Some(opaque) => Class::Ordinary(Finding::new(format!(
            "the script can't be judged command by command: {}",
            opaque.why.first().map_or("not plain", |why| why.what)
        ))),
        None => commands.first().cloned().unwrap_or_else(|| Class::Ordinary(Finding::new("nothing to run"))),
    };
    ReadingClass { class, commands }
}
