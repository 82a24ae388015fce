//! Anthropic's sandbox runtime: `~/.srt-settings.json`.
//!
//! Its world: network off except for listed domains, writes off except for listed paths, reads on except for listed paths;
//! no questions at all. So the policy is `never` inside a profile with the same paths.

use crate::draft::{Access, Draft};
use crate::node::{Field, Node};
use crate::path::{self, Base};
use crate::report::{Carried, Src};
use crate::{Agent, ImportError, Parsed, Role};

pub(crate) fn import(files: &[Parsed<'_>]) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Agent::Srt);
    let whole =
        Src::new(files.first().map_or("~/.srt-settings.json", |file| file.name), 0, "sandbox-runtime never asks");
    draft.approval = Some(("never", whole));
    for file in files {
        for Field { name, line, node } in file.root.fields() {
            let src = Src::new(file.name, *line, format!("{name} = {}", node.summary()));
            match name.as_str() {
                "network" => network(&mut draft, file.name, node, "network")?,
                "filesystem" => filesystem(&mut draft, file.name, file.role, node, Base::Workspace, "filesystem")?,
                "credentials" => credentials(&mut draft, file.name, file.role, node, Base::Workspace)?,
                "ignoreViolations" => {
                    draft.tell(&src, Carried::Narrowed, "denials are always shown; this hid some");
                }
                "enableWeakerNestedSandbox" | "enableWeakerNetworkIsolation" | "allowAppleEvents" | "allowPty" => {
                    weakening(&mut draft, node, &src);
                }
                "$schema" => {}
                _ => {
                    draft.tell(&src, Carried::NotCarried, "it concerns how sandbox-runtime works, or isn't known here")
                }
            }
        }
    }
    Ok(draft)
}

fn weakening(draft: &mut Draft, node: &Node, src: &Src) {
    match node.as_bool() {
        Some(false) => draft.tell(src, Carried::Exactly, ""),
        _ => draft.tell(src, Carried::Narrowed, "it weakens the sandbox, and Ringfence has no such switch"),
    }
}

/// The `network` block; Claude Code's `sandbox.network` is the same.
pub(crate) fn network(draft: &mut Draft, file: &str, block: &Node, at: &str) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let key = format!("{at}.{name}");
        match name.as_str() {
            "allowedDomains" => {
                for (text, src) in texts(node, file, &key)? {
                    match domain(text) {
                        Some(pattern) => {
                            let why =
                                if pattern.contains(':') { "" } else { "ports 80 and 443 only; the source allows all" };
                            let carried = if why.is_empty() { Carried::Exactly } else { Carried::Narrowed };
                            draft.domain(pattern, true, &src);
                            draft.tell(&src, carried, why);
                        }
                        None => draft.tell(&src, Carried::NotCarried, "this isn't a domain pattern here"),
                    }
                }
            }
            "deniedDomains" => {
                for (text, src) in texts(node, file, &key)? {
                    deny_domain(draft, text, &src);
                }
            }
            "allowUnixSockets" => {
                for (_, src) in texts(node, file, &key)? {
                    let why = "on Linux the source ignores it and blocks the socket; add it to `allow_unix_sockets` if it is meant";
                    draft.tell(&src, Carried::Narrowed, why);
                }
            }
            "allowLocalBinding" => {
                let src = Src::new(file, *line, format!("{key} = {}", node.summary()));
                let (carried, why) = match node.as_bool() {
                    Some(false) => (Carried::Exactly, ""),
                    _ => (Carried::Narrowed, "loopback inside the sandbox always works; the host's stays out of reach"),
                };
                draft.tell(&src, carried, why);
            }
            "allowManagedDomainsOnly" => {}
            "deniedResolvedAddresses" => {
                for (_, src) in texts(node, file, &key)? {
                    let why = "names that resolve to private or local addresses are blocked anyway; public ranges can't be listed";
                    draft.tell(&src, Carried::NotCarried, why);
                }
            }
            _ => {
                let src = Src::new(file, *line, format!("{key} = {}", node.summary()));
                let why = "left out; what it opens or redirects stays as it is without it";
                draft.tell(&src, Carried::Narrowed, why);
            }
        }
    }
    Ok(())
}

