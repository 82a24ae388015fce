//! The policy that an importer gathers from its source, and how it is written down.
//!
//! The draft keeps the law: it lets restrictions win over permissions, and when a restriction over commands can't be said
//! as a rule it drops what might have let such a command through.

use crate::command::{Decision, Prefix};
use crate::doc::{Doc, text};
use crate::node::{Node, Value};
use crate::path::{Place, Read};
use crate::report::{Carried, ReportLine, Src};
use crate::tables::KNOWN_SAFE;
use crate::{Agent, Imported, Role};
use ringfence_model::text::quote;
use std::collections::BTreeMap;

/// The permission profile that importers write.
pub(crate) const PROFILE: &str = "imported";

/// What a profile says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Readable although a wider entry denies it; weaker than every other word about the same place.
    Reopen,
    Write,
    Read,
    Deny,
}

struct Rule {
    words: Vec<String>,
    decision: Decision,
    exact: bool,
    justification: Option<String>,
    src: Src,
}

/// A restriction over commands that no rule can say.
struct Unsayable {
    decision: Decision,
    src: Src,
    why: &'static str,
}

pub(crate) struct Draft {
    agent: Agent,
    pub(crate) config: Doc,
    pub(crate) requirements: Doc,
    rules: Vec<Rule>,
    unsayable: Vec<Unsayable>,
    paths: BTreeMap<Place, (Access, Src)>,
    /// Everything that must not be written, whatever else was said of it.
    unwritable: Vec<(Place, Src)>,
    domains: BTreeMap<String, (bool, Src)>,
    /// A refusal that a domain pattern can't say: nothing may then be allowed.
    no_domains: Option<Src>,
    edits_allowed: Option<Src>,
    edits_held: Option<Src>,
    pub(crate) workspace_write: Option<Src>,
    pub(crate) minimal_reads: Option<Src>,
    pub(crate) network: Option<Src>,
    pub(crate) approval: Option<(&'static str, Src)>,
    report: Vec<ReportLine>,
}

impl Draft {
    pub(crate) fn new(agent: Agent) -> Self {
        Self {
            agent,
            config: Doc::default(),
            requirements: Doc::default(),
            rules: Vec::new(),
            unsayable: Vec::new(),
            paths: BTreeMap::new(),
            unwritable: Vec::new(),
            domains: BTreeMap::new(),
            no_domains: None,
            edits_allowed: None,
            edits_held: None,
            workspace_write: None,
            minimal_reads: None,
            network: None,
            approval: None,
            report: Vec::new(),
        }
    }

    pub(crate) fn tell(&mut self, src: &Src, carried: Carried, why: impl Into<String>) {
        self.report.push(src.line(carried, why));
    }

    /// A rule about a tool that nothing here is like.
    pub(crate) fn other_tool(&mut self, decision: Decision, src: &Src) {
        let why = match decision {
            Decision::Allow => "this tool isn't one that Ringfence decides about; nothing is allowed by it",
            _ => "this tool isn't one that Ringfence decides about; keep the rule in the agent's own settings",
        };
        self.tell(src, Carried::NotCarried, why);
    }

    /// Takes a command pattern. An `allow` that isn't exactly a prefix is left out.
    pub(crate) fn command(
        &mut self,
        found: Prefix,
        decision: Decision,
        role: Role,
        justification: Option<&str>,
        src: &Src,
    ) {
        let Prefix { words, exact } = found;
        if decision == Decision::Allow {
            if words.is_empty() {
                let why = "a rule can't allow every command; commands are asked about";
                return self.tell(src, Carried::Narrowed, why);
            }
            if !exact {
                let why = "a rule allows a command with any further words, which is more than this; it is asked about";
                return self.tell(src, Carried::Narrowed, why);
            }
        } else if words.is_empty() {
            let why = match exact {
                true => "it is about every command; a rule names a program",
                false => "it doesn't begin with a program's name, so no rule catches all of it",
            };
            self.unsayable.push(Unsayable { decision, src: src.clone(), why });
            return;
        } else if role == Role::Managed {
            self.required_rule(&words, decision, justification, src);
        }
        self.rules.push(Rule {
            words,
            decision,
            exact,
            justification: justification.map(str::to_owned),
            src: src.clone(),
        });
    }

    fn required_rule(&mut self, words: &[String], decision: Decision, justification: Option<&str>, src: &Src) {
        let field =
            |name: &str, value: Value| crate::node::Field { name: name.to_owned(), line: 0, node: Node::new(0, value) };
        let pattern =
            words.iter().map(|word| Node::new(0, Value::Table(vec![field("token", text(word.as_str()))]))).collect();
        let mut fields = vec![field("pattern", Value::List(pattern)), field("decision", text(decision.name()))];
        if let Some(justification) = justification.filter(|text| !text.trim().is_empty()) {
            fields.push(field("justification", text(justification)));
        }
        self.requirements.push(&["rules"], "prefix_rules", Value::Table(fields), src);
    }

