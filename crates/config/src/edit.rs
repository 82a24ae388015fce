//! Changing a settings file: one key at a time, comments and order kept, written beside and renamed, one writer at a time.

use crate::check;
use crate::document;
use crate::error::{ConfigError, Problem};
use crate::node::{Mark, Node, Source, Table, Value, path_text};
use ringfence_model::origin::Layer;
use ringfence_model::path::AbsPath;
use ringfence_model::settings::Trust;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use toml_edit::{DocumentMut, Item, TableLike};

/// What an edit does.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sets a key to a value written as TOML; text that isn't TOML is taken as a string.
    Set(String),
    /// Removes a key.
    Unset,
}

/// Applies a change to the text of a settings file.
pub fn change_text(text: &str, file: &Path, path: &[String], change: &Change) -> Result<String, ConfigError> {
    let source = Source::file(file, Layer::User);
    document::parse(text.as_bytes(), &source)?;
    let problem = |text: String| ConfigError::from(Problem::new("edit", text, source.at(0, 0)));
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| problem(error.message().to_owned()))?;
    let only_comments = document.is_empty();
    let (name, above) = path.split_last().ok_or_else(|| problem("a key is needed".into()))?;
    match change {
        Change::Set(value) => {
            let value = value_of(value, path)?;
            let table = open(document.as_table_mut(), above, 0).map_err(|at| {
                problem(format!("`{}` is a value there, not a table", path_text(path.get(..at).unwrap_or(path))))
            })?;
            match table.get_mut(name) {
                Some(Item::Value(known)) => {
                    // The comment and the blanks around a value stay.
                    let decor = known.decor().clone();
                    *known = value;
                    *known.decor_mut() = decor;
                }
                _ => drop(table.insert(name, Item::Value(value))),
            }
        }
        Change::Unset => {
            if !take(document.as_table_mut(), path) {
                return Ok(text.to_owned());
            }
        }
    }
    let mut edited = document.to_string();
    if only_comments {
        // They belong above what is written now, where they stood.
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        document.set_trailing("");
        edited = format!("{text}{newline}{document}");
    }
    let mut table = document::parse(edited.as_bytes(), &source)?;
    let findings = check::check(&mut table, /* strict */ false);
    if findings.problems.is_empty() { Ok(edited) } else { Err(ConfigError::Invalid { problems: findings.problems }) }
}

/// The value, checked against the key's row.
fn value_of(text: &str, path: &[String]) -> Result<toml_edit::Value, ConfigError> {
    let source = Arc::new(Source::Flag(format!("config set {}", path_text(path))));
    let node = document::parse_value(text, &source)
        .unwrap_or_else(|| Node::new(Value::Text(text.to_owned()), Mark::whole(&source)));
    let mut table = Table::new();
    crate::node::put(&mut table, path, node.clone());
    let findings = check::check(&mut table, /* strict */ true);
    match findings.problems.is_empty() {
        true => Ok(written(&node.value)),
        false => Err(ConfigError::Invalid { problems: findings.problems }),
    }
}

fn written(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) | Value::Datetime(text) => text.as_str().into(),
        Value::List(list) => toml_edit::Value::Array(list.iter().map(|node| written(&node.value)).collect()),
        Value::Table(table) => {
            let entries = table.iter().map(|(name, node)| (name.as_str(), written(&node.value)));
            toml_edit::Value::InlineTable(entries.collect())
        }
    }
}

/// Takes a key away, and the tables above it that hold nothing then and that nobody wrote a comment at. Whether it was
/// there.
fn take(table: &mut dyn TableLike, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return table.remove(first).is_some();
    }
    let Some(item) = table.get_mut(first) else { return false };
    let taken = item.as_table_like_mut().is_some_and(|inner| take(inner, rest));
    let comment = |table: &toml_edit::Table| {
        let around = [table.decor().prefix(), table.decor().suffix()];
        around.into_iter().flatten().any(|text| text.as_str().is_none_or(|text| text.contains('#')))
    };
    let bare = item.as_table_like().is_some_and(TableLike::is_empty) && !item.as_table().is_some_and(comment);
    if taken && bare {
        table.remove(first);
    }
    taken
}

