//! Programs that run what follows them, one row each: which of their options take a value, and where the inner command
//! begins.
//!
//! Seen through for `prompt`, `forbidden` and danger, never for `allow` or safety. So a row may err only towards seeing too
//! much: an option that isn't listed is read both ways, with and without a value.

use crate::command::{SimpleCommand, base_name, in_tables};
use crate::names::Sieve;
use crate::reading::{ShellKind, shell_named};
use ringfence_model::OsText;

/// How deep wrappers are followed; deeper counts as dangerous.
pub const MAX_DEPTH: usize = 8;

/// What a wrapper does with what follows its options and operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// The rest is program and arguments.
    Command,
    /// The rest, joined by blanks, is a script.
    Script,
    /// Both are possible.
    Either,
    /// Only options run something.
    Options,
}

/// One wrapper.
#[derive(Debug, Clone, Copy)]
pub struct Wrapper {
    /// Its name.
    pub name: &'static str,
    /// Short options that take a value, joined or as the next word.
    pub values: &'static str,
    /// Long options that take a value as the next word when there is no `=`.
    pub long_values: &'static [&'static str],
    /// Options whose value is a script or command line.
    pub scripts: &'static [&'static str],
    /// Operands of its own before the command begins.
    pub operands: usize,
    /// Whether `NAME=value` words come before the command.
    pub assignments: bool,
    /// What the rest is.
    pub runs: Runs,
}

const fn row(name: &'static str, values: &'static str, operands: usize) -> Wrapper {
    Wrapper { name, values, long_values: &[], scripts: &[], operands, assignments: false, runs: Runs::Command }
}

/// Every wrapper that is known.
pub const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        long_values: &["--unset", "--chdir", "--argv0"],
        scripts: &["-S", "--split-string"],
        assignments: true,
        ..row("env", "uCa", 0)
    },
    Wrapper { long_values: &["--adjustment"], ..row("nice", "n", 0) },
    row("nohup", "", 0),
    Wrapper { long_values: &["--signal", "--kill-after"], ..row("timeout", "sk", 1) },
    Wrapper { long_values: &["--signal", "--kill-after"], ..row("gtimeout", "sk", 1) },
    Wrapper { long_values: &["--input", "--output", "--error"], ..row("stdbuf", "ioe", 0) },
    row("setsid", "", 0),
    Wrapper { long_values: &["--format", "--output"], ..row("time", "fo", 0) },
    row("command", "", 0),
    row("exec", "a", 0),
    row("builtin", "", 0),
    row("coproc", "", 0),
    row("noglob", "", 0),
    row("nocorrect", "", 0),
    Wrapper {
        long_values: &["--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-chars", "--max-lines"],
        ..row("xargs", "aEdILlnPsRSJ", 0)
    },
    Wrapper {
        long_values: &[
            "--jobs",
            "--colsep",
            "--arg-file",
            "--results",
            "--joblog",
            "--sshlogin",
            "--timeout",
            "--delay",
        ],
        runs: Runs::Either,
        ..row("parallel", "jaICLNSnPs", 0)
    },
    Wrapper {
        long_values: &[
            "--user",
            "--group",
            "--prompt",
            "--chdir",
            "--close-from",
            "--host",
            "--role",
            "--type",
            "--other-user",
        ],
        assignments: true,
        ..row("sudo", "ugpCchrtTUDR", 0)
    },
    row("doas", "uC", 0),
    Wrapper { scripts: &["-c", "--command"], runs: Runs::Options, ..row("su", "gGsw", 0) },
    Wrapper { scripts: &["-c", "--command"], ..row("runuser", "ugGsw", 0) },
    row("pkexec", "", 0),
    Wrapper { long_values: &["--user"], ..row("run0", "u", 0) },
    row("busybox", "", 0),
    row("toybox", "", 0),
    Wrapper {
        scripts: &["-oProxyCommand", "-oLocalCommand"],
        runs: Runs::Script,
        ..row("ssh", "BbcDEeFIiJLlmOopQRSWw", 1)
    },
    Wrapper {
        scripts: &["-c", "--command"],
        long_values: &["--timeout", "--wait", "--conflict-exit-code"],
        ..row("flock", "wE", 1)
    },
    Wrapper { long_values: &["--interval"], runs: Runs::Either, ..row("watch", "n", 0) },
    Wrapper { scripts: &["-c", "--command"], runs: Runs::Command, ..row("script", "EIOBTmto", 1) },
    Wrapper { long_values: &["--class", "--classdata", "--pid"], ..row("ionice", "cnp", 0) },
    row("chrt", "TPD", 1),
    row("taskset", "", 1),
    row("setarch", "", 1),
    row("linux32", "", 0),
    row("linux64", "", 0),
    row("unshare", "RSGw", 0),
    row("nsenter", "tSGw", 0),
    Wrapper { long_values: &["--userspec", "--groups"], ..row("chroot", "", 1) },
    Wrapper {
        long_values: &["--reuid", "--regid", "--groups", "--bounding-set", "--inh-caps", "--ambient-caps"],
        ..row("setpriv", "", 0)
    },
    row("systemd-run", "puEMHt", 0),
    row("systemd-inhibit", "", 0),
    row("strace", "abeIoOpPsSuUXE", 0),
    row("ltrace", "aAbDeFlnopsuwx", 0),
    row("valgrind", "", 0),
    row("gdb", "", 0),
    row("prlimit", "p", 0),
    row("catchsegv", "", 0),
    row("fakeroot", "lfbsi", 0),
    row("faketime", "f", 1),
    row("firejail", "", 0),
    row("bwrap", "", 0),
    row("proot", "rbqwkv", 0),
    row("xvfb-run", "efnsw", 0),
    row("dbus-run-session", "", 0),
    row("unbuffer", "", 0),
    row("rlwrap", "", 0),
    row("torsocks", "", 0),
    row("torify", "", 0),
    row("proxychains", "f", 0),
    row("proxychains4", "f", 0),
    row("caffeinate", "tw", 0),
    row("entr", "", 0),
    row("chronic", "", 0),
    row("ts", "", 0),
    row("ifne", "n", 0),
    row("daemonize", "eolpuE", 0),
    row("start-stop-daemon", "", 0),
    row("at", "", 0),
    row("ld.so", "", 0),
    row("ld-linux-x86-64.so.2", "", 0),
    row("ld-linux-aarch64.so.1", "", 0),
    Wrapper { runs: Runs::Script, ..row("eval", "", 0) },
];

