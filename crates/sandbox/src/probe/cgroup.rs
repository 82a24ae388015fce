//! A control group of version 2 that was delegated to this user: limits over a whole tree of processes.

use super::Finding;
use super::surroundings::read;
use crate::host::Tried;
use std::path::{Path, PathBuf};

/// Where this process goes to make room in its group.
const SUPERVISOR: &str = "ringfence-supervisor";

pub(super) fn probe() -> (Option<PathBuf>, Finding) {
    const SOURCE: &str = "/proc/self/cgroup, /proc/self/mountinfo, mkdir()";
    const SERVES: &str = "limits on memory and processes of the whole tree; else per process";
    let remedy = crate::compile::CGROUP_REMEDY;
    let fails = |why: String| Tried::Fails { why, remedy: Some(remedy.into()) };
    let Some((mount, directory)) = own_group() else {
        return (
            None,
            Finding::new("cgroup", fails("no cgroup version 2 hierarchy is mounted".into()), SOURCE, SERVES),
        );
    };
    let detail = directory.display().to_string();
    match usable(&mount, &directory, false) {
        Ok(parent) => (Some(parent), Finding::new("cgroup", Tried::Works, SOURCE, SERVES).detail(detail)),
        Err(why) => (None, Finding::new("cgroup", fails(why), SOURCE, SERVES).detail(detail)),
    }
}

/// The group in which one for a run can be made, where there is one: for a start that needs it.
pub(super) fn quick() -> Option<PathBuf> {
    let (mount, directory) = own_group()?;
    usable(&mount, &directory, true).ok()
}

/// The nearest group, from our own up, that counts memory and processes of its children and where we may make one. Where a
/// group must be prepared for it, that is done only for a start.
fn usable(mount: &Path, own: &Path, prepare: bool) -> Result<PathBuf, String> {
    // Where room was made already, the group to use is the one it was made in.
    let own = if own.ends_with(SUPERVISOR) { own.parent().unwrap_or(own) } else { own };
    let mut why = None;
    for directory in own.ancestors().take_while(|directory| directory.starts_with(mount)) {
        match try_group(directory, prepare) {
            Ok(()) => return Ok(directory.to_owned()),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or_else(|| "this process is in no group".into()))
}

fn try_group(directory: &Path, prepare: bool) -> Result<(), String> {
    let lacking = |file: &str| {
        let present = read(&directory.join(file).to_string_lossy()).unwrap_or_default();
        let lacks = |name: &&str| !present.split_whitespace().any(|controller| controller == *name);
        let lacking: Vec<_> = ["memory", "pids"].into_iter().filter(lacks).collect();
        if lacking.is_empty() { None } else { Some(lacking.join(", ")) }
    };
    if let Some(lacking) = lacking("cgroup.controllers") {
        return Err(format!("{} lacks the controllers {lacking}", directory.display()));
    }
    let counts = lacking("cgroup.subtree_control").is_none();
    if !counts {
        // Only a group without processes of its own can have its children counted: if it is ours alone, we make room.
        make_room(directory, prepare).map_err(|error| {
            format!("{} doesn't count its children, and can't be made to: {error}", directory.display())
        })?;
    }
    try_child(directory, counts || prepare).map_err(|error| format!("{}: {error}", directory.display()))
}

/// Goes into a child of a group that has nobody else in it, and has the group count its children; or only looks whether
/// that can be done.
fn make_room(directory: &Path, prepare: bool) -> std::io::Result<()> {
    use std::io::{Error, Write};
    let own = std::process::id().to_string();
    let inside = std::fs::read_to_string(directory.join("cgroup.procs"))?;
    // What we started already comes along.
    if inside.lines().any(|process| process != own && parent_of(process).as_deref() != Some(&own)) {
        return Err(Error::other("others are in it"));
    }
    if !prepare {
        return std::fs::File::options().write(true).open(directory.join("cgroup.subtree_control")).map(drop);
    }
    let write = |path: PathBuf, text: &str| std::fs::File::options().write(true).open(path)?.write_all(text.as_bytes());
    let child = directory.join(SUPERVISOR);
    match std::fs::create_dir(&child) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    inside.lines().try_for_each(|process| write(child.join("cgroup.procs"), process))?;
    write(directory.join("cgroup.subtree_control"), "+memory +pids")
}

fn parent_of(process: &str) -> Option<String> {
    let status = read(&format!("/proc/{process}/status"))?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")).map(|parent| parent.trim().to_owned())
}

/// The directory of the group that a process is in.
pub(super) fn of_process(pid: i32) -> Option<PathBuf> {
    let memberships = read(&format!("/proc/{pid}/cgroup"))?;
    let mounts = read("/proc/self/mountinfo")?;
    group_of(&memberships, &mounts).map(|(_, directory)| directory)
}

/// Makes a group, and looks whether a process could be moved into it, and whether it has limits where it must already.
fn try_child(directory: &Path, counts: bool) -> std::io::Result<()> {
    let child = directory.join(format!("ringfence-probe-{}", std::process::id()));
    std::fs::create_dir(&child)?;
    let files = if counts { &["cgroup.procs", "memory.max", "pids.max"][..] } else { &["cgroup.procs"] };
    let opened =
        files.iter().try_for_each(|file| std::fs::File::options().write(true).open(child.join(file)).map(drop));
    let removed = std::fs::remove_dir(&child);
    opened.and(removed)?;
    // To move a process between two groups one must be allowed to in the one that holds both.
    std::fs::File::options().write(true).open(directory.join("cgroup.procs")).map(drop)
}

fn own_group() -> Option<(PathBuf, PathBuf)> {
    let memberships = read("/proc/self/cgroup").unwrap_or_default();
    let mounts = read("/proc/self/mountinfo").unwrap_or_default();
    group_of(&memberships, &mounts)
}

/// Where the version 2 hierarchy is mounted, and the directory of this process's group in it.
fn group_of(memberships: &str, mounts: &str) -> Option<(PathBuf, PathBuf)> {
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
    Some((PathBuf::from(mount), directory))
}

#[cfg(test)]
mod tests {
    use super::group_of;
    use std::path::Path;

    #[test]
    fn the_group_below_its_mount() {
        let mounts =
            "25 1 0:22 / /sys rw - sysfs sysfs rw\n35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(
            group_of("0::/user.slice/user-1000.slice\n", mounts).map(|found| found.1).as_deref(),
            Some(Path::new("/sys/fs/cgroup/user.slice/user-1000.slice"))
        );
        assert_eq!(
            group_of("12:pids:/x\n0::/\n", mounts).map(|found| found.1).as_deref(),
            Some(Path::new("/sys/fs/cgroup"))
        );
        assert_eq!(group_of("0::/", "25 1 0:22 / /sys rw - sysfs sysfs rw"), None);
    }
}
