//! `[network]` → typed settings. Whether commands have network at all is decided with the mode.

use super::{Reader, texts_of};
use crate::error::Problem;
use crate::node::{Node, Table, Value};
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::path::AbsPath;
use ringfence_model::settings::{ManagedNetwork, NetworkSecret, NetworkSettings, ProxyMode, SecretPlace, SecretSource};

/// Reads the section. `access` is off; the caller decides it.
pub fn network(reader: &mut Reader<'_>) -> NetworkSettings {
    let (mut allow, mut deny) = (reader.texts("network.allowed_domains"), reader.texts("network.denied_domains"));
    if let Some(domains) = reader.get("network.domains").and_then(Node::as_table) {
        split_domains(domains, &mut allow, &mut deny);
    }
    let presets = reader.texts("network.presets").into_iter().filter(|preset| preset.value != "none").collect();
    NetworkSettings {
        access: Sourced::default_of(false, "sandbox_workspace_write.network_access"),
        proxy: reader.flag("network.enabled"),
        allow_local_binding: reader.flag("network.allow_local_binding"),
        managed: ManagedNetwork {
            allow,
            deny,
            presets,
            mode: reader.word("network.mode", ProxyMode::Full, |word| match word {
                "limited" => Some(ProxyMode::Limited),
                "full" => Some(ProxyMode::Full),
                _ => None,
            }),
            methods: methods(reader),
            paths: paths(reader),
            unix_sockets: sockets(reader, "network.unix_sockets"),
            enable_socks5: reader.flag("network.enable_socks5"),
            enable_socks5_udp: reader.flag("network.enable_socks5_udp"),
            allow_upstream_proxy: reader.flag("network.allow_upstream_proxy"),
            allow_sni_mismatch: reader.texts("network.allow_sni_mismatch"),
            dangerously_allow_non_loopback_proxy: reader.flag("network.dangerously_allow_non_loopback_proxy"),
            intercept: reader.texts("network.tls.intercept"),
            tunnel_pinned: reader.flag("network.tls.tunnel_pinned"),
            secrets: secrets(reader),
            transparent: reader.flag("network.transparent"),
            managed_domains_only: None,
            http_port: port(reader, "network.http_port", 3128),
            socks_port: port(reader, "network.socks_port", 8081),
        },
    }
}

/// Sorts a table of domain rules into allowed and denied patterns.
pub fn split_domains(domains: &Table, allow: &mut Vec<Sourced<String>>, deny: &mut Vec<Sourced<String>>) {
    for (pattern, node) in domains {
        let entry = Sourced::new(pattern.clone(), node.mark.origin());
        if node.as_str() == Some("allow") { allow.push(entry) } else { deny.push(entry) }
    }
}

/// The sockets of a table that are allowed.
pub fn sockets(reader: &mut Reader<'_>, path: &str) -> Vec<Sourced<AbsPath>> {
    let table = reader.get(path).and_then(Node::as_table);
    let allowed = table.into_iter().flatten().filter(|(_, node)| node.as_str() == Some("allow"));
    allowed
        .filter_map(|(socket, node)| reader.path(&Node::new(Value::Text(socket.clone()), node.mark.clone())))
        .collect()
}

fn paths(reader: &Reader<'_>) -> Vec<(Sourced<String>, Vec<String>)> {
    let table = reader.get("network.paths").and_then(Node::as_table);
    let read = |(pattern, node): (&String, &Node)| {
        let prefixes = texts_of(node).into_iter().map(|prefix| prefix.value).collect();
        (Sourced::new(pattern.clone(), node.mark.origin()), prefixes)
    };
    table.into_iter().flatten().map(read).collect()
}

fn methods(reader: &Reader<'_>) -> Vec<(Sourced<String>, Vec<String>)> {
    let table = reader.get("network.methods").and_then(Node::as_table);
    let read = |(pattern, node): (&String, &Node)| {
        let methods = texts_of(node).into_iter().map(|method| method.value.to_ascii_uppercase()).collect();
        (Sourced::new(pattern.clone(), node.mark.origin()), methods)
    };
    table.into_iter().flatten().map(read).collect()
}

fn port(reader: &Reader<'_>, path: &str, default: u16) -> Sourced<u16> {
    match reader.integer(path).and_then(|port| Some(Sourced::new(u16::try_from(port.value).ok()?, port.origin))) {
        Some(port) => port,
        None => Sourced::default_of(default, path),
    }
}

fn secrets(reader: &mut Reader<'_>) -> Vec<NetworkSecret> {
    let table = reader.get("network.secrets").and_then(Node::as_table);
    let mut secrets = Vec::new();
    for (name, node) in table.into_iter().flatten() {
        match secret(reader, name, node) {
            Ok(secret) => secrets.push(secret),
            Err(text) => {
                let text = format!("`network.secrets.{}` {text}", crate::node::path_text(&[name]));
                reader.problems.push(Problem::new("secret", text, node.mark.origin()));
            }
        }
    }
    secrets
}

fn secret(reader: &mut Reader<'_>, name: &str, node: &Node) -> Result<NetworkSecret, &'static str> {
    let text = |field: &str| node.at(&[field]).and_then(Node::as_str).map(str::to_owned);
    let list = |field: &str| {
        let texts = node.at(&[field]).map(texts_of).unwrap_or_default();
        texts.into_iter().map(|text| text.value).collect::<Vec<_>>()
    };
    let file = node.at(&["file"]).and_then(|file| reader.path(file)).map(|file| file.value);
    let source = match (text("env"), file, list("command")) {
        (Some(name), None, command) if command.is_empty() => SecretSource::Env(name),
        (None, Some(file), command) if command.is_empty() => SecretSource::File(file),
        (None, None, command) if !command.is_empty() => SecretSource::Command(command),
        _ => return Err("needs exactly one of `env`, `file` and `command`"),
    };
    let place = match (text("header"), text("query"), text("basic")) {
        (Some(header), None, None) => SecretPlace::Header(header),
        (None, Some(query), None) => SecretPlace::Query(query),
        (None, None, Some(user)) => SecretPlace::Basic(user),
        _ => return Err("needs exactly one of `header`, `query` and `basic`"),
    };
    let hosts = list("hosts");
    if hosts.is_empty() {
        return Err("needs `hosts`: the only ones it may be sent to");
    }
    let origin: Origin = node.mark.origin();
    Ok(NetworkSecret { name: name.to_owned(), source, hosts, place, origin })
}
