//! Gemini CLI: `settings.json` and policy files (`policies/*.toml`).
//!
//! Its world: the rule of the highest priority decides; without one, reads inside the workspace run, and commands, edits and
//! fetches are asked about. Here the strictest rule decides, so priorities aren't needed to keep what they held back.

mod rules;

use crate::claude::servers::{Say, Servers};
use crate::command::{Decision, Prefix};
use crate::draft::Draft;
use crate::node::{Field, Node, Value};
use crate::report::{Carried, Src};
use crate::tables::GEMINI_ELSEWHERE;
use crate::{Agent, ImportError, Parsed, Role, doc, path, srt};
use std::collections::BTreeSet;

pub(crate) fn import(files: &[Parsed<'_>]) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Agent::GeminiCli);
    let mut servers = Servers::default();
    let nowhere = Src::new("Gemini CLI", 0, "reading outside the workspace isn't offered");
    draft.minimal_reads = Some(nowhere.clone());
    let why = "only the workspace and the platform's directories can be read without asking; name more of them under \
               `[permissions.imported.filesystem]` as \"read\", or remove `read = \"minimal\"`";
    draft.tell(&nowhere, Carried::Narrowed, why);
    for file in files {
        servers.define(&mut draft, file);
    }
    let mut mode = ("default".to_owned(), Src::new("Gemini CLI", 0, "general.defaultApprovalMode, where it isn't set"));
    for file in files {
        if file.name.ends_with(".toml") {
            rules::file(&mut draft, &mut servers, file)?;
        } else {
            for field in file.root.fields() {
                section(&mut draft, &mut servers, &mut mode, file, field)?;
            }
        }
    }
    let (name, src) = mode;
    draft.approval = Some(("untrusted", src.clone()));
    match name.as_str() {
        "auto_edit" | "autoEdit" => {
            draft.workspace_write = Some(src.clone());
            draft.tell(&src, Carried::Exactly, "edits in the workspace run, commands are asked about");
        }
        "default" => {
            draft.tell(&src, Carried::Narrowed, "commands and edits are asked about; a command that was approved still can't write to the workspace until `extends` is `:workspace`");
        }
        "plan" => draft.tell(&src, Carried::NotCarried, "plan mode refuses edits; here they are asked about"),
        _ => draft.tell(&src, Carried::Narrowed, "an import never turns questions off"),
    }
    servers.settle(&mut draft);
    Ok(draft)
}

fn section(
    draft: &mut Draft,
    servers: &mut Servers,
    mode: &mut (String, Src),
    file: &Parsed<'_>,
    Field { name, line, node }: &Field,
) -> Result<(), ImportError> {
    let src = Src::new(file.name, *line, format!("{name} = {}", node.summary()));
    match name.as_str() {
        "tools" => tools(draft, servers, file, node)?,
        // The flat names of earlier versions.
        "coreTools" | "excludeTools" | "allowedTools" => {
            let name = match name.as_str() {
                "coreTools" => "core",
                "excludeTools" => "exclude",
                _ => "allowed",
            };
            let inner =
                Node::new(*line, Value::Table(vec![Field { name: name.to_owned(), line: *line, node: node.clone() }]));
            tools(draft, servers, file, &inner)?;
        }
        "general" => {
            if let Some(field) = node.field("defaultApprovalMode") {
                let value = field.node.as_str().unwrap_or_default().to_owned();
                *mode = (
                    value,
                    Src::new(file.name, field.line, format!("general.defaultApprovalMode = {}", field.node.summary())),
                );
            }
        }
        "mcp" => {
            for Field { name, line, node } in node.fields() {
                let src = Src::new(file.name, *line, format!("mcp.{name} = {}", node.summary()));
                mcp(draft, servers, file, name, node, &src)?;
            }
        }
        "mcpServers" => {
            for Field { name, node, .. } in node.fields() {
                server(servers, draft, file, name, node)?;
            }
        }
        "allowMCPServers" => mcp(draft, servers, file, "allowed", node, &src)?,
        "excludeMCPServers" => mcp(draft, servers, file, "excluded", node, &src)?,
        "security" => security(draft, file, node)?,
        "policyPaths" | "adminPolicyPaths" => {
            draft.tell(
                &src,
                Carried::NotCarried,
                "only the files of the standard place were read; import those of other places with `PATH`",
            );
        }
        "hooks" | "hooksConfig" => {
            draft.tell(&src, Carried::NotCarried, "hooks run programs; look at each and set it up by hand")
        }
        "sandbox" => draft.tell(&src, Carried::Exactly, "commands always run in a sandbox"),
        "autoAccept" => draft.tell(&src, Carried::Exactly, "what only reads runs without a question"),
        "admin" => draft.tell(
            &src,
            Carried::NotCarried,
            "it concerns the agent itself; `requirements.toml` has its own keys for servers and modes",
        ),
        name if GEMINI_ELSEWHERE.contains(&name) => {
            draft.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do");
        }
        _ => draft.tell(&src, Carried::NotCarried, "this key isn't known here"),
    }
    Ok(())
}

fn tools(draft: &mut Draft, servers: &mut Servers, file: &Parsed<'_>, block: &Node) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let key = format!("tools.{name}");
        let src = Src::new(file.name, *line, format!("{key} = {}", node.summary()));
        let decision = match name.as_str() {
            "allowed" => Some(Decision::Allow),
            "confirmationRequired" => Some(Decision::Prompt),
            "exclude" => Some(Decision::Forbidden),
            _ => None,
        };
        match (name.as_str(), decision) {
            (_, Some(decision)) => {
                for (text, src) in srt::texts(node, file.name, &key)? {
                    rules::tool_entry(draft, servers, file.role, text, decision, &src);
                }
            }
            ("core", None) => core(draft, file, node, &src)?,
            ("sandbox", None) => {
                draft.tell(&src, Carried::Exactly, "commands always run in a sandbox; the host's own, not a container")
            }
            ("sandboxAllowedPaths", None) => {
                for (text, src) in srt::texts(node, file.name, &key)? {
                    let found = path::read(text, path::Base::Workspace, false);
                    draft.path(found, crate::draft::Access::Reopen, file.role, &src);
                }
            }
            ("sandboxNetworkAccess", None) if node.as_bool() == Some(true) => {
                draft.tell(
                    &src,
                    Carried::Narrowed,
                    "not every host is opened up; list hosts under `[network.domains]`",
                );
            }
            ("sandboxNetworkAccess", None) => draft.tell(&src, Carried::Exactly, ""),
            ("discoveryCommand" | "callCommand", None) => {
                draft.tell(&src, Carried::NotCarried, "it runs a program; set it up by hand");
            }
            _ => draft.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do"),
        }
    }
    Ok(())
}

