//! Redaction: the one place where secrets are taken out of what is written or sent.
//!
//! It knows values (of variables that the sandbox would drop), places (headers, URL userinfo, options that name a secret,
//! assignments) and shapes (well-known keys). What it takes out is replaced by `[redacted:KIND]`. One pass per rule, each
//! linear in the text.

use serde_json::Value;
use std::borrow::Cow;

/// Values shorter than this are too common to be searched for.
const MIN_VALUE: usize = 6;

/// Takes secrets out of text.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another goes with it.
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

/// Well-known key shapes: what they begin with, how many characters follow at least, and what they are.
const SHAPES: &[(&str, usize, &str)] = &[
    ("ghp_", 20, "github"),
    ("gho_", 20, "github"),
    ("ghu_", 20, "github"),
    ("ghs_", 20, "github"),
    ("ghr_", 20, "github"),
    ("github_pat_", 20, "github"),
    ("glpat-", 16, "gitlab"),
    ("sk-ant-", 16, "api-key"),
    ("sk-proj-", 16, "api-key"),
    ("sk-", 20, "api-key"),
    ("sk_live_", 16, "stripe"),
    ("sk_test_", 16, "stripe"),
    ("rk_live_", 16, "stripe"),
    ("xoxb-", 10, "slack"),
    ("xoxp-", 10, "slack"),
    ("xoxa-", 10, "slack"),
    ("xoxs-", 10, "slack"),
    ("xapp-", 10, "slack"),
    ("AKIA", 16, "aws"),
    ("ASIA", 16, "aws"),
    ("AIza", 30, "google"),
    ("ya29.", 20, "google"),
    ("npm_", 30, "npm"),
    ("pypi-", 30, "pypi"),
    ("hf_", 20, "huggingface"),
    ("dop_v1_", 30, "digitalocean"),
    ("SG.", 30, "sendgrid"),
    ("eyJ", 30, "jwt"),
    ("age-secret-key-1", 30, "age"),
    ("AGE-SECRET-KEY-1", 30, "age"),
];

/// Parts of a name that say its value is a secret.
const SECRET_NAMES: &[&str] =
    &["key", "secret", "token", "password", "passwd", "credential", "auth", "signature", "session"];

/// Names of exactly this that hold a secret although they contain none of the parts, or don't although they do.
const EXACT_SECRET: &[&str] = &["pass", "pwd", "sig", "pin", "otp", "code", "jwt", "sid"];
const NOT_SECRET: &[&str] =
    &["keyboard", "keymap", "author", "authors", "authority", "key-file-name", "keywords", "monkey", "session-id"];

impl Redactor {
    /// A redactor that also takes out these values.
    #[must_use]
    pub fn new<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut values: Vec<String> =
            values.into_iter().map(Into::into).filter(|value: &String| value.len() >= MIN_VALUE).collect();
        values.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        values.dedup();
        Self { values }
    }

    /// `text` without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut out = Cow::Borrowed(text);
        for value in &self.values {
            if out.contains(value.as_str()) {
                out = Cow::Owned(out.replace(value.as_str(), "[redacted:environment]"));
            }
        }
        for rule in [private_keys, headers, userinfo, assignments, shapes] {
            if let Some(changed) = rule(&out) {
                out = Cow::Owned(changed);
            }
        }
        out.into_owned()
    }

    /// Every string in a value without secrets, and the word after an option that names one too.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => {
                let mut after_option = false;
                for item in items {
                    match item {
                        Value::String(text) if after_option && !text.starts_with('-') => {
                            *text = "[redacted:option]".to_owned();
                            after_option = false;
                        }
                        Value::String(text) => {
                            after_option = text.starts_with('-') && !text.contains('=') && names_secret(text);
                            *text = self.text(text);
                        }
                        other => {
                            after_option = false;
                            self.value(other);
                        }
                    }
                }
            }
            Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| self.value(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Whether a name (of a variable, option, parameter or field) says that its value is a secret.
#[must_use]
pub fn names_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    if NOT_SECRET.contains(&name.as_str()) {
        return false;
    }
    EXACT_SECRET.contains(&name.as_str())
        || SECRET_NAMES.iter().any(|part| name.contains(part) && !NOT_SECRET.iter().any(|not| name.ends_with(not)))
}

