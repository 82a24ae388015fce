//! The kind of container or virtual system this runs in, told from what each leaves lying about.

use super::Finding;
use super::surroundings::Surroundings;
use crate::host::Tried;

/// What runs around us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Container {
    /// Docker, or an engine that imitates it.
    Docker,
    /// Podman or another user of `/run/.containerenv`.
    Podman,
    /// A Kubernetes pod.
    Kubernetes,
    /// systemd-nspawn, LXC, or what else `/run/systemd/container` names.
    Other,
    /// GitHub Actions, or a runner that imitates it.
    CiRunner,
    /// Windows Subsystem for Linux, first version: no Linux kernel.
    Wsl1,
    /// Windows Subsystem for Linux, second version.
    Wsl2,
    /// gVisor: a kernel of its own in user space.
    Gvisor,
    /// Another Ringfence: this process is already confined.
    Ringfence,
}

impl Container {
    /// Its name, as shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Other => "container",
            Self::CiRunner => "ci-runner",
            Self::Wsl1 => "wsl1",
            Self::Wsl2 => "wsl2",
            Self::Gvisor => "gvisor",
            Self::Ringfence => "ringfence",
        }
    }
}

/// What was read to tell.
#[derive(Debug, Default, Clone)]
pub struct Traces<'a> {
    /// `/.dockerenv` exists.
    pub dockerenv: bool,
    /// `/run/.containerenv` exists.
    pub containerenv: bool,
    /// `/run/systemd/container`.
    pub systemd_container: Option<&'a str>,
    /// `/proc/version`.
    pub version: &'a str,
    /// `/proc/1/cgroup`.
    pub init_cgroup: &'a str,
    /// `/var/run/secrets/kubernetes.io` exists.
    pub kubernetes_secrets: bool,
    /// Names of environment variables that are set.
    pub variables: &'a [&'a str],
}

/// Reads the traces.
#[must_use]
pub fn tell(traces: &Traces<'_>) -> Vec<Container> {
    let mut found = Vec::new();
    let set = |name: &str| traces.variables.contains(&name);
    let version = traces.version;
    if version.contains("WSL2") || version.contains("microsoft-standard") {
        found.push(Container::Wsl2);
    } else if version.contains("Microsoft") {
        found.push(Container::Wsl1);
    }
    if version.contains("gVisor") || version.contains("#1 SMP Sun Jan 10 15:06:54 PST 2016") {
        // gVisor has told this build date in its `uname` since its first release.
        found.push(Container::Gvisor);
    }
    if set("KUBERNETES_SERVICE_HOST") || traces.kubernetes_secrets || traces.init_cgroup.contains("kubepods") {
        found.push(Container::Kubernetes);
    }
    if traces.dockerenv || traces.init_cgroup.contains("/docker/") {
        found.push(Container::Docker);
    }
    if traces.containerenv || traces.systemd_container == Some("podman") {
        found.push(Container::Podman);
    }
    if traces.systemd_container.is_some_and(|kind| !matches!(kind, "docker" | "podman" | "wsl" | "")) {
        found.push(Container::Other);
    }
    if set("GITHUB_ACTIONS") || set("GITEA_ACTIONS") || set("FORGEJO_ACTIONS") {
        found.push(Container::CiRunner);
    }
    if set("RINGFENCE_SANDBOX") {
        found.push(Container::Ringfence);
    }
    found
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) fn finding(around: &Surroundings) -> Finding {
    let source = "/.dockerenv, /run/.containerenv, /run/systemd/container, /proc/version, /proc/1/cgroup, environment";
    let serves = "which advice fits";
    let names: Vec<_> = around.containers.iter().map(|kind| kind.name()).collect();
    let tried = if around.containers.contains(&Container::Wsl1) {
        Tried::Fails {
            why: "WSL 1 translates system calls and has no Linux kernel to confine with".into(),
            remedy: Some("wsl.exe --set-version DISTRIBUTION 2   (in Windows)".into()),
        }
    } else {
        Tried::Works
    };
    let detail = if names.is_empty() { "none seen".to_owned() } else { names.join(", ") };
    Finding::new("container", tried, source, serves).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_what_it_leaves() {
        let wsl1 = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)";
        let wsl2 = "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@x)";
        let gvisor = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016";
        let rows: [(Traces<'_>, &[Container]); 9] = [
            (Traces::default(), &[]),
            (Traces { version: wsl1, ..Traces::default() }, &[Container::Wsl1]),
            (Traces { version: wsl2, ..Traces::default() }, &[Container::Wsl2]),
            (Traces { version: gvisor, ..Traces::default() }, &[Container::Gvisor]),
            (Traces { dockerenv: true, ..Traces::default() }, &[Container::Docker]),
            (Traces { containerenv: true, ..Traces::default() }, &[Container::Podman]),
            (Traces { systemd_container: Some("lxc"), ..Traces::default() }, &[Container::Other]),
            (
                Traces { kubernetes_secrets: true, dockerenv: true, ..Traces::default() },
                &[Container::Kubernetes, Container::Docker],
            ),
            (Traces { variables: &["GITHUB_ACTIONS"], ..Traces::default() }, &[Container::CiRunner]),
        ];
        for (traces, expected) in rows {
            assert_eq!(tell(&traces), expected, "{traces:?}");
        }
    }
}
