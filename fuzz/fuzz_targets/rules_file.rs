//! Rule files: none panics the loader or makes it run away; what loads can be printed and loaded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_model::{Layer, Origin};
use ringfence_rules::{Limits, Permit, RuleFile, RuleSet, print_rule};

fn load(text: &[u8]) -> RuleSet {
    let origin = Origin::File { file: "f.rules".into(), line: 0, column: 0, layer: Layer::User };
    let limits = Limits { steps: 20_000, memory: 1 << 20, ..Limits::default() };
    let mut set = RuleSet::with_home("/home/u");
    set.load_within(&RuleFile { origin, text, permit: Permit::Everything }, &limits);
    set
}

fuzz_target!(|text: &[u8]| {
    let set = load(text);
    assert!(set.broken().is_empty() || set.rules().is_empty());
    for rule in set.rules().iter().take(8) {
        let mut alone = rule.clone();
        // Examples may rest on the file's own `host_executable`.
        (alone.matches, alone.not_matches) = (Vec::new(), Vec::new());
        let again = load(print_rule(&alone).as_bytes());
        assert_eq!(again.rules().len(), 1, "{}", print_rule(&alone));
        assert_eq!((&again.rules()[0].pattern, again.rules()[0].decision), (&rule.pattern, rule.decision));
    }
});
