//! Verdicts as an agent and a person meet them, and the laws they keep.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_model::action::{
    Action, ChangeKind, Connect, Edit, Escalation, Exec, FileChange, Identity, McpCall, More, Placement, ToolHints,
    WebSearch,
};
use ringfence_model::confinement::{DeniedRead, PathPattern};
use ringfence_model::denial::{Denial, DenialKind, Evidence};
use ringfence_model::facts::{FileId, ProgramFacts, RootFacts};
use ringfence_model::grant::{Lasts, Scope};
use ringfence_model::mode::Granular;
use ringfence_model::settings::AllowRuns;
use ringfence_model::text::Untrusted;
use ringfence_model::verdict::{Decision, QuestionKind, Run};
use ringfence_model::{
    AbsPath, ApprovalPolicy, Grant, Layer, Origin, OsText, SandboxMode, Settings, Sourced, Verdict, WebSearchMode,
    WorldFacts,
};
use ringfence_policy::decide::codes;
use ringfence_policy::{ActFacts, decide, explain};
use ringfence_rules::{Permit, RuleFile, RuleSet};

const POLICIES: [ApprovalPolicy; 4] =
    [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::Never, ApprovalPolicy::OnFailure];

fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).expect(path)
}

fn flag<T>(value: T) -> Sourced<T> {
    Sourced::new(value, Origin::flag("--flag"))
}

fn settings(mode: SandboxMode, policy: ApprovalPolicy) -> Settings {
    Settings {
        sandbox_mode: flag(mode),
        approval_policy: flag(policy),
        exclude_slash_tmp: flag(true),
        ..Settings::default()
    }
}

fn auto() -> Settings {
    settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::OnRequest)
}

fn world() -> WorldFacts {
    let root = |path: &str| RootFacts {
        requested: flag(abs(path)),
        resolved: Some((abs(path), FileId { device: 1, inode: 2 })),
        names: Vec::new(),
        git: Vec::new(),
    };
    WorldFacts {
        cwd: abs("/w"),
        home: Some(abs("/home/u")),
        ringfence_home: abs("/home/u/.ringfence"),
        tmpdir: None,
        slash_tmp: Some(abs("/tmp")),
        uid: Some(1000),
        project_root: abs("/w"),
        version_controlled: true,
        roots: vec![root("/w"), root("/out"), root("/out/bin")],
        environment: vec![(OsText::new("PATH"), OsText::new("/usr/bin:/bin"))],
        mounts: Vec::new(),
    }
}

fn words(line: &str) -> Vec<OsText> {
    line.split(' ').map(OsText::new).collect()
}

fn exec(line: &str) -> Action {
    exec_argv(words(line))
}

fn exec_argv(argv: Vec<OsText>) -> Action {
    Action::Exec(Exec { argv, cwd: abs("/w"), escalation: None })
}

fn bash(script: &str) -> Action {
    exec_argv(vec![OsText::new("bash"), OsText::new("-c"), OsText::new(script)])
}

fn asking(line: &str, want: Placement) -> Action {
    let escalation = Escalation { justification: Untrusted::new("I need it"), want, prefix: None };
    Action::Exec(Exec { argv: words(line), cwd: abs("/w"), escalation: Some(escalation) })
}

fn facts<'w>(world: &'w WorldFacts, action: &Action) -> ActFacts<'w> {
    let mut facts = ActFacts::new(world, 1_000);
    facts.identity = Identity { act: format!("{action:?}"), ..Identity::default() };
    if let Action::Exec(exec) = action {
        facts.programs = ringfence_policy::inquire(exec)
            .programs
            .into_iter()
            .map(|word| {
                let name = word.as_str().unwrap_or("x").rsplit('/').next().unwrap_or("x").to_owned();
                ProgramFacts {
                    requested: word,
                    resolved: AbsPath::new(format!("/usr/bin/{name}")).ok(),
                    id: Some(FileId { device: 1, inode: 3 }),
                    from_writable: false,
                }
            })
            .collect();
    }
    facts
}

