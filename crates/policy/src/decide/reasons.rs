//! Reasons: what they say, where they come from, and what would change them. The only place their words stand.

use crate::confine::ConfineError;
use crate::table::{Cell, Row, cell};
use ringfence_model::mode::Granular;
use ringfence_model::report::Reason;
use ringfence_model::verdict::QuestionKind;
use ringfence_model::{ApprovalPolicy, Denial, Grant, Origin, SandboxMode, Sourced, text};
use ringfence_rules::{Broken, Decision as RuleDecision, RuleMatch};

/// Stable codes of reasons and refusals, as the reference documents them.
pub mod codes {
    /// The policy table says so.
    pub const POLICY: &str = "policy";
    /// The policy doesn't let this be asked.
    pub const NOT_ASKED: &str = "policy-does-not-ask";
    /// A rule matched.
    pub const RULE: &str = "rule";
    /// A rule that would allow doesn't count here.
    pub const RULE_NOT_APPLIED: &str = "rule-not-applied";
    /// A rule file can't be loaded.
    pub const RULES_BROKEN: &str = "rules-broken";
    /// What kind of command it is.
    pub const CLASS: &str = "command-class";
    /// The agent asks for more.
    pub const ESCALATION: &str = "escalation";
    /// The sandbox refused it before.
    pub const DENIED_BEFORE: &str = "denied-before";
    /// Hard to undo.
    pub const DESTRUCTIVE: &str = "destructive";
    /// A grant allows it.
    pub const GRANT: &str = "grant";
    /// No confinement can be made.
    pub const CANNOT_CONFINE: &str = "cannot-confine";
    /// A login shell isn't allowed.
    pub const LOGIN_SHELL: &str = "login-shell";
    /// There is nothing to run.
    pub const NOTHING_TO_RUN: &str = "nothing-to-run";
    /// Where a changed file lies.
    pub const EDIT: &str = "edit";
    /// Ringfence's own files.
    pub const OWN_FILES: &str = "own-files";
    /// A path that can't be read.
    pub const DENY_READ: &str = "deny-read";
    /// A host.
    pub const HOST: &str = "host";
    /// Network is off.
    pub const NETWORK_OFF: &str = "network-off";
    /// An MCP tool.
    pub const TOOL: &str = "tool";
    /// Web search.
    pub const WEB_SEARCH: &str = "web-search";

    /// Every code, for the reference and the test that they are unique.
    pub const ALL: &[&str] = &[
        POLICY,
        NOT_ASKED,
        RULE,
        RULE_NOT_APPLIED,
        RULES_BROKEN,
        CLASS,
        ESCALATION,
        DENIED_BEFORE,
        DESTRUCTIVE,
        GRANT,
        CANNOT_CONFINE,
        LOGIN_SHELL,
        NOTHING_TO_RUN,
        EDIT,
        OWN_FILES,
        DENY_READ,
        HOST,
        NETWORK_OFF,
        TOOL,
        WEB_SEARCH,
    ];
}

pub(super) fn reason(kind: &str, text: impl Into<String>, source: Origin, would_change: Vec<String>) -> Reason {
    // What a requirement says, nobody here can change.
    let would_change = if source.layer().is_requirement() { Vec::new() } else { would_change };
    Reason { kind: kind.to_owned(), text: text.into(), source, would_change }
}

fn row_name(row: Row) -> &'static str {
    match row {
        Row::SafeRead => "a known-safe read",
        Row::Ordinary => "a command that isn't a known-safe read",
        Row::Escalation => "a command that asks for more than the sandbox gives",
        Row::Dangerous => "a dangerous command",
        Row::DeniedBefore => "a command that the sandbox refused something",
        Row::EditInside => "a change to files inside the writable roots",
        Row::EditElsewhere => "a change to files outside the writable roots or in a protected path",
        Row::UnknownHost => "a host that no rule names",
    }
}

