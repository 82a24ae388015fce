//! What several documents share: each once, under `$defs` of the schemas that refer to it.

use super::shape::{
    anything, either, flag, list, number, open, or_null, origin, os_text, refer, shape, text, texts, word,
};
use serde_json::{Value, json};

/// What several documents share; none for a name that nothing has.
pub(super) fn definition(name: &str) -> Option<Value> {
    Some(match name {
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
            .may(
                "parts",
                list(json!({ "description": "an element and where it was set", "type": "array",
                "items": anything(), "minItems": 2, "maxItems": 2 })),
            )
            .may(
                "changed",
                shape()
                    .has("key", text())
                    .has("from", text())
                    .has("to", text())
                    .has("requirement_key", text())
                    .has("requirement", origin())
                    .end(),
            )
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
        "decision" => decision(),
        _ => return None,
    })
}

/// A verdict with what led to it.
fn decision() -> Value {
    let verdict = |name: &str| shape().has("verdict", word(&[name])).has("reasons", list(refer("reason")));
    let kinds =
        &["policy", "escalation", "rule", "dangerous", "destructive", "denied", "edit", "host", "tool", "elicitation"];
    let offer = shape().has("scope", anything()).has("lasts", anything()).has("text", text()).end();
    either(&[
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
    ])
}
