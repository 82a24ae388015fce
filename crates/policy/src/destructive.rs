//! Acts inside the writable roots that are hard to undo, told from a command's own words.
//!
//! The sandbox holds such a command to the workspace, but what is lost there is the person's work. How many files a
//! command would touch is counted beforehand, as far as the threshold, and comes in as facts.

use ringfence_model::OsText;
use ringfence_shell::{Reading, SimpleCommand};

/// One act that is hard to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What it does, as a person reads it: "`git reset --hard` discards uncommitted changes".
    pub what: String,
    /// When it is asked about.
    pub when: When,
    /// The operands it is about, as written.
    pub paths: Vec<OsText>,
    /// The word that makes it so.
    pub word: OsText,
    /// It takes whole directories with it.
    deep: bool,
}

/// When an act is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// If it touches more files than the threshold.
    Above,
    /// If what it names exists.
    Exists,
}

/// How many files an operand stands for, counted up to just above the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// As written.
    pub path: OsText,
    /// Files at or below it; 0 if nothing is there.
    pub files: u64,
}

/// Every act in the reading, also behind wrappers and inside opaque scripts.
#[must_use]
pub fn acts(reading: &Reading) -> Vec<Act> {
    let mut acts: Vec<Act> = reading.all().filter_map(act).collect();
    // After a change of directory nobody knows what a relative name is about: at most all that is here.
    let moves = |command: &SimpleCommand| matches!(command.program_name(), Some("cd" | "pushd" | "popd"));
    if reading.all().any(moves) {
        for act in acts.iter_mut().filter(|act| act.deep && act.when == When::Above) {
            if act.paths.iter().any(|path| !path.as_bytes().starts_with(b"/")) {
                act.paths = vec![OsText::new(HERE)];
            }
        }
    }
    acts
}

/// Everything below the working directory: what an operand stands for whose value only the shell will know (`*`, `$x`).
const HERE: &str = ".";

/// The first act that is to be asked about, with the number of files if that is what matters.
#[must_use]
pub fn finding<'a>(acts: &'a [Act], touched: &[Touched], above: u64) -> Option<(&'a Act, Option<u64>)> {
    acts.iter().find_map(|act| {
        let files: u64 = act
            .paths
            .iter()
            .filter_map(|path| touched.iter().find(|touched| touched.path == *path))
            .map(|touched| touched.files)
            .fold(0, u64::saturating_add);
        match act.when {
            When::Always => Some((act, None)),
            When::Above => (files > above).then_some((act, Some(files))),
            When::Exists => (files > 0).then_some((act, None)),
        }
    })
}

fn act(command: &SimpleCommand) -> Option<Act> {
    let words: Vec<&str> = command
        .words
        .iter()
        .enumerate()
        .map(|(at, word)| match command.unknown.binary_search(&at) {
            Ok(_) => HERE,
            Err(_) => word.as_str().unwrap_or(""),
        })
        .collect();
    let (_, args) = words.split_first()?;
    match command.program_name()? {
        "rm" | "rmdir" | "unlink" | "trash" => {
            let mut paths = operands(args);
            let recursive = flag(args, &["--recursive"], &['r', 'R']);
            if recursive.is_none() {
                // How many files `*.o` is can't be told, and it takes no directory with it.
                paths.retain(|path| *path != HERE);
            }
            let word = recursive.or_else(|| args.first().copied()).unwrap_or("rm");
            Some(Act { deep: recursive.is_some(), ..Act::new("`rm` deletes files", When::Above, paths, word) })
        }
        "find" => {
            let word = args.iter().find(|arg| **arg == "-delete")?;
            let start: Vec<&str> = args.iter().copied().take_while(|arg| !arg.starts_with('-')).collect();
            let start = if start.is_empty() { vec![HERE] } else { start };
            Some(Act { deep: true, ..Act::new("`find -delete` deletes what it finds", When::Above, start, word) })
        }
        "git" => git(args),
        "dd" => {
            let target = args.iter().find_map(|arg| arg.strip_prefix("of="))?;
            (target != "/dev/null").then(|| Act::new("`dd` overwrites its target", When::Exists, vec![target], "of="))
        }
        "shred" => Some(Act::new("`shred` overwrites files for good", When::Exists, operands(args), "shred")),
        name if name == "mkfs" || name.starts_with("mkfs.") => {
            Some(Act::new("`mkfs` wipes its target", When::Exists, operands(args), name))
        }
        _ => None,
    }
}

