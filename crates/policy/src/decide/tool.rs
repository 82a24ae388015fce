//! Judging calls of MCP tools and web searches.

use super::reasons::{codes, reason};
use super::{Basis, Case, Stop};
use ringfence_model::action::{McpCall, Placement, WebSearch};
use ringfence_model::grant::{Lasts, Scope};
use ringfence_model::report::Reason;
use ringfence_model::settings::{McpServer, ToolApproval};
use ringfence_model::verdict::{Offer, QuestionKind};
use ringfence_model::{ApprovalPolicy, Origin, WebSearchMode, text};

/// What a tool is to the table of tool calls, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolRow {
    Destructive,
    Approve,
    Prompt,
    ReadOnlyClosed,
    ReadOnlyOpen,
    SideEffects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolCell {
    Run,
    Ask,
    Refuse,
}

use ToolCell::{Ask, Refuse, Run};

/// Columns: `untrusted`, `on-request` and the like, `never`.
pub(crate) const TOOLS: &[(ToolRow, [ToolCell; 3], &str)] = &[
    (ToolRow::Destructive, [Ask, Ask, Refuse], "it says of itself that it may destroy"),
    (ToolRow::Approve, [Run, Run, Run], "your settings approve it"),
    (ToolRow::Prompt, [Ask, Ask, Refuse], "your settings prompt for it"),
    (ToolRow::ReadOnlyClosed, [Run, Run, Run], "it says of itself that it only reads"),
    (
        ToolRow::ReadOnlyOpen,
        [Ask, Run, Run],
        "it says of itself that it only reads, and that it reaches the world outside",
    ),
    (ToolRow::SideEffects, [Ask, Ask, Refuse], "it may have side effects"),
];

pub(super) fn judge_call(basis: &Basis<'_>, call: &McpCall) -> Case {
    let server_name = text::escape(&call.server);
    let tool_name = text::escape(&call.tool);
    let Some(server) = basis.settings.mcp_servers.get(&call.server) else {
        let text = format!("no server `{server_name}` is configured");
        let change = vec![format!("[mcp_servers.{server_name}]")];
        return Case::refuse(reason(codes::TOOL, text, Origin::builtin("mcp_servers"), change));
    };
    if let Some(why) = switched_off(server, call) {
        return Case::refuse(why);
    }
    let (row, origin) = row(server, call);
    let column = match basis.settings.approval_policy.value {
        ApprovalPolicy::Untrusted => 0,
        ApprovalPolicy::OnRequest | ApprovalPolicy::Granular(_) | ApprovalPolicy::OnFailure => 1,
        ApprovalPolicy::Never => 2,
    };
    let found = TOOLS.iter().find(|(of, _, _)| *of == row);
    let (cell, what) =
        found.and_then(|(_, cells, what)| Some((*cells.get(column)?, *what))).unwrap_or((Refuse, "unknown"));
    let mut change = Vec::new();
    if row != ToolRow::Destructive {
        change.push(format!("mcp_servers.{server_name}.tools.{tool_name} = \"approve\""));
        if !server.trusted.value {
            change.push(format!("mcp_servers.{server_name}.trusted = true, if what it says can be believed"));
        }
    }
    let why = reason(codes::TOOL, format!("`{server_name}.{tool_name}`: {what}"), origin, change);
    let mut case = Case::new(Placement::Inside);
    // What may destroy is never covered by a yes for the tool, only by one for these very arguments.
    let (kind, scope, covers) = match row {
        ToolRow::Destructive => {
            (QuestionKind::Destructive, Scope::Exact { identity: basis.facts.identity.clone() }, "exactly these")
        }
        _ => (QuestionKind::Tool, Scope::Tool { server: call.server.clone(), tool: call.tool.clone() }, "any"),
    };
    match cell {
        Run => case.reasons.push(why),
        Ask => case.stops.push(Stop::Ask(kind, why)),
        Refuse => case.stops.push(Stop::Refuse(why)),
    }
    let text = format!("`{server_name}.{tool_name}` with {covers} arguments, for this session");
    case.offers.push(Offer { scope, lasts: Lasts::Session, text });
    case
}

