//! The managed network of one run: settings, rules and grants become a proxy; its decisions become events and denials.

use ringfence_config::Resolved;
use ringfence_egress::ask::{Ask, Pending};
use ringfence_egress::bridge::{Egress, Options, StartError};
use ringfence_egress::event::{Event, Verdict};
use ringfence_egress::intercept::Trusted;
use ringfence_egress::proxy::{Limits, Speaks};
use ringfence_egress::standalone::{Listen, RunError, Standalone};
use ringfence_egress::voucher;
use ringfence_model::confinement::{EnvVar, NetworkWish, ProxyListeners};
use ringfence_model::domain::DomainPattern;
use ringfence_model::event::What;
use ringfence_model::network::{NetworkDecision, NetworkProtocol, NetworkRule};
use ringfence_model::proxy_env::{self, ProxyPlace};
use ringfence_model::text::Untrusted;
use ringfence_model::{Confinement, Denial, DenialKind, Evidence, Origin, OsText, Settings, Voucher};
use ringfence_rules::RuleSet;
use std::io::Write;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

pub use ringfence_egress as egress;

/// Denials that a run keeps; of the same destination and rule one is enough.
const MAX_DENIALS: usize = 200;

/// Why there is no managed network. The run has none then, and doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A host in a rule or a grant can't be read; it might have denied something.
    #[error("{cause}")]
    Pattern {
        /// Where it was written.
        origin: Origin,
        /// Why.
        cause: ringfence_model::domain::DomainError,
    },
    /// The proxy can't start.
    #[error("the proxy can't be started, so there is no network")]
    Start(#[from] StartError),
    /// There is no voucher for listeners that others can reach.
    #[error("make the voucher of the proxy's listeners: the system gives no random bytes")]
    Voucher,
    /// The proxy can't run alone.
    #[error(transparent)]
    Alone(#[from] RunError),
    /// Somebody who was asked about a host ended the proxy.
    #[error("ended by {by}, who was asked about `{act}`")]
    Ended {
        /// Who.
        by: String,
        /// What they were asked about.
        act: String,
    },
    /// Something was made inside that nobody here serves.
    #[error("the sandbox made a way to the proxy that this build can't serve")]
    UnknownInlet,
    /// The certificates for the inside can't be written.
    #[error("write the certificates of the session to {}", path.display())]
    Certificates {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
}

impl NetworkError {
    /// The setting at fault, if it is one.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Pattern { origin, .. } => Some(origin),
            _ => None,
        }
    }
}

/// The managed network of one run. Dropping it closes every connection.
pub struct Managed {
    egress: Mutex<Option<Egress>>,
    http_port: u16,
    socks_port: u16,
    voucher: Voucher,
    listens_on_host: bool,
    denials: Arc<Mutex<Vec<Denial>>>,
    certificates: Option<Certificates>,
}

/// What a run's network is made from.
pub struct Network<'a> {
    /// Name of the run in events.
    pub sandbox: String,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// Hosts granted for this run, as `--escalate network=HOST` has them.
    pub granted: Vec<(String, Origin)>,
    /// Whom to ask about unknown hosts.
    pub asker: Option<Arc<dyn Ask>>,
    /// Whoever is refused can be started again with `--escalate`: refusals name that.
    pub can_escalate: bool,
    /// Where events go, if anywhere.
    pub events: Option<mpsc::Sender<Event>>,
    /// A directory of this user only, for files that the inside reads.
    pub private: Option<PathBuf>,
}

impl Managed {
    /// Starts the proxy for a wish that needs it; none if it doesn't. Nothing is reachable before
    /// [`Managed::serve`].
    ///
    /// # Errors
    /// When anything of it can't be put into force.
    pub fn start(wish: &NetworkWish, network: Network<'_>) -> Result<Option<Self>, NetworkError> {
        let NetworkWish::Proxy { http_port, socks_port, .. } = *wish else { return Ok(None) };
        let rules = network_rules(network.rules)?;
        let denials: Arc<Mutex<Vec<Denial>>> = Arc::default();
        let voucher = voucher::make().map_err(|_| NetworkError::Voucher)?;
        let private = network.private.clone();
        let egress = Egress::start(Options { datagrams: false, ..options(network, &rules, &denials)? })?;
        let certificates = match egress.trusted() {
            Some(trusted) => Some(Certificates::write(trusted, private.as_deref())?),
            None => None,
        };
        let egress = Mutex::new(Some(egress));
        Ok(Some(Self { egress, http_port, socks_port, voucher, listens_on_host: false, denials, certificates }))
    }

    /// What the command's connections begin with where the proxy listens on the machine's loopback. The command is to be
    /// started with it: without it the proxy lets none of them in.
    #[must_use]
    pub fn voucher(&self) -> &Voucher {
        &self.voucher
    }