fn private_keys(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN ";
    let mut out = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let line_end = from
            .find("-----\n")
            .or_else(|| from.get(BEGIN.len()..).and_then(|tail| tail.find("-----")).map(|at| at + BEGIN.len()));
        let is_key = line_end.and_then(|end| from.get(..end)).is_some_and(|head| head.contains("PRIVATE KEY"));
        if is_key {
            changed = true;
            out.push_str("[redacted:private-key]");
            let end = from.find("-----END ").map_or(from.len(), |end| {
                let tail = from.get(end + 9..).unwrap_or_default();
                end + 9 + tail.find("-----").map_or(tail.len(), |at| at + 5)
            });
            rest = from.get(end..).unwrap_or_default();
        } else {
            out.push_str(BEGIN);
            rest = from.get(BEGIN.len()..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// `Authorization: …`, `Cookie: …` and their kin, to the end of the line or quote; `Bearer …` anywhere.
fn headers(text: &str) -> Option<String> {
    const NAMES: &[&str] = &[
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api-key",
        "x-auth-token",
        "x-amz-security-token",
        "private-token",
        "x-csrf-token",
    ];
    let lower = text.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize, &str)> = Vec::new();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let own_word = at == 0
                || lower.as_bytes().get(at - 1).is_some_and(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
            let after = at + name.len();
            let rest = lower.get(after..).unwrap_or_default();
            let gap = rest.len() - rest.trim_start_matches([' ', '"', '\'']).len();
            if own_word && rest.get(gap..).is_some_and(|rest| rest.starts_with(':')) {
                let from = after + gap + 1;
                let tail = lower.get(from..).unwrap_or_default();
                let skip = tail.len() - tail.trim_start_matches([' ', '"', '\'']).len();
                let tail = tail.get(skip..).unwrap_or_default();
                let end = tail.find(['\n', '\r', '"', '\'']).unwrap_or(tail.len());
                cuts.push((from + skip, from + skip + end, "header"));
            }
        }
    }
    for scheme in ["bearer ", "basic "] {
        for (at, _) in lower.match_indices(scheme) {
            let from = at + scheme.len();
            let length = run(lower.get(from..).unwrap_or_default(), is_token);
            if length >= 8 {
                cuts.push((from, from + length, "header"));
            }
        }
    }
    cut(text, cuts)
}

/// `scheme://user:password@host`.
fn userinfo(text: &str) -> Option<String> {
    let mut cuts = Vec::new();
    for (at, _) in text.match_indices("://") {
        let from = at + 3;
        let rest = text.get(from..).unwrap_or_default();
        let end = rest.find(['/', '?', '#', ' ', '\n', '"', '\'']).unwrap_or(rest.len());
        if let Some(host) = rest.get(..end).and_then(|authority| authority.rfind('@')).filter(|at| *at > 0) {
            cuts.push((from, from + host, "userinfo"));
        }
    }
    cut(text, cuts)
}

/// `NAME=value`, `--name=value`, `?name=value&…`, `"name": "value"` where the name says it is a secret.
fn assignments(text: &str) -> Option<String> {
    let mut cuts = Vec::new();
    for (at, sign) in text.match_indices(['=', ':']) {
        let before = text.get(..at).unwrap_or_default();
        let quoted = before.ends_with(['"', '\'']);
        let before = before.trim_end_matches(['"', '\'']);
        let start = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.'))
            .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        let name = before.get(start..).unwrap_or_default();
        // A colon assigns only in JSON and the like: `"name": "value"`.
        if name.is_empty() || !names_secret(name) || (sign == ":" && !quoted) {
            continue;
        }
        let from = at + 1;
        let rest = text.get(from..).unwrap_or_default();
        let skip = rest.len() - rest.trim_start_matches(' ').len();
        let skip = if sign == ":" { skip } else { 0 };
        let value = rest.get(skip..).unwrap_or_default();
        let (open, end) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value.get(1..).unwrap_or_default();
                (1, 1 + inner.find(quote).unwrap_or(inner.len()))
            }
            _ => (0, value.find([' ', '&', ';', '\n', '\t', '"', '\'', ',', '}']).unwrap_or(value.len())),
        };
        let is_reference =
            value.get(open..).is_some_and(|value| value.starts_with('$') || value.starts_with("[redacted:"));
        if end > open && !is_reference {
            cuts.push((from + skip + open, from + skip + end, "assignment"));
        }
    }
    cut(text, cuts)
}