    /// Takes a path. Of two entries for the same place the stricter stays.
    pub(crate) fn path(&mut self, found: Option<Read>, access: Access, role: Role, src: &Src) {
        let Some(Read { place, glob, exact }) = found else {
            return match access {
                Access::Deny | Access::Read => {
                    self.tell(
                        src,
                        Carried::NotCarried,
                        "no path pattern of a permission profile says this; add it by hand",
                    );
                }
                Access::Reopen | Access::Write => {
                    self.tell(src, Carried::Narrowed, "no path of a permission profile says this; left out");
                }
            };
        };
        if access == Access::Read {
            self.unwritable.push((place.clone(), src.clone()));
        }
        let broad = matches!(&place, Place::Anywhere(path) if path == "/" || path == "~");
        let (access, why, carried) = match access {
            Access::Reopen if self.agent != Agent::Srt && matches!(place, Place::Workspace(_)) => {
                return self.tell(src, Carried::Exactly, "the workspace can be read");
            }
            Access::Reopen | Access::Write if broad => {
                return self.tell(src, Carried::Narrowed, "too broad to open up; name the directories that are needed");
            }
            Access::Reopen | Access::Write if glob || !exact => {
                return self.tell(src, Carried::Narrowed, "a permission profile grants plain paths only; left out");
            }
            Access::Read if glob => {
                (Access::Deny, "a pattern can't be made read-only; it can't be read either", Carried::Narrowed)
            }
            access if exact => (access, "", Carried::Exactly),
            access => (access, "it covers more than the pattern did", Carried::Narrowed),
        };
        // Requirements know no workspace: a name below it is denied below every directory; the whole of it stays a setting.
        if access == Access::Deny && role == Role::Managed && place != Place::Workspace(".".to_owned()) {
            let pattern = match &place {
                Place::Anywhere(text) => text.clone(),
                Place::Workspace(text) => format!("/**/{}", text.trim_start_matches("**/")),
            };
            self.requirements.push(&["permissions", "filesystem"], "deny_read", text(pattern), src);
        }
        let (place, carried, why) = match (place, access) {
            (Place::Anywhere(path), Access::Deny) if path == "/" => {
                // Where nothing opens up again, the workspace goes with the rest; what programs need to start stays.
                let mut why = "the directories of the platform can still be read";
                if self.agent == Agent::Srt {
                    why = "the directories of the platform and the workspace can still be read";
                } else {
                    self.place(Place::Workspace(".".to_owned()), Access::Deny, src);
                }
                (Place::Anywhere(":root".to_owned()), Carried::NotCarried, why)
            }
            (place, _) => (place, carried, why),
        };
        // The whole workspace read-only is what it is without a grant.
        if access == Access::Read && place == Place::Workspace(".".to_owned()) {
            self.no_edits(src);
        } else {
            self.place(place, access, src);
        }
        self.tell(src, carried, why);
    }

    fn place(&mut self, place: Place, access: Access, src: &Src) {
        match self.paths.get(&place) {
            Some((present, _)) if *present >= access => {}
            _ => drop(self.paths.insert(place, (access, src.clone()))),
        }
    }

    /// Takes a domain pattern; a denial wins over a permission of the same pattern.
    pub(crate) fn domain(&mut self, pattern: String, allow: bool, src: &Src) {
        match self.domains.get(&pattern) {
            Some((false, _)) => {}
            _ => drop(self.domains.insert(pattern, (allow, src.clone()))),
        }
    }

    /// Changes of files in the workspace run without a question, unless something holds them.
    pub(crate) fn config_allows_edits(&mut self, src: &Src) {
        self.edits_allowed = Some(src.clone());
    }

    /// Every change of a file is asked about or refused.
    pub(crate) fn no_edits(&mut self, src: &Src) {
        self.edits_held = Some(src.clone());
    }

    /// Nothing may be allowed: a refusal can't be said as a pattern.
    pub(crate) fn forbid_domains(&mut self, src: &Src) {
        self.no_domains = Some(src.clone());
    }