/// `tools.core`: the only tools there are.
fn core(draft: &mut Draft, file: &Parsed<'_>, node: &Node, src: &Src) -> Result<(), ImportError> {
    let listed: Vec<(&str, Src)> = srt::texts(node, file.name, "tools.core")?;
    let has = |names: &[&str]| listed.iter().any(|(text, _)| names.contains(&text.trim()));
    if !has(&["run_shell_command", "ShellTool", "*"]) {
        // Other commands than those listed don't exist for the agent; a rule can't say "all but".
        draft.command(Prefix { words: Vec::new(), exact: true }, Decision::Forbidden, file.role, None, src);
    } else {
        draft.tell(src, Carried::Exactly, "commands stay available");
    }
    if !has(&["write_file", "replace", "edit", "WriteFileTool", "EditTool", "*"]) {
        draft.no_edits(src);
    }
    if !has(&["web_fetch", "WebFetchTool", "*"]) {
        draft.forbid_domains(src);
    }
    if !has(&["google_web_search", "WebSearchTool", "*"]) {
        draft.config.set(&[], "web_search", doc::text("disabled"), src);
    }
    Ok(())
}

fn mcp(
    draft: &mut Draft,
    servers: &mut Servers,
    file: &Parsed<'_>,
    name: &str,
    node: &Node,
    src: &Src,
) -> Result<(), ImportError> {
    match name {
        "allowed" => {
            let allowed: BTreeSet<&str> =
                srt::texts(node, file.name, "mcp.allowed")?.into_iter().map(|(text, _)| text).collect();
            for server in servers.names() {
                if !allowed.contains(server.as_str()) {
                    servers.say(&server, None, Say::Off, src);
                }
            }
            draft.tell(src, Carried::Exactly, "the servers that were read and aren't listed are off");
        }
        "excluded" => {
            for (text, src) in srt::texts(node, file.name, "mcp.excluded")? {
                let (carried, why) = match servers.is_known(text) {
                    true => (Carried::Exactly, ""),
                    false => (Carried::NotCarried, "no file that was read defines this server"),
                };
                servers.say(text, None, Say::Off, &src);
                draft.tell(&src, carried, why);
            }
        }
        _ => draft.tell(src, Carried::NotCarried, "it starts a program; set it up by hand"),
    }
    Ok(())
}

