//! Raw type ≠ valid type: walks a layer with the key registry beside it and says what is unknown or of the wrong type.

use crate::error::Problem;
use crate::node::{Node, Table, Value, path_text};
use crate::registry::{self, Found, Kind};
use crate::suggest;
use ringfence_model::notice::Notice;
use ringfence_model::units::{ByteSize, Span};
use std::path::Path;

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What makes the layer unusable.
    pub problems: Vec<Problem>,
    /// What is ignored.
    pub notices: Vec<Notice>,
}

/// Checks one layer and removes the keys that nobody knows. With `strict`, those are problems.
pub fn check(table: &mut Table, strict: bool) -> Findings {
    let mut checker = Checker { findings: Findings::default(), strict };
    checker.section(table, &mut Vec::new(), /* inside a profile */ false);
    checker.findings
}

struct Checker {
    findings: Findings,
    strict: bool,
}

impl Checker {
    fn section(&mut self, table: &mut Table, path: &mut Vec<String>, in_profile: bool) {
        table.retain(|name, node| {
            path.push(name.clone());
            let keep = self.entry(node, path, in_profile);
            path.pop();
            keep
        });
    }

    fn entry(&mut self, node: &mut Node, path: &mut Vec<String>, in_profile: bool) -> bool {
        if let [first, rest @ ..] = path.as_slice()
            && first == "profiles"
            && !in_profile
        {
            return self.profile(node, rest.first().cloned());
        }
        if in_profile && matches!(path.first().map(String::as_str), Some("profile" | "projects")) {
            let text = format!("`{}` can't be set in a profile", path_text(path));
            self.findings.problems.push(Problem::new("profile-key", text, node.mark.origin()));
            return false;
        }
        match (registry::find(&canonical(path)), &mut node.value) {
            (Found::Section | Found::Both(_), Value::Table(inner)) => {
                self.section(inner, path, in_profile);
                true
            }
            (Found::Key(key) | Found::Both(key), _) => {
                self.typed(&key.kind, node, path);
                true
            }
            (Found::Section, value) => {
                let text = format!("`{}` must be a table, not {}", path_text(path), value.type_name());
                self.findings.problems.push(Problem::new("wrong-type", text, node.mark.origin()));
                false
            }
            (Found::Unknown, _) => {
                self.unknown(node, path);
                false
            }
        }
    }

    fn profile(&mut self, node: &mut Node, name: Option<String>) -> bool {
        let Value::Table(tables) = &mut node.value else {
            let text = format!("`profiles` must be a table of tables, not {}", node.value.type_name());
            self.findings.problems.push(Problem::new("wrong-type", text, node.mark.origin()));
            return false;
        };
        match name {
            None => {
                for (name, profile) in tables.iter_mut() {
                    if let Err(problem) = profile_name(name, &profile.mark.origin()) {
                        self.findings.problems.push(problem);
                    }
                    self.profile(profile, Some(name.clone()));
                }
            }
            Some(_) => self.section(tables, &mut Vec::new(), true),
        }
        true
    }

    fn unknown(&mut self, node: &Node, path: &[String]) {
        let (name, above) = match path.split_last() {
            Some((name, above)) => (name.as_str(), above),
            None => return,
        };
        let text = format!("unknown key `{}`", path_text(path));
        let near = || suggest::nearest(name, registry::names_below(&canonical(above)).into_iter());
        let misplaced = !above.is_empty() && matches!(registry::find(&[name]), Found::Key(_) | Found::Both(_));
        let hint = if misplaced {
            Some(format!("`{name}` is a key of the top: write it above the first `[table]`"))
        } else {
            near().map(|near| {
                let mut known = above.to_vec();
                known.push(near.to_owned());
                format!("did you mean `{}`?", path_text(&known))
            })
        };
        if self.strict {
            let problem = Problem { hint, ..Problem::new("unknown-key", text, node.mark.origin()) };
            self.findings.problems.push(problem);
        } else {
            let origin = Some(node.mark.origin());
            self.findings.notices.push(Notice { code: "unknown-key".into(), text, origin, hint });
        }
    }

    fn typed(&mut self, kind: &Kind, node: &Node, path: &[String]) {
        if let Err(problem) = fits(kind, node, &path_text(path)) {
            self.findings.problems.push(*problem);
        }
    }
}

/// The path that the registry knows a key by: `features.network_proxy.X` is `network.X`.
#[must_use]
pub fn canonical(path: &[String]) -> Vec<String> {
    match path {
        [features, proxy, rest @ ..] if features == "features" && proxy == "network_proxy" && !rest.is_empty() => {
            std::iter::once("network".to_owned()).chain(rest.iter().cloned()).collect()
        }
        _ => path.to_vec(),
    }
}

/// Whether a name can be that of a profile: it becomes a file name.
pub fn profile_name(name: &str, origin: &ringfence_model::origin::Origin) -> Result<(), Problem> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(good) {
        return Ok(());
    }
    let text = format!("`{}` can't be the name of a profile", ringfence_model::text::escape(name));
    Err(Problem::new("profile-name", text, origin.clone()).hint("use letters, digits, `-` and `_`, at most 64"))
}

