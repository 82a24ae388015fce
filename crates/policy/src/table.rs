//! The policy table: sandbox mode × approval policy × kind of action, where no rule matched. The one place it stands.

use ringfence_model::mode::Granular;
use ringfence_model::verdict::QuestionKind;
use ringfence_model::{ApprovalPolicy, SandboxMode};
use serde::Serialize;

/// What an action is to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// A known-safe read.
    SafeRead,
    /// A command that is neither known to be safe nor known to be dangerous.
    Ordinary,
    /// A request for more than the sandbox gives.
    Escalation,
    /// A dangerous command.
    Dangerous,
    /// A command that the sandbox refused something on its first attempt.
    DeniedBefore,
    /// A change to files inside the writable roots, unprotected.
    EditInside,
    /// A change to files elsewhere, or protected.
    EditElsewhere,
    /// A host that no rule names, with the proxy on.
    UnknownHost,
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// It runs, in the resolved sandbox.
    Run,
    /// The denial goes back to the caller; a terminal offers one question.
    Report,
    /// Somebody is asked.
    Ask,
    /// It is refused.
    Refuse,
}

use Cell::{Ask, Refuse, Report, Run};
use SandboxMode::{DangerFullAccess, ReadOnly, WorkspaceWrite};

/// Columns: `untrusted`, `on-request` (and granular), `never`, `on-failure`.
type Cells = [Cell; 4];

/// Every row: the modes it holds in, what the action is, and the cells.
pub const TABLE: &[(&[SandboxMode], Row, Cells)] = &[
    (&[ReadOnly, WorkspaceWrite], Row::SafeRead, [Run, Run, Run, Run]),
    (&[ReadOnly, WorkspaceWrite], Row::Ordinary, [Ask, Run, Run, Run]),
    (&[ReadOnly, WorkspaceWrite], Row::Escalation, [Ask, Ask, Refuse, Ask]),
    (&[ReadOnly, WorkspaceWrite], Row::Dangerous, [Ask, Ask, Refuse, Ask]),
    (&[ReadOnly, WorkspaceWrite], Row::DeniedBefore, [Ask, Report, Report, Ask]),
    (&[ReadOnly], Row::EditInside, [Ask, Ask, Refuse, Ask]),
    (&[ReadOnly], Row::EditElsewhere, [Ask, Ask, Refuse, Ask]),
    (&[WorkspaceWrite], Row::EditInside, [Run, Run, Run, Run]),
    (&[WorkspaceWrite], Row::EditElsewhere, [Ask, Ask, Refuse, Ask]),
    (&[DangerFullAccess], Row::SafeRead, [Run, Run, Run, Run]),
    (&[DangerFullAccess], Row::Ordinary, [Ask, Run, Run, Run]),
    (&[DangerFullAccess], Row::Dangerous, [Ask, Ask, Refuse, Ask]),
    (&[DangerFullAccess], Row::EditInside, [Ask, Run, Run, Run]),
    (&[DangerFullAccess], Row::EditElsewhere, [Ask, Run, Run, Run]),
    (&[ReadOnly, WorkspaceWrite, DangerFullAccess], Row::UnknownHost, [Ask, Ask, Refuse, Ask]),
];

/// What the table says of `row`. Without confinement there is nothing to escalate from and nothing that denies, so those
/// two are ordinary there.
#[must_use]
pub fn cell(mode: SandboxMode, row: Row, policy: ApprovalPolicy) -> Cell {
    let row = match (mode, row) {
        (DangerFullAccess, Row::Escalation | Row::DeniedBefore) => Row::Ordinary,
        _ => row,
    };
    let column = match policy {
        ApprovalPolicy::Untrusted => 0,
        ApprovalPolicy::OnRequest | ApprovalPolicy::Granular(_) => 1,
        ApprovalPolicy::Never => 2,
        ApprovalPolicy::OnFailure => 3,
    };
    let found = TABLE.iter().find(|(modes, of, _)| *of == row && modes.contains(&mode));
    // A row that isn't in the table would be a mistake of ours; it must not let anything through.
    found.and_then(|(_, _, cells)| cells.get(column)).copied().unwrap_or(Refuse)
}

/// Whether the policy lets questions of this kind be asked at all.
#[must_use]
pub fn may_ask(policy: ApprovalPolicy, kind: QuestionKind) -> bool {
    match policy {
        ApprovalPolicy::Never => false,
        ApprovalPolicy::Untrusted | ApprovalPolicy::OnRequest | ApprovalPolicy::OnFailure => true,
        ApprovalPolicy::Granular(Granular {
            sandbox_approval, rules, mcp_elicitations, request_permissions, ..
        }) => {
            match kind {
                QuestionKind::Rule => rules,
                QuestionKind::Elicitation => mcp_elicitations,
                // A wish for single permissions is the milder form of leaving the sandbox: either switch lets it through.
                QuestionKind::Escalation => sandbox_approval || request_permissions,
                _ => sandbox_approval,
            }
        }
    }
}