    /// Whether a restriction over commands remains that no rule can say.
    fn settle_commands(&mut self) -> Vec<Rule> {
        let mut rules = std::mem::take(&mut self.rules);
        let unsayable = std::mem::take(&mut self.unsayable);
        if let Some(first) = unsayable.first() {
            self.approval = Some(("untrusted", first.src.clone()));
            let (allows, rest): (Vec<Rule>, Vec<Rule>) =
                rules.into_iter().partition(|rule| rule.decision == Decision::Allow);
            rules = rest;
            for Rule { src, .. } in allows {
                let why = format!("left out: {} might refuse or ask about such a command", first.src.comment());
                self.tell(&src, Carried::Narrowed, why);
            }
            for Unsayable { decision, src, why } in &unsayable {
                match decision {
                    Decision::Prompt => {
                        self.tell(src, Carried::Narrowed, format!("{why}; every command is asked about"));
                    }
                    _ => self.tell(
                        src,
                        Carried::NotCarried,
                        format!("{why}; every command is asked about, none refused"),
                    ),
                }
            }
            // What would run without a question because it only reads is asked about too.
            let strictest = if unsayable
                .iter()
                .any(|one| one.decision == Decision::Forbidden && one.why.starts_with("it is about every"))
            {
                Decision::Forbidden
            } else {
                Decision::Prompt
            };
            for name in KNOWN_SAFE {
                rules.push(Rule {
                    words: vec![(*name).to_owned()],
                    decision: strictest,
                    exact: false,
                    justification: None,
                    src: first.src.clone(),
                });
            }
        }
        for rule in &rules {
            // The names added above have been told of.
            if unsayable.first().is_some_and(|first| first.src == rule.src) {
                continue;
            }
            let (carried, why) = match (rule.exact, rule.decision) {
                (true, _) => (Carried::Exactly, ""),
                (false, Decision::Forbidden) => {
                    (Carried::Narrowed, "the rule refuses every command that begins with these words")
                }
                (false, _) => (Carried::Narrowed, "the rule asks about every command that begins with these words"),
            };
            self.report.push(rule.src.line(carried, why));
        }
        rules
    }

    fn settle_domains(&mut self) {
        if let Some(src) = &self.no_domains {
            let why = format!("left out: {} refuses more than a domain pattern can say", src.comment());
            let allowed = self.domains.values().filter(|(allow, _)| *allow);
            let lines: Vec<ReportLine> = allowed.map(|(_, src)| src.line(Carried::Narrowed, why.clone())).collect();
            self.domains.retain(|_, (allow, _)| !*allow);
            self.report.extend(lines);
        }
        for (pattern, (allow, src)) in &self.domains {
            self.config.set(&["network", "domains"], pattern, text(if *allow { "allow" } else { "deny" }), src);
        }
        let allowed = self.domains.values().find(|(allow, _)| *allow).map(|(_, src)| src.clone());
        if let Some(src) = self.network.clone().or(allowed).filter(|_| self.no_domains.is_none()) {
            self.config.set(&["permissions", PROFILE, "network"], "enabled", Value::Bool(true), &src);
            self.config.set(&["network"], "enabled", Value::Bool(true), &src);
        } else if !self.domains.is_empty() {
            // Without network nothing is reached; should someone turn it on, the denials hold.
            if let Some((_, src)) = self.domains.values().next() {
                self.config.set(&["network"], "enabled", Value::Bool(true), src);
            }
        }
    }

    /// Grants inside what is restricted: a profile lets the most specific entry win, the sources let the restriction win.
    /// Only sandbox-runtime opens up again inside what can't be read.
    fn settle_paths(&mut self) {
        let denied = self.paths.iter().filter(|(_, (access, _))| *access == Access::Deny);
        let denied = denied.map(|(place, (_, src))| (place.clone(), Access::Deny, src.clone()));
        let unwritable = std::mem::take(&mut self.unwritable);
        let unwritable = unwritable.into_iter().map(|(place, src)| (place, Access::Read, src));
        let restrictions: Vec<(Place, Access, Src)> = denied.chain(unwritable).collect();
        let reopens = self.agent == Agent::Srt;
        let mut dropped = Vec::new();
        self.paths.retain(|place, (access, src)| {
            let holder = restrictions.iter().find(|(restricted, how, _)| match (*access, *how) {
                (Access::Write, Access::Read) => restricted.may_cover(place),
                (Access::Write | Access::Reopen, Access::Deny) => !reopens && restricted.may_cover(place),
                _ => false,
            });
            if let Some((_, _, by)) = holder {
                dropped.push(
                    src.line(Carried::Narrowed, format!("left out: it may lie inside what {} restricts", by.comment())),
                );
            }
            holder.is_none()
        });
        // Below the home only a profile can say "read-only", and that also says "readable".
        let denied: Vec<Place> = self
            .paths
            .iter()
            .filter(|(_, (access, _))| *access == Access::Deny)
            .map(|(place, _)| place.clone())
            .collect();
        let granted: Vec<Place> = self
            .paths
            .iter()
            .filter(|(_, (access, _))| *access <= Access::Write)
            .map(|(place, _)| place.clone())
            .collect();
        let minimal = self.minimal_reads.is_some();
        for (place, (access, src)) in &mut self.paths {
            let opens = minimal || denied.iter().any(|by| by.may_cover(place));
            if *access == Access::Read
                && place.is_below_home()
                && opens
                && !granted.iter().any(|grant| grant.surely_covers(place))
            {
                *access = Access::Deny;
                dropped.push(src.line(Carried::Narrowed, "it can't be read either"));
            }
        }
        self.report.extend(dropped);
    }

