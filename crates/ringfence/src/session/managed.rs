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
    use crate::approver::Over;
    use crate::network::{Managed, Network, NetworkError, journal, questions};
    use crate::session::perform::{Running, Wishes};
    use ringfence_egress::ask::{Answer, Pending};
    use ringfence_egress::event::Event;
    use ringfence_egress::standalone::Listen;
    use ringfence_model::action::{Action, Connect, Placement};
    use ringfence_model::{Denial, Origin};
    use std::sync::mpsc::{self, Receiver};
    use std::sync::{Arc, Mutex, PoisonError};

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
            let flow = Flow { streams: flow.streams, cancel: flow.cancel, on_start: Some(on_start), voucher };
            std::thread::scope(|scope| {
                scope.spawn(move || self.record_network(&authorization.id, events));
                scope.spawn(move || self.answer_questions(asked));
                let performed = self.perform_wish(authorization, &wishes, flow);
                // Ends the proxy, and with it both threads.
                let denials = managed.lock().unwrap_or_else(PoisonError::into_inner).finish();
                if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    return Err(error.into());
                }
                let mut report = performed?;
                self.add_denials(&authorization.id, &mut report, denials);
                Ok(report)
            })
        }

        /// Runs the proxy alone, on addresses of this machine, until `until` returns. `started` is told where it listens,
        /// `seen` every decision.
        ///
        /// # Errors
        /// When it can't start or listen.
        pub fn run_proxy(
            &self,
            listen: &Listen,
            started: impl FnOnce(&Listen, Option<&str>),
            seen: impl Fn(&Event) + Send,
            until: impl FnOnce(),
        ) -> Result<(), NetworkError> {
            let (asker, asked) = questions();
            let (sender, events) = mpsc::channel();
            let network = Network {
                sandbox: "proxy".to_owned(),
                settings: self.settings(),
                rules: self.rules(),
                granted: Vec::new(),
                asker: Some(asker),
                events: Some(sender),
                private: self.private_directory(),
            };
            let standalone = crate::network::standalone(network, listen)?;
            started(&standalone.listening, standalone.egress().trusted().map(|trusted| trusted.pem.as_str()));
            let id = super::super::record::new_id();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    for event in events {
                        seen(&event);
                        self.record(&[self.event(&id, journal(&event))]);
                    }
                });
                scope.spawn(move || self.answer_questions(asked));
                until();
                drop(standalone);
            });
            Ok(())
        }

        fn record_network(&self, id: &str, events: Receiver<Event>) {
            for event in events {
                self.record(&[self.event(id, journal(&event))]);
            }
        }

        /// Each unknown host is an action of its own, judged and asked about like any other.
        fn answer_questions(&self, asked: Receiver<Pending>) {
            for pending in asked {
                let target = &pending.question.target;
                let host = match &target.host {
                    ringfence_egress::host::Host::Name(name) => name.to_string(),
                    ringfence_egress::host::Host::Address(address) => address.to_string(),
                };
                let protocol = pending.question.protocol.name().to_owned();
                let action = Action::Connect(Connect { host, port: target.port, protocol });
                // A yes for the session is the session's: it answers the next question by itself.
                let over = Over::when(Arc::clone(&pending.over));
                let answer = match self.authorize_until(action, &[], &over) {
                    Ok(_) => Answer::Once,
                    Err(error) => Answer::No(error.to_string()),
                };
                pending.answer(answer);
            }
        }

        fn add_denials(&self, id: &str, report: &mut Report, denials: Vec<Denial>) {
            for mut denial in denials {
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
