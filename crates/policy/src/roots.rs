//! Which directories are asked to be writable: the list that facts are gathered for, and in which order.

use ringfence_model::settings::RootRequest;
use ringfence_model::{AbsPath, Origin, SandboxMode, Settings, Sourced};

/// The directories around a start that settings speak of without naming them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The working directory, resolved.
    pub cwd: AbsPath,
    /// `$TMPDIR` if it is absolute, exists, and isn't `/`; resolved.
    pub tmpdir: Option<AbsPath>,
    /// `/tmp`, resolved, if it exists.
    pub slash_tmp: Option<AbsPath>,
}

/// Every root that `settings` ask for, in order, plus those that `granted` adds for one action.
///
/// In `read-only` only what was granted; in `danger-full-access` nothing, since nothing is held back.
#[must_use]
pub fn requests(settings: &Settings, around: &Surroundings, granted: &[Sourced<AbsPath>]) -> Vec<RootRequest> {
    let mut requests = Vec::new();
    if settings.sandbox_mode.value == SandboxMode::WorkspaceWrite {
        if settings.workspace_writable.value {
            let origin = match settings.workspace_writable.origin.is_explicit() {
                true => settings.workspace_writable.origin.clone(),
                false => Origin::builtin("the working directory"),
            };
            requests.push(optional(around.cwd.clone(), origin));
        }
        requests.extend(settings.writable_roots.iter().cloned());
        requests
            .extend(settings.filesystem.write.iter().map(|path| RootRequest { path: path.clone(), required: false }));
        if let Some(tmp) =
            around.slash_tmp.clone().filter(|_| !settings.exclude_slash_tmp.value && !settings.private_tmp.value)
        {
            requests.push(optional(tmp, Origin::builtin("`/tmp`")));
        }
        if let Some(tmpdir) = around.tmpdir.clone().filter(|_| !settings.exclude_tmpdir_env_var.value) {
            let hidden =
                settings.private_tmp.value && around.slash_tmp.as_ref().is_some_and(|tmp| tmpdir.is_within(tmp));
            if !hidden {
                requests.push(optional(tmpdir, Origin::builtin("`$TMPDIR`")));
            }
        }
    }
    if settings.sandbox_mode.value != SandboxMode::DangerFullAccess {
        requests.extend(granted.iter().map(|path| RootRequest { path: path.clone(), required: true }));
    }
    requests
}

fn optional(path: AbsPath, origin: Origin) -> RootRequest {
    RootRequest { path: Sourced::new(path, origin), required: false }
}