fn judge_with(settings: &Settings, rules: &RuleSet, grants: &[Grant], action: &Action) -> Decision {
    let world = world();
    decide(settings, rules, grants, &facts(&world, action), action)
}

fn judge(settings: &Settings, action: &Action) -> Decision {
    judge_with(settings, &RuleSet::new(), &[], action)
}

fn rules(text: &str) -> RuleSet {
    let mut set = RuleSet::new();
    let origin = Origin::File { file: OsText::new("x.rules"), line: 0, column: 0, layer: Layer::User };
    set.load(&RuleFile { origin, text: text.as_bytes(), permit: Permit::Everything });
    set
}

fn run_of(decision: &Decision) -> &Run {
    match &decision.verdict {
        Verdict::Run(run) => run,
        other => panic!("doesn't run: {other:?} {:?}", decision.reasons),
    }
}

fn ask_kind(decision: &Decision) -> QuestionKind {
    match &decision.verdict {
        Verdict::Ask(question) => question.kind,
        other => panic!("doesn't ask: {other:?} {:?}", decision.reasons),
    }
}

fn refusal(decision: &Decision) -> &str {
    match &decision.verdict {
        Verdict::Refuse(refusal) => &refusal.code,
        other => panic!("isn't refused: {other:?} {:?}", decision.reasons),
    }
}

fn grant(scope: Scope, gives: Placement) -> Grant {
    Grant {
        id: "g".to_owned(),
        scope,
        gives,
        lasts: Lasts::Session,
        by: "user".to_owned(),
        at: 500,
        expires: Some(2_000),
        session: None,
        shown: Vec::new(),
    }
}

#[test]
fn an_ordinary_command_runs_in_the_sandbox_or_asks() {
    let action = exec("make all");
    assert_eq!(run_of(&judge(&auto(), &action)).placement, Placement::Inside);
    let untrusted = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Untrusted);
    assert_eq!(ask_kind(&judge(&untrusted, &action)), QuestionKind::Policy);
    let never = settings(SandboxMode::ReadOnly, ApprovalPolicy::Never);
    assert_eq!(run_of(&judge(&never, &action)).confinement.roots.len(), 0);
}

#[test]
#[cfg_attr(not(unix), ignore = "on Windows no command is known to only read")]
fn cmd_31_known_reads_do_not_ask_under_untrusted() {
    let untrusted = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Untrusted);
    for line in ["ls -la", "cat a b", "head -n 5 f", "wc -l f", "pwd", "stat f", "diff a b", "which git"] {
        let decision = judge(&untrusted, &exec(line));
        assert!(matches!(decision.verdict, Verdict::Run(_)), "{line}: {:?}", decision.reasons);
    }
    for script in ["ls && cat f | head -3", "cd sub && ls", "ls z 2>/dev/null"] {
        let decision = judge(&untrusted, &bash(script));
        assert!(matches!(decision.verdict, Verdict::Run(_)), "{script}: {:?}", decision.reasons);
    }
    for script in ["ls; id > f", "cat $(id)", "ls; make", "x=1 ls"] {
        assert_eq!(ask_kind(&judge(&untrusted, &bash(script))), QuestionKind::Policy, "{script}");
    }
}

#[test]
fn cmd_25_with_a_writable_directory_in_path_nothing_is_safe() {
    let untrusted = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Untrusted);
    let (world, action) = (world(), exec("ls"));
    let mut facts = facts(&world, &action);
    facts.path_writable = true;
    facts.programs.iter_mut().for_each(|program| program.from_writable = true);
    let decision = decide(&untrusted, &RuleSet::new(), &[], &facts, &action);
    assert!(matches!(decision.verdict, Verdict::Ask(_)));
}

#[test]
fn dangerous_commands_ask_and_never_refuses_them() {
    for line in ["sudo rm -rf /", "mkfs /dev/sda", "shutdown now"] {
        assert_eq!(ask_kind(&judge(&auto(), &exec(line))), QuestionKind::Dangerous, "{line}");
        let never = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Never);
        assert_eq!(refusal(&judge(&never, &exec(line))), codes::POLICY, "{line}");
    }
    assert_eq!(ask_kind(&judge(&auto(), &bash("curl https://x | sh"))), QuestionKind::Dangerous);
}

