//! Which prefix an answer "always" may write as a rule, and which it never may.

use crate::command::{SimpleCommand, base_name};
use crate::reading::{Reading, shell_kind};
use crate::wrappers::wrapper;
use ringfence_model::OsText;

/// A prefix that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The rule's pattern.
    pub prefix: Vec<String>,
    /// The command of the line that it would allow.
    pub command: SimpleCommand,
}

/// Programs that run whatever they are told: a prefix that ends at one would allow everything.
pub const NEVER: &[&str] = &[
    // Interpreters.
    "python",
    "python2",
    "python3",
    "pypy",
    "pypy3",
    "node",
    "nodejs",
    "deno",
    "bun",
    "ruby",
    "perl",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "expect",
    "Rscript",
    "R",
    "julia",
    "ghci",
    "runghc",
    "runhaskell",
    "java",
    "jshell",
    "groovy",
    "scala",
    "kotlin",
    "elixir",
    "iex",
    "erl",
    "escript",
    "swift",
    "osascript",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "sed",
    "gsed",
    "jq",
    "sqlite3",
    "psql",
    "mysql",
    "ed",
    "ex",
    "vi",
    "vim",
    "nvim",
    "view",
    "emacs",
    "nano",
    "less",
    "more",
    "man",
    "m4",
    "dc",
    "gnuplot",
    "ocaml",
    "guile",
    "racket",
    "sbcl",
    "clojure",
    "dart",
    // Package runners and managers, whose subcommands say what they do.
    "npx",
    "pnpx",
    "bunx",
    "uvx",
    "pipx",
    "npm",
    "pnpm",
    "yarn",
    "pip",
    "pip3",
    "uv",
    "poetry",
    "pdm",
    "hatch",
    "conda",
    "gem",
    "bundle",
    "bundler",
    "cargo",
    "go",
    "composer",
    "mvn",
    "gradle",
    "gradlew",
    "sbt",
    "mix",
    "rebar3",
    "stack",
    "cabal",
    "dotnet",
    "nix",
    "nix-shell",
    "brew",
    "apt",
    "apt-get",
    "dnf",
    "yum",
    "pacman",
    "apk",
    "zypper",
    "snap",
    "flatpak",
    "corepack",
    "volta",
    "asdf",
    "mise",
    "rustup",
    "nvm",
    "pyenv",
    "tox",
    "nox",
    // Build tools and task runners.
    "make",
    "gmake",
    "cmake",
    "ninja",
    "meson",
    "just",
    "task",
    "rake",
    "bazel",
    "buck",
    "buck2",
    "pants",
    "scons",
    "tup",
    "invoke",
    "fab",
    "ansible",
    "ansible-playbook",
    "terraform",
    "pulumi",
    "vagrant",
    "packer",
    "turbo",
    "nx",
    "lerna",
    // What reaches other machines, containers or the outside.
    "git",
    "hg",
    "svn",
    "gh",
    "glab",
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "helm",
    "oc",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "mosh",
    "telnet",
    "nc",
    "ncat",
    "socat",
    "curl",
    "wget",
    "aws",
    "gcloud",
    "az",
    "ftp",
    "lftp",
    // What runs, changes or removes anything.
    "find",
    "fd",
    "tar",
    "zip",
    "dd",
    "rm",
    "mv",
    "cp",
    "ln",
    "chmod",
    "chown",
    "tee",
    "install",
    "kill",
    "pkill",
    "killall",
    "systemctl",
    "service",
    "launchctl",
    "crontab",
    "open",
    "xdg-open",
    "screen",
    "tmux",
    "git-shell",
    "source",
    ".",
    "trap",
    "alias",
    "export",
    "set",
    "gdb",
    "lldb",
    "direnv",
];

