//! The environment a command sees: Ringfence's own, filtered by the settings, in the order the reference gives.
//!
//! Every kept variable knows where it came from and every dropped name why it went, so that the plan can show both. The
//! same judgement tells the journal which values are secrets.

use ringfence_model::confinement::{EnvVar, NetworkWish, UnixSockets};
use ringfence_model::glob::name_matches_ignoring_case;
use ringfence_model::proxy_env::{self, ProxyPlace};
use ringfence_model::settings::{EnvironmentPolicy, Inherit};
use ringfence_model::{Origin, OsText};
use std::collections::BTreeMap;

/// Names that hold what must not leave: dropped unless `ignore_default_excludes`.
pub const SECRET_PATTERNS: &[&str] = &["*KEY*", "*SECRET*", "*TOKEN*", "*PASSWORD*", "*CREDENTIAL*"];

/// Names kept by `inherit = "core"`.
pub const CORE: &[&str] = &[
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "USER",
    "USERNAME",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LANG",
    "LC_*",
    "TZ",
    "TERM",
    "COLORTERM",
];

/// Names that point at live channels to processes outside, with what is at the other end. The sandbox cuts them; a
/// variable left behind only makes programs hang or complain.
pub const LIVE_CHANNELS: &[(&str, &str)] = &[
    ("SSH_AUTH_SOCK", "ssh agent"),
    ("SSH_AGENT_PID", "ssh agent"),
    ("SSH_ASKPASS", "asks for passwords outside"),
    ("GPG_AGENT_INFO", "gpg agent"),
    ("GPG_TTY", "terminal of the gpg agent"),
    ("DBUS_SESSION_BUS_ADDRESS", "session bus"),
    ("DBUS_SYSTEM_BUS_ADDRESS", "system bus"),
    ("DBUS_STARTER_*", "session bus"),
    ("DISPLAY", "X server"),
    ("XAUTHORITY", "X server"),
    ("WAYLAND_DISPLAY", "compositor"),
    ("WAYLAND_SOCKET", "compositor"),
    ("XDG_RUNTIME_DIR", "directory of the session's sockets"),
    ("PULSE_SERVER", "sound server"),
    ("SWAYSOCK", "window manager"),
    ("I3SOCK", "window manager"),
    ("DOCKER_HOST", "container engine"),
    ("CONTAINER_HOST", "container engine"),
    ("TMUX", "terminal multiplexer"),
    ("TMUX_PANE", "terminal multiplexer"),
    ("STY", "terminal multiplexer"),
    ("KITTY_LISTEN_ON", "terminal emulator"),
    ("WEZTERM_UNIX_SOCKET", "terminal emulator"),
    ("ALACRITTY_SOCKET", "terminal emulator"),
    ("VSCODE_IPC_HOOK*", "editor"),
    ("VSCODE_GIT_IPC_*", "editor"),
    ("VSCODE_GIT_ASKPASS_*", "editor"),
    ("NVIM", "editor"),
    ("NVIM_LISTEN_ADDRESS", "editor"),
    ("EMACS_SOCKET_NAME", "editor"),
    ("NOTIFY_SOCKET", "service manager"),
    ("LISTEN_FDS", "service manager"),
    ("LISTEN_PID", "service manager"),
    ("LISTEN_FDNAMES", "service manager"),
    ("JOURNAL_STREAM", "service manager"),
    ("WSL_INTEROP", "Windows programs"),
];

/// Names that Ringfence alone sets; an inherited or configured value would be a forgery.
const RESERVED: &[&str] = &["RINGFENCE_SANDBOX", "RINGFENCE_SANDBOX_*", "RINGFENCE_CAPABILITIES"];

/// What became of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filtered {
    /// Sorted by name.
    pub kept: Vec<EnvVar>,
    /// Sorted by name, each with what dropped it.
    pub dropped: Vec<(OsText, Origin)>,
}

