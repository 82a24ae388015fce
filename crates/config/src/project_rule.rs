//! What a project's layer may say: it tightens, it never loosens or redirects.

use crate::node::{Node, Table, Value, at, path_text};
use crate::order;
use crate::registry::{self, Found, Key, Order, ProjectRule};
use ringfence_model::notice::Notice;
use ringfence_model::origin::Sourced;
use std::cmp::Ordering;

/// Removes from a project's layer what it may not say, with one notice each. `lower` is what the layers below say, with
/// the defaults that depend filled in; `allowed` is what the user's own entry for this project lets it override.
pub fn restrict(project: &mut Table, lower: &Table, allowed: &[Sourced<String>]) -> Vec<Notice> {
    let mut rule = Rule { lower, allowed, notices: Vec::new() };
    rule.section(project, &mut Vec::new());
    rule.notices
}

struct Rule<'r> {
    lower: &'r Table,
    allowed: &'r [Sourced<String>],
    notices: Vec<Notice>,
}

impl Rule<'_> {
    fn section(&mut self, table: &mut Table, path: &mut Vec<String>) {
        table.retain(|name, node| {
            path.push(name.clone());
            let keep = self.entry(node, path);
            path.pop();
            keep
        });
    }

    fn entry(&mut self, node: &mut Node, path: &mut Vec<String>) -> bool {
        if self.overridden(path) {
            return true;
        }
        match registry::find(path) {
            Found::Section => match &mut node.value {
                Value::Table(inner) => {
                    self.section(inner, path);
                    true
                }
                _ => false,
            },
            Found::Key(key) | Found::Both(key) => match key.project {
                ProjectRule::Free => true,
                ProjectRule::Ignored => self.refuse(node, path, "a project can't set it"),
                ProjectRule::Tighten if key.order == Order::Denials => self.denials(node, path),
                ProjectRule::Tighten => self.tighten(key, node, path),
            },
            Found::Unknown => self.refuse(node, path, "a project can't set it"),
        }
    }

    fn overridden(&self, path: &[String]) -> bool {
        let text = path_text(path);
        self.allowed.iter().any(|entry| {
            text == entry.value || text.strip_prefix(&entry.value).is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn tighten(&mut self, key: &Key, node: &Node, path: &[String]) -> bool {
        let lower = at(self.lower, path);
        match order::compare(key, Some(&node.value), lower.map(|node| &node.value)) {
            Some(Ordering::Greater | Ordering::Equal) => true,
            Some(Ordering::Less) => {
                let why = match lower {
                    Some(lower) => {
                        format!(
                            "a project can only tighten it, and `{}` ({}) is stricter",
                            lower.value,
                            lower.mark.origin()
                        )
                    }
                    None => "a project can only tighten it, and its default is stricter".to_owned(),
                };
                self.refuse(node, path, &why)
            }
            None => self.refuse(node, path, "a project can only tighten it, and this value can't be compared"),
        }
    }

    fn denials(&mut self, node: &mut Node, path: &mut Vec<String>) -> bool {
        match &mut node.value {
            Value::Table(table) => {
                table.retain(|name, node| {
                    path.push(name.clone());
                    let keep = self.denials(node, path);
                    path.pop();
                    keep
                });
                true
            }
            value if order::is_denial(value) => true,
            _ => self.refuse(node, path, "a project can take away, not give"),
        }
    }

    fn refuse(&mut self, node: &Node, path: &[String], why: &str) -> bool {
        let key = path_text(path);
        self.notices.push(Notice {
            code: "project-key-ignored".into(),
            text: format!("`{key}` in the project's settings is ignored: {why}"),
            origin: Some(node.mark.origin()),
            hint: Some(format!(
                "to allow it, add \"{key}\" to `allow_project_overrides` of this project's entry in your own settings"
            )),
        });
        false
    }
}
