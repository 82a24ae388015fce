//! The Landlock domain of the landlock tier: what the broker's workers may do, and around that what the command may.
//!
//! The rights of a thread can be narrowed, never widened, and a thread may look only into processes of its own domain or of
//! those inside it. So one thread enters the wider domain, where the roots are writable; the workers and process 1 are made
//! by it; and the command enters a narrower one inside, where they aren't.

use super::seam::BrokerFactory;
use super::spawn::supervisor;
use crate::compile::landlock::RESOLVE_UNIX;
use crate::enforced::StartError;
use crate::plan::{Act, Insistence, Plan, Step};
use crate::prepare::{c_path, c_string, names};
use crate::sys::{Errno, fs, own, security};
use ringfence_model::AbsPath;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Runs `make` on a thread that has entered the domain of `plan`, after the broker has made its workers there. Also gives
/// the command's own ruleset, which is among the descriptors of what `make` starts.
pub(super) fn within<T: Send>(
    plan: &Plan,
    broker: Option<&mut (dyn BrokerFactory + 'static)>,
    make: impl FnOnce() -> Result<T, StartError> + Send,
) -> Result<(T, OwnedFd), StartError> {
    std::thread::scope(|scope| {
        let inside = std::thread::Builder::new().name("ringfence-domain".to_owned()).spawn_scoped(scope, move || {
            let command = enter(plan)?;
            if let Some(broker) = broker {
                broker
                    .enlist()
                    .map_err(|cause| StartError::Supervisor { what: "start the broker".to_owned(), cause })?;
            }
            Ok((make()?, command))
        });
        let inside = inside.map_err(|cause| StartError::Supervisor { what: "start a thread".to_owned(), cause })?;
        inside.join().unwrap_or_else(|_| {
            let cause = io::Error::other("the thread that starts the sandbox ended early");
            Err(StartError::Supervisor { what: "start the sandbox".to_owned(), cause })
        })
    })
}

/// Enters: the command's rules, and besides them every right below the roots and writing to a process's own entries under
/// `/proc`, which the broker judges. The command's rules alone are what is given back: each path is opened once for both.
fn enter(plan: &Plan) -> Result<OwnedFd, StartError> {
    let mut rulesets: Option<[OwnedFd; 2]> = None;
    let mut roots = Vec::new();
    let mut handled = 0;
    for step in &plan.steps {
        let failed = |what: &str, errno: Errno| StartError::Step {
            step: Box::new(step.clone()),
            what: what.to_owned(),
            remedy: String::new(),
            cause: errno.into(),
        };
        match &step.act {
            Act::Landlock { files, network, scopes, .. } => {
                let all = names::files(files)?;
                // Sockets that are listed may be made anew: the broker reaches them then, and judges what it reaches.
                handled = all & !rights_of(&[RESOLVE_UNIX]);
                // Every port is the broker's, and none the command's.
                let (network, scopes) = (names::network(network)?, names::scopes(scopes)?);
                let make = |files, network| security::landlock_create(files, network, scopes).map(own);
                let made = make(handled, 0).and_then(|wide| Ok([wide, make(all, network)?]));
                rulesets = Some(made.map_err(|errno| failed("make a Landlock ruleset", errno))?);
            }
            Act::WritableRoot { path, id } => {
                let at = open(&c_path(path)?).map_err(|errno| failed("open a root", errno))?;
                let stat = fs::fstat(at.as_raw_fd()).map_err(|errno| failed("look at a root", errno))?;
                #[allow(clippy::unnecessary_cast)]
                if stat.st_dev as u64 != id.device || stat.st_ino as u64 != id.inode {
                    return Err(failed("find the root that was meant", Errno(libc::ESTALE)));
                }
                roots.push((step, at));
            }
            Act::LandlockRule { path, rights } => {
                let Some(rulesets) = &rulesets else { continue };
                let rights = names::files(rights)?;
                let [_, command] = rulesets;
                let into = if rights == rights_of(&[RESOLVE_UNIX]) { std::slice::from_ref(command) } else { rulesets };
                let granted = open(&c_path(path)?).and_then(|at| grant(into, &at, rights));
                lenient(step, granted).map_err(|errno| failed("add a Landlock rule", errno))?;
            }
            Act::LandlockSiblings { path, except, rights } => {
                let Some(rulesets) = &rulesets else { continue };
                let rights = names::files(rights)?;
                for entry in siblings(path, except) {
                    // What is gone by now needs no rule.
                    if let Ok(at) = open(&c_path(&entry)?) {
                        grant(rulesets, &at, rights).map_err(|errno| failed("add a Landlock rule", errno))?;
                    }
                }
            }
            _ => {}
        }
    }
    let Some([wide, command]) = rulesets else {
        return Err(supervisor("find the Landlock step of the plan", Errno(libc::EINVAL)));
    };
    // Device nodes can't be made by anybody.
    let all = handled & !rights_of(&["MAKE_CHAR", "MAKE_BLOCK", "IOCTL_DEV"]);
    let wide = [wide];
    for (step, at) in &roots {
        grant(&wide, at, all).map_err(|errno| StartError::Step {
            step: Box::new((*step).clone()),
            what: "add a Landlock rule".to_owned(),
            remedy: String::new(),
            cause: errno.into(),
        })?;
    }
    let further =
        [("/proc", ["WRITE_FILE", "TRUNCATE"].as_slice()), ("/dev/shm", SHARED_MEMORY), ("/dev/pts", TERMINALS)];
    for (path, rights) in further {
        let rights = rights_of(rights) & handled;
        if let Ok(at) = open(&c_string(path.as_bytes())?) {
            grant(&wide, &at, rights).map_err(|errno| supervisor("add a Landlock rule", errno))?;
        }
    }
    security::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|errno| supervisor("set `no_new_privs`", errno))?;
    let [wide] = wide;
    security::landlock_restrict(wide.as_raw_fd()).map_err(|errno| supervisor("enter a Landlock domain", errno))?;
    security::drop_capabilities().map_err(|errno| supervisor("drop capabilities", errno))?;
    Ok(command)
}

