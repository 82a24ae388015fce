//! Landlock rules: which rights each ABI has, which are handled, and what is granted where.

use super::Unenforceable;
use super::common::{always, step};
use crate::host::{LinuxFacts, Tried};
use crate::plan::{Act, Brokered, Insistence, Plan, Promise, Step};
use ringfence_model::confinement::{NetworkWish, ReadBase, Tmp, UnixSockets};
use ringfence_model::{AbsPath, Confinement, Origin, Tier};

/// Rights on files: kernel name without prefix, ABI that brought it, whether it only reads.
pub const FILE_RIGHTS: &[(&str, u32, bool)] = &[
    ("EXECUTE", 1, true),
    ("WRITE_FILE", 1, false),
    ("READ_FILE", 1, true),
    ("READ_DIR", 1, true),
    ("REMOVE_DIR", 1, false),
    ("REMOVE_FILE", 1, false),
    ("MAKE_CHAR", 1, false),
    ("MAKE_DIR", 1, false),
    ("MAKE_REG", 1, false),
    ("MAKE_SOCK", 1, false),
    ("MAKE_FIFO", 1, false),
    ("MAKE_BLOCK", 1, false),
    ("MAKE_SYM", 1, false),
    ("REFER", 2, false),
    ("TRUNCATE", 3, false),
    ("IOCTL_DEV", 5, false),
];

/// The right to reach unix sockets made outside by their path. It isn't among those of the table: no directory is granted
/// it, and it is believed only where it was found by trial.
pub const RESOLVE_UNIX: &str = "RESOLVE_UNIX";

/// Rights on internet ports: kernel name without prefix, and the ABI that brought it.
pub const PORT_RIGHTS: &[(&str, u32)] =
    &[("BIND_TCP", 4), ("CONNECT_TCP", 4), ("BIND_UDP", 10), ("CONNECT_SEND_UDP", 10)];

/// Scopes: kernel name without prefix, and the ABI that brought it.
pub const SCOPES: &[(&str, u32)] = &[("ABSTRACT_UNIX_SOCKET", 6), ("SIGNAL", 6)];

/// Highest ABI that is known. What a later one adds isn't used; what it has of the earlier ones is.
pub const KNOWN_ABI: u32 = 11;

/// Platform directories that programs need to run, for restricted reads: path and reason.
pub const PLATFORM_READS: &[(&str, &str)] = &[
    ("/bin", "programs"),
    ("/dev", "the sandbox's own devices"),
    ("/etc", "configuration that libraries read; secrets there are root's own"),
    ("/lib", "libraries"),
    ("/lib32", "libraries"),
    ("/lib64", "libraries"),
    ("/libx32", "libraries"),
    ("/nix/store", "programs and libraries"),
    ("/gnu/store", "programs and libraries"),
    ("/opt", "programs"),
    ("/proc", "the sandbox's own processes"),
    ("/run", "the sandbox's own"),
    ("/sbin", "programs"),
    ("/sys", "facts of the hardware"),
    ("/usr", "programs and libraries"),
    ("/var/cache/fontconfig", "fonts"),
    ("/var/lib/dpkg", "facts about packages"),
    ("/var/lib/rpm", "facts about packages"),
];

pub(super) fn rights(abi: u32, wanted: impl Fn(&str, bool) -> bool) -> Vec<String> {
    let mut names: Vec<String> = FILE_RIGHTS
        .iter()
        .filter(|(name, since, reads)| *since <= abi && wanted(name, *reads))
        .map(|(name, _, _)| (*name).to_owned())
        .collect();
    names.sort();
    names
}

/// Whether the kernel itself keeps unix sockets made outside out of reach.
pub(super) fn holds_sockets(wish: &Confinement, linux: &LinuxFacts) -> bool {
    linux.landlock_abi > 0 && linux.landlock_unix.works() && wish.unix_sockets != UnixSockets::Everything
}