fn server(
    servers: &mut Servers,
    draft: &mut Draft,
    file: &Parsed<'_>,
    name: &str,
    node: &Node,
) -> Result<(), ImportError> {
    if let Some(field) = node.field("trust").filter(|field| field.node.as_bool() == Some(true)) {
        let src = Src::new(file.name, field.line, format!("mcpServers.{name}.trust = true"));
        servers.say(name, None, Say::Approve, &src);
        draft.tell(&src, Carried::Narrowed, "a tool that calls itself destructive is asked about all the same");
    }
    for (key, off) in [("includeTools", false), ("excludeTools", true)] {
        let Some(field) = node.field(key) else { continue };
        let listed = srt::texts(&field.node, file.name, &format!("mcpServers.{name}.{key}"))?;
        let src = Src::new(file.name, field.line, format!("mcpServers.{name}.{key}"));
        if off {
            listed.iter().for_each(|(tool, src)| servers.say(name, Some(tool), Say::Off, src));
        } else {
            // `tool(argument)` names the tool; the argument narrows nothing here.
            let tools = listed.iter().map(|(tool, _)| tool.split('(').next().unwrap_or(tool).to_owned()).collect();
            servers.only(name, tools, &src);
        }
        draft.tell(&src, Carried::Exactly, "");
    }
    Ok(())
}

fn security(draft: &mut Draft, file: &Parsed<'_>, block: &Node) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let src = Src::new(file.name, *line, format!("security.{name} = {}", node.summary()));
        let on = node.as_bool() == Some(true);
        match name.as_str() {
            "disableYoloMode" if on && file.role == Role::Managed => {
                for mode in ["read-only", "workspace-write"] {
                    draft.requirements.push(&[], "allowed_sandbox_modes", doc::text(mode), &src);
                }
                for policy in ["untrusted", "on-request", "granular"] {
                    draft.requirements.push(&[], "allowed_approval_policies", doc::text(policy), &src);
                }
                draft.tell(&src, Carried::Narrowed, "full access and `never` can't be chosen");
            }
            "disableYoloMode" if on => {
                draft.tell(
                    &src,
                    Carried::NotCarried,
                    "a user's own file can't bind the user; an administrator's `requirements.toml` can",
                );
            }
            "folderTrust" => {
                let on = node.get("enabled").and_then(Node::as_bool) != Some(false);
                draft.config.set(&[], "require_trust", Value::Bool(true), &src);
                draft.tell(
                    &src,
                    if on { Carried::Exactly } else { Carried::Narrowed },
                    "an unknown project starts read-only",
                );
            }
            "environmentVariableRedaction" => {
                if let Some(blocked) = node.get("blocked") {
                    for (text, src) in srt::texts(blocked, file.name, "security.environmentVariableRedaction.blocked")?
                    {
                        srt::exclude_variable(draft, text, &src);
                    }
                }
                if node.get("allowed").is_some() {
                    draft.tell(
                        &src,
                        Carried::Narrowed,
                        "variables that look like secrets are dropped, also those it lets through",
                    );
                }
            }
            "toolSandboxing" => draft.tell(&src, Carried::Exactly, "commands always run in a sandbox"),
            "disableAlwaysAllow" | "enablePermanentToolApproval" | "autoAddToPolicyByDefault" | "enableConseca" => {
                draft.tell(&src, Carried::NotCarried, "no setting here says this");
            }
            _ => draft.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do"),
        }
    }
    Ok(())
}
