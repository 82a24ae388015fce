//! Where a file system folds names: every spelling of a protected or denied one has its verdict, in every tier. The file system
//! is NTFS by way of FUSE, which any kernel can have.

use super::{World, backend, run, tiers};
use ringfence_model::report::Exit;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directory on a file system of its own that folds names.
struct Folding(tempfile::TempDir);

impl Folding {
    /// None where there is no way to have one; the reason is printed.
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (image, at) = (dir.path().join("image"), dir.path().join("at"));
        std::fs::create_dir(&at).unwrap();
        std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let tool = |name: &str, args: &[&str], last: &[&Path]| {
            let mut tool = Command::new(name);
            tool.args(args).args(last).stdout(Stdio::null()).stderr(Stdio::null()).env("PATH", "/usr/bin:/usr/sbin");
            tool.status().is_ok_and(|status| status.success())
        };
        if !tool("mkntfs", &["-q", "-F", "-f", "-s", "512"], &[&image]) {
            println!("SKIPPED: {test}: no `mkntfs` here to make a file system that folds names");
            return None;
        }
        if !tool("lowntfs-3g", &["-o", "ignore_case"], &[&image, &at]) {
            println!("SKIPPED: {test}: a file system that folds names can't be mounted here");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("at")
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Acts that must fail, and what must work, with other spellings of what [`World`] protects and denies.
const ACTS: &[(&str, bool)] = &[
    ("echo x >> .GIT/config", false),
    ("echo x > .Git/hooks/pre-commit", false),
    ("mv .GIT gone", false),
    ("mkdir .CODEX", false),
    ("mkdir .Codex", false),
    ("ln -s src .CoDeX", false),
    ("mkdir pre && mv pre .CODEX", false),
    ("rmdir pre; mkdir -p .VSCode && echo x > .VSCode/Settings.JSON", false),
    ("mkdir p && echo x > p/SETTINGS.json && rm -r .vscode; mv -T p .VSCODE", false),
    ("mv SUB sub2", false),
    ("cat SECRET/key", false),
    ("cat secret/KEY", false),
    ("mv SECRET seen && cat seen/key", false),
    ("ln secret/KEY seen && cat seen", false),
    ("cat src/.ENV", false),
    ("cat SRC/.Env", false),
    ("mv src/.ENV seen && cat seen", false),
    ("python3 -c 'import os; d=os.open(\"src/.ENV\", os.O_PATH); print(open(f\"/proc/self/fd/{d}\").read())'", false),
    ("chmod 755 src/.ENV; src/.ENV", false),
    ("echo x > Ordinary && cat ordinary && mv ORDINARY src/other && rm SRC/Other", true),
    ("cat .GIT/HEAD && git status --short", true),
];

#[test]
fn fs_24_every_spelling_has_the_verdict_of_the_plain_name_where_names_are_folded() {
    let test = "fs_24_every_spelling_has_the_verdict_of_the_plain_name_where_names_are_folded";
    let Some(folding) = Folding::mount(test) else { return };
    let world = World::within(&folding.path());
    let mut wrong = Vec::new();
    for tier in tiers(|backend| world.wish(backend), test) {
        let wish = world.wish(backend(tier));
        for (act, works) in ACTS {
            let (outcome, said) = run(&wish, act).unwrap_or_else(|why| panic!("{tier}: {act}: {why}"));
            if (outcome.exit == Exit::Code(0)) != *works || said.contains("KEY") {
                wrong.push(format!("{tier}: {act}: {:?} {said}", outcome.exit));
            }
        }
        assert!(!world.path("ws/.codex").exists());
        let _ = std::fs::remove_dir_all(world.path("ws/.vscode"));
        let _ = std::fs::remove_dir_all(world.path("ws/p"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