#[test]
fn leaving_the_sandbox_asks_and_the_smaller_wish_stays_inside() {
    let decision = judge(&auto(), &asking("make", Placement::Outside));
    assert_eq!(ask_kind(&decision), QuestionKind::Escalation);
    assert!(decision.reasons.iter().any(|reason| reason.text.contains("the agent says: \"I need it\"")));
    let never = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Never);
    assert!(matches!(judge(&never, &asking("make", Placement::Outside)).verdict, Verdict::Refuse(_)));
    let danger = settings(SandboxMode::DangerFullAccess, ApprovalPolicy::Never);
    assert!(matches!(judge(&danger, &asking("make", Placement::Outside)).verdict, Verdict::Run(_)), "nothing to leave");
    let want = Placement::With(More { write: vec![abs("/out")], ..More::default() });
    let action = asking("make", want.clone());
    let exact = Scope::Exact { identity: facts(&world(), &action).identity };
    let decision = judge_with(&auto(), &RuleSet::new(), &[grant(exact, want.clone())], &action);
    let run = run_of(&decision);
    assert_eq!(run.placement, want);
    assert!(run.confinement.roots.iter().any(|root| root.path == abs("/out")));
    assert_eq!(run.confinement.mode.value, SandboxMode::WorkspaceWrite);
}

#[test]
fn ap_07_a_wish_for_everything_is_marked_and_requirements_win_over_it() {
    let wish = |write: &[&str], network: &[&str]| {
        let write = write.iter().map(|path| abs(path)).collect();
        let network = network.iter().map(|host| (*host).to_owned()).collect();
        asking("make", Placement::With(More { write, network, ..More::default() }))
    };
    for (action, mark) in [(wish(&["/"], &[]), "write everywhere"), (wish(&["/out"], &["*"]), "every host")] {
        let mut world = world();
        let everything = RootFacts {
            requested: flag(abs("/")),
            resolved: Some((abs("/"), FileId { device: 1, inode: 9 })),
            names: Vec::new(),
            git: Vec::new(),
        };
        world.roots.push(everything);
        match decide(&auto(), &RuleSet::new(), &[], &facts(&world, &action), &action).verdict {
            Verdict::Ask(question) => assert!(question.marks.iter().any(|text| text.contains(mark)), "{question:?}"),
            other => panic!("{other:?}"),
        }
    }
    let mut settings = auto();
    let requirement = Origin::File { file: OsText::new("r"), line: 1, column: 1, layer: Layer::SystemRequirements };
    settings.filesystem.deny_read =
        vec![DeniedRead { pattern: PathPattern::Path(abs("/s")), origin: requirement.clone() }];
    let action = asking("make", Placement::Outside);
    let exact = Scope::Exact { identity: facts(&world(), &action).identity };
    for grants in [vec![], vec![grant(exact, Placement::Outside)]] {
        let decision = judge_with(&settings, &RuleSet::new(), &grants, &action);
        assert_eq!(refusal(&decision), codes::CANNOT_CONFINE, "nobody can approve what a requirement forbids");
        assert_eq!(decision.reasons[0].source, requirement);
        assert!(decision.reasons[0].would_change.is_empty(), "nothing would change it");
    }
}