fn switched_off(server: &McpServer, call: &McpCall) -> Option<Reason> {
    let (name, tool) = (text::escape(&call.server), text::escape(&call.tool));
    let off = |text: String, origin: &Origin, key: &str| {
        Some(reason(codes::TOOL, text, origin.clone(), vec![format!("mcp_servers.{name}.{key}")]))
    };
    if !server.enabled.value {
        return off(format!("the server `{name}` is switched off"), &server.enabled.origin, "enabled");
    }
    if let Some(only) = server.enabled_tools.as_ref().filter(|only| !only.value.contains(&call.tool)) {
        return off(format!("`{tool}` isn't among the enabled tools"), &only.origin, "enabled_tools");
    }
    let disabled = server.disabled_tools.iter().find(|disabled| disabled.value == call.tool)?;
    off(format!("`{tool}` is disabled"), &disabled.origin, "disabled_tools")
}

fn row(server: &McpServer, call: &McpCall) -> (ToolRow, Origin) {
    // That a tool may destroy is believed of any server; that it only reads, only of a trusted one.
    if call.hints.destructive_hint == Some(true) {
        return (ToolRow::Destructive, server.origin.clone());
    }
    let configured = server.tools.get(&call.tool).or(server.default_approval.as_ref());
    match configured.map(|configured| (configured.value, configured.origin.clone())) {
        Some((ToolApproval::Approve, origin)) => return (ToolRow::Approve, origin),
        Some((ToolApproval::Prompt, origin)) => return (ToolRow::Prompt, origin),
        Some((ToolApproval::Auto, _)) | None => {}
    }
    if server.trusted.value && call.hints.read_only_hint == Some(true) {
        let closed = call.hints.open_world_hint == Some(false);
        let row = if closed { ToolRow::ReadOnlyClosed } else { ToolRow::ReadOnlyOpen };
        return (row, server.trusted.origin.clone());
    }
    (ToolRow::SideEffects, server.origin.clone())
}

pub(super) fn judge_search(basis: &Basis<'_>, search: &WebSearch) -> Case {
    let setting = &basis.settings.web_search;
    let stopped = match (setting.value, search.live) {
        (WebSearchMode::Disabled, _) => Some("web search is switched off"),
        (WebSearchMode::Live, _) | (_, false) => None,
        (WebSearchMode::Cached | WebSearchMode::Indexed, true) => Some("pages may not be fetched live"),
    };
    if let Some(text) = stopped {
        let change = vec!["web_search = \"live\"".to_owned()];
        return Case::refuse(reason(codes::WEB_SEARCH, text, setting.origin.clone(), change));
    }
    let mut case = Case::new(Placement::Inside);
    let text = format!("`web_search` is `{}`", setting.value);
    case.reasons.push(reason(codes::WEB_SEARCH, text, setting.origin.clone(), Vec::new()));
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_tools_is_the_references() {
        let reference = [
            (ToolRow::Destructive, "ask ask refuse"),
            (ToolRow::Approve, "run run run"),
            (ToolRow::Prompt, "ask ask refuse"),
            (ToolRow::ReadOnlyClosed, "run run run"),
            (ToolRow::ReadOnlyOpen, "ask run run"),
            (ToolRow::SideEffects, "ask ask refuse"),
        ];
        assert_eq!(reference.len(), TOOLS.len());
        for ((row, cells), (of, ours, _)) in reference.iter().zip(TOOLS) {
            assert_eq!(row, of);
            let ours: Vec<String> = ours.iter().map(|cell| format!("{cell:?}").to_lowercase()).collect();
            assert_eq!(*cells, ours.join(" "), "{row:?}");
        }
    }
}
