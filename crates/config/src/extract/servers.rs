//! `[mcp_servers]` and `[otel]` → typed settings.

use super::{Reader, texts_of};
use crate::error::Problem;
use crate::node::{Node, Value, path_text};
use ringfence_model::mode::SandboxMode;
use ringfence_model::origin::{Layer, Sourced};
use ringfence_model::settings::{
    McpSandbox, McpServer, McpTransport, OtelExporter, OtelSettings, OtlpTarget, ToolApproval,
};
use ringfence_model::units::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// `[mcp_servers]`.
pub fn servers(reader: &mut Reader<'_>) -> BTreeMap<String, McpServer> {
    let table = reader.get("mcp_servers").and_then(Node::as_table);
    let mut servers = BTreeMap::new();
    for (name, node) in table.into_iter().flatten() {
        // A project may say `enabled = false` of a server that nobody configured.
        let only_project = node.as_table().is_some_and(|fields| {
            fields.values().all(|field| field.mark.layer() == Layer::Project)
                && !fields.contains_key("command")
                && !fields.contains_key("url")
        });
        if only_project {
            continue;
        }
        match server(reader, name, node) {
            Ok(server) => drop(servers.insert(name.clone(), server)),
            Err(why) => {
                let text = format!("`mcp_servers.{}` {why}", path_text(&[name]));
                reader.problems.push(Problem::new("mcp-server", text, node.mark.origin()));
            }
        }
    }
    servers
}

fn server(reader: &mut Reader<'_>, name: &str, node: &Node) -> Result<McpServer, &'static str> {
    let field = |path: &[&str]| node.at(path);
    let text = |path: &[&str]| field(path).and_then(Node::as_str).map(str::to_owned);
    let list = |path: &[&str]| {
        let texts = field(path).map(texts_of).unwrap_or_default();
        texts.into_iter().map(|text| text.value).collect::<Vec<_>>()
    };
    let key = |field: &str| format!("mcp_servers.{}.{field}", path_text(&[name]));
    let flag = |name: &str, default: bool| match field(&[name]) {
        Some(node) => Sourced::new(node.as_bool().unwrap_or(default), node.mark.origin()),
        None => Sourced::default_of(default, &key(name)),
    };
    let transport = match (field(&["command"]), field(&["url"])) {
        (Some(command), None) => McpTransport::Program {
            command: Sourced::new(command.as_str().unwrap_or_default().to_owned(), command.mark.origin()),
            args: list(&["args"]),
            env: strings(field(&["env"])),
            env_vars: list(&["env_vars"]),
            cwd: text(&["cwd"]),
        },
        (None, Some(url)) => McpTransport::Url {
            url: Sourced::new(url.as_str().unwrap_or_default().to_owned(), url.mark.origin()),
            bearer_token_env_var: text(&["bearer_token_env_var"]),
        },
        _ => return Err("needs exactly one of `command` and `url`"),
    };
    let tools = field(&["tools"]).and_then(Node::as_table).into_iter().flatten();
    let roots = field(&["sandbox", "writable_roots"]).and_then(Node::as_list).unwrap_or(&[]);
    Ok(McpServer {
        transport,
        enabled: flag("enabled", true),
        trusted: flag("trusted", false),
        enabled_tools: field(&["enabled_tools"]).map(|node| Sourced::new(list(&["enabled_tools"]), node.mark.origin())),
        disabled_tools: field(&["disabled_tools"]).map(texts_of).unwrap_or_default(),
        startup_timeout: seconds(field(&["startup_timeout_sec"]), 10, &key("startup_timeout_sec")),
        tool_timeout: seconds(field(&["tool_timeout_sec"]), 60, &key("tool_timeout_sec")),
        default_approval: field(&["default_tools_approval_mode"]).and_then(approval),
        tools: tools.filter_map(|(name, node)| Some((name.clone(), approval(node.at(&["approval_mode"])?)?))).collect(),
        sandbox: McpSandbox {
            mode: match field(&["sandbox", "mode"])
                .and_then(|node| Some(Sourced::new(SandboxMode::from_name(node.as_str()?)?, node.mark.origin())))
            {
                Some(mode) => mode,
                None => Sourced::default_of(SandboxMode::ReadOnly, &key("sandbox.mode")),
            },
            writable_roots: roots.iter().filter_map(|root| reader.path(root)).collect(),
            network: field(&["sandbox", "network"]).map(texts_of).unwrap_or_default(),
        },
        origin: node.mark.origin(),
    })
}

fn approval(node: &Node) -> Option<Sourced<ToolApproval>> {
    let approval = match node.as_str()? {
        "auto" => ToolApproval::Auto,
        "prompt" => ToolApproval::Prompt,
        "approve" => ToolApproval::Approve,
        _ => return None,
    };
    Some(Sourced::new(approval, node.mark.origin()))
}

fn seconds(node: Option<&Node>, default: u64, key: &str) -> Sourced<Span> {
    let read = |node: &Node| match node.value {
        Value::Integer(number) => u64::try_from(number).ok().map(Duration::from_secs),
        Value::Float(number) => Duration::try_from_secs_f64(number).ok(),
        _ => None,
    };
    match node.and_then(|node| Some(Sourced::new(Span(read(node)?), node.mark.origin()))) {
        Some(span) => span,
        None => Sourced::default_of(Span(Duration::from_secs(default)), key),
    }
}

fn strings(node: Option<&Node>) -> BTreeMap<String, String> {
    let table = node.and_then(Node::as_table);
    table.into_iter().flatten().filter_map(|(name, node)| Some((name.clone(), node.as_str()?.to_owned()))).collect()
}

/// `[otel]`.
pub fn otel(reader: &Reader<'_>) -> OtelSettings {
    let exporter = |path: &str| match reader.get(path) {
        Some(node) => Sourced::new(exporter(node), node.mark.origin()),
        None => Sourced::default_of(OtelExporter::None, path),
    };
    OtelSettings {
        environment: reader
            .text("otel.environment")
            .unwrap_or_else(|| Sourced::default_of("dev".into(), "otel.environment")),
        exporter: exporter("otel.exporter"),
        trace_exporter: exporter("otel.trace_exporter"),
        metrics_exporter: exporter("otel.metrics_exporter"),
        log_user_prompt: reader.flag("otel.log_user_prompt"),
    }
}

fn exporter(node: &Node) -> OtelExporter {
    let (form, fields) = match &node.value {
        Value::Text(form) => (form.as_str(), None),
        Value::Table(table) => match table.iter().next() {
            Some((form, fields)) => (form.as_str(), Some(fields)),
            None => return OtelExporter::None,
        },
        _ => return OtelExporter::None,
    };
    let text = |path: &[&str]| fields.and_then(|node| node.at(path)).and_then(Node::as_str).map(str::to_owned);
    let target = OtlpTarget {
        endpoint: text(&["endpoint"]),
        json: text(&["protocol"]).as_deref() == Some("json"),
        headers: strings(fields.and_then(|node| node.at(&["headers"]))),
        tls_ca: text(&["tls", "ca-certificate"]),
        tls_cert: text(&["tls", "client-certificate"]),
        tls_key: text(&["tls", "client-private-key"]),
    };
    match form {
        "otlp-http" => OtelExporter::OtlpHttp(target),
        "otlp-grpc" => OtelExporter::OtlpGrpc(target),
        _ => OtelExporter::None,
    }
}