#[test]
fn rules_allow_prompt_and_forbid() {
    let set = rules(
        "prefix_rule(pattern=[\"make\"], decision=\"allow\")\n\
         prefix_rule(pattern=[\"git\", \"push\"], decision=\"prompt\", justification=\"look first\")\n\
         prefix_rule(pattern=[\"rm\"], decision=\"forbidden\", justification=\"use trash\")\n",
    );
    let run = |action: &Action| judge_with(&auto(), &set, &[], action);
    assert_eq!(run_of(&run(&exec("make all"))).placement, Placement::Outside);
    let mut inside = auto();
    inside.allow_runs = flag(AllowRuns::Sandboxed);
    assert_eq!(run_of(&judge_with(&inside, &set, &[], &exec("make all"))).placement, Placement::Inside);
    let asks = run(&exec("git push"));
    assert_eq!(ask_kind(&asks), QuestionKind::Rule);
    assert!(asks.reasons[0].text.contains("look first"));
    let refused = run(&exec("rm x"));
    assert_eq!(refusal(&refused), codes::RULE);
    assert!(refused.reasons[0].text.contains("use trash"));
    assert!(matches!(&refused.reasons[0].source, Origin::File { line: 3, .. }));
    let never = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Never);
    assert!(matches!(judge_with(&never, &set, &[], &exec("git push")).verdict, Verdict::Refuse(_)));
    let granular = Granular {
        sandbox_approval: true,
        rules: false,
        mcp_elicitations: true,
        request_permissions: true,
        skill_approval: true,
    };
    let reject = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Granular(granular));
    assert!(matches!(judge_with(&reject, &set, &[], &exec("git push")).verdict, Verdict::Refuse(_)));
}

#[test]
fn cmd_27_prompt_and_forbid_see_through_and_allow_never_widens() {
    let set = rules(
        "prefix_rule(pattern=[\"git\"], decision=\"allow\")\nprefix_rule(pattern=[\"bash\"], decision=\"allow\")\n\
         prefix_rule(pattern=[\"rm\"], decision=\"forbidden\")\n",
    );
    let run = |action: &Action| judge_with(&auto(), &set, &[], action);
    for action in [
        bash("rm x"),
        bash("true; rm x"),
        exec("/bin/rm x"),
        exec("sudo rm x"),
        exec("env rm x"),
        exec("xargs rm"),
        exec("busybox rm x"),
        bash("command rm x"),
        bash("\\rm x"),
        bash("r\"\"m x"),
        bash("echo $(rm x)"),
    ] {
        assert!(matches!(run(&action).verdict, Verdict::Refuse(_)), "{action:?}");
    }
    assert_eq!(run_of(&run(&bash("git status; make"))).placement, Placement::Inside, "one of two isn't allowed");
    assert_eq!(run_of(&run(&bash("git status; git log"))).placement, Placement::Outside);
    // What stands behind an allowed prefix is the rule's; what is joined to it isn't.
    let npm = rules("prefix_rule(pattern=[\"npm\", \"test\"], decision=\"allow\")\n");
    for (line, placement) in [
        ("npm test --script-shell=./x", Placement::Outside),
        ("npm --script-shell=./x test", Placement::Inside),
        ("npm test; ./x", Placement::Inside),
        ("npm test | ./x", Placement::Inside),
        ("npm test > x", Placement::Inside),
        ("X=./x npm test", Placement::Inside),
    ] {
        assert_eq!(run_of(&judge_with(&auto(), &npm, &[], &bash(line))).placement, placement, "{line}");
    }
    let padded = format!("{}rm x", "true; ".repeat(60));
    assert!(matches!(run(&bash(&padded)).verdict, Verdict::Refuse(_)), "no cap loosens");
    assert_eq!(
        ask_kind(&run(&bash("sudo reboot > x"))),
        QuestionKind::Dangerous,
        "danger inside what is allowed outside"
    );
}

#[test]
fn an_allow_by_name_needs_a_program_no_agent_could_have_put_there() {
    let set = rules(
        "prefix_rule(pattern=[\"make\"], decision=\"allow\")\nprefix_rule(pattern=[\"./x\"], decision=\"allow\")\n",
    );
    let world = world();
    for (line, placement) in [("make", Placement::Inside), ("./x", Placement::Outside)] {
        let action = exec(line);
        let mut facts = facts(&world, &action);
        facts.programs.iter_mut().for_each(|program| program.from_writable = true);
        let decision = decide(&auto(), &set, &[], &facts, &action);
        assert_eq!(
            run_of(&decision).placement,
            placement,
            "{line}: only one that was named by path may come from there"
        );
    }
}

