//! Which command or setting would make a failed trial work: one pure table, from the call that failed, its errno and
//! the surroundings.

use super::container::Container;
use super::surroundings::Surroundings;

/// The kind of thing that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Namespaces and mounts in them.
    Namespaces,
    /// A fresh `/proc`.
    Proc,
    /// Landlock.
    Landlock,
    /// Seccomp and its notifications.
    Seccomp,
    /// A further system call that the broker uses.
    BrokerCall,
}

/// Errnos as the kernel numbers them on every architecture we build for.
mod errno {
    pub const EPERM: i32 = 1;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const ENOSPC: i32 = 28;
    pub const ENOSYS: i32 = 38;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EUSERS: i32 = 87;
}

/// The advice for one failure; none where nothing is known that would help.
#[must_use]
pub fn advise(need: Need, errno: i32, around: &Surroundings) -> Option<String> {
    if around.within(Container::Wsl1) {
        return Some("wsl.exe --set-version DISTRIBUTION 2   (in Windows)".into());
    }
    if around.within(Container::Gvisor) && need != Need::Namespaces {
        return Some(
            "gVisor doesn't have it: run the container with the ordinary runtime (`--runtime runc`), or let \
                     gVisor be the isolation and use `--sandbox danger-full-access` inside"
                .into(),
        );
    }
    match need {
        Need::Namespaces => namespaces(errno, around),
        Need::Proc => container(need, around).or_else(|| {
            (errno == errno::EPERM).then(|| {
                "an outer container masks parts of `/proc`: unmask them there, or use the landlock tier".to_owned()
            })
        }),
        Need::Landlock => landlock(errno, around),
        Need::Seccomp => seccomp(errno, around),
        Need::BrokerCall => container(need, around).or_else(|| old_kernel(around, (5, 14))),
    }
}

fn namespaces(errno: i32, around: &Surroundings) -> Option<String> {
    if let Some(name) = &around.zero_limit {
        return Some(keep_sysctl(name, "15000"));
    }
    if around.max_userns == Some(0) || matches!(errno, errno::ENOSPC | errno::EUSERS) {
        return Some(keep_sysctl("user.max_user_namespaces", "15000"));
    }
    if around.userns_clone == Some(0) && !around.sys_admin {
        return Some(keep_sysctl("kernel.unprivileged_userns_clone", "1"));
    }
    if let Some(advice) = container(Need::Namespaces, around) {
        return Some(advice);
    }
    if around.apparmor_userns.is_some_and(|value| value != 0)
        && !around.sys_admin
        && matches!(errno, errno::EPERM | errno::EACCES)
    {
        return Some(apparmor(&around.program));
    }
    if around.within(Container::Ringfence) {
        return Some("inside another sandbox no further namespaces can be made: the outer one holds".into());
    }
    old_kernel(around, (5, 12)).or_else(|| {
        (errno == errno::EPERM).then(|| {
            "something around this process (a seccomp filter, a chroot, or a security module) forbids it: start \
             Ringfence outside of that, or use the landlock tier"
                .to_owned()
        })
    })
}

fn landlock(errno: i32, around: &Surroundings) -> Option<String> {
    match errno {
        errno::EOPNOTSUPP => Some(
            "Landlock is built in but switched off at boot: add `landlock` to the kernel's `lsm=` parameter, e.g. \
             `lsm=landlock,lockdown,yama,apparmor,bpf` in GRUB_CMDLINE_LINUX, then `sudo update-grub` and restart"
                .into(),
        ),
        errno::ENOSYS | errno::EPERM => container(Need::Landlock, around)
            .or_else(|| old_kernel(around, (5, 13)))
            .or_else(|| Some("this kernel was built without Landlock: use one with CONFIG_SECURITY_LANDLOCK=y".into())),
        _ => old_kernel(around, (5, 13)),
    }
}

fn seccomp(errno: i32, around: &Surroundings) -> Option<String> {
    if errno == errno::EBUSY {
        return Some(
            "an outer sandbox already serves seccomp notifications, and a process chain can have one only: start \
             Ringfence outside of it, or let the outer one hold"
                .into(),
        );
    }
    container(Need::Seccomp, around).or_else(|| old_kernel(around, (5, 14)))
}

fn old_kernel(around: &Surroundings, least: (u32, u32)) -> Option<String> {
    (around.kernel != (0, 0) && around.kernel < least).then(|| {
        format!(
            "Linux {}.{} is too old: Linux {}.{} or later has it",
            around.kernel.0, around.kernel.1, least.0, least.1
        )
    })
}

