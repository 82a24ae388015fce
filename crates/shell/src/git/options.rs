//! Which Git subcommands only read, and which of their options are harmless.

use crate::command::base_name;

/// A subcommand that only reads.
#[derive(Debug, Clone, Copy)]
pub struct Subcommand {
    /// Its name.
    pub name: &'static str,
    /// Words that must be there for it to be a read.
    pub requires: &'static [&'static str],
    /// Harmless letters, alone or joined.
    pub flags: &'static str,
    /// Harmless letters that take a value; what follows them in the same word isn't looked at.
    pub values: &'static str,
    /// Harmless long options, with or without `=value`. No abbreviation counts.
    pub long: &'static [&'static str],
    /// Operands that it may have.
    pub operands: Operands,
    /// What it does.
    pub why: &'static str,
}

/// What operands are harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// Revisions and paths.
    Any,
    /// At most so many.
    AtMost(usize),
}

/// Options that several of them share: what is shown of commits and differences.
const SHOWN: &[&str] = &[
    "--abbrev",
    "--abbrev-commit",
    "--no-abbrev-commit",
    "--oneline",
    "--pretty",
    "--format",
    "--date",
    "--graph",
    "--decorate",
    "--no-decorate",
    "--patch",
    "--no-patch",
    "--raw",
    "--patch-with-stat",
    "--stat",
    "--numstat",
    "--shortstat",
    "--dirstat",
    "--summary",
    "--name-only",
    "--name-status",
    "--unified",
    "--minimal",
    "--patience",
    "--histogram",
    "--diff-algorithm",
    "--diff-filter",
    "--find-renames",
    "--find-copies",
    "--no-renames",
    "--color",
    "--no-color",
    "--color-words",
    "--word-diff",
    "--ignore-space-at-eol",
    "--ignore-space-change",
    "--ignore-all-space",
    "--ignore-blank-lines",
    "--inter-hunk-context",
    "--function-context",
    "--exit-code",
    "--quiet",
    "--no-ext-diff",
    "--no-textconv",
    "--full-index",
    "--binary",
    "--cached",
    "--staged",
    "--merge-base",
    "--relative",
    "--text",
    "--src-prefix",
    "--dst-prefix",
    "--no-prefix",
    "--check",
    "--compact-summary",
    "--pickaxe-all",
    "--pickaxe-regex",
    "--max-count",
    "--skip",
    "--since",
    "--after",
    "--until",
    "--before",
    "--author",
    "--committer",
    "--grep",
    "--all-match",
    "--invert-grep",
    "--regexp-ignore-case",
    "--extended-regexp",
    "--fixed-strings",
    "--perl-regexp",
    "--merges",
    "--no-merges",
    "--first-parent",
    "--all",
    "--branches",
    "--tags",
    "--remotes",
    "--glob",
    "--exclude",
    "--follow",
    "--full-history",
    "--simplify-by-decoration",
    "--ancestry-path",
    "--topo-order",
    "--date-order",
    "--author-date-order",
    "--reverse",
    "--no-walk",
    "--left-right",
    "--cherry-pick",
    "--cherry-mark",
    "--cherry",
    "--boundary",
    "--parents",
    "--children",
    "--no-notes",
    "--no-mailmap",
    "--use-mailmap",
    "--log-size",
    "--cc",
    "--no-show-signature",
    "--ignore-submodules",
    "--end-of-options",
    "--shortstat",
    "--walk-reflogs",
    "--reflog",
];

