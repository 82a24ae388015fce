//! Claude Code: `settings.json`, `settings.local.json`, `managed-settings.json`, `.mcp.json`.
//!
//! Its world: a tool call is refused by a `deny` rule, else asked about by an `ask` rule, else let through by an `allow` rule,
//! else decided by the mode, which asks about commands, edits and reads outside the workspace. Rules of all files count
//! together. With its sandbox on, commands run inside it without a question unless told otherwise.

mod rules;
pub(crate) mod servers;

use crate::draft::Draft;
use crate::node::{Field, Node, Value};
use crate::path::Base;
use crate::report::{Carried, Src};
use crate::tables::CLAUDE_ELSEWHERE;
use crate::{Agent, ImportError, Parsed, Role, doc, srt};
use servers::Servers;

/// What all files together say about asking.
#[derive(Default)]
struct Stance {
    mode: Option<(String, Src)>,
    sandboxed: Option<(bool, Src)>,
    unasked_in_sandbox: Option<(bool, Src)>,
    may_leave_sandbox: Option<(bool, Src)>,
    no_bypass: Option<Src>,
}

pub(crate) fn import(files: &[Parsed<'_>]) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Agent::ClaudeCode);
    let mut stance = Stance::default();
    let mut servers = Servers::default();
    // Definitions first: rules about a server need to know it.
    for file in files {
        servers.define(&mut draft, file);
    }
    for file in files.iter().filter(|file| !file.name.ends_with("mcp.json") && !file.name.ends_with(".claude.json")) {
        for field in file.root.fields() {
            setting(&mut draft, &mut stance, &mut servers, file, field)?;
        }
    }
    settle(&mut draft, &stance);
    servers.settle(&mut draft);
    Ok(draft)
}

fn setting(
    draft: &mut Draft,
    stance: &mut Stance,
    servers: &mut Servers,
    file: &Parsed<'_>,
    Field { name, line, node }: &Field,
) -> Result<(), ImportError> {
    let src = Src::new(file.name, *line, format!("{name} = {}", node.summary()));
    let managed = file.role == Role::Managed;
    match name.as_str() {
        "permissions" => permissions(draft, stance, servers, file, node)?,
        "sandbox" => sandbox(draft, stance, file, node)?,
        "env" => environment(draft, file, node),
        "hooks" => draft.tell(&src, Carried::NotCarried, "hooks run programs; look at each and set it up by hand"),
        "allowManagedHooksOnly" if managed && node.as_bool() == Some(true) => {
            draft.requirements.set(&[], "allow_managed_hooks_only", Value::Bool(true), &src);
            draft.tell(&src, Carried::Exactly, "");
        }
        "disableAllHooks" if node.as_bool() == Some(true) => {
            draft.tell(&src, Carried::Exactly, "no hook is brought along");
        }
        "allowManagedPermissionRulesOnly" => {
            let why = "a user's own `allow` rules still count; `rules.prefix_rules` of requirements bind them";
            draft.tell(&src, Carried::NotCarried, why);
        }
        "allowedMcpServers" => servers.allow_list(draft, file, node, &src),
        "deniedMcpServers" => servers.deny_list(draft, file, node),
        "enabledMcpjsonServers" | "disabledMcpjsonServers" | "enableAllProjectMcpServers" => {
            servers.project_choice(name, node, &src);
        }
        name if CLAUDE_ELSEWHERE.contains(&name) => {
            draft.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do");
        }
        _ => draft.tell(&src, Carried::NotCarried, "this key isn't known here"),
    }
    Ok(())
}

fn permissions(
    draft: &mut Draft,
    stance: &mut Stance,
    servers: &mut Servers,
    file: &Parsed<'_>,
    block: &Node,
) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let key = format!("permissions.{name}");
        let src = Src::new(file.name, *line, format!("{key} = {}", node.summary()));
        match name.as_str() {
            "allow" | "ask" | "deny" => rules::read(draft, servers, file, node, name)?,
            "defaultMode" => {
                let mode = node.as_str().ok_or_else(|| ImportError::Type {
                    file: file.name.to_owned(),
                    line: *line,
                    key,
                    expected: "the name of a mode",
                })?;
                stance.mode = Some((mode.to_owned(), src));
            }
            "disableBypassPermissionsMode" => stance.no_bypass = Some(src).filter(|_| file.role == Role::Managed),
            "additionalDirectories" => {
                for (text, src) in srt::texts(node, file.name, &key)? {
                    rules::directory(draft, file, text, &src);
                }
            }
            _ => draft.tell(&src, Carried::NotCarried, "this key isn't known here"),
        }
    }
    Ok(())
}

