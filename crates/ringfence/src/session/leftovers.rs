//! What a run left in a Git directory that git outside would later run or believe. With `git = "commit"` the sandbox lets
//! git work there, so a person is told before continuing.

use super::Session;
use ringfence_model::mode::GitAccess;
use ringfence_model::{AbsPath, Notice, Origin, Settings, WorldFacts};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Most of a to-do list that is looked at.
const MAX_TODO: u64 = 1 << 20;

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
    dirs.iter().flat_map(of_git_dir).collect()
}

fn of_git_dir(dir: &AbsPath) -> Vec<Notice> {
    let mut notices = Vec::new();
    for todo in ["rebase-merge/git-rebase-todo", "rebase-merge/git-rebase-todo.backup"] {
        let file = dir.as_path().join(todo);
        for line in exec_lines(&file) {
            let shown = ringfence_model::text::escape_bytes(&line);
            notices.push(notice(
                "git-rebase-exec",
                format!("an unfinished rebase would run `{shown}` outside the sandbox when it is continued"),
                dir,
                "look at it with `git rebase --edit-todo`, or end it with `git rebase --abort`",
            ));
        }
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
