//! Landlock: its ABI, what that version holds, and the right for pathname unix sockets, which is believed only after a
//! connection was refused.

use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, errno_name, tried};
use crate::host::Tried;
use crate::sys::security;
use crate::sys::trial::{self, Handled};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

/// What each ABI added.
const ADDED: &[(u32, &str)] = &[
    (1, "files"),
    (2, "renaming and linking"),
    (3, "truncating"),
    (4, "TCP ports"),
    (5, "device ioctls"),
    (6, "signals and abstract sockets"),
    (7, "audit records"),
    (8, "whole thread groups"),
    (UNIX_ABI, "pathname unix sockets"),
    (10, "UDP ports, quiet audit records"),
    (11, "no new privileges with the rules"),
];

/// Oldest ABI with the right for unix sockets.
pub(super) const UNIX_ABI: u32 = 9;

pub(super) fn probe(around: &Surroundings) -> (u32, Tried, Vec<Finding>) {
    let source = "landlock_create_ruleset(LANDLOCK_CREATE_RULESET_VERSION)";
    let serves = "writes and reads, under every tier's mounts and alone in the landlock tier";
    let (abi, finding) = match trial::landlock_abi() {
        Ok(abi) => {
            let holds: Vec<_> = ADDED.iter().filter(|(since, _)| *since <= abi).map(|(_, what)| *what).collect();
            let detail = format!("ABI {abi}: {}", holds.join(", "));
            let restricts = tried(restrict, |_, errno| advise(Need::Landlock, errno, around));
            let abi = if restricts.works() { abi } else { 0 };
            (abi, Finding::new("landlock", restricts, source, serves).detail(detail))
        }
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(0);
            let tried = Tried::Fails {
                why: format!("landlock_create_ruleset(): {}", errno_name(errno)),
                remedy: advise(Need::Landlock, errno, around),
            };
            (0, Finding::new("landlock", tried, source, serves))
        }
    };
    let unix = if abi == 0 { Tried::Untried } else { unix_sockets() };
    let second = Finding::new(
        "landlock-unix-sockets",
        unix.clone(),
        "landlock_create_ruleset(LANDLOCK_ACCESS_FS_RESOLVE_UNIX), connect()",
        "unix sockets made outside; without it the broker holds them",
    );
    (abi, unix, vec![finding, second])
}

/// In a child: a ruleset that allows nothing new is accepted.
fn restrict() -> trial::Attempt {
    const CALL: &str = "landlock_create_ruleset(LANDLOCK_ACCESS_FS_WRITE_FILE)";
    let ruleset = trial::landlock_create_ruleset(Handled { fs: 2, ..Handled::default() })
        .map_err(|error| trial::Failed { call: CALL, errno: error.raw_os_error().unwrap_or(0) })?;
    trial::no_new_privs()?;
    trial::landlock_restrict_self(ruleset.as_raw_fd())
}

fn unix_sockets() -> Tried {
    let not_there =
        |why: String| Tried::Fails { why, remedy: Some("Linux with Landlock ABI 9 or later has it".into()) };
    let handled = Handled { fs: security::RESOLVE_UNIX, ..Handled::default() };
    let ruleset = match trial::landlock_create_ruleset(handled) {
        Ok(ruleset) => ruleset,
        Err(error) => {
            let name = errno_name(error.raw_os_error().unwrap_or(0));
            return not_there(format!("landlock_create_ruleset(LANDLOCK_ACCESS_FS_RESOLVE_UNIX): {name}"));
        }
    };
    // The bit may mean something else on some kernel: only a refused connection counts.
    let Ok(listening) = Listening::new() else {
        return not_there("no directory for a socket to try with".into());
    };
    let Some(address) = trial::unix_address(listening.path.as_os_str().as_bytes()) else {
        return not_there("the temporary directory's path is too long for a socket".into());
    };
    let attempt = || {
        trial::no_new_privs()?;
        trial::landlock_restrict_self(ruleset.as_raw_fd())?;
        match trial::connect_unix(&address) {
            Err(failed) if failed.errno == libc::EACCES => Ok(()),
            Err(failed) => Err(failed),
            Ok(()) => Err(trial::Failed { call: "connect(AF_UNIX) was not refused", errno: 0 }),
        }
    };
    tried(attempt, |_, _| Some("the broker holds unix sockets instead".into()))
}

/// A socket in a directory of its own, gone again when dropped.
struct Listening {
    directory: std::path::PathBuf,
    path: std::path::PathBuf,
    _listener: UnixListener,
}

impl Listening {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let unique = format!(
            "ringfence-probe-{}-{}",
            std::process::id(),
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos())
        );
        let directory = std::env::temp_dir().join(unique);
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let path = directory.join("s");
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self { directory, path, _listener: listener }),
            Err(error) => {
                let _ = std::fs::remove_dir(&directory);
                Err(error)
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir(&self.directory);
    }
}
