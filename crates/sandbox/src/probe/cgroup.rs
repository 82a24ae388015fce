//! A control group of version 2 that was delegated to this user: limits over a whole tree of processes.

use super::Finding;
use super::surroundings::read;
use crate::host::Tried;
use std::path::{Path, PathBuf};

pub(super) fn probe() -> (Option<PathBuf>, Finding) {
    const SOURCE: &str = "/proc/self/cgroup, /proc/self/mountinfo, mkdir()";
    const SERVES: &str = "limits on memory and processes of the whole tree; else per process";
    let remedy = "systemd-run --user --scope -p Delegate=yes ringfence …";
    let fails = |why: String| Tried::Fails { why, remedy: Some(remedy.into()) };
    let memberships = read("/proc/self/cgroup").unwrap_or_default();
    let mounts = read("/proc/self/mountinfo").unwrap_or_default();
    let Some(directory) = own_group(&memberships, &mounts) else {
        return (
            None,
            Finding::new("cgroup", fails("no cgroup version 2 hierarchy is mounted".into()), SOURCE, SERVES),
        );
    };
    let controllers = read(&directory.join("cgroup.controllers").to_string_lossy()).unwrap_or_default();
    let lacking: Vec<_> = ["memory", "pids"]
        .into_iter()
        .filter(|name| !controllers.split_whitespace().any(|controller| controller == *name))
        .collect();
    let tried = if !lacking.is_empty() {
        fails(format!("{} lacks the controllers {}", directory.display(), lacking.join(", ")))
    } else if let Err(error) = try_child(&directory) {
        fails(format!("mkdir({}): {}", directory.display(), error.kind()))
    } else {
        Tried::Works
    };
    let found = tried.works().then(|| directory.clone());
    (found, Finding::new("cgroup", tried, SOURCE, SERVES).detail(directory.display().to_string()))
}

fn try_child(directory: &Path) -> std::io::Result<()> {
    let child = directory.join(format!("ringfence-probe-{}", std::process::id()));
    std::fs::create_dir(&child)?;
    std::fs::remove_dir(&child)
}

/// The directory of this process's group in the version 2 hierarchy.
fn own_group(memberships: &str, mounts: &str) -> Option<PathBuf> {
    let group = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        Some((fields.next()?, fields.next()?))
    })?;
    let below = if root == "/" { group } else { group.strip_prefix(root).unwrap_or(group) };
    let mut directory = PathBuf::from(mount);
    directory.extend(Path::new(below).components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(name),
        _ => None,
    }));
    Some(directory)
}

#[cfg(test)]
mod tests {
    use super::own_group;
    use std::path::Path;

    #[test]
    fn the_group_below_its_mount() {
        let mounts =
            "25 1 0:22 / /sys rw - sysfs sysfs rw\n35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(
            own_group("0::/user.slice/user-1000.slice\n", mounts).as_deref(),
            Some(Path::new("/sys/fs/cgroup/user.slice/user-1000.slice"))
        );
        assert_eq!(own_group("12:pids:/x\n0::/\n", mounts).as_deref(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(own_group("0::/", "25 1 0:22 / /sys rw - sysfs sysfs rw"), None);
    }
}