/// The option of the container engine, narrowest first.
fn container(need: Need, around: &Surroundings) -> Option<String> {
    let engine = around.containers.iter().find(|kind| {
        matches!(kind, Container::Docker | Container::Podman | Container::Kubernetes | Container::Gvisor)
    })?;
    let text = match (engine, need) {
        (Container::Docker, Need::Namespaces) => {
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …   (not needed for the \
             landlock tier)"
        }
        (Container::Docker, Need::Proc) => "docker run --security-opt systempaths=unconfined …",
        (Container::Docker, _) => "docker run --security-opt seccomp=unconfined …   (or a current Docker: 23 or later)",
        (Container::Podman, Need::Namespaces) => "podman run --security-opt seccomp=unconfined …",
        (Container::Podman, Need::Proc) => "podman run --security-opt unmask=ALL …",
        (Container::Podman, _) => "podman run --security-opt seccomp=unconfined …",
        (Container::Kubernetes, Need::Namespaces) => {
            "in the pod's securityContext: `seccompProfile: { type: Unconfined }` and \
             `appArmorProfile: { type: Unconfined }`   (not needed for the landlock tier)"
        }
        (Container::Kubernetes, Need::Proc) => {
            "in the pod: `hostUsers: false`, and in the container's securityContext `procMount: Unmasked`"
        }
        (Container::Kubernetes, _) => "in the pod's securityContext: `seccompProfile: { type: Unconfined }`",
        _ => {
            "gVisor doesn't have it: run the container with the ordinary runtime (`--runtime runc`), or let gVisor be \
             the isolation and use `--sandbox danger-full-access` inside"
        }
    };
    Some(text.into())
}

/// Sets a switch now and at every boot.
#[must_use]
pub fn keep_sysctl(name: &str, value: &str) -> String {
    format!("echo '{name} = {value}' | sudo tee /etc/sysctl.d/60-ringfence.conf && sudo sysctl -w {name}={value}")
}

/// A profile that lets this one program make user namespaces where AppArmor restricts them.
#[must_use]
pub fn apparmor(program: &str) -> String {
    let program = if program.is_empty() { "/usr/bin/ringfence" } else { program };
    format!(
        "printf 'abi <abi/4.0>,\\nprofile ringfence \"{program}\" flags=(unconfined) {{\\n  userns,\\n}}\\n' | sudo tee \
         /etc/apparmor.d/ringfence && sudo apparmor_parser -r /etc/apparmor.d/ringfence"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(containers: &[Container]) -> Surroundings {
        Surroundings { kernel: (6, 8), uid: 1000, containers: containers.to_vec(), ..Surroundings::default() }
    }

    #[test]
    fn each_host_gets_its_own_fix() {
        let rows: Vec<(Need, i32, Surroundings, &str)> = vec![
            (Need::Namespaces, errno::EPERM, around(&[Container::Docker]), "seccomp=unconfined"),
            (Need::Proc, errno::EPERM, around(&[Container::Docker]), "systempaths=unconfined"),
            (Need::Proc, errno::EPERM, around(&[Container::Podman]), "unmask=ALL"),
            (Need::Namespaces, errno::EPERM, around(&[Container::Kubernetes]), "securityContext"),
            (Need::Landlock, errno::EOPNOTSUPP, around(&[]), "lsm="),
            (Need::Landlock, errno::ENOSYS, Surroundings { kernel: (5, 4), ..around(&[]) }, "5.13"),
            (Need::Seccomp, errno::EBUSY, around(&[]), "outer sandbox"),
            (Need::Seccomp, errno::ENOSYS, around(&[Container::Gvisor]), "runc"),
            (Need::Namespaces, errno::EPERM, around(&[Container::Wsl1]), "--set-version"),
            (Need::Namespaces, errno::ENOSPC, around(&[]), "user.max_user_namespaces=15000"),
            (
                Need::Namespaces,
                errno::EPERM,
                Surroundings { userns_clone: Some(0), ..around(&[]) },
                "unprivileged_userns_clone=1",
            ),
            (
                Need::Namespaces,
                errno::EACCES,
                Surroundings { apparmor_userns: Some(1), ..around(&[]) },
                "apparmor_parser",
            ),
            (Need::Namespaces, errno::EPERM, around(&[]), "chroot"),
        ];
        for (need, errno, around, expected) in rows {
            let advice = advise(need, errno, &around).unwrap_or_default();
            assert!(advice.contains(expected), "{need:?} {errno} {around:?}: {advice}");
        }
    }
}
