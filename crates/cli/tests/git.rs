//! `git = "commit"` with the real git, in every tier: what a person does with a repository works, and what git outside would
//! run because of it is named.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, have, skip};
use std::process::Command;

const TIERS: [&str; 3] = ["namespaces", "bwrap", "landlock"];

/// A repository with a remote, a second worktree and two commits.
fn repository() -> Place {
    let place = Place::new();
    std::fs::remove_dir_all(place.path("ws/.git")).unwrap();
    place.write("home/.gitconfig", "[user]\nname = a\nemail = a@b\n[init]\ndefaultBranch = main\n");
    let script = "git init -q --bare ../remote.git && git init -q && git remote add origin ../remote.git && echo 1 > a && git add a \
                  && git commit -qm one && git push -q origin main && echo 2 > a && git commit -qam two && git push -q origin main \
                  && git worktree add -q ../linked -b linked";
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(place.path("ws")).env("HOME", place.path("home"));
    assert!(command.status().unwrap().success());
    place.settings("sandbox_mode = \"workspace-write\"\ngit = \"commit\"\n");
    place
}

/// Runs a script in each tier that works here, each in a repository of its own. `linked +ws`: in `linked`, with `ws` writable.
fn in_each_tier(test: &str, act: impl Fn(&str, &Place, &dyn Fn(&str, &str) -> common::Ran)) {
    if !have(test, "git") {
        return;
    }
    for tier in TIERS {
        let place = repository();
        let backend = format!("linux.backend=\"{tier}\"");
        let run = |directory: &str, script: &str| {
            let (directory, more) = directory.split_once(" +").unwrap_or((directory, directory));
            let more = place.path(more).display().to_string();
            let mut command = place.command(["sandbox", "-c", &backend, "--add-dir", &more, "--", "sh", "-ec", script]);
            common::Ran::of(command.current_dir(place.path(directory)))
        };
        if run("ws", "true").status == 125 {
            skip(test, &format!("the `{tier}` tier doesn't start here"));
            continue;
        }
        act(tier, &place, &run);
    }
}

#[test]
fn fs_12_what_a_person_does_with_a_repository_works() {
    in_each_tier("fs_12_what_a_person_does_with_a_repository_works", |tier, place, run| {
        let steps = [
            ("commit", "echo 3 > b; git add b; git commit -qm three; git log --oneline | grep -q three"),
            ("amend", "git commit -q --amend -m four"),
            ("stash", "echo x >> a; git stash -q; git stash pop -q; git checkout -q a"),
            (
                "branch",
                "git switch -qc topic; echo t > t; git add t; git commit -qm topic; git switch -q main; git tag v1",
            ),
            (
                "rebase",
                "echo 5 > c; git add c; git commit -qm five; git switch -q topic; git rebase -q main; git switch -q main",
            ),
            ("merge", "git merge -q --no-ff -m merged topic; git branch -d topic"),
            ("fetch", "git fetch -q origin; git rev-parse -q --verify origin/main"),
            (
                "worktree",
                "git worktree add -q inner -b inner; git -C inner log -1 --oneline; git worktree remove inner",
            ),
            ("worktree kept", "git worktree add -q kept -b kept"),
            ("worktree of an earlier run", "cd kept; echo k > k; git add k; git commit -qm kept; git status --short"),
            // The reflogs of other worktrees are theirs.
            ("gc", "git pack-refs --all; git reflog expire --expire=now --all --single-worktree"),
        ];
        for (name, script) in steps {
            let ran = run("ws", script);
            assert_eq!(ran.status, 0, "{tier}: {name}:\n{}\n{}", ran.out, ran.err);
        }
        // A linked worktree: its Git directory and the common one lie in the main one, which is writable too.
        let linked = run(
            "linked +ws",
            "echo l > l; git add l; git commit -qm linked; echo y >> l; git stash -q; git stash pop -q",
        );
        assert_eq!(linked.status, 0, "{tier}: linked worktree:\n{}\n{}", linked.out, linked.err);
        let status = Command::new("git").args(["fsck", "--strict"]).current_dir(place.path("ws")).output().unwrap();
        assert!(status.status.success(), "{tier}: {}", String::from_utf8_lossy(&status.stderr));
    });
}

#[test]
fn fs_11_a_linked_worktree_opens_nothing_that_runs_programs() {
    in_each_tier("fs_11_a_linked_worktree_opens_nothing_that_runs_programs", |tier, place, run| {
        let dir = "$(git rev-parse --git-dir)";
        for script in [
            "git config core.pager x",
            &format!("echo x > {dir}/commondir"),
            &format!("echo x > {dir}/gitdir"),
            &format!("echo '[core]' > {dir}/config.worktree"),
            "echo x > ../ws/.git/hooks/pre-commit",
            "echo x >> ../ws/.git/config",
            "echo x > ../ws/a",
            "echo 'gitdir: evil' > .git",
        ] {
            let ran = run("linked", script);
            assert_ne!(ran.status, 0, "{tier}: `{script}` got through\n{}", ran.err);
        }
        assert!(!place.path("ws/.git/hooks").join("pre-commit").exists());
    });
}

#[test]
fn fs_21_what_git_outside_would_run_is_named_after_the_run() {
    in_each_tier("fs_21_what_git_outside_would_run_is_named_after_the_run", |tier, _, run| {
        let ran = run(
            "ws",
            "GIT_SEQUENCE_EDITOR='echo break >' git rebase -qi HEAD~1; echo 'exec sh x' >> .git/rebase-merge/git-rebase-todo",
        );
        assert!(ran.err.contains("an unfinished rebase would run `exec sh x` outside"), "{tier}: {}", ran.err);
        let ran = run("ws", "git rebase --abort; git replace HEAD HEAD~1");
        assert!(ran.err.contains("objects are replaced"), "{tier}: {}", ran.err);
        assert!(!run("ws", "git replace -d $(git replace -l)").err.contains("notice: Git"), "{tier}");
    });
}
