//! What every system's compiler needs: the choice of a tier, the run without confinement, and small builders.

use super::{Options, Unenforceable, Unmet};
use crate::host::{HostFacts, System, Tried};
use crate::plan::{Act, Insistence, Limit, Plan, Promise, SCHEMA, Shortfall, Step};
use ringfence_model::confinement::{EnvVar, NetworkWish, WritableRoot};
use ringfence_model::mode::Backend;
use ringfence_model::units::Span;
use ringfence_model::{AbsPath, Confinement, Origin, OsText, SandboxMode, Tier};

/// Chooses the tier: the pinned one if it passed its self-test, else the most capable that did.
pub(super) fn tier(wish: &Confinement, host: &HostFacts, options: &Options) -> Result<Tier, Unenforceable> {
    if wish.mode.value == SandboxMode::DangerFullAccess {
        return Ok(Tier::Unconfined);
    }
    let offered = host.tiers();
    let pinned = match wish.backend.value {
        Backend::Auto => options.tier,
        Backend::Namespaces => Some(Tier::Namespaces),
        Backend::Bwrap => Some(Tier::Bwrap),
        Backend::Landlock => Some(Tier::Landlock),
    };
    let found = match pinned {
        Some(tier) => offered.contains(&tier).then_some(tier),
        None => offered.first().copied(),
    };
    found.ok_or_else(|| Unenforceable { unmet: why_no_tier(wish, host, pinned) })
}

fn why_no_tier(wish: &Confinement, host: &HostFacts, pinned: Option<Tier>) -> Vec<Unmet> {
    let mut all = Vec::new();
    let mut add = |tier: Tier, why: String, remedy: String| {
        if pinned.is_none_or(|pinned| pinned == tier) {
            all.push(unmet(None, format!("the `{tier}` tier"), why, remedy, &wish.backend.origin));
        }
    };
    let Some(linux) = &host.linux else {
        if let (None, Some(token)) = (pinned, &host.restricted_token) {
            let (why, remedy) = failure(token);
            add(Tier::Windows, why.unwrap_or_default(), remedy);
            return all;
        }
        let tier = pinned.unwrap_or(Tier::Namespaces);
        add(tier, "this system has no such tier".to_owned(), "set `linux.backend = \"auto\"`".to_owned());
        return all;
    };
    let (seccomp, why) = failure(&linux.seccomp);
    let procfs = if linux.procfs { None } else { Some("`/proc` is not mounted".to_owned()) };
    let base = seccomp.or(procfs);
    let base_remedy = if linux.procfs { why } else { "mount `/proc`".to_owned() };
    for tier in [Tier::Namespaces, Tier::Bwrap, Tier::Landlock] {
        if let Some(base) = &base {
            add(tier, base.clone(), base_remedy.clone());
            continue;
        }
        let tried = match tier {
            Tier::Namespaces if !linux.namespaces.works() => failure(&linux.namespaces),
            Tier::Namespaces => failure(&linux.mount_api),
            Tier::Bwrap => host.bwrap.as_ref().map_or_else(
                || {
                    (
                        Some("no `bwrap` that only root can change was found".to_owned()),
                        "install the `bubblewrap` package".to_owned(),
                    )
                },
                |bwrap| failure(&bwrap.usable),
            ),
            _ if linux.landlock_abi == 0 => (
                Some("the kernel offers no Landlock".to_owned()),
                "use a kernel from 5.13 on with `landlock` in its `lsm=` list".to_owned(),
            ),
            _ => failure(&linux.notification),
        };
        add(tier, tried.0.unwrap_or_else(|| "it was not tried".to_owned()), tried.1);
    }
    all
}

fn failure(tried: &Tried) -> (Option<String>, String) {
    match tried {
        Tried::Works => (None, String::new()),
        Tried::Fails { why, remedy } => (Some(why.clone()), remedy.clone().unwrap_or_default()),
        Tried::Untried => (Some("it was not tried".to_owned()), "run `ringfence doctor`".to_owned()),
    }
}

