//! A tree of values with the line each stands on, from JSON or TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest accepted file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest accepted nesting.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most values accepted in one file.
pub(crate) const MAX_VALUES: usize = 10_000;

/// Text that isn't JSON or TOML, or too much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// What was met.
    pub why: String,
}

/// A value and its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A TOML date or time, as written.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Field>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Line of the key.
    pub(crate) line: u32,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(line: u32, value: Value) -> Self {
        Self { line, value }
    }

    pub(crate) fn text(line: u32, text: impl Into<String>) -> Self {
        Self::new(line, Value::Text(text.into()))
    }

    pub(crate) fn fields(&self) -> &[Field] {
        match &self.value {
            Value::Table(fields) => fields,
            _ => &[],
        }
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.field(name).map(|field| &field.node)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The value below a path of names.
    #[cfg(test)]
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// A few words for a report.
    pub(crate) fn summary(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Text(text) | Value::Date(text) => format!("\"{text}\""),
            Value::List(_) => "[…]".to_owned(),
            Value::Table(_) => "{…}".to_owned(),
        }
    }
}

/// Reads TOML.
pub(crate) fn parse_toml(text: &str) -> Result<Node, ParseError> {
    let lines = Lines::of(text);
    check_size(text)?;
    // The parser bounds nesting itself; this keeps even its error path away from absurd input.
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let (line, column) = lines.place(text, at);
        ParseError { line, column, why: ringfence_model::text::escape(error.message()) }
    })?;
    let mut count = 0;
    let fields = table_fields(table.get_ref(), &lines, text, 1, &mut count)?;
    Ok(Node::new(1, Value::Table(fields)))
}

pub(crate) fn check_size(text: &str) -> Result<(), ParseError> {
    let error = |why: &str| Err(ParseError { line: 1, column: 1, why: why.to_owned() });
    match text {
        _ if text.len() > MAX_BYTES => error("the file has more than 1 MiB"),
        _ if text.starts_with('\u{feff}') => error("the file begins with a byte order mark"),
        _ if text.contains('\0') => error("the file contains a NUL character"),
        _ => Ok(()),
    }
}

fn table_fields(
    table: &DeTable<'_>,
    lines: &Lines,
    text: &str,
    depth: usize,
    count: &mut usize,
) -> Result<Vec<Field>, ParseError> {
    let mut fields = Vec::new();
    for (key, value) in table {
        let line = lines.place(text, key.span().start).0;
        let node = toml_node(value, lines, text, depth, count)?;
        fields.push(Field { name: key.get_ref().to_string(), line, node });
    }
    fields.sort_by_key(|field| field.line);
    Ok(fields)
}

fn toml_node(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines,
    text: &str,
    depth: usize,
    count: &mut usize,
) -> Result<Node, ParseError> {
    let (line, column) = lines.place(text, value.span().start);
    let error = |why: &str| ParseError { line, column, why: why.to_owned() };
    *count += 1;
    if depth > MAX_DEPTH {
        return Err(error("values are nested more than 64 deep"));
    }
    if *count > MAX_VALUES {
        return Err(error("the file has more than 10000 values"));
    }
    let inner = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            Value::Integer(i64::from_str_radix(&digits, number.radix()).map_err(|_| error("the number is too large"))?)
        }
        DeValue::Float(number) => {
            Value::Float(number.as_str().replace('_', "").parse().map_err(|_| error("this is no number"))?)
        }
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(
            items.iter().map(|item| toml_node(item, lines, text, depth + 1, count)).collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(table_fields(table, lines, text, depth + 1, count)?),
    };
    Ok(Node::new(line, inner))
}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn place(&self, text: &str, at: usize) -> (u32, u32) {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        let column = text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}
