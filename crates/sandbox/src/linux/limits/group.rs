//! A control group of version 2 for one run: the kernel counts memory and processes of the whole tree.

use crate::plan::{Act, Plan};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How groups are called: by the process that made them, so that one whose maker was killed is known as left over.
const PREFIX: &str = "ringfence-";

/// A group; it goes with this value, when nobody is in it any more.
///
/// Process 1 is in it only until the command is: it shares the supervisor's memory, and the kernel ends everybody who
/// shares the memory of what it ends.
#[derive(Debug)]
pub(in crate::linux) struct Group {
    directory: PathBuf,
    memory: Option<u64>,
    processes: Option<u64>,
    /// Where process 1 came from.
    home: OnceLock<PathBuf>,
}

impl Group {
    /// The group that a plan asks for.
    pub(in crate::linux) fn of(plan: &Plan) -> io::Result<Option<Self>> {
        plan.steps
            .iter()
            .find_map(|step| match &step.act {
                Act::ControlGroup { parent, memory, processes } => {
                    Some(Self::make(parent.as_path(), *memory, *processes))
                }
                _ => None,
            })
            .transpose()
    }

    fn make(parent: &Path, memory: Option<u64>, processes: Option<u64>) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        sweep(parent);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&directory)?;
        let group = Self { directory, memory, processes, home: OnceLock::new() };
        if let Some(count) = processes {
            group.write("pids.max", &count.saturating_add(1).to_string())?;
        }
        Ok(group)
    }

    /// Puts process 1 into it, and all it will start.
    pub(in crate::linux) fn place(&self, pid: i32) -> io::Result<()> {
        let home = crate::probe::control_group_of(pid).ok_or_else(|| io::Error::other("process 1 is in no group"))?;
        let _ = self.home.set(home);
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Takes process 1 out again when the command is in it, and lets the limits hold for what is left.
    pub(super) fn close(&self, pid: i32) -> io::Result<()> {
        if let Some(home) = self.home.get() {
            write(&home.join("cgroup.procs"), &pid.to_string())?;
        }
        if let Some(count) = self.processes {
            self.write("pids.max", &count.to_string())?;
        }
        if let Some(bytes) = self.memory {
            // What goes to swap is memory too. Neither file is there without swap, or on old kernels.
            let _ = self.write("memory.swap.max", "0");
            let _ = self.write("memory.oom.group", "1");
            self.write("memory.max", &bytes.to_string())?;
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        write(&self.directory.join(file), text)
    }

    /// Whether the kernel ended something in it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.event("memory.events", "oom_kill") > 0
    }

    /// How often a process couldn't be started since there were too many.
    pub(super) fn refused_processes(&self) -> u64 {
        self.event("pids.events", "max")
    }

    fn event(&self, file: &str, name: &str) -> u64 {
        count(&fs::read_to_string(self.directory.join(file)).unwrap_or_default(), name)
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was killed a moment ago may not be quite gone.
        for _ in 0..20 {
            match fs::remove_dir(&self.directory) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                _ => return,
            }
        }
    }
}

/// Removes groups whose maker was killed. One that is still in use can't be removed.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if maker.is_some_and(|maker| !Path::new(&format!("/proc/{maker}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The number behind a name in a file of events.
fn count(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_name() {
        let text = "low 0\nhigh 1\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n";
        assert_eq!((count(text, "max"), count(text, "oom_kill"), count(text, "oom_kil")), (7, 1, 0));
    }

    #[test]
    fn what_a_killed_maker_left_is_swept_and_no_more() {
        let parent = tempfile::tempdir().unwrap();
        let own = format!("{PREFIX}{}-9", std::process::id());
        // No process has a number beyond the kernel's bound.
        for name in ["ringfence-4194999-0", own.as_str(), "other", "ringfence-x-1"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        sweep(parent.path());
        let mut left: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut wanted = [own.as_str(), "other", "ringfence-x-1"].map(std::ffi::OsString::from);
        wanted.sort();
        assert_eq!(left, wanted);
    }
}
