//! TOML text with a comment on every value that says where it came from. The same document gives the same bytes.

use crate::node::{Field, Node, Value};
use crate::report::Src;
use ringfence_model::text::quote;
use std::collections::BTreeMap;

/// A document being written: tables in the order of their names, keys in the order they were set.
#[derive(Debug, Default, Clone)]
pub(crate) struct Doc {
    tables: BTreeMap<Vec<String>, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    One(Node, String),
    Many(Vec<(Node, String)>),
}

impl Doc {
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Makes a table exist, even if nothing comes into it.
    pub(crate) fn table(&mut self, path: &[&str]) {
        self.entries(path);
    }

    fn entries(&mut self, path: &[&str]) -> &mut Vec<Entry> {
        self.tables.entry(path.iter().map(|name| (*name).to_owned()).collect()).or_default()
    }

    /// Sets a key; what it had before is gone.
    pub(crate) fn set(&mut self, path: &[&str], key: &str, value: Value, src: &Src) {
        self.set_noted(path, key, value, src.comment());
    }

    pub(crate) fn set_noted(&mut self, path: &[&str], key: &str, value: Value, note: String) {
        let shape = Shape::One(Node::new(0, value), note);
        let entries = self.entries(path);
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.shape = shape,
            None => entries.push(Entry { key: key.to_owned(), shape }),
        }
    }

    /// Adds to a list; what is in it already isn't added again.
    pub(crate) fn push(&mut self, path: &[&str], key: &str, value: Value, src: &Src) {
        let item = (Node::new(0, value), src.comment());
        let entries = self.entries(path);
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(Entry { shape: Shape::Many(items), .. }) => {
                if !items.iter().any(|(known, _)| known.value == item.0.value) {
                    items.push(item);
                }
            }
            Some(entry) => entry.shape = Shape::Many(vec![item]),
            None => entries.push(Entry { key: key.to_owned(), shape: Shape::Many(vec![item]) }),
        }
    }

    pub(crate) fn text_at(&self, path: &[&str], key: &str) -> Option<&str> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        match &self.tables.get(&path)?.iter().find(|entry| entry.key == key)?.shape {
            Shape::One(node, _) => node.as_str(),
            Shape::Many(_) => None,
        }
    }

    pub(crate) fn has_table(&self, path: &[&str]) -> bool {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        self.tables.contains_key(&path)
    }

    /// The text, under a heading of comment lines.
    pub(crate) fn render(&self, heading: &[String]) -> String {
        let mut out = String::new();
        for line in heading {
            push_comment(&mut out, line);
        }
        for (path, entries) in &self.tables {
            if !path.is_empty() {
                let names: Vec<String> = path.iter().map(|name| key(name)).collect();
                out.push_str(&format!("\n[{}]\n", names.join(".")));
            } else {
                out.push('\n');
            }
            for entry in entries {
                match &entry.shape {
                    Shape::One(node, note) => {
                        push_comment(&mut out, note);
                        out.push_str(&format!("{} = {}\n", key(&entry.key), value(node)));
                    }
                    Shape::Many(items) => {
                        out.push_str(&format!("{} = [\n", key(&entry.key)));
                        for (node, note) in items {
                            out.push_str("    ");
                            push_comment(&mut out, note);
                            out.push_str(&format!("    {},\n", value(node)));
                        }
                        out.push_str("]\n");
                    }
                }
            }
        }
        out
    }
}

/// One comment line; whatever the note holds stays inside it.
fn push_comment(out: &mut String, note: &str) {
    out.push_str("# ");
    out.extend(note.chars().map(|c| if c.is_control() { ' ' } else { c }));
    out.push('\n');
}

/// A key, quoted where it must be.
pub(crate) fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { name.to_owned() } else { quote(name) }
}

fn value(node: &Node) -> String {
    match &node.value {
        // TOML has no null; nothing puts one here.
        Value::Null => "\"\"".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if number.is_nan() => "nan".to_owned(),
        Value::Float(number) if number.is_infinite() => if *number > 0.0 { "inf" } else { "-inf" }.to_owned(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) => quote(text),
        Value::Date(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Table(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Table(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|Field { name, node, .. }| format!("{} = {}", key(name), value(node))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::parse_toml;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(
            name in "[^\0]{0,12}", content in "[^\0]{0,12}", note in "[^\0]{0,20}", number in any::<i64>(), real in any::<f64>()
        ) {
            let src = Src { file: "f".to_owned(), line: 1, what: note };
            let mut doc = Doc::default();
            doc.set(&["table", &name], &name, text(content.clone()), &src);
            doc.set(&[], "number", Value::Integer(number), &src);
            doc.set(&[], "real", Value::Float(real), &src);
            doc.push(&["list"], &name, text(content.clone()), &src);
            let node = parse_toml(&doc.render(&["heading".to_owned()])).expect("TOML");
            prop_assert_eq!(node.at(&["table", &name, &name]).and_then(Node::as_str), Some(content.as_str()));
            prop_assert_eq!(node.at(&["list", &name]).and_then(Node::as_list).map(|items| items.len()), Some(1));
            prop_assert_eq!(node.get("number").map(|node| node.value.clone()), Some(Value::Integer(number)));
            if let Some(Value::Float(found)) = node.get("real").map(|node| node.value.clone()) {
                prop_assert!(found == real || (found.is_nan() && real.is_nan()));
            }
        }
    }
}