fn git(args: &[&str]) -> Option<Act> {
    let (command, args) = git_command(args)?;
    let has = |names: &[&str]| flag(&args, names, &[]);
    let short = |letter: char| flag(&args, &[], &[letter]);
    let always = |what: &str, word: &str| Some(Act::new(what, When::Always, Vec::new(), word));
    match command {
        "clean" => {
            let dry = has(&["--dry-run"]).or_else(|| short('n'));
            // Without `-f` it deletes too where `clean.requireForce` is off.
            let word = has(&["--force"]).or_else(|| short('f')).unwrap_or("clean");
            if dry.is_some() { None } else { always("`git clean` deletes untracked work", word) }
        }
        "reset" => always("`git reset --hard` discards uncommitted changes", has(&["--hard"])?),
        "checkout" => {
            let word = has(&["--force"])
                .or_else(|| short('f'))
                .or_else(|| args.iter().copied().find(|arg| *arg == "--" || *arg == "."))?;
            always("`git checkout` discards uncommitted changes", word)
        }
        "switch" => {
            let word = has(&["--force", "--discard-changes"]).or_else(|| short('f'))?;
            always("`git switch` discards uncommitted changes", word)
        }
        "restore" => {
            let staged_only = has(&["--staged", "-S"]).is_some() && has(&["--worktree", "-W"]).is_none();
            if staged_only { None } else { always("`git restore` discards uncommitted changes", "restore") }
        }
        "push" => {
            let word = has(&["--force", "--mirror", "--delete", "--prune", "--force-if-includes"])
                .or_else(|| short('f'))
                .or_else(|| short('d'))
                .or_else(|| args.iter().copied().find(|arg| arg.starts_with("--force-with-lease")))
                .or_else(|| args.iter().copied().find(|arg| arg.starts_with('+') || arg.starts_with(':')))?;
            always("`git push` overwrites or deletes what others have", word)
        }
        "branch" => {
            let deletes = has(&["--delete"]).or_else(|| short('d'));
            let forced = has(&["--force"]).or_else(|| short('f'));
            let word = short('D').or_else(|| deletes.and(forced))?;
            always("`git branch` drops a branch with unmerged work", word)
        }
        "stash" => {
            let word = args.iter().copied().find(|arg| ["drop", "clear"].contains(arg))?;
            always("`git stash` drops stashed work", word)
        }
        _ => None,
    }
}

/// The first argument before `--` that is one of the long options, also cut short as programs accept it, or a cluster with
/// one of the letters.
fn flag<'w>(args: &[&'w str], long: &[&str], short: &[char]) -> Option<&'w str> {
    args.iter().copied().take_while(|arg| *arg != "--").find(|arg| {
        let name = arg.split('=').next().unwrap_or(arg);
        match name.strip_prefix("--") {
            Some(name) => !name.is_empty() && long.iter().any(|long| long.trim_start_matches('-').starts_with(name)),
            None => arg.starts_with('-') && arg.chars().any(|letter| short.contains(&letter)),
        }
    })
}

/// Git's subcommand and what follows it, past options of git itself.
fn git_command<'w>(args: &[&'w str]) -> Option<(&'w str, Vec<&'w str>)> {
    let mut rest = args.iter().copied();
    while let Some(arg) = rest.next() {
        match arg {
            "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" | "--super-prefix"
            | "--config-env" => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            command => return Some((command, rest.collect())),
        }
    }
    None
}

fn operands<'w>(args: &[&'w str]) -> Vec<&'w str> {
    let mut only_operands = false;
    args.iter()
        .copied()
        .filter(|arg| {
            if only_operands {
                return true;
            }
            only_operands = *arg == "--";
            !arg.starts_with('-')
        })
        .collect()
}

impl Act {
    fn new(what: &str, when: When, paths: Vec<&str>, word: &str) -> Self {
        let paths = paths.into_iter().map(OsText::new).collect();
        Self { what: what.to_owned(), when, paths, word: OsText::new(word), deep: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts_of(line: &str) -> Vec<Act> {
        let argv: Vec<OsText> = line.split(' ').map(OsText::new).collect();
        acts(&ringfence_shell::read(&argv))
    }

    #[test]
    fn what_is_hard_to_undo_is_found() {
        for line in [
            "git reset --hard",
            "git clean -fdx",
            "git -C x push --force",
            "git push origin :old",
            "git push origin +main",
            "git push -f",
            "git branch -D x",
            "git checkout -f",
            "git checkout -- .",
            "git restore .",
            "git stash clear",
            "git push --force-with-lease=main",
            "git push --forc",
            "git push --mirr origin",
            "git reset --har",
            "git clean -dx",
        ] {
            let acts = acts_of(line);
            assert!(finding(&acts, &[], 50).is_some(), "{line}");
        }
        for line in [
            "git reset",
            "git clean -n",
            "git clean -nf",
            "git push",
            "git branch -d x",
            "git checkout main",
            "git restore --staged x",
            "git stash",
            "dd of=/dev/null",
        ] {
            assert!(finding(&acts_of(line), &[], 50).is_none(), "{line}");
        }
    }

    #[test]
    fn deleting_asks_above_the_threshold() {
        let acts = acts_of("rm -rf a b");
        let touched = |files| [Touched { path: OsText::new("a"), files }, Touched { path: OsText::new("b"), files: 1 }];
        assert_eq!(finding(&acts, &touched(49), 50), None);
        assert_eq!(finding(&acts, &touched(50), 50).map(|(_, files)| files), Some(Some(51)));
        for script in ["rm -rf *", "rm -r \"$x\"", "cd sub && rm -rf old", "find . -delete", "cd x; find y -delete"] {
            let argv = ["bash", "-c", script].map(OsText::from);
            let acts = super::acts(&ringfence_shell::read(&argv));
            let all = [Touched { path: OsText::new("."), files: 51 }];
            assert!(finding(&acts, &all, 50).is_some(), "{script}");
        }
        for script in ["rm *.o", "cd sub && rm old", "cd sub && rm -rf /tmp/x"] {
            let argv = ["bash", "-c", script].map(OsText::from);
            let acts = super::acts(&ringfence_shell::read(&argv));
            assert!(finding(&acts, &[Touched { path: OsText::new("."), files: 51 }], 50).is_none(), "{script}");
        }
        let acts = acts_of("shred f");
        assert!(finding(&acts, &[], 50).is_none());
        assert!(finding(&acts, &[Touched { path: OsText::new("f"), files: 1 }], 50).is_some());
    }
}
