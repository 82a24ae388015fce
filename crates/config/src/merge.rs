//! Lays one layer over another, by the merge rule of each key.

use crate::check::canonical;
use crate::error::Problem;
use crate::node::{self, Mark, Node, Source, Table, Value};
use crate::order;
use crate::registry::{self, Found, Merge, Order};
use ringfence_model::notice::Notice;
use std::sync::Arc;

/// Lays `over` on `base`.
pub fn lay(base: &mut Table, over: Table) {
    lay_at(base, over, &mut Vec::new());
}

fn lay_at(base: &mut Table, over: Table, path: &mut Vec<String>) {
    for (name, node) in over {
        path.push(name.clone());
        match (registry::find(path), base.get_mut(&name)) {
            (_, None) => drop(base.insert(name, node)),
            (Found::Key(key), Some(below)) => match key.merge {
                Merge::Replace => *below = node,
                Merge::AddUp => add_up(below, node),
                Merge::ByName => by_name(below, node, key.order == Order::Denials),
            },
            (_, Some(below)) => match (&mut below.value, node) {
                (Value::Table(inner), Node { value: Value::Table(over), .. }) => lay_at(inner, over, path),
                (_, node) => *below = node,
            },
        }
        path.pop();
    }
}

fn add_up(below: &mut Node, node: Node) {
    match (&mut below.value, node) {
        (Value::List(list), Node { value: Value::List(more), mark }) => {
            for element in more {
                if !list.iter().any(|known| known.value.says_the_same(&element.value)) {
                    list.push(element);
                }
            }
            below.mark = mark;
        }
        (_, node) => *below = node,
    }
}

/// Names merge; where `sticky`, what a lower layer denies stays denied.
fn by_name(below: &mut Node, node: Node, sticky: bool) {
    match (&mut below.value, node) {
        (Value::Table(table), Node { value: Value::Table(over), .. }) => {
            for (name, node) in over {
                match table.get_mut(&name) {
                    None => drop(table.insert(name, node)),
                    Some(known) => by_name(known, node, sticky),
                }
            }
        }
        (value, _) if sticky && order::is_denial(value) => {}
        (_, node) => *below = node,
    }
}

/// Brings other spellings to the one the registry has. Both spellings in one layer are an error.
pub fn normalise(table: &mut Table) -> (Vec<Problem>, Vec<Notice>) {
    let (mut problems, mut notices) = (Vec::new(), Vec::new());
    for (older, newer) in [("allowed_domains", "domains"), ("denied_domains", "domains")] {
        for section in [&["network"][..], &["features", "network_proxy"][..]] {
            let find = |name: &str| node::at(table, &[section, &[name]].concat());
            if let (Some(old), Some(_)) = (find(older), find(newer)) {
                let text = format!("`{older}` and `{newer}` are two spellings of one setting");
                problems.push(Problem::new("both-spellings", text, old.mark.origin()).hint("keep one of them"));
            }
        }
    }
    if let Some(Value::Table(features)) = table.get_mut("features").map(|node| &mut node.value) {
        let proxy = features.remove("network_proxy");
        let bwrap = features.remove("use_linux_sandbox_bwrap");
        if let Some(bwrap) = bwrap.filter(|node| node.as_bool() == Some(true)) {
            notices.push(Notice {
                code: "other-spelling".into(),
                text: "`features.use_linux_sandbox_bwrap` is read as `linux.backend = \"bwrap\"`".into(),
                origin: Some(bwrap.mark.origin()),
                hint: None,
            });
            let path = ["linux".to_owned(), "backend".to_owned()];
            if node::at(table, &path).is_none() {
                node::put(table, &path, Node::new(Value::Text("bwrap".into()), bwrap.mark));
            }
        }
        match proxy {
            Some(Node { value: Value::Table(settings), .. }) => spread(table, settings, &mut problems),
            Some(node @ Node { value: Value::Bool(_), .. }) => {
                let path = ["network".to_owned(), "enabled".to_owned()];
                match node::at(table, &path) {
                    Some(known) if !known.value.says_the_same(&node.value) => problems.push(both(&path, &node)),
                    _ => node::put(table, &path, node),
                }
            }
            _ => {}
        }
    }
    (problems, notices)
}

fn spread(table: &mut Table, settings: Table, problems: &mut Vec<Problem>) {
    for (name, node) in settings {
        let path = canonical(&["features".to_owned(), "network_proxy".to_owned(), name]);
        match node::at(table, &path) {
            Some(known) if !known.value.says_the_same(&node.value) => problems.push(both(&path, &node)),
            _ => node::put(table, &path, node),
        }
    }
}

fn both(path: &[String], node: &Node) -> Problem {
    let text = format!("`{}` is also set, to something else, as `features.network_proxy`", node::path_text(path));
    Problem::new("both-spellings", text, node.mark.origin()).hint("keep one of them")
}

/// Gives every value of a table another source, keeping its place.
pub fn move_to(table: &mut Table, source: &Arc<Source>) {
    for node in table.values_mut() {
        move_node(node, source);
    }
}

fn move_node(node: &mut Node, source: &Arc<Source>) {
    node.mark = Mark { source: Arc::clone(source), line: node.mark.line, column: node.mark.column };
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|node| move_node(node, source)),
        Value::Table(table) => move_to(table, source),
        _ => {}
    }
}
