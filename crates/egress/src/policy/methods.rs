//! Which methods and paths a request may use: `limited` mode, `methods` and `paths` per host.
//!
//! They only narrow: a request must pass every entry that means its host. What can't be seen (a tunnel) can't pass.

use super::Policy;
use super::compile::{PolicyError, read_pattern};
use super::index::PatternSet;
use crate::host::Target;
use ringfence_model::Origin;
use ringfence_model::settings::{ManagedNetwork, ProxyMode};

/// Methods that change nothing, by the standard.
pub(crate) const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

#[derive(Debug, Default)]
pub(super) struct MethodRules {
    limited: Option<Origin>,
    methods: Table,
    paths: Table,
}

#[derive(Debug, Default)]
struct Table {
    patterns: PatternSet,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    allowed: Vec<String>,
    origin: Origin,
}

impl MethodRules {
    pub(super) fn compile(managed: &ManagedNetwork) -> Result<Self, PolicyError> {
        let limited = (managed.mode.value == ProxyMode::Limited).then(|| managed.mode.origin.clone());
        let mut rules = Self { limited, ..Self::default() };
        for (pattern, methods) in &managed.methods {
            if let Some(method) = methods.iter().find(|method| !is_method(method)) {
                return Err(PolicyError::Method { method: method.clone(), origin: pattern.origin.clone() });
            }
            rules.methods.add(pattern, methods, "methods")?;
        }
        for (pattern, paths) in &managed.paths {
            if let Some(path) = paths.iter().find(|path| !is_plain_path(path)) {
                return Err(PolicyError::Path { path: path.clone(), origin: pattern.origin.clone() });
            }
            rules.paths.add(pattern, paths, "paths")?;
        }
        Ok(rules)
    }
}

impl Table {
    fn add(
        &mut self,
        entry: &ringfence_model::Sourced<String>,
        allowed: &[String],
        key: &str,
    ) -> Result<(), PolicyError> {
        let pattern = read_pattern(entry)?;
        self.rows.push(Row {
            name: format!("{key}: {pattern} = [{}]", allowed.join(", ")),
            allowed: allowed.to_vec(),
            origin: entry.origin.clone(),
        });
        self.patterns.add(pattern);
        Ok(())
    }

    /// The first row about this destination that `passes` refuses.
    fn refusing(&self, target: &Target, passes: impl Fn(&[String]) -> bool) -> Option<&Row> {
        let mut first = None;
        self.patterns.visit(&target.host, target.port, |number| {
            if let Some(row) = self.rows.get(number)
                && first.is_none()
                && !passes(&row.allowed)
            {
                first = Some(row);
            }
        });
        first
    }
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') && text != "CONNECT"
}

fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && !path.bytes().any(|byte| matches!(byte, b'%' | b'\\' | b'?' | b'#' | b';') || !byte.is_ascii_graphic())
        && !path.split('/').any(|part| matches!(part, "." | ".."))
}

/// What kept a method from passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodFault<'p> {
    /// The setting.
    pub rule: &'p str,
    /// Where it was written.
    pub origin: &'p Origin,
    /// What about the request it refuses.
    pub what: &'static str,
}

/// What kept a path from passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathFault<'p> {
    /// The setting.
    pub rule: &'p str,
    /// Where it was written.
    pub origin: &'p Origin,
}

impl Policy {
    /// Judges a request's method. `body` says that a body follows, `overrides` that a header names another method.
    ///
    /// # Errors
    /// The setting that refuses it.
    pub fn check_method(
        &self,
        target: &Target,
        method: &str,
        body: bool,
        overrides: bool,
    ) -> Result<(), MethodFault<'_>> {
        if let Some(origin) = &self.methods.limited {
            let what = if !SAFE_METHODS.contains(&method) {
                Some("the method")
            } else if body {
                Some("a request body")
            } else if overrides {
                Some("a header that overrides the method")
            } else {
                None
            };
            if let Some(what) = what {
                return Err(MethodFault { rule: "mode = \"limited\"", origin, what });
            }
        }
        let passes = |allowed: &[String]| !overrides && allowed.iter().any(|allowed| allowed == method);
        match self.methods.methods.refusing(target, passes) {
            Some(row) => Err(MethodFault { rule: &row.name, origin: &row.origin, what: "the method" }),
            None => Ok(()),
        }
    }

    /// Judges a request's path (without its query).
    ///
    /// # Errors
    /// The setting that refuses it. Where paths are restricted, a path that servers read in different ways is refused.
    pub fn check_path(&self, target: &Target, path: &str) -> Result<(), PathFault<'_>> {
        let passes = |allowed: &[String]| is_plain_path(path) && allowed.iter().any(|prefix| is_under(path, prefix));
        match self.methods.paths.refusing(target, passes) {
            Some(row) => Err(PathFault { rule: &row.name, origin: &row.origin }),
            None => Ok(()),
        }
    }

    /// Judges a tunnel, inside which nothing can be seen.
    ///
    /// # Errors
    /// The setting that needs to see requests.
    pub fn check_tunnel(&self, target: &Target) -> Result<(), MethodFault<'_>> {
        let what = "a tunnel, in which methods can't be seen";
        if let Some(origin) = &self.methods.limited {
            return Err(MethodFault { rule: "mode = \"limited\"", origin, what });
        }
        let row =
            self.methods.methods.refusing(target, |_| false).or_else(|| self.methods.paths.refusing(target, |_| false));
        match row {
            Some(row) => Err(MethodFault { rule: &row.name, origin: &row.origin, what }),
            None => Ok(()),
        }
    }
}

fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}