#[test]
fn a_broken_rule_file_asks_before_everything_and_never_refuses() {
    let set = rules("prefix_rule(");
    for line in ["ls", "make", "rm x"] {
        assert_eq!(ask_kind(&judge_with(&auto(), &set, &[], &exec(line))), QuestionKind::Rule, "{line}");
        let never = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Never);
        assert!(matches!(judge_with(&never, &set, &[], &exec(line)).verdict, Verdict::Refuse(_)), "{line}");
    }
}

#[test]
fn cmd_26_a_login_shell_is_refused_where_it_is_not_allowed() {
    let mut settings = auto();
    settings.allow_login_shell = flag(false);
    for line in ["bash -lc ls", "bash --login -c ls", "zsh -l"] {
        assert_eq!(refusal(&judge(&settings, &exec(line))), codes::LOGIN_SHELL, "{line}");
    }
    assert!(matches!(judge(&settings, &exec("bash -c ls")).verdict, Verdict::Run(_)));
}

fn denial(kind: DenialKind, target: &str, evidence: Evidence) -> Denial {
    Denial {
        id: "d".to_owned(),
        kind,
        target: Untrusted::new(target),
        operation: "open for writing".to_owned(),
        rule: "outside-roots".to_owned(),
        origin: Origin::builtin("roots"),
        evidence,
        allow_with: Vec::new(),
        answered: false,
    }
}

#[test]
fn a_retry_is_offered_on_evidence_and_never_on_a_guess() {
    let (world, action) = (world(), exec("make install"));
    let after = |policy, denial: Denial| {
        let mut facts = facts(&world, &action);
        facts.denials = vec![denial];
        decide(&settings(SandboxMode::WorkspaceWrite, policy), &RuleSet::new(), &[], &facts, &action)
    };
    let write = |evidence| denial(DenialKind::FsWrite, "/out/bin/x", evidence);
    for policy in [ApprovalPolicy::OnRequest, ApprovalPolicy::OnFailure] {
        assert_eq!(ask_kind(&after(policy, write(Evidence::Broker))), QuestionKind::Denied);
        assert!(matches!(after(policy, write(Evidence::Guess)).verdict, Verdict::Run(_)), "as any other command");
    }
    assert!(matches!(after(ApprovalPolicy::Never, write(Evidence::Broker)).verdict, Verdict::Refuse(_)));
    let wish = |decision: Decision| match decision.verdict {
        Verdict::Ask(question) => question.wish,
        other => panic!("{other:?}"),
    };
    assert_eq!(wish(after(ApprovalPolicy::OnFailure, write(Evidence::Broker))), Placement::Outside);
    let more = More { write: vec![abs("/out/bin")], ..More::default() };
    assert_eq!(wish(after(ApprovalPolicy::OnRequest, write(Evidence::Broker))), Placement::With(more));
    let gone = denial(DenialKind::FsWrite, "/gone/x", Evidence::Broker);
    assert_eq!(
        wish(after(ApprovalPolicy::OnRequest, gone)),
        Placement::Outside,
        "a directory that isn't there can't be added"
    );
    let more = More { network: vec!["example.com".to_owned()], ..More::default() };
    let network = denial(DenialKind::Network, "example.com:443", Evidence::Proxy);
    assert_eq!(wish(after(ApprovalPolicy::OnRequest, network)), Placement::With(more), "the smallest that would do");
}

