//! The rule language as its users meet it: what loads, what doesn't, and what the message says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::{Layer, Origin, OsText};
use ringfence_rules::{Decision, Permit, Programs, RuleFile, RuleSet, check_json};

fn origin() -> Origin {
    Origin::File { file: "t.rules".into(), line: 0, column: 0, layer: Layer::User }
}

fn load(text: &str) -> RuleSet {
    let mut set = RuleSet::with_home("/home/u");
    set.load(&RuleFile { origin: origin(), text: text.as_bytes(), permit: Permit::Everything });
    set
}

fn words(line: &str) -> Vec<OsText> {
    line.split_whitespace().map(OsText::from).collect()
}

fn check(text: &str, line: &str) -> String {
    let set = load(text);
    assert_eq!(set.broken(), [], "{text}");
    check_json(&set.judge(&words(line), Programs::ByBaseName), false)
}

#[test]
fn the_json_is_the_one_scripts_expect() {
    let text = r#"prefix_rule(["git", "push"], "prompt", [], [], "shared history")"#;
    assert_eq!(
        check(text, "/usr/bin/../bin/git push -f"),
        r#"{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git","push"],"decision":"prompt","resolvedProgram":"/usr/bin/git","justification":"shared history"}}],"decision":"prompt"}"#
    );
    assert_eq!(check(text, "git pull"), r#"{"matchedRules":[]}"#);
    let set = load(text);
    let pretty = check_json(&set.judge(&words("git push"), Programs::Exact), true);
    assert_eq!(
        pretty,
        "{\n  \"matchedRules\": [\n    {\n      \"prefixRuleMatch\": {\n        \"matchedPrefix\": [\n          \"git\",\n          \"push\"\n        ],\n        \"decision\": \"prompt\",\n        \"justification\": \"shared history\"\n      }\n    }\n  ],\n  \"decision\": \"prompt\"\n}"
    );
}

#[test]
fn alternatives_positions_and_order_count_as_written() {
    let text =
        "prefix_rule([[\"git\", \"hg\"], [\"push\", \"pull\"]], decision = \"forbidden\")\nprefix_rule([\"hg\"])\n";
    assert_eq!(
        check(text, "hg pull x"),
        r#"{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["hg","pull"],"decision":"forbidden"}},{"prefixRuleMatch":{"matchedPrefix":["hg"],"decision":"allow"}}],"decision":"forbidden"}"#
    );
}

#[test]
fn host_executables_say_which_files_a_name_means() {
    let text = "prefix_rule([\"git\"])\nhost_executable(\"git\", [\"/opt/git\"])\nhost_executable(\"git\", [\"/usr/bin/git\", \"~/bin/git\"])\n";
    assert!(check(text, "/usr/bin/git x").contains("\"decision\":\"allow\""));
    assert!(check(text, "/home/u/bin/git x").contains("\"decision\":\"allow\""));
    assert_eq!(check(text, "/opt/git x"), r#"{"matchedRules":[]}"#);
    assert_eq!(check(text, "./git x"), r#"{"matchedRules":[]}"#);
}

#[test]
fn rule_files_are_starlark() {
    let text = r#"
TOOLS = {"git": ["status", "log"], "hg": ["st"]}

def reads(tool, subcommands, *, why = None):
    for sub in subcommands:
        if why:
            prefix_rule([tool, sub], justification = why)
        else:
            prefix_rule([tool, sub])

[reads(tool, subs, why = "reads %s" % tool) for tool, subs in TOOLS.items() if tool != "svn"]
words = "cargo,{}".format("test").split(",")
words += ["--" + c for c in reversed(["b", "a"])]
prefix_rule(pattern = words[:2] + [sorted(words[2:])[0]], **{"decision": "prompt"})
prefix_rule([f"x{len(words)}", "y" * 2, str(1 + 2 * 3), repr([1, None]), "a,b".replace(",", "-")])
for i in range(3):
    if i == 1:
        continue
    prefix_rule(["n", str(i)], "forbidden")
f = lambda x, y = 2: [x, str(y)]
prefix_rule(f("lam"))
"#;
    let set = load(text);
    assert_eq!(set.broken(), []);
    let patterns: Vec<String> = set
        .rules()
        .iter()
        .map(|rule| rule.pattern.iter().map(|p| p.tokens().join("|")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        patterns,
        ["git status", "git log", "hg st", "cargo test --a", "x4 yy 7 [1, None] a-b", "n 0", "n 2", "lam 2"]
    );
    assert_eq!(set.rules()[3].decision, Decision::Prompt);
    assert_eq!(set.rules()[0].justification.as_deref(), Some("reads git"));
}

/// Each error names file, line and cause.
#[test]
fn errors_name_file_line_and_cause() {
    for (text, expected) in [
        ("\nprefix_rule([])", "t.rules:2:1: prefix_rule: `pattern` is empty; it would match every command"),
        ("prefix_rule([[]])", "prefix_rule: a list of alternatives in `pattern` is empty"),
        ("prefix_rule(\"git\")", "prefix_rule: `pattern` must be a list, not a string"),
        ("prefix_rule([\"git\", 1])", "an element of `pattern` must be a string or a list of strings, not a int"),
        ("prefix_rule([\"git\"], \"deny\")", "`decision` is `allow`, `prompt` or `forbidden`, not `deny`"),
        ("prefix_rule([\"git\"], justification = \" \")", "`justification` is blank; say why, or leave it out"),
        ("prefix_rule([\"git\"], foo = 1)", "prefix_rule: has no argument `foo`; it has `pattern`, `decision`"),
        ("prefix_rule([\"git\"], pattern = [\"git\"])", "`pattern` is given twice"),
        ("prefix_rule()", "prefix_rule: `pattern` isn't given"),
        (
            "\n\nprefix_rule([\"git\"], match = [\"hg x\"])",
            "t.rules:3: the example `hg x` in `match` isn't matched by its rule",
        ),
        ("prefix_rule([\"git\"], not_match = [[\"git\", \"x\"]])", "the example `git x` in `not_match` is matched"),
        ("prefix_rule([\"git\"], match = [\"git 'x\"])", "the example `git 'x` in `match` has an unfinished quote"),
        ("prefix_rule([\"git\"], match = [\"\"])", "an example in `match` is empty"),
        ("prefix_rule([\"git\"", "t.rules:1:"),
        ("\nprefix_rules([\"git\"])", "t.rules:2:1: `prefix_rules` isn't defined"),
        ("load(\"x\", \"y\")", "t.rules:1:1: `load` isn't available in rule files"),
        ("print(1)", "`print` isn't defined"),
        ("host_executable(\"a/git\", [\"/a/git\"])", "`name` is a bare base name like `git`, not `a/git`"),
        ("host_executable(\"git\", [\"bin/git\"])", "`bin/git` in `paths` is neither absolute nor in `~/`"),
        ("host_executable(\"git\", [\"/bin/hg\"])", "`/bin/hg` in `paths` doesn't end in `git`"),
        ("network_rule(\"https://x\", \"https\", \"allow\")", "`host` is a host name or pattern without scheme"),
        ("network_rule(\"x\", \"ftp\", \"allow\")", "`protocol` is one of `http`, `https`"),
        ("network_rule(\"x\", \"http\", \"no\")", "`decision` is `allow`, `prompt`, `deny` or `forbidden`, not `no`"),
        ("x = 1\n\ty = 2", "tabs are not allowed"),
        ("fail(\"no\", 1)", "the file fails on purpose: no 1"),
    ] {
        let set = load(text);
        let shown: Vec<String> = set.broken().iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].contains(expected), "{text:?}: {shown:?}, expected {expected:?}");
        assert!(shown[0].starts_with("t.rules:"), "{shown:?}");
        assert!(set.rules().is_empty());
    }
}

#[test]
fn network_rules_take_every_spelling() {
    let set = load(
        "network_rule(\"example.com\", \"https_connect\", \"forbidden\", None)\nnetwork_rule(host = \"**.a.dev\", protocol = \"any\", decision = \"prompt\", justification = \"why\")\n",
    );
    assert_eq!(set.broken(), []);
    let shown: Vec<String> = ringfence_rules::effective(&set).into_iter().map(|one| one.statement).collect();
    assert_eq!(
        shown,
        [
            "network_rule(host=\"example.com\", protocol=\"https\", decision=\"deny\")",
            "network_rule(host=\"**.a.dev\", protocol=\"any\", decision=\"prompt\", justification=\"why\")"
        ]
    );
}

#[test]
fn a_project_may_only_tighten() {
    let mut set = load("prefix_rule([\"rm\"], \"forbidden\")");
    let text = "prefix_rule([\"curl\"])\nprefix_rule([\"npm\"], \"prompt\")\nhost_executable(\"rm\", [\"/x/rm\"])\nnetwork_rule(\"a.dev\", \"any\", \"allow\")\nnetwork_rule(\"b.dev\", \"any\", \"deny\")";
    let notices = set.load(&RuleFile { origin: origin(), text: text.as_bytes(), permit: Permit::TightenOnly });
    assert_eq!(notices.len(), 3);
    assert_eq!(set.judge(&words("curl x"), Programs::AtRunTime).decision, None);
    assert_eq!(set.judge(&words("npm i"), Programs::AtRunTime).decision, Some(Decision::Prompt));
    assert_eq!(set.judge(&words("/bin/rm x"), Programs::AtRunTime).decision, Some(Decision::Forbidden));
    assert_eq!(set.network_rules().len(), 1);
}

/// CMD-28: every way to make a rule file expensive or strange is bounded, named, and leaves a broken entry.
#[test]
fn cmd_28_rule_files_are_bounded_and_fail_closed() {
    let deep_list = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_paren = format!("x = {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let chain = format!("x = {}1", "1+".repeat(200_000));
    let unary = format!("x = {}1", "-".repeat(200_000));
    let calls = format!("x = f{}", "()".repeat(50_000));
    let elif = format!("if 1:\n  pass\n{}", "elif 1:\n  pass\n".repeat(20_000));
    let lambda = format!("x = {}1", "lambda: ".repeat(50_000));
    let blocks =
        (0..300).map(|n| format!("{}if 1:\n", " ".repeat(n))).collect::<String>() + &" ".repeat(300) + "pass\n";
    let big = "#".repeat(100 << 20);
    let digits = format!("x = {}", "9".repeat(1 << 20));
    let many = "prefix_rule([\"a\"])\n".repeat(150_000);
    for (number, (text, expected)) in [
        ("def f():\n  for i in range(1000000000):\n    pass\nf()", "bytes"),
        ("def f():\n  f()\nf()", "nested"),
        ("x = [0] * 1000000000", "bytes"),
        ("x = \"a\" * 1000000000", "bytes"),
        ("x = \"aaaaaaaa\"\nfor i in range(60): x = x + x", "bytes"),
        ("x = \"a\" * 1000000\ny = x.replace(\"a\", x)", "bytes"),
        ("x = \"a\" * 100000\ny = x.join([\"b\"] * 100000)", "bytes"),
        ("x = [i for i in range(100000) for j in range(100000)]", "steps"),
        ("x = list(range(1000000000))", "bytes"),
        ("x = 1 << 1000000000", "64 bits"),
        ("x = []\nx.append(x)\ny = str(x)", "nested"),
        ("x = [1]\nfor i in range(40): x = [x, x]\ny = x == x", "nested"),
        ("x = [1]\nfor i in range(31): x = [x, x]\ny = [1]\nfor i in range(31): y = [y, y]\nz = x == y", "steps"),
        (&deep_list, "deep"),
        (&deep_paren, "deep"),
        (&chain, "deep"),
        (&unary, "deep"),
        (&calls, "deep"),
        (&elif, "deep"),
        (&lambda, "deep"),
        (&blocks, "deep"),
        (&big, "split it"),
        (&digits, "digits"),
        (&many, "statements"),
        ("load(\"//x\", \"y\")", "`load` isn't available"),
        ("\u{feff}prefix_rule([\"a\"])", "byte order mark"),
        ("prefix_rule([\"a\0\"])", "NUL"),
        ("if 1:\n\tprefix_rule([\"a\"])", "tabs"),
        ("prefix_rule(pattern = [\"a\"], patern = 1)", "no argument `patern`"),
        ("prefix_rule([None])", "not a NoneType"),
        ("prefix_rule([\"a\"], match = [\"b\"])", "isn't matched"),
        ("while True:\n  pass", "while"),
        ("import os", "import"),
        ("x = open(\"/etc/passwd\")", "`open` isn't defined"),
    ]
    .into_iter()
    .enumerate()
    {
        let set = load(text);
        let shown: Vec<String> = set.broken().iter().map(ToString::to_string).collect();
        assert!(
            shown.len() == 1 && shown[0].contains(expected),
            "CMD-28.{}: {:?}…: {shown:?}, expected {expected:?}",
            number + 1,
            &text[..text.len().min(60)]
        );
        assert!(set.rules().is_empty(), "CMD-28.{}: nothing of a broken file counts", number + 1);
    }
    let mut set = RuleSet::new();
    set.load(&RuleFile { origin: origin(), text: b"prefix_rule([\"\xff\"])", permit: Permit::Everything });
    assert!(set.broken()[0].to_string().contains("isn't UTF-8"));
    // Honest neighbours: line ends of other systems, the same definition twice.
    assert_eq!(load("prefix_rule([\"a\"])\r\nprefix_rule([\"a\"])\r\n").rules().len(), 2);
}
