//! Acts inside writable roots that are hard to undo: interactive policies ask before them.

use crate::command::SimpleCommand;
use ringfence_model::OsText;

/// What must be known to judge an act; gathered beforehand, only for commands that [`wants_facts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestructiveFacts {
    /// How many files the command's operands name or hold; none if they weren't counted.
    pub files: Option<u64>,
    /// Whether the repository has changes that aren't committed; none if it wasn't looked at.
    pub uncommitted: Option<bool>,
    /// Whether a branch that would be dropped has commits that aren't merged; none if it wasn't looked at.
    pub unmerged: Option<bool>,
    /// Whether the target of `dd`, `mkfs` or `shred` exists; none if it wasn't looked at.
    pub target_exists: Option<bool>,
    /// `[destructive] ask_above`.
    pub ask_above: u64,
}

/// A hard-to-undo act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destructive {
    /// What it would do: a lower-case fragment.
    pub why: String,
    /// The setting that decides, if one does.
    pub setting: Option<&'static str>,
}

/// What a command's facts are about, so that only what matters is gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantsFacts {
    /// Count the files that these operands name or hold.
    Files(Vec<OsText>),
    /// Look for uncommitted changes.
    Uncommitted,
    /// Look whether these branches are merged.
    Unmerged(Vec<OsText>),
    /// Look whether this exists.
    Exists(OsText),
}

fn texts(command: &SimpleCommand) -> Vec<&str> {
    command.words.iter().skip(1).map(|word| word.as_str().unwrap_or("")).collect()
}

fn has(args: &[&str], short: char, long: &str) -> bool {
    args.iter()
        .take_while(|arg| **arg != "--")
        .any(|arg| *arg == long || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains(short)))
}

fn operands(command: &SimpleCommand, skip: usize) -> Vec<OsText> {
    let mut only = false;
    command
        .words
        .iter()
        .skip(skip)
        .filter(|word| {
            let dash = word.as_bytes().starts_with(b"-") && !only;
            only |= word.as_bytes() == b"--";
            !dash
        })
        .cloned()
        .collect()
}

/// The Git subcommand and its arguments, past the global options.
fn git(args: &[&str]) -> Option<(usize, String)> {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        match *arg {
            "-c" | "-C" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" | "--config-env" => at += 2,
            arg if arg.starts_with('-') => at += 1,
            arg => return Some((at, arg.to_owned())),
        }
    }
    None
}

/// What must be looked at before [`destructive`] can judge the command; none when its words are enough.
#[must_use]
pub fn wants_facts(command: &SimpleCommand) -> Option<WantsFacts> {
    let args = texts(command);
    match command.program_name()? {
        "rm" if has(&args, 'r', "--recursive") || has(&args, 'R', "--recursive") || operands(command, 1).len() > 1 => {
            Some(WantsFacts::Files(operands(command, 1)))
        }
        "find" if args.contains(&"-delete") => {
            let starts: Vec<OsText> =
                command.words.iter().skip(1).take_while(|word| !word.as_bytes().starts_with(b"-")).cloned().collect();
            Some(WantsFacts::Files(if starts.is_empty() { vec![OsText::from(".")] } else { starts }))
        }
        "dd" => {
            let target = args.iter().find_map(|arg| arg.strip_prefix("of="))?;
            Some(WantsFacts::Exists(OsText::from(target)))
        }
        "shred" => operands(command, 1).into_iter().next().map(WantsFacts::Exists),
        name if name.starts_with("mkfs") => operands(command, 1).into_iter().next_back().map(WantsFacts::Exists),
        "git" => {
            let (at, sub) = git(&args)?;
            let rest = args.get(at + 1..).unwrap_or_default();
            match sub.as_str() {
                "reset" if rest.contains(&"--hard") || rest.contains(&"--merge") => Some(WantsFacts::Uncommitted),
                "checkout" | "switch" if has(rest, 'f', "--force") || rest.contains(&"--discard-changes") => {
                    Some(WantsFacts::Uncommitted)
                }
                "checkout" if rest.contains(&"--") || rest.contains(&".") => Some(WantsFacts::Uncommitted),
                "restore" | "stash" => Some(WantsFacts::Uncommitted),
                "branch" if has(rest, 'D', "--force") => Some(WantsFacts::Unmerged(operands(command, at + 2))),
                "clean" if has(rest, 'f', "--force") => Some(WantsFacts::Files(vec![OsText::from(".")])),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a command is a hard-to-undo act. A fact that wasn't gathered counts as the worse.
#[must_use]
pub fn destructive(command: &SimpleCommand, facts: &DestructiveFacts) -> Option<Destructive> {
    let args = texts(command);
    let act = |why: &str| Some(Destructive { why: why.to_owned(), setting: None });
    let many = |what: &str| match facts.files {
        Some(files) if files <= facts.ask_above => None,
        Some(files) => Some(Destructive {
            why: format!("{what} {files} files, more than {}", facts.ask_above),
            setting: Some("destructive.ask_above"),
        }),
        None => Some(Destructive {
            why: format!("{what} files that couldn't be counted"),
            setting: Some("destructive.ask_above"),
        }),
    };
    match command.program_name()? {
        "rm" | "find" => wants_facts(command).and_then(|_| many("would delete")),
        "dd" | "shred" if facts.target_exists != Some(false) => {
            wants_facts(command).and_then(|_| act("would overwrite something that exists"))
        }
        name if name.starts_with("mkfs") && facts.target_exists != Some(false) => {
            act("would erase something that exists")
        }
        "git" => {
            let (at, sub) = git(&args)?;
            let rest = args.get(at + 1..).unwrap_or_default();
            match sub.as_str() {
                "clean" if has(rest, 'f', "--force") && !has(rest, 'n', "--dry-run") => {
                    many("would delete untracked work: up to")
                }
                "push" => push(rest),
                "reset" | "checkout" | "switch" | "restore" => {
                    let staged_only = sub == "restore" && rest.contains(&"--staged") && !rest.contains(&"--worktree");
                    let loses = wants_facts(command).is_some() && facts.uncommitted != Some(false) && !staged_only;
                    if loses { act("would lose changes that aren't committed") } else { None }
                }
                "branch" if wants_facts(command).is_some() && facts.unmerged != Some(false) => {
                    act("would drop a branch with commits that aren't merged")
                }
                "stash" if matches!(rest.first(), Some(&("drop" | "clear"))) => act("would drop stashed changes"),
                _ => None,
            }
        }
        _ => None,
    }
}

fn push(rest: &[&str]) -> Option<Destructive> {
    let act = |why: &str| Some(Destructive { why: why.to_owned(), setting: None });
    if has(rest, 'f', "--force") || rest.iter().any(|arg| arg.starts_with("--force-with-lease") || arg.starts_with('+'))
    {
        return act("would replace history that others may have");
    }
    if rest.contains(&"--mirror") || rest.contains(&"--prune") {
        return act("would delete what the other side has and this one doesn't");
    }
    if has(rest, 'd', "--delete") || rest.iter().any(|arg| arg.starts_with(':') && arg.len() > 1) {
        return act("would delete a branch or tag on the other side");
    }
    None
}
