//! The statements of a rule file, as values.

use crate::decision::Decision;
use ringfence_model::Origin;
use serde::Serialize;

/// One place of a pattern: the tokens that fit there. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Alternatives {
    /// Exactly this token.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

impl Alternatives {
    /// The tokens that fit.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        match self {
            Self::One(token) => std::slice::from_ref(token),
            Self::Any(tokens) => tokens,
        }
    }

    /// Whether `token` fits.
    #[must_use]
    pub fn fits(&self, token: &str) -> bool {
        match self {
            Self::One(one) => one == token,
            Self::Any(tokens) => tokens.iter().any(|one| one == token),
        }
    }
}

/// `prefix_rule(…)`: what holds for every command that begins with the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRule {
    /// What the command must begin with, token by token. Never empty.
    pub pattern: Vec<Alternatives>,
    /// What holds then.
    pub decision: Decision,
    /// Why, in the rule's author's words.
    pub justification: Option<String>,
    /// Examples that the rule must match.
    pub matches: Vec<Example>,
    /// Examples that the rule must not match.
    pub not_matches: Vec<Example>,
    /// Where it was written.
    pub origin: Origin,
}

/// An example command in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its words.
    pub words: Vec<String>,
    /// Whether it was written as one string, split like a POSIX shell would.
    pub line: Option<String>,
}

impl Example {
    /// The example for people and for the printer.
    #[must_use]
    pub fn display(&self) -> String {
        match &self.line {
            Some(line) => line.clone(),
            None => shlex::try_join(self.words.iter().map(String::as_str)).unwrap_or_else(|_| self.words.join(" ")),
        }
    }
}

/// `host_executable(…)`: the only files that rules for a bare name apply to by base name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostExecutable {
    /// The bare name.
    pub name: String,
    /// Absolute paths, lexically normalised; `~/` is already the user's home.
    pub paths: Vec<String>,
    /// As they were written.
    pub written: Vec<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// `network_rule(…)`: what holds for connections to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRule {
    /// The host or pattern, as written; its canonical form is the business of the network policy.
    pub host: String,
    /// Which connections.
    pub protocol: NetworkProtocol,
    /// What holds.
    pub decision: NetworkDecision,
    /// Why.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// Which connections a network rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkProtocol {
    /// Plain HTTP.
    Http,
    /// HTTPS, by CONNECT.
    Https,
    /// TCP through SOCKS5.
    Socks5Tcp,
    /// UDP through SOCKS5.
    Socks5Udp,
    /// All of them.
    Any,
}

impl NetworkProtocol {
    /// Every spelling and what it means; the first of each protocol is the one that is printed.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("http", Self::Http),
        ("https", Self::Https),
        ("https_connect", Self::Https),
        ("http-connect", Self::Https),
        ("socks5_tcp", Self::Socks5Tcp),
        ("socks5_udp", Self::Socks5Udp),
        ("any", Self::Any),
    ];

    /// The protocol with this name in rule files.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, protocol)| *protocol)
    }

    /// Its name in rule files.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, protocol)| *protocol == self).map_or("any", |(name, _)| name)
    }
}

/// What a network rule says; a later one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkDecision {
    /// May connect.
    Allow,
    /// A person is asked.
    Prompt,
    /// Refused.
    Deny,
}

impl NetworkDecision {
    /// The decision with this name in rule files.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "allow" => Self::Allow,
            "prompt" => Self::Prompt,
            "deny" | "forbidden" => Self::Deny,
            _ => return None,
        })
    }

    /// Its name in rule files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Prompt => "prompt",
            Self::Deny => "deny",
        }
    }
}

/// A source of rules that couldn't be loaded: any command might have been forbidden there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file and line.
    pub origin: Origin,
    /// What is wrong and what to do.
    pub cause: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.cause)
    }
}