/// Denies a host, on every port: the source's denial without a port means all.
fn deny_domain(draft: &mut Draft, text: &str, src: &Src) {
    let (host, _) = split_port(text);
    if host == "*" {
        draft.forbid_domains(src);
        return draft.tell(src, Carried::Narrowed, "no host is allowed at all");
    }
    match domain(text) {
        Some(pattern) => {
            let narrowed = pattern.contains(':') && !pattern.starts_with('[');
            let pattern = if narrowed {
                pattern.rsplit_once(':').map_or(pattern.clone(), |(host, _)| host.to_owned())
            } else {
                pattern
            };
            draft.domain(format!("{pattern}:*"), false, src);
            let (carried, why) = match narrowed {
                true => (Carried::Narrowed, "denied on every port"),
                false => (Carried::Exactly, ""),
            };
            draft.tell(src, carried, why);
        }
        None => {
            draft.forbid_domains(src);
            draft.tell(src, Carried::NotCarried, "this isn't a domain pattern here; no host is allowed instead");
        }
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') =>
        {
            (host, Some(port))
        }
        _ => (text, None),
    }
}

/// A host pattern that both sides read alike: a name, `*.` and a name, or an IPv4 address, perhaps with a port.
pub(crate) fn domain(text: &str) -> Option<String> {
    let (host, port) = split_port(text.trim());
    let name = host.strip_prefix("*.").unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let single = !name.contains('.') && name != "localhost";
    if name.len() > 253 || !name.split('.').all(label) || (host.starts_with("*.") && single) {
        return None;
    }
    let port = match port {
        Some(port) => format!(":{}", port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => String::new(),
    };
    Some(format!("{}{name}{port}", if host.starts_with("*.") { "*." } else { "" }))
}

/// The `filesystem` block; Claude Code's `sandbox.filesystem` is the same.
pub(crate) fn filesystem(
    draft: &mut Draft,
    file: &str,
    role: Role,
    block: &Node,
    base: Base<'_>,
    at: &str,
) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let key = format!("{at}.{name}");
        let access = match name.as_str() {
            "denyRead" => Access::Deny,
            "denyWrite" => Access::Read,
            "allowRead" => Access::Reopen,
            "allowWrite" => Access::Write,
            "allowManagedReadPathsOnly" => continue,
            "allowGitConfig" | "mandatoryDenySearchDepth" | "disabled" => {
                let src = Src::new(file, *line, format!("{key} = {}", node.summary()));
                draft.tell(&src, Carried::Narrowed, "left out; Git's configuration and protected paths stay read-only");
                continue;
            }
            _ => {
                let src = Src::new(file, *line, format!("{key} = {}", node.summary()));
                draft.tell(&src, Carried::NotCarried, "this key isn't known here");
                continue;
            }
        };
        for (text, src) in texts(node, file, &key)? {
            draft.path(path::read(text, base, false), access, role, &src);
        }
    }
    Ok(())
}

/// The `credentials` block: files and variables that a command must not see.
pub(crate) fn credentials(
    draft: &mut Draft,
    file: &str,
    role: Role,
    block: &Node,
    base: Base<'_>,
) -> Result<(), ImportError> {
    for Field { name, line, node } in block.fields() {
        let items = node.as_list().unwrap_or(&[]);
        match name.as_str() {
            "files" => {
                for item in items {
                    let shown = item.get("path").and_then(Node::as_str).unwrap_or_default();
                    let src = Src::new(file, item.line, format!("credentials.files {shown}"));
                    draft.path(path::read(shown, base, false), Access::Deny, role, &src);
                }
            }
            "envVars" => {
                for item in items {
                    let shown = item.get("name").and_then(Node::as_str).unwrap_or_default();
                    let src = Src::new(file, item.line, format!("credentials.envVars {shown}"));
                    exclude_variable(draft, shown, &src);
                }
            }
            _ => {
                let src = Src::new(file, *line, format!("credentials.{name}"));
                draft.tell(&src, Carried::NotCarried, "Ringfence's `[network.secrets]` is set up by hand");
            }
        }
    }
    Ok(())
}

/// Keeps a variable from commands.
pub(crate) fn exclude_variable(draft: &mut Draft, name: &str, src: &Src) {
    // A name is a pattern here: one with wildcards excludes more, which is no harm.
    if name.is_empty() || name.chars().any(char::is_control) {
        return draft.tell(src, Carried::NotCarried, "this isn't the name of a variable");
    }
    draft.config.push(&["shell_environment_policy"], "exclude", crate::doc::text(name), src);
    draft.tell(src, Carried::Exactly, "");
}

/// The texts of a list, each with its place; anything else in a list that restricts is an error, not an absence.
pub(crate) fn texts<'n>(node: &'n Node, file: &str, key: &str) -> Result<Vec<(&'n str, Src)>, ImportError> {
    let error = |line| ImportError::Type {
        file: file.to_owned(),
        line,
        key: ringfence_model::text::escape(key),
        expected: "a list of texts",
    };
    let items = node.as_list().ok_or_else(|| error(node.line))?;
    items
        .iter()
        .map(|item| {
            let text = item.as_str().ok_or_else(|| error(item.line))?;
            Ok((text, Src::new(file, item.line, format!("{key} \"{text}\""))))
        })
        .collect()
}