/// Whether somebody is asked under this policy before what is hard to undo.
#[must_use]
pub fn is_interactive(policy: ApprovalPolicy) -> bool {
    !matches!(policy, ApprovalPolicy::Never)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ApprovalPolicy::{Never, OnFailure, OnRequest, Untrusted};

    /// The reference's table, line by line, as it is written there.
    const REFERENCE: &[(&str, &str, &str)] = &[
        ("read-only workspace-write", "known-safe read", "run run run run"),
        ("read-only workspace-write", "ordinary command", "ask run run run"),
        ("read-only workspace-write", "ordinary command asking for escalation", "ask ask refuse ask"),
        ("read-only workspace-write", "dangerous command", "ask ask refuse ask"),
        ("read-only workspace-write", "denied by the sandbox on the first attempt", "ask report report ask"),
        ("read-only", "file change", "ask ask refuse ask"),
        ("workspace-write", "file change inside roots, unprotected", "run run run run"),
        ("workspace-write", "file change elsewhere, or protected", "ask ask refuse ask"),
        ("danger-full-access", "known-safe read", "run run run run"),
        ("danger-full-access", "ordinary command", "ask run run run"),
        ("danger-full-access", "dangerous command", "ask ask refuse ask"),
        ("danger-full-access", "file change", "ask run run run"),
        ("read-only workspace-write danger-full-access", "unknown host with the proxy on", "ask ask refuse ask"),
    ];

    fn rows(name: &str) -> Vec<Row> {
        match name {
            "known-safe read" => vec![Row::SafeRead],
            "ordinary command" => vec![Row::Ordinary],
            "ordinary command asking for escalation" => vec![Row::Escalation],
            "dangerous command" => vec![Row::Dangerous],
            "denied by the sandbox on the first attempt" => vec![Row::DeniedBefore],
            "file change" => vec![Row::EditInside, Row::EditElsewhere],
            "file change inside roots, unprotected" => vec![Row::EditInside],
            "file change elsewhere, or protected" => vec![Row::EditElsewhere],
            "unknown host with the proxy on" => vec![Row::UnknownHost],
            other => panic!("no such row: {other}"),
        }
    }

    fn granular(all: bool) -> ApprovalPolicy {
        ApprovalPolicy::Granular(Granular {
            sandbox_approval: all,
            rules: all,
            mcp_elicitations: all,
            request_permissions: all,
            skill_approval: all,
        })
    }

    #[test]
    fn the_table_is_the_references() {
        let mut checked = 0;
        for (modes, action, cells) in REFERENCE {
            for mode in modes.split(' ').filter_map(SandboxMode::from_name) {
                for row in rows(action) {
                    for (policy, wanted) in [Untrusted, OnRequest, Never, OnFailure].into_iter().zip(cells.split(' ')) {
                        let got = format!("{:?}", cell(mode, row, policy)).to_lowercase();
                        assert_eq!(got, wanted, "{mode} × {policy} × {action}");
                        checked += 1;
                    }
                    assert_eq!(cell(mode, row, granular(true)), cell(mode, row, OnRequest));
                }
            }
        }
        let cells: usize = TABLE.iter().map(|(modes, _, _)| modes.len() * 4).sum();
        assert_eq!(checked, cells, "every cell of ours is one of the reference's");
    }

    #[test]
    fn a_category_switched_off_is_not_asked() {
        let with = |change: fn(&mut Granular)| {
            let mut granular = Granular {
                sandbox_approval: true,
                rules: true,
                mcp_elicitations: true,
                request_permissions: false,
                skill_approval: false,
            };
            change(&mut granular);
            ApprovalPolicy::Granular(granular)
        };
        assert!(!may_ask(with(|g| g.rules = false), QuestionKind::Rule));
        assert!(may_ask(with(|g| g.rules = false), QuestionKind::Escalation));
        assert!(!may_ask(with(|g| g.sandbox_approval = false), QuestionKind::Escalation));
        assert!(!may_ask(with(|g| g.mcp_elicitations = false), QuestionKind::Elicitation));
        assert!(QUESTIONS.iter().all(|kind| !may_ask(Never, *kind) && !may_ask(granular(false), *kind)));
    }

    const QUESTIONS: &[QuestionKind] = &[
        QuestionKind::Policy,
        QuestionKind::Escalation,
        QuestionKind::Rule,
        QuestionKind::Dangerous,
        QuestionKind::Destructive,
        QuestionKind::Denied,
        QuestionKind::Edit,
        QuestionKind::Host,
        QuestionKind::Tool,
        QuestionKind::Elicitation,
    ];

    #[test]
    fn what_the_table_does_not_name_is_refused() {
        for mode in [ReadOnly, WorkspaceWrite] {
            assert_eq!(cell(mode, Row::Escalation, Never), Refuse);
        }
        assert_eq!(cell(DangerFullAccess, Row::Escalation, Never), Run, "nothing to escalate from");
    }
}
