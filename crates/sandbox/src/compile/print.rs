//! A plan as text for people and as JSON for programs: every path with the setting it came from.

use crate::plan::{Act, Brokered, GroupKind, IdMap, Insistence, Limit, Plan, Step};
use ringfence_model::AbsPath;
use ringfence_model::units::{ByteSize, Span};
use std::time::Duration;

/// The JSON document, with the plan's id.
#[must_use]
pub fn json(plan: &Plan) -> serde_json::Value {
    let mut value = serde_json::to_value(plan).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("plan_id".to_owned(), plan.id().into());
    }
    value
}

/// The text, one line per step: insistence, promise, what is done, and the setting it came from.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = format!("{} {} in {}  [{}]\n", plan.tier, plan.mode, plan.cwd.display(), plan.mode_origin);
    for step in &plan.steps {
        out.push_str(&line(step));
        out.push('\n');
    }
    for gap in &plan.not_held {
        let kind = if gap.weakened { "weakened" } else { "absent" };
        out.push_str(&format!("{kind} {}: {}: {}; {}  [{}]\n", gap.promise, gap.what, gap.why, gap.remedy, gap.origin));
    }
    out
}

fn line(step: &Step) -> String {
    let must = match step.insistence {
        Insistence::Must => "must",
        Insistence::Should => "should",
    };
    format!("{must:<6} {:<21} {}  [{}]", step.promise.name(), describe(&step.act), step.origin)
}

fn paths(paths: &[AbsPath]) -> String {
    paths.iter().map(AbsPath::display).collect::<Vec<_>>().join(" ")
}

/// One step in words.
#[must_use]
pub fn describe(act: &Act) -> String {
    match act {
        Act::Namespaces { kinds, identity } => {
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
            let identity = match identity {
                IdMap::Own => "the present user and group keep their numbers",
                IdMap::All => "all users and groups keep their numbers",
            };
            format!("new namespaces: {}; {identity}", kinds.join(" "))
        }
        Act::ReadOnlyTree => "everything read-only, nothing set-user-id".to_owned(),
        Act::WritableRoot { path, .. } => format!("writable: {}", path.display()),
        Act::Pin { path } => format!("can't be renamed: {}", path.display()),
        Act::ReadOnlyPath { path, reason, .. } => format!("read-only: {} ({reason})", path.display()),
        Act::WritablePath { path, reason } => format!("writable: {} ({reason})", path.display()),
        Act::Mask { path } => format!("not readable: {}", path.display()),
        Act::OwnProc { read_only, masked } => {
            let mut text = format!("own /proc; read-only in it: {}", paths(read_only));
            if !masked.is_empty() {
                text.push_str(&format!("; not readable: {}", paths(masked)));
            }
            text
        }
        Act::OwnDev { nodes } => format!("own /dev with {} and ptmx pts shm fd", nodes.join(" ")),
        Act::OwnDirectory { path, keep, writable } => {
            let mut text = format!("own {}, empty{}", path.display(), if *writable { ", writable" } else { "" });
            if !keep.is_empty() {
                text.push_str(&format!(", but for {}", paths(keep)));
            }
            text
        }
        Act::CapabilityFile { path, .. } => format!("capability file {}", path.display()),
        Act::Loopback => "loopback raised".to_owned(),
        Act::ProxyListener { port } => format!("the proxy listens on port {port} of loopback inside"),
        Act::Transparent => "an interface that leads everything but loopback to the proxy".to_owned(),
        Act::LandlockRule { path, rights } => format!("Landlock below {}: {}", path.display(), rights.join(" ")),
        Act::LandlockSiblings { path, except, rights } => {
            let except: Vec<String> = except.iter().map(|path| path.display()).collect();
            format!("Landlock below {} but for {}: {}", path.display(), except.join(", "), rights.join(" "))
        }
        Act::LandlockSockets { allowed } => format!("Landlock: {}", no_sockets(allowed)),
        Act::Landlock { abi, files, scopes, network } => {
            let scopes = if scopes.is_empty() { String::new() } else { format!("; scopes {}", scopes.join(" ")) };
            format!("Landlock ABI {abi}: {} rights on files, {} on the network{scopes}", files.len(), network.len())
        }
        Act::Seccomp { profile, arch } => {
            format!("seccomp profile {profile:?} for {arch}, other ABIs closed").to_lowercase()
        }
        Act::DropPrivileges => "no capabilities, none to be gained".to_owned(),
        Act::CloseDescriptors => "descriptors 0, 1 and 2 only".to_owned(),
        Act::Group { kind: GroupKind::Shared } => "the supervisor's process group, signals held by Landlock".to_owned(),
        Act::Group { kind: GroupKind::Own } => "a process group of its own".to_owned(),
        Act::Environment { variables } => format!("environment of {variables} variables"),
        Act::Limit { limit } => limit_text(limit),
        Act::ControlGroup { parent, .. } => format!("control group below {}", parent.display()),
        Act::Broker(wish) => format!("broker: {}", brokered(wish)),
        Act::DieWithSupervisor => "everything inside ends with the supervisor".to_owned(),
        Act::KillLeftovers => "everything inside ends with the command".to_owned(),
        Act::Native { kind, lines } => format!("{kind} of {} lines", lines.len()),
    }
}

fn limit_text(limit: &Limit) -> String {
    let time = |milliseconds: u64| Span(Duration::from_millis(milliseconds));
    match *limit {
        Limit::Memory(bytes) => format!("memory at most {}", ByteSize(bytes)),
        Limit::Processes(count) => format!("at most {count} processes"),
        Limit::OpenFiles(count) => format!("at most {count} open files"),
        Limit::FileSize(bytes) => format!("files of at most {}", ByteSize(bytes)),
        Limit::CpuTime(milliseconds) => format!("processor time at most {}", time(milliseconds)),
        Limit::WallClock(milliseconds) => format!("time at most {}", time(milliseconds)),
        Limit::Output(bytes) => format!("output at most {}", ByteSize(bytes)),
    }
}

fn no_sockets(allowed: &[AbsPath]) -> String {
    match allowed {
        [] => "no unix socket made outside".to_owned(),
        _ => format!("no unix socket made outside but {}", paths(allowed)),
    }
}

pub(super) fn brokered(wish: &Brokered) -> String {
    match wish {
        Brokered::ProtectedName { path, present, .. } => {
            format!("{} {}", path.display(), if *present { "stays what it is" } else { "doesn't come into being" })
        }
        Brokered::WatchedName { path, .. } => format!("{} is moved aside when it is made", path.display()),
        Brokered::Metadata => "files outside the roots keep mode, owner, times and attributes".to_owned(),
        Brokered::UnixSockets { allowed } => no_sockets(allowed),
        Brokered::RefusedSockets { allowed } if allowed.is_empty() => "says which unix socket was refused".to_owned(),
        Brokered::RefusedSockets { allowed } => {
            format!("says which unix socket was refused; reaches {} also when made anew", paths(allowed))
        }
        Brokered::DenyReadGlob { glob } => {
            format!("not readable: {}", ringfence_model::text::escape(glob.as_str()))
        }
        Brokered::DenyReadPath { path } => format!("not readable when it appears: {}", path.display()),
        Brokered::ReadOnlyPath { path } => format!("read-only: {}", path.display()),
        Brokered::Pin { path } => format!("can't be renamed: {}", path.display()),
        Brokered::GitCommit { path, .. } => format!("git may commit in {}", path.display()),
        Brokered::Processes { most } => format!("at most {most} processes"),
        Brokered::Loopback { .. } => "loopback towards ports bound inside".to_owned(),
    }
}