/// Adds the ruleset and its rules.
pub(super) fn steps(
    wish: &Confinement,
    linux: &LinuxFacts,
    tier: Tier,
    steps: &mut Vec<Step>,
) -> Result<(), Unenforceable> {
    let abi = linux.landlock_abi.min(KNOWN_ABI);
    if abi == 0 {
        return Ok(());
    }
    let add = |steps: &mut Vec<Step>, path: AbsPath, rights: Vec<String>, insistence, origin: &Origin| {
        if !rights.is_empty() {
            let act = Act::LandlockRule { path, rights };
            steps.push(step(act, Promise::WriteOutside, insistence, origin, "EACCES for what no rule grants"));
        }
    };
    let mut files = rights(abi, |_, _| true);
    if holds_sockets(wish, linux) {
        files.push(RESOLVE_UNIX.to_owned());
        files.sort();
    }
    // Not handled in the tiers with an own network: Landlock knows ports, not addresses, and loopback must work. Without one
    // the broker, which these rules don't bind, connects, binds and sends to addresses: the command itself never needs to.
    let handles_ports = tier == Tier::Landlock && wish.network.value != NetworkWish::On;
    let ports = PORT_RIGHTS.iter().filter(|(_, since)| handles_ports && *since <= abi);
    steps.push(step(
        Act::Landlock {
            abi,
            files,
            network: ports.map(|(name, _)| (*name).to_owned()).collect(),
            scopes: SCOPES.iter().filter(|(_, since)| *since <= abi).map(|(name, _)| (*name).to_owned()).collect(),
        },
        Promise::WriteOutside,
        Insistence::Must,
        &wish.mode.origin,
        "EACCES for writing into a FIFO outside",
    ));
    let read = rights(abi, |_, reads| reads);
    match wish.reads.base.value {
        ReadBase::Everything => {
            add(steps, AbsPath::root(), read, Insistence::Must, &wish.reads.base.origin);
        }
        ReadBase::Minimal => {
            for (path, _) in PLATFORM_READS {
                if let Ok(path) = AbsPath::new(*path) {
                    add(steps, path, read.clone(), Insistence::Should, &wish.reads.base.origin);
                }
            }
            for also in &wish.reads.also {
                add(steps, also.value.clone(), read.clone(), Insistence::Should, &also.origin);
            }
        }
    }
    // Device nodes and block devices can't be made in any mode.
    let all = rights(abi, |name, _| !matches!(name, "MAKE_CHAR" | "MAKE_BLOCK" | "IOCTL_DEV"));
    for root in &wish.roots {
        add(steps, root.path.clone(), all.clone(), Insistence::Must, &root.origin);
    }
    if let UnixSockets::Only(allowed) = &wish.unix_sockets
        && holds_sockets(wish, linux)
    {
        steps.push(step(
            Act::LandlockSockets { allowed: allowed.iter().map(|path| path.value.clone()).collect() },
            Promise::UnixSockets,
            Insistence::Must,
            &allowed.first().map_or_else(always, |first| first.origin.clone()),
            "EACCES for sockets made outside",
        ));
        for socket in allowed {
            let act = Act::LandlockRule { path: socket.value.clone(), rights: vec![RESOLVE_UNIX.to_owned()] };
            steps.push(step(act, Promise::UnixSockets, Insistence::Should, &socket.origin, "it can be reached"));
        }
    }
    if tier != Tier::Landlock {
        let own = |path: &str| AbsPath::new(path).ok();
        let device = rights(abi, |name, _| name != "EXECUTE" && name != "MAKE_CHAR" && name != "MAKE_BLOCK");
        let entries = [
            (own("/dev"), device),
            (own("/proc"), rights(abi, |name, _| matches!(name, "WRITE_FILE" | "TRUNCATE"))),
            (own("/tmp").filter(|_| wish.tmp.value == Tmp::Private), all),
        ];
        for (path, rights) in entries {
            if let Some(path) = path {
                add(steps, path, rights, Insistence::Must, &always());
            }
        }
    }
    Ok(())
}

/// What gives something a name. Device nodes can't be made in any mode.
const MAKING: &[&str] = &["MAKE_DIR", "MAKE_FIFO", "MAKE_REG", "MAKE_SOCK", "MAKE_SYM"];

/// Takes the making of names from the rules where the broker, which isn't bound by them, makes everything: what it lets the
/// command do itself can then open what is there, and make nothing.
pub(super) fn leave_making_to_the_broker(linux: &LinuxFacts, plan: &mut Plan) {
    let watched = plan.brokered().any(|(_, wish)| matches!(wish, Brokered::WatchedName { .. }));
    let makes = |(step, wish): (&Step, &Brokered)| {
        let asked = match wish {
            Brokered::ProtectedName { .. } | Brokered::DenyReadGlob { .. } | Brokered::GitCommit { .. } => true,
            Brokered::UnixSockets { .. } => !watched,
            _ => false,
        };
        asked && step.insistence == Insistence::Must
    };
    if matches!(linux.notification, Tried::Fails { .. }) || !plan.brokered().any(makes) {
        return;
    }
    for step in &mut plan.steps {
        if let Act::LandlockRule { rights, .. } = &mut step.act {
            rights.retain(|right| !MAKING.contains(&right.as_str()));
        }
    }
}
