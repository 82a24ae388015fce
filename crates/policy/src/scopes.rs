//! How wide an answer may be: the prefix offered beside "once", and the words no prefix may end at.

use ringfence_model::OsText;

/// Programs that run whatever they are given: a prefix that ends at one would allow everything.
pub const OPEN_ENDED: &[&str] = &[
    // Shells.
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "nu",
    "elvish",
    "xonsh",
    "pwsh",
    "powershell",
    "cmd",
    "rbash",
    "busybox",
    "toybox",
    // Interpreters.
    "python",
    "python2",
    "python3",
    "pypy",
    "pypy3",
    "ipython",
    "node",
    "nodejs",
    "deno",
    "bun",
    "ruby",
    "irb",
    "perl",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "expect",
    "julia",
    "Rscript",
    "R",
    "guile",
    "racket",
    "sbcl",
    "clojure",
    "java",
    "jshell",
    "scala",
    "kotlin",
    "groovy",
    "elixir",
    "iex",
    "erl",
    "escript",
    "ghci",
    "runghc",
    "runhaskell",
    "ocaml",
    "swift",
    "dotnet",
    "osascript",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "sed",
    "ed",
    "ex",
    "vi",
    "vim",
    "nvim",
    "emacs",
    "m4",
    "bc",
    "dc",
    "jq",
    "sqlite3",
    "psql",
    "mysql",
    "gdb",
    "lldb",
    // Package and task runners.
    "npx",
    "npm",
    "pnpm",
    "pnpx",
    "yarn",
    "bunx",
    "uvx",
    "uv",
    "pipx",
    "poetry",
    "pdm",
    "hatch",
    "tox",
    "nox",
    "make",
    "gmake",
    "ninja",
    "just",
    "task",
    "rake",
    "cargo",
    "go",
    "gradle",
    "gradlew",
    "mvn",
    "mvnw",
    "ant",
    "sbt",
    "lein",
    "bazel",
    "buck",
    "nix",
    "nix-shell",
    "direnv",
    "mise",
    "asdf",
    // Wrappers.
    "env",
    "sudo",
    "doas",
    "su",
    "pkexec",
    "run0",
    "xargs",
    "parallel",
    "nice",
    "ionice",
    "nohup",
    "timeout",
    "stdbuf",
    "setsid",
    "time",
    "watch",
    "script",
    "strace",
    "ltrace",
    "unshare",
    "nsenter",
    "chroot",
    "chrt",
    "taskset",
    "setarch",
    "flock",
    "command",
    "exec",
    "builtin",
    "eval",
    "source",
    ".",
    "find",
    "fd",
    "entr",
    "systemd-run",
    "at",
    "batch",
    "crontab",
    // What reaches other machines or systems.
    "git",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "mosh",
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "helm",
    "ansible",
    "terraform",
    "curl",
    "wget",
    "nc",
    "ncat",
    "socat",
    "telnet",
    "ftp",
    "gh",
    "glab",
    "aws",
    "gcloud",
    "az",
    "adb",
    "wsl",
    // What removes, moves or takes over.
    "rm",
    "dd",
    "mv",
    "cp",
    "ln",
    "chmod",
    "chown",
    "chattr",
    "tee",
    "install",
    "mount",
    "kill",
    "pkill",
    "killall",
    "systemctl",
    "apt",
    "apt-get",
    "dnf",
    "yum",
    "pacman",
    "brew",
    "pip",
    "pip3",
    "gem",
    // Ringfence itself.
    "ringfence",
];

/// Pairs that are as open-ended as their first word: the second only says "run the rest".
const OPEN_ENDED_PAIRS: &[(&str, &[&str])] = &[
    ("npm", &["run", "exec", "x", "explore"]),
    ("pnpm", &["run", "exec", "dlx"]),
    ("yarn", &["run", "exec", "dlx"]),
    ("bun", &["run", "x"]),
    ("uv", &["run", "tool"]),
    ("poetry", &["run", "shell"]),
    ("pdm", &["run"]),
    ("pipx", &["run"]),
    ("cargo", &["run", "xtask"]),
    ("go", &["run", "generate", "tool"]),
    ("dotnet", &["run", "exec"]),
    ("docker", &["run", "exec", "compose", "buildx"]),
    ("podman", &["run", "exec", "unshare"]),
    ("kubectl", &["exec", "run", "debug", "apply"]),
    ("nix", &["run", "shell", "develop"]),
    ("git", &["config", "submodule", "bisect", "filter-branch", "rebase"]),
    ("gh", &["api", "alias", "extension"]),
    ("direnv", &["exec", "allow"]),
    ("mise", &["exec", "x", "run"]),
];

/// Programs whose first word says what they do, so that two words are a scope.
const WITH_SUBCOMMANDS: &[&str] = &[
    "git",
    "cargo",
    "go",
    "npm",
    "pnpm",
    "yarn",
    "gh",
    "glab",
    "docker",
    "podman",
    "kubectl",
    "helm",
    "terraform",
    "dotnet",
    "mvn",
    "gradle",
    "poetry",
    "uv",
    "pip",
    "pip3",
    "gem",
    "bundle",
    "composer",
    "mix",
    "stack",
    "cabal",
    "flutter",
    "dart",
];

