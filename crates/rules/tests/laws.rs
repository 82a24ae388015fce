//! Laws of rules, as sentences.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_model::{Layer, Origin, OsText};
use ringfence_rules::{
    Alternatives, Decision, Example, Permit, PrefixRule, Programs, RequirementRule, RuleFile, RuleSet, add, print_rule,
    remove,
};
use ringfence_shell::{Reading, SimpleCommand};

fn origin() -> Origin {
    Origin::File { file: "r.rules".into(), line: 1, column: 0, layer: Layer::User }
}

/// A small alphabet, so that rules and commands meet.
fn token() -> BoxedStrategy<String> {
    prop_oneof![
        Just("git".to_owned()),
        Just("push".to_owned()),
        Just("rm".to_owned()),
        Just("/usr/bin/git".to_owned()),
        Just("/bin/rm".to_owned()),
        Just("-f".to_owned()),
    ]
    .boxed()
}

fn place(token: BoxedStrategy<String>) -> impl Strategy<Value = Alternatives> {
    prop_oneof![
        token.clone().prop_map(Alternatives::One),
        proptest::collection::vec(token, 1..3).prop_map(Alternatives::Any)
    ]
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![Just(Decision::Allow), Just(Decision::Prompt), Just(Decision::Forbidden)]
}

fn rule() -> impl Strategy<Value = RequirementRule> {
    (proptest::collection::vec(place(token()), 1..3), decision()).prop_map(|(pattern, decision)| RequirementRule {
        pattern,
        decision,
        justification: None,
        origin: origin(),
    })
}

fn set(rules: &[RequirementRule]) -> RuleSet {
    let mut set = RuleSet::new();
    rules.iter().for_each(|rule| set.require(rule.clone()));
    set
}

fn command() -> impl Strategy<Value = Vec<OsText>> {
    proptest::collection::vec(token().prop_map(OsText::from), 1..4)
}

/// How permissive a decision is when it comes to running: an allow is looser than nothing said.
fn strictness(decision: Option<Decision>) -> u8 {
    match decision {
        Some(Decision::Allow) => 0,
        None => 1,
        Some(Decision::Prompt) => 2,
        Some(Decision::Forbidden) => 3,
    }
}

fn reading(commands: Vec<Vec<OsText>>, inner: Vec<Vec<OsText>>) -> Reading {
    Reading {
        argv: Vec::new(),
        commands: commands.into_iter().map(SimpleCommand::new).collect(),
        inner: inner.into_iter().map(SimpleCommand::new).collect(),
        opaque: None,
        shell: None,
        too_deep: false,
    }
}

/// Any text that a Starlark string can hold.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>().prop_filter("no NUL in rule files", |c| *c != '\0'), 1..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn printable_rule() -> impl Strategy<Value = PrefixRule> {
    let pattern = proptest::collection::vec(place(text().boxed()), 1..4);
    let why = proptest::option::of(text().prop_filter("not blank", |text| !text.trim().is_empty()));
    (pattern, decision(), why, any::<bool>()).prop_map(|(pattern, decision, justification, with_example)| {
        let words: Vec<String> = pattern.iter().map(|place| place.tokens()[0].clone()).collect();
        let matches = if with_example { vec![Example { words, line: None }] } else { Vec::new() };
        PrefixRule { pattern, decision, justification, matches, not_matches: Vec::new(), origin: origin() }
    })
}

fn load(text: &str) -> RuleSet {
    let mut set = RuleSet::new();
    set.load(&RuleFile { origin: origin(), text: text.as_bytes(), permit: Permit::Everything });
    set
}

