//! The names of a small directory, from one look into it: cheaper than asking for each of three dozen names that are hardly
//! ever there.

use std::collections::BTreeSet;
use std::path::Path;

/// All names of a directory, without regard to case: whoever is in it by another spelling is asked for by name.
#[derive(Debug)]
pub(super) struct Listing(BTreeSet<Vec<u8>>);

impl Listing {
    /// Of a directory whose names are all told at once; none where only asking for a name tells whether it is there: in a
    /// large one, on a file system that may hide names, or beside names whose case isn't plain.
    pub(super) fn of(directory: &Path) -> Option<Self> {
        read(directory)
    }

    /// Whether a name of one component is certainly not there.
    pub(super) fn lacks(&self, name: &Path) -> bool {
        let bytes = name.as_os_str().as_encoded_bytes();
        bytes.is_ascii() && !bytes.contains(&b'/') && !self.0.contains(&bytes.to_ascii_lowercase())
    }
}

/// Bytes of a directory, by its own account and as entries, up to which one look is cheaper than asking for the names.
#[cfg(target_os = "linux")]
const SMALL: usize = 4 << 10;

/// `f_type` of `statfs(2)` of file systems that list every name they know: ext4, XFS, Btrfs, tmpfs, overlayfs, F2FS.
#[cfg(target_os = "linux")]
const HONEST: [u64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0xf2f5_2010];

#[cfg(target_os = "linux")]
fn read(directory: &Path) -> Option<Listing> {
    use rustix::fs::{CWD, Mode, OFlags, RawDir, fstat, fstatfs, openat};
    let opened = openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    if fstat(&opened).ok()?.st_size > SMALL as i64 || !HONEST.contains(&(fstatfs(&opened).ok()?.f_type as u64)) {
        return None;
    }
    let mut buffer = [const { std::mem::MaybeUninit::<u8>::uninit() }; SMALL];
    let mut entries = RawDir::new(&opened, &mut buffer);
    let mut names = BTreeSet::new();
    let mut size = 0;
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let name = entry.file_name().to_bytes();
        // Each takes 19 bytes, its name with a NUL, and what rounds that up to 8.
        size += (name.len() + 27) & !7;
        if !name.is_ascii() || size > SMALL {
            return None;
        }
        names.insert(name.to_ascii_lowercase());
    }
    Some(Listing(names))
}

#[cfg(not(target_os = "linux"))]
fn read(_: &Path) -> Option<Listing> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_in_any_case_is_not_said_to_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".git", ".Claude", "src"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let Some(listing) = Listing::of(dir.path()) else { return };
        for there in [".git", ".GIT", ".claude", "SRC"] {
            assert!(!listing.lacks(Path::new(there)), "{there}");
        }
        assert!(listing.lacks(Path::new(".codex")));
        // Of what lies deeper nothing is known.
        assert!(!listing.lacks(Path::new(".codex/rules")));
    }

    #[test]
    fn a_name_that_may_fold_to_another_and_a_large_directory_tell_nothing() {
        let dir = tempfile::tempdir().unwrap();
        // The Kelvin sign is a `k` to a file system that ignores case.
        std::fs::write(dir.path().join(".\u{212a}iro"), "").unwrap();
        assert!(Listing::of(dir.path()).is_none());
        let dir = tempfile::tempdir().unwrap();
        for number in 0..600 {
            std::fs::write(dir.path().join(format!("file{number}")), "").unwrap();
        }
        assert!(Listing::of(dir.path()).is_none());
    }
}
