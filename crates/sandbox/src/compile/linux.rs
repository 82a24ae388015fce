//! The namespaces tier: mounts, namespaces, Landlock and seccomp, in the order in which they are made.

use super::common::{self, always, step};
use super::{Unenforceable, landlock, paths};
use crate::host::{HostFacts, LinuxFacts};
use crate::plan::{
    Act, Brokered, GroupKind, IdMap, Insistence, Namespace, Plan, Promise, SeccompProfile, Shortfall, Step,
};
use ringfence_model::confinement::{NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::mode::AbsentHold;
use ringfence_model::{AbsPath, Confinement, Origin, Tier};

use Insistence::{Must, Should};

/// Where the capability file is, in a private `/run`.
const CAPABILITIES: &str = "/run/ringfence/capabilities.json";

/// Files below `/run` that name resolution needs where the network is on.
const RUN_RESOLVER: &[&str] = &[
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/NetworkManager/resolv.conf",
    "/run/resolvconf/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
];

/// Directories below `/run` that hold programs on some distributions.
const RUN_PROGRAMS: &[&str] = &["/run/current-system", "/run/opengl-driver"];

/// Device nodes of a minimal `/dev`, each harmless to share: sinks, sources, and the way to one's own terminal.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

/// Makes the plan of the namespaces tier.
pub(super) fn namespaces(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let Some(linux) = host.linux.as_ref().filter(|_| common::is_linux(host)) else {
        return Err(refused(None, "the `namespaces` tier", "this is not Linux", &wish.backend.origin));
    };
    refuse_odd_roots(wish)?;
    let mut plan = common::frame(wish, host, Tier::Namespaces);
    common::whereabouts(wish, &mut plan, CAPABILITIES);
    let mut steps = Vec::new();
    own_namespaces(wish, host, &mut steps);
    tree(wish, &mut steps)?;
    devices_and_proc(host, linux, &mut steps);
    masks(wish, &mut steps)?;
    network(wish, &mut steps);
    steps.push(step(
        Act::CapabilityFile {
            path: absolute(CAPABILITIES)?,
            content: super::capabilities::file(wish, Tier::Namespaces),
        },
        Promise::Work,
        Should,
        &always(),
        "`cat $RINGFENCE_CAPABILITIES` prints it",
    ));
    landlock::steps(wish, linux, Tier::Namespaces, &mut steps)?;
    brokered(wish, linux, &mut steps);
    rest(wish, host, linux, &mut steps);
    plan.steps = steps;
    landlock::leave_making_to_the_broker(linux, &mut plan);
    common::limits(wish, host, &mut plan);
    common::environment(wish, &mut plan);
    shortfalls(wish, linux, &mut plan);
    Ok(plan)
}

fn refused(promise: impl Into<Option<Promise>>, what: &str, why: &str, origin: &Origin) -> Unenforceable {
    Unenforceable { unmet: vec![common::unmet(promise, what, why, "", origin)] }
}

/// A path of a table of this crate.
fn absolute(path: &str) -> Result<AbsPath, Unenforceable> {
    AbsPath::new(path).map_err(|error| refused(None, path, &error.to_string(), &always()))
}

/// Writable roots below what every sandbox replaces have no meaning.
fn refuse_odd_roots(wish: &Confinement) -> Result<(), Unenforceable> {
    for root in &wish.roots {
        for own in ["/dev", "/proc", "/sys"] {
            if root.path.is_within(&absolute(own)?) {
                return Err(refused(
                    Promise::Devices,
                    &format!("the writable root `{}`", root.path.display()),
                    &format!("`{own}` of the host is not reachable in a sandbox"),
                    &root.origin,
                ));
            }
        }
    }
    Ok(())
}

fn own_namespaces(wish: &Confinement, host: &HostFacts, steps: &mut Vec<Step>) {
    steps.push(step(
        Act::DieWithSupervisor,
        Promise::DiesWithParent,
        Must,
        &always(),
        "nothing inside is left after SIGKILL of the supervisor",
    ));
    let mut kinds = vec![Namespace::User, Namespace::Mount, Namespace::Pid, Namespace::Ipc];
    if wish.network.value != NetworkWish::On {
        kinds.push(Namespace::Net);
    }
    kinds.extend([Namespace::Uts, Namespace::Cgroup]);
    let identity = if host.uid == Some(0) { IdMap::All } else { IdMap::Own };
    steps.push(step(
        Act::Namespaces { kinds, identity },
        Promise::Processes,
        Must,
        &always(),
        "`kill`, `ptrace` and `/proc/PID` of outside processes give ESRCH or ENOENT",
    ));
}

/// The mounts: everything read-only, then what is private, then the roots with their islands.
fn tree(wish: &Confinement, steps: &mut Vec<Step>) -> Result<(), Unenforceable> {
    let everything = wish.roots.iter().any(|root| root.path == AbsPath::root());
    if !everything {
        steps.push(step(Act::ReadOnlyTree, Promise::WriteOutside, Must, &wish.mode.origin, "EROFS"));
    }
    let run = absolute("/run")?;
    if wish.unix_sockets != UnixSockets::Everything {
        steps.push(step(
            Act::OwnDirectory { keep: kept(wish, &run)?, path: run, writable: false },
            Promise::UnixSockets,
            Should,
            &always(),
            "ENOENT for the sockets that were there",
        ));
    }
    if wish.tmp.value == Tmp::Private {
        let tmp = absolute("/tmp")?;
        steps.push(step(
            Act::OwnDirectory { keep: kept(wish, &tmp)?, path: tmp, writable: true },
            Promise::PrivateTmp,
            Must,
            &wish.tmp.origin,
            "files of the host's `/tmp` give ENOENT",
        ));
    }
    for (index, root) in wish.roots.iter().enumerate() {
        // The same directory twice is one root.
        if wish.roots.iter().take(index).any(|earlier| earlier.path == root.path) {
            continue;
        }
        steps.push(step(
            Act::WritableRoot { path: root.path.clone(), id: root.id },
            Promise::WriteOutside,
            Must,
            &root.origin,
            "files can be made there, and nowhere else",
        ));
    }
    paths::islands(wish, steps);
    Ok(())
}

/// What stays in a directory that becomes private.
fn kept(wish: &Confinement, directory: &AbsPath) -> Result<Vec<AbsPath>, Unenforceable> {
    let mut keep = Vec::new();
    for program in RUN_PROGRAMS {
        keep.push(absolute(program)?);
    }
    if wish.network.value == NetworkWish::On {
        for file in RUN_RESOLVER {
            keep.push(absolute(file)?);
        }
    }
    keep.push(wish.cwd.clone());
    keep.extend(wish.reads.also.iter().map(|path| path.value.clone()));
    if let UnixSockets::Only(sockets) = &wish.unix_sockets {
        keep.extend(sockets.iter().map(|socket| socket.value.clone()));
    }
    keep.retain(|path| {
        path.is_within(directory) && path != directory && !wish.roots.iter().any(|root| path.is_within(&root.path))
    });
    keep.sort();
    keep.dedup();
    Ok(keep)
}

fn devices_and_proc(host: &HostFacts, linux: &LinuxFacts, steps: &mut Vec<Step>) {
    steps.push(step(
        Act::OwnDev { nodes: DEVICES.iter().map(|&name| name.to_owned()).collect() },
        Promise::Devices,
        Must,
        &always(),
        "ENOENT for every other device",
    ));
    let below = |names: &[&str]| names.iter().filter_map(|name| AbsPath::new(*name).ok()).collect();
    // Root inside is root to these files, whose owner needs no capability to write them.
    // What reads the host's memory or log asks for a capability, and needs no mask.
    let read_only = if host.uid == Some(0) {
        below(&["/proc/acpi", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger"])
    } else {
        below(&["/proc/sys"])
    };
    // Where an outer container masks parts of `/proc` the kernel gives no fresh one. The host's stays then, read-only;
    // Landlock keeps processes outside from being looked into.
    let insistence = if linux.landlock_abi > 0 { Should } else { Must };
    steps.push(step(
        Act::OwnProc { read_only, masked: Vec::new() },
        Promise::Processes,
        insistence,
        &always(),
        "`/proc` lists the sandbox's own processes; EROFS below `/proc/sys`",
    ));
}

/// Exact denied reads; globs are the broker's.
fn masks(wish: &Confinement, steps: &mut Vec<Step>) -> Result<(), Unenforceable> {
    for denied in &wish.reads.denied {
        let PathPattern::Path(path) = &denied.pattern else { continue };
        if path == &AbsPath::root() {
            return Err(refused(
                Promise::DenyRead,
                "denying to read `/`",
                "no program could run; name the directories",
                &denied.origin,
            ));
        }
        steps.push(step(Act::Mask { path: path.clone() }, Promise::DenyRead, Must, &denied.origin, "EACCES"));
    }
    Ok(())
}

fn network(wish: &Confinement, steps: &mut Vec<Step>) {
    let origin = &wish.network.origin;
    match wish.network.value {
        NetworkWish::On => {}
        NetworkWish::Off => {
            steps.push(step(Act::Loopback, Promise::Loopback, Must, origin, "127.0.0.1 and ::1 answer inside"));
        }
        NetworkWish::Proxy { http_port, socks_port, transparent, .. } => {
            steps.push(step(Act::Loopback, Promise::Loopback, Must, origin, "127.0.0.1 and ::1 answer inside"));
            for port in [http_port, socks_port] {
                if port != 0 {
                    steps.push(step(
                        Act::ProxyListener { port },
                        Promise::NetworkProxy,
                        Must,
                        origin,
                        "the proxy answers on this port of 127.0.0.1 inside",
                    ));
                }
            }
            if transparent {
                steps.push(step(
                    Act::Transparent,
                    Promise::NetworkProxy,
                    Must,
                    origin,
                    "the only interface beside loopback leads to the proxy",
                ));
            }
        }
    }
}

/// Whether protected names are only watched. Where the broker is asked about names for another reason, it holds them too.
fn is_watched(wish: &Confinement) -> bool {
    wish.absent_protected.value == AbsentHold::Watch && wish.reads.denied.is_empty() && wish.git_dirs.is_empty()
}

/// What only the broker can hold.
pub(super) fn brokered(wish: &Confinement, linux: &LinuxFacts, steps: &mut Vec<Step>) {
    let watched = is_watched(wish);
    for protected in &wish.protected {
        let (path, reason) = (protected.path.clone(), protected.reason.clone());
        let (act, insistence, sign) = match (watched, protected.found) {
            (false, found) => {
                let act = Brokered::ProtectedName { path, present: found.is_some(), reason };
                (act, Must, "EROFS for creating, renaming and linking")
            }
            (true, None) => (Brokered::WatchedName { path, reason }, Should, "what takes the name gets another one"),
            // Mounts hold what is there.
            (true, Some(_)) => continue,
        };
        steps.push(step(Act::Broker(act), Promise::ProtectedPaths, insistence, &protected.origin, sign));
    }
    for denied in &wish.reads.denied {
        let act = match &denied.pattern {
            PathPattern::Glob(glob) => Brokered::DenyReadGlob { glob: glob.clone() },
            PathPattern::Path(path) => Brokered::DenyReadPath { path: path.clone() },
        };
        // An exact path that exists is held by its mask; the broker adds what appears later under its name.
        let insistence = if matches!(act, Brokered::DenyReadGlob { .. }) { Must } else { Should };
        steps.push(step(Act::Broker(act), Promise::DenyRead, insistence, &denied.origin, "EACCES"));
    }
    if let UnixSockets::Only(allowed) = &wish.unix_sockets {
        let origin = allowed.first().map_or_else(always, |first| first.origin.clone());
        let paths: Vec<AbsPath> = allowed.iter().map(|path| path.value.clone()).collect();
        let (act, insistence, sign) = if landlock::holds_sockets(wish, linux) {
            let sign = "a refused connection is listed with what would allow it";
            (Brokered::RefusedSockets { allowed: paths }, Should, sign)
        } else {
            (Brokered::UnixSockets { allowed: paths }, Must, "EACCES for sockets made outside")
        };
        // A watch is had for not being asked.
        if insistence == Must || !watched || !allowed.is_empty() {
            steps.push(step(Act::Broker(act), Promise::UnixSockets, insistence, &origin, sign));
        }
    }
    for git in &wish.git_dirs {
        steps.push(step(
            Act::Broker(Brokered::GitCommit { path: git.path.clone(), role: git.role }),
            Promise::ProtectedPaths,
            Must,
            &wish.git.origin,
            "EROFS for hooks and configuration",
        ));
    }
}

/// What closes the door: privileges, system calls, descriptors, group, leftovers.
pub(super) fn rest(wish: &Confinement, host: &HostFacts, linux: &LinuxFacts, steps: &mut Vec<Step>) {
    let always = &always();
    let profile = match wish.network.value {
        NetworkWish::On => SeccompProfile::Online,
        NetworkWish::Off | NetworkWish::Proxy { .. } => SeccompProfile::Offline,
    };
    steps.push(step(Act::DropPrivileges, Promise::Privilege, Must, always, "`CapEff` is 0 and `NoNewPrivs` is 1"));
    steps.push(step(
        Act::Seccomp { profile, arch: host.arch.clone() },
        Promise::KernelSurface,
        Must,
        always,
        "EPERM or ENOSYS for what `ringfence plan` lists",
    ));
    steps.push(step(
        Act::CloseDescriptors,
        Promise::InheritedDescriptors,
        Must,
        always,
        "`/proc/self/fd` lists 0, 1 and 2",
    ));
    let kind = if linux.landlock_abi >= 6 { GroupKind::Shared } else { GroupKind::Own };
    steps.push(step(Act::Group { kind }, Promise::Processes, Must, always, "`kill 0` doesn't reach the supervisor"));
    if !wish.keep_background.value {
        steps.push(step(
            Act::KillLeftovers,
            Promise::DiesWithCommand,
            Must,
            &wish.keep_background.origin,
            "daemons are gone when the command has ended",
        ));
    }
}

/// What is known beforehand not to be held.
fn shortfalls(wish: &Confinement, linux: &LinuxFacts, plan: &mut Plan) {
    if is_watched(wish) && !wish.protected.is_empty() {
        plan.not_held.push(Shortfall {
            promise: Promise::ProtectedPaths,
            weakened: true,
            what: "protected names that don't exist, and protected files that somebody outside replaces".to_owned(),
            why: "`absent_protected = \"watch\"` lets them come into being and moves them aside (`NAME.held-back`) as soon as \
                  that is noticed, and when the command has ended"
                .to_owned(),
            remedy: "set `absent_protected = \"broker\"`".to_owned(),
            origin: wish.absent_protected.origin.clone(),
        });
    }
    if linux.landlock_abi == 0 {
        plan.not_held.push(Shortfall {
            promise: Promise::WriteOutside,
            weakened: true,
            what: match linux.notification.works() {
                // The broker is asked about every opening for writing then.
                true => "writing into device files outside the roots".to_owned(),
                false => "writing into FIFOs and device files outside the roots".to_owned(),
            },
            why: "the kernel offers no Landlock, and a read-only mount does not stop such writes".to_owned(),
            remedy: "use a kernel from 5.13 on with `landlock` in its `lsm=` list".to_owned(),
            origin: wish.mode.origin.clone(),
        });
    }
    // Where sockets are brokered, so are those that have a name and no file.
    let brokered = wish.unix_sockets != UnixSockets::Everything;
    if wish.network.value == NetworkWish::On && linux.landlock_abi < 6 && !brokered {
        plan.not_held.push(Shortfall {
            promise: Promise::Ipc,
            weakened: false,
            what: "abstract unix sockets of the host".to_owned(),
            why: "with network on they are the host's, and this Landlock has no scope for them".to_owned(),
            remedy: "use a kernel from 6.12 on, or the proxy instead of the open network".to_owned(),
            origin: wish.network.origin.clone(),
        });
    }
    if wish.reads.base.value == ReadBase::Minimal && linux.landlock_abi == 0 {
        plan.not_held.push(Shortfall {
            promise: Promise::DenyRead,
            weakened: false,
            what: "reading outside the platform directories".to_owned(),
            why: "the kernel offers no Landlock".to_owned(),
            remedy: "use a kernel from 5.13 on with `landlock` in its `lsm=` list".to_owned(),
            origin: wish.reads.base.origin.clone(),
        });
    }
}