proptest! {
    #[test]
    fn adding_a_prompt_or_forbid_rule_never_makes_a_verdict_more_permissive(
        rules in proptest::collection::vec(rule(), 0..6),
        added in rule(),
        at in 0usize..6,
        command in command(),
    ) {
        let before = set(&rules).judge(&command, Programs::AtRunTime).decision;
        let mut more = rules.clone();
        let decision = added.decision.max(Decision::Prompt);
        more.insert(at.min(rules.len()), RequirementRule { decision, ..added });
        let after = set(&more).judge(&command, Programs::AtRunTime).decision;
        prop_assert!(strictness(after) >= strictness(before), "{before:?} became {after:?}");
    }

    #[test]
    fn the_order_of_rules_never_matters(
        rules in proptest::collection::vec(rule(), 0..6).prop_shuffle(),
        command in command(),
    ) {
        let mut reversed = rules.clone();
        reversed.reverse();
        for programs in [Programs::Exact, Programs::ByBaseName, Programs::AtRunTime] {
            prop_assert_eq!(
                set(&rules).judge(&command, programs).decision,
                set(&reversed).judge(&command, programs).decision
            );
        }
    }

    #[test]
    fn a_line_is_as_strict_as_its_strictest_command_and_allowed_only_if_all_are(
        rules in proptest::collection::vec(rule(), 0..6),
        commands in proptest::collection::vec(command(), 1..5),
        inner in proptest::collection::vec(command(), 0..3),
    ) {
        let set = set(&rules);
        let judged = set.judge_reading(&reading(commands.clone(), inner.clone()), Programs::AtRunTime);
        let alone = |words: &Vec<OsText>| set.judge(words, Programs::AtRunTime).decision;
        for words in commands.iter().chain(&inner) {
            let tight = alone(words).filter(|decision| *decision > Decision::Allow);
            prop_assert!(tight.is_none() || strictness(judged.decision) >= strictness(tight));
        }
        if judged.decision == Some(Decision::Allow) {
            prop_assert!(commands.iter().all(|words| alone(words) == Some(Decision::Allow)));
        }
    }

    #[test]
    fn printing_then_parsing_a_rule_is_the_identity(rule in printable_rule()) {
        let loaded = load(&print_rule(&rule));
        prop_assert_eq!(loaded.broken(), &[]);
        prop_assert_eq!(loaded.rules(), &[rule]);
    }

    #[test]
    fn adding_then_removing_a_rule_gives_the_text_back(rule in printable_rule()) {
        let before = "# mine\nprefix_rule([\"git\", \"status\"])  # fine\n\nfor t in [\"a\"]:\n    prefix_rule([t])\n";
        let added = add(before, &rule).expect("adds");
        prop_assert_eq!(add(&added, &rule).expect("adds once"), added.clone());
        prop_assert!(added.starts_with(before));
        prop_assert_eq!(remove(&added, &rule).expect("removes"), before);
    }

    #[test]
    fn no_text_panics_the_loader(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut set = RuleSet::new();
        set.load(&RuleFile { origin: origin(), text: &text, permit: Permit::Everything });
    }
}

#[test]
fn removing_keeps_comments_and_refuses_what_a_program_made() {
    let rule = |tokens: &[&str]| PrefixRule {
        pattern: tokens.iter().map(|token| Alternatives::One((*token).to_owned())).collect(),
        decision: Decision::Allow,
        justification: None,
        matches: Vec::new(),
        not_matches: Vec::new(),
        origin: origin(),
    };
    let text =
        "# top\nprefix_rule(\n    pattern = [\"git\", \"push\"],  # why\n)  # behind\nprefix_rule([\"ls\"])\r\n# end";
    let out = remove(text, &rule(&["git", "push"])).expect("removes");
    assert_eq!(out, "# top\n# behind\nprefix_rule([\"ls\"])\r\n# end");
    assert_eq!(
        remove(text, &rule(&["no"])).expect_err("no such rule").to_string(),
        "no rule of the file has this pattern"
    );
    let made = "[prefix_rule([t]) for t in [\"a\", \"b\"]]\n";
    assert!(
        remove(made, &rule(&["a"])).expect_err("made by a loop").to_string().starts_with("the rule of line 1 is made")
    );
    let two = "prefix_rule([\"a\"]); prefix_rule([\"b\"])\n";
    assert!(remove(two, &rule(&["a"])).is_err());
    assert!(add("prefix_rule([", &rule(&["a"])).is_err());
}
