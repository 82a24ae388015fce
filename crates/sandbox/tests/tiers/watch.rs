//! `absent_protected = "watch"`: no call is judged for it, what takes a protected name is moved aside, and the report says
//! that this is weaker. The landlock tier refuses it by name.

use super::{World, backend, run, tiers};
use ringfence_model::confinement::Confinement;
use ringfence_model::mode::{AbsentHold, Backend, Tier};
use ringfence_model::report::Exit;
use ringfence_sandbox::linux::broker::plan::BrokerPlan;
use ringfence_sandbox::{Options, compile, probe};

fn watching(world: &World, backend: Backend) -> Confinement {
    let mut wish = world.wish(backend);
    wish.absent_protected.value = AbsentHold::Watch;
    wish.reads.denied.clear();
    wish
}

#[test]
fn fs_05_a_watched_name_that_is_taken_is_moved_aside_and_said_to_be() {
    let world = World::new();
    let test = "fs_05_a_watched_name_that_is_taken_is_moved_aside_and_said_to_be";
    for tier in tiers(|backend| watching(&world, backend), test) {
        let wish = watching(&world, backend(tier));
        let plan = compile(&wish, &probe::quick_for(&wish), &Options::default()).unwrap();
        assert!(plan.not_held.iter().any(|gap| gap.weakened && gap.why.contains("watch")), "{tier}: it isn't said");
        let traps = BrokerPlan::of(&plan).unwrap().traps;
        assert!(!traps.names && !traps.writes, "{tier}: creating files still asks the broker");
        let gone = "for i in $(seq 100); do test -e NAME -o -L NAME || exit 0; sleep 0.02; done; exit 1";
        for (act, name, kept) in [
            ("mkdir .codex", ".codex", Some(".codex.held-back")),
            ("mkdir t && echo x > t/f && mv t .codex", ".codex", Some(".codex.held-back-2/f")),
            ("ln -s /etc .codex", ".codex", None),
            ("mkdir -p .vscode && echo x > .vscode/settings.json", ".vscode/settings.json", None),
            ("mkdir p && echo x > p/settings.json && mv p .vscode", ".vscode/settings.json", None),
            ("ln -s sub .vscode", ".vscode", None),
        ] {
            // A directory that is there already keeps its name, by a mount.
            let _ = std::fs::remove_dir_all(world.path("ws/.vscode"));
            let wait = gone.replace("NAME", name);
            let (outcome, _) = run(&wish, &format!("{act} && ({wait})")).unwrap();
            assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {act}: it stays as long as the command runs");
            assert!(std::fs::symlink_metadata(world.path("ws").join(name)).is_err(), "{tier}: {act}");
            assert!(
                outcome
                    .denials
                    .iter()
                    .any(|denial| denial.rule == "protected-path" && denial.operation.contains("aside")),
                "{tier}: {act}: {:?}",
                outcome.denials
            );
            assert!(kept.is_none_or(|kept| world.path("ws").join(kept).exists()), "{tier}: {act}: something was lost");
        }
        // What is made at the very end is found by the last look; what is there already stays, by mounts.
        let (outcome, _) = run(&wish, "echo x >> .git/config").unwrap();
        assert_ne!(outcome.exit, Exit::Code(0), "{tier}: a name that exists");
        run(&wish, "mkdir .codex").unwrap();
        assert!(!world.path("ws/.codex").exists(), "{tier}: made at the end");
        let (outcome, _) = run(
            &wish,
            "python3 -c 'import socket as s; l=s.socket(s.AF_UNIX); l.bind(\"w.sock\"); l.listen(); \
                                       s.socket(s.AF_UNIX).connect(\"w.sock\")'; e=$?; rm -f w.sock; exit $e",
        )
        .unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}: a socket made inside");
        for entry in std::fs::read_dir(world.path("ws")).unwrap().flatten() {
            if entry.file_name().to_string_lossy().contains(".held-back") {
                let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
            }
        }
        let _ = std::fs::remove_dir_all(world.path("ws/.vscode"));
        let _ = std::fs::remove_dir_all(world.path("ws/p"));
        world.reset();
    }
    let refused = run(&watching(&world, Backend::Landlock), "true").map(|_| ()).unwrap_err();
    assert!(refused.contains("by a watch"), "{} {refused}", Tier::Landlock);
}
