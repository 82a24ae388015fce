//! `git = "commit"`: what a commit writes is writable; what git outside would run or believe stays, in every tier.

use super::{World, backend, run, tiers};
use ringfence_model::confinement::{Confinement, GitDir, GitRole};
use ringfence_model::mode::{Backend, GitAccess};
use ringfence_model::report::Exit;
use std::path::Path;
use std::process::Command;

/// The wish of `world` with commits allowed in these Git directories.
fn committing(world: &World, backend: Backend, dirs: &[(&str, GitRole)]) -> Confinement {
    let mut wish = world.wish(backend);
    wish.git.value = GitAccess::Commit;
    wish.git_dirs = dirs.iter().map(|(path, role)| GitDir { path: world.abs(path), role: *role }).collect();
    wish
}

fn git(dir: &Path, args: &[&str]) {
    let done =
        Command::new("git").args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(dir).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn fs_12_commits_work_and_what_runs_programs_stays() {
    let world = World::new();
    let wish = |backend| committing(&world, backend, &[("ws/.git", GitRole::Main)]);
    let honest = "git add file-* && git -c user.name=a -c user.email=a@b commit -qm two && git stash list && git branch -f b1 \
                  && git checkout -q b1 && git checkout -q main && git tag -f t1";
    let hostile = [
        "git config core.pager x",
        "echo x >> .git/config",
        "echo x > .git/hooks/pre-commit",
        "mv .git/hooks .git/h2",
        "echo x > .git/config.worktree",
        "echo x > .git/commondir",
        "echo '* filter=x' > .git/info/attributes",
        "echo x > .git/info/grafts",
        "echo /x > .git/objects/info/alternates",
        "mkdir -p .git/modules/x",
        "echo x > .git/unknown",
        "mv .git old && mkdir .git",
        "rm .git/unknown-before",
        // A directory prepared elsewhere takes the place of one whose names are judged.
        "rm -rf .git/rebase-a && mkdir .git/rebase-a && echo x > .git/rebase-a/attributes && mv .git/info .git/rebase-b && \
         mv .git/rebase-a .git/info",
        "mv .git/info .git/rebase-b && echo x > .git/rebase-b/attributes && mv .git/rebase-b .git/info",
        "mkdir prepared && echo x > prepared/attributes && rm -rf .git/info && mv prepared .git/info",
        "rm -rf .git/info && mkdir /tmp/x$$ && echo x > /tmp/x$$/attributes; ln -s /tmp/x$$ .git/info",
        // Outside, git appends to its logs and writes its references, wherever a link leads.
        "ln -sf $OUT/keep .git/logs/HEAD && test -L .git/logs/HEAD",
        "ln -s $OUT/keep .git/refs/heads/evil",
        "ln -s $OUT .git/objects/zz",
        "ln -s $OUT/keep l && mv l .git/logs/l",
        "ln -sf $OUT/keep l; ln -P l .git/logs/l",
        "mkdir -p p/d && ln -sf $OUT p/d/l && mv p/d .git/refs/heads/d",
        "mv .git/objects .git/rebase-o && mkdir -p .git/rebase-o/info && echo /x > .git/rebase-o/info/alternates && \
         mv .git/rebase-o .git/objects",
    ];
    std::fs::write(world.path("ws/.git/unknown-before"), "x").unwrap();
    let mut wrong = Vec::new();
    for tier in tiers(wish, "fs_12_commits_work_and_what_runs_programs_stays") {
        let wish = wish(backend(tier));
        let made = format!("exec 2>&1; echo {tier} > file-{tier} && {honest}");
        let (outcome, said) = run(&wish, &made).unwrap();
        if outcome.exit != Exit::Code(0) {
            wrong.push(format!("{tier}: commit: {:?} {said} {:#?}", outcome.exit, outcome.denials));
        }
        for line in hostile {
            let (outcome, _) = run(&wish, line).unwrap();
            if outcome.exit == Exit::Code(0) {
                wrong.push(format!("{tier}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The state of everything below a directory that somebody outside believes.
fn seen(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type().unwrap().is_dir() {
                true => todo.push(path),
                false => found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn fs_11_what_other_worktrees_believe_stays() {
    let world = World::new();
    let repository = world.path("ws");
    git(&repository, &["worktree", "add", "-q", world.path("feature").to_str().unwrap()]);
    let theirs = world.path("ws/.git/worktrees/feature");
    let before = seen(&theirs);
    let evil =
        "mkdir -p evil/hooks; printf '#!/bin/sh\\n' > evil/hooks/post-checkout; echo ref: refs/heads/x > evil/HEAD";
    let hostile = [
        "echo $PWD/evil > .git/worktrees/feature/commondir",
        ": > .git/worktrees/feature/commondir",
        "truncate -s 0 .git/worktrees/feature/commondir",
        "rm .git/worktrees/feature/commondir",
        "rm -rf .git/worktrees/feature; ! test -e .git/worktrees/feature/gitdir",
        "echo $PWD/evil > c && mv c .git/worktrees/feature/commondir",
        "ln -sf $PWD/evil .git/worktrees/feature/commondir",
        "ln .git/worktrees/feature/commondir c && echo evil > c",
        "echo $PWD/evil/.git > .git/worktrees/feature/gitdir",
        "echo '[core]' > .git/worktrees/feature/config.worktree",
        "echo ref: refs/heads/x > .git/worktrees/feature/HEAD",
        "echo x > .git/worktrees/feature/index.lock",
        "mkdir .git/worktrees/feature/rebase-merge",
        "mv .git/worktrees/feature .git/worktrees/old",
        "mv .git/worktrees .git/rebase-w && echo x > .git/rebase-w/feature/commondir",
        "cp -r .git/worktrees .git/rebase-c && echo $PWD/evil > .git/rebase-c/feature/commondir && mv .git/worktrees \
         .git/rebase-w; mv .git/rebase-c .git/worktrees",
        "cp -r .git/worktrees/feature fake && python3 -c 'import ctypes; assert ctypes.CDLL(None).renameat2(-100, b\"fake\", \
         -100, b\".git/worktrees/feature\", 2) == 0'",
        "git worktree lock feature",
        "cd .git/worktrees/feature && echo x > commondir",
        "python3 -c 'import os; d=os.open(\".git/worktrees/feature/commondir\", os.O_PATH); \
         open(f\"/proc/self/fd/{d}\", \"w\").write(\"evil\")'",
    ];
    let honest = [
        "git worktree list | grep -q feature",
        "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m more",
        "git worktree add -q new-TIER && cd new-TIER && echo x > f && git add f && \
         git -c user.name=a -c user.email=a@b commit -qm there && git status --short && cd .. && git worktree list | \
         grep -q new-TIER",
        "cd new-TIER && git checkout -q -b other-TIER && git stash list && git log -1 --oneline",
        "git worktree add -q gone-TIER && git worktree remove --force gone-TIER",
    ];
    let wish = |backend| committing(&world, backend, &[("ws/.git", GitRole::Main)]);
    let mut wrong = Vec::new();
    for tier in tiers(wish, "fs_11_what_other_worktrees_believe_stays") {
        let wish = wish(backend(tier));
        for line in hostile {
            let (outcome, said) = run(&wish, &format!("exec 2>&1; {evil}; {line}")).unwrap();
            if outcome.exit == Exit::Code(0) {
                wrong.push(format!("{tier}: {line}: {said}"));
            }
            if seen(&theirs) != before {
                wrong.push(format!("{tier}: {line}: changed what another worktree believes"));
                break;
            }
        }
        // One command for all: what was made in it is its own for as long as it runs.
        let all = honest.join(" && (").replace("TIER", tier.name());
        let all = format!("exec 2>&1; set -e; ({all}{}", ")".repeat(honest.len()));
        let (outcome, said) = run(&wish, &all).unwrap();
        if outcome.exit != Exit::Code(0) {
            wrong.push(format!("{tier}: honest: {:?} {said} {:#?}", outcome.exit, outcome.denials));
        }
        // A worktree that somebody adds while the command runs is not the command's either.
        let late = world.path(&format!("late-{tier}"));
        let waits = format!(
            "touch started-{tier}; while ! test -e ../late-{tier}/.git; do sleep 0.05; done; sleep 0.2; \
             echo $PWD/evil > .git/worktrees/late-{tier}/commondir"
        );
        let adder = std::thread::spawn({
            let (repository, started) = (repository.clone(), world.path(&format!("ws/started-{tier}")));
            move || {
                while !started.exists() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                git(&repository, &["worktree", "add", "-q", late.to_str().unwrap()]);
            }
        });
        let (outcome, _) = run(&wish, &waits).unwrap();
        adder.join().unwrap();
        if outcome.exit == Exit::Code(0) {
            wrong.push(format!("{tier}: a worktree added meanwhile was rewritten"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn fs_12_commits_work_in_a_linked_worktree_whose_repository_is_writable() {
    let world = World::new();
    let repository = world.path("ws");
    for name in ["ws/mine", "theirs"] {
        git(&repository, &["worktree", "add", "-q", world.path(name).to_str().unwrap()]);
    }
    let theirs = seen(&world.path("ws/.git/worktrees/theirs"));
    let wish = |backend| {
        let dirs = [("ws/.git", GitRole::Common), ("ws/.git/worktrees/mine", GitRole::Worktree)];
        let mut wish = committing(&world, backend, &dirs);
        wish.cwd = world.abs("ws/mine");
        wish
    };
    let honest = "echo x > f-TIER && git add f-TIER && git -c user.name=a -c user.email=a@b commit -qm two && git stash list \
                  && git checkout -q -B b-TIER && git checkout -q mine && git worktree list | grep -q theirs";
    let hostile = [
        "echo x > ../.git/worktrees/mine/commondir",
        "echo x > ../.git/worktrees/mine/gitdir",
        "echo x > ../.git/worktrees/mine/config.worktree",
        "rm ../.git/worktrees/mine/commondir",
        "mv ../.git/worktrees/mine ../.git/worktrees/m2",
        "echo x > ../.git/worktrees/theirs/commondir",
        "git config core.pager x",
        "echo x > ../.git/hooks/pre-commit",
    ];
    let mut wrong = Vec::new();
    for tier in tiers(wish, "fs_12_commits_work_in_a_linked_worktree_whose_repository_is_writable") {
        let wish = wish(backend(tier));
        let (outcome, said) = run(&wish, &format!("exec 2>&1; {}", honest.replace("TIER", tier.name()))).unwrap();
        if outcome.exit != Exit::Code(0) {
            wrong.push(format!("{tier}: commit: {:?} {said} {:#?}", outcome.exit, outcome.denials));
        }
        for line in hostile {
            if run(&wish, line).unwrap().0.exit == Exit::Code(0) {
                wrong.push(format!("{tier}: {line}"));
            }
        }
        assert!(seen(&world.path("ws/.git/worktrees/theirs")) == theirs, "{tier}: another worktree believes otherwise");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