/// The wrapper with this name.
#[must_use]
pub fn wrapper(program: &str) -> Option<&'static Wrapper> {
    wrapper_named(&in_tables(base_name(program)))
}

fn wrapper_named(name: &str) -> Option<&'static Wrapper> {
    MAYBE.may_hold(name).then(|| WRAPPERS.iter().find(|row| row.name == name)).flatten()
}

const MAYBE: Sieve = {
    let (mut sieve, mut at) = (Sieve::new(), 0);
    while at < WRAPPERS.len() {
        sieve = sieve.with(WRAPPERS[at].name);
        at += 1;
    }
    sieve
};

/// What a command would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inner {
    /// A command, of these words of the outer one.
    Command(SimpleCommand),
    /// A script, in this grammar.
    Script(String, ShellKind),
    /// More than is looked into.
    TooMany,
}

/// Readings of one command that are followed.
const MAX_READINGS: usize = 32;

/// What `command` would run besides itself, one level deep.
pub(crate) fn inside(command: &SimpleCommand, name: &str) -> Vec<Inner> {
    let name = &*in_tables(name);
    let mut found = Vec::new();
    match name {
        "find" | "gfind" | "bfs" => find(command, &mut found),
        "fd" | "fdfind" => after_any(command, &["-x", "-X", "--exec", "--exec-batch"], &mut found),
        "trap" | "alias" | "abbr" => {
            for word in command.words.iter().skip(1).filter_map(OsText::as_str) {
                let script = if name == "trap" { word } else { word.split_once('=').map_or("", |(_, value)| value) };
                found.push(Inner::Script(script.to_owned(), ShellKind::Bash));
            }
        }
        "mapfile" | "readarray" | "compgen" | "complete" => script_after(command, "-C", &mut found),
        "git" => git(command, &mut found),
        _ => {}
    }
    if let Some(wrapper) = wrapper_named(name) {
        unwrap(wrapper, command, &mut found);
    }
    if let Some(kind) = shell_named(name) {
        let shell = crate::reading::shell_use(&command.words, kind);
        if let Some(script) = shell.script.as_ref().and_then(OsText::as_str) {
            found.push(Inner::Script(script.to_owned(), kind));
        }
    }
    found
}

/// The command that begins at word `from`.
fn rest(command: &SimpleCommand, from: usize) -> Option<SimpleCommand> {
    let words: Vec<OsText> = command.words.get(from..)?.to_vec();
    if words.is_empty() {
        return None;
    }
    let unknown = command.unknown.iter().filter_map(|at| at.checked_sub(from)).collect();
    Some(SimpleCommand { words, unknown, span: command.span, ..SimpleCommand::default() })
}

fn push_rest(wrapper: &Wrapper, command: &SimpleCommand, from: usize, found: &mut Vec<Inner>) {
    if found.len() >= MAX_READINGS {
        if found.last() != Some(&Inner::TooMany) {
            found.push(Inner::TooMany);
        }
        return;
    }
    let Some(inner) = rest(command, from) else { return };
    if matches!(wrapper.runs, Runs::Script | Runs::Either) {
        let words: Vec<String> =
            inner.words.iter().map(|word| word.as_os_str().to_string_lossy().into_owned()).collect();
        found.push(Inner::Script(words.join(" "), ShellKind::Sh));
    }
    if matches!(wrapper.runs, Runs::Command | Runs::Either) {
        found.push(Inner::Command(inner));
    }
}