    /// Listens on the machine's loopback, for a tier in which the sandbox shares the machine's network, and puts the ports
    /// into the wish. Only connections that begin with [`Managed::voucher`] are let in. Call [`Managed::complete`]
    /// afterwards. Called again it changes nothing.
    ///
    /// # Errors
    /// When it can't listen: the run must not start then.
    pub fn listen_on_host(&mut self, wish: &mut NetworkWish) -> Result<(), NetworkError> {
        let NetworkWish::Proxy { http_port, socks_port, listeners, .. } = wish else { return Ok(()) };
        if !self.listens_on_host {
            if let Some(egress) = self.egress.get_mut().unwrap_or_else(PoisonError::into_inner) {
                let http = egress.listen(Speaks::Http, &self.voucher)?.port();
                let socks = match self.socks_port {
                    0 => 0,
                    _ => egress.listen(Speaks::Socks5, &self.voucher)?.port(),
                };
                (self.http_port, self.socks_port) = (http, socks);
            }
            self.listens_on_host = true;
        }
        (*http_port, *socks_port, *listeners) = (self.http_port, self.socks_port, ProxyListeners::Host);
        Ok(())
    }

    /// Adds to a confinement what programs need to find the proxy and to trust it.
    pub fn complete(&self, wish: &mut Confinement) {
        let connector = std::env::current_exe().ok();
        let place = ProxyPlace {
            http_port: self.http_port,
            socks_port: self.socks_port,
            ca_file: self.certificates.as_ref().and_then(|certificates| certificates.text.to_str()),
            java_trust: self.certificates.as_ref().and_then(|certificates| certificates.java.to_str()),
            connector: connector.as_ref().and_then(|path| path.to_str()),
        };
        let placeholders = self.egress().as_ref().map(Egress::placeholders).unwrap_or_default();
        let variables = proxy_env::variables(&place).into_iter().map(|(name, value)| (name.to_owned(), value));
        let origin = Origin::builtin("managed network");
        for (name, value) in variables.chain(placeholders) {
            let name = OsText::new(name);
            wish.environment.retain(|var| var.name != name);
            wish.environment_dropped.retain(|(dropped, _)| *dropped != name);
            wish.environment.push(EnvVar { name, value: OsText::new(value), origin: origin.clone() });
        }
        wish.environment.sort();
    }

    /// Serves what was made inside.
    ///
    /// # Errors
    /// When something can't be served: the run must end then.
    #[cfg(target_os = "linux")]
    pub fn serve(&self, inlets: Vec<(ringfence_sandbox::Inlet, OwnedFd)>) -> Result<(), NetworkError> {
        use ringfence_egress::transparent;
        use ringfence_sandbox::Inlet;
        let egress = self.egress();
        let Some(egress) = &*egress else { return Ok(()) };
        let (mut interface, mut connections, mut names) = (None, Vec::new(), Vec::new());
        for (inlet, fd) in inlets {
            match inlet {
                Inlet::Port(port) => {
                    let speaks = if port == self.http_port { Speaks::Http } else { Speaks::Socks5 };
                    egress.serve(fd.into(), speaks)?;
                }
                Inlet::Interface => interface = Some(fd),
                Inlet::Connections => connections.push(fd.into()),
                Inlet::Names => names.push(fd.into()),
                _ => return Err(NetworkError::UnknownInlet),
            }
        }
        if let Some(interface) = interface {
            egress.serve_transparent(transparent::Inlets { interface, connections, names })?;
        }
        Ok(())
    }

    fn egress(&self) -> std::sync::MutexGuard<'_, Option<Egress>> {
        self.egress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes everything and says what was refused.
    #[must_use]
    pub fn finish(&self) -> Vec<Denial> {
        drop(self.egress().take());
        std::mem::take(&mut self.denials.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        drop(self.egress().take());
    }
}

/// Files with what programs inside must trust. They are gone with it.
struct Certificates {
    /// One certificate after the other.
    text: PathBuf,
    /// The same as a key store of Java.
    java: PathBuf,
}

impl Certificates {
    /// Writes them where only this user, and the inside, reads them.
    fn write(trusted: &Trusted, private: Option<&Path>) -> Result<Self, NetworkError> {
        use std::hash::{BuildHasher, RandomState};
        let token = RandomState::new().hash_one(std::process::id());
        let directory = private.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = |kind| directory.join(format!("ringfence-ca-{token:016x}.{kind}"));
        let files = Self { text: path("pem"), java: path("jks") };
        for (path, content) in [(&files.text, trusted.pem.as_bytes()), (&files.java, &trusted.java)] {
            write_readable(path, content).map_err(|cause| NetworkError::Certificates { path: path.clone(), cause })?;
        }
        Ok(files)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        for path in [&self.text, &self.java] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a new file that its user reads.
fn write_readable(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o400).open(path)?.write_all(content)
}

/// Starts the proxy alone.
pub(crate) fn standalone(network: Network<'_>, listen: &Listen) -> Result<Standalone, NetworkError> {
    let rules = network_rules(network.rules)?;
    Ok(ringfence_egress::standalone::run(options(network, &rules, &Arc::default())?, listen)?)
}

/// Bounds within what this process can have open.
#[cfg(target_os = "linux")]
fn limits() -> Limits {
    Limits::default().within(ringfence_sandbox::raise_descriptors(Limits::DESCRIPTORS))
}

/// The same, where the sandbox raises nothing.
#[cfg(not(target_os = "linux"))]
fn limits() -> Limits {
    Limits::default()
}

fn options<'a>(
    network: Network<'a>,
    rules: &'a [NetworkRule],
    denials: &Arc<Mutex<Vec<Denial>>>,
) -> Result<Options<'a>, NetworkError> {
    let grants = network.granted.into_iter().map(|(host, origin)| match host.parse::<DomainPattern>() {
        Ok(pattern) => Ok((pattern, origin)),
        Err(cause) => Err(NetworkError::Pattern { origin, cause }),
    });
    let (kept, events) = (Arc::clone(denials), network.events.map(Mutex::new));
    let sink = move |event: &Event| {
        keep_denial(&kept, event);
        if let Some(events) = &events {
            // Whoever listened is gone: the run is over.
            let _ = events.lock().unwrap_or_else(PoisonError::into_inner).send(event.clone());
        }
    };
    let proxy = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(Options {
        sandbox: network.sandbox,
        settings: &network.settings.network,
        rules,
        grants: grants.collect::<Result<_, _>>()?,
        asker: network.asker,
        sink: Arc::new(sink),
        limits: limits(),
        upstream: proxy("HTTPS_PROXY").or_else(|| proxy("https_proxy")),
        datagrams: true,
        can_escalate: network.can_escalate,
    })
}