/// Every Git read that is known.
pub const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "status",
        requires: &[],
        flags: "sbuz",
        values: "u",
        long: &[
            "--short",
            "--branch",
            "--show-stash",
            "--porcelain",
            "--long",
            "--untracked-files",
            "--ignore-submodules",
            "--ignored",
            "--column",
            "--no-column",
            "--ahead-behind",
            "--no-ahead-behind",
            "--renames",
            "--no-renames",
            "--find-renames",
        ],
        operands: Operands::Any,
        why: "prints what has changed",
    },
    Subcommand {
        name: "log",
        requires: &[],
        flags: "pusicwbamqgz0123456789EFP",
        values: "nSGLMCBU",
        long: SHOWN,
        operands: Operands::Any,
        why: "prints commits",
    },
    Subcommand {
        name: "diff",
        requires: &[],
        flags: "pusRwbaqz",
        values: "SGMCBUO",
        long: SHOWN,
        operands: Operands::Any,
        why: "prints differences",
    },
    Subcommand {
        name: "show",
        requires: &[],
        flags: "pusqwbamz",
        values: "SGMCBU",
        long: SHOWN,
        operands: Operands::Any,
        why: "prints objects",
    },
    Subcommand {
        name: "branch",
        requires: &["--list", "-l", "-a", "-r", "-v", "-vv", "--show-current", "--all", "--remotes"],
        flags: "larvi",
        values: "",
        long: &[
            "--list",
            "--all",
            "--remotes",
            "--verbose",
            "--show-current",
            "--contains",
            "--no-contains",
            "--merged",
            "--no-merged",
            "--points-at",
            "--format",
            "--color",
            "--no-color",
            "--column",
            "--no-column",
            "--ignore-case",
            "--abbrev",
            "--no-abbrev",
        ],
        operands: Operands::AtMost(0),
        why: "lists branches",
    },
    Subcommand {
        name: "rev-parse",
        requires: &[],
        flags: "q",
        values: "",
        long: &[
            "--verify",
            "--quiet",
            "--short",
            "--symbolic",
            "--symbolic-full-name",
            "--abbrev-ref",
            "--all",
            "--branches",
            "--tags",
            "--remotes",
            "--show-toplevel",
            "--show-prefix",
            "--show-cdup",
            "--git-dir",
            "--absolute-git-dir",
            "--git-common-dir",
            "--is-inside-git-dir",
            "--is-inside-work-tree",
            "--is-bare-repository",
            "--is-shallow-repository",
            "--show-superproject-working-tree",
            "--show-object-format",
            "--git-path",
            "--revs-only",
        ],
        operands: Operands::Any,
        why: "prints names of objects and places",
    },
    Subcommand {
        name: "ls-files",
        requires: &[],
        flags: "cdmoisuktvfz",
        values: "xX",
        long: &[
            "--cached",
            "--deleted",
            "--modified",
            "--others",
            "--ignored",
            "--stage",
            "--unmerged",
            "--killed",
            "--directory",
            "--no-empty-directory",
            "--eol",
            "--exclude",
            "--exclude-from",
            "--exclude-standard",
            "--error-unmatch",
            "--full-name",
            "--abbrev",
            "--debug",
            "--deduplicate",
            "--format",
        ],
        operands: Operands::Any,
        why: "lists files",
    },
    Subcommand {
        name: "blame",
        requires: &[],
        flags: "bcfnseltwp",
        values: "LSMC",
        long: &[
            "--root",
            "--show-stats",
            "--score-debug",
            "--show-name",
            "--show-number",
            "--porcelain",
            "--line-porcelain",
            "--show-email",
            "--date",
            "--abbrev",
            "--ignore-rev",
            "--ignore-revs-file",
            "--color-lines",
            "--color-by-age",
            "--contents",
            "--first-parent",
            "--since",
            "--no-progress",
            "--minimal",
        ],
        operands: Operands::Any,
        why: "prints who changed lines",
    },
    Subcommand {
        name: "remote",
        requires: &["-v", "--verbose"],
        flags: "v",
        values: "",
        long: &["--verbose"],
        operands: Operands::AtMost(0),
        why: "lists remotes",
    },
    Subcommand {
        name: "describe",
        requires: &[],
        flags: "",
        values: "",
        long: &[
            "--all",
            "--tags",
            "--contains",
            "--abbrev",
            "--candidates",
            "--exact-match",
            "--long",
            "--match",
            "--exclude",
            "--always",
            "--first-parent",
            "--debug",
            "--dirty",
            "--broken",
        ],
        operands: Operands::Any,
        why: "names a commit",
    },
    Subcommand {
        name: "config",
        requires: &["--get", "--get-all", "--get-regexp", "--list", "-l"],
        flags: "lz",
        values: "",
        long: &[
            "--get",
            "--get-all",
            "--get-regexp",
            "--list",
            "--null",
            "--name-only",
            "--show-origin",
            "--show-scope",
            "--local",
            "--global",
            "--system",
            "--worktree",
            "--bool",
            "--int",
            "--path",
            "--type",
            "--default",
            "--includes",
            "--no-includes",
        ],
        operands: Operands::AtMost(2),
        why: "prints settings",
    },
];

/// Options before the subcommand that are harmless.
const GLOBAL: &[&str] = &["--no-pager", "--no-optional-locks", "--literal-pathspecs", "--no-replace-objects"];

