//! `config check FILE…`: whether a file is good, without a start: for whoever keeps policy files under version control.

use crate::check;
use crate::document;
use crate::error::Problem;
use crate::layers::Document;
use crate::merge;
use crate::node::{Node, Source, Table, Value};
use crate::permissions;
use crate::requirements::{self, Host, Standing};
use ringfence_model::notice::Notice;
use ringfence_model::origin::Layer;
use ringfence_model::path::AbsPath;
use serde::Serialize;
use std::path::Path;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// `config.toml` or a profile's file.
    Config,
    /// `managed_config.toml`.
    Managed,
    /// `requirements.toml`.
    Requirements,
}

impl FileKind {
    /// What a file's name says that it is.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.contains("requirements") {
            Self::Requirements
        } else if name.contains("managed_config") {
            Self::Managed
        } else {
            Self::Config
        }
    }

    fn layer(self) -> Layer {
        match self {
            Self::Config => Layer::User,
            Self::Managed => Layer::Managed,
            Self::Requirements => Layer::SystemRequirements,
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Checked {
    /// What makes the file unusable, or would under `--strict-config`.
    pub problems: Vec<Problem>,
    /// What is ignored.
    pub notices: Vec<Notice>,
}

/// Checks the bytes of a file.
#[must_use]
pub fn check_bytes(file: &Path, bytes: &[u8], kind: FileKind) -> Checked {
    let source = Source::file(file, kind.layer());
    let table = match document::parse(bytes, &source) {
        Ok(table) => table,
        Err(problem) => return Checked { problems: vec![problem], notices: Vec::new() },
    };
    match kind {
        FileKind::Requirements => {
            // `~` stands for whoever's home it is later; any will do to see whether a pattern is one.
            let home = AbsPath::new("/home/somebody").ok();
            let host = Host { name: None, user_home: home.as_ref() };
            let document = Document { source, table };
            match requirements::read(&document, host, Standing::Local) {
                Ok(partial) => {
                    let notices = partial.not_applicable.into_iter().map(not_applicable).collect();
                    Checked { problems: Vec::new(), notices }
                }
                Err(problems) => Checked { problems, notices: Vec::new() },
            }
        }
        FileKind::Config | FileKind::Managed => settings(table),
    }
}

fn not_applicable(key: ringfence_model::Sourced<String>) -> Notice {
    Notice {
        code: "not-applicable".into(),
        text: format!("`{}` is about another product and has no effect here", key.value),
        origin: Some(key.origin),
        hint: None,
    }
}

fn settings(mut table: Table) -> Checked {
    let findings = check::check(&mut table, /* strict */ false);
    let mut checked = Checked { problems: findings.problems, notices: findings.notices };
    let (problems, notices) = merge::normalise(&mut table);
    checked.problems.extend(problems);
    checked.notices.extend(notices);
    let profiles = table.get("profiles").and_then(Node::as_table).into_iter().flatten();
    let tables = profiles.filter_map(|(_, node)| node.as_table()).chain([&table]);
    for table in tables {
        if let Some(Value::Table(permissions)) = table.get("permissions").map(|node| &node.value) {
            checked.problems.extend(permissions::check_all(permissions));
        }
    }
    checked
}
