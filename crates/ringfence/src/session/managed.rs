//! A run behind the proxy: started before the command, asked through the session, recorded with it.

use super::perform::{Flow, PerformError};
use super::{Authorization, Session};
use ringfence_model::{Confinement, Report};

#[cfg(not(all(feature = "egress", unix)))]
impl Session {
    /// Without the proxy in this build there is no managed network, and nothing runs.
    pub(super) fn perform_managed(
        &self,
        _: &Authorization,
        wish: Confinement,
        _: Flow<'_>,
    ) -> Result<Report, PerformError> {
        Err(PerformError::NoProxy { origin: wish.network.origin })
    }
}

#[cfg(all(feature = "egress", unix))]
mod with_proxy {
    use super::{Authorization, Confinement, Flow, PerformError, Report, Session};
    use crate::network::{Managed, Network, NetworkError, journal, questions};
    use crate::session::hosts::{Ended, Hosts};
    use crate::session::perform::{Running, Wishes};
    use ringfence_egress::event::Event;
    use ringfence_egress::standalone::Listen;
    use ringfence_model::action::Placement;
    use ringfence_model::verdict::QuestionKind;
    use ringfence_model::{Denial, Origin};
    use ringfence_policy::table::{self, Cell, Row};
    use std::sync::mpsc::{self, Receiver};
    use std::sync::{Mutex, PoisonError};

    /// Events that are written together at most.
    const TOGETHER: usize = 256;

