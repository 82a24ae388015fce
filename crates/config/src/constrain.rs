//! What requirements do to the settings that aren't a choice among names: reads, network, features, servers.

use crate::apply::Applied;
use crate::error::ConfigError;
use crate::requirements::fits;
use ringfence_model::confinement::UnixSockets;
use ringfence_model::mode::{Backend, SandboxMode};
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::requirements::{Requirements, Violation};
use ringfence_model::settings::{ProxyMode, Settings};

type Outcome<T = ()> = Result<T, Box<Violation>>;

impl Applied<'_> {
    /// Applies everything that isn't a mode, a policy, a profile or a reviewer.
    pub fn rest(&mut self, settings: &mut Settings) -> Result<(), ConfigError> {
        settings.filesystem.deny_read.extend(self.requirements.deny_read.iter().cloned());
        self.servers(settings);
        self.features(settings).and_then(|()| self.network(settings)).map_err(ConfigError::NotAllowed)
    }

    fn servers(&mut self, settings: &mut Settings) {
        let Some(allowed) = &self.requirements.mcp_servers else { return };
        for (name, server) in &mut settings.mcp_servers {
            let entry = allowed.value.get(name);
            if entry.is_some_and(|entry| fits(&entry.value, &server.transport)) {
                continue;
            }
            let requirement = entry.map_or(&allowed.origin, |entry| &entry.origin);
            if server.enabled.value {
                let why =
                    if entry.is_some() { "it isn't what the requirement names" } else { "no requirement names it" };
                self.notices.push(Notice {
                    code: "mcp-server-off".into(),
                    text: format!("MCP server `{name}` is off: {why} ({requirement})"),
                    origin: Some(server.origin.clone()),
                    hint: None,
                });
                self.adjustments.push(crate::apply::Adjustment {
                    key: format!("mcp_servers.{}.enabled", crate::node::path_text(&[name])),
                    from: "true".into(),
                    to: "false".into(),
                    requirement_key: "mcp_servers".into(),
                    requirement: requirement.clone(),
                });
            }
            server.enabled = Sourced::new(false, requirement.clone());
        }
    }

    fn features(&mut self, settings: &mut Settings) -> Outcome {
        for (name, pin) in &self.requirements.features {
            let key = format!("features.{name}");
            match name.as_str() {
                "network_proxy" => self.pin(&mut settings.network.proxy, pin, ("network.enabled", &key))?,
                "use_linux_sandbox_bwrap" if pin.value => {
                    let backend = &mut settings.linux_backend;
                    if backend.value == Backend::Bwrap {
                        continue;
                    }
                    if backend.origin.is_explicit() {
                        return Err(rejected(
                            "linux.backend",
                            backend.value.name(),
                            &backend.origin,
                            "bwrap",
                            &key,
                            &pin.origin,
                        ));
                    }
                    self.adjust("linux.backend", backend.value.name(), "bwrap", (&key, &pin.origin));
                    *backend = Sourced::new(Backend::Bwrap, pin.origin.clone());
                }
                "use_linux_sandbox_bwrap" => {
                    let backend = &settings.linux_backend;
                    if backend.value == Backend::Bwrap {
                        let allowed = "auto, namespaces, landlock";
                        return Err(rejected("linux.backend", "bwrap", &backend.origin, allowed, &key, &pin.origin));
                    }
                }
                _ => self.notices.push(Notice {
                    code: "not-applicable".into(),
                    text: format!("`{key}` is about another product and has no effect here"),
                    origin: Some(pin.origin.clone()),
                    hint: None,
                }),
            }
        }
        Ok(())
    }

    /// A value that must be this one: an explicit other one is rejected, a default gives way.
    fn pin(&mut self, value: &mut Sourced<bool>, pin: &Sourced<bool>, (key, requirement_key): (&str, &str)) -> Outcome {
        if value.value == pin.value {
            return Ok(());
        }
        let (found, wanted) = (value.value.to_string(), pin.value.to_string());
        if value.origin.is_explicit() {
            return Err(rejected(key, &found, &value.origin, &wanted, requirement_key, &pin.origin));
        }
        self.adjust(key, &found, &wanted, (requirement_key, &pin.origin));
        *value = Sourced::new(pin.value, pin.origin.clone());
        Ok(())
    }

    /// A permission: where the requirement says no, an explicit yes is rejected; where it says yes, that is the default.
    fn bound(
        &mut self,
        value: &mut Sourced<bool>,
        bound: Option<&Sourced<bool>>,
        (key, name): (&str, &str),
    ) -> Outcome {
        match bound {
            Some(bound) if !bound.value || !value.origin.is_explicit() => {
                self.pin(value, bound, (key, &format!("experimental_network.{name}")))
            }
            _ => Ok(()),
        }
    }

    fn network(&mut self, settings: &mut Settings) -> Outcome {
        let required = &self.requirements.network;
        if let Some(enabled) = &required.enabled {
            self.pin(&mut settings.network.proxy, enabled, ("network.enabled", "experimental_network.enabled"))?;
        }
        let managed = &mut settings.network.managed;
        let local = required.allow_local_binding.as_ref();
        let key = ("network.allow_local_binding", "allow_local_binding");
        self.bound(&mut settings.network.allow_local_binding, local, key)?;
        let key = ("network.allow_upstream_proxy", "allow_upstream_proxy");
        self.bound(&mut managed.allow_upstream_proxy, required.allow_upstream_proxy.as_ref(), key)?;
        let bound = required.dangerously_allow_non_loopback_proxy.as_ref();
        let key = ("network.dangerously_allow_non_loopback_proxy", "dangerously_allow_non_loopback_proxy");
        self.bound(&mut managed.dangerously_allow_non_loopback_proxy, bound, key)?;
        if let Some(limited) = required.limited.as_ref().filter(|limited| limited.value)
            && managed.mode.value == ProxyMode::Full
        {
            if managed.mode.origin.is_explicit() {
                let key = "experimental_network.mode";
                return Err(rejected("network.mode", "full", &managed.mode.origin, "limited", key, &limited.origin));
            }
            self.adjust("network.mode", "full", "limited", ("experimental_network.mode", &limited.origin));
            managed.mode = Sourced::new(ProxyMode::Limited, limited.origin.clone());
        }
        if let Some(only) = required.managed_allowed_domains_only.as_ref().filter(|only| only.value) {
            let dropped = managed.allow.len() + managed.presets.len();
            if dropped > 0 {
                self.notices.push(Notice {
                    code: "managed-domains-only".into(),
                    text: format!("{dropped} entries that allow hosts don't count: only an administrator's do"),
                    origin: Some(only.origin.clone()),
                    hint: None,
                });
            }
            managed.allow.clear();
            managed.presets.clear();
            managed.managed_domains_only = Some(only.clone());
        }
        managed.allow.extend(required.allow.iter().cloned());
        managed.deny.extend(required.deny.iter().cloned());
        if let Some(sockets) = &required.unix_sockets {
            let key = "experimental_network.unix_sockets";
            let set = match &settings.unix_sockets {
                UnixSockets::Only(list) => list.as_slice(),
                UnixSockets::Everything => &[],
            };
            for socket in set.iter().chain(&managed.unix_sockets) {
                let allowed = |path: &String| std::path::Path::new(path) == socket.value.as_path();
                if !sockets.value.iter().any(allowed) {
                    let list = sockets.value.join(", ");
                    let path = socket.value.display();
                    return Err(rejected("allow_unix_sockets", &path, &socket.origin, &list, key, &sockets.origin));
                }
            }
        }
        Ok(())
    }
}

