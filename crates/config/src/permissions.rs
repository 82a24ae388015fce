//! Permission profiles: built-in ones, `extends`, special keys; from a name to what it grants.

use crate::error::Problem;
use crate::extract::{Reader, absolute, denied_read};
use crate::node::{Node, Table, Value, path_text};
use crate::suggest;
use ringfence_model::confinement::{DeniedRead, PathPattern};
use ringfence_model::glob::PathGlob;
use ringfence_model::mode::SandboxMode;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::path::AbsPath;
use ringfence_model::settings::{FilesystemSettings, RootRequest};
use std::collections::BTreeMap;

/// Profiles that are always there.
pub const BUILT_IN: &[&str] = &[":read-only", ":workspace", ":danger-full-access"];
const SPECIAL: &[&str] = &[":root", ":minimal", ":workspace_roots", ":tmpdir", ":slash_tmp"];

/// What a profile grants, in absolute terms.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The mode that its grants amount to.
    pub mode: SandboxMode,
    /// Reads and writes.
    pub filesystem: FilesystemSettings,
    /// Whether the working directory and `--add-dir` are writable.
    pub workspace_writable: Sourced<bool>,
    /// Whether `/tmp` is writable.
    pub slash_tmp: Sourced<bool>,
    /// Whether `$TMPDIR` is writable.
    pub tmpdir: Sourced<bool>,
    /// Further writable workspace roots.
    pub roots: Vec<RootRequest>,
    /// Paths that stay read-only inside what is writable.
    pub protected: Vec<Sourced<String>>,
    /// Whether commands have network.
    pub network: Sourced<bool>,
    /// Domain rules.
    pub domains: Table,
    /// Unix sockets that may be reached.
    pub unix_sockets: Vec<Sourced<AbsPath>>,
}

/// What profiles are resolved against.
pub struct Ground<'g> {
    /// `[permissions]`.
    pub profiles: Option<&'g Table>,
    /// Roots that `:workspace_roots` stands for: the working directory, then what `--add-dir` names.
    pub roots: &'g [AbsPath],
    /// `$TMPDIR`, if there is one.
    pub tmpdir: Option<&'g AbsPath>,
}

/// Checks the names and the parents of every profile that is defined.
pub fn check_all(profiles: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, node) in profiles {
        if name.starts_with(':') || name == "filesystem" || name.is_empty() {
            let text = format!("`{}` can't be the name of a permission profile", ringfence_model::text::escape(name));
            problems.push(Problem::new("profile-name", text, node.mark.origin()));
        }
        if let Err(problem) = chain(Some(profiles), name, &node.mark.origin()) {
            problems.push(problem);
        }
    }
    problems
}

/// Own profiles by name, parent first.
type Chain<'p> = Vec<(&'p str, &'p Node)>;

/// The built-in profile that a chain begins with, and the own ones that follow, parent first.
fn chain<'p>(
    profiles: Option<&'p Table>,
    name: &str,
    asked: &Origin,
) -> Result<(Option<&'static str>, Chain<'p>), Problem> {
    let mut chain: Vec<(&str, &Node)> = Vec::new();
    let mut next = (name.to_owned(), asked.clone());
    loop {
        if let Some(built_in) = BUILT_IN.iter().find(|known| **known == next.0) {
            chain.reverse();
            return Ok((Some(built_in), chain));
        }
        let Some((known, node)) = profiles.and_then(|profiles| profiles.get_key_value(&next.0)) else {
            let text = format!("there is no permission profile `{}`", ringfence_model::text::escape(&next.0));
            let names = profiles.into_iter().flat_map(|profiles| profiles.keys().map(String::as_str));
            let near = suggest::nearest(&next.0, names.chain(BUILT_IN.iter().copied()));
            let mut problem = Problem::new("no-permission-profile", text, next.1);
            problem.hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(problem);
        };
        if chain.iter().any(|(seen, _)| seen == known) {
            let mut names: Vec<&str> = chain.iter().map(|(name, _)| *name).collect();
            names.push(known);
            let text = format!("permission profiles extend each other in a circle: {}", names.join(" → "));
            return Err(Problem::new("profile-cycle", text, next.1));
        }
        chain.push((known, node));
        match node.at(&["extends"]) {
            Some(parent) => next = (parent.as_str().unwrap_or_default().to_owned(), parent.mark.origin()),
            None => {
                chain.reverse();
                return Ok((None, chain));
            }
        }
    }
}