    impl Session {
        /// Starts the proxy, runs the command behind it, and ends it with the command.
        pub(in crate::session) fn perform_managed(
            &self,
            authorization: &Authorization,
            mut wish: Confinement,
            flow: Flow<'_>,
        ) -> Result<Report, PerformError> {
            let (asker, asked) = questions();
            let (sender, events) = mpsc::channel();
            let network = Network {
                sandbox: authorization.id.clone(),
                settings: self.settings(),
                rules: self.rules(),
                granted: granted(authorization),
                asker: Some(asker),
                can_escalate: self.can_escalate(),
                events: Some(sender),
                private: self.private_directory(),
            };
            let Some(managed) = Managed::start(&wish.network.value, network)? else {
                return self.perform_wish(authorization, &Wishes::one(&wish), flow);
            };
            managed.complete(&mut wish);
            let voucher = Some(managed.voucher().clone());
            // Where a sandbox shares the machine's network, the proxy listens there before the command starts.
            let managed = Mutex::new(managed);
            let share = || {
                let mut wish = wish.clone();
                let mut managed = managed.lock().unwrap_or_else(PoisonError::into_inner);
                managed.listen_on_host(&mut wish.network.value)?;
                managed.complete(&mut wish);
                Ok(wish)
            };
            let wishes = Wishes { own: &wish, shared: Some(&share) };
            let failed: Mutex<Option<NetworkError>> = Mutex::new(None);
            let served = &managed;
            let kept = &failed;
            let cancel = flow.cancel.clone();
            let on_start = Box::new(move |running: Running<'_>| {
                if let Err(error) = serve(&served.lock().unwrap_or_else(PoisonError::into_inner), running) {
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    cancel.cancel();
                }
            });
            let stop = flow.cancel.clone();
            let flow = Flow { streams: flow.streams, cancel: flow.cancel, on_start: Some(on_start), voucher };
            let hosts = Hosts::default();
            let answers = &hosts;
            std::thread::scope(|scope| {
                scope.spawn(move || self.record_network(&authorization.id, events, |_| {}));
                scope.spawn(move || self.answer_questions(asked, answers, &|| stop.cancel()));
                let performed = self.perform_wish(authorization, &wishes, flow);
                // Ends the proxy, and with it both threads.
                let denials = managed.lock().unwrap_or_else(PoisonError::into_inner).finish();
                if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    return Err(error.into());
                }
                let mut report = performed?;
                self.add_denials(&authorization.id, &mut report, denials, &hosts);
                match hosts.ended() {
                    Some(Ended { by, act }) => Err(PerformError::Ended { by, act }),
                    None => Ok(report),
                }
            })
        }

        /// Runs the proxy alone, on addresses of this machine, until `until` returns; it is given what is told when
        /// somebody who is asked about a host ends it. `started` is told where it listens, `seen` every decision.
        ///
        /// # Errors
        /// When it can't start or listen, or was ended by an answer.
        pub fn run_proxy(
            &self,
            listen: &Listen,
            started: impl FnOnce(&Listen, Option<&str>),
            seen: impl Fn(&Event) + Send,
            until: impl FnOnce(Receiver<()>),
        ) -> Result<(), NetworkError> {
            let (asker, asked) = questions();
            let (sender, events) = mpsc::channel();
            let network = Network {
                sandbox: "proxy".to_owned(),
                settings: self.settings(),
                rules: self.rules(),
                granted: Vec::new(),
                asker: Some(asker),
                can_escalate: false,
                events: Some(sender),
                private: self.private_directory(),
            };
            let standalone = crate::network::standalone(network, listen)?;
            started(&standalone.listening, standalone.egress().trusted().map(|trusted| trusted.pem.as_str()));
            let id = super::super::record::new_id();
            let hosts = Hosts::default();
            let answers = &hosts;
            let (end, ended) = mpsc::channel();
            std::thread::scope(|scope| {
                scope.spawn(move || self.record_network(&id, events, seen));
                scope.spawn(move || {
                    // Whoever waited for it is gone: it ends anyway.
                    self.answer_questions(asked, answers, &|| _ = end.send(()));
                });
                until(ended);
                drop(standalone);
            });
            match hosts.ended() {
                Some(Ended { by, act }) => Err(NetworkError::Ended { by, act }),
                None => Ok(()),
            }
        }

        /// Whether a run can be started with an escalation under this policy.
        fn can_escalate(&self) -> bool {
            let (mode, policy) = (self.settings().sandbox_mode.value, self.settings().approval_policy.value);
            table::cell(mode, Row::Escalation, policy) != Cell::Refuse
                && table::may_ask(policy, QuestionKind::Escalation)
        }

        /// Records events until there are no more: those that came while the last were written, together.
        fn record_network(&self, id: &str, events: Receiver<Event>, seen: impl Fn(&Event)) {
            while let Ok(first) = events.recv() {
                let together = std::iter::once(first).chain(events.try_iter().take(TOGETHER - 1));
                let together = together.inspect(|event| seen(event));
                let lines: Vec<_> = together.map(|event| self.event(id, journal(&event))).collect();
                self.record(&lines);
            }
        }

        fn add_denials(&self, id: &str, report: &mut Report, denials: Vec<Denial>, hosts: &Hosts) {
            for mut denial in denials {
                denial.answered = hosts.was_declined(denial.target.raw());
                denial.id = super::super::record::new_id();
                let what = ringfence_model::event::What::Denied { denial: Box::new(denial.clone()) };
                self.record(&[self.event(id, what)]);
                report.denials.push(denial);
            }
        }

        /// Where files for the inside go: readable there, writable to nobody in it.
        fn private_directory(&self) -> Option<std::path::PathBuf> {
            let directory = self.start().ringfence_home.as_path().join("state");
            std::fs::create_dir_all(&directory).ok()?;
            Some(directory)
        }
    }

    #[cfg(target_os = "linux")]
    fn serve(managed: &Managed, running: Running<'_>) -> Result<(), NetworkError> {
        managed.serve(running.inlets)
    }

    #[cfg(not(target_os = "linux"))]
    fn serve(_: &Managed, _: Running<'_>) -> Result<(), NetworkError> {
        Ok(())
    }

    fn granted(authorization: &Authorization) -> Vec<(String, Origin)> {
        let mut hosts: Vec<String> = match &authorization.run.placement {
            Placement::With(more) => more.network.clone(),
            _ => Vec::new(),
        };
        hosts.retain(|host| host != "*");
        let grant = authorization.run.grants.join(", ");
        hosts.into_iter().map(|host| (host, Origin::Grant { grant: grant.clone() })).collect()
    }
}
