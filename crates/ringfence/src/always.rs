//! Answers that are meant to last: a rule appended to `rules/default.rules` in Ringfence's home, once, keeping the file's
//! text, so that a reader sees the old file or the new one.

use crate::under::{self, SelfApproval};
use ringfence_config::ConfigError;
use ringfence_config::edit::rewrite;
use ringfence_model::grant::Scope;
use ringfence_model::{AbsPath, Layer, Origin, OsText};
use ringfence_policy::scopes;
use ringfence_rules::{Alternatives, Decision, EditError, Permit, PrefixRule, RuleFile, RuleSet};

/// Why a rule wasn't written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlwaysError {
    /// This process runs under Ringfence.
    #[error(transparent)]
    Under(#[from] SelfApproval),
    /// The scope can't be a rule, or would be one that allows everything.
    #[error("no rule can be made of this answer: {why}")]
    Scope {
        /// Why.
        why: &'static str,
    },
    /// The file as it stands can't be added to.
    #[error("`{}` can't be added to", file.display())]
    Edit {
        /// The file.
        file: AbsPath,
        /// Why.
        #[source]
        cause: EditError,
    },
    /// The file can't be read or written.
    #[error(transparent)]
    File(#[from] ConfigError),
}

/// Where rules stand that answers and commands write.
pub fn file(ringfence_home: &AbsPath) -> Result<AbsPath, AlwaysError> {
    let named = ringfence_home.join("rules/default.rules");
    named.map_err(|_| AlwaysError::Scope { why: "its file has no name" })
}

/// Changes that file, with no other writer of ours between. Whether there was anything to change.
pub fn change(
    ringfence_home: &AbsPath,
    edit: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<bool, AlwaysError> {
    under::refuse("changing rules")?;
    let file = file(ringfence_home)?;
    rewrite(file.as_path(), |text| edit(text).map_err(|cause| AlwaysError::Edit { file: file.clone(), cause }))
}

/// Appends the rule for `scope`. A rule that is there already isn't written again.
pub fn write(ringfence_home: &AbsPath, scope: &Scope) -> Result<AbsPath, AlwaysError> {
    under::refuse("writing a rule")?;
    let no_scope = |why| AlwaysError::Scope { why };
    let file = file(ringfence_home)?;
    match scope {
        Scope::Prefix { prefix } => {
            if !scopes::may_offer(prefix) {
                return Err(no_scope("it would allow everything that its first word can run"));
            }
            let words: Option<Vec<String>> = prefix.iter().map(|word| word.as_str().map(str::to_owned)).collect();
            let words = words.ok_or_else(|| no_scope("it has words that aren't text"))?;
            let rule = PrefixRule {
                pattern: words.into_iter().map(Alternatives::One).collect(),
                decision: Decision::Allow,
                justification: None,
                matches: Vec::new(),
                not_matches: Vec::new(),
                origin: Origin::builtin("an answer"),
            };
            change(ringfence_home, |text| ringfence_rules::add(text, &rule))?;
        }
        Scope::Host { host, port } => {
            let with = |text: &str| with_host(text, host, *port).ok_or_else(|| no_scope("the host can't be written"));
            rewrite(file.as_path(), with)?;
        }
        _ => return Err(no_scope("only command prefixes and hosts can be rules")),
    }
    Ok(file)
}

/// The text with a `network_rule` at its end; none if the file wouldn't load with it.
fn with_host(text: &str, host: &str, port: u16) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let line = format!("network_rule(host=\"{host}\", protocol=\"any\", decision=\"allow\")");
    if text.lines().any(|known| known.trim() == line) {
        return Some(text.to_owned());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let changed = format!("{text}{gap}{line}\n");
    let mut set = RuleSet::new();
    let origin = Origin::File { file: OsText::new("default.rules"), line: 0, column: 0, layer: Layer::User };
    set.load(&RuleFile { origin, text: changed.as_bytes(), permit: Permit::Everything });
    set.broken().is_empty().then_some(changed)
}
