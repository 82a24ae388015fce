//! A JSON Schema as a judge of documents, for the words that the project's own schemas use. Stricter than the standard in
//! one way: a field that no schema names is an error unless the schema says `additionalProperties: true`, so that
//! whatever is printed is described.

use serde_json::Value;

/// The schema of a kind of document, as it is published.
pub fn of(kind: &str) -> Value {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/documents");
    let file = format!("{directory}/{kind}.json");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        // An ordinary user who was lent this program may not see the sources: the schemas travel with it.
        Err(_) => embedded(kind).unwrap_or_else(|| panic!("no schema of `{kind}`")).to_owned(),
    };
    serde_json::from_str(&text).expect("a schema is JSON")
}

fn embedded(kind: &str) -> Option<&'static str> {
    macro_rules! schemas {
        ($($kind:literal),*) => {
            match kind {
                $($kind => Some(include_str!(concat!("../../../../schema/documents/", $kind, ".json"))),)*
                _ => None,
            }
        };
    }
    schemas!(
        "plan",
        "report",
        "status",
        "explain",
        "doctor",
        "prove",
        "denial",
        "config",
        "config-check",
        "config-diff",
        "event",
        "approval-request",
        "approval-answer",
        "rules-check",
        "permissions",
        "rules",
        "rules-test",
        "setting",
        "apply",
        "import",
        "policy-bundle",
        "policy-status"
    )
}

/// Panics, naming the place, if the document isn't of its kind.
#[track_caller]
pub fn check(kind: &str, document: &Value) {
    let schema = of(kind);
    if let Err(why) = judge(&schema, &schema, document, "$") {
        panic!("not a `{kind}` document: {why}\n{document:#}");
    }
}

/// As [`check`], and the document must say of itself what it is.
#[track_caller]
pub fn check_named(kind: &str, document: &Value) {
    assert_eq!(document["schema"], format!("ringfence.dev/v1/{kind}"));
    check(kind, document);
}

fn judge(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let inner = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return judge(root, inner.ok_or_else(|| format!("{at}: {name} isn't defined"))?, value, at);
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at}: {value} is none of {words:?}"));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut whys = Vec::new();
        for choice in choices {
            match judge(root, choice, value, at) {
                Ok(()) => return Ok(()),
                Err(why) => whys.push(why),
            }
        }
        return Err(format!("{at}: fits none: {}", whys.join("; ")));
    }
    let right = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some(other) => return Err(format!("{at}: the schema says `{other}`, which this judge doesn't know")),
    };
    if !right {
        return Err(format!("{at}: {value} isn't of type {}", schema["type"]));
    }
    if let Some(items) = value.as_array() {
        let count = |name: &str| schema[name].as_u64().map(|count| usize::try_from(count).expect("small"));
        if count("minItems").is_some_and(|least| items.len() < least)
            || count("maxItems").is_some_and(|most| items.len() > most)
        {
            return Err(format!("{at}: {} elements", items.len()));
        }
        for (index, item) in items.iter().enumerate() {
            judge(root, &schema["items"], item, &format!("{at}[{index}]"))?;
        }
    }
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(format!("{at}: `{name}` is missing"));
        }
    }
    for (name, field) in fields {
        match known.get(name) {
            Some(schema) => judge(root, schema, field, &format!("{at}.{name}"))?,
            None if schema["additionalProperties"] == true => {}
            None => return Err(format!("{at}.{name}: no schema describes this field")),
        }
    }
    Ok(())
}
