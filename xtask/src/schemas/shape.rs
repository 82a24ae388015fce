//! Words that schemas are made of.

use serde_json::{Map, Value, json};

/// A schema under construction: fields, and which of them are always there.
pub(super) struct Shape {
    fields: Map<String, Value>,
    required: Vec<&'static str>,
}

pub(super) fn shape() -> Shape {
    Shape { fields: Map::new(), required: Vec::new() }
}

impl Shape {
    /// A field that is always there.
    pub(super) fn has(mut self, name: &'static str, value: Value) -> Self {
        self.required.push(name);
        self.may(name, value)
    }

    /// A field that may be left out.
    pub(super) fn may(mut self, name: &'static str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    pub(super) fn end(self) -> Value {
        json!({ "type": "object", "properties": self.fields, "required": self.required })
    }
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn word(words: &[&str]) -> Value {
    json!({ "enum": words })
}

pub(super) fn number() -> Value {
    json!({ "type": "integer" })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub(super) fn texts() -> Value {
    list(text())
}

pub(super) fn or_null(of: Value) -> Value {
    json!({ "anyOf": [of, { "type": "null" }] })
}

pub(super) fn either(of: &[Value]) -> Value {
    json!({ "anyOf": of })
}

pub(super) fn anything() -> Value {
    json!({})
}

pub(super) fn open(what: &str) -> Value {
    json!({ "type": "object", "description": what, "additionalProperties": true })
}

pub(super) fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

pub(super) fn origin() -> Value {
    refer("origin")
}

pub(super) fn os_text() -> Value {
    refer("os_text")
}

/// A value with its origin.
pub(super) fn sourced(value: Value) -> Value {
    shape().has("value", value).has("origin", origin()).end()
}

pub(super) const TIERS: &[&str] = &["namespaces", "bwrap", "landlock", "seatbelt", "windows", "unconfined"];
pub(super) const MODES: &[&str] = &["read-only", "workspace-write", "danger-full-access"];
pub(super) const VERDICTS: &[&str] = &["run", "ask", "refuse"];
