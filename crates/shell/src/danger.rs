//! What has no honest use unasked, or does damage that a sandbox of the resolved mode doesn't stop.

use crate::class::{ClassifyFacts, Finding};
use crate::command::{Joined, SimpleCommand, base_name};
use crate::reading::{Reading, ShellKind, reads_input, shell_kind};

/// Programs that are dangerous whatever their arguments, and why.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("sudo", "runs a command as another user"),
    ("sudoedit", "edits files as another user"),
    ("doas", "runs a command as another user"),
    ("su", "runs a command as another user"),
    ("pkexec", "runs a command as another user"),
    ("run0", "runs a command as another user"),
    ("mkfs", "erases a file system"),
    ("mkswap", "erases a file system"),
    ("wipefs", "erases a file system"),
    ("fdisk", "changes partitions"),
    ("sfdisk", "changes partitions"),
    ("parted", "changes partitions"),
    ("diskutil", "changes disks"),
    ("format.com", "erases a disk"),
    ("shutdown", "stops the machine"),
    ("reboot", "stops the machine"),
    ("halt", "stops the machine"),
    ("poweroff", "stops the machine"),
];

/// Programs that fetch something and print it.
const FETCHERS: &[&str] = &["curl", "wget", "fetch", "http", "https", "aria2c", "iwr", "irm", "invoke-webrequest"];

/// Programs that run what they read.
const INTERPRETERS: &[&str] =
    &["python", "python3", "python2", "perl", "ruby", "node", "php", "lua", "osascript", "iex", "tclsh", "deno", "bun"];

/// Files that shells and sessions run by themselves, as the end of a path.
const START_UP: &[&str] = &[
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".kshrc",
    ".inputrc",
    ".xprofile",
    ".xinitrc",
    ".xsession",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/etc/zshenv",
    "/etc/rc.local",
    "/etc/crontab",
    ".ssh/authorized_keys",
    ".ssh/rc",
    ".config/fish/config.fish",
];

/// Whether a command by itself is dangerous.
pub(crate) fn dangerous(command: &SimpleCommand, facts: &ClassifyFacts) -> Option<Finding> {
    let word = command.program()?;
    let name = word.as_str().map(base_name)?.to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let args: Vec<&str> = command.words.iter().skip(1).map(|word| word.as_str().unwrap_or("")).collect();
    let family = name.split_once('.').map_or(name, |(family, _)| family);
    if let Some((program, why)) = PROGRAMS.iter().find(|(program, _)| *program == name || *program == family) {
        return Some(Finding::new(format!("`{program}` {why}")).with_word(word));
    }
    let why = match name {
        "rm" => removes(&args, facts),
        "dd" => args
            .iter()
            .any(|arg| arg.strip_prefix("of=").is_some_and(is_device))
            .then(|| "`dd` writes to a device".into()),
        "chmod" | "chown" | "chgrp" => opens_root(name, &args),
        "trap" => args.first().and_then(|body| script_danger(body, facts)),
        "powershell" | "pwsh" => encoded(&args),
        "init" | "telinit" if matches!(args.first(), Some(&("0" | "6"))) => Some(format!("`{name}` stops the machine")),
        "systemctl" => args
            .iter()
            .any(|arg| matches!(*arg, "poweroff" | "reboot" | "halt" | "kexec"))
            .then(|| "`systemctl` stops the machine".into()),
        "tee" | "cp" | "mv" | "ln" | "install" => args
            .iter()
            .rev()
            .take(if name == "tee" { usize::MAX } else { 1 })
            .find(|arg| is_start_up(arg))
            .map(|arg| format!("`{name}` writes the start-up file `{}`", ringfence_model::text::escape(arg))),
        _ => None,
    };
    why.map(|why| Finding::new(why).with_word(word))
}

