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
    pub command: Option<Box<SimpleCommand>>,
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
pub fn classify(command: &SimpleCommand, facts: &ClassifyFacts) -> Class {
    if let Some(why) = crate::danger::dangerous(command, facts) {
        return Class::Dangerous(why);
    }
    if command.is_known() && command.program_name() == Some("git") {
        return match crate::git::judge(command, facts) {
            Ok(neutralised) => Class::SafeIfNeutralised(neutralised),
            Err(why) => Class::Ordinary(why),
        };
    }
    match crate::safety::judge(command, facts) {
        Ok(why) => Class::Safe(why),
        Err(why) => Class::Ordinary(why),
    }
}

/// Judges everything a reading found.
#[must_use]
pub fn classify_reading(reading: &Reading, facts: &ClassifyFacts) -> ReadingClass {
    let commands: Vec<Class> = reading.commands.iter().map(|command| classify(command, facts)).collect();
    let class = line_class(reading, &commands, facts);
    ReadingClass { class, commands }
}

fn line_class(reading: &Reading, commands: &[Class], facts: &ClassifyFacts) -> Class {
    if let Some(why) = crate::danger::dangerous_line(reading, facts) {
        return Class::Dangerous(why);
    }
    if let Some(opaque) = &reading.opaque {
        let reason = opaque.why.first();
        let what = reason.map_or("it isn't plain", |why| why.what);
        let mut finding = Finding::new(format!("the script is judged whole, because of {what}"));
        finding.span = reason.and_then(|reason| reason.span);
        return Class::Ordinary(finding);
    }
    if let Some(shell) = &reading.shell {
        let trusted = crate::safety::trusted_program(&shell.program, facts)
            .and_then(|()| crate::safety::environment("sh", facts))
            .and_then(|()| match shell.login && home_writable(facts) {
                true => Err(Finding::new("a login shell reads start-up files that lie in a writable place")),
                false => Ok(()),
            });
        if let Err(why) = trusted {
            return Class::Ordinary(why);
        }
    }
    let git = |class: &&Class| matches!(class, Class::SafeIfNeutralised(_));
    for (command, class) in reading.commands.iter().zip(commands) {
        if let Class::Ordinary(finding) = class {
            let mut finding = finding.clone();
            finding.command = (reading.commands.len() > 1).then(|| Box::new(command.clone()));
            finding.span = command.span;
            return Class::Ordinary(finding);
        }
    }
    match commands {
        [] => Class::Ordinary(Finding::new("there is no command")),
        [only] if reading.shell.is_none() => only.clone(),
        _ => match commands.iter().find(git) {
            // The neutralised form is an argv, which has no place in a line of several commands or in a script.
            Some(_) => Class::Ordinary(Finding::new("`git` is a known-safe read only when it is run by itself")),
            None => Class::Safe(Finding::new("every command of the line only reads")),
        },
    }
}

/// Whether the start-up files of a login shell could have been written by an earlier command.
fn home_writable(facts: &ClassifyFacts) -> bool {
    let mut home = facts.environment.iter().filter(|(name, _)| name.as_str() == Some("HOME"));
    match home.next_back().and_then(|(_, value)| AbsPath::lexical(value.as_os_str()).ok()) {
        Some(home) => facts.writable_roots.iter().any(|root| home.is_within(root)),
        None => true,
    }
}
