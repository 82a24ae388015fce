//! What in a repository's configuration makes a Git read run a program or fetch, in spite of being neutralised.

use super::config::ConfigEntry;
use ringfence_model::Origin;

/// What Git would read and obey in the directory at hand, gathered beforehand: every configuration file with its includes,
/// of submodules too, and the attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// Every entry that would be read, in order.
    pub config: Vec<ConfigEntry>,
    /// The text of every attributes file that would be read; none if they weren't gathered.
    pub attributes: Option<Vec<String>>,
}

/// A setting that keeps a Git read from being safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The key, as Git names it: `filter.lfs.process`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Where it is set.
    pub origin: Origin,
    /// What it does: a lower-case fragment.
    pub why: &'static str,
}

/// A key that matters.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Section, subsection and name in lower case; `*` stands for any subsection or name.
    pub key: (&'static str, Option<&'static str>, &'static str),
    /// Whether neutralising is enough when the file that sets it is the person's own.
    pub own_is_fine: bool,
    /// What it does.
    pub why: &'static str,
}

const fn key(section: &'static str, sub: Option<&'static str>, name: &'static str, why: &'static str) -> Key {
    Key { key: (section, sub, name), own_is_fine: false, why }
}

const fn unused(section: &'static str, sub: Option<&'static str>, name: &'static str, why: &'static str) -> Key {
    Key { key: (section, sub, name), own_is_fine: true, why }
}

/// Every key that runs a program, fetches, or leads elsewhere.
pub const KEYS: &[Key] = &[
    key("filter", Some("*"), "clean", "runs a filter program"),
    key("filter", Some("*"), "smudge", "runs a filter program"),
    key("filter", Some("*"), "process", "runs a filter program"),
    key("diff", None, "external", "runs a diff program"),
    key("diff", Some("*"), "command", "runs a diff program"),
    key("diff", Some("*"), "textconv", "runs a converter"),
    key("merge", Some("*"), "driver", "runs a merge program"),
    unused("gpg", None, "program", "runs a signature checker"),
    unused("gpg", Some("*"), "program", "runs a signature checker"),
    unused("gpg", Some("*"), "defaultkeycommand", "runs a program"),
    unused("core", None, "sshcommand", "runs a program to connect"),
    unused("core", None, "gitproxy", "runs a program to connect"),
    unused("core", None, "askpass", "runs a program"),
    unused("core", None, "pager", "runs a pager"),
    unused("core", None, "editor", "runs an editor"),
    unused("core", None, "fsmonitor", "runs a program that watches files"),
    unused("core", None, "alternaterefscommand", "runs a program"),
    unused("core", None, "hookspath", "names programs that Git runs"),
    key("core", None, "worktree", "leads to another tree"),
    unused("sequence", None, "editor", "runs an editor"),
    unused("interactive", None, "difffilter", "runs a program"),
    unused("pager", None, "*", "runs a pager"),
    unused("credential", None, "helper", "runs a program"),
    unused("credential", Some("*"), "helper", "runs a program"),
    unused("trailer", Some("*"), "command", "runs a program"),
    unused("trailer", Some("*"), "cmd", "runs a program"),
    key("extensions", None, "partialclone", "fetches what is missing"),
    key("remote", Some("*"), "promisor", "fetches what is missing"),
    key("remote", Some("*"), "partialclonefilter", "fetches what is missing"),
    key("remote", Some("*"), "uploadpack", "runs a program to fetch"),
    key("remote", Some("*"), "receivepack", "runs a program to push"),
    key("remote", Some("*"), "vcs", "runs a program to fetch"),
    key("protocol", None, "allow", "allows ways to fetch that run programs"),
    key("protocol", Some("*"), "allow", "allows ways to fetch that run programs"),
    key("uploadpack", None, "packobjectshook", "runs a program"),
    unused("log", None, "showsignature", "runs a signature checker"),
];