/// Whether a value is what a key takes.
pub fn fits(kind: &Kind, node: &Node, name: &str) -> Result<(), Box<Problem>> {
    let wrong = || {
        let found = match &node.value {
            Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::Float(_) => shorten(&node.value.to_string()),
            other => other.type_name().to_owned(),
        };
        let text = format!("`{name}` is {found}; expected {}", kind.expected());
        Box::new(Problem::new("wrong-type", text, node.mark.origin()))
    };
    let good = match (kind, &node.value) {
        (Kind::Bool, Value::Bool(_)) | (Kind::Text, Value::Text(_)) => true,
        (Kind::Integer(low, high), Value::Integer(number)) => (low..=high).contains(&number),
        (Kind::Seconds, Value::Integer(number)) => (0..=86_400).contains(number),
        (Kind::Seconds, Value::Float(number)) => (0.0..=86_400.0).contains(number),
        (Kind::Choice(words), Value::Text(text)) => match words.contains(&text.as_str()) {
            true => true,
            false => {
                let near = suggest::nearest(text, words.iter().copied());
                let mut problem = wrong();
                problem.hint = near.map(|near| format!("did you mean \"{near}\"?"));
                return Err(problem);
            }
        },
        (Kind::Size, Value::Integer(number)) => *number > 0,
        (Kind::Size, Value::Text(text)) => text.parse::<ByteSize>().is_ok_and(|size| size.0 > 0),
        (Kind::Duration, Value::Text(text)) => text.parse::<Span>().is_ok_and(|span| !span.0.is_zero()),
        (Kind::Path, Value::Text(text)) => !text.is_empty() && !text.contains('\0'),
        (Kind::AbsolutePath, Value::Text(text)) => absolute(text),
        (Kind::PathGlob, Value::Text(text)) => match text.starts_with("./") || !absolute(text) {
            false => true,
            true => {
                let hint = "relative patterns depend on where a command runs; use `/**/NAME` for anywhere";
                return Err(Box::new(wrong().hint(hint)));
            }
        },
        (Kind::List(inner), Value::List(list)) => {
            for element in list {
                fits(inner, element, name).map_err(|mut problem| {
                    problem.text = format!("in a list: {}", problem.text);
                    problem
                })?;
            }
            true
        }
        (Kind::Map(inner), Value::Table(table)) => {
            for (key, value) in table {
                fits(inner, value, &format!("{name}.{}", path_text(&[key])))?;
            }
            true
        }
        (Kind::Policy, _) => return policy(node, name, wrong),
        (Kind::Exporter, _) => return exporter(node, name, wrong),
        (Kind::Either(kinds), _) => {
            let same_shape = kinds.iter().find(|kind| {
                matches!((kind, &node.value), (Kind::Map(_), Value::Table(_)) | (Kind::List(_), Value::List(_)))
            });
            return match same_shape {
                Some(kind) => fits(kind, node, name),
                None if kinds.iter().any(|kind| fits(kind, node, name).is_ok()) => Ok(()),
                None => Err(wrong()),
            };
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(wrong()) }
}

fn absolute(text: &str) -> bool {
    !text.contains('\0') && (Path::new(text).has_root() || text == "~" || text.starts_with("~/"))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}

const REJECT: &[&str] = &["sandbox_approval", "rules", "mcp_elicitations", "request_permissions", "skill_approval"];

fn policy(node: &Node, name: &str, wrong: impl Fn() -> Box<Problem>) -> Result<(), Box<Problem>> {
    match &node.value {
        Value::Text(text) if ["untrusted", "on-request", "never", "on-failure"].contains(&text.as_str()) => Ok(()),
        Value::Text(text) => {
            let mut problem = wrong();
            problem.hint = suggest::nearest(text, ["untrusted", "on-request", "never", "on-failure"].into_iter())
                .map(|near| format!("did you mean \"{near}\"?"));
            Err(problem)
        }
        Value::Table(table) if table.len() == 1 => {
            let Some((form, inner)) = table.iter().next() else { return Err(wrong()) };
            let Some(fields) = inner.as_table().filter(|_| form == "reject" || form == "granular") else {
                return Err(wrong());
            };
            for (field, value) in fields {
                if !REJECT.contains(&field.as_str()) {
                    let text = format!("unknown field `{field}` of `{name}.{form}`");
                    let mut problem = Problem::new("unknown-key", text, value.mark.origin());
                    problem.hint =
                        suggest::nearest(field, REJECT.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                    return Err(Box::new(problem));
                }
                fits(&Kind::Bool, value, &format!("{name}.{form}.{field}"))?;
            }
            if form == "granular" {
                for field in REJECT.iter().take(3) {
                    if !fields.contains_key(*field) {
                        let text = format!("`{name}.granular` lacks `{field}`");
                        return Err(Box::new(Problem::new("missing-field", text, node.mark.origin())));
                    }
                }
            }
            Ok(())
        }
        _ => Err(wrong()),
    }
}

fn exporter(node: &Node, name: &str, wrong: impl Fn() -> Box<Problem>) -> Result<(), Box<Problem>> {
    match &node.value {
        Value::Text(text) if ["none", "otlp-http", "otlp-grpc"].contains(&text.as_str()) => Ok(()),
        Value::Table(table) if table.len() == 1 => {
            let Some((form, inner)) = table.iter().next() else { return Err(wrong()) };
            let Some(fields) = inner.as_table().filter(|_| form == "otlp-http" || form == "otlp-grpc") else {
                return Err(wrong());
            };
            for (field, value) in fields {
                let kind = match field.as_str() {
                    "endpoint" => Kind::Text,
                    "protocol" if form == "otlp-http" => Kind::Choice(&["binary", "json"]),
                    "headers" => Kind::Map(&Kind::Text),
                    "tls" => Kind::Map(&Kind::Text),
                    _ => {
                        let text = format!("unknown field `{field}` of `{name}.{form}`");
                        return Err(Box::new(Problem::new("unknown-key", text, value.mark.origin())));
                    }
                };
                fits(&kind, value, &format!("{name}.{form}.{field}"))?;
            }
            Ok(())
        }
        _ => Err(wrong()),
    }
}