/// Resolves a profile by name.
pub fn grant(name: &Sourced<String>, ground: &Ground<'_>, reader: &mut Reader<'_>) -> Result<Granted, Problem> {
    let (built_in, chain) = chain(ground.profiles, &name.value, &name.origin)?;
    let full = built_in == Some(":danger-full-access");
    if full && let Some((own, node)) = chain.iter().find(|(_, node)| node.at(&["filesystem"]).is_some()) {
        let text =
            format!("`:danger-full-access` confines nothing, so the `filesystem` entries of `{own}` have no effect");
        return Err(Problem::new("no-effect", text, node.mark.origin()).hint("extend `:workspace` instead"));
    }
    let entries = entries(built_in, &chain, &name.origin);
    let unset = |value: bool| Sourced::new(value, name.origin.clone());
    let mut granted = Granted {
        mode: SandboxMode::ReadOnly,
        filesystem: FilesystemSettings::default(),
        workspace_writable: unset(full),
        slash_tmp: unset(full),
        tmpdir: unset(full),
        roots: Vec::new(),
        protected: Vec::new(),
        network: unset(full),
        domains: Table::new(),
        unix_sockets: Vec::new(),
    };
    let mut roots = ground.roots.to_vec();
    let mut own_roots = Vec::new();
    for (_, node) in &chain {
        for entry in node.at(&["workspace_roots"]).and_then(Node::as_list).unwrap_or(&[]) {
            if let Some(path) = reader.path(entry) {
                roots.push(path.value.clone());
                own_roots.push(RootRequest { path, required: false });
            }
        }
    }
    for (key, entry) in &entries {
        place(key, entry, &roots, ground, reader, &mut granted);
    }
    if granted.workspace_writable.value {
        granted.roots = own_roots;
    }
    for (_, node) in &chain {
        inherit_network(node, reader, &mut granted);
        if let Some(read) = node.at(&["read"]) {
            let minimal = read.as_str() == Some("minimal");
            granted.filesystem.minimal_reads = Some(Sourced::new(minimal, read.mark.origin()));
        }
    }
    granted.mode = match full {
        true => SandboxMode::DangerFullAccess,
        false => {
            let writes = granted.workspace_writable.value
                || granted.slash_tmp.value
                || granted.tmpdir.value
                || !granted.filesystem.write.is_empty();
            if writes { SandboxMode::WorkspaceWrite } else { SandboxMode::ReadOnly }
        }
    };
    settle(&mut granted, &roots);
    Ok(granted)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Deny,
    Read,
    Write,
}

struct Entry {
    access: Access,
    origin: Origin,
}

/// The entries of a chain: a child's replace its parent's, key by key; below `:workspace_roots` likewise.
fn entries(built_in: Option<&str>, chain: &[(&str, &Node)], asked: &Origin) -> BTreeMap<Vec<String>, Entry> {
    let mut entries = BTreeMap::new();
    let origin = || match built_in {
        Some(name) => Origin::builtin(format!("permission profile `{name}`")),
        None => asked.clone(),
    };
    if built_in == Some(":workspace") {
        for key in [&[":workspace_roots", "."][..], &[":tmpdir"], &[":slash_tmp"]] {
            let key = key.iter().map(|part| (*part).to_owned()).collect();
            entries.insert(key, Entry { access: Access::Write, origin: origin() });
        }
    }
    for (_, node) in chain {
        for (key, value) in node.at(&["filesystem"]).and_then(Node::as_table).into_iter().flatten() {
            match &value.value {
                Value::Table(below) => {
                    for (name, value) in below {
                        if let Some(entry) = entry(value) {
                            entries.insert(vec![key.clone(), name.clone()], entry);
                        }
                    }
                }
                _ => {
                    let path =
                        if key == ":workspace_roots" { vec![key.clone(), ".".into()] } else { vec![key.clone()] };
                    entries.extend(entry(value).map(|entry| (path, entry)));
                }
            }
        }
    }
    entries
}

