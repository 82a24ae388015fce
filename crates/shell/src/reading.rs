//! From an argv to the commands in it.

use crate::command::{Joined, SimpleCommand, Span, base_name, in_tables};
use crate::names::Sieve;
use crate::script::scan;
use crate::wrappers::{Inner, MAX_DEPTH, inside};
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
    shell_named(&in_tables(base_name(program)))
}

/// The shell of this name, with or without the `-` of a login shell.
pub(crate) fn shell_named(name: &str) -> Option<ShellKind> {
    let name = name.strip_prefix('-').unwrap_or(name);
    MAYBE
        .may_hold(name)
        .then(|| SHELLS.iter().find(|(_, names)| names.contains(&name)))
        .flatten()
        .map(|(kind, _)| *kind)
}

const SHELLS: &[(ShellKind, &[&str])] = &[
    (ShellKind::Bash, &["bash", "rbash"]),
    (ShellKind::Sh, &["sh"]),
    (ShellKind::Dash, &["dash", "ash"]),
    (ShellKind::Zsh, &["zsh", "rzsh"]),
    (ShellKind::Ksh, &["ksh", "ksh93", "mksh", "oksh", "rksh"]),
    (
        ShellKind::Other,
        &[
            "fish",
            "csh",
            "tcsh",
            "pwsh",
            "powershell",
            "powershell.exe",
            "pwsh.exe",
            "cmd",
            "cmd.exe",
            "nu",
            "elvish",
            "xonsh",
            "yash",
            "rc",
            "es",
        ],
    ),
];

const MAYBE: Sieve = {
    let (mut sieve, mut at) = (Sieve::new(), 0);
    while at < SHELLS.len() {
        sieve = sieve.with_all(SHELLS[at].1);
        at += 1;
    }
    sieve
};

/// Shell options that change nothing about what a script means, as letters.
const PLAIN_LETTERS: &str = "celuf";
/// Long shell options that change nothing about what a script means; `--login` is seen to by itself.
const PLAIN_LONG: &[&str] = &["--login", "--norc", "--noprofile", "--posix"];
/// Values of `-o` that change nothing about what a script means.
const PLAIN_SET: &[&str] = &["pipefail", "errexit", "nounset"];
/// Long shell options that take the next word.
const LONG_VALUES: &[&str] = &["--rcfile", "--init-file"];

/// How a shell is asked to run, from its words.
pub(crate) fn shell_use(words: &[OsText], kind: ShellKind) -> ShellUse {
    options(words, kind).0
}

/// The shell's use, and the first thing in its options that keeps a script from being plain.
fn options(words: &[OsText], kind: ShellKind) -> (ShellUse, Option<&'static str>) {
    let program = words.first().cloned().unwrap_or_default();
    let mut login = program.as_str().map(base_name).is_some_and(|name| name.starts_with('-'));
    if kind == ShellKind::Other {
        let script = other_script(words);
        return (ShellUse { program, kind, login, script }, Some("a shell whose grammar isn't read"));
    }
    let (mut command, mut odd) = (false, None);
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let Some(text) = word.as_str() else { break };
        at += 1;
        if text == "--" || text == "-" {
            break;
        } else if text.starts_with("--") {
            login |= text == "--login";
            at += usize::from(LONG_VALUES.contains(&text));
            if !PLAIN_LONG.contains(&text) {
                odd = odd.or(Some("an option of the shell"));
            }
        } else if let Some(letters) = text.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty()) {
            let off = text.starts_with('+');
            for letter in letters.chars() {
                match letter {
                    'c' => command = true,
                    'l' => login |= !off,
                    'o' | 'O' => {
                        let value = words.get(at).and_then(OsText::as_str);
                        at += 1;
                        if letter == 'O' || !value.is_some_and(|value| PLAIN_SET.contains(&value)) {
                            odd = odd.or(Some("an option of the shell"));
                        }
                    }
                    letter if !off && PLAIN_LETTERS.contains(letter) => {}
                    _ => odd = odd.or(Some("an option of the shell")),
                }
            }
        } else {
            at -= 1;
            break;
        }
    }
    let script = if command { words.get(at).cloned() } else { None };
    if script.is_none() {
        odd = Some("a shell that reads its commands from a file or its input");
    }
    (ShellUse { program, kind, login, script }, odd)
}

/// What a shell with another grammar would run, as far as its options say.
fn other_script(words: &[OsText]) -> Option<OsText> {
    let starts = |word: &OsText| {
        word.as_str().is_some_and(|word| {
            let word = word.to_ascii_lowercase();
            word == "-c" || word == "/c" || word == "/k" || (word.len() > 2 && "-command".starts_with(&word))
        })
    };
    let at = words.iter().position(starts)?;
    let rest: Vec<&str> = words.get(at + 1..)?.iter().map(|word| word.as_str().unwrap_or("")).collect();
    (!rest.is_empty()).then(|| OsText::from(rest.join(" ")))
}

