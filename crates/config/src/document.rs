//! Bytes of a settings file → a [`Table`] in which every value knows its line and column.
//!
//! Bounded before anything else: size, encoding, depth, number of entries.

use crate::error::Problem;
use crate::node::{Mark, Node, Source, Table, Value};
use std::ops::Range;
use std::sync::Arc;

/// Largest accepted file.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest accepted nesting.
pub const MAX_DEPTH: usize = 64;
/// Most keys and list elements in one file.
pub const MAX_ENTRIES: usize = 10_000;

/// Reads one document.
pub fn parse(bytes: &[u8], source: &Arc<Source>) -> Result<Table, Problem> {
    let text = text(bytes, source)?;
    let document = toml_edit::Document::parse(text).map_err(|error| {
        let (line, column) = error.span().map_or((0, 0), |span| Lines::of(text).position(span.start));
        Problem::new("toml-syntax", error.message().replace('\n', "; "), source.at(line, column))
    })?;
    let mut reader = Reader { source, lines: Lines::of(text), entries: 0 };
    reader.table(document.as_table(), 1)
}

/// Reads one value of TOML, as `-c KEY=VALUE` has it; none if it isn't one.
#[must_use]
pub fn parse_value(text: &str, source: &Arc<Source>) -> Option<Node> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let document = format!("value = {text}\n");
    let table = parse(document.as_bytes(), source).ok()?;
    let mut values = table.into_iter();
    match (values.next(), values.next()) {
        (Some((key, node)), None) if key == "value" => Some(Node { mark: Mark::whole(source), ..node }),
        _ => None,
    }
}

/// Reads a dotted key path.
pub fn parse_path(text: &str) -> Option<Vec<String>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let keys = toml_edit::Key::parse(text.trim()).ok()?;
    (keys.len() <= MAX_DEPTH).then(|| keys.into_iter().map(|key| key.get().to_owned()).collect())
}

fn text<'b>(bytes: &'b [u8], source: &Arc<Source>) -> Result<&'b str, Problem> {
    if bytes.len() > MAX_BYTES {
        let text = format!("it has more than {MAX_BYTES} bytes");
        return Err(Problem::new("file-too-large", text, source.at(0, 0)));
    }
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        let problem = Problem::new("byte-order-mark", "it begins with a byte order mark", source.at(1, 1));
        return Err(problem.hint("save it as UTF-8 without a byte order mark"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or("");
        let (line, column) = Lines::of(valid).position(valid.len());
        Problem::new("not-utf8", "it has bytes that aren't UTF-8", source.at(line, column))
    })?;
    if let Some(at) = text.find('\0') {
        let (line, column) = Lines::of(text).position(at);
        return Err(Problem::new("nul-byte", "it contains a NUL byte", source.at(line, column)));
    }
    Ok(text)
}

struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    fn position(&self, at: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

struct Reader<'t> {
    source: &'t Arc<Source>,
    lines: Lines<'t>,
    entries: usize,
}

impl Reader<'_> {
    fn mark(&self, span: Option<Range<usize>>) -> Mark {
        let (line, column) = span.map_or((0, 0), |span| self.lines.position(span.start));
        Mark { source: Arc::clone(self.source), line, column }
    }

    fn bounded(&mut self, depth: usize, span: Option<Range<usize>>) -> Result<(), Problem> {
        self.entries += 1;
        if depth > MAX_DEPTH {
            let text = format!("it is nested more than {MAX_DEPTH} levels deep");
            return Err(Problem::new("too-deep", text, self.mark(span).origin()));
        }
        if self.entries > MAX_ENTRIES {
            let text = format!("it has more than {MAX_ENTRIES} entries");
            return Err(Problem::new("too-many-entries", text, self.mark(span).origin()));
        }
        Ok(())
    }

    fn table(&mut self, table: &dyn toml_edit::TableLike, depth: usize) -> Result<Table, Problem> {
        let mut out = Table::new();
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.bounded(depth, span.clone())?;
            let node = self.item(item, span, depth)?;
            out.insert(name.to_owned(), node);
        }
        Ok(out)
    }

    /// `key` is where the key stands: a wrong value is reported there, as a person looks for the key.
    fn item(&mut self, item: &toml_edit::Item, key: Option<Range<usize>>, depth: usize) -> Result<Node, Problem> {
        let value = match item {
            toml_edit::Item::None => Value::Table(Table::new()),
            toml_edit::Item::Value(value) => return self.value(value, key, depth),
            toml_edit::Item::Table(table) => Value::Table(self.table(table, depth + 1)?),
            toml_edit::Item::ArrayOfTables(tables) => {
                let mut list = Vec::new();
                for table in tables {
                    let span = table.span().or_else(|| key.clone());
                    self.bounded(depth, span.clone())?;
                    list.push(Node::new(Value::Table(self.table(table, depth + 2)?), self.mark(span)));
                }
                Value::List(list)
            }
        };
        Ok(Node::new(value, self.mark(key)))
    }

    fn value(&mut self, value: &toml_edit::Value, key: Option<Range<usize>>, depth: usize) -> Result<Node, Problem> {
        let span = key.or_else(|| value.span());
        let read = match value {
            toml_edit::Value::String(text) => Value::Text(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
            toml_edit::Value::Float(number) => Value::Float(*number.value()),
            toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
            toml_edit::Value::Datetime(time) => Value::Datetime(time.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::Table(self.table(table, depth + 1)?),
            toml_edit::Value::Array(array) => {
                let mut list = Vec::new();
                for element in array {
                    self.bounded(depth + 1, element.span())?;
                    list.push(self.value(element, element.span(), depth + 1)?);
                }
                Value::List(list)
            }
        };
        Ok(Node::new(read, self.mark(span)))
    }
}
