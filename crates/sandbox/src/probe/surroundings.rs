//! What lies around the process and decides which advice fits: kernel, user, container, and the switches an
//! administrator or a distribution may have set.

use super::container::Container;
use super::{Finding, remedy};
use crate::host::Tried;

/// What was read before anything is tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Kernel release, major and minor.
    pub kernel: (u32, u32),
    /// `/proc/sys/kernel/osrelease`, whole.
    pub release: String,
    /// Effective user id.
    pub uid: u32,
    /// `CAP_SYS_ADMIN` in the effective set.
    pub sys_admin: bool,
    /// `/proc` is mounted.
    pub procfs: bool,
    /// What runs around us.
    pub containers: Vec<Container>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, where the kernel has it.
    pub apparmor_userns: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, where the distribution has it.
    pub userns_clone: Option<u64>,
    /// `user.max_user_namespaces`.
    pub max_userns: Option<u64>,
    /// `user.max_mnt_namespaces`, `…pid…`, `…net…`: the first that is 0.
    pub zero_limit: Option<String>,
    /// This process's AppArmor label.
    pub apparmor_label: Option<String>,
    /// `no_new_privs` is set already.
    pub no_new_privs: bool,
    /// Mode of the seccomp filter around us: 0 none, 2 filter.
    pub seccomp_mode: u64,
    /// Path of this program, for a profile that names it.
    pub program: String,
}

impl Surroundings {
    /// Reads `/proc`, `/sys` and the environment's names.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn read() -> Self {
        let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let status = read("/proc/self/status").unwrap_or_default();
        let variables: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        let version = read("/proc/version").unwrap_or_default();
        let init_cgroup = read("/proc/1/cgroup").unwrap_or_default();
        let systemd_container = read("/run/systemd/container");
        let containers = super::container::tell(&super::container::Traces {
            dockerenv: exists("/.dockerenv"),
            containerenv: exists("/run/.containerenv"),
            systemd_container: systemd_container.as_deref(),
            version: &version,
            init_cgroup: &init_cgroup,
            kubernetes_secrets: exists("/var/run/secrets/kubernetes.io"),
            variables: &variables,
        });
        let limits = ["mnt", "pid", "ipc", "net", "uts"].map(|kind| format!("user.max_{kind}_namespaces"));
        Self {
            kernel: kernel_of(&release),
            release,
            uid: crate::sys::trial::geteuid(),
            sys_admin: status_field(&status, "CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or(0)
                & CAP_SYS_ADMIN
                != 0,
            procfs: exists("/proc/self/status"),
            containers,
            apparmor_userns: sysctl("kernel.apparmor_restrict_unprivileged_userns"),
            userns_clone: sysctl("kernel.unprivileged_userns_clone"),
            max_userns: sysctl("user.max_user_namespaces"),
            zero_limit: limits.into_iter().find(|name| sysctl(name) == Some(0)),
            apparmor_label: read("/proc/self/attr/apparmor/current").filter(|label| !label.is_empty()),
            no_new_privs: status_field(&status, "NoNewPrivs") == Some("1"),
            seccomp_mode: status_field(&status, "Seccomp").and_then(|mode| mode.parse().ok()).unwrap_or(0),
            program: std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        }
    }

    /// Whether this kind of container was seen.
    #[must_use]
    pub fn within(&self, kind: Container) -> bool {
        self.containers.contains(&kind)
    }
}

#[cfg(target_os = "linux")]
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Major and minor of a release such as `6.8.0-45-generic`; zeros where it can't be read.
#[must_use]
pub fn kernel_of(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The value of a line `NAME:\tVALUE` of `/proc/PID/status`.
#[must_use]
pub fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// What the switches say, one finding each, where the host has them.
#[must_use]
pub fn findings(around: &Surroundings) -> Vec<Finding> {
    let serves = "whether an ordinary user may make namespaces";
    let mut found = Vec::new();
    if let Some(limit) = around.max_userns {
        let tried = if limit == 0 {
            Tried::Fails {
                why: "user.max_user_namespaces is 0".into(),
                remedy: Some(remedy::keep_sysctl("user.max_user_namespaces", "15000")),
            }
        } else {
            Tried::Works
        };
        let source = "/proc/sys/user/max_user_namespaces";
        found.push(Finding::new("max-user-namespaces", tried, source, serves).detail(limit.to_string()));
    }
    if let Some(name) = &around.zero_limit {
        let tried = Tried::Fails { why: format!("{name} is 0"), remedy: Some(remedy::keep_sysctl(name, "15000")) };
        let source = format!("/proc/sys/{}", name.replace('.', "/"));
        found.push(Finding::new("namespace-limits", tried, &source, serves));
    }
    if let Some(value) = around.userns_clone {
        let tried = if value == 0 && !around.sys_admin {
            Tried::Fails {
                why: "kernel.unprivileged_userns_clone is 0".into(),
                remedy: Some(remedy::keep_sysctl("kernel.unprivileged_userns_clone", "1")),
            }
        } else {
            Tried::Works
        };
        let source = "/proc/sys/kernel/unprivileged_userns_clone";
        found.push(Finding::new("unprivileged-userns-clone", tried, source, serves).detail(value.to_string()));
    }
    if let Some(value) = around.apparmor_userns {
        let named = around.apparmor_label.as_deref().is_some_and(|label| label.starts_with("ringfence"));
        let tried = if value != 0 && !around.sys_admin && !named {
            Tried::Fails {
                why: "kernel.apparmor_restrict_unprivileged_userns is 1 and no AppArmor profile names this program"
                    .into(),
                remedy: Some(remedy::apparmor(&around.program)),
            }
        } else {
            Tried::Works
        };
        let source = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        found.push(Finding::new("apparmor-userns", tried, source, serves).detail(value.to_string()));
    }
    found
}

#[cfg(target_os = "linux")]
pub(super) fn read(path: &str) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(target_os = "linux")]
fn exists(path: &str) -> bool {
    std::path::Path::new(path).exists()
}

#[cfg(target_os = "linux")]
fn sysctl(name: &str) -> Option<u64> {
    read(&format!("/proc/sys/{}", name.replace('.', "/")))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_of_distributions() {
        assert_eq!(kernel_of("6.8.0-45-generic"), (6, 8));
        assert_eq!(kernel_of("5.10.16.3-microsoft-standard-WSL2"), (5, 10));
        assert_eq!(kernel_of(""), (0, 0));
    }

    #[test]
    fn a_field_of_status() {
        let status = "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(status_field(status, "CapEff"), Some("000001ffffffffff"));
        assert_eq!(status_field(status, "Seccomp"), Some("2"));
        assert_eq!(status_field(status, "Missing"), None);
    }

    #[test]
    fn switches_name_their_own_fix() {
        let around = Surroundings {
            uid: 1000,
            max_userns: Some(0),
            userns_clone: Some(0),
            apparmor_userns: Some(1),
            apparmor_label: Some("unconfined".into()),
            program: "/usr/bin/ringfence".into(),
            ..Surroundings::default()
        };
        let found = findings(&around);
        assert_eq!(found.len(), 3);
        for finding in found {
            let Tried::Fails { remedy: Some(remedy), .. } = &finding.tried else { panic!("{finding:?}") };
            assert!(remedy.contains("sudo "), "{remedy}");
        }
    }
}
