//! Rules of policy files (`[[rule]]`), and entries such as `run_shell_command(git)` of the settings.

use crate::claude::servers::Servers;
use crate::command::{self, Decision, End, Prefix};
use crate::draft::{Access, Draft};
use crate::node::{Field, Node};
use crate::path::{Place, Read};
use crate::report::{Carried, Src};
use crate::{ImportError, Parsed, Role, doc};

const SHELL: &[&str] = &["run_shell_command", "ShellTool"];
const EDIT: &[&str] = &["write_file", "replace", "edit", "WriteFileTool", "EditTool"];
const READ: &[&str] = &[
    "read_file",
    "read_many_files",
    "list_directory",
    "glob",
    "grep_search",
    "search_file_content",
    "ReadFileTool",
    "ReadManyFilesTool",
    "LSTool",
    "GlobTool",
    "GrepTool",
];

/// `tool`, `tool(prefix)` or `mcp_server_tool`.
pub(super) fn tool_entry(
    draft: &mut Draft,
    servers: &mut Servers,
    role: Role,
    text: &str,
    decision: Decision,
    src: &Src,
) {
    let text = text.trim();
    let (tool, argument) = command::tool_and_argument(text);
    if SHELL.contains(&tool) {
        let found = match argument {
            Some(words) => command::prefix(words, End::MoreWords),
            None => Prefix::everything(),
        };
        draft.command(found, decision, role, None, src);
    } else {
        whole_tool(draft, servers, role, tool, decision, src);
    }
}

fn whole_tool(draft: &mut Draft, servers: &mut Servers, role: Role, tool: &str, decision: Decision, src: &Src) {
    let restricts = decision != Decision::Allow;
    match tool {
        tool if SHELL.contains(&tool) => draft.command(Prefix::everything(), decision, role, None, src),
        tool if EDIT.contains(&tool) => match decision {
            Decision::Allow => draft.config_allows_edits(src),
            Decision::Prompt => {
                draft.no_edits(src);
                draft.tell(src, Carried::Exactly, "nothing is writable, so that every change is asked about");
            }
            Decision::Forbidden => {
                draft.no_edits(src);
                draft.tell(src, Carried::NotCarried, "nothing is writable; a change is asked about, not refused");
            }
        },
        "web_fetch" | "WebFetchTool" if restricts => {
            draft.forbid_domains(src);
            draft.tell(src, Carried::Narrowed, "no host is allowed");
        }
        "web_fetch" | "WebFetchTool" => {
            draft.tell(src, Carried::Narrowed, "not every host is opened up; each is asked about")
        }
        "google_web_search" | "WebSearchTool" => {
            let off = draft.config.text_at(&[], "web_search") == Some("disabled");
            let mode = if restricts || off { "disabled" } else { "cached" };
            draft.config.set(&[], "web_search", doc::text(mode), src);
            let carried = if decision == Decision::Forbidden { Carried::Exactly } else { Carried::Narrowed };
            draft.tell(
                src,
                carried,
                match mode {
                    "disabled" => "searches are off",
                    _ => "from the search provider's index; no page is fetched live",
                },
            );
        }
        tool if READ.contains(&tool) => {
            if restricts {
                let root = Read { place: Place::Workspace(".".to_owned()), glob: false, exact: true };
                draft.path(Some(root), Access::Deny, Role::User, src);
            } else {
                draft.tell(src, Carried::Exactly, "the workspace can be read");
            }
        }
        "*" => {
            draft.command(Prefix::everything(), decision, role, None, src);
            if restricts {
                draft.no_edits(src);
                draft.forbid_domains(src);
                draft.config.set(&[], "web_search", doc::text("disabled"), src);
                servers.names().iter().for_each(|name| servers.say(name, None, decision.into(), src));
            }
        }
        tool if tool.starts_with("mcp_") => {
            let rest = tool.strip_prefix("mcp_").unwrap_or(tool);
            match rest.split_once('_') {
                Some((server, tool)) => server_tool(draft, servers, server, Some(tool), decision, src),
                None => server_tool(draft, servers, rest, None, decision, src),
            }
        }
        _ => draft.other_tool(decision, src),
    }
}

fn server_tool(
    draft: &mut Draft,
    servers: &mut Servers,
    server: &str,
    tool: Option<&str>,
    decision: Decision,
    src: &Src,
) {
    let pattern = server.contains('*') || tool.is_some_and(|tool| tool.contains('*') && tool != "*");
    if decision == Decision::Allow && pattern {
        return draft.tell(
            src,
            Carried::Narrowed,
            "a pattern of servers or tools can't be approved; they are asked about",
        );
    }
    let tool = tool.filter(|tool| *tool != "*" && !pattern);
    // A name with underscores is split wrongly; every server that the name may mean is taken.
    let named: Vec<String> = servers
        .names()
        .into_iter()
        .filter(|name| {
            server.contains('*')
                || name == server
                || (decision != Decision::Allow && name.starts_with(&format!("{server}_")))
        })
        .collect();
    if named.is_empty() {
        let carried = if decision == Decision::Allow { Carried::Narrowed } else { Carried::NotCarried };
        return draft.tell(
            src,
            carried,
            "no file that was read defines this server; Ringfence runs only servers that it knows",
        );
    }
    for name in &named {
        // Where the name was split wrongly the tool's name is wrong too.
        let tool = tool.filter(|_| name == server);
        servers.say(name, tool, decision.into(), src);
    }
    let exact = decision != Decision::Allow && !pattern;
    let why = if decision == Decision::Allow {
        "a tool that calls itself destructive is asked about all the same"
    } else {
        ""
    };
    draft.tell(src, if exact { Carried::Exactly } else { Carried::Narrowed }, why);
}