fn shapes(text: &str) -> Option<String> {
    let mut cuts = Vec::new();
    for (start, least, kind) in SHAPES {
        for (at, _) in text.match_indices(start) {
            let own_word =
                text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(|c| !c.is_ascii_alphanumeric());
            let length = run(text.get(at + start.len()..).unwrap_or_default(), is_token);
            if own_word && length >= *least {
                cuts.push((at, at + start.len() + length, *kind));
            }
        }
    }
    cut(text, cuts)
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+/=~".contains(c)
}

fn run(text: &str, of: fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

/// Replaces the ranges; overlapping ones become one.
fn cut(text: &str, mut cuts: Vec<(usize, usize, &str)>) -> Option<String> {
    cuts.retain(|(from, to, _)| from < to);
    if cuts.is_empty() {
        return None;
    }
    cuts.sort_unstable_by_key(|(from, to, _)| (*from, std::cmp::Reverse(*to)));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (from, to, kind) in cuts {
        if from < done {
            done = done.max(to);
            continue;
        }
        out.push_str(text.get(done..from)?);
        out.push_str("[redacted:");
        out.push_str(kind);
        out.push(']');
        done = to;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn clean(text: &str) -> String {
        Redactor::new(["hunter2hunter2"]).text(text)
    }

    #[test]
    fn au_02_secrets_are_taken_out_wherever_they_stand() {
        for (text, secret) in [
            ("echo hunter2hunter2", "hunter2"),
            ("curl -H 'Authorization: Bearer abc.def.ghi' https://x", "abc.def"),
            ("curl -H \"Cookie: sid=42; a=b\" x", "42"),
            ("git clone https://me:s3cr3t@example.com/x", "s3cr3t"),
            ("GET /x?api_key=abc123&page=2", "abc123"),
            ("export GITHUB_TOKEN=abc", "abc"),
            ("--password=geheim", "geheim"),
            ("{\"client_secret\": \"geheim\", \"id\": 1}", "geheim"),
            ("ghp_0123456789abcdefghijABCDEFGHIJ", "ghp_0123"),
            ("key AKIAIOSFODNN7EXAMPLE end", "AKIAIO"),
            ("sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "abcdefgh"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "MIIE"),
            ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0In0.c2ln", "eyJz"),
        ] {
            let out = clean(text);
            assert!(!out.contains(secret) && out.contains("[redacted:"), "{text} → {out}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "cargo test --all-features",
            "https://example.com/a@b",
            "ls -la src/keyboard.rs",
            "author=me",
            "git log --author=x",
            "http://host:8080/x?page=2",
            "a: b",
            "sk-short",
            "export TOKEN=$OTHER",
            "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(clean(text), text);
        }
        assert_eq!(clean("GET /x?api_key=abc123&page=2"), "GET /x?api_key=[redacted:assignment]&page=2");
    }

    #[test]
    fn au_02_the_word_after_an_option_goes_too() {
        let mut value = json!({"argv": ["mysql", "--password", "geheim", "-u", "me"], "n": 1});
        Redactor::default().value(&mut value);
        assert_eq!(value["argv"], json!(["mysql", "--password", "[redacted:option]", "-u", "me"]));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_known_values_never_come_through(text in "(\\PC|[:=@/&\"' \n]|token|key|://|Bearer |ghp_){0,40}") {
            let out = clean(&format!("{text}hunter2hunter2{text}"));
            prop_assert!(!out.contains("hunter2hunter2"));
        }
    }
}
