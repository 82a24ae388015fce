//! Events: what was meant and what became of it. An intent and its outcome share an id.

use crate::action::Action;
use crate::denial::Denial;
use crate::grant::Grant;
use crate::notice::Notice;
use crate::report::{Exit, NotHeld, Reason};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Shared by an intent and everything that follows from it.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The session, if the front end knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The agent it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum What {
    /// A session began.
    Started {
        /// `read-only`, ….
        mode: String,
        /// `on-request`, ….
        policy: String,
        /// `off`, `proxy`, `on`.
        network: String,
        /// The permission profile in force.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// Where requirements came from.
        #[serde(default)]
        requirements: Vec<String>,
    },
    /// An action was judged.
    Decided {
        /// The action.
        act: Box<Action>,
        /// `run`, `ask`, `refuse`.
        verdict: String,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// Somebody was asked.
    Asked {
        /// What would be given.
        wish: String,
        /// Who: `user`, `program`, `inbox`.
        whom: String,
    },
    /// Somebody answered, or nobody did.
    Answered {
        /// `approved`, `approved-for-session`, `approved-always`, `denied`, `abort`.
        decision: String,
        /// `user`, `program`, `inbox`, `nobody`.
        by: String,
        /// What came of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<Box<Grant>>,
    },
    /// A permitted action is about to take place.
    Intent {
        /// In one line.
        act: String,
        /// Digest of the plan; none for what needs no sandbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
    },
    /// How it ended.
    Outcome {
        /// `done`, `failed`, `not-started`.
        result: String,
        /// The command's end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
        /// From start to end.
        duration_ms: u64,
        /// What held it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tier: Option<String>,
        /// What wasn't fully held.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_held: Vec<NotHeld>,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The sandbox refused something.
    Denied {
        /// What.
        denial: Box<Denial>,
    },
    /// The proxy judged a connection.
    Network {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// `http`, `https`, `socks5_tcp`.
        protocol: String,
        /// The method, where it is seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
        /// `allow`, `deny`, `malformed`, or `failed` if it was allowed and couldn't be reached.
        decision: String,
        /// The rule.
        rule: String,
        /// Where the rule stands.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        origin: String,
        /// Why it was refused, or how it failed.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
        /// The status of the answer, where one is seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Bytes that the command sent.
        #[serde(default)]
        bytes_up: u64,
        /// Bytes that it received.
        #[serde(default)]
        bytes_down: u64,
        /// From the first byte of the request to its end.
        #[serde(default)]
        duration_ms: u64,
    },
    /// Settings, rules, trust or grants changed.
    Changed {
        /// What.
        what: String,
        /// By which command.
        by: String,
    },
    /// Something a person was told.
    Noticed {
        /// The notice.
        notice: Notice,
    },
}

impl What {
    /// Its name as exporters send it, after `ringfence.`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "conversation_starts",
            Self::Decided { .. } | Self::Answered { .. } => "tool_decision",
            Self::Asked { .. } => "approval_requested",
            Self::Intent { .. } => "tool_call",
            Self::Outcome { .. } => "tool_result",
            Self::Denied { .. } => "sandbox_denial",
            Self::Network { .. } => "network_decision",
            Self::Changed { .. } => "config_changed",
            Self::Noticed { .. } => "notice",
        }
    }
}
