//! A parsed value with the place it was written: what every layer is made of, whatever its source.
//!
//! Nothing here knows which keys exist; that is the business of [`crate::registry`].

use ringfence_model::origin::{Layer, Origin};
use ringfence_model::os_text::OsText;
use ringfence_model::text;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One source of settings, shared by every value that came from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// The file as it was opened.
        file: OsText,
        /// The layer that it belongs to.
        layer: Layer,
    },
    /// A flag, as typed.
    Flag(String),
    /// A managed preference of the operating system.
    Preference {
        /// Domain and key.
        name: String,
        /// The layer that it belongs to.
        layer: Layer,
    },
    /// A verified policy bundle.
    Cloud {
        /// The address it came from.
        url: String,
        /// Its version.
        version: u64,
    },
    /// One of Ringfence's own tables or defaults.
    BuiltIn(Cow<'static, str>),
}

impl Source {
    /// A file of a layer.
    pub fn file(file: impl Into<OsText>, layer: Layer) -> Arc<Self> {
        Arc::new(Self::File { file: file.into(), layer })
    }

    /// The layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.at(0, 0).layer()
    }

    /// The origin of a place in this source.
    #[must_use]
    pub fn at(&self, line: u32, column: u32) -> Origin {
        match self {
            Self::File { file, layer } => Origin::File { file: file.clone(), line, column, layer: *layer },
            Self::Flag(flag) => Origin::flag(flag.clone()),
            Self::Preference { name, layer } => Origin::Preference { preference: name.clone(), line, layer: *layer },
            Self::Cloud { url, version } => Origin::Cloud { cloud: url.clone(), version: *version, line },
            Self::BuiltIn(name) => Origin::builtin(name.clone()),
        }
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// In which source.
    pub source: Arc<Source>,
    /// Counted from 1; 0 when the whole source is meant.
    pub line: u32,
    /// In characters, counted from 1; 0 when the whole line is meant.
    pub column: u32,
}

impl Mark {
    /// The whole of a source.
    #[must_use]
    pub fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), line: 0, column: 0 }
    }

    /// The origin that stays with the value.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.source.at(self.line, self.column)
    }

    /// The layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.source.layer()
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub mark: Mark,
}

/// A value of TOML.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A date or time, as written.
    Datetime(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// Keys and their values.
pub type Table = BTreeMap<String, Node>;

impl Value {
    /// What kind of value this is, with its article.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a string",
            Self::Datetime(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// Whether two values say the same, wherever they were written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value.says_the_same(&b.value))
            }
            (Self::Table(a), Self::Table(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|((ka, va), (kb, vb))| ka == kb && va.value.says_the_same(&vb.value))
            }
            (a, b) => a == b,
        }
    }
}

impl Node {
    /// Joins a value and its mark.
    #[must_use]
    pub fn new(value: Value, mark: Mark) -> Self {
        Self { value, mark }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value at a path below this node.
    #[must_use]
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        self.as_table()?.get(first.as_ref())?.at(rest)
    }
}

/// The value at a path of a table.
#[must_use]
pub fn at<'t, S: AsRef<str>>(table: &'t Table, path: &[S]) -> Option<&'t Node> {
    let (first, rest) = path.split_first()?;
    table.get(first.as_ref())?.at(rest)
}

/// Puts a value at a path, making the tables on the way. A value on the way that isn't a table is replaced.
pub fn put(table: &mut Table, path: &[String], node: Node) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), node);
        return;
    }
    let mark = node.mark.clone();
    let entry = table.entry(first.clone()).or_insert_with(|| Node::new(Value::Table(Table::new()), mark));
    if !matches!(entry.value, Value::Table(_)) {
        entry.value = Value::Table(Table::new());
    }
    if let Value::Table(inner) = &mut entry.value {
        put(inner, rest, node);
    }
}

/// Takes the value at a path out.
pub fn take<S: AsRef<str>>(table: &mut Table, path: &[S]) -> Option<Node> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        return table.remove(first.as_ref());
    }
    match &mut table.get_mut(first.as_ref())?.value {
        Value::Table(inner) => take(inner, rest),
        _ => None,
    }
}

/// Writes a key path the way TOML does: bare where that is possible, else quoted.
#[must_use]
pub fn path_text<S: AsRef<str>>(path: &[S]) -> String {
    let mut out = String::new();
    for part in path {
        if !out.is_empty() {
            out.push('.');
        }
        let part = part.as_ref();
        let bare =
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if bare {
            out.push_str(part);
        } else {
            out.push_str(&text::quote(part));
        }
    }
    out
}

impl fmt::Display for Value {
    /// One line of TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(&text::quote(text)),
            Self::Datetime(text) => f.write_str(text),
            Self::List(list) => {
                f.write_str("[")?;
                for (index, node) in list.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, node.value)?;
                }
                f.write_str("]")
            }
            Self::Table(table) if table.is_empty() => f.write_str("{}"),
            Self::Table(table) => {
                f.write_str("{ ")?;
                for (index, (key, node)) in table.iter().enumerate() {
                    write!(f, "{}{} = {}", if index == 0 { "" } else { ", " }, path_text(&[key]), node.value)?;
                }
                f.write_str(" }")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => s.serialize_bool(*value),
            Self::Integer(value) => s.serialize_i64(*value),
            Self::Float(value) => s.serialize_f64(*value),
            Self::Text(text) | Self::Datetime(text) => s.serialize_str(text),
            Self::List(list) => s.collect_seq(list.iter().map(|node| &node.value)),
            Self::Table(table) => s.collect_map(table.iter().map(|(key, node)| (key, &node.value))),
        }
    }
}
