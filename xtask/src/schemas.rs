//! The JSON Schemas of the documents that `--json`, reports and the journal print. `crates/cli/tests/documents.rs` holds
//! what the program really prints against them: a field that stands in no schema fails there.

use serde_json::{Map, Value, json};

/// A schema under construction: fields, and which of them are always there.
struct Shape {
    fields: Map<String, Value>,
    required: Vec<&'static str>,
}

fn shape() -> Shape {
    Shape { fields: Map::new(), required: Vec::new() }
}

impl Shape {
    /// A field that is always there.
    fn has(mut self, name: &'static str, value: Value) -> Self {
        self.required.push(name);
        self.may(name, value)
    }

    /// A field that may be left out.
    fn may(mut self, name: &'static str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    fn end(self) -> Value {
        json!({ "type": "object", "properties": self.fields, "required": self.required })
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn word(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn number() -> Value {
    json!({ "type": "integer" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn texts() -> Value {
    list(text())
}

fn or_null(of: Value) -> Value {
    json!({ "anyOf": [of, { "type": "null" }] })
}

fn either(of: &[Value]) -> Value {
    json!({ "anyOf": of })
}

fn anything() -> Value {
    json!({})
}

fn open(what: &str) -> Value {
    json!({ "type": "object", "description": what, "additionalProperties": true })
}

fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn origin() -> Value {
    refer("origin")
}

fn os_text() -> Value {
    refer("os_text")
}

/// A value with its origin.
fn sourced(value: Value) -> Value {
    shape().has("value", value).has("origin", origin()).end()
}

const TIERS: &[&str] = &["namespaces", "bwrap", "landlock", "seatbelt", "windows", "unconfined"];
const MODES: &[&str] = &["read-only", "workspace-write", "danger-full-access"];
const VERDICTS: &[&str] = &["run", "ask", "refuse"];

/// What several documents share.
fn definition(name: &str) -> Value {
    match name {
        "os_text" => json!({ "description": "a path or argument; what isn't UTF-8 as hexadecimal bytes",
            "anyOf": [{ "type": "string" }, shape().has("hex", text()).end()] }),
        "origin" => json!({ "description": "where a value was set", "anyOf": [
            shape().has("file", os_text()).may("line", number()).may("column", number()).has("layer", text()).end(),
            shape().has("flag", text()).end(),
            shape().has("preference", text()).may("line", number()).has("layer", text()).end(),
            shape().has("cloud", text()).has("version", number()).may("line", number()).end(),
            shape().has("builtin", text()).end(),
            shape().has("grant", text()).end(),
            shape().has("host", text()).end(),
        ] }),
        "reason" => {
            shape().has("kind", text()).has("text", text()).has("source", origin()).has("would_change", texts()).end()
        }
        "notice" => shape()
            .has("code", text())
            .has("text", text())
            .may("origin", or_null(origin()))
            .may("hint", or_null(text()))
            .end(),
        "denial" => shape()
            .has("id", text())
            .has(
                "kind",
                word(&[
                    "fs-write",
                    "fs-read",
                    "protected-path",
                    "network",
                    "unix-socket",
                    "process",
                    "syscall",
                    "limit",
                ]),
            )
            .has("target", text())
            .has("operation", text())
            .has("rule", text())
            .has("origin", origin())
            .has("evidence", word(&["broker", "kernel-audit", "proxy", "trace", "guess"]))
            .has("allow_with", texts())
            .end(),
        "exit" => either(&[
            shape().has("code", number()).end(),
            shape().has("signal", number()).end(),
            word(&["timeout"]),
            shape().has("limit", word(&["memory", "processes", "open-files", "file-size", "cpu-time", "output"])).end(),
        ]),
        "not_held" => {
            shape().has("promise", text()).has("weakened", flag()).has("why", text()).has("remedy", text()).end()
        }
        "shortfall" => shape()
            .has("promise", text())
            .has("weakened", flag())
            .has("what", text())
            .has("why", text())
            .has("remedy", text())
            .has("origin", origin())
            .end(),
        "tried" => shape()
            .has("found", word(&["works", "fails", "untried"]))
            .may("why", text())
            .may("remedy", or_null(text()))
            .end(),
        "step" => json!({ "description": "`step` names what is done; further fields belong to it", "type": "object",
            "properties": { "step": { "type": "string" }, "promise": { "type": "string" },
                "insistence": { "enum": ["must", "should"] }, "origin": origin(), "proof": { "type": "string" } },
            "required": ["step", "promise", "insistence", "origin", "proof"], "additionalProperties": true }),
        "setting" => shape()
            .has("key", text())
            .has("value", anything())
            .has("origin", origin())
            .has("is_set", flag())
            .may("security", flag())
            .may("changed", open("what a requirement changed"))
            .end(),
        "problem" => {
            shape().has("code", text()).has("text", text()).has("origin", origin()).may("hint", or_null(text())).end()
        }
        "command" => shape()
            .has("command", text())
            .has("class", or_null(text()))
            .has("why", or_null(text()))
            .has("word", or_null(text()))
            .has("through", texts())
            .has("rules", list(open("a rule that matched")))
            .end(),
        _ => open("not described"),
    }
}

fn plan() -> Value {
    shape()
        .has("schema", text())
        .may("plan_id", text())
        .has("tier", word(TIERS))
        .has("system", text())
        .has("arch", text())
        .has("mode", word(MODES))
        .has("mode_origin", origin())
        .has("cwd", os_text())
        .has("steps", list(refer("step")))
        .has("environment", list(shape().has("name", os_text()).has("value", os_text()).has("origin", origin()).end()))
        .has(
            "environment_dropped",
            json!({ "type": "array", "items": { "type": "array",
            "items": either(&[os_text(), origin()]), "minItems": 2, "maxItems": 2 } }),
        )
        .has("limits", open("each limit that is set, with its origin"))
        .has("keep_background", flag())
        .has("not_held", list(refer("shortfall")))
        .end()
}

fn report() -> Value {
    shape()
        .has("schema", text())
        .has("command", list(os_text()))
        .has("cwd", os_text())
        .has("verdict", word(&["run", "refuse", "ask-refused", "not-started"]))
        .has("reasons", list(refer("reason")))
        .has("plan_id", text())
        .has("tier", or_null(word(TIERS)))
        .has("exit", or_null(refer("exit")))
        .has("duration_ms", number())
        .has("denials", list(refer("denial")))
        .has("not_held", list(refer("not_held")))
        .has("grants_used", texts())
        .end()
}

fn status() -> Value {
    shape()
        .has("schema", text())
        .has("directory", os_text())
        .has("project", os_text())
        .has("version_controlled", flag())
        .has("trust", sourced(word(&["trusted", "untrusted", "unknown"])))
        .has("sandbox_mode", sourced(text()))
        .has("approval_policy", sourced(text()))
        .has("profile", or_null(sourced(text())))
        .has("permissions", or_null(sourced(text())))
        .has("web_search", sourced(text()))
        .has("writable_roots", list(sourced(os_text())))
        .has("network", sourced(word(&["off", "proxy", "on"])))
        .has("unix_sockets", texts())
        .has("tier", or_null(word(TIERS)))
        .has("unenforceable", texts())
        .has("not_held", list(refer("shortfall")))
        .has("notices", list(refer("notice")))
        .end()
}

fn explain() -> Value {
    let verdict = |name: &str| shape().has("verdict", word(&[name])).has("reasons", list(refer("reason")));
    let kinds =
        &["policy", "escalation", "rule", "dangerous", "destructive", "denied", "edit", "host", "tool", "elicitation"];
    let offer = shape().has("scope", anything()).has("lasts", anything()).has("text", text()).end();
    let decision = either(&[
        verdict("run")
            .has("confinement", open("what the command would run under"))
            .has("placement", anything())
            .may("instead", open("a known-safe read made harmless: what runs in its place"))
            .has("grants", texts())
            .end(),
        verdict("ask")
            .has("kind", word(kinds))
            .has("wish", anything())
            .has("marks", texts())
            .has("offers", list(offer))
            .has("identity", open("what an answer is bound to"))
            .end(),
        verdict("refuse").has("code", text()).has("text", text()).end(),
    ]);
    let row = shape()
        .has("row", text())
        .has("mode", word(MODES))
        .has("policy", anything())
        .has("cell", word(VERDICTS))
        .has("others", list(json!({ "type": "array", "items": { "type": "string" } })))
        .end();
    shape()
        .has("schema", text())
        .has("command", list(os_text()))
        .has("commands", list(refer("command")))
        .has("inner", list(refer("command")))
        .has("opaque", list(anything()))
        .has("row", or_null(row))
        .has("decision", decision)
        .end()
}

fn doctor() -> Value {
    let finding = shape()
        .has("name", text())
        .has("tried", refer("tried"))
        .may("detail", or_null(text()))
        .has("source", text())
        .has("serves", text())
        .end();
    shape()
        .has("schema", text())
        .has("version", text())
        .has("tier", or_null(word(TIERS)))
        .has("tiers", list(word(TIERS)))
        .has("facts", open("what this machine offers: the input of a plan, and what a recorded host holds"))
        .has("findings", list(finding))
        .end()
}

fn prove() -> Value {
    let act = shape()
        .has("name", text())
        .has("promise", text())
        .has("act", text())
        .has("result", word(&["held", "broken", "skipped", "no-verdict"]))
        .may("how", text())
        .may("seen", text())
        .may("why", text())
        .has("held_by", texts())
        .end();
    shape()
        .has("schema", text())
        .has("version", text())
        .has("tier", word(TIERS))
        .has("mode", word(MODES))
        .has("held", number())
        .has("broken", number())
        .has("skipped", number())
        .has("no_verdict", number())
        .has("acts", list(act))
        .has("not_held", list(refer("shortfall")))
        .end()
}

fn denial() -> Value {
    let mut denial = definition("denial");
    if let Some(fields) = denial["properties"].as_object_mut() {
        fields.insert("schema".into(), text());
    }
    denial
}

fn config() -> Value {
    let requirement = shape().has("key", text()).has("value", text()).has("origin", origin()).end();
    let source = shape().has("name", text()).has("layer", text()).has("present", flag()).end();
    shape()
        .has("schema", text())
        .has("settings", list(refer("setting")))
        .has("requirements", list(requirement))
        .has("sources", list(source))
        .has("profile", or_null(sourced(text())))
        .has("notices", list(refer("notice")))
        .end()
}

fn permissions() -> Value {
    let preset = shape()
        .has("name", text())
        .has("sandbox_mode", word(MODES))
        .has("approval_policy", text())
        .has("about", text())
        .end();
    let grant = shape().has("id", text()).has("session", text()).has("by", text()).has("shown", texts()).end();
    shape()
        .has("schema", text())
        .has("sandbox_mode", sourced(word(MODES)))
        .has("approval_policy", sourced(text()))
        .has("preset", or_null(text()))
        .has("presets", list(preset))
        .has("grants", list(grant))
        .end()
}

fn config_check() -> Value {
    let file =
        shape().has("file", text()).has("problems", list(refer("problem"))).has("notices", list(refer("notice"))).end();
    shape().has("schema", text()).has("files", list(file)).end()
}

fn config_diff() -> Value {
    let difference = shape()
        .has("key", text())
        .has("direction", word(&["weaker", "stricter", "other"]))
        .has("before", anything())
        .has("after", anything())
        .has("before_at", or_null(origin()))
        .has("after_at", or_null(origin()))
        .end();
    shape().has("schema", text()).has("differences", list(difference)).end()
}

fn event() -> Value {
    let of = |name: &str, shape: Shape| {
        shape
            .has("event", word(&[name]))
            .has("schema", text())
            .has("seq", number())
            .has("prev", text())
            .has("id", text())
            .has("at", number())
            .may("session", text())
            .may("agent", text())
            .may("cut", number())
            .end()
    };
    let started = shape()
        .has("mode", word(MODES))
        .has("policy", text())
        .has("network", word(&["off", "proxy", "on"]))
        .may("profile", text())
        .has("requirements", texts());
    let decided = shape()
        .has("act", open("the action: `action` names its kind"))
        .has("verdict", word(VERDICTS))
        .has("reasons", list(refer("reason")));
    let answered =
        shape().has("decision", text()).has("by", text()).may("grant", open("what the answer gave, and for how long"));
    let outcome = shape()
        .has("result", word(&["done", "failed", "not-started"]))
        .may("exit", refer("exit"))
        .has("duration_ms", number())
        .may("tier", word(TIERS))
        .may("not_held", list(refer("not_held")))
        .may("error", text());
    let network = shape()
        .has("host", text())
        .has("port", number())
        .has("protocol", text())
        .may("method", text())
        .has("decision", word(&["allow", "deny", "malformed", "failed"]))
        .has("rule", text())
        .may("origin", text())
        .may("detail", text())
        .may("status", number())
        .has("bytes_up", number())
        .has("bytes_down", number())
        .has("duration_ms", number());
    either(&[
        of("started", started),
        of("decided", decided),
        of("asked", shape().has("wish", text()).has("whom", text())),
        of("answered", answered),
        of("intent", shape().has("act", text()).may("plan", text())),
        of("outcome", outcome),
        of("denied", shape().has("denial", refer("denial"))),
        of("network", network),
        of("changed", shape().has("what", text()).has("by", text())),
        of("noticed", shape().has("notice", refer("notice"))),
    ])
}

fn approval_request() -> Value {
    let offer =
        shape().has("offer", number()).has("lasts", anything()).has("scope", anything()).has("text", text()).end();
    shape()
        .has("schema", text())
        .has("id", text())
        .has("action", open("the action: `action` names its kind"))
        .has("command", or_null(text()))
        .has("cwd", os_text())
        .has("kind", anything())
        .has("wish", anything())
        .has("marks", list(anything()))
        .has("reasons", list(refer("reason")))
        .has("offers", list(offer))
        .has("agent_says", or_null(text()))
        .has("sandbox_mode", text())
        .has("approval_policy", text())
        .has("policy_text", or_null(text()))
        .end()
}

fn approval_answer() -> Value {
    shape()
        .may("schema", text())
        .may("id", text())
        .has("decision", word(&["approve", "once", "deny", "ask", "abort"]))
        .may("offer", number())
        .may("reason", or_null(text()))
        .end()
}

fn rules_check() -> Value {
    let matched = shape()
        .has("matchedPrefix", texts())
        .has("decision", word(&["allow", "prompt", "forbidden"]))
        .may("resolvedProgram", text())
        .may("justification", text())
        .end();
    shape()
        .has("matchedRules", list(shape().has("prefixRuleMatch", matched).end()))
        .may("decision", word(&["allow", "prompt", "forbidden"]))
        .end()
}

/// Every kind of document with its schema.
#[must_use]
pub fn documents() -> Vec<(&'static str, Value)> {
    let kinds: [(&str, &str, Value); 15] = [
        ("plan", "what would be done to hold a command", plan()),
        ("report", "how one run went", report()),
        ("status", "what holds here", status()),
        ("explain", "how a command is read and judged", explain()),
        ("doctor", "what this host can hold", doctor()),
        ("prove", "what was attacked and what held", prove()),
        ("denial", "one refused operation", denial()),
        ("config", "every setting, and where it was set", config()),
        ("permissions", "the presets, and the grants of sessions", permissions()),
        ("config-check", "what is wrong with files", config_check()),
        ("config-diff", "what got weaker and what stricter", config_diff()),
        ("event", "one line of the journal", event()),
        ("approval-request", "what a reviewing program is asked", approval_request()),
        ("approval-answer", "what it answers", approval_answer()),
        ("rules-check", "which rules match a command", rules_check()),
    ];
    kinds.into_iter().map(|(kind, what, schema)| (kind, whole(kind, what, schema))).collect()
}

/// With its head, and the definitions it needs.
fn whole(kind: &str, what: &str, schema: Value) -> Value {
    let mut definitions = Map::new();
    let mut wanted = references(&schema);
    while let Some(name) = wanted.pop() {
        if !definitions.contains_key(&name) {
            let definition = definition(&name);
            wanted.extend(references(&definition));
            definitions.insert(name, definition);
        }
    }
    let mut out = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("https://ringfence.dev/v1/{kind}"),
        "title": what,
    });
    if let (Some(out), Value::Object(schema)) = (out.as_object_mut(), schema) {
        out.extend(schema);
        if !definitions.is_empty() {
            out.insert("$defs".into(), Value::Object(definitions));
        }
    }
    out
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/$defs/"));
            own.map(str::to_owned).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
