//! A file system in memory, for one bench. `/dev/shm` won't do: a sandbox has a `/dev` of its own.

use std::path::Path;
use std::process::{Command, Stdio};

/// Mounted over a scratch directory, and unmounted in the end.
pub struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// None where this process may not mount.
    pub fn mount() -> std::io::Result<Option<Self>> {
        let directory = tempfile::tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "mode=0755", "none"]).arg(directory.path()).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        Ok(mounted.then_some(Self(directory)))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
