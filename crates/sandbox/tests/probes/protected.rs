//! Protected paths inside the roots stay as they are.

use super::harness::{Probe, Scratch, Verdict, expect};
use ringfence_model::AbsPath;

pub const PROBES: &[Probe] = &[
    ("fs_04_a_git_directory_is_read_only", git_directory),
    ("fs_06_the_chain_above_a_protected_path_can_not_be_renamed", chain),
    ("fs_06_the_root_itself_can_not_be_renamed", root_itself),
    ("fs_07_no_hard_link_leads_to_a_protected_file", hard_link),
    ("fs_04_git_status_works", honest_git),
    ("fs_04_what_mounts_refuse_is_explained", explained),
];

fn intact(scratch: &Scratch, git: &str) -> Verdict {
    expect(std::fs::read(scratch.path(git).join("config"))? == b"[core]\n", "the configuration was changed")?;
    expect(std::fs::read_dir(scratch.path(git).join("hooks"))?.count() == 0, "a hook was planted")
}

fn git_directory(scratch: &Scratch) -> Verdict {
    let script = "echo x >.git/hooks/pre-commit; echo x >>.git/config; rm -rf .git; mv .git g; mkdir g; mv -T g .git; \
                  chmod -R 777 .git; ln -s /tmp .git/l; cp /bin/true .git/hooks/post-checkout; exit 0";
    scratch.sh(scratch.wish(), script)?;
    intact(scratch, "ws/.git")?;
    scratch.sh(scratch.wish(), "cat .git/config && echo x >beside")?.works()
}

fn chain(scratch: &Scratch) -> Verdict {
    std::fs::create_dir_all(scratch.path("ws/sub/deep/.git/hooks"))?;
    std::fs::write(scratch.path("ws/sub/deep/.git/config"), "[core]\n")?;
    let inner = AbsPath::new(scratch.path("ws/sub/deep/.git")).expect("absolute");
    let script = "mv sub s2; mv sub/deep sub/d2; rm -rf sub; mkdir -p sub/deep/.git/hooks; echo x >sub/deep/.git/hooks/h; exit 0";
    scratch.sh(scratch.wish().protect(&inner), script)?;
    intact(scratch, "ws/sub/deep/.git")?;
    expect(scratch.path("ws/sub/deep").is_dir() && !scratch.path("ws/s2").exists(), "the chain was renamed")?;
    let honest = "echo x >sub/f && mv sub/f sub/g && mkdir sub/deep/new && rm sub/g";
    scratch.sh(scratch.wish().protect(&inner), honest)?.works()
}

fn root_itself(scratch: &Scratch) -> Verdict {
    let outer = scratch.path("");
    let outer = std::fs::canonicalize(outer)?;
    let script = "cd ..; mv ws w2; rm -rf ws; mkdir -p ws/.git/hooks; echo x >ws/.git/hooks/h; exit 0";
    scratch.sh(scratch.wish().root(&outer), script)?;
    intact(scratch, "ws/.git")?;
    expect(!scratch.path("w2").exists(), "the workspace was renamed")?;
    scratch.sh(scratch.wish().root(&outer), "echo x >../beside && echo x >inside")?.works()
}

fn hard_link(scratch: &Scratch) -> Verdict {
    scratch
        .sh(scratch.wish(), "ln .git/config stolen && echo x >stolen; ln -P .git/config s2 && echo x >s2; exit 0")?;
    intact(scratch, "ws/.git")
}

fn honest_git(scratch: &Scratch) -> Verdict {
    std::fs::remove_dir_all(scratch.path("ws/.git"))?;
    let made = std::process::Command::new("git").args(["init", "-q"]).current_dir(scratch.path("ws")).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(super::harness::Failure::Skipped("git is not installed".to_owned()));
    }
    let seen =
        scratch.sh(scratch.wish(), "echo x >f && git status --short && git diff && git log --oneline -1; true")?;
    seen.works()?;
    expect(seen.out.contains("?? f") && !seen.err.contains("lock"), format!("git status: {seen:?}"))
}

fn explained(scratch: &Scratch) -> Verdict {
    let script = "echo x >.git/index.lock; mkdir .git/hooks/d; mv .git/config .git/c; echo x >>.git/config; \
                  ln -s x ../out/link; echo x >../out/file; exit 0";
    std::fs::create_dir_all(scratch.path("out"))?;
    let seen = scratch.sh(scratch.wish(), script)?;
    intact(scratch, "ws/.git")?;
    for (operation, end, rule, grant) in [
        ("create", "ws/.git/index.lock", "protected-path", "git=\"commit\""),
        ("create a directory", "ws/.git/hooks/d", "protected-path", "unprotected_paths="),
        ("rename", "ws/.git/config", "protected-path", "unprotected_paths="),
        ("open for writing", "ws/.git/config", "protected-path", "unprotected_paths="),
        ("create a link", "out/link", "outside-roots", "--add-dir "),
        ("create", "out/file", "outside-roots", "--add-dir "),
    ] {
        let told =
            seen.outcome.denials.iter().find(|denial| {
                denial.operation == operation && denial.target.raw().ends_with(end) && denial.rule == rule
            });
        let granted = told.is_some_and(|denial| denial.allow_with.iter().any(|with| with.contains(grant)));
        expect(granted, format!("{operation} {end}: {:?}", seen.outcome.denials))?;
    }
    let honest = scratch.sh(scratch.wish(), "echo x >beside; mkdir d; mv beside d/; cat /etc/hostname >/dev/null")?;
    expect(honest.outcome.denials.is_empty(), format!("{:?}", honest.outcome.denials))
}