/// Filters `environment` by `policy`. Variables that point at a socket in `sockets` are no cut channel.
#[must_use]
pub fn filter(policy: &EnvironmentPolicy, sockets: &UnixSockets, environment: &[(OsText, OsText)]) -> Filtered {
    let mut kept: BTreeMap<OsText, EnvVar> = BTreeMap::new();
    let mut dropped: BTreeMap<OsText, Origin> = BTreeMap::new();
    for (name, value) in environment {
        // `getenv` finds the first of two equal names, so the first is the one that counts.
        if name.as_bytes().is_empty() || kept.contains_key(name) || dropped.contains_key(name) {
            continue;
        }
        match verdict(policy, sockets, name, value) {
            Ok(origin) => {
                kept.insert(name.clone(), EnvVar { name: name.clone(), value: value.clone(), origin });
            }
            Err(origin) => {
                dropped.insert(name.clone(), origin);
            }
        }
    }
    for (name, value) in &policy.set {
        let name = OsText::new(name.as_str());
        if is_reserved(&name) || !valid_name(name.as_bytes()) {
            dropped.insert(name, Origin::builtin("reserved variables"));
            continue;
        }
        let by_flag = matches!(value.origin, Origin::Flag { .. });
        if let (false, Some(origin)) = (by_flag, not_included(policy, &name)) {
            dropped.insert(name, origin);
            continue;
        }
        dropped.remove(&name);
        let var = EnvVar { name: name.clone(), value: OsText::new(value.value.as_str()), origin: value.origin.clone() };
        kept.insert(name, var);
    }
    Filtered { kept: kept.into_values().collect(), dropped: dropped.into_iter().collect() }
}

/// Whether the value under `name` counts as a secret: what the default exclusions would drop.
#[must_use]
pub fn is_secret_name(name: &OsText) -> bool {
    SECRET_PATTERNS.iter().any(|pattern| name_matches_ignoring_case(pattern, name.as_bytes()))
}

/// The variables by which programs find the network that `wish` gives them, and learn that they are inside.
#[must_use]
pub fn network_variables(wish: NetworkWish) -> Vec<(&'static str, String)> {
    let mut variables = vec![(
        "RINGFENCE_SANDBOX_NETWORK",
        match wish {
            NetworkWish::Off => "off",
            NetworkWish::Proxy { .. } => "proxy",
            NetworkWish::On => "on",
        }
        .to_owned(),
    )];
    if let NetworkWish::Proxy { http_port, socks_port, .. } = wish {
        let place = ProxyPlace { http_port, socks_port, ca_file: None, java_trust: None, connector: None };
        variables.extend(proxy_env::variables(&place));
    }
    variables
}

/// Keeps a variable with its origin, or names what drops it.
fn verdict(policy: &EnvironmentPolicy, sockets: &UnixSockets, name: &OsText, value: &OsText) -> Result<Origin, Origin> {
    if is_reserved(name) {
        return Err(Origin::builtin("reserved variables"));
    }
    if let Some(pass) = policy.pass.iter().find(|pass| pass.value.as_bytes() == name.as_bytes()) {
        return Ok(pass.origin.clone());
    }
    let inherited = match policy.inherit.value {
        Inherit::All => true,
        Inherit::Core => CORE.iter().any(|pattern| name_matches_ignoring_case(pattern, name.as_bytes())),
        Inherit::None => false,
    };
    if !inherited {
        return Err(policy.inherit.origin.clone());
    }
    if !policy.ignore_default_excludes.value && is_secret_name(name) {
        return Err(Origin::builtin("environment names that look like secrets"));
    }
    if is_cut_channel(sockets, name, value) {
        return Err(Origin::builtin("environment names of live channels"));
    }
    if let Some(exclude) =
        policy.exclude.iter().find(|pattern| name_matches_ignoring_case(&pattern.value, name.as_bytes()))
    {
        return Err(exclude.origin.clone());
    }
    if let Some(origin) = not_included(policy, name) {
        return Err(origin);
    }
    Ok(Origin::builtin("inherited environment"))
}

fn not_included(policy: &EnvironmentPolicy, name: &OsText) -> Option<Origin> {
    let first = policy.include_only.first()?;
    let included =
        policy.include_only.iter().any(|pattern| name_matches_ignoring_case(&pattern.value, name.as_bytes()));
    (!included).then(|| first.origin.clone())
}

fn is_reserved(name: &OsText) -> bool {
    RESERVED.iter().any(|pattern| name_matches_ignoring_case(pattern, name.as_bytes()))
}