fn unwrap(wrapper: &Wrapper, command: &SimpleCommand, found: &mut Vec<Inner>) {
    let mut at = 1;
    let mut operands = wrapper.operands;
    let script = |found: &mut Vec<Inner>, text: Option<&str>| {
        if let Some(text) = text {
            found.push(Inner::Script(text.to_owned(), ShellKind::Sh));
        }
    };
    while let Some(word) = command.words.get(at) {
        let text = word.as_str().unwrap_or("");
        if let Some(option) = wrapper.scripts.iter().find(|option| text.starts_with(**option)) {
            let joined = text.get(option.len()..).unwrap_or("");
            let joined = joined.strip_prefix('=').unwrap_or(joined);
            if joined.is_empty() {
                at += 1;
                script(found, command.words.get(at).and_then(OsText::as_str));
            } else {
                script(found, Some(joined));
            }
        } else if text == "--" {
            at += 1;
            break;
        } else if let Some(long) = text.strip_prefix("--") {
            if wrapper.long_values.contains(&text) {
                at += 1;
            } else if !long.contains('=') {
                // An option that isn't listed may take the next word, or not.
                push_rest(wrapper, command, at + 2, found);
            }
        } else if let Some(short) = text.strip_prefix('-').filter(|short| !short.is_empty()) {
            let value = short.char_indices().find(|(_, letter)| wrapper.values.contains(*letter));
            // `ssh -o ProxyCommand=…`, in two words.
            if wrapper.name == "ssh" {
                let given = command.words.get(at + 1).and_then(OsText::as_str);
                let line = given.filter(|given| text == "-o" && given.contains("Command="));
                script(found, line.and_then(|line| line.split_once('=')).map(|(_, line)| line));
            }
            match value {
                Some((place, letter)) if place + letter.len_utf8() == short.len() => {
                    // Options such as `xargs -i` take a value only when it is joined.
                    push_rest(wrapper, command, at + 1, found);
                    at += 1;
                }
                _ => {}
            }
        } else if wrapper.assignments && text.contains('=') && !text.starts_with('=') {
            // `NAME=value`.
        } else if operands > 0 {
            operands -= 1;
        } else {
            break;
        }
        at += 1;
    }
    if wrapper.runs != Runs::Options {
        push_rest(wrapper, command, at, found);
    }
}

/// `find … -exec COMMAND ;`.
fn find(command: &SimpleCommand, found: &mut Vec<Inner>) {
    let is = |word: &OsText, names: &[&str]| word.as_str().is_some_and(|word| names.contains(&word));
    for (at, word) in command.words.iter().enumerate() {
        if is(word, &["-exec", "-execdir", "-ok", "-okdir"]) {
            let length = command.words.iter().skip(at + 1).take_while(|word| !is(word, &[";", "+"])).count();
            if let Some(mut inner) = rest(command, at + 1) {
                inner.words.truncate(length);
                inner.unknown.retain(|at| *at < length);
                found.push(Inner::Command(inner));
            }
        }
    }
}

fn after_any(command: &SimpleCommand, options: &[&str], found: &mut Vec<Inner>) {
    let at = command.words.iter().position(|word| word.as_str().is_some_and(|word| options.contains(&word)));
    found.extend(at.and_then(|at| rest(command, at + 1)).map(Inner::Command));
}

fn script_after(command: &SimpleCommand, option: &str, found: &mut Vec<Inner>) {
    let mut words = command.words.iter().skip_while(|word| word.as_str() != Some(option));
    if let Some(script) = words.nth(1).and_then(OsText::as_str) {
        found.push(Inner::Script(script.to_owned(), ShellKind::Bash));
    }
}

/// Git's own ways to run a command line.
fn git(command: &SimpleCommand, found: &mut Vec<Inner>) {
    let words: Vec<&str> = command.words.iter().map(|word| word.as_str().unwrap_or("")).collect();
    let script = |found: &mut Vec<Inner>, text: &str| found.push(Inner::Script(text.to_owned(), ShellKind::Sh));
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or("");
        match *word {
            "-c" if next.contains("=!") => script(found, next.split_once("=!").map_or("", |(_, line)| line)),
            "-x" | "--exec" if words.contains(&"rebase") => script(found, next),
            "foreach" if words.contains(&"submodule") => {
                script(found, &words.get(at + 1..).unwrap_or_default().join(" "));
            }
            "run" if words.contains(&"bisect") => found.extend(rest(command, at + 1).map(Inner::Command)),
            word => {
                if let Some(line) = word.strip_prefix("--exec=").filter(|_| words.contains(&"rebase")) {
                    script(found, line);
                }
            }
        }
    }
}
