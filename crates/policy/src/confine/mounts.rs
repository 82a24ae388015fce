//! The other names that a path has through further mounts of the same file system: what is protected or not to be read is
//! so by each of them.

use ringfence_model::AbsPath;
use ringfence_model::facts::MountFacts;

/// The mount that `path` lies on: the innermost, and of two on one place the later.
fn owner<'m>(mounts: &'m [MountFacts], path: &AbsPath) -> Option<&'m MountFacts> {
    mounts.iter().filter(|mount| path.is_within(&mount.point)).max_by_key(|mount| mount.point.depth())
}

/// Where else `path` is seen, whether or not it exists. A mount of something inside it counts as a whole.
pub(super) fn elsewhere(mounts: &[MountFacts], path: &AbsPath) -> Vec<AbsPath> {
    let Some(own) = owner(mounts, path) else { return Vec::new() };
    let Some(inner) = path.below(&own.point).and_then(|rest| own.root.join(rest).ok()) else { return Vec::new() };
    let mut found = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.device == own.device) {
        let seen = match inner.below(&mount.root) {
            Some(rest) => mount.point.join(rest).ok(),
            None => mount.root.is_within(&inner).then(|| mount.point.clone()),
        };
        // What another mount covers isn't seen there.
        found.extend(
            seen.filter(|seen| seen != path && owner(mounts, seen).is_some_and(|owner| std::ptr::eq(owner, mount))),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(device: &str, root: &str, point: &str) -> MountFacts {
        let abs = |path: &str| AbsPath::new(path).expect(path);
        MountFacts { device: device.to_owned(), root: abs(root), point: abs(point) }
    }

    #[test]
    fn fs_08_each_mount_of_the_same_place_is_found_and_none_of_another() {
        let mounts = [
            mount("8:1", "/", "/"),
            mount("8:2", "/", "/data"),
            mount("8:1", "/w/.git", "/tmp/alias"),
            mount("8:1", "/w/.git/hooks", "/tmp/hooks"),
            mount("8:1", "/w", "/srv/w"),
            mount("8:2", "/w", "/tmp/other"),
            mount("0:9", "/", "/srv/w/deep"),
            mount("8:1", "/w2", "/tmp/near"),
        ];
        let seen = |path: &str| -> Vec<String> {
            let path = AbsPath::new(path).expect(path);
            elsewhere(&mounts, &path).iter().map(AbsPath::display).collect()
        };
        assert_eq!(seen("/w/.git"), ["/tmp/alias", "/tmp/hooks", "/srv/w/.git"]);
        assert_eq!(seen("/srv/w/.git"), ["/w/.git", "/tmp/alias", "/tmp/hooks"]);
        assert_eq!(seen("/w/.codex"), ["/srv/w/.codex"]);
        assert_eq!(seen("/w/deep/x"), [""; 0], "covered by another mount there");
        assert_eq!(seen("/data/w/x"), ["/tmp/other/x"]);
        assert_eq!(seen("/etc"), [""; 0]);
        assert!(elsewhere(&[], &AbsPath::root()).is_empty());
    }
}