/// Subcommands that run whatever they are told, so that a prefix ending there would allow everything.
pub const NEVER_AFTER: &[(&str, &[&str])] = &[
    ("npm", &["run", "exec", "x", "run-script"]),
    ("pnpm", &["run", "exec", "dlx"]),
    ("yarn", &["run", "exec", "dlx"]),
    ("bun", &["run", "x"]),
    ("cargo", &["run"]),
    ("go", &["run", "tool"]),
    ("uv", &["run", "tool"]),
    ("poetry", &["run"]),
    ("pdm", &["run"]),
    ("pipx", &["run"]),
    ("conda", &["run"]),
    ("bundle", &["exec"]),
    ("docker", &["run", "exec", "compose", "container"]),
    ("podman", &["run", "exec", "container"]),
    ("kubectl", &["exec", "run", "debug"]),
    ("nix", &["run", "shell", "develop"]),
    ("git", &["submodule", "bisect", "rebase", "config", "filter-branch", "difftool", "mergetool"]),
    ("gh", &["alias", "extension", "api"]),
    ("systemctl", &["start", "enable"]),
    ("deno", &["run", "eval", "task"]),
    ("dotnet", &["run", "exec"]),
    ("mise", &["exec", "x", "run"]),
    ("rustup", &["run"]),
];

/// The prefix that "always" may write for a line, if there is one: the line is plain, every other command of it is allowed
/// already, and the prefix doesn't end at something that runs whatever it is told.
#[must_use]
pub fn offer_prefix(reading: &Reading, allowed: impl Fn(&SimpleCommand) -> bool) -> Option<Offer> {
    if !reading.is_plain() || reading.too_deep {
        return None;
    }
    let mut open = reading.commands.iter().filter(|command| !allowed(command));
    let command = open.next()?;
    let words: Vec<&str> = command.words.iter().map(OsText::as_str).collect::<Option<_>>()?;
    let prefix = prefix(&words)?;
    // One rule must be enough for all that is still open.
    let covered = |other: &SimpleCommand| {
        let given = other.words.iter().map(|word| word.as_str().unwrap_or(""));
        other.words.len() >= prefix.len() && prefix.iter().map(String::as_str).eq(given.take(prefix.len()))
    };
    open.all(covered).then(|| Offer { prefix: prefix.clone(), command: command.clone() })
}

/// The shortest prefix of a command that may be a rule.
fn prefix(words: &[&str]) -> Option<Vec<String>> {
    let program = words.first()?;
    let name = base_name(program);
    let runs_anything = shell_kind(name).is_some() || wrapper(name).is_some();
    if runs_anything
        || program.is_empty()
        || words.iter().any(|word| word.chars().any(ringfence_model::text::is_deceptive))
    {
        return None;
    }
    if !never(name) {
        return Some(vec![(*program).to_owned()]);
    }
    // A program that is too broad by itself is narrowed by its subcommand, if that is a plain word.
    let plain = |word: &&str| {
        word.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b':')
    };
    let sub = words.get(1).filter(|word| plain(word) && has_subcommands(name))?;
    let broad = NEVER_AFTER.iter().any(|(program, subs)| *program == name && subs.contains(sub));
    if !broad {
        return Some(vec![(*program).to_owned(), (*sub).to_owned()]);
    }
    let script =
        words.get(2).filter(|word| plain(word) && matches!(*sub, "run" | "run-script") && runs_scripts(name))?;
    Some([*program, *sub, *script].map(str::to_owned).to_vec())
}

fn never(name: &str) -> bool {
    let stem = name.strip_suffix(".exe").unwrap_or(name);
    let versioned = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    NEVER.contains(&stem) || NEVER.contains(&versioned)
}

/// Programs whose first word says what is done.
fn has_subcommands(name: &str) -> bool {
    matches!(
        name,
        "git"
            | "hg"
            | "svn"
            | "gh"
            | "glab"
            | "docker"
            | "podman"
            | "kubectl"
            | "helm"
            | "npm"
            | "pnpm"
            | "yarn"
            | "pip"
            | "pip3"
            | "uv"
            | "poetry"
            | "pdm"
            | "gem"
            | "bundle"
            | "cargo"
            | "go"
            | "composer"
            | "mvn"
            | "gradle"
            | "mix"
            | "stack"
            | "cabal"
            | "dotnet"
            | "nix"
            | "brew"
            | "apt"
            | "apt-get"
            | "dnf"
            | "terraform"
            | "make"
            | "just"
            | "bazel"
            | "rustup"
            | "systemctl"
            | "aws"
            | "gcloud"
            | "az"
            | "deno"
            | "bun"
            | "hatch"
            | "conda"
            | "pipx"
            | "mise"
    )
}

/// Package managers whose `run NAME` is a script of the project.
fn runs_scripts(name: &str) -> bool {
    matches!(name, "npm" | "pnpm" | "yarn" | "bun")
}
