//! Which plan is had for a wish, and what is tried next where its tier turns out not to hold: a start takes much for granted
//! that only trying shows.

use crate::compile::{Options, Unenforceable, compile};
use crate::enforced::StartError;
use crate::plan::Plan;
use crate::probe;
use ringfence_model::confinement::{NetworkWish, ProxyListeners};
use ringfence_model::{Confinement, Tier};

/// Has the proxy listen on the machine's own loopback, and says so in the wish. It may be called more than once.
pub type Share<'w, E> = dyn Fn() -> Result<Confinement, E> + 'w;

/// The wish of one command, and what it becomes where the sandbox shares the machine's network.
pub struct Wishes<'w, E> {
    /// As it was decided.
    pub own: &'w Confinement,
    /// Makes the wish of a sandbox that shares the machine's network; none without a proxy.
    pub shared: Option<&'w Share<'w, E>>,
}

/// Why there is no plan, or no command under one.
#[derive(Debug)]
pub enum Failed<E> {
    /// No tier of this host can hold the wish.
    Unenforceable(Unenforceable),
    /// The sandbox or the command can't be started.
    Start(StartError),
    /// The proxy can't listen on the machine.
    Share(E),
}

impl<E> From<Unenforceable> for Failed<E> {
    fn from(error: Unenforceable) -> Self {
        Self::Unenforceable(error)
    }
}

impl<'w, E> Wishes<'w, E> {
    /// A wish without a proxy, or with one that is there already.
    #[must_use]
    pub fn one(own: &'w Confinement) -> Self {
        Self { own, shared: None }
    }

    /// The plan for the most capable tier that this host is taken to have.
    ///
    /// # Errors
    /// When no tier can hold the wish, or the proxy can't listen where that tier needs it.
    pub fn plan(&self) -> Result<Plan, Failed<E>> {
        let host = probe::facts_for(self.own);
        let plan = compile(self.own, &host, &Options::default())?;
        match self.shared {
            Some(share) if plan.tier == Tier::Landlock && listens_inside(self.own) => {
                Ok(compile(&share().map_err(Failed::Share)?, &host, &Options::default())?)
            }
            _ => Ok(plan),
        }
    }
}

/// Whether the proxy is to listen in a network of the sandbox's own.
fn listens_inside(wish: &Confinement) -> bool {
    matches!(wish.network.value, NetworkWish::Proxy { listeners: ProxyListeners::Inside, .. })
}

#[cfg(target_os = "linux")]
mod attempts {
    use super::{Confinement, Failed, Options, Plan, StartError, Tier, Unenforceable, Wishes, compile, listens_inside};
    use crate::linux::Sandbox;
    use crate::probe;
    use crate::run::Command;
    use ringfence_model::mode::Backend;

    impl<E> Wishes<'_, E> {
        /// Has `attempt` run `command` in the sandbox of `plan`; where that tier turns out not to hold here and none was asked
        /// for by name, of those that remain. The plan that held comes back with what the attempt gave.
        ///
        /// # Errors
        /// When no tier holds, with the last one's failure, or when something else than a tier fails.
        pub fn start<R>(
            &self,
            plan: Plan,
            command: Command,
            mut attempt: impl FnMut(&Sandbox, Command) -> Result<R, StartError>,
        ) -> Result<(Plan, R), Failed<E>> {
            let (tried, every_refusal) = (plan.tier, plan.every_refusal);
            let mut again = command.again();
            let mut run = |plan: Plan, command: Command| {
                let sandbox = Sandbox::new(plan)?;
                let ran = attempt(&sandbox, command)?;
                Ok((sandbox.into_plan(), ran))
            };
            let mut failure = match run(plan, command) {
                Ok(ran) => return Ok(ran),
                Err(error @ StartError::Tier { .. }) if self.own.backend.value == Backend::Auto => error,
                Err(error) => return Err(Failed::Start(error)),
            };
            for shares in [false, true] {
                for plan in self.later(tried, shares)? {
                    let Some(command) = again.take() else { return Err(Failed::Start(failure)) };
                    again = command.again();
                    match run(Plan { every_refusal, ..plan }, command) {
                        Ok(ran) => return Ok(ran),
                        Err(error @ StartError::Tier { .. }) => failure = error,
                        Err(error) => return Err(Failed::Start(error)),
                    }
                }
            }
            Err(Failed::Start(failure))
        }

        /// What is tried after a tier that turned out not to hold, in two rounds: with the sandbox's own network, and where
        /// it shares the machine's.
        fn later(&self, tried: Tier, shares: bool) -> Result<Vec<Plan>, Failed<E>> {
            match (shares, self.shared) {
                (false, None) => Ok(after(self.own, tried)?),
                // The tier that needs the proxy to listen elsewhere isn't among them yet.
                (false, Some(_)) => Ok(after(self.own, tried).unwrap_or_default()),
                (true, None) => Ok(Vec::new()),
                (true, Some(share)) => Ok(after(&share().map_err(Failed::Share)?, tried)?),
            }
        }
    }

    /// Plans of the tiers after `tried` that pass their self-test here, most capable first. Where there is none, the error says
    /// of every tier why it isn't had, if the self-tests know.
    fn after(wish: &Confinement, tried: Tier) -> Result<Vec<Plan>, Unenforceable> {
        let mut facts = probe::survey().facts;
        if let Some(known) = &mut facts.linux {
            known.cgroup = probe::cgroup_for(wish);
        }
        // A broker was taken for granted. Where none can be had, what was tried may hold without one.
        let unbrokered = facts.linux.as_ref().is_some_and(|linux| !linux.notification.works());
        let weaker = facts.tiers().into_iter().filter(|tier| {
            let untried = rank(*tier) > rank(tried) || (*tier == tried && unbrokered);
            // Nobody would answer there: the proxy has to listen on the machine first.
            untried && !(*tier == Tier::Landlock && listens_inside(wish))
        });
        let mut plans = Vec::new();
        let mut refused = None;
        for tier in weaker {
            match compile(wish, &facts, &Options { tier: Some(tier) }) {
                Ok(plan) => plans.push(plan),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if plans.is_empty() => Err(error),
            // Without any tier the compiler itself names what each lacks.
            None if plans.is_empty() => compile(wish, &facts, &Options::default()).map(|_| Vec::new()),
            _ => Ok(plans),
        }
    }

    fn rank(tier: Tier) -> u8 {
        match tier {
            Tier::Namespaces => 0,
            Tier::Bwrap => 1,
            _ => 2,
        }
    }
}