/// The table at a path, made where it isn't there. The error is how many parts lead to something that isn't a table.
fn open<'t>(table: &'t mut dyn TableLike, path: &[String], depth: usize) -> Result<&'t mut dyn TableLike, usize> {
    let Some((first, rest)) = path.split_first() else { return Ok(table) };
    if table.get(first).is_none_or(Item::is_none) {
        let mut new = toml_edit::Table::new();
        // A table that only holds tables needs no header of its own.
        new.set_implicit(!rest.is_empty());
        table.insert(first, Item::Table(new));
    }
    let inner = table.get_mut(first).and_then(Item::as_table_like_mut).ok_or(depth + 1)?;
    open(inner, rest, depth + 1)
}

/// Changes a key of a settings file on disk. Whether anything was different before.
pub fn change_file(file: &Path, path: &[String], change: &Change) -> Result<bool, ConfigError> {
    rewrite(file, |text| change_text(text, file, path, change))
}

/// The path of a key in the entry of a project: `projects."/home/me/app".trust_level`.
pub fn of_project(file: &Path, root: &AbsPath, key: &str) -> Result<[String; 3], ConfigError> {
    let Some(name) = root.as_path().to_str() else {
        let text = format!("`{}` isn't UTF-8, and a settings file can't name it", root.display());
        return Err(Problem::new("edit", text, Source::file(file, Layer::User).at(0, 0)).into());
    };
    Ok(["projects", name, key].map(str::to_owned))
}

/// Writes what the user said of a project into a settings file.
pub fn trust(file: &Path, root: &AbsPath, level: Trust) -> Result<bool, ConfigError> {
    let change = match level {
        Trust::Trusted => Change::Set("\"trusted\"".into()),
        Trust::Untrusted => Change::Set("\"untrusted\"".into()),
        Trust::Unknown => Change::Unset,
    };
    change_file(file, &of_project(file, root, "trust_level")?, &change)
}

/// Reads, changes and writes a file, with no other writer of ours between. Whether there was anything to change.
pub fn rewrite<E: From<ConfigError>>(file: &Path, change: impl FnOnce(&str) -> Result<String, E>) -> Result<bool, E> {
    let unwritable = |cause: io::Error| ConfigError::Unwritable { file: file.to_path_buf(), cause };
    // A link (as managers of dotfiles make them) stays, and what it leads to is rewritten.
    let real = match std::fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.symlink_metadata().is_err() => file.to_path_buf(),
        Err(error) => return Err(unwritable(error).into()),
    };
    let directory = real.parent().unwrap_or(Path::new("/"));
    make_private_directory(directory).map_err(unwritable)?;
    let _lock = lock(&real).map_err(unwritable)?;
    // Reading anything else might wait for ever.
    if std::fs::metadata(&real).is_ok_and(|found| !found.is_file()) {
        return Err(unwritable(io::Error::other("not a regular file")).into());
    }
    let text = match std::fs::read(&real) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| unwritable(io::Error::other(error)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(ConfigError::Unreadable { file: real, cause }.into()),
    };
    let changed = change(&text)?;
    if changed == text {
        return Ok(false);
    }
    write_private(&real, changed.as_bytes()).map_err(unwritable)?;
    Ok(true)
}

/// How long to wait for another writer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the lock of a file; it is let go with the value.
fn lock(file: &Path) -> io::Result<File> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let lock = private(OpenOptions::new().create(true).truncate(false).write(true)).open(file.with_file_name(name))?;
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process is changing it"));
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Makes a directory, and those above it, for this user alone; one that exists is left as it is.
pub fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(directory)
}

/// Writes a file for this user alone: beside, flushed to the disk, then renamed over the old one, which stays whole until
/// then.
pub fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = Beside::new(file)?;
    let mut out = private(OpenOptions::new().create_new(true).write(true)).open(&beside.path)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(&beside.path, file)?;
    beside.done();
    #[cfg(unix)]
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// A new name beside a file, removed again if it doesn't take the file's place.
struct Beside {
    path: PathBuf,
    keep: bool,
}

impl Beside {
    fn new(file: &Path) -> io::Result<Self> {
        let name = file.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}-{nanos:x}.new", std::process::id()));
        Ok(Self { path: file.with_file_name(beside), keep: false })
    }

    fn done(mut self) {
        self.keep = true;
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.keep {
            drop(std::fs::remove_file(&self.path));
        }
    }
}
