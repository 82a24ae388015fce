//! What a run left in a Git directory that git outside would later run or believe. With `git = "commit"` the sandbox lets
//! git work there, so a person is told before continuing.

use super::Session;
use ringfence_model::mode::GitAccess;
use ringfence_model::{AbsPath, Notice, Origin, Settings, WorldFacts};
use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Most of a to-do list that is looked at.
const MAX_TODO: u64 = 1 << 20;
/// Linked worktrees looked at.
const MAX_WORKTREES: usize = 256;

impl Session {
    /// What git outside would run or believe because of what was written inside; empty unless `git = "commit"`.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Notice> {
        leftovers(self.settings(), self.world())
    }
}

/// As [`Session::leftovers`], for a front end without a session.
#[must_use]
pub fn leftovers(settings: &Settings, world: &WorldFacts) -> Vec<Notice> {
    if settings.git.value != GitAccess::Commit {
        return Vec::new();
    }
    let found = world.roots.iter().flat_map(|root| &root.git);
    let mut dirs: Vec<AbsPath> = found.flat_map(|git| [git.git_dir.clone(), git.common_dir.clone()]).collect();
    dirs.sort();
    dirs.dedup();
    let mut notices: Vec<Notice> = dirs.iter().flat_map(of_git_dir).collect();
    // The working directory's own worktree is one of the common directory's too.
    let mut said = HashSet::new();
    notices.retain(|notice| said.insert((notice.text.clone(), notice.origin.clone())));
    notices
}

fn of_git_dir(dir: &AbsPath) -> Vec<Notice> {
    let mut notices = rebases(dir);
    let worktrees = fs::read_dir(dir.as_path().join("worktrees")).into_iter().flatten().flatten();
    for worktree in worktrees.take(MAX_WORKTREES).filter_map(|entry| AbsPath::new(entry.path()).ok()) {
        notices.extend(rebases(&worktree));
    }
    let replaced = fs::read_dir(dir.as_path().join("refs/replace")).into_iter().flatten().flatten().next();
    if replaced.is_some() {
        notices.push(notice(
            "git-replace",
            "objects are replaced (`refs/replace`): git shows other content than the commits hold".to_owned(),
            dir,
            "list them with `git replace --list`, remove them with `git replace -d`",
        ));
    }
    notices
}

/// The programs that an unfinished rebase would run. Its list has a copy, from which it is restored: one notice says both.
fn rebases(dir: &AbsPath) -> Vec<Notice> {
    let list = |name: &str| exec_lines(&dir.as_path().join("rebase-merge").join(name));
    let mut lines = list("git-rebase-todo");
    for line in list("git-rebase-todo.backup") {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let said = lines.iter().map(|line| {
        let shown = ringfence_model::text::escape_bytes(line);
        notice(
            "git-rebase-exec",
            format!("an unfinished rebase would run `{shown}` outside the sandbox when it is continued"),
            dir,
            "look at it with `git rebase --edit-todo`, or end it with `git rebase --abort`",
        )
    });
    said.collect()
}

/// The lines of a to-do list that run a program.
fn exec_lines(file: &Path) -> Vec<Vec<u8>> {
    let is_file = fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file());
    let mut text = Vec::new();
    if !is_file || fs::File::open(file).is_ok_and(|file| file.take(MAX_TODO).read_to_end(&mut text).is_err()) {
        return Vec::new();
    }
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| [&b"exec "[..], b"exec\t", b"x ", b"x\t"].iter().any(|start| line.starts_with(start)))
        .map(<[u8]>::to_vec)
        .take(20)
        .collect()
}

fn notice(code: &str, text: String, dir: &AbsPath, hint: &str) -> Notice {
    Notice {
        code: code.to_owned(),
        text,
        origin: Some(Origin::host(format!("Git directory {}", dir.display()))),
        hint: Some(hint.to_owned()),
    }
}