fn entry(node: &Node) -> Option<Entry> {
    let access = match node.as_str()? {
        "deny" | "none" => Access::Deny,
        "read" => Access::Read,
        "write" => Access::Write,
        _ => return None,
    };
    Some(Entry { access, origin: node.mark.origin() })
}

fn place(
    key: &[String],
    entry: &Entry,
    roots: &[AbsPath],
    ground: &Ground<'_>,
    reader: &mut Reader<'_>,
    granted: &mut Granted,
) {
    let write = || Sourced::new(entry.access == Access::Write, entry.origin.clone());
    match key {
        [special, below] if special == ":workspace_roots" => {
            if below == "." {
                granted.workspace_writable = write();
            }
            for root in roots {
                below_root(root, below, entry, reader, granted);
            }
        }
        [path, below] => {
            let text = format!(
                "`{}` is a table; only `:workspace_roots` is one",
                path_text(&["filesystem", path.as_str(), below.as_str()])
            );
            reader.problems.push(Problem::new("bad-path", text, entry.origin.clone()));
        }
        [path] => match path.as_str() {
            ":root" => match entry.access {
                Access::Read => granted.filesystem.minimal_reads = Some(Sourced::new(false, entry.origin.clone())),
                Access::Deny => granted.filesystem.minimal_reads = Some(Sourced::new(true, entry.origin.clone())),
                Access::Write => granted.filesystem.write.push(Sourced::new(AbsPath::root(), entry.origin.clone())),
            },
            ":minimal" => {
                let everything = granted.filesystem.minimal_reads.as_ref().is_some_and(|minimal| !minimal.value);
                if entry.access == Access::Read && !everything {
                    granted.filesystem.minimal_reads = Some(Sourced::new(true, entry.origin.clone()));
                }
            }
            ":tmpdir" => {
                granted.tmpdir = write();
                if let Some(tmpdir) = ground.tmpdir.filter(|_| entry.access == Access::Deny) {
                    add(PathPattern::Path(tmpdir.clone()), entry, granted);
                }
            }
            ":slash_tmp" => {
                granted.slash_tmp = write();
                if entry.access == Access::Deny
                    && let Ok(tmp) = AbsPath::new("/tmp")
                {
                    add(PathPattern::Path(tmp), entry, granted);
                }
            }
            special if special.starts_with(':') => {
                let text = format!("`{}` is no special path", ringfence_model::text::escape(special));
                let mut problem = Problem::new("bad-path", text, entry.origin.clone());
                problem.hint =
                    suggest::nearest(special, SPECIAL.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                reader.problems.push(problem);
            }
            text => named(text, entry, reader, granted),
        },
        _ => {}
    }
}

fn below_root(root: &AbsPath, below: &str, entry: &Entry, reader: &mut Reader<'_>, granted: &mut Granted) {
    let problem = |why: &str| {
        let shown = ringfence_model::text::escape(below);
        Problem::new("bad-path", format!("`{shown}` below `:workspace_roots` {why}"), entry.origin.clone())
    };
    if below == "." {
        match entry.access {
            Access::Deny => add(PathPattern::Path(root.clone()), entry, granted),
            Access::Read => granted.filesystem.read.push(Sourced::new(root.clone(), entry.origin.clone())),
            Access::Write => {}
        }
        return;
    }
    if below.starts_with(std::path::is_separator)
        || below.starts_with("./")
        || below.starts_with('~')
        || below.split('/').any(|part| part == "..")
    {
        reader.problems.push(problem("must be relative to the root, without a leading `./` and without `..`"));
        return;
    }
    let Some(text) = root.as_path().to_str().map(|root| format!("{}/{below}", root.trim_end_matches('/'))) else {
        match root.join(below) {
            Ok(path) if !PathGlob::is_pattern(below) => add(PathPattern::Path(path), entry, granted),
            _ => reader.problems.push(problem("is a glob, and the root's name isn't UTF-8")),
        }
        return;
    };
    // A root whose own name has a wildcard would make the pattern mean more than was written.
    let root_is_plain = root.as_path().to_str().is_some_and(|root| !PathGlob::is_pattern(root));
    let pattern = if PathGlob::is_pattern(below) {
        if !root_is_plain {
            reader.problems.push(problem("is a glob, and the root's own name has a `*` or `?`"));
            return;
        }
        PathGlob::new(&text).map(PathPattern::Glob).map_err(|error| error.to_string())
    } else {
        AbsPath::new(text).map(PathPattern::Path).map_err(|error| error.to_string())
    };
    match pattern {
        Ok(pattern) => grant_pattern(pattern, below, entry, reader, granted),
        Err(why) => reader.problems.push(problem(&why)),
    }
}

fn named(text: &str, entry: &Entry, reader: &mut Reader<'_>, granted: &mut Granted) {
    match denied_read(text, &entry.origin, reader.user_home) {
        Ok(DeniedRead { pattern, .. }) => grant_pattern(pattern, text, entry, reader, granted),
        Err(problem) => reader.problems.push(problem),
    }
}

fn grant_pattern(pattern: PathPattern, text: &str, entry: &Entry, reader: &mut Reader<'_>, granted: &mut Granted) {
    match (entry.access, pattern) {
        (Access::Deny, pattern) => add(pattern, entry, granted),
        (Access::Read, PathPattern::Path(path)) => {
            granted.filesystem.read.push(Sourced::new(path, entry.origin.clone()));
        }
        (Access::Write, PathPattern::Path(path)) => {
            granted.filesystem.write.push(Sourced::new(path, entry.origin.clone()));
        }
        (_, PathPattern::Glob(_)) => {
            let text = format!("`{}` is a glob; globs can be denied, not granted", ringfence_model::text::escape(text));
            reader
                .problems
                .push(Problem::new("bad-path", text, entry.origin.clone()).hint("name the directory itself"));
        }
    }
}

fn add(pattern: PathPattern, entry: &Entry, granted: &mut Granted) {
    granted.filesystem.deny_read.push(DeniedRead { pattern, origin: entry.origin.clone() });
}

/// Deny wins over a grant of the very same path; a path that may be read inside one that may be written is protected.
fn settle(granted: &mut Granted, roots: &[AbsPath]) {
    let denied = granted.filesystem.deny_read.clone();
    let is_denied = |path: &AbsPath| denied.iter().any(|entry| entry.pattern == PathPattern::Path(path.clone()));
    granted.filesystem.read.retain(|path| !is_denied(&path.value));
    granted.filesystem.write.retain(|path| !is_denied(&path.value));
    let mut writable: Vec<AbsPath> = granted.filesystem.write.iter().map(|path| path.value.clone()).collect();
    if granted.workspace_writable.value {
        writable.extend(roots.iter().cloned());
    }
    for path in &granted.filesystem.read {
        let inside = writable.iter().any(|root| path.value.is_within(root) && path.value != *root);
        if let (true, Some(text)) = (inside, path.value.as_path().to_str()) {
            granted.protected.push(Sourced::new(text.to_owned(), path.origin.clone()));
        }
    }
}

fn inherit_network(node: &Node, reader: &mut Reader<'_>, granted: &mut Granted) {
    if let Some(enabled) = node.at(&["network", "enabled"]) {
        granted.network = Sourced::new(enabled.as_bool().unwrap_or(false), enabled.mark.origin());
    }
    if let Some(domains) = node.at(&["network", "domains"]).and_then(Node::as_table) {
        granted.domains.extend(domains.iter().map(|(name, node)| (name.clone(), node.clone())));
    }
    for (socket, node) in node.at(&["network", "unix_sockets"]).and_then(Node::as_table).into_iter().flatten() {
        let origin = node.mark.origin();
        match absolute(socket, &origin, reader.user_home, reader.cwd) {
            Ok(path) if node.as_str() == Some("allow") => granted.unix_sockets.push(Sourced::new(path, origin)),
            Ok(path) => granted.unix_sockets.retain(|known| known.value != path),
            Err(why) => {
                let text = format!("`{}` {why}", ringfence_model::text::escape(socket));
                reader.problems.push(Problem::new("bad-path", text, origin));
            }
        }
    }
}
