//! A plan as text for people: what may be written, what stays read-only, what is out of reach, with the setting each
//! came from and the promise each step serves.

use super::{Paint, table};
use ringfence_model::SandboxMode;
use ringfence_model::origin::Origin;
use ringfence_sandbox::plan::{Act, Brokered, Insistence, Limit, Namespace, Plan, Step};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Sections in the order they are shown.
const SECTIONS: &[&str] = &[
    "writable",
    "read-only inside the writable roots",
    "not readable",
    "network and sockets",
    "processes and kernel",
    "directories of its own",
    "limits",
    "other",
];

/// The whole plan.
#[must_use]
pub fn render(plan: &Plan, command: &str, paint: Paint) -> String {
    let mut out = String::new();
    let head = [
        ("plan", plan.id()),
        ("command", command.to_owned()),
        ("directory", plan.cwd.display()),
        ("mode", format!("{}  [{}]", plan.mode, plan.mode_origin)),
        ("tier", plan.tier.name().to_owned()),
    ];
    out.push_str(&table::columns(&head.map(|(name, value)| vec![name.to_owned(), value]), ""));
    if plan.mode == SandboxMode::DangerFullAccess {
        let _ = writeln!(out, "\n{}", paint.warn("no confinement: the command can do whatever you can"));
    }
    let mut sections: BTreeMap<usize, Vec<Vec<String>>> = BTreeMap::new();
    let mut absent = Absent::default();
    for step in &plan.steps {
        if absent.take(step) {
            continue;
        }
        let (section, what) = describe(&step.act);
        let at = SECTIONS.iter().position(|name| *name == section).unwrap_or(SECTIONS.len());
        let (rows, row) = (sections.entry(at).or_default(), row(step, what));
        // Mounts and the broker may hold the same: it is one thing that a reader may not do.
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    for (at, rows) in sections {
        let name = SECTIONS.get(at).copied().unwrap_or("other");
        let _ = writeln!(out, "\n{}", paint.bold(name));
        out.push_str(&table::columns(&rows, "  "));
    }
    absent.render(&mut out, paint);
    environment(&mut out, plan, paint);
    if !plan.not_held.is_empty() {
        let _ = writeln!(out, "\n{}", paint.warn("not, or not fully, held on this host"));
        for gap in &plan.not_held {
            let kind = if gap.weakened { "weaker" } else { "absent" };
            let _ = writeln!(out, "  {} ({kind}): {}: {}  [{}]", gap.promise, gap.what, gap.why, gap.origin);
            if !gap.remedy.is_empty() {
                let _ = writeln!(out, "    hint: {}", gap.remedy);
            }
        }
    }
    out
}

/// Protected names that don't exist, gathered by the directory they would be in: there are dozens, and a reader looks
/// for one of them by name.
#[derive(Default)]
struct Absent {
    names: BTreeMap<(String, String), Vec<String>>,
    /// They are only watched.
    watched: bool,
}

impl Absent {
    fn take(&mut self, step: &Step) -> bool {
        let path = match &step.act {
            Act::Broker(Brokered::ProtectedName { path, present: false, .. }) => path,
            Act::Broker(Brokered::WatchedName { path, .. }) => {
                self.watched = true;
                path
            }
            _ => return false,
        };
        let parent = path.parent().map_or_else(|| "/".to_owned(), |parent| parent.display());
        let name = path.file_name().map_or_else(String::new, |name| ringfence_model::OsText::new(name).display());
        self.names.entry((parent, step.origin.to_string())).or_default().push(name);
        true
    }

    fn render(&self, out: &mut String, paint: Paint) {
        if self.names.is_empty() {
            return;
        }
        let held = if self.watched { "are moved aside when they are made" } else { "can't come into being" };
        let _ = writeln!(out, "\n{}", paint.bold(&format!("absent names that {held} (protected-paths)")));
        for ((parent, origin), names) in &self.names {
            let _ = writeln!(out, "  in {parent}  [{origin}]");
            let mut line = String::from("   ");
            for name in names {
                if line.chars().count() + name.chars().count() > 110 {
                    let _ = writeln!(out, "{line}");
                    line = String::from("   ");
                }
                line.push(' ');
                line.push_str(name);
            }
            let _ = writeln!(out, "{line}");
        }
    }
}

fn row(step: &Step, what: String) -> Vec<String> {
    let promise = match step.insistence {
        Insistence::Must => step.promise.name().to_owned(),
        Insistence::Should => format!("{} (should)", step.promise),
    };
    vec![what, promise, format!("[{}]", step.origin)]
}

fn environment(out: &mut String, plan: &Plan, paint: Paint) {
    let _ = writeln!(out, "\n{}", paint.bold("environment"));
    // Values may be anything, and a plan is pasted into reports: names only, but for what was set on purpose.
    let inherited = |origin: &Origin| !matches!(origin, Origin::Flag { .. } | Origin::File { .. });
    let (kept, set): (Vec<_>, Vec<_>) = plan.environment.iter().partition(|variable| inherited(&variable.origin));
    let names: Vec<_> = kept.iter().map(|variable| variable.name.display()).collect();
    let _ = writeln!(out, "  passed: {}", if names.is_empty() { "nothing".into() } else { names.join(" ") });
    for variable in set {
        let _ = writeln!(out, "  set: {}  [{}]", variable.name.display(), variable.origin);
    }
    let mut dropped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, origin) in &plan.environment_dropped {
        dropped.entry(origin.to_string()).or_default().push(name.display());
    }
    for (origin, names) in dropped {
        let _ = writeln!(out, "  dropped: {}  [{origin}]", names.join(" "));
    }
}

