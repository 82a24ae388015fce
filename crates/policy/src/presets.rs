//! Named pairs of sandbox mode and approval policy, as `ringfence permissions` shows and sets them.

use ringfence_model::{ApprovalPolicy, SandboxMode};

/// One preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What commands can do.
    pub mode: SandboxMode,
    /// When somebody is asked.
    pub policy: ApprovalPolicy,
    /// What it means, in a line.
    pub about: &'static str,
}

/// Every preset.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "auto",
        title: "Auto",
        mode: SandboxMode::WorkspaceWrite,
        policy: ApprovalPolicy::OnRequest,
        about: "works in the workspace; asks to leave it or to use the network",
    },
    Preset {
        name: "read-only",
        title: "Read only",
        mode: SandboxMode::ReadOnly,
        policy: ApprovalPolicy::OnRequest,
        about: "reads and runs, writes nothing; asks for every change",
    },
    Preset {
        name: "read-only-ci",
        title: "Read only, CI",
        mode: SandboxMode::ReadOnly,
        policy: ApprovalPolicy::Never,
        about: "reads and runs, writes nothing, asks nobody",
    },
    Preset {
        name: "careful",
        title: "Careful",
        mode: SandboxMode::WorkspaceWrite,
        policy: ApprovalPolicy::Untrusted,
        about: "file changes in the workspace run; every command but a known-safe read asks",
    },
    Preset {
        name: "full-access",
        title: "Full access",
        mode: SandboxMode::DangerFullAccess,
        policy: ApprovalPolicy::Never,
        about: "no sandbox and no questions; not recommended",
    },
];

/// The preset with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset that these settings are, if they are one.
#[must_use]
pub fn of(mode: SandboxMode, policy: ApprovalPolicy) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.mode == mode && preset.policy == policy)
}