/// Paths of the `sandbox` block are relative to the project, or for a user's settings to `~/.claude`.
fn base(role: Role) -> Base<'static> {
    if role == Role::User { Base::Home(".claude") } else { Base::Workspace }
}

fn sandbox(draft: &mut Draft, stance: &mut Stance, file: &Parsed<'_>, block: &Node) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let src = Src::new(file.name, *line, format!("sandbox.{name} = {}", node.summary()));
        let flag = node.as_bool();
        match name.as_str() {
            "enabled" => stance.sandboxed = Some((flag == Some(true), src)),
            "autoAllowBashIfSandboxed" => stance.unasked_in_sandbox = Some((flag != Some(false), src)),
            "allowUnsandboxedCommands" => stance.may_leave_sandbox = Some((flag != Some(false), src)),
            "failIfUnavailable" => draft.tell(&src, Carried::Exactly, "without a sandbox nothing runs"),
            "excludedCommands" => {
                for (_, src) in srt::texts(node, file.name, "sandbox.excludedCommands")? {
                    draft.tell(
                        &src,
                        Carried::Narrowed,
                        "it runs inside the sandbox like every command; leaving it is asked about",
                    );
                }
            }
            "network" => {
                srt::network(draft, file.name, node, "sandbox.network")?;
                managed_domains(draft, file, node);
            }
            "filesystem" => srt::filesystem(draft, file.name, file.role, node, base(file.role), "sandbox.filesystem")?,
            "credentials" => srt::credentials(draft, file.name, file.role, node, base(file.role))?,
            "ignoreViolations" => draft.tell(&src, Carried::Narrowed, "denials are always shown; this hid some"),
            _ => draft.tell(&src, Carried::Narrowed, "left out; what it opens or redirects stays as it is without it"),
        }
    }
    Ok(())
}

/// An administrator's domains bind everybody.
fn managed_domains(draft: &mut Draft, file: &Parsed<'_>, block: &Node) {
    let only = block.field("allowManagedDomainsOnly").filter(|field| field.node.as_bool() == Some(true));
    if file.role != Role::Managed {
        return;
    }
    let table = ["experimental_network"];
    if let Some(field) = only {
        let src = Src::new(file.name, field.line, "sandbox.network.allowManagedDomainsOnly = true");
        draft.requirements.set(&table, "enabled", Value::Bool(true), &src);
        draft.requirements.set(&table, "managed_allowed_domains_only", Value::Bool(true), &src);
        draft.tell(&src, Carried::Exactly, "");
    }
    for (key, decision) in [("allowedDomains", "allow"), ("deniedDomains", "deny")] {
        for item in block.get(key).and_then(Node::as_list).unwrap_or(&[]) {
            let pattern = item.as_str().and_then(srt::domain);
            if let Some(pattern) = pattern.filter(|_| decision == "deny" || only.is_some()) {
                let src = Src::new(file.name, item.line, format!("sandbox.network.{key} {}", item.summary()));
                let pattern =
                    if decision == "deny" && !pattern.contains(':') { format!("{pattern}:*") } else { pattern };
                draft.requirements.set(&["experimental_network", "domains"], &pattern, doc::text(decision), &src);
            }
        }
    }
}

fn environment(draft: &mut Draft, file: &Parsed<'_>, block: &Node) {
    for Field { name, line, node } in block.fields() {
        // The value may be a secret; the report names the variable only.
        let src = Src::new(file.name, *line, format!("env.{name}"));
        match &node.value {
            _ if ["CLAUDE_", "ANTHROPIC_", "DISABLE_", "MCP_", "MAX_", "BASH_"]
                .iter()
                .any(|own| name.starts_with(own)) =>
            {
                draft.tell(&src, Carried::NotCarried, "it concerns the agent itself");
            }
            Value::Text(value) if !name.is_empty() && !name.contains('=') => {
                draft.config.set(&["shell_environment_policy", "set"], name, doc::text(value.as_str()), &src);
                draft.tell(&src, Carried::Exactly, "");
            }
            _ => draft.tell(&src, Carried::NotCarried, "a variable's value is text"),
        }
    }
}

