//! The tier of Windows, unelevated: a token that may write only where a security identifier of this run is named, a job
//! that nothing leaves, and access entries on the roots and protected paths. Compiled on every system, like the others.
//!
//! What each part rests on: a *write-restricted* token is checked twice when it writes, once as the user and once as the
//! run's own identifier, which stands nowhere but on the roots. So what the plan doesn't name can't be written, whoever
//! owns it. Reading isn't checked twice: without another user, which needs an administrator's set-up once, nothing that
//! the user can read can be denied.

use super::common::{self, always, millis, step};
use super::{Unenforceable, Unmet};
use crate::host::HostFacts;
use crate::plan::{Act, Insistence, Limit, Plan, Promise, Shortfall, Step};
use ringfence_model::confinement::{EnvVar, NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::limits::Limits;
use ringfence_model::mode::GitAccess;
use ringfence_model::{Confinement, Origin, OsText};

use Insistence::Must;

/// `kind` of the step that makes the token.
pub const TOKEN: &str = "windows-token";
/// `kind` of the step that makes the job.
pub const JOB: &str = "windows-job";
/// `kind` of a step that adds one access entry, taken away afterwards: what, and the path.
pub const ACCESS: &str = "windows-access";
/// `kind` of the step that gives the command a desktop of its own.
pub const DESKTOP: &str = "windows-desktop";

/// What the token is made with.
pub(crate) const TOKEN_LINES: &[&str] = &[
    // `CreateRestrictedToken` with WRITE_RESTRICTED | LUA_TOKEN | DISABLE_MAX_PRIVILEGE.
    "write-restricted",
    "lua-token",
    "disable-max-privilege",
    // The identifiers that a write must pass besides the user's own: the run's, and those without which no process
    // starts: its log-on session (its own objects) and everybody (named objects of the system that anybody may write).
    "restrict-to run",
    "restrict-to logon-session",
    "restrict-to everyone",
    // Below what the user's other programs run at: their windows and processes can't be written to.
    "integrity low",
];

/// What the job holds besides limits.
const JOB_LINES: &[&str] = &[
    "kill-on-job-close",
    "die-on-unhandled-exception",
    // No breakaway: without the flag nothing in the job can start outside it.
    "ui desktop",
    "ui display-settings",
    "ui exit-windows",
    "ui global-atoms",
    "ui handles",
    "ui read-clipboard",
    "ui write-clipboard",
    "ui system-parameters",
];

/// Makes the plan of the Windows tier.
pub(super) fn unelevated(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let unmet = unmet(wish);
    if !unmet.is_empty() {
        return Err(Unenforceable { unmet });
    }
    let mut plan = common::frame(wish, host, ringfence_model::Tier::Windows);
    common::whereabouts(wish, &mut plan, "");
    plan.steps.push(native(
        TOKEN,
        TOKEN_LINES,
        Promise::Privilege,
        &always(),
        "writing what the plan doesn't name gives ERROR_ACCESS_DENIED",
    ));
    plan.steps.push(job(&wish.limits));
    plan.steps.push(native(
        DESKTOP,
        &["own"],
        Promise::Terminal,
        &always(),
        "no window of another program can be found",
    ));
    access(wish, &mut plan);
    plan.steps.push(step(
        Act::CloseDescriptors,
        Promise::InheritedDescriptors,
        Must,
        &always(),
        "only the three standard handles are inherited",
    ));
    plan.steps.push(step(
        Act::DieWithSupervisor,
        Promise::DiesWithParent,
        Must,
        &always(),
        "closing the job's last handle ends it",
    ));
    if !wish.keep_background.value {
        plan.steps.push(step(
            Act::KillLeftovers,
            Promise::DiesWithCommand,
            Must,
            &wish.keep_background.origin,
            "the job is ended with the command",
        ));
    }
    wall_clock(&wish.limits, &mut plan);
    if wish.network.value == NetworkWish::Off {
        no_proxy_answers(wish, &mut plan);
    }
    common::environment(wish, &mut plan);
    shortfalls(wish, &mut plan);
    Ok(plan)
}

/// Makes the plan of `danger-full-access`: the user's own token and desktop; a job only where a limit needs one.
pub(super) fn unconfined(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let unmet = unmet_limits(&wish.limits);
    if !unmet.is_empty() {
        return Err(Unenforceable { unmet });
    }
    let mut plan = common::frame(wish, host, ringfence_model::Tier::Unconfined);
    let limits = &wish.limits;
    let counted = limits.memory.as_ref().map(|limit| &limit.origin);
    let counted = counted.or(limits.processes.as_ref().map(|limit| &limit.origin));
    let counted = counted.or(limits.cpu_time.as_ref().map(|limit| &limit.origin));
    // What the command started ends with it when its time is over, and only a job knows what that is.
    if let Some(origin) = counted.or(limits.wall_clock.as_ref().map(|limit| &limit.origin)) {
        let lines: Vec<String> = limit_lines(limits);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        plan.steps.push(native(JOB, &lines, Promise::Limits, origin, "what exceeds a limit is refused or ended"));
    }
    wall_clock(limits, &mut plan);
    common::environment(wish, &mut plan);
    Ok(plan)
}

fn wall_clock(limits: &Limits, plan: &mut Plan) {
    if let Some(limit) = &limits.wall_clock {
        let act = Act::Limit { limit: Limit::WallClock(millis(limit.value)) };
        plan.steps.push(step(act, Promise::Limits, Must, &limit.origin, "exit status 124"));
    }
}

/// Programs that honour a proxy's variables are sent to a port of this machine where nobody answers.
fn no_proxy_answers(wish: &Confinement, plan: &mut Plan) {
    const NOBODY: &str = "http://127.0.0.1:9";
    for (name, value) in [
        ("HTTP_PROXY", NOBODY),
        ("HTTPS_PROXY", NOBODY),
        ("ALL_PROXY", NOBODY),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
    ] {
        plan.environment.retain(|var| !var.name.as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
        plan.environment.push(EnvVar {
            name: OsText::new(name),
            value: OsText::new(value),
            origin: wish.network.origin.clone(),
        });
    }
}

fn native(kind: &str, lines: &[&str], promise: Promise, origin: &Origin, proof: &str) -> Step {
    let lines = lines.iter().map(|line| OsText::new(*line)).collect();
    step(Act::Native { kind: kind.to_owned(), lines }, promise, Must, origin, proof)
}

/// The job, with those limits that it holds itself.
fn job(limits: &Limits) -> Step {
    let mut lines: Vec<String> = JOB_LINES.iter().map(|line| (*line).to_owned()).collect();
    lines.extend(limit_lines(limits));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    native(
        JOB,
        &lines,
        Promise::Processes,
        &always(),
        "nothing in the job can leave it or reach other programs' windows",
    )
}

fn limit_lines(limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    // A job counts the memory and the processes of all that is in it, whoever runs it.
    if let Some(limit) = &limits.memory {
        lines.push(format!("job-memory {}", limit.value.0));
    }
    if let Some(limit) = &limits.processes {
        lines.push(format!("active-processes {}", limit.value));
    }
    if let Some(limit) = &limits.cpu_time {
        lines.push(format!("process-time {}", millis(limit.value)));
    }
    lines
}

/// One access entry for the run's identifier.
fn entry(what: &str, path: &ringfence_model::AbsPath, promise: Promise, origin: &Origin, proof: &str) -> Step {
    let lines = vec![OsText::new(what), OsText::new(path.as_path())];
    step(Act::Native { kind: ACCESS.to_owned(), lines }, promise, Must, origin, proof)
}

/// Roots first, then what stays as it is inside them: an entry that denies counts before one that allows.
fn access(wish: &Confinement, plan: &mut Plan) {
    for root in common::open_roots(wish) {
        let proof = "writing elsewhere is refused";
        plan.steps.push(entry("allow-write", &root.path, Promise::WriteOutside, &root.origin, proof));
        plan.steps.push(entry("label-low", &root.path, Promise::WriteOutside, &root.origin, proof));
    }
    for protected in &wish.protected {
        if protected.found.is_some() {
            plan.steps.push(entry(
                "deny-write",
                &protected.path,
                Promise::ProtectedPaths,
                &protected.origin,
                "writing there is refused",
            ));
        }
    }
}

fn unmet(wish: &Confinement) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let mut add = |promise, what: String, why: &str, remedy: &str, origin: &Origin| {
        unmet.push(common::unmet(promise, what, why, remedy, origin));
    };
    const READS: &str = "a restricted token reads whatever the user can read";
    for denied in &wish.reads.denied {
        let shown = match &denied.pattern {
            PathPattern::Path(path) => path.display(),
            PathPattern::Glob(glob) => ringfence_model::text::escape(glob.as_str()),
        };
        add(Promise::DenyRead, format!("not reading {shown}"), READS, "run the agent in WSL 2", &denied.origin);
    }
    if wish.reads.base.value == ReadBase::Minimal {
        add(Promise::DenyRead, "restricted reads".to_owned(), READS, "run the agent in WSL 2", &wish.reads.base.origin);
    }
    if let NetworkWish::Proxy { .. } = wish.network.value {
        add(
            Promise::NetworkProxy,
            "the network through the proxy only".to_owned(),
            "without an administrator's firewall rule a program can connect directly",
            "run the agent in WSL 2",
            &wish.network.origin,
        );
    }
    if wish.tmp.value == Tmp::Private {
        add(
            Promise::PrivateTmp,
            "a private `/tmp`".to_owned(),
            "this system has no mounts of a run's own",
            "remove `private_tmp`",
            &wish.tmp.origin,
        );
    }
    if wish.git.value == GitAccess::Commit {
        let why = "an entry that denies the Git directory can't leave parts of it open";
        add(
            Promise::ProtectedPaths,
            "`git = \"commit\"`".to_owned(),
            why,
            "remove it for this system",
            &wish.git.origin,
        );
    }
    unmet.extend(unmet_limits(&wish.limits));
    unmet
}

fn unmet_limits(limits: &Limits) -> Vec<Unmet> {
    let open_files = limits.open_files.as_ref().map(|limit| ("the limit on open files", &limit.origin));
    let file_size = limits.file_size.as_ref().map(|limit| ("the limit on the size of files", &limit.origin));
    let (why, remedy) = ("a job of Windows has no such limit", "remove it for this system");
    let unmet = |(what, origin)| common::unmet(Promise::Limits, what, why, remedy, origin);
    open_files.into_iter().chain(file_size).map(unmet).collect()
}

fn shortfalls(wish: &Confinement, plan: &mut Plan) {
    let mut short = |promise, weakened, what: String, why: &str, origin: &Origin| {
        plan.not_held.push(Shortfall {
            promise,
            weakened,
            what,
            why: why.to_owned(),
            remedy: "run the agent in WSL 2".to_owned(),
            origin: origin.clone(),
        });
    };
    short(
        Promise::WriteOutside,
        true,
        "what everybody may write".to_owned(),
        "a directory whose access list lets everybody write, and a disk without access lists (FAT), stay writable",
        &always(),
    );
    if wish.network.value == NetworkWish::Off {
        short(
            Promise::NetworkOff,
            true,
            "the network".to_owned(),
            "programs are told to use a proxy that doesn't answer; one that ignores that has the network",
            &wish.network.origin,
        );
    }
    for protected in wish.protected.iter().filter(|protected| protected.found.is_none()) {
        short(
            Promise::ProtectedPaths,
            false,
            format!("{} coming into being", protected.path.display()),
            "an access entry needs something to stand on",
            &protected.origin,
        );
    }
    if matches!(wish.unix_sockets, UnixSockets::Only(_)) {
        let why = "a restricted token may connect to what its user may";
        short(Promise::UnixSockets, false, "sockets and pipes made outside".to_owned(), why, &always());
    }
    short(
        Promise::Processes,
        true,
        "other processes of the same user".to_owned(),
        "they can be listed; opening them for writing is refused",
        &always(),
    );
}
