//! The landlock tier: no namespaces. Landlock lets the command itself write to nothing but devices; the broker, inside a
//! wider Landlock domain of its own, writes for it in the roots. What can't be held so is refused, naming the setting that
//! would accept less.

use super::common::{self, always, step, unmet};
use super::{Unenforceable, landlock, linux};
use crate::host::{HostFacts, LinuxFacts};
use crate::plan::{Act, Brokered, Insistence, Plan, Promise, Shortfall, Step};
use ringfence_model::confinement::{NetworkWish, ProxyListeners, Tmp, UnixSockets};
use ringfence_model::mode::AbsentHold;
use ringfence_model::{AbsPath, Confinement, Origin, Tier};

use Insistence::{Must, Should};

/// Devices the command may write to: sinks, sources, and the way to its own terminal.
const DEVICES: &[&str] =
    &["/dev/full", "/dev/null", "/dev/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

/// Oldest Landlock ABI with a scope for signals and abstract sockets: without it processes outside can be killed.
const SCOPED_ABI: u32 = 6;

/// Makes the plan of the landlock tier.
pub(super) fn plan(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let Some(facts) = host.linux.as_ref().filter(|_| common::is_linux(host)) else {
        let origin = &wish.backend.origin;
        return Err(Unenforceable { unmet: vec![unmet(None, "the `landlock` tier", "this is not Linux", "", origin)] });
    };
    refuse(wish, facts)?;
    let mut plan = common::frame(wish, host, Tier::Landlock);
    common::whereabouts(wish, &mut plan, "");
    let mut steps = vec![step(
        Act::DieWithSupervisor,
        Promise::DiesWithParent,
        Must,
        &always(),
        "nothing inside is left after SIGKILL of the supervisor",
    )];
    for root in &wish.roots {
        steps.push(step(
            Act::WritableRoot { path: root.path.clone(), id: root.id },
            Promise::WriteOutside,
            Must,
            &root.origin,
            "files can be made there, and nowhere else",
        ));
    }
    rules(wish, facts, &mut steps)?;
    linux::brokered(wish, facts, &mut steps);
    if !steps.iter().any(|step| matches!(step.act, Act::Broker(_))) {
        // Landlock has no right for metadata, and lets the command itself write to nothing: both are the broker's always.
        steps.push(step(
            Act::Broker(Brokered::Metadata),
            Promise::WriteOutside,
            Must,
            &wish.mode.origin,
            "EPERM for changing mode, owner, times and attributes of files outside the roots",
        ));
    }
    network(wish, &mut steps);
    linux::rest(wish, host, facts, &mut steps);
    plan.steps = steps;
    common::limits(wish, host, &mut plan);
    common::environment(wish, &mut plan);
    shortfalls(wish, facts, &mut plan);
    Ok(plan)
}

/// What this tier can't hold at all.
fn refuse(wish: &Confinement, facts: &LinuxFacts) -> Result<(), Unenforceable> {
    let mut all = Vec::new();
    if facts.landlock_abi < SCOPED_ABI {
        all.push(unmet(
            Promise::Processes,
            "leaving processes outside alone",
            "this Landlock has no scope for signals",
            "use a kernel from 6.12 on, or a tier with namespaces",
            &wish.backend.origin,
        ));
    }
    if wish.tmp.value == Tmp::Private {
        all.push(unmet(
            Promise::PrivateTmp,
            "a private `/tmp`",
            "without namespaces there is one `/tmp` for everybody",
            "set `private_tmp = false`, or use a tier with namespaces",
            &wish.tmp.origin,
        ));
    }
    if wish.absent_protected.value == AbsentHold::Watch {
        all.push(unmet(
            Promise::ProtectedPaths,
            "holding protected names by a watch",
            "without namespaces the broker holds them, present or not",
            "set `absent_protected = \"broker\"`",
            &wish.absent_protected.origin,
        ));
    }
    if all.is_empty() { Ok(()) } else { Err(Unenforceable { unmet: all }) }
}

/// The command's own Landlock rules: reading as in every tier, writing to devices alone.
fn rules(wish: &Confinement, facts: &LinuxFacts, steps: &mut Vec<Step>) -> Result<(), Unenforceable> {
    let first = steps.len();
    landlock::steps(wish, facts, Tier::Landlock, steps)?;
    let is_root = |path: &AbsPath| wish.roots.iter().any(|root| root.path == *path);
    let mut index = 0;
    steps.retain(|step| {
        index += 1;
        // Reading what lies in a root is granted with the rest, or by its own rule.
        index <= first || !matches!(&step.act, Act::LandlockRule { path, .. } if is_root(path))
    });
    for step in steps.iter_mut().skip(first) {
        let Act::LandlockRule { path, rights } = &step.act else { continue };
        if *path != AbsPath::root() || !rights.iter().any(|right| right == "READ_FILE") {
            continue;
        }
        // Everything but devices, shared memory and terminals, which are the host's: root could read a disk's content there, or
        // what somebody types. Listing directories can't be granted otherwise.
        let (list, read): (Vec<String>, Vec<String>) = rights.iter().cloned().partition(|right| right == "READ_DIR");
        let except = AbsPath::new("/dev").into_iter().collect();
        let rest = Act::LandlockSiblings { path: path.clone(), except, rights: read };
        let mut second = step.clone();
        second.act = rest;
        step.act = Act::LandlockRule { path: AbsPath::root(), rights: list };
        steps.push(second);
        break;
    }
    for root in &wish.roots {
        let read = landlock::rights(facts.landlock_abi.min(landlock::KNOWN_ABI), |_, reads| reads);
        let act = Act::LandlockRule { path: root.path.clone(), rights: read };
        steps.push(step(act, Promise::WriteOutside, Must, &root.origin, "reading works, writing is the broker's"));
    }
    let rights = landlock::rights(facts.landlock_abi.min(landlock::KNOWN_ABI), |name, _| {
        matches!(name, "WRITE_FILE" | "READ_FILE" | "TRUNCATE" | "IOCTL_DEV")
    });
    for device in DEVICES {
        if let Ok(path) = AbsPath::new(*device) {
            let act = Act::LandlockRule { path, rights: rights.clone() };
            steps.push(step(act, Promise::Devices, Should, &always(), "EACCES for every other device"));
        }
    }
    Ok(())
}

/// Internet sockets: without a network namespace every connection is the broker's.
fn network(wish: &Confinement, steps: &mut Vec<Step>) {
    let (ports, promise, sign) = match wish.network.value {
        NetworkWish::On => return,
        NetworkWish::Off => {
            (Vec::new(), Promise::NetworkOff, "EACCES for every address but loopback ports bound inside")
        }
        NetworkWish::Proxy { http_port, socks_port, listeners, .. } => {
            let sign = "EACCES for every address but the proxy's and loopback ports bound inside";
            // Ports inside a network of the sandbox's own would be anybody's here. Those of the machine are chosen when the
            // command starts.
            let ports = match listeners {
                ProxyListeners::Host => [http_port, socks_port].into_iter().filter(|port| *port != 0).collect(),
                ProxyListeners::Inside => Vec::new(),
            };
            (ports, Promise::NetworkProxy, sign)
        }
    };
    let every_port = wish.allow_local_binding.value;
    steps.push(step(Act::Broker(Brokered::Loopback { every_port, ports }), promise, Must, &wish.network.origin, sign));
}

fn shortfalls(wish: &Confinement, facts: &LinuxFacts, plan: &mut Plan) {
    let mut add = |promise: Promise, what: &str, why: &str, origin: &Origin| {
        plan.not_held.push(Shortfall {
            promise,
            weakened: true,
            what: what.to_owned(),
            why: why.to_owned(),
            remedy: "use a tier with namespaces (`ringfence doctor` says what it lacks)".to_owned(),
            origin: origin.clone(),
        });
    };
    let backend = &wish.backend.origin;
    add(
        Promise::Processes,
        "the lists of processes outside, and of their shared memory, semaphores and queues, can be seen",
        "without namespaces `/proc` is the host's; signals, tracing and memory are held, and those objects out of reach",
        backend,
    );
    if !landlock::holds_sockets(wish, facts) {
        add(
            Promise::Work,
            "unix datagram sockets are refused, but for pairs",
            "without namespaces each message could go to a socket of the host's",
            backend,
        );
    }
    if wish.network.value != NetworkWish::On {
        add(
            Promise::Loopback,
            "servers inside listen on the host's loopback",
            "without a network namespace there is one loopback; connections that weren't made inside are dropped when they are accepted",
            &wish.network.origin,
        );
    }
    if matches!(wish.network.value, NetworkWish::Proxy { .. }) {
        add(
            Promise::NetworkProxy,
            "the proxy listens on the host's loopback",
            "without a network namespace there is one loopback; connections that weren't made inside are turned away",
            &wish.network.origin,
        );
    }
    if wish.network.value == NetworkWish::On && wish.unix_sockets == UnixSockets::Everything {
        add(Promise::Ipc, "shared memory of the host can be read", "without namespaces it is the host's", backend);
    }
}
