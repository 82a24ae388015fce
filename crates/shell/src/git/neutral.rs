//! How a Git read is run so that the configuration can't make it do more.

use super::options::Subcommand;
use crate::class::{Finding, Neutralised, Platform};
use crate::command::SimpleCommand;
use ringfence_model::OsText;

/// Settings that are overridden, and why.
const SETTINGS: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", ""),
    ("core.pager", "cat"),
    ("log.showSignature", "false"),
    ("gpg.program", "false"),
    ("gpg.x509.program", "false"),
    ("gpg.ssh.program", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("submodule.recurse", "false"),
    ("help.autocorrect", "0"),
    ("status.submoduleSummary", "false"),
    ("diff.submodule", "short"),
];

/// Options that each subcommand is given besides.
fn added(subcommand: &str) -> &'static [&'static str] {
    match subcommand {
        "status" => &["--ignore-submodules=all"],
        "diff" | "log" | "show" => {
            &["--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--submodule=short", "--no-show-signature"]
        }
        "blame" => &["--no-textconv"],
        _ => &[],
    }
}

pub(super) fn run(
    command: &SimpleCommand,
    subcommand: &'static Subcommand,
    at: usize,
    platform: Platform,
) -> Neutralised {
    let nowhere = if platform == Platform::Windows { "NUL" } else { "/dev/null" };
    let mut argv: Vec<OsText> = command.words.iter().take(1).cloned().collect();
    argv.extend(["--no-pager", "--no-optional-locks"].map(OsText::from));
    for (key, value) in SETTINGS {
        let value = if *key == "core.hooksPath" { nowhere } else { value };
        argv.push(OsText::from("-c"));
        argv.push(OsText::from(format!("{key}={value}")));
    }
    argv.extend(command.words.iter().skip(1).take(at).cloned());
    let added =
        added(subcommand.name).iter().filter(|option| subcommand.name != "diff" || **option != "--no-show-signature");
    argv.extend(added.map(|option| OsText::from(*option)));
    argv.extend(command.words.iter().skip(at + 1).cloned());
    let set = [
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_PAGER", "cat"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ];
    Neutralised {
        argv,
        set: set.map(|(name, value)| (OsText::from(name), OsText::from(value))).to_vec(),
        unset: vec!["GIT_*", "PAGER", "LESSOPEN", "LESSCLOSE", "SSH_ASKPASS"],
        subcommand: subcommand.name,
        finding: Finding::new(format!("`git {}` only reads: it {}", subcommand.name, subcommand.why)),
    }
}