    fn settle_edits(&mut self) {
        if let Some(src) = self.edits_allowed.clone() {
            if self.edits_held.is_none() {
                self.workspace_write.get_or_insert(src.clone());
            }
            self.tell(
                &src,
                Carried::Narrowed,
                "inside the workspace, where nothing else refuses or asks; elsewhere it is asked about",
            );
        }
        if self.edits_held.is_some() {
            self.workspace_write = None;
            self.paths.retain(|_, (access, _)| *access != Access::Write);
        }
    }

    fn settle_profile(&mut self) {
        let nowhere = Src::new(self.agent.title(), 0, "its default");
        let base = if self.workspace_write.is_some() { ":workspace" } else { ":read-only" };
        let src = self.workspace_write.clone().unwrap_or_else(|| nowhere.clone());
        let profile = ["permissions", PROFILE];
        self.config.set_noted(&[], "default_permissions", text(PROFILE), "the profile below".to_owned());
        self.config.set(&profile, "extends", text(base), &src);
        if let Some(src) = &self.minimal_reads {
            self.config.set(&profile, "read", text("minimal"), src);
        }
        for (place, (access, src)) in &self.paths {
            if *access == Access::Read && !place.is_below_home() {
                self.config.push(&[], "protected_paths", text(place.text()), src);
                continue;
            }
            let access = match access {
                Access::Write => "write",
                Access::Reopen | Access::Read => "read",
                Access::Deny => "deny",
            };
            match place {
                Place::Anywhere(path) => {
                    self.config.set(&["permissions", PROFILE, "filesystem"], path, text(access), src);
                }
                Place::Workspace(path) => {
                    let table = ["permissions", PROFILE, "filesystem", ":workspace_roots"];
                    self.config.set(&table, path, text(access), src);
                }
            }
        }
        let (policy, src) = self.approval.clone().unwrap_or(("untrusted", nowhere));
        match policy {
            "granular" => {
                let table = ["approval_policy", "granular"];
                self.config.set(&table, "sandbox_approval", Value::Bool(false), &src);
                self.config.set(&table, "rules", Value::Bool(true), &src);
                self.config.set(&table, "mcp_elicitations", Value::Bool(true), &src);
            }
            policy => self.config.set(&[], "approval_policy", text(policy), &src),
        }
    }

    /// Writes everything down.
    pub(crate) fn finish(mut self) -> Imported {
        let rules = self.settle_commands();
        self.settle_domains();
        self.settle_edits();
        self.settle_paths();
        self.settle_profile();
        let heading = heading(self.agent);
        let requirements_toml = (!self.requirements.is_empty()).then(|| self.requirements.render(&heading));
        let mut report = self.report;
        report.sort();
        report.dedup();
        Imported {
            config_toml: self.config.render(&heading),
            rules: render_rules(&rules, &heading),
            requirements_toml,
            managed_config_toml: None,
            report,
        }
    }
}

pub(crate) fn heading(agent: Agent) -> Vec<String> {
    vec![
        format!("Brought along from {} by `ringfence import {}`.", agent.title(), agent.name()),
        "Each value says which line it comes from. Nothing here allows more than that line did.".to_owned(),
    ]
}

fn render_rules(rules: &[Rule], heading: &[String]) -> String {
    let mut out = String::new();
    for line in heading {
        out.push_str(&format!("# {line}\n"));
    }
    let mut last: Option<String> = None;
    for Rule { words, decision, justification, src, .. } in rules {
        let comment = src.comment();
        if last.as_ref() != Some(&comment) {
            out.push_str(&format!("\n# {comment}\n"));
            last = Some(comment);
        }
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        out.push_str(&format!("prefix_rule(pattern=[{}], decision={}", words.join(", "), quote(decision.name())));
        if let Some(justification) = justification.as_ref().filter(|text| !text.trim().is_empty()) {
            let plain: String = justification.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            out.push_str(&format!(", justification={}", quote(&plain)));
        }
        out.push_str(")\n");
    }
    out
}