/// A must that can't be held, briefly.
pub(super) fn unmet(
    promise: impl Into<Option<Promise>>,
    what: impl Into<String>,
    why: impl Into<String>,
    remedy: impl Into<String>,
    origin: &Origin,
) -> Unmet {
    Unmet { promise: promise.into(), what: what.into(), why: why.into(), remedy: remedy.into(), origin: origin.clone() }
}

/// A duration as plans have it.
pub(super) fn millis(span: Span) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}

/// A step, briefly.
pub(super) fn step(act: Act, promise: Promise, insistence: Insistence, origin: &Origin, proof: &str) -> Step {
    Step { act, promise, insistence, origin: origin.clone(), proof: proof.to_owned() }
}

/// The roots that no protected path holds: below one, nothing is writable.
pub(super) fn open_roots(wish: &Confinement) -> impl Iterator<Item = &WritableRoot> {
    let is_held = |root: &WritableRoot| wish.protected.iter().any(|protected| root.path.is_within(&protected.path));
    wish.roots.iter().filter(move |root| !is_held(root))
}

/// The origin of what Ringfence does in every sandbox.
pub(super) fn always() -> Origin {
    Origin::builtin("every sandbox")
}

/// An empty plan with what needs no compiling.
pub(super) fn frame(wish: &Confinement, host: &HostFacts, tier: Tier) -> Plan {
    Plan {
        schema: SCHEMA.to_owned(),
        tier,
        system: host.system,
        arch: host.arch.clone(),
        mode: wish.mode.value,
        mode_origin: wish.mode.origin.clone(),
        cwd: wish.cwd.clone(),
        steps: Vec::new(),
        environment: wish.environment.clone(),
        environment_dropped: wish.environment_dropped.clone(),
        limits: wish.limits.clone(),
        keep_background: wish.keep_background.value,
        every_refusal: false,
        not_held: Vec::new(),
    }
}

/// `danger-full-access`: no confinement; environment and limits still apply.
pub(super) fn unconfined(wish: &Confinement, host: &HostFacts) -> Plan {
    let mut plan = frame(wish, host, Tier::Unconfined);
    limits(wish, host, &mut plan);
    environment(wish, &mut plan);
    plan
}

/// The environment step: last, since the tier adds variables before.
pub(super) fn environment(wish: &Confinement, plan: &mut Plan) {
    plan.environment.sort();
    plan.steps.push(step(
        Act::Environment { variables: plan.environment.len() },
        Promise::Environment,
        Insistence::Must,
        &wish.mode.origin,
        "`env` inside lists exactly these",
    ));
}

/// The variables that tell programs where they are.
pub(super) fn whereabouts(wish: &Confinement, plan: &mut Plan, capabilities: &str) {
    let network = match wish.network.value {
        NetworkWish::Off => "off",
        NetworkWish::Proxy { .. } => "proxy",
        NetworkWish::On => "on",
    };
    let set = [
        ("RINGFENCE_SANDBOX", plan.tier.name()),
        ("RINGFENCE_SANDBOX_NETWORK", network),
        ("RINGFENCE_CAPABILITIES", capabilities),
    ];
    for (name, value) in set {
        if value.is_empty() {
            continue;
        }
        plan.environment.retain(|var| var.name.as_str() != Some(name));
        plan.environment.push(EnvVar {
            name: OsText::new(name),
            value: OsText::new(value),
            origin: Origin::builtin("variables of every sandbox"),
        });
    }
}

