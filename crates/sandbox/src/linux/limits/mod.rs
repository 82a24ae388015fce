//! Limits that no process carries itself: memory of the whole tree, by a control group or by looking; output, by a relay.
//! What a process carries is set by itself before it is the command.

mod descriptors;
pub(super) mod group;
pub(super) mod relay;
pub(super) mod tree;

pub use descriptors::raise_descriptors;

use crate::child::Rlimit;
use crate::plan::{Act, Limit, Plan};
use crate::sys::process;
use group::Group;
use relay::Relay;
use ringfence_model::report::{Exit, LimitKind};
use ringfence_model::text::Untrusted;
use ringfence_model::{Denial, DenialKind, Evidence};
use std::time::{Duration, Instant};

/// How long one may leave it at most before memory is added up again, where no control group does it, and at least.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(2));

/// Bytes that are taken in a millisecond by who does nothing else, and more.
const PACE: u64 = 4 << 20;

/// When to look again, with so many bytes left: before they can all have been taken.
fn pause(left: u64) -> Duration {
    let (longest, shortest) = LOOK;
    Duration::from_millis(left / PACE).clamp(shortest, longest)
}

/// The limits of one run while it runs.
#[derive(Debug)]
pub(super) struct Watch {
    group: Option<Group>,
    relay: Option<Relay>,
    /// Bytes that all processes together may have, where nobody else counts them.
    memory: Option<u64>,
    next_look: Instant,
    over: Option<LimitKind>,
}

impl Watch {
    pub(super) fn new(plan: &Plan, group: Option<Group>, relay: Option<Relay>) -> Self {
        let memory = plan.limits().find_map(|limit| match limit {
            Limit::Memory(bytes) if group.is_none() => Some(bytes),
            _ => None,
        });
        Self { group, relay, memory, next_look: Instant::now(), over: None }
    }

    /// Called when the command runs: from now on its limits hold for it and what it starts.
    pub(super) fn begun(&self, first: i32) -> std::io::Result<()> {
        self.group.as_ref().map_or(Ok(()), |group| group.close(first))
    }

    /// When it must be asked again, if by the clock at all.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.memory.filter(|_| self.over.is_none()).map(|_| self.next_look)
    }

    /// Readable when the output has ended, or has gone beyond its limit.
    pub(super) fn descriptor(&self) -> i32 {
        let relay = self.relay.as_ref().filter(|relay| self.over.is_none() && (relay.is_over() || !relay.has_ended()));
        relay.map_or(-1, Relay::descriptor)
    }

    /// Looks whether something is used up, at most every so often; true once, when it turns out to be.
    pub(super) fn exceeded(&mut self, first: i32) -> bool {
        if self.over.is_some() {
            return false;
        }
        if self.relay.as_ref().is_some_and(Relay::is_over) {
            self.over = Some(LimitKind::Output);
        } else if let Some(most) = self.memory
            && Instant::now() >= self.next_look
        {
            let used = tree::memory(first.cast_unsigned(), most);
            if used > most {
                self.over = Some(LimitKind::Memory);
            }
            self.next_look = Instant::now() + pause(most.saturating_sub(used));
        }
        self.over.is_some()
    }

    /// Whether there is output that wasn't passed on yet.
    pub(super) fn relays(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| !relay.has_ended())
    }

    /// Gives up waiting for whoever reads the output.
    pub(super) fn abandon_output(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.abandon();
        }
    }

    /// How the command ended, by the limit that ended it if one did.
    pub(super) fn verdict(&self, plan: &Plan, status: i32) -> Exit {
        let killed = (libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL)
            || (libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 128 + libc::SIGKILL);
        if let Some(limit) = self.over {
            return Exit::Limit(limit);
        }
        // The end of its output may have ended the command before anybody looked.
        if self.relay.as_ref().is_some_and(Relay::is_over) {
            return Exit::Limit(LimitKind::Output);
        }
        if killed && self.group.as_ref().is_some_and(Group::ran_out_of_memory) {
            return Exit::Limit(LimitKind::Memory);
        }
        // A shell reports the signal that ended what it started as its own status.
        let signal = if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) - 128 };
        let limited = |wanted: fn(&Limit) -> bool| plan.limits().any(|limit| wanted(&limit));
        match signal {
            libc::SIGXCPU if limited(|limit| matches!(limit, Limit::CpuTime(_))) => Exit::Limit(LimitKind::CpuTime),
            libc::SIGXFSZ if limited(|limit| matches!(limit, Limit::FileSize(_))) => Exit::Limit(LimitKind::FileSize),
            _ if libc::WIFEXITED(status) => Exit::Code(libc::WEXITSTATUS(status)),
            signal => Exit::Signal(signal),
        }
    }

    /// What the control group refused, for the record.
    pub(super) fn denials(&self, plan: &Plan) -> Option<Denial> {
        self.group.as_ref().filter(|group| group.refused_processes() > 0)?;
        let step = plan.steps.iter().find(|step| matches!(step.act, Act::Limit { limit: Limit::Processes(_) }))?;
        let Act::Limit { limit: Limit::Processes(most) } = step.act else { return None };
        Some(Denial {
            id: format!("g{:x}", std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros())),
            kind: DenialKind::Limit,
            target: Untrusted::new(format!("more than {most}")),
            operation: "start a process".to_owned(),
            rule: "limits.processes".to_owned(),
            origin: step.origin.clone(),
            evidence: Evidence::KernelAudit,
            allow_with: vec![format!("-c limits.processes={}", most.saturating_mul(2))],
            answered: false,
        })
    }
}

