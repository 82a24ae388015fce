//! Settings for tests: everything at its default but the domain map.

use crate::bridge::Options;
use crate::event::Sink;
use crate::proxy::Limits;
use ringfence_model::settings::{ManagedNetwork, NetworkSettings, ProxyMode};
use ringfence_model::{Origin, Sourced};
use std::sync::Arc;

/// A proxy under these settings that asks nobody.
pub(crate) fn options(settings: &NetworkSettings, sink: Arc<dyn Sink>) -> Options<'_> {
    Options {
        sandbox: "test".to_owned(),
        settings,
        rules: &[],
        grants: Vec::new(),
        asker: None,
        sink,
        limits: Limits::default(),
        upstream: None,
        datagrams: true,
        can_escalate: false,
    }
}

pub(crate) fn sourced<T>(value: T) -> Sourced<T> {
    Sourced::new(value, Origin::flag("--test"))
}

pub(crate) fn network(allow: &[&str], deny: &[&str]) -> NetworkSettings {
    let list = |texts: &[&str]| texts.iter().map(|text| sourced((*text).to_owned())).collect();
    NetworkSettings {
        access: sourced(true),
        proxy: sourced(true),
        allow_local_binding: sourced(false),
        managed: ManagedNetwork {
            allow: list(allow),
            deny: list(deny),
            presets: Vec::new(),
            mode: sourced(ProxyMode::Full),
            methods: Vec::new(),
            paths: Vec::new(),
            unix_sockets: Vec::new(),
            enable_socks5: sourced(true),
            enable_socks5_udp: sourced(false),
            allow_upstream_proxy: sourced(false),
            allow_sni_mismatch: Vec::new(),
            dangerously_allow_non_loopback_proxy: sourced(false),
            intercept: Vec::new(),
            tunnel_pinned: sourced(false),
            secrets: Vec::new(),
            transparent: sourced(false),
            managed_domains_only: None,
            http_port: sourced(3128),
            socks_port: sourced(8081),
        },
    }
}