/// One step per limit, and who counts what no process can count for itself.
pub(super) fn limits(wish: &Confinement, host: &HostFacts, plan: &mut Plan) {
    let limits = &wish.limits;
    let group = host.linux.as_ref().and_then(|linux| linux.cgroup.as_ref());
    let group = group.and_then(|directory| AbsPath::new(directory).ok());
    let tree =
        limits.memory.as_ref().map(|limit| &limit.origin).or(limits.processes.as_ref().map(|limit| &limit.origin));
    match (group, tree) {
        (Some(parent), Some(origin)) => {
            let act = Act::ControlGroup {
                parent,
                memory: limits.memory.as_ref().map(|limit| limit.value.0),
                processes: limits.processes.as_ref().map(|limit| limit.value),
            };
            let proof = "all processes together are ended beyond the memory; `fork` gives EAGAIN";
            plan.steps.push(step(act, Promise::Limits, Insistence::Must, origin, proof));
        }
        _ => uncounted(wish, host, plan),
    }
    let mut add = |limit: Limit, origin: &Origin, proof: &str| {
        plan.steps.push(step(Act::Limit { limit }, Promise::Limits, Insistence::Must, origin, proof));
    };
    if let Some(limit) = &limits.memory {
        add(Limit::Memory(limit.value.0), &limit.origin, "an allocation beyond it fails or ends the command");
    }
    if let Some(limit) = &limits.processes {
        add(Limit::Processes(limit.value), &limit.origin, "`fork` gives EAGAIN");
    }
    if let Some(limit) = &limits.open_files {
        add(Limit::OpenFiles(limit.value), &limit.origin, "`open` gives EMFILE");
    }
    if let Some(limit) = &limits.file_size {
        add(Limit::FileSize(limit.value.0), &limit.origin, "`write` gives EFBIG and SIGXFSZ");
    }
    if let Some(limit) = &limits.cpu_time {
        add(Limit::CpuTime(millis(limit.value)), &limit.origin, "SIGXCPU, then SIGKILL");
    }
    if let Some(limit) = &limits.wall_clock {
        add(Limit::WallClock(millis(limit.value)), &limit.origin, "exit status 124");
    }
    if let Some(limit) = &limits.output {
        add(Limit::Output(limit.value.0), &limit.origin, "it is cut there, and the command is ended");
    }
}

/// What there is without a control group: the broker counts processes, the supervisor adds memory up.
fn uncounted(wish: &Confinement, host: &HostFacts, plan: &mut Plan) {
    let limits = &wish.limits;
    let remedy = match host.system {
        System::Linux => super::CGROUP_REMEDY,
        _ => "limit the number of processes too",
    };
    if let Some(limit) = &limits.memory {
        let why = match host.system {
            System::Linux => {
                "no control group was delegated: each process is limited (`RLIMIT_DATA`), and the supervisor adds them up \
                 20 times a second; files in memory (`tmpfs`) don't count"
            }
            _ => "the limit holds for each process, not for their sum",
        };
        plan.not_held.push(Shortfall {
            promise: Promise::Limits,
            weakened: true,
            what: "the memory of all processes together".to_owned(),
            why: why.to_owned(),
            remedy: remedy.to_owned(),
            origin: limit.origin.clone(),
        });
    }
    let Some(limit) = &limits.processes else { return };
    let has_broker = is_linux(host) && plan.tier != Tier::Unconfined;
    if has_broker {
        let act = Act::Broker(crate::plan::Brokered::Processes { most: limit.value });
        plan.steps.push(step(act, Promise::Limits, Insistence::Must, &limit.origin, "`fork` gives EAGAIN"));
    } else if host.uid == Some(0) {
        plan.not_held.push(Shortfall {
            promise: Promise::Limits,
            weakened: false,
            what: "the number of processes".to_owned(),
            why: "the kernel exempts user 0 from `RLIMIT_NPROC`".to_owned(),
            remedy: remedy.to_owned(),
            origin: limit.origin.clone(),
        });
    }
}

/// Whether a plan for this host can be tried on this machine at all.
#[must_use]
pub(super) fn is_linux(host: &HostFacts) -> bool {
    host.system == System::Linux && host.linux.is_some()
}
