//! The key registry: one row per key of `config.toml`, from which checking, merging, the project rule, the schema, the
//! key reference and `config show` all come.

mod keys;

pub use keys::KEYS;

/// One key, or one pattern of keys: `*` in the path stands for any one name.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What holds where nobody sets it.
    pub default: Fallback,
    /// How a higher layer's value meets a lower one's.
    pub merge: Merge,
    /// What a project's layer may do with it.
    pub project: ProjectRule,
    /// Which of two values is stricter.
    pub order: Order,
    /// Whether the key bears on security.
    pub weight: Weight,
    /// What it is for: one line or a few, Markdown.
    pub doc: &'static str,
}

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number of seconds, whole or not.
    Seconds,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number of bytes: an integer, or `"8MiB"`.
    Size,
    /// A length of time: `"10m"`.
    Duration,
    /// A path: absolute, beginning with `~`, or relative to the file.
    Path,
    /// An absolute path, or one beginning with `~`.
    AbsolutePath,
    /// An absolute path or glob, or one beginning with `~`.
    PathGlob,
    /// A list.
    List(&'static Kind),
    /// A table with any names.
    Map(&'static Kind),
    /// An approval policy: a word, or a table `reject` or `granular`.
    Policy,
    /// A telemetry exporter: a word, or a table `otlp-http` or `otlp-grpc`.
    Exporter,
    /// Any of these.
    Either(&'static [Kind]),
}

/// What holds where nobody sets a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fallback {
    /// Nothing.
    Unset,
    /// A boolean.
    Bool(bool),
    /// A number.
    Integer(i64),
    /// Text.
    Text(&'static str),
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// An empty list.
    EmptyList,
    /// An empty table.
    EmptyTable,
    /// It depends; the text says on what.
    Depends(&'static str),
}

/// How a higher layer's value meets a lower one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The higher one replaces it.
    Replace,
    /// Lists add up: for lists that only tighten.
    AddUp,
    /// Tables merge name by name.
    ByName,
}

/// What a project's layer may do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectRule {
    /// Set it freely.
    Free,
    /// Make it stricter than what the lower layers say.
    Tighten,
    /// Nothing: it is ignored, with a notice.
    Ignored,
}

/// Which of two values is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// They can't be compared.
    None,
    /// `true` is stricter.
    True,
    /// `false` is stricter.
    False,
    /// The earlier word is stricter.
    Words(&'static [&'static str]),
    /// The smaller number, size or duration is stricter, and any is stricter than none.
    Smaller,
    /// The policy that asks more.
    Policy,
    /// The list with more entries is stricter.
    MoreEntries,
    /// The list with fewer entries is stricter.
    FewerEntries,
    /// As `FewerEntries`, but no entries at all means no bound.
    FewerButSome,
    /// As `FewerEntries`, but no list at all allows everything.
    FewerThanAll,
    /// `false` is stricter, and not set is as loose as `true`.
    FalseOverUnset,
    /// In a table of words, `deny` or `exclude` is stricter, and no entry is stricter than `allow`, `read`, `write`.
    Denials,
}

/// Whether a key bears on security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It decides what is held, asked, recorded or sent.
    Security,
    /// It doesn't.
    Plain,
}

/// What a path of a document is.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// A key with a row.
    Key(&'static Key),
    /// A table that holds keys.
    Section,
    /// A key with a row that may also be written as a table of further keys.
    Both(&'static Key),
    /// Nothing that is known.
    Unknown,
}

/// Looks a path up.
#[must_use]
pub fn find<S: AsRef<str>>(path: &[S]) -> Found {
    let mut exact = None;
    let mut section = false;
    // No row begins with a `*`, so the first name sorts nearly all of them out.
    let first = path.first().map_or("", |first| first.as_ref());
    let begins = first.as_bytes().first();
    let may = |key: &&Key| key.path.as_bytes().first() == begins && key.path.starts_with(first);
    for key in KEYS.iter().filter(may) {
        match compare(key.path, path) {
            Some(Fit::Exact) => exact = Some(key),
            Some(Fit::Above) => section = true,
            None => {}
        }
    }
    match (exact, section) {
        (Some(key), false) => Found::Key(key),
        (Some(key), true) => Found::Both(key),
        (None, true) => Found::Section,
        (None, false) => Found::Unknown,
    }
}

/// The row of a path, if it has one.
#[must_use]
pub fn key<S: AsRef<str>>(path: &[S]) -> Option<&'static Key> {
    match find(path) {
        Found::Key(key) | Found::Both(key) => Some(key),
        Found::Section | Found::Unknown => None,
    }
}

/// The row with this very path, wildcards as written.
#[must_use]
pub fn row(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

enum Fit {
    Exact,
    Above,
}

fn compare<S: AsRef<str>>(pattern: &str, path: &[S]) -> Option<Fit> {
    let mut parts = pattern.split('.');
    for name in path {
        let part = parts.next()?;
        if part != "*" && part != name.as_ref() {
            return None;
        }
    }
    Some(if parts.next().is_none() { Fit::Exact } else { Fit::Above })
}

/// Names that may stand directly below a path, for suggestions.
#[must_use]
pub fn names_below<S: AsRef<str>>(path: &[S]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = KEYS
        .iter()
        .filter(|key| matches!(compare(key.path, path), Some(Fit::Above)))
        .filter_map(|key| key.path.split('.').nth(path.len()))
        .filter(|name| *name != "*")
        .collect();
    names.dedup();
    names
}

impl Kind {
    /// What a value must be, for messages: reads on after "expected".
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "`true` or `false`".into(),
            Self::Integer(low, high) if *high == i64::MAX => format!("an integer of at least {low}"),
            Self::Integer(low, high) => format!("an integer from {low} to {high}"),
            Self::Seconds => "a number of seconds".into(),
            Self::Text => "a string".into(),
            Self::Choice(words) => match words {
                [word] => format!("\"{word}\""),
                _ => {
                    format!("one of {}", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
                }
            },
            Self::Size => "a size such as 512, \"64KiB\", \"8MiB\" or \"2GB\"".into(),
            Self::Duration => "a duration such as \"500ms\", \"10s\" or \"1h30m\"".into(),
            Self::Path => "a path".into(),
            Self::AbsolutePath => "a path that is absolute or begins with `~`".into(),
            Self::PathGlob => "a path or glob that is absolute or begins with `~`".into(),
            Self::List(kind) => format!("a list, each element {}", kind.expected()),
            Self::Map(kind) => format!("a table, each value {}", kind.expected()),
            Self::Policy => {
                "\"untrusted\", \"on-request\", \"never\", \"on-failure\", or a table `reject` or `granular`".into()
            }
            Self::Exporter => "\"none\", \"otlp-http\", \"otlp-grpc\", or a table `otlp-http` or `otlp-grpc`".into(),
            Self::Either(kinds) => kinds.iter().map(Kind::expected).collect::<Vec<_>>().join(", or "),
        }
    }
}

impl Fallback {
    /// The default as TOML, or what it depends on; empty if there is none.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Texts(texts) => {
                format!("[{}]", texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", "))
            }
            Self::EmptyList => "[]".into(),
            Self::EmptyTable => "{}".into(),
            Self::Depends(text) => (*text).into(),
        }
    }
}