fn rejected(
    key: &str,
    value: &str,
    chosen: &Origin,
    allowed: &str,
    requirement_key: &str,
    requirement: &Origin,
) -> Box<Violation> {
    Box::new(Violation {
        key: key.to_owned(),
        value: value.to_owned(),
        chosen: chosen.clone(),
        allowed: allowed.to_owned(),
        requirement_key: requirement_key.to_owned(),
        requirement: requirement.clone(),
    })
}

/// Whether settings satisfy requirements: looked at once more at the very end, whatever road led there.
pub fn verify(settings: &Settings, requirements: &Requirements) -> Outcome {
    requirements.check_sandbox_mode(settings.sandbox_mode.value, &settings.sandbox_mode.origin)?;
    match &settings.permissions {
        Some(profile) => requirements.check_profile(&profile.value, &profile.origin)?,
        None => requirements.check_plain_mode(settings.sandbox_mode.value, &settings.sandbox_mode.origin)?,
    }
    requirements.check_approval_policy(settings.approval_policy.value, &settings.approval_policy.origin)?;
    requirements.check_web_search(settings.web_search.value, &settings.web_search.origin)?;
    requirements.check_reviewer(settings.approvals.reviewer.value, &settings.approvals.reviewer.origin)?;
    let network = &settings.network;
    let required = &requirements.network;
    let pinned = |key: &str, value: &Sourced<bool>, pin: Option<&Sourced<bool>>, either: bool| match pin {
        Some(pin) if value.value != pin.value && (either || value.value) => {
            let (found, wanted) = (value.value.to_string(), pin.value.to_string());
            Err(rejected(key, &found, &value.origin, &wanted, key, &pin.origin))
        }
        _ => Ok(()),
    };
    pinned("network.enabled", &network.proxy, required.enabled.as_ref(), true)?;
    pinned("network.enabled", &network.proxy, requirements.features.get("network_proxy"), true)?;
    pinned("network.allow_local_binding", &network.allow_local_binding, required.allow_local_binding.as_ref(), false)?;
    let upstream = required.allow_upstream_proxy.as_ref();
    pinned("network.allow_upstream_proxy", &network.managed.allow_upstream_proxy, upstream, false)?;
    let missing = requirements.deny_read.iter().find(|denied| !settings.filesystem.deny_read.contains(denied));
    if let Some(denied) = missing.filter(|_| settings.sandbox_mode.value != SandboxMode::DangerFullAccess) {
        let key = "permissions.filesystem.deny_read";
        return Err(rejected("deny_read", "incomplete", &denied.origin, "", key, &denied.origin));
    }
    let unlisted = settings.mcp_servers.iter().find(|(name, server)| {
        server.enabled.value
            && requirements.mcp_servers.as_ref().is_some_and(|allowed| {
                !allowed.value.get(*name).is_some_and(|entry| fits(&entry.value, &server.transport))
            })
    });
    if let (Some((name, server)), Some(allowed)) = (unlisted, &requirements.mcp_servers) {
        return Err(rejected("mcp_servers", name, &server.origin, "", "mcp_servers", &allowed.origin));
    }
    Ok(())
}