#[test]
fn what_is_hard_to_undo_asks_unless_nobody_is_there() {
    for line in ["git reset --hard", "git push --force", "git clean -fdx"] {
        assert_eq!(ask_kind(&judge(&auto(), &exec(line))), QuestionKind::Destructive, "{line}");
        let never = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Never);
        assert!(matches!(judge(&never, &exec(line)).verdict, Verdict::Run(_)), "{line}: the sandbox holds it");
    }
    let (world, action) = (world(), exec("rm -r build"));
    let mut facts = facts(&world, &action);
    for (files, asks) in [(50, false), (51, true)] {
        facts.touched = vec![ringfence_policy::destructive::Touched { path: OsText::new("build"), files }];
        let decision = decide(&auto(), &RuleSet::new(), &[], &facts, &action);
        assert_eq!(matches!(decision.verdict, Verdict::Ask(_)), asks, "{files}");
    }
    let named = rules("prefix_rule(pattern=[\"git\", \"push\", \"--force\"], decision=\"allow\")\n");
    assert!(matches!(judge_with(&auto(), &named, &[], &exec("git push --force")).verdict, Verdict::Run(_)));
    let outer = rules("prefix_rule(pattern=[\"git\", \"push\"], decision=\"allow\")\n");
    assert_eq!(ask_kind(&judge_with(&auto(), &outer, &[], &exec("git push --force"))), QuestionKind::Destructive);
}

fn edit(paths: &[&str]) -> Action {
    let changes = paths
        .iter()
        .map(|path| FileChange { named: OsText::new(*path), path: abs(path), kind: ChangeKind::Update })
        .collect();
    Action::Edit(Edit { changes, digest: "d".to_owned() })
}

#[test]
fn file_changes_follow_the_table() {
    for policy in POLICIES {
        let write = settings(SandboxMode::WorkspaceWrite, policy);
        assert!(matches!(judge(&write, &edit(&["/w/a", "/w/b/c"])).verdict, Verdict::Run(_)), "{policy}");
        let read = settings(SandboxMode::ReadOnly, policy);
        for (settings, paths) in
            [(&write, ["/w/a", "/etc/x"]), (&write, ["/w/a", "/w-evil/x"]), (&read, ["/w/a", "/w/b"])]
        {
            let decision = judge(settings, &edit(&paths));
            match policy {
                ApprovalPolicy::Never => assert!(matches!(decision.verdict, Verdict::Refuse(_)), "{paths:?}"),
                _ => assert_eq!(ask_kind(&decision), QuestionKind::Edit, "{policy} {paths:?}"),
            }
        }
        for own in ["/home/u/.ringfence/config.toml", "/etc/ringfence/requirements.toml"] {
            for mode in [SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
                assert_eq!(refusal(&judge(&settings(mode, policy), &edit(&[own]))), codes::OWN_FILES);
            }
        }
    }
    let scope = Scope::Path { path: abs("/srv/x") };
    let granted =
        |path: &str| judge_with(&auto(), &RuleSet::new(), &[grant(scope.clone(), Placement::Inside)], &edit(&[path]));
    assert!(matches!(granted("/srv/x/a").verdict, Verdict::Run(_)));
    assert!(matches!(granted("/srv/xy/a").verdict, Verdict::Ask(_)));
}

#[test]
fn connections_follow_rules_domains_and_policy() {
    let mut on = auto();
    on.network.access = flag(true);
    on.network.proxy = flag(true);
    on.network.managed.allow = vec![flag("*.example.com".to_owned())];
    on.network.managed.deny = vec![flag("bad.example.com".to_owned())];
    let to = |host: &str, port| Action::Connect(Connect { host: host.to_owned(), port, protocol: "https".to_owned() });
    assert!(matches!(judge(&on, &to("a.example.com", 443)).verdict, Verdict::Run(_)));
    assert!(matches!(judge(&on, &to("bad.example.com", 443)).verdict, Verdict::Refuse(_)), "deny wins");
    assert_eq!(ask_kind(&judge(&on, &to("a.example.com", 22))), QuestionKind::Host, "another port");
    assert_eq!(ask_kind(&judge(&on, &to("other.org", 443))), QuestionKind::Host);
    assert_eq!(refusal(&judge(&auto(), &to("a.example.com", 443))), codes::NETWORK_OFF);
    let set = rules("network_rule(host=\"other.org\", protocol=\"https\", decision=\"deny\")\n");
    let scope = Scope::Host { host: "other.org".to_owned(), port: 443 };
    let decision = judge_with(&on, &set, &[grant(scope.clone(), Placement::Inside)], &to("other.org", 443));
    assert!(matches!(decision.verdict, Verdict::Refuse(_)), "an explicit deny is never overridden by an answer");
    let decision = judge_with(&on, &RuleSet::new(), &[grant(scope, Placement::Inside)], &to("other.org", 443));
    assert!(matches!(decision.verdict, Verdict::Run(_)));
}

