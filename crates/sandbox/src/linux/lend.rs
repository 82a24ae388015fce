//! The user namespace that `bwrap` may make where others may not: made by it, held open by a child of it that waits, and
//! entered by process 1, which makes everything else itself, as in the namespaces tier.

use crate::compile::bwrap_tier::{ARGUMENTS, STEP};
use crate::enforced::StartError;
use crate::plan::{Act, Plan};
use crate::sys::own;
use ringfence_model::Tier;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long mapping may take on a busy machine.
const MAPPED_WITHIN: Duration = Duration::from_secs(5);

/// A user namespace made by the plan's `bwrap`.
pub(super) fn user_namespace(plan: &Plan) -> Result<OwnedFd, StartError> {
    let program = plan.steps.iter().find_map(|step| match &step.act {
        Act::Native { kind, lines } if kind == STEP => lines.first(),
        _ => None,
    });
    let failed = |what: &str, cause: io::Error| StartError::Tier {
        tier: Tier::Bwrap,
        what: what.to_owned(),
        remedy: "`ringfence doctor` says what `bwrap` lacks here".to_owned(),
        cause,
    };
    let Some(program) = program else {
        return Err(StartError::Foreign { why: "the plan names no `bwrap`".to_owned() });
    };
    // Its absolute path, nothing of our environment, and no words but our own.
    let child = Command::new(Path::new(program.as_os_str()))
        .args(ARGUMENTS)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|cause| failed("start `bwrap`", cause))?;
    let lent = (|| {
        let mut said = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
        let inside = read_pid(&mut said)?;
        await_maps(inside)?;
        let mounts = File::open(format!("/proc/{inside}/ns/mnt"))?;
        owner(&mounts)
    })();
    drop(child.stdin.take());
    let _ = child.kill();
    let _ = child.wait();
    lent.map_err(|cause| failed("make a user namespace with `bwrap`", cause))
}

/// Users and groups are mapped by the process itself, some time after its number is known.
fn await_maps(inside: u32) -> io::Result<()> {
    let end = Instant::now() + MAPPED_WITHIN;
    loop {
        let mapped = |name: &str| std::fs::read(format!("/proc/{inside}/{name}")).map(|text| !text.is_empty());
        if mapped("uid_map")? && mapped("gid_map")? {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(io::Error::other("users and groups weren't mapped in time"));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The process inside, from `{"child-pid": 123, …}`.
fn read_pid(said: &mut impl Read) -> io::Result<u32> {
    let mut text = Vec::new();
    let mut byte = [0; 1];
    while text.len() < 4096 && said.read(&mut byte)? == 1 {
        text.extend_from_slice(&byte);
        if let Some(pid) = parse_pid(&text) {
            return Ok(pid);
        }
    }
    Err(io::Error::other("it made no process"))
}

fn parse_pid(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let rest = text.split_once("\"child-pid\"")?.1.split_once(':')?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

/// The user namespace that owns a namespace (`NS_GET_USERNS`): where `bwrap` made two, that of the mounts is the outer one.
fn owner(namespace: &File) -> io::Result<OwnedFd> {
    const NS_GET_USERNS: u64 = 0xb701;
    crate::sys::process::ioctl_plain(namespace.as_raw_fd(), NS_GET_USERNS).map(own).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_once_its_number_is_whole() {
        assert_eq!(parse_pid(b"{\n    \"child-pid\": 12"), None);
        assert_eq!(parse_pid(b"{\n    \"child-pid\": 123\n"), Some(123));
        assert_eq!(parse_pid(b"{ \"child-pid\": 7, \"mnt-namespace\": 1 }"), Some(7));
        assert_eq!(parse_pid(b"\"child-pid\": x "), None);
    }
}