/// Keys whose programs no read starts, but other acts of a person do.
const LATER: &[(&str, Option<&str>, &str)] = &[
    ("difftool", Some("*"), "cmd"),
    ("difftool", Some("*"), "path"),
    ("mergetool", Some("*"), "cmd"),
    ("mergetool", Some("*"), "path"),
    ("man", Some("*"), "cmd"),
    ("man", Some("*"), "path"),
    ("browser", Some("*"), "cmd"),
    ("browser", Some("*"), "path"),
    ("tar", Some("*"), "command"),
    ("submodule", Some("*"), "update"),
    ("init", None, "templatedir"),
    ("sendemail", None, "*"),
    ("sendemail", Some("*"), "*"),
];

/// Keys of [`KEYS`] whose value is no program.
const NO_PROGRAM: &[&str] = &["core.worktree", "log.showsignature"];

/// Whether Git, doing anything at all for a person, runs what the value names, or takes programs or attributes from there.
#[must_use]
pub fn names_programs(entry: &ConfigEntry) -> bool {
    let own = |name: &str| entry.section == "core" && entry.subsection.is_none() && entry.name == name;
    let listed =
        KEYS.iter().filter(|row| row.why.starts_with("runs") || row.why.starts_with("names")).map(|row| row.key);
    own("attributesfile")
        || (entry.section == "alias" && entry.value.starts_with('!'))
        || (listed.chain(LATER.iter().copied()).any(|row| is(row, entry))
            && !NO_PROGRAM.contains(&entry.key().as_str()))
}

fn is((section, sub, name): (&str, Option<&str>, &str), entry: &ConfigEntry) -> bool {
    section == entry.section && (name == "*" || name == entry.name) && sub.is_some() == entry.subsection.is_some()
}

/// What of the facts keeps `subcommand` from being safe. `is_own` says whether the file behind an origin belongs to the
/// person or the system and can't be written to by a command.
#[must_use]
pub fn troubles(subcommand: &str, facts: &GitFacts, is_own: impl Fn(&Origin) -> bool) -> Vec<Trouble> {
    facts
        .config
        .iter()
        .filter_map(|entry| {
            let why = trouble(subcommand, entry, facts.attributes.as_deref(), &is_own)?;
            Some(Trouble { key: entry.key(), value: entry.value.clone(), origin: entry.origin.clone(), why })
        })
        .collect()
}

fn trouble(
    subcommand: &str,
    entry: &ConfigEntry,
    attributes: Option<&[String]>,
    is_own: impl Fn(&Origin) -> bool,
) -> Option<&'static str> {
    let (section, name) = (entry.section.as_str(), entry.name.as_str());
    let sub = entry.subsection.as_deref();
    if section == "alias" && name == subcommand {
        return Some("gives the subcommand another meaning");
    }
    let formats = (section == "format" && name == "pretty") || section == "pretty";
    if (formats || name == "sort") && (entry.value.contains("%G") || entry.value.contains("signature")) {
        return Some("runs a signature checker");
    }
    let row = KEYS.iter().find(|row| is(row.key, entry))?;
    // Set to nothing, or to a plain no, it does nothing.
    let off = matches!(entry.value.to_ascii_lowercase().as_str(), "" | "false" | "no" | "off" | "0" | "never");
    if off && (section != "core" || name == "fsmonitor") {
        return None;
    }
    if row.own_is_fine && is_own(&entry.origin) {
        return None;
    }
    // A driver that no attribute names is never run.
    let driver = match section {
        "filter" | "merge" => Some(section),
        "diff" if sub.is_some() => Some("diff"),
        _ => None,
    };
    if let (Some(attribute), Some(sub), Some(attributes)) = (driver, sub, attributes) {
        let wanted = format!("{attribute}={sub}");
        if !attributes.iter().any(|text| text.contains(&wanted)) {
            return None;
        }
    }
    Some(row.why)
}
