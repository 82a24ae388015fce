//! The host's `bwrap`: found at fixed places, trusted only if root alone can change it, and tried.

use super::Finding;
use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use crate::host::{BwrapFacts, Tried};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Never looked up on `PATH`: a workspace directory may be on it.
const PLACES: &[&str] = &["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap"];
const SET_USER_ID: u32 = 0o4000;

pub(super) fn probe(around: &Surroundings) -> (Option<BwrapFacts>, Finding) {
    const SERVES: &str = "the bwrap tier, for hosts where only it may make namespaces";
    let Some(found) = PLACES.iter().map(Path::new).find(|path| path.exists()) else {
        let tried = Tried::Fails {
            why: "no bwrap at its usual places".into(),
            remedy: Some("sudo apt-get install bubblewrap   (or your distribution's package of that name)".into()),
        };
        return (None, Finding::new("bwrap", tried, &PLACES.join(", "), SERVES));
    };
    let source = format!("stat(), {} --version, {} --unshare-all", found.display(), found.display());
    let refused = |why: String, remedy: Option<String>| {
        (None, Finding::new("bwrap", Tried::Fails { why, remedy }, &source, SERVES))
    };
    let path = match std::fs::canonicalize(found) {
        Ok(path) => path,
        Err(error) => return refused(format!("{}: {error}", found.display()), None),
    };
    if let Some(weak) = first_not_roots(&path) {
        let fix = format!("sudo chown root:root {0} && sudo chmod go-w {0}", weak.display());
        return refused(format!("{} can be changed by others than root", weak.display()), Some(fix));
    }
    let setuid = std::fs::metadata(&path).is_ok_and(|meta| meta.mode() & SET_USER_ID != 0);
    let version = quiet(&path).arg("--version").stdout(Stdio::piped()).output();
    let version = match version {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("bubblewrap ").to_owned(),
        Err(error) => return refused(format!("{} --version: {error}", path.display()), None),
    };
    // The program that is run inside is bwrap itself, so that nothing else need exist.
    // A user namespace is asked for by name: as root `--unshare-all` goes without, and there is none to enter.
    let args = ["--unshare-user", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "--die-with-parent", "--"];
    let attempt = quiet(&path).args(args).arg(&path).arg("--version").stderr(Stdio::piped()).output();
    let usable = match attempt {
        Ok(output) if output.status.success() => Tried::Works,
        Ok(output) => Tried::Fails {
            why: String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it failed").to_owned(),
            remedy: advise(Need::Namespaces, libc::EPERM, around),
        },
        Err(error) => Tried::Fails { why: error.to_string(), remedy: None },
    };
    let detail = format!("{} {version}{}", path.display(), if setuid { ", set-user-id" } else { "" });
    let finding = Finding::new("bwrap", usable.clone(), &source, SERVES).detail(detail);
    (Some(BwrapFacts { path, version, setuid, usable }), finding)
}

/// Where a trusted one is, without trying it: the start finds out.
pub(super) fn quick() -> Option<BwrapFacts> {
    let found = PLACES.iter().map(Path::new).find(|path| path.exists())?;
    let path = std::fs::canonicalize(found).ok().filter(|path| first_not_roots(path).is_none())?;
    let setuid = std::fs::metadata(&path).is_ok_and(|meta| meta.mode() & SET_USER_ID != 0);
    Some(BwrapFacts { path, version: String::new(), setuid, usable: Tried::Works })
}

fn quiet(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The file or the first directory above it that others than root can change.
fn first_not_roots(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find(|part| std::fs::symlink_metadata(part).map_or(true, |meta| meta.uid() != 0 || meta.mode() & 0o022 != 0))
        .map(Path::to_path_buf)
}