/// Whether a line is dangerous: a command of it, something seen inside, or how they hang together.
pub(crate) fn dangerous_line(reading: &Reading, facts: &ClassifyFacts) -> Option<Finding> {
    if reading.too_deep {
        return Some(Finding::new("commands are wrapped or nested more deeply than is looked into"));
    }
    for command in reading.all() {
        if let Some(mut finding) = dangerous(command, facts) {
            finding.span = command.span;
            finding.command = Some(Box::new(command.clone()));
            return Some(finding);
        }
    }
    if let Some(finding) = fetched_and_run(&reading.commands).or_else(|| fetched_and_run(&reading.inner)) {
        return Some(finding);
    }
    let script = reading.opaque.as_ref().and_then(|opaque| opaque.script.as_str())?;
    script_pattern(script).map(Finding::new)
}

/// A download that an interpreter reads: piped, or in a substitution that it runs.
fn fetched_and_run(commands: &[SimpleCommand]) -> Option<Finding> {
    let fetches = |command: &SimpleCommand| {
        command.program_name().is_some_and(|name| FETCHERS.contains(&name.to_ascii_lowercase().as_str()))
    };
    let runs = |command: &SimpleCommand| {
        command.program_name().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            shell_kind(&name).is_some()
                || INTERPRETERS.contains(&name.as_str())
                || matches!(name.as_str(), "eval" | "." | "source")
        })
    };
    let mut fetched = false;
    for command in commands {
        fetched = fetches(command) || (fetched && command.joined == Joined::Pipe);
        if fetched && runs(command) && runs_input(command) {
            let mut finding = Finding::new("a download is run without being looked at");
            (finding.span, finding.command) = (command.span, Some(Box::new(command.clone())));
            return Some(finding);
        }
    }
    // `bash -c "$(curl …)"`, `bash <(curl …)`, `eval "$(curl …)"`.
    let substituted =
        commands.iter().any(|command| fetches(command) && command.through.iter().any(|by| by.contains('…')));
    let runner = commands.iter().find(|command| !command.unknown.is_empty() && runs(command));
    match runner {
        Some(command) if substituted => {
            let mut finding = Finding::new("a download is run without being looked at");
            (finding.span, finding.command) = (command.span, Some(Box::new(command.clone())));
            Some(finding)
        }
        _ => None,
    }
}

/// Whether a shell or interpreter gets its program from its input: no file, no program text, no module is named.
fn runs_input(command: &SimpleCommand) -> bool {
    let args: Vec<&str> = command.words.iter().skip(1).map(|word| word.as_str().unwrap_or("")).collect();
    if args.contains(&"-s") || args.contains(&"/dev/stdin") {
        return true;
    }
    if command.program_name().and_then(shell_kind).is_some() {
        return reads_input(&command.words);
    }
    let named =
        |arg: &&str| matches!(*arg, "-c" | "-m" | "-e" | "-p" | "-n" | "-ne" | "-pe" | "-nle" | "-r" | "--eval");
    args.iter().all(|arg| arg.starts_with('-')) && !args.iter().any(named)
}

fn script_danger(script: &str, facts: &ClassifyFacts) -> Option<String> {
    let scan = crate::script::scan(script, ShellKind::Bash);
    let found = scan.commands.iter().filter(|command| command.program_name() != Some("trap"));
    found
        .filter_map(|command| dangerous(command, facts))
        .next()
        .or_else(|| fetched_and_run(&scan.commands))
        .map(|finding| format!("`trap` runs something dangerous later: {}", finding.why))
}

