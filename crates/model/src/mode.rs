//! The small closed choices: sandbox mode, approval policy, web search, tier.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a command can do; ordered from the strictest to the loosest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Reads; writes nothing.
    ReadOnly,
    /// Writes in the workspace.
    WorkspaceWrite,
    /// No confinement.
    DangerFullAccess,
}

/// When a person must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// Known-safe reads run, everything else asks.
    Untrusted,
    /// What the sandbox holds runs; leaving it asks.
    OnRequest,
    /// As `on-request`, with categories of questions switched off.
    Granular(Granular),
    /// Asks for a run outside after a denial. Deprecated.
    OnFailure,
    /// Nothing asks; what would ask is refused.
    Never,
}

/// Which categories of questions are put to a person; a category that is `false` is refused by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Granular {
    /// Leaving the sandbox.
    pub sandbox_approval: bool,
    /// Questions that `prompt` rules ask.
    pub rules: bool,
    /// Questions of MCP servers.
    pub mcp_elicitations: bool,
    /// Requests for more permissions.
    pub request_permissions: bool,
    /// Questions about skills.
    pub skill_approval: bool,
}

impl ApprovalPolicy {
    /// Rank by how much is asked: higher asks more (`untrusted` > `on-request` > granular > `on-failure` > `never`).
    #[must_use]
    pub fn strictness(self) -> u8 {
        match self {
            Self::Untrusted => 4,
            Self::OnRequest => 3,
            Self::Granular(_) => 2,
            Self::OnFailure => 1,
            Self::Never => 0,
        }
    }
}

/// What the web search tool may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebSearchMode {
    /// The tool is absent.
    Disabled,
    /// The provider's index; nothing is fetched live.
    Cached,
    /// Between `cached` and `live`.
    Indexed,
    /// Live browsing.
    Live,
}

/// Which Linux backend was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The most capable tier that passes its self-test.
    Auto,
    /// Namespaces, made in-process.
    Namespaces,
    /// Namespaces, made by the host's `bwrap`.
    Bwrap,
    /// Landlock, seccomp and the broker, without namespaces.
    Landlock,
}

/// What holds the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Linux namespaces, made in-process.
    Namespaces,
    /// Linux namespaces, made by the host's `bwrap`.
    Bwrap,
    /// Landlock, seccomp and the broker.
    Landlock,
    /// macOS Seatbelt.
    Seatbelt,
    /// Windows restricted tokens and job objects.
    Windows,
    /// Nothing: `danger-full-access`.
    Unconfined,
}

/// Who answers questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reviewer {
    /// A person.
    User,
    /// A configured program.
    #[serde(alias = "auto_review")]
    Program,
}

/// What `git` may write inside the Git directory of a writable root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GitAccess {
    /// Nothing.
    ReadOnly,
    /// Objects, references, index and logs; never hooks or configuration.
    Commit,
}

/// How absent protected names are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentHold {
    /// Seccomp user notification: the supervisor performs the call or refuses it.
    Broker,
    /// A watch that undoes: weaker, and reported so.
    Watch,
}

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, with its name in settings.
            pub const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];

            /// The value with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
            }

            /// Its name in settings.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names!(SandboxMode { ReadOnly => "read-only", WorkspaceWrite => "workspace-write", DangerFullAccess => "danger-full-access" });
names!(WebSearchMode { Disabled => "disabled", Cached => "cached", Indexed => "indexed", Live => "live" });
names!(Backend { Auto => "auto", Namespaces => "namespaces", Bwrap => "bwrap", Landlock => "landlock" });
names!(Tier {
    Namespaces => "namespaces", Bwrap => "bwrap", Landlock => "landlock",
    Seatbelt => "seatbelt", Windows => "windows", Unconfined => "unconfined",
});
names!(Reviewer { User => "user", Program => "program" });
names!(GitAccess { ReadOnly => "read-only", Commit => "commit" });
names!(AbsentHold { Broker => "broker", Watch => "watch" });

impl fmt::Display for ApprovalPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "untrusted",
            Self::OnRequest => "on-request",
            Self::Granular(_) => "granular",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        })
    }
}