fn is_cut_channel(sockets: &UnixSockets, name: &OsText, value: &OsText) -> bool {
    if !LIVE_CHANNELS.iter().any(|(pattern, _)| name_matches_ignoring_case(pattern, name.as_bytes())) {
        return false;
    }
    match sockets {
        UnixSockets::Everything => false,
        UnixSockets::Only(paths) => {
            !paths.iter().any(|path| contains(value.as_bytes(), path.value.as_path().as_os_str().as_encoded_bytes()))
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len().max(1)).any(|window| window == needle)
}

fn valid_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'=') && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringfence_model::{AbsPath, Sourced};

    fn policy(inherit: Inherit) -> EnvironmentPolicy {
        EnvironmentPolicy {
            inherit: Sourced::default_of(inherit, "inherit"),
            ignore_default_excludes: Sourced::default_of(false, "ignore_default_excludes"),
            exclude: Vec::new(),
            include_only: Vec::new(),
            set: BTreeMap::new(),
            pass: Vec::new(),
        }
    }

    fn none() -> UnixSockets {
        UnixSockets::Only(Vec::new())
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsText, OsText)> {
        pairs.iter().map(|(name, value)| (OsText::new(*name), OsText::new(*value))).collect()
    }

    fn names(filtered: &Filtered) -> Vec<&str> {
        filtered.kept.iter().filter_map(|var| var.name.as_str()).collect()
    }

    fn flag<T>(value: T) -> Sourced<T> {
        Sourced::new(value, Origin::flag("--env"))
    }

    #[test]
    fn secrets_and_live_channels_go_by_default() {
        let host = env(&[
            ("PATH", "/bin"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("github_token", "x"),
            ("DB_PASSWORD", "x"),
            ("SSH_AUTH_SOCK", "/run/s"),
            ("LD_PRELOAD", "x.so"),
        ]);
        let filtered = filter(&policy(Inherit::All), &none(), &host);
        assert_eq!(names(&filtered), ["LD_PRELOAD", "PATH"]);
        assert_eq!(filtered.dropped.len(), 4);
    }

    #[test]
    #[cfg_attr(not(unix), ignore = "Unix sockets have paths of Unix")]
    fn a_listed_socket_keeps_its_variable() {
        let socket = Sourced::new(AbsPath::new("/run/s").expect("path"), Origin::flag("-c"));
        let host = env(&[("SSH_AUTH_SOCK", "/run/s"), ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/bus")]);
        let filtered = filter(&policy(Inherit::All), &UnixSockets::Only(vec![socket]), &host);
        assert_eq!(names(&filtered), ["SSH_AUTH_SOCK"]);
    }

    #[test]
    fn the_steps_keep_their_order() {
        let mut policy = policy(Inherit::Core);
        policy.exclude = vec![flag("LANG".to_owned())];
        policy.set.insert("CI".to_owned(), Sourced::default_of("1".to_owned(), "set"));
        policy.set.insert("LANG".to_owned(), Sourced::default_of("C".to_owned(), "set"));
        let host = env(&[("HOME", "/h"), ("EDITOR", "vi"), ("LANG", "de"), ("LC_ALL", "de")]);
        assert_eq!(names(&filter(&policy, &none(), &host)), ["CI", "HOME", "LANG", "LC_ALL"]);
        policy.include_only = vec![flag("l*".to_owned())];
        assert_eq!(names(&filter(&policy, &none(), &host)), ["LANG", "LC_ALL"]);
    }

    #[test]
    fn a_flag_passes_one_through_and_nobody_forges_ours() {
        let mut policy = policy(Inherit::All);
        policy.pass = vec![flag("API_KEY".to_owned())];
        policy.set.insert("RINGFENCE_SANDBOX".to_owned(), flag("none".to_owned()));
        let host = env(&[("API_KEY", "k"), ("RINGFENCE_SANDBOX_NETWORK", "on"), ("RINGFENCE_CAPABILITIES", "/x")]);
        assert_eq!(names(&filter(&policy, &none(), &host)), ["API_KEY"]);
    }

    proptest! {
        #[test]
        fn an_exclusion_never_adds_a_variable(
            names in proptest::collection::vec("[A-Z_]{1,6}", 0..8), exclude in "[A-Z*?_]{1,6}",
        ) {
            let host: Vec<_> = names.iter().map(|name| (OsText::new(name.as_str()), OsText::new("v"))).collect();
            let before = filter(&policy(Inherit::All), &none(), &host);
            let mut stricter = policy(Inherit::All);
            stricter.exclude.push(flag(exclude));
            let after = filter(&stricter, &none(), &host);
            prop_assert!(after.kept.iter().all(|var| before.kept.contains(var)));
        }
    }
}
