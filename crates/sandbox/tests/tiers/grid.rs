//! Every way to change a file on every kind of target, in each tier: the same verdicts, but for what the documentation
//! lists by name.

use super::{World, backend, run, tiers};
use ringfence_model::mode::Tier;
use ringfence_model::report::Exit;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Verdicts by operation and target.
type Verdicts = BTreeMap<String, bool>;

/// The table of the documentation: act and tier in which it is refused although it works elsewhere.
fn documented() -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/tiers.md");
    // Run by another user from elsewhere, the tree can't be read; then the half as root has checked it.
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|_| include_str!("../../../../docs/reference/tiers.md").to_owned());
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.filter_map(|(act, rest)| Some((act.to_owned(), rest.split_once(" | ")?.0.to_owned()))).collect()
}

#[test]
fn every_act_has_the_same_verdict_in_every_tier_but_for_those_documented() {
    let world = World::new();
    let test = "every_act_has_the_same_verdict_in_every_tier_but_for_those_documented";
    let mut all: BTreeMap<Tier, Verdicts> = BTreeMap::new();
    for tier in tiers(|backend| world.wish(backend), test) {
        std::fs::write(world.path("ws/grid.py"), include_str!("grid.py")).unwrap();
        let (outcome, said) = run(&world.wish(backend(tier)), "python3 grid.py").unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {said}");
        let verdicts: Verdicts = said
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(act, verdict)| (act.to_owned(), verdict == "ok"))
            .collect();
        assert!(verdicts.len() >= 200, "{tier}: {}", verdicts.len());
        // What everybody must refuse, and what must work, whatever the tiers have in common.
        let wrong = |(act, worked): &(&String, &bool)| act.ends_with(" inside") != **worked && !listed(act, tier);
        let wrong: Vec<_> = verdicts.iter().filter(wrong).map(|(act, _)| act).collect();
        assert!(wrong.is_empty(), "{tier}: {wrong:#?}");
        world.reset();
        all.insert(tier, verdicts);
    }
    let Some((first, verdicts)) = all.first_key_value() else { return };
    for (tier, others) in &all {
        for (act, worked) in verdicts {
            let same = others.get(act) == Some(worked);
            assert!(same || listed(act, *tier), "`{act}` differs between `{first}` and `{tier}`, and isn't documented");
        }
    }
}

fn listed(act: &str, tier: Tier) -> bool {
    documented().contains(&(act.to_owned(), tier.name().to_owned()))
}

#[test]
fn what_is_documented_to_differ_does_differ() {
    let acts: BTreeMap<&str, super::Must> = super::ACTS.iter().map(|(name, _, must)| (*name, *must)).collect();
    let documented = documented();
    for (act, tier) in &documented {
        let known = acts.get(act.as_str()).is_some_and(|must| matches!(must, super::Must::WorkUnlessLandlock(_)));
        assert!(known || tier != "landlock", "`{act}` is documented and isn't known to differ");
    }
    for (name, _, must) in super::ACTS {
        if matches!(must, super::Must::WorkUnlessLandlock(_)) {
            let row = ((*name).to_owned(), "landlock".to_owned());
            assert!(documented.contains(&row), "`{name}` differs in the landlock tier and isn't documented");
        }
    }
}
