//! JSON Schemas of `config.toml` and `requirements.toml`, made from the two key tables.

use crate::registry::{Fallback, KEYS, Kind};
use crate::requirements::keys::{Form, KEYS as REQUIREMENT_KEYS};
use serde_json::{Map, Value, json};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of `config.toml`.
#[must_use]
pub fn config() -> Value {
    let mut root = object();
    for key in KEYS {
        let mut leaf = kind(&key.kind);
        describe(&mut leaf, key.doc, &key.default);
        place(&mut root, &key.path.split('.').collect::<Vec<_>>(), leaf);
    }
    // `[features.network_proxy]` as a table is `[network]`.
    if let Some(network) = root.pointer("/properties/network").cloned()
        && let Some(proxy) = root.pointer_mut("/properties/features/properties/network_proxy")
    {
        let switch = proxy.take();
        *proxy = json!({ "anyOf": [switch, network] });
    }
    let mut profile = root.clone();
    for own in ["profile", "projects"] {
        if let Some(properties) = profile.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove(own);
        }
    }
    let profiles = json!({
        "type": "object",
        "description": "Named sets of settings, chosen with `--profile`.",
        "additionalProperties": { "$ref": "#/$defs/profile" },
    });
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("profiles".into(), profiles);
    }
    finish(root, "config.toml", "Settings of Ringfence.", json!({ "profile": profile }))
}

/// The schema of `requirements.toml`.
#[must_use]
pub fn requirements() -> Value {
    let mut root = object();
    for key in REQUIREMENT_KEYS {
        let mut leaf = match key.kind {
            Form::Plain(plain) => kind(&plain),
            Form::Rules => rules(),
            Form::Identity => json!({ "$ref": "#/$defs/identity" }),
            Form::HostModes => host_modes(),
            Form::Hooks => json!({ "type": "object" }),
            Form::NotApplicable => json!({}),
        };
        describe(&mut leaf, key.doc, &Fallback::Unset);
        if key.path == "hooks.windows_managed_dir" {
            continue;
        }
        if let (Some(least), "allowed_approval_policies" | "allowed_sandbox_modes" | "allowed_approvals_reviewers") =
            (leaf.as_object_mut(), key.path)
        {
            least.insert("minItems".into(), json!(1));
        }
        place(&mut root, &key.path.split('.').collect::<Vec<_>>(), leaf);
    }
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut)
        && let Some(network) = properties.get("experimental_network").cloned()
    {
        properties.insert("network".into(), network);
    }
    let text_match = json!({
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "match": { "enum": ["exact", "prefix", "regex"] }, "value": { "type": "string" } },
                "required": ["match", "value"],
                "additionalProperties": false,
            },
        ],
    });
    let command = json!({
        "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "object",
                "properties": {
                    "executable": { "$ref": "#/$defs/match" },
                    "args": { "type": "array", "items": { "$ref": "#/$defs/match" } },
                },
                "required": ["executable"],
                "additionalProperties": false,
            },
        ],
    });
    let identity = json!({
        "type": "object",
        "properties": { "command": command, "url": { "$ref": "#/$defs/match" } },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    });
    let defs = json!({ "identity": identity, "match": text_match });
    finish(root, "requirements.toml", "An administrator's constraints on Ringfence.", defs)
}

fn finish(mut root: Value, name: &str, description: &str, defs: Value) -> Value {
    if let Some(map) = root.as_object_mut() {
        map.insert("$schema".into(), json!(DRAFT));
        map.insert(
            "$id".into(),
            json!(format!("https://ringfence.dev/schema/{}.json", name.trim_end_matches(".toml"))),
        );
        map.insert("title".into(), json!(name));
        map.insert("description".into(), json!(description));
        map.insert("$defs".into(), defs);
    }
    root
}

fn object() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// Puts a leaf at a path; `*` is any name.
fn place(node: &mut Value, path: &[&str], leaf: Value) {
    let Some((first, rest)) = path.split_first() else {
        merge(node, leaf);
        return;
    };
    let Some(map) = node.as_object_mut() else { return };
    let next = match *first {
        "*" => {
            let any = map.entry("additionalProperties").or_insert(Value::Bool(false));
            if any.is_boolean() {
                *any = if rest.is_empty() { json!({}) } else { object() };
            }
            any
        }
        name => {
            let properties = map.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            let Some(properties) = properties.as_object_mut() else { return };
            properties.entry(name).or_insert_with(|| if rest.is_empty() { json!({}) } else { object() })
        }
    };
    place(next, rest, leaf);
}

