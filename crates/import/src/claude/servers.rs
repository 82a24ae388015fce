//! MCP servers: definitions of `.mcp.json` and `.claude.json`, and the rules over their tools.

use crate::command::Decision;
use crate::draft::Draft;
use crate::node::{Field, Node, Value};
use crate::report::{Carried, Src};
use crate::{Parsed, Role, doc};
use std::collections::{BTreeMap, BTreeSet};

/// What is said of a tool or a server; the later is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Say {
    Approve,
    Prompt,
    Off,
}

impl From<Decision> for Say {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::Approve,
            Decision::Prompt => Self::Prompt,
            Decision::Forbidden => Self::Off,
        }
    }
}

/// A variable of a server: a value, or `${NAME}`, which stands for the agent's own variable.
fn variable_of(draft: &mut Draft, server: &str, variable: &str, node: &Node, src: &Src) {
    let passed = [format!("${variable}"), format!("${{{variable}}}")];
    match node.as_str() {
        Some(text) if passed.iter().any(|passed| passed == text) => {
            draft.config.push(&["mcp_servers", server], "env_vars", doc::text(variable), src);
        }
        Some(text) if text.contains('$') => {
            draft.tell(
                src,
                Carried::NotCarried,
                "variables inside a value aren't filled in; pass it on with `env_vars`",
            );
        }
        Some(text) => draft.config.set(&["mcp_servers", server, "env"], variable, doc::text(text), src),
        None => draft.tell(src, Carried::NotCarried, "a variable's value is text"),
    }
}

#[derive(Default)]
struct Server {
    said: Option<(Say, Src)>,
    tools: BTreeMap<String, (Say, Src)>,
    only: Option<(BTreeSet<String>, Src)>,
    /// Defined by a project, and not yet accepted by the user.
    pending: Option<Src>,
}

/// Every server that a file defines.
#[derive(Default)]
pub(crate) struct Servers {
    known: BTreeMap<String, Server>,
    all_accepted: bool,
    accepted: BTreeSet<String>,
}

impl Servers {
    /// Takes the definitions of a file.
    pub(crate) fn define(&mut self, draft: &mut Draft, file: &Parsed<'_>) {
        for Field { name, line, node } in file.root.get("mcpServers").map(Node::fields).unwrap_or_default() {
            let src = Src::new(file.name, *line, format!("mcpServers.{name}"));
            if self.server(draft, name, node, file, &src) && file.role == Role::Project {
                self.known.entry(name.clone()).or_default().pending = Some(src);
            }
        }
    }

    fn server(&mut self, draft: &mut Draft, name: &str, node: &Node, file: &Parsed<'_>, src: &Src) -> bool {
        let table = ["mcp_servers", name];
        let url = node.get("httpUrl").or_else(|| node.get("url")).and_then(Node::as_str);
        let command = node.get("command").and_then(Node::as_str);
        if draft.config.has_table(&table) {
            draft.tell(src, Carried::NotCarried, "a server of this name is defined by another file");
            return false;
        }
        match (url, command) {
            (Some(url), _) => draft.config.set(&table, "url", doc::text(url), src),
            (None, Some(command)) => draft.config.set(&table, "command", doc::text(command), src),
            (None, None) => {
                draft.tell(src, Carried::NotCarried, "it has neither a command nor an address");
                return false;
            }
        }
        let program = url.is_none();
        for Field { name: key, line, node } in node.fields() {
            let src = Src::new(file.name, *line, format!("mcpServers.{name}.{key}"));
            match (key.as_str(), &node.value) {
                (
                    "command" | "url" | "httpUrl" | "type" | "description" | "trust" | "includeTools" | "excludeTools",
                    _,
                ) => {}
                ("args", Value::List(items)) if program && items.iter().all(|item| item.as_str().is_some()) => {
                    draft.config.set(&table, "args", node.value.clone(), &src);
                }
                ("env", Value::Table(fields)) if program => {
                    for Field { name: variable, line, node } in fields {
                        let src = Src::new(file.name, *line, format!("mcpServers.{name}.env.{variable}"));
                        variable_of(draft, name, variable, node, &src);
                    }
                }
                ("cwd", Value::Text(text)) if program => {
                    draft.config.set(&table, "cwd", doc::text(text.as_str()), &src)
                }
                ("timeout", Value::Integer(number)) if (1000..=3_600_000).contains(number) => {
                    draft.config.set(&table, "tool_timeout_sec", Value::Integer(number / 1000), &src);
                }
                _ => draft.tell(&src, Carried::NotCarried, "no key of `[mcp_servers]` says this"),
            }
        }
        draft.tell(
            src,
            Carried::Narrowed,
            "the server runs in its own sandbox, read-only and without network unless `sandbox` says more",
        );
        self.known.entry(name.to_owned()).or_default();
        true
    }

