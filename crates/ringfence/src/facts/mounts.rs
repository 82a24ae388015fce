//! Mounts, where a file system is mounted in more than one place, so that a path has further names.

use ringfence_model::AbsPath;
use ringfence_model::facts::MountFacts;

/// Every mount that can be seen; none where nothing in `roots` (`everywhere`: nothing at all) is seen through two mounts, as
/// almost everywhere.
#[cfg(target_os = "linux")]
pub(super) fn repeated(roots: &[&AbsPath], everywhere: bool) -> Vec<MountFacts> {
    if roots.is_empty() && !everywhere {
        return Vec::new();
    }
    let text = linux::read().unwrap_or_default();
    // Most lines are never looked at any closer.
    let repeated = linux::repeated(&text);
    let matters =
        |point: &AbsPath| everywhere || roots.iter().any(|root| point.is_within(root) || root.is_within(point));
    let those = repeated.iter().filter(|(_, mount)| matters(&mount.point)).map(|(_, mount)| mount.device.as_str());
    if linux::twice(those).is_empty() {
        return Vec::new();
    }
    linux::parse(&text).into_iter().filter(linux::is_seen).map(|(_, mount)| mount).collect()
}

/// Elsewhere nothing is mounted over and over.
#[cfg(not(target_os = "linux"))]
pub(super) fn repeated(_: &[&AbsPath], _: bool) -> Vec<MountFacts> {
    Vec::new()
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{AbsPath, MountFacts};
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    use std::ffi::OsStr;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;

    /// With the kernel's number of the mount.
    type Numbered = (u64, MountFacts);

    /// In few calls: the kernel writes the list anew for each.
    pub(super) fn read() -> std::io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 << 10);
        std::fs::File::open("/proc/self/mountinfo")?.read_to_end(&mut text)?;
        Ok(text)
    }

    pub(super) fn parse(text: &[u8]) -> Vec<Numbered> {
        text.split(|byte| *byte == b'\n').filter_map(line).collect()
    }

    fn line(line: &[u8]) -> Option<Numbered> {
        let mut fields = line.split(|byte| *byte == b' ');
        let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = String::from_utf8(fields.nth(1)?.to_vec()).ok()?;
        let mut path = || AbsPath::new(OsStr::from_bytes(&unescape(fields.next()?))).ok();
        Some((number, MountFacts { device, root: path()?, point: path()? }))
    }

    /// Blanks and the like are written as three octal digits.
    fn unescape(field: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((first, tail)) = rest.split_first() {
            let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
                Some(byte) => {
                    out.push(byte);
                    rest = tail.get(3..).unwrap_or_default();
                }
                None => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        out
    }

    /// Mounts of devices that are mounted more than once.
    pub(super) fn repeated(text: &[u8]) -> Vec<Numbered> {
        let lines = || text.split(|byte| *byte == b'\n');
        let twice = twice(lines().filter_map(device));
        lines().filter(|line| device(line).is_some_and(|device| twice.contains(&device))).filter_map(line).collect()
    }

    fn device(line: &[u8]) -> Option<&str> {
        std::str::from_utf8(line.split(|byte| *byte == b' ').nth(2)?).ok()
    }

    /// Those that are there twice, or more often.
    pub(super) fn twice<'m>(devices: impl Iterator<Item = &'m str>) -> Vec<&'m str> {
        let mut devices: Vec<&str> = devices.collect();
        devices.sort_unstable();
        devices.windows(2).filter(|pair| pair.first() == pair.last()).filter_map(|pair| pair.first().copied()).collect()
    }

    /// Whether the mount is what its place leads to: a later one may cover it. Where the kernel doesn't say, it counts.
    pub(super) fn is_seen((number, mount): &Numbered) -> bool {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statx(CWD, mount.point.as_path(), flags, StatxFlags::MNT_ID) {
            Ok(found) if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 => found.stx_mnt_id == *number,
            Ok(_) => true,
            // What can't be reached from here can't be reached from inside.
            Err(error) => error != rustix::io::Errno::NOENT,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_line_is_read_with_its_blanks_and_a_broken_one_is_not() {
            let text = b"36 35 98:0 /mnt1\\040a /mnt2\\134b rw,noatime master:1 - ext3 /dev/root rw\n\
                         37 35 0:5 net:[1] /run/x rw - nsfs nsfs rw\n38\n";
            let found = parse(text);
            assert_eq!(found.len(), 1, "{found:?}");
            let (number, mount) = &found[0];
            assert_eq!((*number, mount.device.as_str()), (36, "98:0"));
            assert_eq!(
                (mount.root.as_path(), mount.point.as_path()),
                (std::path::Path::new("/mnt1 a"), std::path::Path::new("/mnt2\\b"))
            );
            assert!(repeated(text).is_empty());
            let again = [&text[..], b"39 35 98:0 /x /mnt3 rw - ext3 /dev/root rw\n"].concat();
            assert_eq!(repeated(&again).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [36, 39]);
            assert_eq!(twice(["b", "a", "b"].into_iter()), ["b"]);
        }
    }
}