/// What the policy table said, and which other policies would say something looser.
pub(super) fn by_policy(mode: SandboxMode, row: Row, policy: &Sourced<ApprovalPolicy>) -> Reason {
    let said = cell(mode, row, policy.value);
    let verb = match said {
        Cell::Run => "runs",
        Cell::Report => "reports the denial of",
        Cell::Ask => "asks about",
        Cell::Refuse => "refuses",
    };
    let what = row_name(row);
    let text = match said {
        Cell::Run => format!("`{}` lets {what} run in the `{mode}` sandbox", policy.value),
        _ => format!("`{}` {verb} {what} in `{mode}`", policy.value),
    };
    let mut change = Vec::new();
    if said != Cell::Run {
        for other in [ApprovalPolicy::OnRequest, ApprovalPolicy::OnFailure, ApprovalPolicy::Untrusted] {
            let cell = cell(mode, row, other);
            if cell < said && !change.iter().any(|known: &String| known.ends_with("(runs)")) {
                let does = if cell == Cell::Run { "runs" } else { "asks" };
                change.push(format!("approval_policy = \"{other}\" ({does})"));
            }
        }
        match row {
            Row::Ordinary | Row::Escalation | Row::Dangerous => {
                change.push("an `allow` rule for this command".to_owned());
            }
            Row::EditElsewhere => change.push("a writable root that holds the file (`--add-dir DIR`)".to_owned()),
            Row::EditInside => change.push("sandbox_mode = \"workspace-write\"".to_owned()),
            Row::UnknownHost => change.push("an entry for the host under `[network] domains`".to_owned()),
            Row::SafeRead | Row::DeniedBefore => {}
        }
    }
    reason(codes::POLICY, text, policy.origin.clone(), change)
}

/// Why a question isn't put.
pub(super) fn not_asked(policy: &Sourced<ApprovalPolicy>, kind: QuestionKind) -> Reason {
    let text = match policy.value {
        ApprovalPolicy::Granular(Granular { .. }) => {
            let category = match kind {
                QuestionKind::Rule => "rules",
                QuestionKind::Elicitation => "mcp_elicitations",
                _ => "sandbox_approval",
            };
            format!("questions of the category `{category}` are switched off and refused by themselves")
        }
        _ => "under `never` nobody is asked, and what would ask is refused".to_owned(),
    };
    reason(codes::NOT_ASKED, text, policy.origin.clone(), vec!["approval_policy = \"on-request\" (asks)".to_owned()])
}

pub(super) fn by_rule(found: &RuleMatch) -> Reason {
    let words: Vec<String> = found.matched_prefix.iter().map(|word| text::escape(word)).collect();
    let verb = match found.decision {
        RuleDecision::Allow => "allows",
        RuleDecision::Prompt => "prompts for",
        RuleDecision::Forbidden => "forbids",
    };
    let mut said = format!("a rule {verb} `{}`", words.join(" "));
    if let Some(justification) = &found.justification {
        said.push_str(": ");
        said.push_str(&text::escape(justification));
    }
    let change = match found.decision {
        RuleDecision::Allow => Vec::new(),
        _ => vec![format!("the rule at {}", found.origin)],
    };
    reason(codes::RULE, said, found.origin.clone(), change)
}

pub(super) fn broken_rules(broken: &Broken) -> Reason {
    let said =
        format!("a rule file can't be loaded, so this might have been forbidden: {}", text::escape(&broken.cause));
    reason(codes::RULES_BROKEN, said, broken.origin.clone(), vec![format!("mending {}", broken.origin)])
}

pub(super) fn by_grant(grant: &Grant) -> Reason {
    let lasts = match grant.lasts {
        ringfence_model::grant::Lasts::Once => "this once",
        ringfence_model::grant::Lasts::Session => "for this session",
        ringfence_model::grant::Lasts::Always => "from now on",
    };
    let origin = Origin::Grant { grant: grant.id.clone() };
    reason(codes::GRANT, format!("approved by {} {lasts}", text::escape(&grant.by)), origin, Vec::new())
}

pub(super) fn cannot_confine(error: &ConfineError) -> Reason {
    let change = match error {
        ConfineError::BroadRoot { .. } => vec!["dangerously_allow_broad_roots = true".to_owned()],
        ConfineError::OwnFilesInside { .. } => vec!["another RINGFENCE_HOME".to_owned(), "another root".to_owned()],
        ConfineError::MissingRoot { .. } => vec!["an existing directory".to_owned()],
        ConfineError::GrantInsideProtected { .. } => vec!["a request to run outside".to_owned()],
        ConfineError::RootInOwnFiles { .. } | ConfineError::RequirementDenies { .. } => Vec::new(),
    };
    reason(codes::CANNOT_CONFINE, error.to_string(), error.origin().clone(), change)
}

pub(super) fn denied_before(denial: &Denial) -> Reason {
    let said = format!("the sandbox refused {} on `{}` ({})", denial.operation, denial.target.display(), denial.rule);
    reason(codes::DENIED_BEFORE, said, denial.origin.clone(), denial.allow_with.clone())
}