/// From mode and sandbox to sandbox mode and approval policy.
fn settle(draft: &mut Draft, stance: &Stance) {
    let default = ("default".to_owned(), Src::new("Claude Code", 0, "permissions.defaultMode, where it isn't set"));
    let (mode, mode_src) = stance.mode.clone().unwrap_or(default);
    let sandbox_on = stance.sandboxed.as_ref().is_some_and(|(on, _)| *on);
    let unasked = sandbox_on && stance.unasked_in_sandbox.as_ref().is_none_or(|(unasked, _)| *unasked);
    let nowhere = Src::new("Claude Code", 0, "sandbox.enabled, where it isn't set");
    let (_, sandbox_src) = stance.sandboxed.clone().unwrap_or((false, nowhere));
    if sandbox_on {
        draft.config.set(&["rules"], "allow_runs", doc::text("sandboxed"), &sandbox_src);
    } else {
        draft.minimal_reads = Some(Src::new("Claude Code", 0, "reading outside the workspace asks"));
        let why = "only the workspace and the platform's directories can be read without asking; name more of them under \
                   `[permissions.imported.filesystem]` as \"read\", or remove `read = \"minimal\"`";
        draft.tell(&Src::new("Claude Code", 0, "reads"), Carried::Narrowed, why);
    }
    draft.approval = Some(("untrusted", mode_src.clone()));
    match mode.as_str() {
        "plan" if stance.sandboxed.is_none() || !unasked => {
            draft.tell(
                &mode_src,
                Carried::NotCarried,
                "plan mode refuses edits; under `untrusted` with `:read-only` they are asked about",
            );
        }
        _ if unasked && mode != "plan" && mode != "dontAsk" => {
            draft.approval = Some(("on-request", sandbox_src.clone()));
            draft.workspace_write = Some(sandbox_src.clone());
            let why = "commands run inside the sandbox without a question, and so do file changes inside the workspace, which \
                       such commands could make before";
            draft.tell(&sandbox_src, Carried::Exactly, why);
        }
        "default" => {
            draft.tell(&mode_src, Carried::Narrowed, "commands and edits are asked about; a command that was approved still can't write to the workspace until `extends` is `:workspace`");
        }
        "acceptEdits" => {
            draft.workspace_write = Some(mode_src.clone());
            draft.tell(&mode_src, Carried::Exactly, "edits in the workspace run, commands are asked about");
        }
        "bypassPermissions" => {
            draft.tell(&mode_src, Carried::Narrowed, "an import never turns questions off; `--yolo` does, for one run");
        }
        "dontAsk" => {
            draft.tell(
                &mode_src,
                Carried::NotCarried,
                "what isn't allowed was refused and is now asked about; without a terminal it is refused",
            );
        }
        "auto" => draft.tell(&mode_src, Carried::Narrowed, "what a classifier decided is asked about"),
        _ => draft.tell(&mode_src, Carried::NotCarried, "what isn't allowed is asked about"),
    }
    if let Some((false, src)) = &stance.may_leave_sandbox {
        if draft.approval.as_ref().is_some_and(|(policy, _)| *policy == "on-request") {
            draft.approval = Some(("granular", src.clone()));
            draft.tell(
                src,
                Carried::Narrowed,
                "leaving the sandbox is refused, and so is writing outside the workspace",
            );
        } else {
            draft.tell(src, Carried::NotCarried, "leaving the sandbox is asked about");
        }
    }
    if let Some(src) = &stance.no_bypass {
        for mode in ["read-only", "workspace-write"] {
            draft.requirements.push(&[], "allowed_sandbox_modes", doc::text(mode), src);
        }
        for policy in ["untrusted", "on-request", "granular"] {
            draft.requirements.push(&[], "allowed_approval_policies", doc::text(policy), src);
        }
        draft.tell(src, Carried::Narrowed, "full access and `never` can't be chosen");
    }
}