/// Options that make a read something else, and why.
pub const HARMFUL: &[(&str, &str)] = &[
    ("-c", "sets configuration that can run programs"),
    ("--config-env", "sets configuration that can run programs"),
    ("-C", "reads another repository's configuration"),
    ("--git-dir", "reads another repository's configuration"),
    ("--work-tree", "reads another tree"),
    ("--exec-path", "runs other Git programs"),
    ("-p", "runs a pager"),
    ("--paginate", "runs a pager"),
    ("--output", "writes a file"),
    ("--ext-diff", "runs the configured diff program"),
    ("--textconv", "runs the configured converters"),
    ("-O", "opens files in a program"),
    ("--open-files-in-pager", "opens files in a program"),
    ("--show-signature", "runs the signature checker"),
    ("--no-list", "turns the listing into a change"),
    ("-D", "deletes a branch"),
    ("-d", "deletes a branch"),
    ("--edit-description", "runs an editor"),
    ("-v", "shows differences through the configured converters"),
    ("--verbose", "shows differences through the configured converters"),
    ("--recurse-submodules", "enters submodules"),
    ("--submodule", "enters submodules"),
    ("--unset", "changes the configuration"),
    ("--add", "changes the configuration"),
    ("--edit", "runs an editor"),
];

/// Judges Git's words: the subcommand and its position, or why it isn't a known read and the position of the word at fault.
pub fn judge(words: &[&str]) -> Result<(&'static Subcommand, usize), (String, usize)> {
    let mut at = 1;
    let found = loop {
        let Some(word) = words.get(at) else { return Err(("`git` has no subcommand".to_owned(), 0)) };
        if !word.starts_with('-') {
            break *word;
        }
        if !GLOBAL.contains(word) {
            return Err((harm("git", word), at));
        }
        at += 1;
    };
    let Some(subcommand) = SUBCOMMANDS.iter().find(|row| row.name == found) else {
        let shown = ringfence_model::text::escape(base_name(found));
        return Err((format!("`git {shown}` isn't a read that is known to be harmless"), at));
    };
    let given = words.get(at + 1..).unwrap_or_default();
    if !subcommand.requires.is_empty() && !given.iter().any(|word| subcommand.requires.contains(word)) {
        let wanted = subcommand.requires.first().copied().unwrap_or("");
        return Err((format!("`git {found}` is a known read only with `{wanted}`"), at));
    }
    arguments(subcommand, words, at + 1)?;
    Ok((subcommand, at))
}

fn arguments(subcommand: &Subcommand, words: &[&str], from: usize) -> Result<(), (String, usize)> {
    let (mut operands, mut only_operands) = (0, false);
    // With `--list`, operands are patterns to list.
    let listing = subcommand.name == "branch" && words.contains(&"--list");
    for (at, word) in words.iter().enumerate().skip(from) {
        if only_operands || !word.starts_with('-') || *word == "-" {
            operands += 1;
            if matches!(subcommand.operands, Operands::AtMost(most) if operands > most && !listing) {
                return Err((format!("`git {}` with this operand does something else", subcommand.name), at));
            }
        } else if *word == "--" {
            only_operands = true;
        } else if word.starts_with("--") {
            let (name, value) = word.split_once('=').map_or((*word, ""), |(name, value)| (name, value));
            if !subcommand.long.contains(&name) {
                return Err((harm(subcommand.name, name), at));
            }
            if matches!(name, "--format" | "--pretty") {
                format_of(subcommand, value, at)?;
            }
        } else {
            letters(subcommand, word, at)?;
        }
        // A format in a word of its own: `--format %G?` is a revision to Git, and still no harm to look at.
        if word.contains("%G") {
            return Err(("a format with `%G` runs the signature checker".to_owned(), at));
        }
    }
    Ok(())
}

/// A format that only prints: not the name of a configured one, no signature check.
fn format_of(subcommand: &Subcommand, value: &str, at: usize) -> Result<(), (String, usize)> {
    const NAMED: &[&str] = &["", "oneline", "short", "medium", "full", "fuller", "reference", "email", "raw", "mboxrd"];
    let own = value.contains('%') || value.starts_with("format:") || value.starts_with("tformat:");
    if NAMED.contains(&value) || own || matches!(subcommand.name, "branch" | "ls-files") {
        return Ok(());
    }
    Err(("a format by a name that the configuration may define".to_owned(), at))
}

fn letters(subcommand: &Subcommand, word: &str, at: usize) -> Result<(), (String, usize)> {
    for letter in word.chars().skip(1) {
        // `git diff -O` orders files; `git grep -O` opens them. Only the first is in the table.
        if subcommand.values.contains(letter) {
            return Ok(());
        }
        if !subcommand.flags.contains(letter) {
            return Err((harm(subcommand.name, &format!("-{letter}")), at));
        }
    }
    Ok(())
}

fn harm(command: &str, option: &str) -> String {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let shown = ringfence_model::text::escape(name);
    match HARMFUL.iter().find(|(harmful, _)| *harmful == name) {
        Some((_, why)) => format!("`{command} {shown}` {why}"),
        None => format!("`{shown}` isn't an option of `{command}` that is known to be harmless"),
    }
}