fn merge(node: &mut Value, leaf: Value) {
    match (node.as_object_mut(), leaf) {
        (Some(map), Value::Object(leaf)) => map.extend(leaf),
        (_, leaf) => *node = leaf,
    }
}

fn describe(leaf: &mut Value, doc: &str, default: &Fallback) {
    let Some(map) = leaf.as_object_mut() else { return };
    map.insert("description".into(), json!(doc));
    let value = match default {
        Fallback::Unset => return,
        Fallback::Bool(value) => json!(value),
        Fallback::Integer(value) => json!(value),
        Fallback::Text(text) => json!(text),
        Fallback::Texts(texts) => json!(texts),
        Fallback::EmptyList => json!([]),
        Fallback::EmptyTable => json!({}),
        Fallback::Depends(text) => {
            map.insert("description".into(), json!(format!("{doc} Default: {text}.")));
            return;
        }
    };
    map.insert("default".into(), value);
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer(low, high) if *high == i64::MAX => json!({ "type": "integer", "minimum": low }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Seconds => json!({ "type": "number", "minimum": 0, "maximum": 86_400 }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Size => json!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?$" },
            ],
        }),
        Kind::Duration => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$" }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::AbsolutePath => json!({ "type": "string", "pattern": "^(/|~$|~/|[A-Za-z]:[\\\\/])" }),
        Kind::PathGlob => json!({ "type": "string", "pattern": "^(/|~$|~/|[A-Za-z]:[\\\\/])" }),
        Kind::List(inner) => json!({ "type": "array", "items": kind(inner) }),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": kind(inner) }),
        Kind::Policy => policy(),
        Kind::Exporter => exporter(),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
    }
}

fn policy() -> Value {
    let fields: Map<String, Value> =
        ["sandbox_approval", "rules", "mcp_elicitations", "request_permissions", "skill_approval"]
            .into_iter()
            .map(|field| (field.to_owned(), json!({ "type": "boolean" })))
            .collect();
    let form = |required: &[&str]| json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false });
    json!({
        "anyOf": [
            { "enum": ["untrusted", "on-request", "never", "on-failure"] },
            {
                "type": "object",
                "properties": {
                    "reject": form(&[]),
                    "granular": form(&["sandbox_approval", "rules", "mcp_elicitations"]),
                },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
            },
        ],
    })
}

fn exporter() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let target = |protocol: bool| {
        let mut properties = Map::new();
        properties.insert("endpoint".into(), json!({ "type": "string" }));
        properties.insert("headers".into(), texts.clone());
        properties.insert("tls".into(), texts.clone());
        if protocol {
            properties.insert("protocol".into(), json!({ "enum": ["binary", "json"] }));
        }
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    };
    json!({
        "anyOf": [
            { "enum": ["none", "otlp-http", "otlp-grpc"] },
            {
                "type": "object",
                "properties": { "otlp-http": target(true), "otlp-grpc": target(false) },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
            },
        ],
    })
}

fn rules() -> Value {
    let token = json!({ "type": "string", "minLength": 1 });
    let element = json!({
        "type": "object",
        "properties": { "token": token, "any_of": { "type": "array", "minItems": 1, "items": token } },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    });
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "pattern": { "type": "array", "minItems": 1, "items": element },
                "decision": { "enum": ["prompt", "forbidden"] },
                "justification": { "type": "string", "minLength": 1 },
            },
            "required": ["pattern", "decision"],
            "additionalProperties": false,
        },
    })
}

fn host_modes() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "hostname_patterns": { "type": "array", "items": { "type": "string" } },
                "allowed_sandbox_modes": {
                    "type": "array",
                    "minItems": 1,
                    "items": { "enum": ["read-only", "workspace-write", "danger-full-access"] },
                },
            },
            "required": ["hostname_patterns", "allowed_sandbox_modes"],
            "additionalProperties": false,
        },
    })
}
