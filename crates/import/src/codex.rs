//! Codex: `config.toml`, `NAME.config.toml`, `rules/*.rules`, and an administrator's `config.toml`, `managed_config.toml` and
//! `requirements.toml`.
//!
//! The formats are the same, so values are copied key by key; what isn't in the tables of the same meaning is left out and
//! reported. A user's value takes the place of the system's, as it does for Codex.

use crate::doc::{self, Doc};
use crate::draft::heading;
use crate::node::{Field, Node, Value};
use crate::report::{Carried, ReportLine, Src};
use crate::tables::{CODEX_ELSEWHERE, CODEX_REQUIREMENTS, CODEX_SAME, leads_to, matches};
use crate::{Agent, ImportError, Imported, Input, Role, parse};

pub(crate) fn import(files: &[&Input]) -> Result<Imported, ImportError> {
    let mut copy = Copy::default();
    let mut rules = String::new();
    for line in heading(Agent::Codex) {
        rules.push_str(&format!("# {line}\n"));
    }
    for input in files {
        if input.name.ends_with(".rules") {
            crate::node::check_size(&input.text).map_err(|error| ImportError::Parse {
                file: input.name.clone(),
                line: error.line,
                column: error.column,
                why: error.why,
            })?;
            let src = Src::new(&input.name, 0, "rules");
            rules.push_str(&format!("\n# {}\n{}\n", src.comment(), input.text.trim_end()));
            copy.report.push(
                src.line(Carried::Exactly, "the language is the same; `ringfence rules check` runs the examples"),
            );
            continue;
        }
        let file = parse(input)?;
        let base = input.name.rsplit('/').next().unwrap_or(&input.name);
        match (base, input.role) {
            ("requirements.toml", _) => copy.requirements(file.name, &file.root),
            (_, Role::ManagedDefaults) => copy.managed(file.name, &file.root),
            (name, Role::Profile) => {
                let profile = name.strip_suffix(".config.toml").unwrap_or(name).to_owned();
                copy.profile(file.name, &profile, &file.root);
            }
            _ => copy.settings(file.name, &file.root, &mut Vec::new(), Target::Config),
        }
    }
    copy.defaults();
    let heading = heading(Agent::Codex);
    let mut report = copy.report;
    report.sort();
    report.dedup();
    Ok(Imported {
        config_toml: copy.config.render(&heading),
        rules,
        requirements_toml: (!copy.requirements.is_empty()).then(|| copy.requirements.render(&heading)),
        managed_config_toml: (!copy.managed.is_empty()).then(|| copy.managed.render(&heading)),
        report,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Config,
    Managed,
}

#[derive(Default)]
struct Copy {
    config: Doc,
    managed: Doc,
    requirements: Doc,
    report: Vec<ReportLine>,
}

impl Copy {
    fn tell(&mut self, src: &Src, carried: Carried, why: &str) {
        self.report.push(src.line(carried, why));
    }

    fn doc(&mut self, target: Target) -> &mut Doc {
        match target {
            Target::Config => &mut self.config,
            Target::Managed => &mut self.managed,
        }
    }

    /// Copies what is below `path`; the first names of `path` may be `profiles` and a name.
    fn settings(&mut self, file: &str, table: &Node, path: &mut Vec<String>, target: Target) {
        for Field { name, line, node } in table.fields() {
            path.push(name.clone());
            self.setting(file, *line, node, path, target);
            path.pop();
        }
    }

    fn setting(&mut self, file: &str, line: u32, node: &Node, path: &mut Vec<String>, target: Target) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let shown = names.iter().map(|name| doc::key(name)).collect::<Vec<_>>().join(".");
        // Values of these tables may be secrets.
        let secret = names.iter().any(|name| matches!(*name, "env" | "set" | "headers"));
        let what = if secret || node.is_table() { shown } else { format!("{shown} = {}", node.summary()) };
        let src = Src::new(file, line, what);
        let inner = match names.as_slice() {
            ["profiles", _, rest @ ..] => rest,
            all => all,
        };
        match inner {
            [] | ["profiles"] if node.is_table() => {
                // A profile that holds nothing of ours is a profile all the same: `profile` may name it.
                if let ["profiles", _] = names.as_slice() {
                    self.doc(target).table(&names);
                }
                return self.settings(file, node, path, target);
            }
            ["approval_policy", ..] | ["sandbox_mode"] if !known_choice(inner, node) => {
                return self.tell(
                    &src,
                    Carried::NotCarried,
                    "this value isn't known here; what is asked about is the default",
                );
            }
            ["approvals_reviewer"] if !matches!(node.as_str(), Some("user" | "auto_review")) => {
                return self.tell(
                    &src,
                    Carried::Narrowed,
                    "another reviewer answers for no one here; the user is asked",
                );
            }
            ["mcp_servers", _, "startup_timeout_ms"] => {
                return self.tell(&src, Carried::NotCarried, "write it as `startup_timeout_sec`");
            }
            ["mcp_servers", _, "default_tools_approval_mode"] | ["mcp_servers", _, "tools", _, "approval_mode"]
                if !matches!(node.as_str(), Some("auto" | "prompt" | "approve")) =>
            {
                return self.tell(&src, Carried::Narrowed, "this mode isn't known here; the tool is asked about");
            }
            ["otel", key] if key.ends_with("exporter") && matches!(node.as_str(), Some("statsig")) => {
                return self.tell(&src, Carried::Narrowed, "this exporter isn't known here; nothing is sent");
            }
            _ => {}
        }
        if matches(CODEX_SAME, inner) && node.value != Value::Null {
            let (key, table) = names.split_last().map_or(("", &[][..]), |(key, table)| (*key, table));
            let value = node.value.clone();
            let (table, key): (Vec<String>, String) =
                (table.iter().map(|name| (*name).to_owned()).collect(), key.to_owned());
            let table: Vec<&str> = table.iter().map(String::as_str).collect();
            self.doc(target).set(&table, &key, value, &src);
            let (carried, why) = remark(inner);
            return self.tell(&src, carried, why);
        }
        if leads_to(CODEX_SAME, inner) && node.is_table() {
            return self.settings(file, node, path, target);
        }
        match inner {
            ["notify" | "hooks", ..] => {
                self.tell(&src, Carried::NotCarried, "it runs programs; look at each and set it up by hand")
            }
            ["features", ..] => self.tell(&src, Carried::NotCarried, "a switch of the agent's own"),
            ["mcp_servers", ..] => self.tell(&src, Carried::NotCarried, "no key of `[mcp_servers]` says this"),
            [first, ..] if CODEX_ELSEWHERE.contains(first) => {
                self.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do");
            }
            _ => self.tell(&src, Carried::NotCarried, "this key isn't known here"),
        }
    }

    /// `NAME.config.toml` becomes `[profiles.NAME]`.
    fn profile(&mut self, file: &str, name: &str, root: &Node) {
        let table = ["profiles", name];
        if self.config.has_table(&table) {
            let src = Src::new(file, 0, format!("the profile `{name}`"));
            return self.tell(
                &src,
                Carried::NotCarried,
                "`[profiles]` has one of this name; both forms at once are an error",
            );
        }
        self.config.table(&table);
        self.settings(file, root, &mut vec!["profiles".to_owned(), name.to_owned()], Target::Config);
    }

    fn managed(&mut self, file: &str, root: &Node) {
        self.settings(file, root, &mut Vec::new(), Target::Managed);
    }

    fn requirements(&mut self, file: &str, root: &Node) {
        let mut path = Vec::new();
        self.requirement_table(file, root, &mut path);
    }

    fn requirement_table(&mut self, file: &str, table: &Node, path: &mut Vec<String>) {
        for Field { name, line, node } in table.fields() {
            path.push(name.clone());
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let shown = names.join(".");
            let what = if node.is_table() { shown } else { format!("{shown} = {}", node.summary()) };
            let src = Src::new(file, *line, what);
            if matches(CODEX_REQUIREMENTS, &names) {
                self.requirement(file, node, path, &src);
            } else if leads_to(CODEX_REQUIREMENTS, &names) && node.is_table() {
                self.requirement_table(file, node, path);
            } else if names.first().is_some_and(|first| CODEX_ELSEWHERE.contains(first)) {
                self.tell(&src, Carried::NotCarried, "it concerns the agent itself, not what it may do");
            } else {
                self.tell(
                    &src,
                    Carried::NotCarried,
                    "this constraint isn't known here; keep it in the agent's own file",
                );
            }
            path.pop();
        }
    }

    fn requirement(&mut self, file: &str, node: &Node, path: &mut Vec<String>, src: &Src) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let allowed: &[&str] = match names.as_slice() {
            ["allowed_sandbox_modes"] => &["read-only", "workspace-write", "danger-full-access"],
            ["allowed_approval_policies"] => &["untrusted", "on-request", "on-failure", "never", "granular", "reject"],
            ["allowed_web_search_modes"] => &["disabled", "cached", "indexed", "live"],
            ["allowed_approvals_reviewers"] => &["user", "auto_review", "program"],
            _ => &[],
        };
        let mut value = node.value.clone();
        let mut narrowed = "";
        if let (Value::List(items), false) = (&mut value, allowed.is_empty()) {
            let before = items.len();
            items.retain(|item| item.as_str().is_some_and(|text| allowed.contains(&text)));
            if items.len() < before {
                narrowed = "values that aren't known here are left out of the list";
            }
            // An empty list of these is an error; where every value was unknown, the strictest remains.
            if items.is_empty() && names != ["allowed_web_search_modes"] {
                items.push(Node::text(0, allowed.first().copied().unwrap_or_default()));
                narrowed = "no value of the list is known here; the strictest is allowed";
            }
            if names == ["allowed_sandbox_modes"] && !items.iter().any(|item| item.as_str() == Some("read-only")) {
                items.insert(0, Node::text(0, "read-only"));
            }
        }
        if let (Value::Table(fields), ["mcp_servers"] | ["features"]) = (&node.value, names.as_slice()) {
            self.requirements.table(&names);
            if fields.is_empty() {
                return self.tell(src, Carried::Exactly, "");
            }
        }
        if node.is_table() {
            for Field { name, line, node } in node.fields() {
                path.push(name.clone());
                let below = Src::new(file, *line, format!("{}.{name}", src.what));
                self.requirement(file, node, path, &below);
                path.pop();
            }
            return;
        }
        let unused =
            ["http_port", "socks_port", "admin_url", "proxy_url", "socks_url", "dangerously_allow_all_unix_sockets"];
        match names.as_slice() {
            ["experimental_network" | "network", key] if unused.contains(key) => {
                return self.tell(src, Carried::Narrowed, "no requirement here says this");
            }
            _ => {}
        }
        let Some((key, table)) = names.split_last() else { return };
        let (table, key): (Vec<&str>, &str) = (table.to_vec(), key);
        self.requirements.set(&table, key, value, src);
        let (carried, why) = if narrowed.is_empty() { (Carried::Exactly, "") } else { (Carried::Narrowed, narrowed) };
        self.tell(src, carried, why);
    }

    /// What Codex does where nothing is set, and Ringfence would do more freely.
    fn defaults(&mut self) {
        let src = Src::new("Codex", 0, "a project that nobody has trusted yet");
        self.config.set(&[], "require_trust", Value::Bool(true), &src);
        self.tell(&src, Carried::Exactly, "starts read-only, as with Codex");
    }
}

fn known_choice(path: &[&str], node: &Node) -> bool {
    match (path, &node.value) {
        (["sandbox_mode"], Value::Text(text)) => {
            matches!(text.as_str(), "read-only" | "workspace-write" | "danger-full-access")
        }
        (["approval_policy"], Value::Text(text)) => {
            matches!(text.as_str(), "untrusted" | "on-request" | "on-failure" | "never")
        }
        (["approval_policy", ..], Value::Table(fields)) => {
            fields.iter().all(|field| matches!(field.name.as_str(), "reject" | "granular")) || path.len() > 1
        }
        (["approval_policy", _, ..], Value::Bool(_)) => true,
        _ => false,
    }
}

/// What to know about a key although it is copied as it stands.
fn remark(path: &[&str]) -> (Carried, &'static str) {
    match path {
        ["mcp_servers", _, "command" | "url"] => (
            Carried::Narrowed,
            "the server runs in its own sandbox, read-only and without network unless `sandbox` says more",
        ),
        ["projects", ..] => (Carried::Exactly, "the project's own `.ringfence/` is read then"),
        _ => (Carried::Exactly, ""),
    }
}
