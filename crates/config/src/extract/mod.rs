//! The merged layers → typed settings. Everything here was checked against the registry before.

mod network;
mod servers;

use crate::error::Problem;
use crate::layers::base_directory;
use crate::node::{Node, Table, Value, at};
use crate::registry::{self, Fallback};
use ringfence_model::confinement::{DeniedRead, PathPattern, UnixSockets};
use ringfence_model::glob::PathGlob;
use ringfence_model::limits::Limits;
use ringfence_model::mode::{AbsentHold, Backend, GitAccess, Reviewer};
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::path::AbsPath;
use ringfence_model::settings::{
    AllowRuns, ApprovalSettings, EnvironmentPolicy, HistorySettings, Inherit, RootRequest, WindowsSandbox,
};
use ringfence_model::units::{ByteSize, Span};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

pub use network::{network, split_domains};
pub use servers::{otel, servers};

/// Reads typed values out of merged layers, collecting what is wrong.
pub struct Reader<'r> {
    /// The merged layers.
    pub table: &'r Table,
    /// What `~` stands for.
    pub user_home: Option<&'r AbsPath>,
    /// What relative paths of flags are relative to.
    pub cwd: &'r AbsPath,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl<'r> Reader<'r> {
    /// The value at a dotted path of plain names.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&'r Node> {
        at(self.table, &path.split('.').collect::<Vec<_>>())
    }

    /// A boolean, or its default.
    #[must_use]
    pub fn flag(&self, path: &str) -> Sourced<bool> {
        match self.get(path).and_then(|node| Some(Sourced::new(node.as_bool()?, node.mark.origin()))) {
            Some(found) => found,
            None => {
                let default = matches!(registry::row(path).map(|key| key.default), Some(Fallback::Bool(true)));
                Sourced::default_of(default, path)
            }
        }
    }

    /// Text, if it is set.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<Sourced<String>> {
        self.get(path).and_then(|node| Some(Sourced::new(node.as_str()?.to_owned(), node.mark.origin())))
    }

    /// A word, turned into a value by `read`, or `default`.
    pub fn word<T>(&self, path: &str, default: T, read: impl Fn(&str) -> Option<T>) -> Sourced<T> {
        match self.get(path).and_then(|node| Some(Sourced::new(read(node.as_str()?)?, node.mark.origin()))) {
            Some(found) => found,
            None => Sourced::default_of(default, path),
        }
    }

    /// An integer, if it is set.
    #[must_use]
    pub fn integer(&self, path: &str) -> Option<Sourced<u64>> {
        let node = self.get(path)?;
        Some(Sourced::new(u64::try_from(node.as_integer()?).ok()?, node.mark.origin()))
    }

    /// A length of time, if it is set.
    #[must_use]
    pub fn span(&self, path: &str) -> Option<Sourced<Span>> {
        let node = self.get(path)?;
        Some(Sourced::new(node.as_str()?.parse().ok()?, node.mark.origin()))
    }

    /// A number of bytes, if it is set.
    #[must_use]
    pub fn size(&self, path: &str) -> Option<Sourced<ByteSize>> {
        let node = self.get(path)?;
        let size = match &node.value {
            Value::Integer(number) => ByteSize(u64::try_from(*number).ok()?),
            Value::Text(text) => text.parse().ok()?,
            _ => return None,
        };
        Some(Sourced::new(size, node.mark.origin()))
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(&self, path: &str) -> Vec<Sourced<String>> {
        self.get(path).map_or_else(Vec::new, texts_of)
    }

    /// A path that may begin with `~` or `$HOME` or be relative to its file.
    pub fn path(&mut self, node: &Node) -> Option<Sourced<AbsPath>> {
        let origin = node.mark.origin();
        let text = node.as_str()?;
        match absolute(text, &origin, self.user_home, self.cwd) {
            Ok(path) => Some(Sourced::new(path, origin)),
            Err(why) => {
                let shown = ringfence_model::text::escape(text);
                self.problems.push(Problem::new("bad-path", format!("`{shown}` {why}"), origin));
                None
            }
        }
    }

    /// A list of paths.
    pub fn paths(&mut self, path: &str) -> Vec<Sourced<AbsPath>> {
        let nodes = self.get(path).and_then(Node::as_list).unwrap_or(&[]);
        nodes.iter().filter_map(|node| self.path(node)).collect()
    }

    /// A path or glob that can't be read.
    pub fn denied(&mut self, text: &str, origin: &Origin) -> Option<DeniedRead> {
        match denied_read(text, origin, self.user_home) {
            Ok(denied) => Some(denied),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// The texts of a list, each with its own origin.
#[must_use]
pub fn texts_of(node: &Node) -> Vec<Sourced<String>> {
    let list = node.as_list().unwrap_or(&[]);
    list.iter().filter_map(|node| Some(Sourced::new(node.as_str()?.to_owned(), node.mark.origin()))).collect()
}

/// Reads a path or glob of denied reads: absolute, or beginning with `~`.
pub fn denied_read(text: &str, origin: &Origin, user_home: Option<&AbsPath>) -> Result<DeniedRead, Problem> {
    let problem = |why: String| {
        let shown = ringfence_model::text::escape(text);
        Problem::new("bad-pattern", format!("`{shown}` {why}"), origin.clone())
    };
    let expanded = expand(text, user_home).map_err(problem)?;
    let Some(expanded) = expanded.to_str().filter(|text| text.starts_with('/') || Path::new(text).has_root()) else {
        let hint = "begin it with `/`, `~` or, for anywhere, `/**/`";
        return Err(problem("is not absolute".into()).hint(hint));
    };
    let pattern = if PathGlob::is_pattern(expanded) {
        PathGlob::new(expanded)
            .map(PathPattern::Glob)
            .map_err(|error| Problem::new("bad-pattern", error.to_string(), origin.clone()))?
    } else {
        AbsPath::new(expanded)
            .map(PathPattern::Path)
            .map_err(|error| Problem::new("bad-pattern", error.to_string(), origin.clone()))?
    };
    Ok(DeniedRead { pattern, origin: origin.clone() })
}

/// Replaces a leading `~`, `$HOME` or `${HOME}`.
pub fn expand(text: &str, user_home: Option<&AbsPath>) -> Result<PathBuf, String> {
    for name in ["~", "$HOME", "${HOME}"] {
        let Some(rest) = text.strip_prefix(name) else { continue };
        let separates = std::path::is_separator;
        if rest.is_empty() || rest.starts_with(separates) {
            let home = user_home.ok_or("needs a home directory, and there is none")?;
            return Ok(home.as_path().join(rest.trim_start_matches(separates)));
        }
        return Err("has a `~` or `$` that isn't understood; only the own home is".into());
    }
    Ok(PathBuf::from(text))
}

/// Makes a path absolute: `~`, then relative to the file that has it. `..` is resolved by text only where it was written
/// in a relative path, since that names a place near the file and not one behind a link.
pub fn absolute(text: &str, origin: &Origin, user_home: Option<&AbsPath>, cwd: &AbsPath) -> Result<AbsPath, String> {
    let expanded = expand(text, user_home)?;
    if expanded.has_root() {
        return AbsPath::new(expanded).map_err(|_| "has a `..` component or a NUL byte".to_owned());
    }
    let base = base_directory(origin, cwd).ok_or("is relative, and its source has no directory")?;
    let leading =
        expanded.components().take_while(|part| matches!(part, Component::ParentDir | Component::CurDir)).count();
    if expanded.components().skip(leading).any(|part| part == Component::ParentDir) {
        return Err("has a `..` component in its middle".into());
    }
    AbsPath::lexical(base.as_path().join(expanded)).map_err(|_| "is no path".to_owned())
}

/// `[approvals]`.
pub fn approvals(reader: &Reader<'_>) -> ApprovalSettings {
    let program = reader.get("approvals.program").map(|node| {
        Sourced::new(texts_of(node).into_iter().map(|text| text.value).collect::<Vec<_>>(), node.mark.origin())
    });
    ApprovalSettings {
        reviewer: reader.word("approvals_reviewer", Reviewer::User, |word| match word {
            "auto_review" => Some(Reviewer::Program),
            word => Reviewer::from_name(word),
        }),
        program: program.filter(|program| !program.value.is_empty()),
        timeout: reader
            .span("approvals.timeout")
            .unwrap_or_else(|| Sourced::default_of(Span(Duration::from_secs(60)), "approvals.timeout")),
        policy_text: None,
    }
}

/// `[limits]`.
pub fn limits(reader: &Reader<'_>) -> Limits {
    Limits {
        memory: reader.size("limits.memory"),
        processes: reader.integer("limits.processes"),
        open_files: reader.integer("limits.open_files"),
        file_size: reader.size("limits.file_size"),
        cpu_time: reader.span("limits.cpu_time"),
        wall_clock: reader.span("limits.wall_clock"),
        output: reader.size("limits.output"),
    }
}

/// `[shell_environment_policy]`, without what `--env` passes.
pub fn environment(reader: &Reader<'_>) -> EnvironmentPolicy {
    let mut exclude = reader.texts("shell_environment_policy.exclude");
    let mut include_only = reader.texts("shell_environment_policy.include_only");
    if let Some(filters) = reader.get("shell_environment_policy.filters").and_then(Node::as_table) {
        for (pattern, node) in filters {
            let entry = Sourced::new(pattern.clone(), node.mark.origin());
            if node.as_str() == Some("exclude") { exclude.push(entry) } else { include_only.push(entry) }
        }
    }
    let set = reader.get("shell_environment_policy.set").and_then(Node::as_table);
    EnvironmentPolicy {
        inherit: reader.word("shell_environment_policy.inherit", Inherit::All, |word| match word {
            "all" => Some(Inherit::All),
            "core" => Some(Inherit::Core),
            "none" => Some(Inherit::None),
            _ => None,
        }),
        ignore_default_excludes: reader.flag("shell_environment_policy.ignore_default_excludes"),
        exclude,
        include_only,
        set: set
            .into_iter()
            .flatten()
            .filter_map(|(name, node)| {
                Some((name.clone(), Sourced::new(node.as_str()?.to_owned(), node.mark.origin())))
            })
            .collect(),
        pass: Vec::new(),
    }
}

/// `[history]`.
pub fn history(reader: &Reader<'_>) -> HistorySettings {
    HistorySettings {
        persist: reader.word("history.persistence", true, |word| Some(word == "save-all")),
        max_bytes: reader.integer("history.max_bytes"),
    }
}

/// `[sandbox_workspace_write] writable_roots`.
pub fn writable_roots(reader: &mut Reader<'_>) -> Vec<RootRequest> {
    let paths = reader.paths("sandbox_workspace_write.writable_roots");
    paths.into_iter().map(|path| RootRequest { path, required: false }).collect()
}

/// `allow_unix_sockets`.
pub fn unix_sockets(reader: &mut Reader<'_>) -> UnixSockets {
    UnixSockets::Only(reader.paths("allow_unix_sockets"))
}

/// `git`.
pub fn git(reader: &Reader<'_>) -> Sourced<GitAccess> {
    reader.word("git", GitAccess::ReadOnly, GitAccess::from_name)
}

/// `linux.backend`.
pub fn linux_backend(reader: &Reader<'_>) -> Sourced<Backend> {
    reader.word("linux.backend", Backend::Auto, Backend::from_name)
}

/// `absent_protected`.
pub fn absent_protected(reader: &Reader<'_>) -> Sourced<AbsentHold> {
    reader.word("absent_protected", AbsentHold::Broker, AbsentHold::from_name)
}

/// `windows.sandbox`.
pub fn windows_sandbox(reader: &Reader<'_>) -> Sourced<WindowsSandbox> {
    reader.word("windows.sandbox", WindowsSandbox::Unelevated, |word| match word {
        "elevated" => Some(WindowsSandbox::Elevated),
        "unelevated" => Some(WindowsSandbox::Unelevated),
        _ => None,
    })
}

/// `rules.allow_runs`.
pub fn allow_runs(reader: &Reader<'_>) -> Sourced<AllowRuns> {
    reader.word("rules.allow_runs", AllowRuns::Unsandboxed, |word| match word {
        "sandboxed" => Some(AllowRuns::Sandboxed),
        "unsandboxed" => Some(AllowRuns::Unsandboxed),
        _ => None,
    })
}