/// What only the text of a script shows.
fn script_pattern(script: &str) -> Option<String> {
    let squeezed: String = script.chars().filter(|c| !c.is_whitespace()).collect();
    if squeezed.contains(":(){:|:&};:") {
        return Some("a fork bomb".to_owned());
    }
    // `f(){ f|f& }`, by any name.
    if let Some((before, after)) = squeezed.split_once("(){") {
        let name = before.rsplit([';', '&', '|']).next().unwrap_or("").trim_start_matches("function");
        if !name.is_empty() && after.starts_with(&format!("{name}|{name}&")) {
            return Some("a fork bomb".to_owned());
        }
    }
    let target = script.split('>').skip(1).map(|rest| rest.trim_start_matches(['>', '|', '&']).trim_start());
    let mut names = target.map(|rest| rest.split([' ', '\n', ';', '&', '|', ')']).next().unwrap_or(""));
    names.find_map(|name| {
        let name = name.trim_matches(['"', '\'']);
        if is_start_up(name) {
            return Some(format!("writes the start-up file `{}`", ringfence_model::text::escape(name)));
        }
        is_device(name).then(|| format!("writes to the device `{}`", ringfence_model::text::escape(name)))
    })
}

fn is_device(path: &str) -> bool {
    const HARMLESS: &[&str] = &["null", "zero", "full", "stdout", "stderr", "tty", "stdin", "random", "urandom"];
    path.strip_prefix("/dev/")
        .is_some_and(|device| !HARMLESS.contains(&device) && !device.starts_with("fd/") && !device.starts_with("shm/"))
}

fn is_start_up(path: &str) -> bool {
    START_UP.iter().any(|name| {
        path == *name || path.strip_suffix(name).is_some_and(|before| before.ends_with('/') || name.starts_with('/'))
    })
}

/// `rm` with `-r` or `-f` on a root, the home, or the workspace as a whole.
fn removes(args: &[&str], facts: &ClassifyFacts) -> Option<String> {
    let forced = args.iter().take_while(|arg| **arg != "--").any(|arg| {
        matches!(*arg, "--recursive" | "--force" | "--no-preserve-root")
            || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains(['r', 'R', 'f']))
    });
    if !forced {
        return None;
    }
    let broad = args.iter().find(|arg| {
        let bare = arg.trim_end_matches("/*").trim_end_matches('/');
        let fixed = matches!(bare, "" | "*" | "~" | "." | ".." | "./" | "$HOME" | "${HOME}" | "\"$HOME\"" | "$PWD")
            && (!bare.is_empty() || arg.starts_with('/') || **arg == "*");
        let is_top = bare.starts_with('/') && bare.matches('/').count() == 1 && !facts_root(facts, bare);
        let is_root = facts_root(facts, bare);
        let is_home = bare.strip_prefix("/home/").or_else(|| bare.strip_prefix("/Users/"));
        fixed || is_top || is_root || is_home.is_some_and(|rest| !rest.contains('/'))
    })?;
    Some(format!("`rm` would remove `{}` with everything in it", ringfence_model::text::escape(broad)))
}

fn facts_root(facts: &ClassifyFacts, path: &str) -> bool {
    let here = std::iter::once(&facts.cwd).chain(&facts.writable_roots);
    here.filter_map(|root| root.as_path().to_str()).any(|root| root == path || root.starts_with(&format!("{path}/")))
        && path.starts_with('/')
}

fn opens_root(program: &str, args: &[&str]) -> Option<String> {
    let recursive = args
        .iter()
        .any(|arg| *arg == "--recursive" || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains('R')));
    let top = args.iter().any(|arg| {
        matches!(arg.trim_end_matches('/'), "" | "/*" | "~" | "$HOME") && (arg.starts_with('/') || !arg.is_empty())
    });
    (recursive && top).then(|| format!("`{program}` changes every file of the system or home"))
}

/// PowerShell's `-EncodedCommand`, under every abbreviation it takes.
fn encoded(args: &[&str]) -> Option<String> {
    let option = args.iter().find(|arg| {
        let name = arg.trim_start_matches(['-', '/', '\u{2013}', '\u{2014}']).to_ascii_lowercase();
        let dashed = arg.len() > name.len();
        dashed && (name == "ec" || (!name.is_empty() && "encodedcommand".starts_with(&name)))
    })?;
    Some(format!("`{option}` hides the command that is run"))
}