/// Loads the rules that the proxy needs, for callers without a session.
#[must_use]
pub fn rules_of(start: &crate::facts::Start, resolved: &Resolved, ignore_user: bool) -> RuleSet {
    crate::session::load_rules(start, resolved, ignore_user).0
}

/// What an event is in the journal.
#[must_use]
pub fn journal(event: &Event) -> What {
    What::Network {
        host: event.host.clone(),
        port: event.port,
        protocol: event.protocol.name().to_owned(),
        method: event.method.clone(),
        decision: match event.verdict {
            Verdict::Allowed => "allow",
            Verdict::Refused => "deny",
            Verdict::Malformed => "malformed",
            Verdict::Failed => "failed",
        }
        .to_owned(),
        rule: event.rule.clone(),
        origin: event.origin.clone(),
        detail: event.detail.clone(),
        status: event.status,
        bytes_up: event.bytes_up,
        bytes_down: event.bytes_down,
        duration_ms: event.duration_ms,
    }
}

/// A queue of questions for a thread that may block.
#[must_use]
pub fn questions() -> (Arc<dyn Ask>, mpsc::Receiver<Pending>) {
    ringfence_egress::ask::queue()
}

fn network_rules(rules: &RuleSet) -> Result<Vec<NetworkRule>, NetworkError> {
    let read = |rule: &ringfence_rules::NetworkRule| {
        let origin = rule.origin.clone();
        let pattern = rule.host.parse().map_err(|cause| NetworkError::Pattern { origin: origin.clone(), cause })?;
        Ok(NetworkRule {
            pattern,
            protocol: match rule.protocol {
                ringfence_rules::NetworkProtocol::Any => NetworkProtocol::Any,
                ringfence_rules::NetworkProtocol::Http => NetworkProtocol::Http,
                ringfence_rules::NetworkProtocol::Https => NetworkProtocol::Https,
                ringfence_rules::NetworkProtocol::Socks5Tcp => NetworkProtocol::Socks5Tcp,
                ringfence_rules::NetworkProtocol::Socks5Udp => NetworkProtocol::Socks5Udp,
            },
            decision: match rule.decision {
                ringfence_rules::NetworkDecision::Allow => NetworkDecision::Allow,
                ringfence_rules::NetworkDecision::Prompt => NetworkDecision::Prompt,
                ringfence_rules::NetworkDecision::Deny => NetworkDecision::Deny,
            },
            justification: rule.justification.clone(),
            origin,
        })
    };
    rules.network_rules().iter().map(read).collect()
}

fn keep_denial(kept: &Mutex<Vec<Denial>>, event: &Event) {
    // A client that wasn't let in may be anybody, or ask first with what it is let in: no rule refused it.
    if event.verdict != Verdict::Refused || event.code.is_none() {
        return;
    }
    let target = Untrusted::new(format!("{}:{}", event.host, event.port));
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_DENIALS || kept.iter().any(|known| known.target == target && known.rule == event.rule) {
        return;
    }
    kept.push(Denial {
        id: String::new(),
        kind: DenialKind::Network,
        target,
        operation: event.method.clone().unwrap_or_else(|| "connect".to_owned()),
        rule: event.rule.clone(),
        origin: event.source.clone().unwrap_or_else(|| Origin::builtin("managed network")),
        evidence: Evidence::Proxy,
        allow_with: event.allow_with.clone(),
        answered: false,
    });
}
