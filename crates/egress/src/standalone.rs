//! The proxy alone: for any sandbox, virtual machine or container that is pointed at it.

use crate::bridge::{Egress, Options, StartError};
use crate::proxy::Speaks;
use ringfence_model::settings::NetworkSettings;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Where to listen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listen {
    /// Addresses of the HTTP proxy.
    pub http: Vec<SocketAddr>,
    /// Addresses of the SOCKS5 proxy.
    pub socks: Vec<SocketAddr>,
    /// Addresses where the counters are.
    pub metrics: Vec<SocketAddr>,
}

impl Listen {
    /// What the settings say: loopback, both ports, SOCKS5 only if it is enabled.
    #[must_use]
    pub fn from_settings(settings: &NetworkSettings) -> Self {
        let managed = &settings.managed;
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let socks = if managed.enable_socks5.value { vec![at(managed.socks_port.value)] } else { Vec::new() };
        Self { http: vec![at(managed.http_port.value)], socks, ..Self::default() }
    }
}

/// Why the proxy can't run alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It can't start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It would be reachable from other machines.
    #[error(
        "{0} isn't a loopback address, and others could use the proxy: set \
         `network.dangerously_allow_non_loopback_proxy = true` to listen there all the same"
    )]
    NotLoopback(SocketAddr),
    /// The counters would be readable from other machines.
    #[error("{0} isn't a loopback address: the counters are for this machine alone; have its collector pass them on")]
    MetricsNotLoopback(SocketAddr),
    /// Two of its listeners would be in the same place.
    #[error("{0} is named twice: HTTP, SOCKS5 and the counters each need a port of their own")]
    Twice(SocketAddr),
    /// It can't listen.
    #[error("can't listen on {address} for {what}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What would be served there.
        what: Serves,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// What is served on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// HTTP proxy requests.
    Http,
    /// SOCKS5.
    Socks5,
    /// Counters.
    Metrics,
}

impl std::fmt::Display for Serves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Socks5 => "SOCKS5",
            Self::Metrics => "counters",
        })
    }
}

/// A proxy that listens; dropping it ends it.
pub struct Standalone {
    egress: Egress,
    /// Where it listens, with the ports that were given.
    pub listening: Listen,
}

impl Standalone {
    /// The proxy.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        &self.egress
    }
}

/// Starts the proxy and listens. It runs until the value is dropped.
///
/// # Errors
/// When a setting can't be put into force, or an address can't or may not be listened on.
pub fn run(options: Options<'_>, listen: &Listen) -> Result<Standalone, RunError> {
    let open = options.settings.managed.dangerously_allow_non_loopback_proxy.value;
    let outside = listen.http.iter().chain(&listen.socks).find(|address| !address.ip().is_loopback());
    if let (Some(address), false) = (outside, open) {
        return Err(RunError::NotLoopback(*address));
    }
    if let Some(address) = listen.metrics.iter().find(|address| !address.ip().is_loopback()) {
        return Err(RunError::MetricsNotLoopback(*address));
    }
    let mut all: Vec<_> = listen.http.iter().chain(&listen.socks).chain(&listen.metrics).collect();
    all.retain(|address| address.port() != 0);
    all.sort_unstable();
    if let Some((twice, _)) = all.iter().zip(all.iter().skip(1)).find(|(one, next)| one == next) {
        return Err(RunError::Twice(**twice));
    }
    let egress = Egress::start(options)?;
    let begin = |addresses: &[SocketAddr], what: Serves| {
        addresses
            .iter()
            .map(|address| {
                let failed = |cause| RunError::Listen { address: *address, what, cause };
                let listener = TcpListener::bind(address).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                match what {
                    Serves::Http => egress.serve(listener, Speaks::Http)?,
                    Serves::Socks5 => egress.serve(listener, Speaks::Socks5)?,
                    Serves::Metrics => egress.serve_metrics(listener)?,
                }
                Ok(bound)
            })
            .collect::<Result<Vec<_>, RunError>>()
    };
    let listening = Listen {
        http: begin(&listen.http, Serves::Http)?,
        socks: begin(&listen.socks, Serves::Socks5)?,
        metrics: begin(&listen.metrics, Serves::Metrics)?,
    };
    Ok(Standalone { egress, listening })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NoSink;
    use crate::test_settings::{network, options};
    use std::sync::Arc;

    #[test]
    fn counters_are_served_on_loopback_alone_and_say_what_was_refused() {
        use std::io::{Read, Write};
        let settings = network(&[], &[]);
        let start = |metrics: &str| {
            let here = vec!["127.0.0.1:0".parse().unwrap()];
            run(
                options(&settings, Arc::new(NoSink)),
                &Listen { http: here, metrics: vec![metrics.parse().unwrap()], ..Listen::default() },
            )
        };
        assert!(matches!(start("0.0.0.0:0"), Err(RunError::MetricsNotLoopback(_))));
        let standalone = start("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let ask = |at: SocketAddr, request: &str| {
            let mut stream = std::net::TcpStream::connect(at).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let Listen { http, metrics, .. } = &standalone.listening;
        let refused = ask(http[0], "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        let counters = ask(metrics[0], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        for line in [
            "ringfence_proxy_connections_total 1\n",
            "# TYPE ringfence_proxy_decisions_total counter\n",
            "ringfence_proxy_decisions_total{verdict=\"refused\"} 1\n",
            "ringfence_proxy_decisions_total{verdict=\"allowed\"} 0\n",
            "ringfence_proxy_bytes_total{direction=\"down\"} 0\n",
        ] {
            assert!(counters.contains(line), "{line} not in {counters}");
        }
        assert!(!counters.contains("a.test"));
        assert!(ask(metrics[0], "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert!(ask(metrics[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn it_listens_on_loopback_only_unless_told_otherwise() {
        let mut settings = network(&[], &[]);
        let start = |settings: &NetworkSettings, address: &str| {
            run(
                options(settings, Arc::new(NoSink)),
                &Listen { http: vec![address.parse().unwrap()], ..Listen::default() },
            )
        };
        assert!(matches!(start(&settings, "0.0.0.0:0"), Err(RunError::NotLoopback(_))));
        let standalone = start(&settings, "127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let at = standalone.listening.http[0];
        assert!(matches!(start(&settings, &at.to_string()), Err(RunError::Listen { .. })));
        drop(standalone);
        assert!(start(&settings, &at.to_string()).is_ok());
        settings.managed.dangerously_allow_non_loopback_proxy.value = true;
        assert!(start(&settings, "0.0.0.0:0").is_ok());
    }
}
