//! Credentials that the command never sees: it holds a placeholder, and the real value is put in on its way to the
//! hosts it belongs to.
//!
//! Only over TLS that the proxy opened, only at the one place that the setting names. A placeholder anywhere else, or
//! towards any other host, stays a placeholder. Values have no way to be printed.

use crate::host::Target;
use crate::proxy::Body;
use crate::text::{base64, percent_decode};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use ringfence_model::Origin;
use ringfence_model::domain::{DomainPattern, HostPattern};
use ringfence_model::settings::{NetworkSecret, SecretPlace, SecretSource};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::time::{Duration, Instant};

/// Time for a command that prints a credential.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// Longest credential.
const MAX_VALUE: u64 = 64 * 1024;

/// Why a credential can't be had. Nothing starts without it. The value is never part of the message.
#[derive(Debug, thiserror::Error)]
#[error("the credential `{name}` {why} ({origin})")]
pub struct SecretError {
    name: String,
    why: String,
    origin: Origin,
}

/// The credentials of one session.
pub(super) struct Secrets(Vec<Secret>);

struct Secret {
    variable: String,
    placeholder: String,
    value: Value,
    hosts: Vec<DomainPattern>,
    place: Place,
}

/// Text that can't be printed.
struct Value(String);

enum Place {
    Header(HeaderName),
    Query(String),
    Basic(String),
}

impl Secrets {
    pub(super) fn load(settings: &[NetworkSecret]) -> Result<Self, SecretError> {
        settings.iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn placeholders(&self) -> Vec<(String, String)> {
        self.0.iter().map(|secret| (secret.variable.clone(), secret.placeholder.clone())).collect()
    }

    /// Whether credentials belong to this destination.
    pub(super) fn belong_to(&self, target: &Target) -> bool {
        self.0.iter().any(|secret| secret.belongs_to(target))
    }

    /// Puts the real values into a request to `target`.
    pub(super) fn put_into(&self, target: &Target, request: &mut Request<Body>) {
        for secret in self.0.iter().filter(|secret| secret.belongs_to(target)) {
            match &secret.place {
                Place::Header(name) => secret.put_header(name, request.headers_mut()),
                Place::Query(name) => {
                    if let Some(uri) = secret.put_query(name, request.uri()) {
                        *request.uri_mut() = uri;
                    }
                }
                Place::Basic(user) => secret.put_basic(user, request.headers_mut()),
            }
        }
    }
}

impl Secret {
    fn belongs_to(&self, target: &Target) -> bool {
        self.hosts.iter().any(|pattern| match &target.host {
            crate::host::Host::Name(name) => pattern.matches_name(name, target.port),
            crate::host::Host::Address(address) => pattern.matches_address(*address, target.port),
        })
    }

    /// Replaces the placeholder in the header; a header that isn't there is added.
    fn put_header(&self, name: &HeaderName, headers: &mut HeaderMap) {
        let text = match headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()) {
            Some(text) if text.contains(&self.placeholder) => text.replace(&self.placeholder, &self.value.0),
            // The command brought a credential of its own.
            Some(_) => return,
            None if name == AUTHORIZATION && !self.value.0.contains(' ') => format!("Bearer {}", self.value.0),
            None => self.value.0.clone(),
        };
        set(headers, name.clone(), &text);
    }

    /// Replaces the placeholder in the user's password; without authorization it is added.
    fn put_basic(&self, user: &str, headers: &mut HeaderMap) {
        if let Some(present) = headers.get(AUTHORIZATION) {
            let brought = format!("Basic {}", base64(format!("{user}:{}", self.placeholder).as_bytes()));
            if present.as_bytes() != brought.as_bytes() {
                return;
            }
        }
        set(headers, AUTHORIZATION, &format!("Basic {}", base64(format!("{user}:{}", self.value.0).as_bytes())));
    }

    /// Replaces the parameter's value if it is the placeholder; a parameter that isn't there is added.
    fn put_query(&self, name: &str, uri: &Uri) -> Option<Uri> {
        let value = encode(&self.value.0);
        let mut found = false;
        let mut pairs: Vec<String> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, old) = pair.split_once('=').unwrap_or((pair, ""));
            if percent_decode(key) == name.as_bytes() {
                found = true;
                if percent_decode(old) == self.placeholder.as_bytes() {
                    pairs.push(format!("{key}={value}"));
                    continue;
                }
            }
            pairs.push(pair.to_owned());
        }
        if !found {
            pairs.push(format!("{}={value}", encode(name)));
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = format!("{}?{}", uri.path(), pairs.join("&")).parse().ok();
        Uri::from_parts(parts).ok()
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(mut value) = HeaderValue::try_from(text) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Percent-encodes all but unreserved characters.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn load(setting: &NetworkSecret) -> Result<Secret, SecretError> {
    let error = |why: String| SecretError { name: setting.name.clone(), why, origin: setting.origin.clone() };
    let mut hosts = Vec::new();
    for host in &setting.hosts {
        let pattern: DomainPattern =
            host.parse().map_err(|fault: ringfence_model::domain::DomainError| error(fault.to_string()))?;
        if matches!(pattern.host(), HostPattern::Everything) {
            return Err(error("can't belong to `*`: name its hosts".to_owned()));
        }
        hosts.push(pattern);
    }
    if hosts.is_empty() {
        return Err(error("belongs to no host: set `hosts`".to_owned()));
    }
    let value = read(&setting.source).map_err(error)?;
    if value.is_empty() || HeaderValue::try_from(value.as_str()).is_err() {
        return Err(error("is empty, or holds characters that no header can".to_owned()));
    }
    let place = match &setting.place {
        SecretPlace::Header(name) => {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| error(format!("names no header: `{name}`")))?;
            Place::Header(name)
        }
        SecretPlace::Query(name) => Place::Query(name.clone()),
        SecretPlace::Basic(user) => Place::Basic(user.clone()),
    };
    let variable = match &setting.source {
        SecretSource::Env(name) => name.clone(),
        _ => format!(
            "RINGFENCE_SECRET_{}",
            setting.name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        ),
    };
    let random = || RandomState::new().hash_one(Instant::now());
    let placeholder = format!("ringfence-placeholder-{:016x}{:016x}", random(), random());
    Ok(Secret { variable, placeholder, value: Value(value), hosts, place })
}

fn read(source: &SecretSource) -> Result<String, String> {
    let text = match source {
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| format!("isn't there: the variable `{name}` isn't set"))?
        }
        SecretSource::File(path) => {
            let mut text = String::new();
            std::fs::File::open(path.as_path())
                .and_then(|file| file.take(MAX_VALUE).read_to_string(&mut text))
                .map_err(|cause| format!("can't be read from {}: {cause}", path.as_path().display()))?;
            text
        }
        SecretSource::Command(argv) => run(argv)?,
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Runs a program of the user's settings, outside, and takes what it prints.
fn run(argv: &[String]) -> Result<String, String> {
    let (program, arguments) = argv.split_first().ok_or("has an empty command")?;
    let failed = |cause: std::io::Error| format!("can't be had from `{program}`: {cause}");
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.map_or(Ok(0), |output| output.take(MAX_VALUE).read_to_string(&mut text)).map(|_| text)
    });
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if began.elapsed() > COMMAND_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("can't be had: `{program}` took too long"));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        return Err(format!("can't be had: `{program}` ended with {status}"));
    }
    match reader.join() {
        Ok(Ok(text)) => Ok(text),
        _ => Err(format!("can't be had: what `{program}` printed isn't text")),
    }
}