/// A policy file.
pub(super) fn file(draft: &mut Draft, servers: &mut Servers, file: &Parsed<'_>) -> Result<(), ImportError> {
    for Field { name, line, node } in file.root.fields() {
        match name.as_str() {
            "rule" => {
                for rule in node.as_list().unwrap_or(&[]) {
                    self::rule(draft, servers, file, rule)?;
                }
            }
            _ => {
                let src = Src::new(file.name, *line, name);
                draft.tell(&src, Carried::NotCarried, "only `[[rule]]` says what a tool may do");
            }
        }
    }
    Ok(())
}

/// Keys under which a rule holds only sometimes.
const CONDITIONS: &[&str] = &["subagent", "modes", "interactive", "toolAnnotations"];

fn rule(draft: &mut Draft, servers: &mut Servers, file: &Parsed<'_>, rule: &Node) -> Result<(), ImportError> {
    let words = |key: &str| -> Vec<String> {
        match rule.get(key).map(|node| &node.value) {
            Some(crate::node::Value::Text(text)) => vec![text.clone()],
            Some(crate::node::Value::List(items)) => items.iter().filter_map(Node::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let (tools, prefixes) = (words("toolName"), words("commandPrefix"));
    let regex = rule.get("commandRegex").and_then(Node::as_str);
    let arguments = rule.get("argsPattern").and_then(Node::as_str);
    let server = rule.get("mcpName").and_then(Node::as_str);
    let shown = [&tools[..], &prefixes[..], &[regex.or(arguments).unwrap_or_default().to_owned()]].concat().join(" ");
    let decision = match rule.get("decision").and_then(Node::as_str) {
        Some("allow") => Decision::Allow,
        Some("ask_user") => Decision::Prompt,
        Some("deny") => Decision::Forbidden,
        _ => {
            return Err(ImportError::Type {
                file: file.name.to_owned(),
                line: rule.line,
                key: "rule.decision".to_owned(),
                expected: "`allow`, `ask_user` or `deny`",
            });
        }
    };
    let src = Src::new(file.name, rule.line, format!("rule: {} {}", decision_name(decision), shown.trim()));
    let conditional = CONDITIONS.iter().any(|key| rule.get(key).is_some_and(|node| node.as_list() != Some(&[])));
    if conditional && decision == Decision::Allow {
        draft.tell(&src, Carried::Narrowed, "it holds only sometimes; it is asked about always");
        return Ok(());
    }
    let message = rule.get("denyMessage").or_else(|| rule.get("deny_message")).and_then(Node::as_str);
    if let Some(server) = server {
        let all = tools.is_empty() || tools.iter().any(|tool| tool == "*");
        if arguments.is_some() && decision == Decision::Allow {
            draft.tell(&src, Carried::Narrowed, "it holds for some arguments only; the tool is asked about");
            return Ok(());
        }
        if all {
            server_tool(draft, servers, server, None, decision, &src);
        }
        for tool in tools.iter().filter(|_| !all) {
            server_tool(draft, servers, server, Some(tool), decision, &src);
        }
        return Ok(());
    }
    for prefix in &prefixes {
        let found = command::prefix(prefix, End::MoreWords);
        draft.command(found, decision, file.role, message, &src);
    }
    if let Some(pattern) = regex {
        // Whatever follows the literal beginning may stand in the same word.
        let found = command::prefix(&command::regex_literal(pattern), End::Anything);
        draft.command(found, decision, file.role, message, &src);
    }
    if !prefixes.is_empty() || regex.is_some() {
        return Ok(());
    }
    if let Some(pattern) = arguments {
        return arguments_rule(draft, servers, file.role, &tools, pattern, decision, &src);
    }
    if tools.is_empty() {
        draft.tell(&src, Carried::NotCarried, "it names no tool");
    }
    for tool in &tools {
        whole_tool(draft, servers, file.role, tool, decision, &src);
    }
    Ok(())
}

/// A rule over a tool's arguments as JSON text.
fn arguments_rule(
    draft: &mut Draft,
    servers: &mut Servers,
    role: Role,
    tools: &[String],
    pattern: &str,
    decision: Decision,
    src: &Src,
) -> Result<(), ImportError> {
    if decision == Decision::Allow {
        draft.tell(src, Carried::Narrowed, "it holds for some arguments only; the tool is asked about");
        return Ok(());
    }
    for tool in tools {
        if SHELL.contains(&tool.as_str()) {
            let command = pattern.strip_prefix("\"command\":\"").map(command::regex_literal).unwrap_or_default();
            draft.command(command::prefix(&command, End::Anything), decision, role, None, src);
        } else {
            whole_tool(draft, servers, role, tool, decision, src);
        }
    }
    Ok(())
}

fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Prompt => "ask_user",
        Decision::Forbidden => "deny",
    }
}