    /// The servers' names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.known.keys().cloned().collect()
    }

    /// Whether a file defines it.
    pub(crate) fn is_known(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Says something of a server, or of one of its tools. The strictest stays.
    pub(crate) fn say(&mut self, name: &str, tool: Option<&str>, say: Say, src: &Src) {
        let Some(server) = self.known.get_mut(name) else { return };
        match tool {
            None => {
                if server.said.as_ref().is_none_or(|(present, _)| *present < say) {
                    server.said = Some((say, src.clone()));
                }
            }
            Some(tool) => match server.tools.get(tool) {
                Some((present, _)) if *present >= say => {}
                _ => drop(server.tools.insert(tool.to_owned(), (say, src.clone()))),
            },
        }
    }

    /// Only these tools are offered.
    pub(crate) fn only(&mut self, name: &str, tools: BTreeSet<String>, src: &Src) {
        if let Some(server) = self.known.get_mut(name) {
            server.only = Some((tools, src.clone()));
        }
    }

    /// A rule of Claude Code: `mcp__server`, `mcp__server__*`, `mcp__server__tool`.
    pub(super) fn rule(&mut self, draft: &mut Draft, text: &str, say: Say, src: &Src) {
        let rest = text.strip_prefix("mcp__").unwrap_or(text);
        let (name, tool) = match rest.split_once("__") {
            Some((name, tool)) => (name, Some(tool)),
            None => (rest, None),
        };
        if name.is_empty() || name.contains('*') {
            let names = self.names();
            if say == Say::Approve {
                return draft.tell(
                    src,
                    Carried::Narrowed,
                    "a pattern of servers can't be approved; their tools are asked about",
                );
            }
            names.iter().for_each(|name| self.say(name, None, say, src));
            return draft.tell(src, Carried::Narrowed, "it holds for every server that is defined");
        }
        if !self.is_known(name) {
            let why = "no file that was read defines this server; Ringfence runs only servers that it knows";
            return draft.tell(src, if say == Say::Approve { Carried::Narrowed } else { Carried::NotCarried }, why);
        }
        match tool {
            None | Some("*") => {
                self.say(name, None, say, src);
                draft.tell(src, Carried::Exactly, "a tool that calls itself destructive is asked about all the same");
            }
            Some(tool) if tool.contains('*') => {
                if say == Say::Approve {
                    return draft.tell(
                        src,
                        Carried::Narrowed,
                        "a pattern of tools can't be approved; they are asked about",
                    );
                }
                self.say(name, None, say, src);
                draft.tell(src, Carried::Narrowed, "it holds for every tool of the server");
            }
            Some(tool) => {
                self.say(name, Some(tool), say, src);
                let why = if say == Say::Approve {
                    "a tool that calls itself destructive is asked about all the same"
                } else {
                    ""
                };
                draft.tell(src, if say == Say::Approve { Carried::Narrowed } else { Carried::Exactly }, why);
            }
        }
    }

    /// `allowedMcpServers` of an administrator.
    pub(super) fn allow_list(&mut self, draft: &mut Draft, file: &Parsed<'_>, node: &Node, src: &Src) {
        if file.role != Role::Managed {
            return draft.tell(src, Carried::NotCarried, "only an administrator's list of servers binds");
        }
        draft.requirements.table(&["mcp_servers"]);
        let mut identified = false;
        for item in node.as_list().unwrap_or(&[]) {
            let shown = item.get("serverName").and_then(Node::as_str).unwrap_or("a server without a name");
            let src = Src::new(file.name, item.line, format!("allowedMcpServers {shown}"));
            let name = item.get("serverName").and_then(Node::as_str).filter(|name| self.is_known(name));
            let field =
                |key: &str| name.and_then(|name| draft.config.text_at(&["mcp_servers", name], key)).map(str::to_owned);
            match (name, field("command"), field("url")) {
                (Some(name), Some(command), _) => {
                    draft.requirements.set(&["mcp_servers", name, "identity"], "command", doc::text(command), &src);
                    draft.tell(&src, Carried::Narrowed, "the name and the command that it has in the files read");
                    identified = true;
                }
                (Some(name), None, Some(url)) => {
                    draft.requirements.set(&["mcp_servers", name, "identity"], "url", doc::text(url), &src);
                    draft.tell(&src, Carried::Narrowed, "the name and the address that it has in the files read");
                    identified = true;
                }
                _ => {
                    let why =
                        "a server is known by name and command or address; add it under `[mcp_servers.NAME.identity]`";
                    draft.tell(&src, Carried::Narrowed, why);
                }
            }
        }
        draft.tell(src, Carried::Narrowed, if identified { "no other server runs" } else { "no server runs" });
    }

    /// `deniedMcpServers`.
    pub(super) fn deny_list(&mut self, draft: &mut Draft, file: &Parsed<'_>, node: &Node) {
        for item in node.as_list().unwrap_or(&[]) {
            let name = item.get("serverName").and_then(Node::as_str);
            let src = Src::new(file.name, item.line, format!("deniedMcpServers {}", name.unwrap_or("without a name")));
            match name.filter(|name| self.is_known(name)) {
                Some(name) => {
                    self.say(name, None, Say::Off, &src);
                    draft.tell(&src, Carried::Exactly, "");
                }
                None => draft.tell(&src, Carried::NotCarried, "no file that was read defines such a server"),
            }
        }
    }

    /// What the user said about a project's servers.
    pub(super) fn project_choice(&mut self, key: &str, node: &Node, src: &Src) {
        let names = node.as_list().unwrap_or(&[]).iter().filter_map(Node::as_str);
        match key {
            "enableAllProjectMcpServers" => self.all_accepted |= node.as_bool() == Some(true),
            "enabledMcpjsonServers" => self.accepted.extend(names.map(str::to_owned)),
            _ => {
                let names: Vec<&str> = names.collect();
                names.iter().for_each(|name| self.say(name, None, Say::Off, src));
            }
        }
    }

    /// Writes down what was said.
    pub(crate) fn settle(self, draft: &mut Draft) {
        for (name, server) in self.known {
            let Server { said, tools, only, pending } = server;
            let table = ["mcp_servers", name.as_str()];
            if let Some(src) = pending.filter(|_| !self.all_accepted && !self.accepted.contains(&name)) {
                draft.config.set(&table, "enabled", Value::Bool(false), &src);
                draft.tell(&src, Carried::Exactly, "a project's server that the user hasn't accepted is off");
            }
            match &said {
                Some((Say::Off, src)) => draft.config.set(&table, "enabled", Value::Bool(false), src),
                Some((Say::Prompt, src)) => {
                    draft.config.set(&table, "default_tools_approval_mode", doc::text("prompt"), src)
                }
                Some((Say::Approve, src)) => {
                    draft.config.set(&table, "default_tools_approval_mode", doc::text("approve"), src)
                }
                None => {}
            }
            if let Some((tools, src)) = only {
                let tools = tools.into_iter().map(|tool| Node::text(0, tool)).collect();
                draft.config.set(&table, "enabled_tools", Value::List(tools), &src);
            }
            let server_asks = said.as_ref().is_some_and(|(say, _)| *say >= Say::Prompt);
            for (tool, (say, src)) in tools {
                let below = ["mcp_servers", name.as_str(), "tools", tool.as_str()];
                match say {
                    Say::Off => draft.config.push(&table, "disabled_tools", doc::text(tool.as_str()), &src),
                    Say::Prompt => draft.config.set(&below, "approval_mode", doc::text("prompt"), &src),
                    Say::Approve if server_asks => {
                        draft.tell(&src, Carried::Narrowed, "left out; a rule about the whole server asks or refuses");
                    }
                    Say::Approve => draft.config.set(&below, "approval_mode", doc::text("approve"), &src),
                }
            }
        }
    }
}
