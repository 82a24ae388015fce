//! The processes of a run as `/proc` shows them: how many, and how much memory they have.

use std::collections::HashSet;
use std::fs;

/// Every process below `first`, which isn't counted itself, and their threads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::linux) struct Tree {
    pub(in crate::linux) processes: Vec<u32>,
    pub(in crate::linux) threads: u64,
}

/// A process that ends while it is looked for leaves its children to one that may have been looked at already, so the way
/// is gone again until nobody new turns up, at most this often.
const ROUNDS: usize = 4;

/// Finds them.
pub(in crate::linux) fn below(first: u32) -> Tree {
    let mut known: HashSet<u32> = HashSet::new();
    for _ in 0..ROUNDS {
        let before = known.len();
        let mut waiting = vec![first];
        let mut seen: HashSet<u32> = HashSet::from([first]);
        while let Some(parent) = waiting.pop() {
            for child in children(parent) {
                if seen.insert(child) {
                    known.insert(child);
                    waiting.push(child);
                }
            }
        }
        if known.len() == before {
            break;
        }
    }
    let mut tree = Tree::default();
    for process in known {
        if let Some(threads) = threads(process) {
            tree.threads += threads;
            tree.processes.push(process);
        }
    }
    tree
}

/// The children of all threads of a process.
fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| list.split_whitespace().filter_map(|text| text.parse().ok()).collect::<Vec<u32>>();
    lists.flat_map(numbers).collect()
}

/// How many threads a process has; none if it is gone. The kernel counts them as links of the directory of its threads.
fn threads(process: u32) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let links = fs::metadata(format!("/proc/{process}/task")).ok()?.nlink();
    // A process that has ended and isn't reaped still has its number.
    Some(links.saturating_sub(2).max(1))
}

/// Bytes that the processes below `first` have. What several share counts once, if the sum would be above `most` otherwise.
pub(super) fn memory(first: u32, most: u64) -> u64 {
    let tree = below(first);
    let sum = |of: fn(u32) -> u64| tree.processes.iter().map(|process| of(*process)).fold(0, u64::saturating_add);
    // The exact sum makes the kernel walk every page table: only where the rough one, which counts shared pages as often
    // as they are shared, says too much.
    let rough = sum(resident);
    if rough > most { sum(proportional) } else { rough }
}

/// Bytes of a process's own memory and of shared memory that it has touched.
fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    fields(&text, &["RssAnon:", "RssShmem:"])
}

/// The same with what is shared divided among those who share it.
fn proportional(process: u32) -> u64 {
    match fs::read_to_string(format!("/proc/{process}/smaps_rollup")) {
        Ok(text) => fields(&text, &["Pss_Anon:", "Pss_Shmem:"]),
        // Some kernels have no such file: then the rough figure counts.
        Err(_) => resident(process),
    }
}

/// The sum of these fields, which are in KiB.
fn fields(text: &str, names: &[&str]) -> u64 {
    let value = |line: &str| {
        let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    text.lines().filter_map(value).fold(0, |sum, kib| sum.saturating_add(kib.saturating_mul(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn fields_are_added_by_name() {
        let text = "VmRSS:\t   99 kB\nRssAnon:\t   12 kB\nRssFile:\t  900 kB\nRssShmem:\t    4 kB\n";
        assert_eq!(fields(text, &["RssAnon:", "RssShmem:"]), 16 << 10);
        assert_eq!(fields("RssAnon: many kB\n", &["RssAnon:"]), 0);
    }

    #[test]
    fn a_tree_is_found_whole_and_threads_are_counted() {
        let mut top = Command::new("sh");
        top.args(["-c", "(sleep 5 & sleep 5 & echo up; wait) & wait"]).stdout(Stdio::piped());
        let mut top = top.spawn().unwrap();
        let mut said = [0; 3];
        std::io::Read::read_exact(top.stdout.as_mut().unwrap(), &mut said).unwrap();
        let tree = below(top.id());
        assert_eq!((tree.processes.len(), tree.threads), (3, 3), "{tree:?}");
        assert!(memory(top.id(), 1 << 40) <= 1 << 40);
        assert!(memory(top.id(), 1) > 1);
        for process in tree.processes {
            let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
        }
        let _ = top.kill();
        let _ = top.wait();
    }
}