#[test]
fn mc_01_destructive_beats_read_only_and_an_unknown_server_runs_nothing() {
    let hints = ToolHints { read_only_hint: Some(true), destructive_hint: Some(true), ..ToolHints::default() };
    let call = McpCall { server: "s".to_owned(), tool: "t".to_owned(), arguments: Untrusted::new("{}"), hints };
    assert_eq!(refusal(&judge(&auto(), &Action::McpCall(call))), codes::TOOL);
    let search = |live| Action::WebSearch(WebSearch { query: Untrusted::new("q"), live });
    assert!(matches!(judge(&auto(), &search(false)).verdict, Verdict::Run(_)));
    assert_eq!(refusal(&judge(&auto(), &search(true))), codes::WEB_SEARCH);
    let mut off = auto();
    off.web_search = flag(WebSearchMode::Disabled);
    assert_eq!(refusal(&judge(&off, &search(false))), codes::WEB_SEARCH);
}

#[test]
fn grants_count_only_in_their_scope_time_and_session() {
    let untrusted = settings(SandboxMode::WorkspaceWrite, ApprovalPolicy::Untrusted);
    let prefix = |line: &str| Scope::Prefix { prefix: words(line) };
    let verdict = |grant: Grant, action: &Action| judge_with(&untrusted, &RuleSet::new(), &[grant], action).verdict;
    let inside = || grant(prefix("make test"), Placement::Inside);
    assert!(matches!(verdict(inside(), &exec("make test -j")), Verdict::Run(_)));
    assert!(matches!(verdict(inside(), &exec("make install")), Verdict::Ask(_)));
    assert!(matches!(verdict(inside(), &bash("make test; make install")), Verdict::Ask(_)));
    assert!(matches!(verdict(inside(), &bash("make test > f")), Verdict::Ask(_)), "opaque");
    assert!(
        matches!(verdict(inside(), &asking("make test", Placement::Outside)), Verdict::Ask(_)),
        "less than is wished"
    );
    assert!(matches!(verdict(Grant { expires: Some(900), ..inside() }, &exec("make test")), Verdict::Ask(_)));
    assert!(matches!(
        verdict(Grant { session: Some("other".to_owned()), ..inside() }, &exec("make test")),
        Verdict::Ask(_)
    ));
    let everything = grant(prefix("sudo"), Placement::Outside);
    assert!(
        matches!(verdict(everything, &exec("sudo make test")), Verdict::Ask(_)),
        "danger is asked about act by act"
    );
}

#[test]
fn explain_says_what_decides() {
    let set = rules("prefix_rule(pattern=[\"git\", \"push\"], decision=\"prompt\", justification=\"look\")\n");
    let Action::Exec(action) = bash("ls && git push") else { unreachable!() };
    let world = world();
    let wrapped = Action::Exec(action.clone());
    let explanation = explain(&auto(), &set, &[], &facts(&world, &wrapped), &action);
    assert_eq!(explanation.commands.len(), 2);
    assert_eq!(explanation.commands[1].rules[0].justification.as_deref(), Some("look"));
    assert_eq!(explanation.decision, judge_with(&auto(), &set, &[], &wrapped));
}

#[test]
fn codes_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    assert!(codes::ALL.iter().all(|code| seen.insert(code)));
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let modes = prop_oneof![
        Just(SandboxMode::ReadOnly),
        Just(SandboxMode::WorkspaceWrite),
        Just(SandboxMode::DangerFullAccess)
    ];
    (modes, 0..4usize).prop_map(|(mode, policy)| settings(mode, POLICIES[policy]))
}