/// The resource limits that the command sets itself.
pub(super) fn rlimits(plan: &Plan) -> Vec<Rlimit> {
    let grouped = |wanted: fn(&Act) -> bool| plan.steps.iter().any(|step| wanted(&step.act));
    let memory_grouped = grouped(|act| matches!(act, Act::ControlGroup { memory: Some(_), .. }));
    let counted = grouped(|act| {
        matches!(
            act,
            Act::ControlGroup { processes: Some(_), .. } | Act::Broker(crate::plan::Brokered::Processes { .. })
        )
    });
    // In a user namespace of the sandbox's own the kernel counts for it alone; elsewhere, everything else of the user.
    let own_users = grouped(|act| matches!(act, Act::Namespaces { .. }));
    // First, so that what the plan sets stands last.
    let mut out: Vec<Rlimit> = descriptors::started_with().into_iter().collect();
    for limit in plan.limits() {
        let same = |resource: process::Resource, value: u64| Rlimit { resource, soft: value, hard: value };
        let next = match limit {
            Limit::Memory(_) if memory_grouped => continue,
            // What is only reserved doesn't count, or every program with a heap of its own would fail.
            Limit::Memory(bytes) => same(libc::RLIMIT_DATA, bytes),
            Limit::Processes(_) if counted && !own_users => continue,
            // Whoever counts exactly says so when it refuses; the kernel stands behind with a little room for process 1.
            Limit::Processes(count) if counted => same(libc::RLIMIT_NPROC, count.saturating_add(16)),
            Limit::Processes(count) => same(libc::RLIMIT_NPROC, count),
            Limit::OpenFiles(count) => same(libc::RLIMIT_NOFILE, count),
            Limit::FileSize(bytes) => same(libc::RLIMIT_FSIZE, bytes),
            Limit::CpuTime(milliseconds) => {
                let seconds = milliseconds.div_ceil(1000).max(1);
                Rlimit { resource: libc::RLIMIT_CPU, soft: seconds, hard: seconds + 1 }
            }
            Limit::WallClock(_) | Limit::Output(_) => continue,
        };
        // A limit of the host that is lower already stays.
        let started_with = out.iter().find(|own| own.resource == next.resource).map(|own| (own.soft, own.hard));
        let (soft, hard) =
            started_with.or_else(|| process::getrlimit(next.resource).ok()).unwrap_or((u64::MAX, u64::MAX));
        out.push(Rlimit { resource: next.resource, soft: next.soft.min(soft).min(hard), hard: next.hard.min(hard) });
    }
    out
}

/// The limit on output, if the plan has one.
pub(super) fn output(plan: &Plan) -> Option<u64> {
    plan.limits().find_map(|limit| if let Limit::Output(bytes) = limit { Some(bytes) } else { None })
}
