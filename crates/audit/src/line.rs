//! One event as one line: redacted, bounded, with nothing in it that could forge another line or deceive a reader.

use crate::redact::Redactor;
use ringfence_model::Event;
use ringfence_model::text::is_deceptive;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `schema` of every line.
pub(crate) const SCHEMA: &str = "ringfence.dev/v1/event";

/// Longest line, in bytes.
pub(crate) const MAX_LINE: usize = 64 << 10;

/// Longest string in a line, in bytes, before it is cut.
const MAX_TEXT: usize = 4 << 10;

/// The hash that the first line of all names.
pub(crate) const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The line for an event, without its end.
pub(crate) fn render(event: &Event, seq: u64, prev: &str, redactor: &Redactor) -> String {
    let body = match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        // Our own types always serialise to objects; a line that says otherwise is better than none.
        _ => Map::from_iter([("event".to_owned(), json!("unprintable"))]),
    };
    let mut body = Value::Object(body);
    redactor.value(&mut body);
    cut_strings(&mut body, MAX_TEXT);
    let line = with_head(seq, prev, &body);
    if line.len() <= MAX_LINE {
        return line;
    }
    // Many long strings: what identifies the event stays, the rest goes.
    let kept = ["id", "at", "session", "agent", "event", "verdict", "decision", "result"];
    let mut short = Map::new();
    if let Value::Object(fields) = body {
        short.extend(fields.into_iter().filter(|(name, _)| kept.contains(&name.as_str())));
    }
    short.insert("cut".to_owned(), json!(line.len()));
    let mut short = Value::Object(short);
    cut_strings(&mut short, 256);
    with_head(seq, prev, &short)
}

/// The hash that the next line names.
pub(crate) fn hash(line: &[u8]) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_head(seq: u64, prev: &str, body: &Value) -> String {
    let mut fields = Map::new();
    fields.insert("schema".to_owned(), json!(SCHEMA));
    fields.insert("seq".to_owned(), json!(seq));
    fields.insert("prev".to_owned(), json!(prev));
    if let Value::Object(body) = body {
        fields.extend(body.clone());
    }
    escape_deceptive(&Value::Object(fields).to_string())
}

/// JSON already escapes control characters below U+0020; the others that deceive are written as escapes too, which every
/// reader of JSON undoes.
fn escape_deceptive(json: &str) -> String {
    if json.is_ascii() && !json.contains('\u{7f}') {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_deceptive(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn cut_strings(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if text.len() > most => {
            let mut end = most;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let rest = text.len() - end;
            text.truncate(end);
            text.push_str(&format!("… [{rest} bytes cut]"));
        }
        Value::Array(items) => {
            let rest = items.len().saturating_sub(1000);
            items.truncate(1000);
            if rest > 0 {
                items.push(json!(format!("… [{rest} more]")));
            }
            items.iter_mut().for_each(|item| cut_strings(item, most));
        }
        Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| cut_strings(field, most)),
        _ => {}
    }
}
