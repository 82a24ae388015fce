//! The JSON Schemas of the documents that `--json`, reports and the journal print. `crates/cli/tests/documents.rs` holds
//! what the program really prints against them: a field that stands in no schema fails there.

mod shape;
mod shared;

use serde_json::{Map, Value, json};
use shape::{
    MODES, Shape, TIERS, VERDICTS, anything, either, flag, list, number, open, or_null, origin, os_text, refer, shape,
    sourced, text, texts, word,
};
use shared::definition;

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
        .has("decision", refer("decision"))
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
    let mut denial = definition("denial").unwrap_or_default();
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

fn setting() -> Value {
    let mut setting = definition("setting").unwrap_or_default();
    if let Some(fields) = setting["properties"].as_object_mut() {
        fields.insert("schema".into(), text());
    }
    setting
}

fn apply() -> Value {
    let done = shape()
        .has("path", os_text())
        .has("kind", word(&["add", "update", "delete", "move-from", "move-to"]))
        .has("added", number())
        .has("removed", number())
        .end();
    either(&[
        shape().has("schema", text()).has("files", list(done)).has("reasons", list(refer("reason"))).end(),
        shape().has("schema", text()).has("decision", refer("decision")).end(),
    ])
}

/// Rule files that couldn't be loaded.
fn broken() -> Value {
    list(shape().has("origin", origin()).has("cause", text()).end())
}

fn rules() -> Value {
    let rule = shape().has("rule", text()).has("origin", origin()).end();
    shape().has("schema", text()).has("rules", list(rule)).has("broken", broken()).end()
}

fn rules_test() -> Value {
    let example = shape()
        .has("rule", text())
        .has("example", text())
        .has("should_match", flag())
        .has("outcome", word(&["ok", "not-matched", "matched"]))
        .has("origin", origin())
        .end();
    shape()
        .has("schema", text())
        .has("examples", list(example))
        .has("passed", number())
        .has("failed", number())
        .has("broken", broken())
        .end()
}

fn import() -> Value {
    let line = shape()
        .has("file", text())
        .has("line", number())
        .has("what", text())
        .has("carried", word(&["exactly", "narrowed", "not-carried"]))
        .may("why", text())
        .end();
    shape()
        .has("schema", text())
        .has("agent", word(&["codex", "claude-code", "gemini-cli", "srt"]))
        .has("files", texts())
        .has("config_toml", text())
        .has("rules", text())
        .may("requirements_toml", text())
        .may("managed_config_toml", text())
        .has("report", list(line))
        .end()
}

fn policy_bundle() -> Value {
    shape()
        .has("schema", text())
        .has("version", number())
        .has("audience", text())
        .has("issued_at", number())
        .has("expires_at", number())
        .has("key", text())
        .end()
}

fn policy_status() -> Value {
    let in_force = shape()
        .has("version", number())
        .has("audience", text())
        .has("issued_at", number())
        .has("expires_at", number())
        .has("checked_at", number())
        .has("url", text())
        .has("key", text())
        .end();
    let attempt = shape().has("at", number()).may("trouble", text()).end();
    shape()
        .has("schema", text())
        .has("url", text())
        .has("audience", text())
        .has("in_force", or_null(in_force))
        .has("highest_seen", or_null(number()))
        .has("last_attempt", or_null(attempt))
        .has("troubles", texts())
        .end()
}

/// Every kind of document with its schema.
pub fn documents() -> Result<Vec<(&'static str, Value)>, String> {
    let kinds: [(&str, &str, Value); 22] = [
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
        ("rules", "the rules that count here", rules()),
        ("rules-test", "what the examples of rules showed", rules_test()),
        ("setting", "one setting, and where it was set", setting()),
        ("apply", "what a patch changed, or what is decided about it", apply()),
        ("import", "what another agent's settings become", import()),
        ("policy-bundle", "a policy bundle whose signature is good", policy_bundle()),
        ("policy-status", "the policy service, and the bundle in force", policy_status()),
    ];
    kinds.into_iter().map(|(kind, what, schema)| Ok((kind, whole(kind, what, schema)?))).collect()
}

/// With its head, and the definitions it needs.
fn whole(kind: &str, what: &str, schema: Value) -> Result<Value, String> {
    let mut definitions = Map::new();
    let mut wanted = references(&schema);
    while let Some(name) = wanted.pop() {
        if !definitions.contains_key(&name) {
            let definition = definition(&name)
                .ok_or_else(|| format!("the schema of `{kind}` refers to `{name}`, which nothing defines"))?;
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
    Ok(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_nothing_is_an_error() {
        let error = whole("x", "a document", shape().has("field", refer("reasn")).end()).map(drop);
        assert_eq!(error, Err("the schema of `x` refers to `reasn`, which nothing defines".to_owned()));
        assert!(documents().is_ok());
    }
}