/// Shared memory: the broker lets files be made there, and opens for writing only those made inside.
const SHARED_MEMORY: &[&str] = &["READ_FILE", "WRITE_FILE", "TRUNCATE", "MAKE_REG", "REMOVE_FILE", "REFER"];

/// Terminals: the broker opens the caller's own and those made inside.
const TERMINALS: &[&str] = &["READ_FILE", "WRITE_FILE", "TRUNCATE", "IOCTL_DEV"];

fn rights_of(rights: &[&str]) -> u64 {
    names::files(rights).unwrap_or(0)
}

fn open(path: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    fs::openat(fs::CWD, path, libc::O_PATH | libc::O_CLOEXEC, 0).map(own)
}

fn grant(rulesets: &[OwnedFd], at: &OwnedFd, rights: u64) -> Result<(), Errno> {
    let stat = fs::fstat(at.as_raw_fd())?;
    // Rights on directories mean nothing on a file, and the kernel says so. That on sockets would hold for all in it.
    let directory = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let rights = if directory { rights & !rights_of(&[RESOLVE_UNIX]) } else { rights & rights_of(ON_FILES) };
    if rights == 0 {
        return Ok(());
    }
    rulesets.iter().try_for_each(|ruleset| security::landlock_path(ruleset.as_raw_fd(), rights, at.as_raw_fd()))
}

/// Rights that a file can have which is no directory.
const ON_FILES: &[&str] = &["EXECUTE", "WRITE_FILE", "READ_FILE", "TRUNCATE", "IOCTL_DEV", RESOLVE_UNIX];

/// Every entry of a directory but `except`; of directories above those, their entries instead. Links are left out: what
/// they lead to has an entry of its own.
fn siblings(path: &AbsPath, except: &[AbsPath]) -> Vec<AbsPath> {
    let mut all = Vec::new();
    let Ok(entries) = std::fs::read_dir(path) else { return all };
    for entry in entries.flatten() {
        let Ok(at) = path.join(entry.file_name()) else { continue };
        if except.contains(&at) || entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        if except.iter().any(|left_out| left_out.is_within(&at)) {
            all.extend(siblings(&at, except));
        } else {
            all.push(at);
        }
    }
    all
}

/// What is missing may be, where the step only should be held.
fn lenient(step: &Step, done: Result<(), Errno>) -> Result<(), Errno> {
    match done {
        Err(errno) if step.insistence == Insistence::Should && errno.is(libc::ENOENT) => Ok(()),
        other => other,
    }
}
