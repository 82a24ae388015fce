//! What an MCP server must be: reading identities, and comparing a configured server with one.

use super::rules::known;
use super::wrong;
use crate::error::Problem;
use crate::node::{Node, Value};
use regex_lite::{Regex, RegexBuilder};
use ringfence_model::requirements::{McpIdentity, TextMatch};
use ringfence_model::settings::McpTransport;

/// Reads `identity`.
pub fn read(node: &Node, name: &str) -> Result<McpIdentity, Problem> {
    let expected = || wrong(format!("`{name}` must be a table with exactly one of `command` and `url`"), node);
    let table = node.as_table().ok_or_else(expected)?;
    known(table, &["command", "url"], name)?;
    match (table.get("command"), table.get("url")) {
        (Some(command), None) => match &command.value {
            Value::Text(text) if !text.is_empty() => Ok(McpIdentity::Command(text.clone())),
            Value::Table(fields) => {
                known(fields, &["executable", "args"], &format!("{name}.command"))?;
                let executable = fields.get("executable").ok_or_else(|| {
                    let text = format!("`{name}.command` lacks `executable`");
                    Problem::new("missing-field", text, command.mark.origin())
                })?;
                let args = match fields.get("args") {
                    None => None,
                    Some(args) => {
                        let list = args
                            .as_list()
                            .ok_or_else(|| wrong(format!("`{name}.command.args` must be a list"), args))?;
                        Some(list.iter().map(|arg| text_match(arg, name)).collect::<Result<_, _>>()?)
                    }
                };
                Ok(McpIdentity::Program { executable: text_match(executable, name)?, args })
            }
            _ => Err(expected()),
        },
        (None, Some(url)) => Ok(McpIdentity::Url(text_match(url, name)?)),
        _ => Err(expected()),
    }
}

/// Text, or `{ match = "exact" | "prefix" | "regex", value = "…" }`.
fn text_match(node: &Node, name: &str) -> Result<TextMatch, Problem> {
    let expected = || {
        let text = format!(
            "a matcher of `{name}` must be a string, or a table with `match` (\"exact\", \"prefix\" or \"regex\") and `value`"
        );
        wrong(text, node)
    };
    match &node.value {
        Value::Text(text) => Ok(TextMatch::Exact(text.clone())),
        Value::Table(table) => {
            known(table, &["match", "value"], name)?;
            let value = table.get("value").and_then(Node::as_str).ok_or_else(expected)?.to_owned();
            match table.get("match").and_then(Node::as_str) {
                Some("exact") => Ok(TextMatch::Exact(value)),
                Some("prefix") if value.is_empty() => {
                    Err(wrong(format!("an empty prefix in `{name}` would match everything"), node))
                }
                Some("prefix") => Ok(TextMatch::Prefix(value)),
                Some("regex") => match whole(&value) {
                    Some(_) => Ok(TextMatch::Regex(value)),
                    None => Err(wrong(
                        format!("`{}` isn't a regular expression", ringfence_model::text::escape(&value)),
                        node,
                    )),
                },
                _ => Err(expected()),
            }
        }
        _ => Err(expected()),
    }
}

/// The expression, to match the whole of a text. It must be one by itself too, so that it can't close our group.
fn whole(expression: &str) -> Option<Regex> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(1 << 20).build().ok();
    build(expression)?;
    build(&format!(r"\A(?:{expression})\z"))
}

fn matches(matcher: &TextMatch, text: &str) -> bool {
    match matcher {
        TextMatch::Exact(exact) => text == exact,
        TextMatch::Prefix(prefix) => text.starts_with(prefix.as_str()),
        TextMatch::Regex(expression) => whole(expression).is_some_and(|regex| regex.is_match(text)),
    }
}

/// Whether a configured server is what an identity says.
#[must_use]
pub fn fits(identity: &McpIdentity, transport: &McpTransport) -> bool {
    match (identity, transport) {
        (McpIdentity::Command(wanted), McpTransport::Program { command, .. }) => *wanted == command.value,
        (McpIdentity::Program { executable, args: wanted }, McpTransport::Program { command, args, .. }) => {
            matches(executable, &command.value)
                && wanted.as_ref().is_none_or(|wanted| {
                    wanted.len() == args.len() && wanted.iter().zip(args).all(|(wanted, arg)| matches(wanted, arg))
                })
        }
        (McpIdentity::Url(wanted), McpTransport::Url { url, .. }) => matches(wanted, &url.value),
        _ => false,
    }
}