fn describe(act: &Act) -> (&'static str, String) {
    const WRITABLE: &str = "writable";
    const PROTECTED: &str = "read-only inside the writable roots";
    const DENIED: &str = "not readable";
    const NETWORK: &str = "network and sockets";
    const PROCESSES: &str = "processes and kernel";
    const OWN: &str = "directories of its own";
    let joined = |texts: &[String]| texts.join(", ");
    match act {
        Act::WritableRoot { path, .. } => (WRITABLE, path.display()),
        Act::WritablePath { path, reason } => (WRITABLE, format!("{} ({reason})", path.display())),
        Act::ReadOnlyPath { path, reason, .. } => (PROTECTED, format!("{} ({reason})", path.display())),
        Act::Pin { path } => (PROTECTED, format!("{} can't be renamed or replaced", path.display())),
        Act::Mask { path } => (DENIED, path.display()),
        Act::Broker(Brokered::ProtectedName { path, present, reason }) => {
            let state = if *present { "" } else { ", absent: can't come into being" };
            (PROTECTED, format!("{} ({reason}{state})", path.display()))
        }
        Act::Broker(Brokered::WatchedName { path, reason }) => {
            (PROTECTED, format!("{} ({reason}, absent: moved aside when it is made)", path.display()))
        }
        Act::Broker(Brokered::ReadOnlyPath { path }) => (PROTECTED, path.display()),
        Act::Broker(Brokered::Pin { path }) => (PROTECTED, format!("{} can't be renamed", path.display())),
        Act::Broker(Brokered::DenyReadGlob { glob }) => (DENIED, ringfence_model::text::escape(glob.as_str())),
        Act::Broker(Brokered::DenyReadPath { path }) => (DENIED, path.display()),
        Act::Broker(Brokered::GitCommit { path, .. }) => (WRITABLE, format!("what git commits in {}", path.display())),
        Act::Broker(Brokered::RefusedSockets { .. }) => {
            (NETWORK, "connections to unix sockets that are refused are explained".into())
        }
        Act::Broker(Brokered::UnixSockets { allowed }) | Act::LandlockSockets { allowed } if allowed.is_empty() => {
            (NETWORK, "unix sockets made outside: none".into())
        }
        Act::Broker(Brokered::UnixSockets { allowed }) | Act::LandlockSockets { allowed } => {
            let paths: Vec<_> = allowed.iter().map(ringfence_model::AbsPath::display).collect();
            (NETWORK, format!("unix sockets made outside: only {}", joined(&paths)))
        }
        Act::Broker(Brokered::Loopback { .. }) => (NETWORK, "loopback: only ports bound inside".into()),
        Act::Loopback => (NETWORK, "loopback of its own".into()),
        Act::Transparent => (NETWORK, "everything but loopback leads to the proxy, whoever asks".into()),
        Act::ProxyListener { port } => (NETWORK, format!("the proxy, on 127.0.0.1:{port} inside")),
        Act::ReadOnlyTree => (WRITABLE, "nothing else: every other mount is read-only".into()),
        Act::Namespaces { kinds, .. } => {
            let names: Vec<_> = kinds.iter().map(|kind| namespace(*kind).to_owned()).collect();
            (PROCESSES, format!("own namespaces: {}", joined(&names)))
        }
        Act::OwnProc { read_only, masked } => {
            (OWN, format!("/proc: own processes only, {} parts read-only, {} masked", read_only.len(), masked.len()))
        }
        Act::OwnDev { nodes } => (OWN, format!("/dev: {}", nodes.join(" "))),
        Act::OwnDirectory { path, keep, writable } => {
            let kind = if *writable { "own, empty, writable" } else { "own, read-only" };
            let kept = if keep.is_empty() { String::new() } else { format!(", keeping {} entries", keep.len()) };
            (OWN, format!("{}: {kind}{kept}", path.display()))
        }
        Act::CapabilityFile { path, .. } => {
            (OWN, format!("{}: tells programs inside what they may do", path.display()))
        }
        Act::LandlockRule { path, rights } => {
            ("other", format!("Landlock: {} rights below {}", rights.len(), path.display()))
        }
        Act::LandlockSiblings { path, except, rights } => {
            let except: Vec<String> = except.iter().map(ringfence_model::AbsPath::display).collect();
            (
                "other",
                format!("Landlock: {} rights below {}, but not {}", rights.len(), path.display(), except.join(" ")),
            )
        }
        Act::Landlock { abi, files, network, scopes } => {
            let scopes = if scopes.is_empty() { "no scopes".to_owned() } else { format!("scopes {}", joined(scopes)) };
            let ports = if network.is_empty() { "no TCP rules".to_owned() } else { joined(network) };
            (PROCESSES, format!("Landlock ABI {abi}: {} file rights, {ports}, {scopes}", files.len()))
        }
        Act::Seccomp { profile, arch } => (PROCESSES, format!("seccomp profile {profile:?} for {arch}").to_lowercase()),
        Act::DropPrivileges => (PROCESSES, "no capabilities, none to gain".into()),
        Act::CloseDescriptors => (PROCESSES, "only standard input, output and error are inherited".into()),
        Act::Group { .. } => (PROCESSES, "a process group of its own".into()),
        Act::Environment { variables } => (PROCESSES, format!("an environment of {variables} variables")),
        Act::DieWithSupervisor => (PROCESSES, "everything inside ends with Ringfence".into()),
        Act::KillLeftovers => (PROCESSES, "everything inside ends with the command".into()),
        Act::Limit { limit } => ("limits", self::limit(limit)),
        Act::Native { kind, lines } => ("other", format!("{kind}: {} lines", lines.len())),
        other => ("other", format!("{other:?}")),
    }
}

fn limit(limit: &Limit) -> String {
    use ringfence_model::units::{ByteSize, Span};
    let bytes = |count: u64| ByteSize(count).to_string();
    let time = |millis: u64| Span(std::time::Duration::from_millis(millis)).to_string();
    match limit {
        Limit::Memory(count) => format!("memory {}", bytes(*count)),
        Limit::Processes(count) => format!("processes {count}"),
        Limit::OpenFiles(count) => format!("open files {count}"),
        Limit::FileSize(count) => format!("file size {}", bytes(*count)),
        Limit::CpuTime(millis) => format!("processor time {}", time(*millis)),
        Limit::WallClock(millis) => format!("time {}", time(*millis)),
        Limit::Output(count) => format!("output {}", bytes(*count)),
    }
}

fn namespace(kind: Namespace) -> &'static str {
    match kind {
        Namespace::User => "users",
        Namespace::Mount => "mounts",
        Namespace::Pid => "processes",
        Namespace::Ipc => "IPC",
        Namespace::Net => "network",
        Namespace::Uts => "host name",
        Namespace::Cgroup => "control groups",
    }
}