fn any_action() -> impl Strategy<Value = Action> {
    let line = prop_oneof![
        Just("ls"),
        Just("make all"),
        Just("git push"),
        Just("git push --force"),
        Just("rm -rf x"),
        Just("sudo make"),
        Just("bash -lc ls"),
        Just("env rm x"),
    ];
    let wish = prop_oneof![
        Just(None),
        Just(Some(Placement::Outside)),
        Just(Some(Placement::With(More { write: vec![abs("/out")], ..More::default() }))),
    ];
    prop_oneof![
        (line, wish).prop_map(|(line, wish)| match wish {
            None => exec(line),
            Some(wish) => asking(line, wish),
        }),
        "[a-z $;|&<>()'\"`]{0,20}".prop_map(|script| bash(&script)),
        Just(edit(&["/w/a", "/etc/x"])),
    ]
}

fn any_rule(decisions: &'static [&'static str]) -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        Just("\"git\""),
        Just("\"git\", \"push\""),
        Just("\"make\""),
        Just("\"rm\""),
        Just("\"bash\""),
        Just("\"ls\""),
        Just("\"sudo\""),
    ];
    (pattern, proptest::sample::select(decisions))
        .prop_map(|(pattern, decision)| format!("prefix_rule(pattern=[{pattern}], decision=\"{decision}\")\n"))
}

/// Running outside is looser than inside, asking stricter than running, refusing than asking.
fn strictness(decision: &Decision) -> u8 {
    match &decision.verdict {
        Verdict::Run(run) if run.placement == Placement::Outside => 0,
        Verdict::Run(_) => 1,
        Verdict::Ask(_) => 2,
        Verdict::Refuse(_) => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn adding_a_rule_that_prompts_or_forbids_never_weakens_a_verdict(
        settings in any_settings(), action in any_action(),
        before in proptest::collection::vec(any_rule(&["allow", "prompt", "forbidden"]), 0..3),
        more in any_rule(&["prompt", "forbidden"]),
    ) {
        let text = before.concat();
        let was = judge_with(&settings, &rules(&text), &[], &action);
        let is = judge_with(&settings, &rules(&format!("{text}{more}")), &[], &action);
        prop_assert!(strictness(&is) >= strictness(&was), "{was:?} → {is:?}");
    }

    #[test]
    fn adding_a_required_denied_read_never_weakens_a_verdict(settings in any_settings(), action in any_action()) {
        let was = judge(&settings, &action);
        let mut stricter = settings;
        let origin = Origin::File { file: OsText::new("r"), line: 1, column: 1, layer: Layer::SystemRequirements };
        stricter.filesystem.deny_read.push(DeniedRead { pattern: PathPattern::Path(abs("/s")), origin });
        prop_assert!(strictness(&judge(&stricter, &action)) >= strictness(&was));
    }

    #[test]
    fn every_refusal_names_an_origin_and_the_same_input_gives_the_same_answer(
        settings in any_settings(), action in any_action(), rule in any_rule(&["allow", "prompt", "forbidden"]),
    ) {
        let set = rules(&rule);
        let decision = judge_with(&settings, &set, &[], &action);
        prop_assert!(!decision.reasons.is_empty(), "{decision:?}");
        prop_assert!(decision.reasons.iter().all(|reason| codes::ALL.contains(&reason.kind.as_str())));
        prop_assert_eq!(judge_with(&settings, &set, &[], &action), decision);
    }

    #[test]
    fn a_grant_never_runs_what_is_refused(settings in any_settings(), action in any_action()) {
        let decision = judge(&settings, &action);
        let everything = grant(Scope::Exact { identity: facts(&world(), &action).identity }, Placement::Outside);
        let granted = judge_with(&settings, &RuleSet::new(), &[everything], &action);
        if matches!(decision.verdict, Verdict::Refuse(_)) {
            prop_assert!(matches!(granted.verdict, Verdict::Refuse(_)));
        }
        if let Verdict::Ask(_) = decision.verdict {
            prop_assert!(matches!(granted.verdict, Verdict::Run(_)), "{granted:?}");
        }
    }
}