/// Whether a rule for commands that begin with `prefix` may be offered or taken from an answer.
#[must_use]
pub fn may_offer(prefix: &[OsText]) -> bool {
    let words: Option<Vec<&str>> = prefix.iter().map(OsText::as_str).collect();
    let Some(words) = words else { return false };
    let Some((first, rest)) = words.split_first() else { return false };
    // A rule file holds one line per rule and people read it: what can't be shown plainly isn't offered.
    if words.iter().any(|word| word.is_empty() || word.chars().any(ringfence_model::text::is_deceptive)) {
        return false;
    }
    let name = program(first);
    if first.contains('/') && !first.starts_with('/') {
        // `./x` is another file in every directory, and one the agent can write.
        return false;
    }
    !runs_anything(name, rest)
}

/// Whether a rule that allows what begins with `prefix` allows whatever somebody writes behind it: a shell, an interpreter,
/// a wrapper or a package runner.
#[must_use]
pub fn allows_anything(prefix: &[&str]) -> bool {
    prefix.split_first().is_some_and(|(first, rest)| runs_anything(program(first), rest))
}

fn runs_anything(name: &str, rest: &[&str]) -> bool {
    match rest.split_first() {
        None => is_open_ended(name),
        Some((second, after)) => {
            let runs_rest = OPEN_ENDED_PAIRS.iter().any(|(outer, inner)| *outer == name && inner.contains(second));
            // Interpreters, shells and wrappers take options and code behind their name in ways a prefix can't bound.
            let unbounded = is_open_ended(name) && !WITH_SUBCOMMANDS.contains(&name);
            let option_first = second.starts_with('-');
            unbounded || (is_open_ended(name) && option_first) || (runs_rest && after.is_empty())
        }
    }
}

/// The prefix to offer for a command: the agent's wish if it is one, two words where the second is a subcommand, else all
/// of it.
#[must_use]
pub fn offered_prefix(command: &[OsText], wished: Option<&[OsText]>) -> Option<Vec<OsText>> {
    if let Some(wished) = wished
        && command.starts_with(wished)
        && may_offer(wished)
    {
        return Some(wished.to_vec());
    }
    let first = command.first()?.as_str()?;
    let has_subcommand = WITH_SUBCOMMANDS.contains(&program(first))
        && command.get(1).and_then(OsText::as_str).is_some_and(|word| {
            !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        });
    let short = if has_subcommand { command.get(..2) } else { None };
    [short, Some(command)].into_iter().flatten().find(|prefix| may_offer(prefix)).map(<[OsText]>::to_vec)
}

fn is_open_ended(name: &str) -> bool {
    OPEN_ENDED.contains(&name) || {
        // `python3.12`, `gcc-13`-style versions are the same program.
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        bare != name && (OPEN_ENDED.contains(&bare) || bare == "python" || bare == "pip")
    }
}

fn program(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.strip_suffix(".exe").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<OsText> {
        line.split(' ').map(OsText::new).collect()
    }

    #[test]
    fn ap_03_no_prefix_ends_at_what_runs_anything() {
        for line in [
            "bash",
            "/bin/bash",
            "python3",
            "python3.12",
            "env",
            "npx",
            "git",
            "sudo",
            "npm run",
            "docker run",
            "bash -c",
            "env X=1",
            "python3 -c",
            "xargs rm",
            "git -C",
            "cargo run",
            "./gradlew",
            "bin/tool",
            "ringfence",
            "rm -rf",
            "find .",
            "curl https://x",
            "",
            "node --eval",
            "ssh host",
            "make all",
            "rm x",
        ] {
            assert!(!may_offer(&words(line)), "{line}");
        }
        for line in [
            "git push",
            "cargo test",
            "npm test",
            "pytest",
            "ls -la",
            "/usr/bin/git status",
            "npm run build",
            "tsc --noEmit",
        ] {
            assert!(may_offer(&words(line)), "{line}");
        }
    }

    #[test]
    fn ap_03_what_is_offered_is_what_is_shown() {
        let offer = |line: &str, wish: Option<&str>| offered_prefix(&words(line), wish.map(words).as_deref());
        assert_eq!(offer("git push origin main", None), Some(words("git push")));
        assert_eq!(offer("git push origin main", Some("git push origin")), Some(words("git push origin")));
        assert_eq!(offer("git push origin main", Some("git")), Some(words("git push")), "a wish too wide isn't taken");
        assert_eq!(offer("pytest -x tests", None), Some(words("pytest -x tests")));
        assert_eq!(offer("bash -c ls", None), None);
        assert_eq!(offer("python3 x.py", Some("python3")), None);
    }

    proptest! {
        #[test]
        fn an_offer_is_always_a_prefix_of_the_command(command in proptest::collection::vec("[a-z-]{1,5}", 1..5), wish in proptest::collection::vec("[a-z-]{1,5}", 0..3)) {
            let command: Vec<OsText> = command.iter().map(OsText::new).collect();
            let wish: Vec<OsText> = wish.iter().map(OsText::new).collect();
            if let Some(offer) = offered_prefix(&command, Some(&wish)) {
                prop_assert!(command.starts_with(&offer) && may_offer(&offer));
            }
        }
    }
}
