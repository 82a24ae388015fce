//! From an argv to the commands in it.

use crate::command::{SimpleCommand, Span, base_name};
use ringfence_model::OsText;

/// What an argv turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The argv that was read.
    pub argv: Vec<OsText>,
    /// The commands that are judged, each alone; the strictest verdict holds. Never empty for a non-empty argv. When the
    /// reading is opaque this is exactly one command: the argv as it stands.
    pub commands: Vec<SimpleCommand>,
    /// Commands seen inside an opaque script or behind wrappers. They count for `prompt`, `forbidden` and danger, never
    /// for `allow` or safety.
    pub inner: Vec<SimpleCommand>,
    /// Why the line can't be judged command by command; none for a plain one.
    pub opaque: Option<Opaque>,
    /// The shell that the argv starts, if it is one.
    pub shell: Option<ShellUse>,
    /// Whether wrappers were nested deeper than is looked into: treated as dangerous, never loosened.
    pub too_deep: bool,
}

impl Reading {
    /// Whether each command in it is judged alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.opaque.is_none()
    }

    /// Every command that counts for `prompt`, `forbidden` and danger.
    pub fn all(&self) -> impl Iterator<Item = &SimpleCommand> {
        self.commands.iter().chain(&self.inner)
    }
}

/// A script that is judged as one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    /// The script, or the argv's own words when there is no script.
    pub script: OsText,
    /// What makes it opaque; the first is enough, more are for the explanation.
    pub why: Vec<OpaqueReason>,
}

/// One thing that makes a script opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueReason {
    /// What it is, in a few words: `command substitution`.
    pub what: &'static str,
    /// Where it stands in the script; none when the whole is meant.
    pub span: Option<Span>,
}

/// Which shell's grammar a script is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShellKind {
    /// GNU bash.
    Bash,
    /// A POSIX shell by the name `sh`.
    Sh,
    /// Debian's ash.
    Dash,
    /// zsh.
    Zsh,
    /// A Korn shell.
    Ksh,
    /// A shell whose grammar isn't read: fish, tcsh, PowerShell, cmd. Always opaque.
    Other,
}

/// The shell an argv starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellUse {
    /// Its word in the argv.
    pub program: OsText,
    /// Its grammar.
    pub kind: ShellKind,
    /// Whether it asks to be a login shell (`-l`, `--login`, an argv[0] that begins with `-`).
    pub login: bool,
    /// The script after `-c`.
    pub script: Option<OsText>,
}

/// The shell that a program word names, by its last component.
#[must_use]
pub fn shell_kind(program: &str) -> Option<ShellKind> {
    let name = base_name(program);
    Some(match name.strip_prefix('-').unwrap_or(name) {
        "bash" | "rbash" => ShellKind::Bash,
        "sh" => ShellKind::Sh,
        "dash" | "ash" => ShellKind::Dash,
        "zsh" | "rzsh" => ShellKind::Zsh,
        "ksh" | "ksh93" | "mksh" | "oksh" | "rksh" => ShellKind::Ksh,
        "fish" | "csh" | "tcsh" | "pwsh" | "powershell" | "powershell.exe" | "pwsh.exe" | "cmd" | "cmd.exe" | "nu"
        | "elvish" | "xonsh" | "yash" | "rc" | "es" => ShellKind::Other,
        _ => return None,
    })
}

/// Reads an argv.
#[must_use]
pub fn read(argv: &[OsText]) -> Reading {
    let whole = SimpleCommand::new(argv.iter().cloned());
    let shell = whole.program().and_then(|program| {
        let kind = shell_kind(program.as_str()?)?;
        Some(ShellUse { program: program.clone(), kind, login: false, script: None })
    });
    let opaque = shell
        .as_ref()
        .map(|_| Opaque { script: OsText::default(), why: vec![OpaqueReason { what: "a shell", span: None }] });
    Reading { argv: argv.to_vec(), commands: vec![whole], inner: Vec::new(), opaque, shell, too_deep: false }
}