/// Whether a shell's words name neither a script nor a file, so that it reads its input.
pub(crate) fn reads_input(words: &[OsText]) -> bool {
    let shell = words.first().and_then(OsText::as_str).and_then(shell_kind);
    shell.is_some_and(|kind| shell_use(words, kind).script.is_none())
        && words.iter().skip(1).all(|word| {
            word.as_str().is_some_and(|word| word.starts_with('-') || word == "/dev/stdin" || PLAIN_SET.contains(&word))
        })
}

/// Reads an argv.
#[must_use]
pub fn read(argv: &[OsText]) -> Reading {
    let whole = SimpleCommand::new(argv.iter().cloned());
    let mut reading = Reading {
        argv: argv.to_vec(),
        commands: Vec::new(),
        inner: Vec::new(),
        opaque: None,
        shell: None,
        too_deep: false,
    };
    let kind = whole.program().and_then(OsText::as_str).and_then(shell_kind);
    let Some(kind) = kind else {
        reading.see_through(std::slice::from_ref(&whole));
        reading.commands.extend((!argv.is_empty()).then_some(whole));
        return reading;
    };
    let (shell, odd) = options(argv, kind);
    let mut why: Vec<OpaqueReason> = odd.into_iter().map(|what| OpaqueReason { what, span: None }).collect();
    let script = shell.script.clone().unwrap_or_default();
    let mut seen = Vec::new();
    match script.as_str() {
        None => why.push(OpaqueReason { what: "a script that isn't UTF-8", span: None }),
        Some(text) => {
            let scan = scan(text, kind);
            reading.too_deep |= scan.too_deep;
            why.extend(scan.why);
            seen = scan.commands;
            if why.is_empty() && text.len() > crate::grammar::MAX_PLAIN {
                why.push(OpaqueReason { what: "a script too long to be judged command by command", span: None });
            }
            if why.is_empty() && (seen.is_empty() || !crate::grammar::agrees(text, &seen)) {
                why.push(OpaqueReason { what: "a script that two readers don't read alike", span: None });
            }
            reading.see_input(&seen, scan.bodies);
        }
    }
    reading.see_through(&seen);
    reading.shell = Some(shell);
    if why.is_empty() {
        reading.commands = seen;
        // A rule that prompts for or forbids the shell itself still counts.
        reading.inner.push(whole);
    } else {
        let behind = std::mem::replace(&mut reading.inner, seen);
        reading.inner.extend(behind);
        reading.commands = vec![whole];
        reading.opaque = Some(Opaque { script, why });
    }
    reading
}

/// Words that may be copied while looking through wrappers; more counts as too deep.
const MAX_COPIED: usize = 400_000;

impl Reading {
    /// What shells among `commands` read from their input, as far as it stands in the line.
    fn see_input(&mut self, commands: &[SimpleCommand], bodies: Vec<String>) {
        let reads = |command: &SimpleCommand| reads_input(&command.words);
        let fed = !bodies.is_empty() || commands.iter().any(|command| command.joined == Joined::Pipe);
        if !fed || !commands.iter().any(reads) {
            return;
        }
        let mut scripts: Vec<String> = bodies;
        for (before, command) in commands.iter().zip(commands.iter().skip(1)) {
            let prints = matches!(before.program_name(), Some("echo" | "printf"));
            if prints && command.joined == Joined::Pipe && reads(command) {
                let words = before.words.iter().skip(1).map(|word| word.as_str().unwrap_or(""));
                let text = words.collect::<Vec<_>>().join(" ");
                // What `printf` and `echo -e` make of these, and what the shell drops.
                scripts.push(text.replace("\\0", "").replace("\\n", "\n").replace('\0', ""));
            }
        }
        for script in scripts {
            let found = scan(&script, ShellKind::Sh);
            self.too_deep |= found.too_deep;
            self.see_through(&found.commands);
            self.inner.extend(found.commands.into_iter().map(|command| SimpleCommand { span: None, ..command }));
        }
    }

    /// Adds what `commands` would run besides themselves, wrappers in wrappers, to what was seen.
    fn see_through(&mut self, commands: &[SimpleCommand]) {
        let mut copied = 0;
        let mut level: Vec<SimpleCommand> = Vec::new();
        for depth in 0..=MAX_DEPTH {
            let mut next = Vec::new();
            for command in if depth == 0 { commands } else { &level } {
                let Some(name) = command.program_name() else { continue };
                for inner in inside(command, name) {
                    if depth == MAX_DEPTH || copied > MAX_COPIED {
                        self.too_deep = true;
                        return;
                    }
                    let mut through = command.through.clone();
                    through.push(name.to_owned());
                    match inner {
                        Inner::Command(inner) => {
                            copied += inner.words.len();
                            next.push(SimpleCommand { through, ..inner });
                        }
                        Inner::Script(text, kind) => {
                            let scan = scan(&text, kind);
                            self.too_deep |= scan.too_deep;
                            for found in scan.commands {
                                copied += found.words.len();
                                let through = through.iter().chain(&found.through).cloned().collect();
                                next.push(SimpleCommand { through, span: None, ..found });
                            }
                        }
                        Inner::TooMany => self.too_deep = true,
                    }
                }
            }
            if next.is_empty() {
                return;
            }
            self.inner.extend(next.iter().cloned());
            level = next;
        }
    }
}
