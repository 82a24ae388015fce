//! The proxy alone: for any sandbox, virtual machine or container that is pointed at it.

use crate::bridge::{Egress, Options, StartError};
use crate::proxy::Speaks;
use ringfence_model::settings::NetworkSettings;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Addresses of the HTTP proxy.
    pub http: Vec<SocketAddr>,
    /// Addresses of the SOCKS5 proxy.
    pub socks: Vec<SocketAddr>,
}

impl Listen {
    /// What the settings say: loopback, both ports, SOCKS5 only if it is enabled.
    #[must_use]
    pub fn from_settings(settings: &NetworkSettings) -> Self {
        let managed = &settings.managed;
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let socks = if managed.enable_socks5.value { vec![at(managed.socks_port.value)] } else { Vec::new() };
        Self { http: vec![at(managed.http_port.value)], socks }
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
        "{0} isn't a loopback address, and others could use the proxy: set `dangerously_allow_non_loopback_proxy = true` \
         to listen there all the same"
    )]
    NotLoopback(SocketAddr),
    /// It can't listen.
    #[error("listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: io::Error,
    },
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
    let egress = Egress::start(options)?;
    let begin = |addresses: &[SocketAddr], speaks| {
        addresses
            .iter()
            .map(|address| {
                let failed = |cause| RunError::Listen { address: *address, cause };
                let listener = TcpListener::bind(address).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                egress.serve(listener, speaks)?;
                Ok(bound)
            })
            .collect::<Result<Vec<_>, RunError>>()
    };
    let listening = Listen { http: begin(&listen.http, Speaks::Http)?, socks: begin(&listen.socks, Speaks::Socks5)? };
    Ok(Standalone { egress, listening })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NoSink;
    use crate::proxy::Limits;
    use crate::test_settings::network;
    use std::sync::Arc;

    #[test]
    fn it_listens_on_loopback_only_unless_told_otherwise() {
        let mut settings = network(&[], &[]);
        let start = |settings: &NetworkSettings, address: &str| {
            let options = Options {
                sandbox: "proxy".to_owned(),
                settings,
                rules: &[],
                grants: Vec::new(),
                asker: None,
                sink: Arc::new(NoSink),
                limits: Limits::default(),
                upstream: None,
                datagrams: true,
            };
            run(options, &Listen { http: vec![address.parse().unwrap()], socks: Vec::new() })
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
