//! A `network_rule` as rule files and answers write it: one host pattern, one protocol, one decision.

use crate::domain::DomainPattern;
use crate::origin::Origin;
use serde::{Deserialize, Serialize};

/// One rule about a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// Which hosts and ports.
    pub pattern: DomainPattern,
    /// Which kind of connection.
    pub protocol: NetworkProtocol,
    /// What holds for it.
    pub decision: NetworkDecision,
    /// Why, as the rule says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// How a command reaches a host through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkProtocol {
    /// In any way.
    Any,
    /// A plain request.
    Http,
    /// A tunnel asked for with `CONNECT`.
    Https,
    /// A SOCKS5 connection.
    Socks5Tcp,
    /// A SOCKS5 datagram.
    Socks5Udp,
}

impl NetworkProtocol {
    /// Whether a rule for `self` is about a connection of kind `used`.
    #[must_use]
    pub fn covers(self, used: Self) -> bool {
        self == Self::Any || self == used
    }

    /// The name rule files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5Tcp => "socks5_tcp",
            Self::Socks5Udp => "socks5_udp",
        }
    }
}

impl std::str::FromStr for NetworkProtocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        match text {
            "any" => Ok(Self::Any),
            "http" => Ok(Self::Http),
            "https" | "https_connect" | "http-connect" => Ok(Self::Https),
            "socks5_tcp" => Ok(Self::Socks5Tcp),
            "socks5_udp" => Ok(Self::Socks5Udp),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}

/// A protocol name that no rule has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProtocol(String);

impl std::fmt::Display for UnknownProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = crate::text::escape(&self.0);
        write!(f, "`{shown}` is no protocol: use `http`, `https`, `socks5_tcp`, `socks5_udp` or `any`")
    }
}

impl std::error::Error for UnknownProtocol {}

/// What a rule decides, loosest first: the strictest of all that match holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkDecision {
    /// It may be reached.
    Allow,
    /// A person is asked.
    Prompt,
    /// It may not be reached, whatever else allows it.
    #[serde(alias = "forbidden")]
    Deny,
}
