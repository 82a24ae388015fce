//! The short way through a file of literals against the long way.

use super::*;
use proptest::prelude::*;
use ringfence_model::Layer;

fn file() -> Origin {
    Origin::File { file: "t.rules".into(), line: 0, column: 0, layer: Layer::User }
}

/// Pieces of rule files, some of them wrong, so that any sequence is near the language's edge.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "prefix_rule(",
        "prefix_rule (",
        "host_executable(",
        "network_rule(",
        "(",
        ")",
        ")\n",
        ",",
        ", ",
        "[",
        "]",
        "[]",
        "\"git\"",
        "'push'",
        "\"\"",
        "''",
        "\"\"\"x\"\"\"",
        "\"a'b\"",
        "'a\"b'",
        "\"é\u{200d}\"",
        "\"a\nb\"",
        "\"x",
        "pattern",
        "pattern = ",
        "pattern=",
        "decision = ",
        "match = ",
        "not_match=",
        "justification =",
        "name=",
        "paths=",
        "\"allow\"",
        "\"prompt\"",
        "\"no\"",
        "\"/usr/bin/git\"",
        "=",
        " ",
        "  ",
        "\n",
        "\n\n",
        "# c\n",
        "#",
        ";",
        "\t",
        "\r\n",
        "\\",
        "r\"x\"",
        "f\"x\"",
        "b\"x\"",
        "1",
        "x",
        "None",
        "+",
        "*",
        "**",
        ".",
        ":",
        "\u{feff}",
        "\u{7f}",
        "\u{c}",
        "git",
        "if 1:\n",
    ])
}

fn literal_file() -> impl Strategy<Value = String> {
    let string = prop::sample::select(vec!["\"git\"", "'push'", "\"a b\"", "\"/usr/bin/git\"", "\"\""]);
    let list = prop::collection::vec(string.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
    let pattern = prop::collection::vec(prop_oneof![string.clone().prop_map(str::to_owned), list], 0..4)
        .prop_map(|items| format!("[{}]", items.join(",\n  ")));
    let argument = prop_oneof![
        pattern.clone().prop_map(|pattern| format!("pattern = {pattern}")),
        pattern.clone(),
        prop::sample::select(vec![
            "decision = \"prompt\"",
            "\"forbidden\"",
            "justification = \"why\"",
            "decision = \"no\"",
            "decision = [\"allow\"]",
            "justification = \" \"",
            "justification = []",
            "match = [\"git push x\"]",
            "match = [\"git 'push x'\", [\"git\", \"push\"]]",
            "match = [\"git 'push\"]",
            "match = [[]]",
            "match = [\"  \"]",
            "not_match = \"git\"",
            "foo = \"x\""
        ])
        .prop_map(str::to_owned),
        pattern.prop_map(|pattern| format!("not_match = {pattern}")),
    ];
    let statement =
        (prop::collection::vec(argument, 0..4), prop::sample::select(vec!["\n", "  # c\n", "\n\n", ";", "\n "]))
            .prop_map(|(arguments, end)| format!("prefix_rule({}){end}", arguments.join(", ")));
    prop::collection::vec(statement, 0..4).prop_map(|all| all.concat())
}

fn agree(text: &str) -> Result<bool, TestCaseError> {
    let Some(short) = literal::load(text, &file(), None, &Limits::default()) else { return Ok(false) };
    let long = load_starlark(text, &file(), None, &Limits::default());
    prop_assert_eq!(Ok(short), long, "{:?}", text);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_short_way_agrees_with_the_long_way(
        pieces in prop::collection::vec(piece(), 0..14),
        literals in literal_file(),
    ) {
        agree(&pieces.concat())?;
        agree(&literals)?;
        agree(&(literals.clone() + &pieces.concat()))?;
    }
}

proptest! {
    #[test]
    fn an_examples_line_is_split_as_a_shell_would(line in "[-a-c '\"#\\\\é=~$*]{0,12}") {
        prop_assert_eq!(statements::words(&line), shlex::split(&line));
    }
}

#[test]
fn the_short_way_is_taken() {
    for text in [
        "",
        "# only a comment",
        "prefix_rule([\"git\", ['push', \"pull\"]], decision = \"prompt\",)  # why\n\nhost_executable(name=\"git\",\n  paths=[\"/usr/bin/git\", # here\n ])",
    ] {
        assert!(matches!(agree(text), Ok(true)), "{text}");
    }
}
