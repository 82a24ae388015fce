//! Requirements: the worked examples of the reference, composition, and what can't be read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{BUNDLE, Start, codes, entry, secret_key, service, sign};
use ed25519_dalek::SigningKey;
use ringfence_config::NetworkFlag;
use ringfence_config::bundle::Bundle;
use ringfence_model::mode::{ApprovalPolicy, Reviewer, SandboxMode, WebSearchMode};
use ringfence_model::requirements::{PolicyName, RequiredDecision};

const MODES: &str = "allowed_approval_policies = [\"untrusted\",\"on-request\"]\nallowed_sandbox_modes = [\"read-only\",\"workspace-write\"]\n";

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn ap_04_who_answers_is_pinned_for_flags_too() {
    let pinned = Start::new().requirements("allowed_approvals_reviewers = [\"user\"]\n");
    assert_eq!(pinned.ok().settings.approvals.reviewer.value, Reviewer::User);
    let with = pinned.clone().flags(|flags| flags.approve_with(&["/bin/yes".to_owned()]));
    assert!(with.error().contains("flag `--approve-with`"), "{}", with.error());
    assert!(pinned.flags(|flags| flags.approve_over()).error().contains("flag `--approve-over`"));
    let free = Start::new().flags(|flags| flags.approve_with(&["/bin/yes".to_owned(), "-x".to_owned()])).ok();
    assert_eq!(free.settings.approvals.reviewer.value, Reviewer::Program);
    assert_eq!(free.settings.approvals.program.expect("a program").value, ["/bin/yes", "-x"]);
    // A program that an administrator named stays the one that is asked.
    let managed = "approvals_reviewer = \"program\"\n[approvals]\nprogram = [\"/opt/review\"]\n";
    let start = Start::new().managed(managed).flags(|flags| flags.approve_with(&["/bin/yes".to_owned()]));
    assert_eq!(start.ok().settings.approvals.program.expect("a program").value, ["/opt/review"]);
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn example_1_modes_and_policies() {
    let start = Start::new().requirements(MODES);
    assert_eq!(start.ok().settings.sandbox_mode.value, SandboxMode::WorkspaceWrite);
    assert_eq!(
        start.clone().flags(|flags| flags.ask_for_approval("never")).error(),
        "`approval_policy = never` (flag `--ask-for-approval`) isn't allowed; allowed: untrusted, on-request; required by \
         `allowed_approval_policies` of /etc/ringfence/requirements.toml:1:1"
    );
    let full = start.clone().flags(|flags| flags.sandbox(SandboxMode::DangerFullAccess));
    assert_eq!(
        full.error(),
        "`sandbox_mode = danger-full-access` (flag `--sandbox`) isn't allowed; allowed: read-only, workspace-write; \
         required by `allowed_sandbox_modes` of /etc/ringfence/requirements.toml:2:1"
    );
    assert!(start.clone().flags(|flags| flags.bypass("--yolo")).error().contains("flag `--yolo`"));
    assert!(start.clone().user("approval_policy = \"never\"").error().contains("/home/me/.ringfence/config.toml:1:1"));
    assert!(
        start
            .clone()
            .config("approval_policy={ granular = { sandbox_approval = true, rules = true, mcp_elicitations = true } }")
            .error()
            .contains("isn't allowed")
    );
    let later = start.flags(|flags| {
        flags.sandbox(SandboxMode::DangerFullAccess);
        flags.sandbox(SandboxMode::ReadOnly);
    });
    assert!(later.error().contains("danger-full-access"), "a later flag doesn't hide an earlier one");
}

#[test]
fn example_2_web_search() {
    let cached = Start::new().requirements("allowed_web_search_modes = [\"cached\"]");
    assert!(
        cached
            .clone()
            .flags(|flags| flags.search())
            .error()
            .contains("`web_search = live` (flag `--search`) isn't allowed; allowed: cached, disabled")
    );
    let full = cached.clone().flags(|flags| flags.sandbox(SandboxMode::DangerFullAccess));
    let resolved = full.ok();
    assert_eq!(resolved.settings.web_search.value, WebSearchMode::Cached);
    assert_eq!(codes(&resolved), ["requirement-fallback"]);
    assert_eq!((resolved.adjustments[0].from.as_str(), resolved.adjustments[0].to.as_str()), ("live", "cached"));
    assert!(full.flags(|flags| flags.search()).error().contains("isn't allowed"));
    let none = Start::new().requirements("allowed_web_search_modes = []");
    assert_eq!(none.ok().settings.web_search.value, WebSearchMode::Disabled);
    assert!(none.clone().config("web_search=cached").error().contains("isn't allowed; allowed: disabled"));
    assert_eq!(none.config("web_search=disabled").ok().settings.web_search.value, WebSearchMode::Disabled);
}

#[test]
fn example_3_order_of_sources() {
    let start = Start::new()
        .mdm("allowed_sandbox_modes = [\"read-only\"]")
        .cloud("allowed_sandbox_modes = [\"read-only\",\"workspace-write\"]\nallowed_approval_policies = [\"never\"]")
        .requirements(&format!("allowed_approval_policies = [\"on-request\"]\n{}", service()));
    let resolved = start.ok();
    let modes = resolved.requirements.sandbox_modes.expect("set");
    assert_eq!(modes.value, [SandboxMode::ReadOnly]);
    assert_eq!(modes.origin.to_string(), "managed preference dev.ringfence/requirements_toml_base64, line 1");
    let policies = resolved.requirements.approval_policies.expect("set");
    assert_eq!(policies.value, [PolicyName::Never]);
    assert_eq!(policies.origin.to_string(), "policy https://policy.test version 3, line 2");
    assert_eq!(resolved.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(resolved.settings.approval_policy.value, ApprovalPolicy::Never);
    let first = start.requirements(&format!(
        "requirements_order = \"system-first\"\nallowed_approval_policies = [\"on-request\"]\n{}",
        service()
    ));
    assert_eq!(first.ok().settings.approval_policy.value, ApprovalPolicy::OnRequest);
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn example_4_legacy_fields() {
    let start = Start::new().managed("sandbox_mode = \"workspace-write\"");
    let full = start.clone().flags(|flags| flags.sandbox(SandboxMode::DangerFullAccess));
    assert!(
        full.error().ends_with("required by `allowed_sandbox_modes` of /etc/ringfence/managed_config.toml:1:1"),
        "{}",
        full.error()
    );
    let read = start.clone().flags(|flags| flags.sandbox(SandboxMode::ReadOnly)).ok();
    assert_eq!(read.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(
        start.clone().config("approval_policy=\"never\"").ok().settings.approval_policy.value,
        ApprovalPolicy::Never
    );
    let both = Start::new().managed("sandbox_mode = \"workspace-write\"\napproval_policy = \"on-request\"");
    assert!(both.config("approval_policy=\"never\"").error().contains("managed_config.toml:2:1"));
    let same = |table: &str| Start::new().managed(&format!("approval_policy = {table}"));
    let table = "{ granular = { sandbox_approval = true, rules = false, mcp_elicitations = true } }";
    let other = "{ granular = { sandbox_approval = true, rules = true, mcp_elicitations = true } }";
    assert!(same(table).config(&format!("approval_policy={table}")).load().is_ok());
    assert!(same(table).config(&format!("approval_policy={other}")).load().is_err());
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn example_5_command_rules_are_handed_on() {
    let start = Start::new().requirements(
        "[rules]\nprefix_rules = [ { pattern = [{ token = \"git\" }, { any_of = [\"push\", \"commit\"] }], decision = \"prompt\", justification = \"ask\" } ]",
    );
    let rules = start.ok().requirements.prefix_rules;
    assert_eq!(rules[0].pattern, [vec!["git".to_owned()], vec!["push".to_owned(), "commit".to_owned()]]);
    assert_eq!(rules[0].decision, RequiredDecision::Prompt);
    assert_eq!(rules[0].origin.to_string(), "/etc/ringfence/requirements.toml:2:18");
}

#[test]
fn example_6_mcp_servers() {
    let servers = "[mcp_servers.docs]\ncommand = \"/tmp/docs-mcp\"\n[mcp_servers.good]\ncommand = \"good\"\nargs = [\"serve\", \"--root=/x\"]\n[mcp_servers.net]\nurl = \"https://a.test/mcp\"";
    let start = Start::new().user(servers);
    assert!(start.ok().settings.mcp_servers.values().all(|server| server.enabled.value));
    let none = start.clone().requirements("[mcp_servers]").ok();
    assert!(none.settings.mcp_servers.values().all(|server| !server.enabled.value));
    assert_eq!(codes(&none), ["mcp-server-off"; 3]);
    let some = start.requirements(
        "[mcp_servers.docs]\nidentity = { command = \"docs-mcp\" }\n\
         [mcp_servers.good.identity]\ncommand = { executable = \"good\", args = [{ match = \"exact\", value = \"serve\" }, { match = \"prefix\", value = \"--root=\" }] }\n\
         [mcp_servers.net]\nidentity = { url = { match = \"regex\", value = 'https://[a-z]\\.test/mcp' } }",
    );
    let on: Vec<_> =
        some.ok().settings.mcp_servers.into_iter().map(|(name, server)| (name, server.enabled.value)).collect();
    assert_eq!(on, [("docs".into(), false), ("good".into(), true), ("net".into(), true)]);
}

#[test]
fn mc_03_identities_match_the_whole_value() {
    let with = |identity: &str, server: &str| {
        let start = Start::new()
            .requirements(&format!("[mcp_servers.s]\nidentity = {identity}"))
            .user(&format!("[mcp_servers.s]\n{server}"));
        start.ok().settings.mcp_servers["s"].enabled.value
    };
    assert!(!with("{ url = \"https://a.test/mcp\" }", "url = \"https://a.test/mcp/\""));
    assert!(!with("{ url = \"https://a.test/mcp\" }", "url = \"https://me@a.test/mcp\""));
    assert!(!with("{ url = { match = \"regex\", value = 'https://a\\.test' } }", "url = \"https://a.test.evil\""));
    assert!(!with("{ url = { match = \"regex\", value = 'a|https://a' } }", "url = \"https://a.evil\""));
    assert!(!with("{ command = { executable = \"x\", args = [] } }", "command = \"x\"\nargs = [\"more\"]"));
    assert!(with("{ command = { executable = \"x\" } }", "command = \"x\"\nargs = [\"more\"]"));
    assert!(!with("{ command = \"x\" }", "url = \"https://x\""));
}

#[test]
fn example_7_host_patterns() {
    let start = |host: &str| {
        let mut start = Start::new().requirements(
            "allowed_sandbox_modes = [\"read-only\"]\n[[remote_sandbox_config]]\nhostname_patterns = [\"*.devbox.example.com\"]\nallowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\n\
             [[remote_sandbox_config]]\nhostname_patterns = [\"runner-??.ci\"]\nallowed_sandbox_modes = [\"read-only\", \"danger-full-access\"]",
        );
        start.world.hostname = Some(host.into());
        start.ok().requirements.sandbox_modes.expect("set").value
    };
    use SandboxMode::{DangerFullAccess, ReadOnly, WorkspaceWrite};
    assert_eq!(start("A.DevBox.example.com"), [ReadOnly, WorkspaceWrite]);
    assert_eq!(start("x.y.devbox.example.com."), [ReadOnly, WorkspaceWrite]);
    assert_eq!(start("devbox.example.com"), [ReadOnly]);
    assert_eq!(start("runner-07.ci"), [ReadOnly, DangerFullAccess]);
    assert_eq!(start("runner-7.ci"), [ReadOnly]);
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn example_8_denied_reads_forbid_full_access() {
    let start = Start::new().requirements("[permissions.filesystem]\ndeny_read = [\"~/.ssh\", \"/**/*.env\"]");
    let denied = start.ok().settings.filesystem.deny_read;
    assert_eq!(denied.len(), 2);
    let error = start.clone().flags(|flags| flags.bypass("--yolo")).error();
    assert!(
        error.contains("required by `permissions.filesystem.deny_read` of /etc/ringfence/requirements.toml:2:14"),
        "{error}"
    );
    let profile = start.config("default_permissions=\":danger-full-access\"").error();
    assert!(profile.contains("isn't allowed"), "{profile}");
    let relative = Start::new().requirements("[permissions.filesystem]\ndeny_read = [\"./x\"]").error();
    assert!(relative.contains("requirements.toml:2:14"), "{relative}");
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn example_9_managed_defaults() {
    let resolved = Start::new().managed("approval_policy = \"on-request\"").user("approval_policy = \"never\"").ok();
    assert_eq!(resolved.settings.approval_policy.value, ApprovalPolicy::OnRequest);
    assert_eq!(codes(&resolved), ["managed-default"]);
    let never = resolved
        .requirements
        .check_approval_policy(ApprovalPolicy::Never, &ringfence_model::Origin::flag("/permissions"));
    assert!(never.is_err());
    let search = Start::new().managed("web_search = \"disabled\"").flags(|flags| flags.search()).ok();
    assert_eq!(search.settings.web_search.value, WebSearchMode::Disabled);
    assert_eq!(codes(&search), ["managed-default"]);
    assert!(
        search.requirements.check_web_search(WebSearchMode::Cached, &ringfence_model::Origin::flag("/search")).is_ok()
    );
    let mac = Start::new().managed("git = \"commit\"").preference("config_toml_base64", "git = \"read-only\"").ok();
    assert_eq!(mac.settings.git.value, ringfence_model::mode::GitAccess::ReadOnly);
}

/// An administrator who requires a hook must not believe that it runs.
#[test]
fn what_nothing_acts_on_is_said_at_start() {
    let required = "allow_managed_hooks_only = true\n[hooks]\nmanaged_dir = \"/h\"\n";
    assert!(Start::new().requirements(required).ok().notices.is_empty());
    let required = format!("{required}[[hooks.PreToolUse]]\nmatcher = \"Bash\"\n");
    let resolved = Start::new().requirements(&required).ok();
    assert_eq!(codes(&resolved), ["no-effect"]);
    let notice = &resolved.notices[0];
    assert!(notice.text.contains("runs no hooks"), "{notice:?}");
    assert!(notice.origin.as_ref().expect("a place").to_string().contains("requirements.toml:4"), "{notice:?}");

    let export = "[otel]\nexporter = \"otlp-http\"\nmetrics_exporter = \"otlp-grpc\"\ntrace_exporter = \"none\"\n";
    let resolved = Start::new().user(export).ok();
    assert_eq!(codes(&resolved), ["no-effect"]);
    assert!(resolved.notices[0].text.starts_with("`otel.exporter`, `otel.metrics_exporter` have no effect"));
}

#[test]
fn falling_back() {
    let policy = |allowed: &str| {
        let resolved = Start::new().requirements(&format!("allowed_approval_policies = {allowed}")).ok();
        (resolved.settings.approval_policy.value, resolved.notices.len())
    };
    assert_eq!(policy("[\"on-request\", \"never\"]"), (ApprovalPolicy::OnRequest, 0));
    assert_eq!(policy("[\"never\", \"untrusted\"]"), (ApprovalPolicy::Untrusted, 1));
    assert_eq!(policy("[\"never\"]"), (ApprovalPolicy::Never, 1));
    assert_eq!(policy("[\"never\", \"on-failure\"]"), (ApprovalPolicy::OnFailure, 1));
    let mode = Start::new().requirements("allowed_sandbox_modes = [\"read-only\", \"danger-full-access\"]").ok();
    assert_eq!(mode.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    let reviewer = Start::new().requirements("allowed_approvals_reviewers = [\"auto_review\"]").ok();
    assert_eq!(reviewer.settings.approvals.reviewer.value, Reviewer::Program);
    assert!(
        Start::new()
            .requirements("allowed_approvals_reviewers = [\"user\"]")
            .user("approvals_reviewer = \"program\"")
            .load()
            .is_err()
    );
}

#[test]
fn permission_profiles_are_a_complete_list() {
    let start = Start::new().requirements("default_permissions = \":read-only\"\n[allowed_permission_profiles]\n\":read-only\" = true\n\":workspace\" = false\n\"corp\" = true");
    assert_eq!(start.ok().settings.permissions.expect("the default").value, ":read-only");
    assert!(start.clone().config("default_permissions=\":workspace\"").error().contains("allowed: :read-only, corp"));
    assert!(start.clone().config("default_permissions=\":danger-full-access\"").load().is_err());
    let mode = start.clone().config("sandbox_mode=workspace-write").error();
    assert!(mode.contains("`allowed_permission_profiles`"), "a mode is no way around the list: {mode}");
    assert_eq!(start.clone().config("sandbox_mode=read-only").ok().settings.sandbox_mode.value, SandboxMode::ReadOnly);
    let stolen = start
        .system("[permissions.corp]\nextends = \":read-only\"")
        .user("default_permissions = \"corp\"\n[permissions.corp.filesystem]\n\"/\" = \"write\"")
        .ok();
    assert_eq!(stolen.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(codes(&stolen), ["managed-profile"]);
}

#[test]
fn network_requirements() {
    let start = Start::new().requirements(
        "[experimental_network]\nenabled = true\nmanaged_allowed_domains_only = true\nallow_local_binding = false\n[experimental_network.domains]\n\"**.example.com\" = \"allow\"\n\"blocked.example.com\" = \"deny\"",
    );
    let open = start.clone().user("[sandbox_workspace_write]\nnetwork_access = true\n[network]\npresets = [\"all\"]\n[network.domains]\n\"mine.test\" = \"allow\"\n\"no.test\" = \"deny\"");
    let network = open.ok().settings.network;
    assert!(network.access.value && network.proxy.value);
    let texts =
        |list: &[ringfence_model::Sourced<String>]| list.iter().map(|entry| entry.value.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&network.managed.allow), ["**.example.com"]);
    assert_eq!(texts(&network.managed.deny), ["no.test", "blocked.example.com"]);
    assert!(network.managed.presets.is_empty());
    assert!(start.clone().config("network.enabled=false").load().is_err());
    assert!(start.clone().config("network.allow_local_binding=true").load().is_err());
    assert!(start.flags(|flags| flags.network(NetworkFlag::On)).ok().settings.network.proxy.value);
    let pin = Start::new().requirements("[features]\nnetwork_proxy = true");
    assert!(pin.ok().settings.network.proxy.value);
    assert!(pin.user("[features]\nnetwork_proxy = false").load().is_err());
    let union = Start::new()
        .mdm("[network.domains]\n\"a.test\" = \"allow\"\n\"b.test\" = \"allow\"")
        .requirements("[network.domains]\n\"a.test\" = \"deny\"\n\"c.test\" = \"allow\"");
    let network = union.ok().requirements.network;
    assert_eq!(
        (texts(&network.allow), texts(&network.deny)),
        (vec!["b.test".into(), "c.test".into()], vec!["a.test".into()])
    );
}

#[test]
fn lists_that_narrow_add_up_and_others_fill() {
    let start = Start::new()
        .mdm("[permissions.filesystem]\ndeny_read = [\"/a\"]\n[features]\nnetwork_proxy = true\n[mcp_servers.a]\nidentity = { command = \"a\" }")
        .requirements("[permissions.filesystem]\ndeny_read = [\"/b\"]\n[features]\nnetwork_proxy = false\nuse_linux_sandbox_bwrap = true\n[mcp_servers.b]\nidentity = { command = \"b\" }\n[mcp_servers.a]\nidentity = { command = \"other\" }");
    let requirements = start.ok().requirements;
    assert_eq!(requirements.deny_read.len(), 2);
    assert!(requirements.features["network_proxy"].value && requirements.features["use_linux_sandbox_bwrap"].value);
    let servers = requirements.mcp_servers.expect("set").value;
    assert_eq!(servers.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(servers["a"].value, ringfence_model::requirements::McpIdentity::Command("a".into()));
    let closed = Start::new().mdm("[mcp_servers]").requirements("[mcp_servers.b]\nidentity = { command = \"b\" }");
    assert!(closed.ok().requirements.mcp_servers.expect("set").value.is_empty());
}

#[test]
fn inherited_files_are_lower_sources() {
    let start = Start::new()
        .requirements("inherit = [\"/etc/codex/requirements.toml\", \"/etc/none.toml\"]\nallowed_sandbox_modes = [\"read-only\"]")
        .file("/etc/codex/requirements.toml", "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\nallowed_approval_policies = [\"untrusted\"]\nallowed_login_methods = [\"x\"]");
    let resolved = start.ok();
    assert_eq!(resolved.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(resolved.settings.approval_policy.value, ApprovalPolicy::Untrusted);
    assert_eq!(resolved.settings.approval_policy.origin.to_string(), "/etc/codex/requirements.toml:2:1");
    assert_eq!(resolved.requirements.not_applicable[0].value, "allowed_login_methods");
    let twice = start.file("/etc/codex/requirements.toml", "inherit = [\"/x\"]");
    assert!(
        twice
            .error()
            .contains("/etc/codex/requirements.toml:1:1: `inherit` has no place in a file that is itself inherited")
    );
}

#[test]
#[cfg_attr(not(unix), ignore = "lays files where Unix has them")]
fn cf_01_requirements_that_cannot_be_read_stop_everything() {
    let error = |text: &str| Start::new().requirements(text).error();
    let at = "/etc/ringfence/requirements.toml";
    assert_eq!(error("allowed_sandbox_mode = []"), format!("{at}:1:1: unknown requirement `allowed_sandbox_mode`"));
    assert_eq!(
        error("\nallowed_sandbox_modes = \"read-only\""),
        format!(
            "{at}:2:1: `allowed_sandbox_modes` is \"read-only\"; expected a list, each element one of \"read-only\", \"workspace-write\", \"danger-full-access\""
        )
    );
    assert!(error("allowed_sandbox_modes = []").contains("is empty, so nothing would be allowed"));
    assert!(error("allowed_approval_policies = []").contains("is empty"));
    assert!(error("allowed_sandbox_modes = [\"workspace-write\"]").contains("lacks \"read-only\""));
    assert!(error("a = 1\na = 2").starts_with(&format!("{at}:2:1: duplicate key")), "{}", error("a = 1\na = 2"));
    assert!(error("\u{feff}a = 1").contains("byte order mark"));
    assert!(error("a = \"\0\"").contains(":1:6: it contains a NUL byte"), "{}", error("a = \"\0\""));
    assert!(
        error("[rules]\nprefix_rules = [{ pattern = [{ token = \"x\" }], decision = \"allow\" }]")
            .contains("a requirement can't allow")
    );
    assert!(error("[rules]\nprefix_rules = [{ pattern = [{ token = \"x\" }] }]").contains("lacks `decision`"));
    assert!(
        error("[rules]\nprefix_rules = [{ pattern = [{ token = \"x\", any_of = [\"y\"] }], decision = \"prompt\" }]")
            .contains("must be `{ token")
    );
    assert!(error("[mcp_servers.x]\n").contains("lacks `identity`"));
    assert!(error("[network]\nenabled = true\n[experimental_network]\nenabled = true").contains("two spellings"));
    assert!(error("[cloud]\npublic_keys = [\"ed25519:AAAA\"]").contains("is not a public key"));
    assert!(error("[network]\nenabled = 1").contains("expected `true` or `false`"));
    assert!(error("guardian_policy_config = 1.5").contains("1.5; expected a string"));
    let misplaced = Start::new().requirements("[cloud]\nrequired = false\ninherit = []").load().expect_err("misplaced");
    assert_eq!(misplaced.hint().as_deref(), Some("`inherit` is a key of the top: write it above the first `[table]`"));
    let mut bytes = Start::new();
    bytes.world.files.insert("/etc/ringfence/requirements.toml".into(), vec![b'a', 0xff]);
    assert!(bytes.error().contains(":1:2: it has bytes that aren't UTF-8"));
    bytes.world.files.insert("/etc/ringfence/requirements.toml".into(), vec![b'\n'; (1 << 20) + 1]);
    assert!(bytes.error().contains("more than 1048576 bytes"));
    let deep = format!("a = {}{}", "[".repeat(70), "]".repeat(70));
    assert!(error(&deep).contains("nested more than 64 levels"), "{}", error(&deep));
    let many = format!("a = [{}]", "1,".repeat(10_001));
    assert!(error(&many).contains("more than 10000 entries"));
    assert!(Start::new().managed("sandbox_mode = 1").error().contains("/etc/ringfence/managed_config.toml:1:1"));
    assert_eq!(
        Start::new().requirements("allowed_web_search_modes = [\"cached\"]\r\n").ok().settings.web_search.value,
        WebSearchMode::Cached
    );
}

#[test]
fn cf_03_managed_preferences_that_cannot_be_decoded() {
    let with = |text: &str| {
        let mut start = Start::new();
        start.world.preferences.insert("requirements_toml_base64".into(), text.into());
        start.error()
    };
    let at = "managed preference dev.ringfence/requirements_toml_base64";
    assert!(with("YQ=").starts_with(&format!("{at}: it isn't valid base64")));
    assert!(with("YT0x\nYQ==").contains("without line breaks"));
    assert!(with("YSA9").starts_with(&format!("{at}, line 1: ")), "{}", with("YSA9"));
    assert!(with(&"A".repeat(3 << 20)).contains("more than"));
    let big = Start::new().mdm(&" ".repeat((1 << 20) + 1));
    assert!(big.error().contains("more than 1048576 bytes"));
}

#[test]
fn cf_07_cloud_is_best_effort_unless_required() {
    let text = "allowed_approval_policies = [\"untrusted\"]";
    let good = Start::new().requirements(&service()).cloud(text);
    assert_eq!(good.ok().settings.approval_policy.value, ApprovalPolicy::Untrusted);
    let required = format!("{}required = true\n", service());
    let times = (900, 2_000);
    let other = sign("acme", times, text, &SigningKey::from_bytes(&[1; 32]));
    let edited = Bundle { requirements: "".into(), ..sign("acme", times, text, &secret_key()) };
    for (bad, why) in [
        (entry(&other), "none of the 1 configured public keys signed"),
        (entry(&sign("acme", (900, 950), text, &secret_key())), "expired at 1970-01-01T00:15:50Z"),
        (entry(&sign("emca", times, text, &secret_key())), "is for audience `emca`"),
        (entry(&edited), "none of the 1 configured public keys signed"),
        (good_half(&entry(&other)), "it can't be read"),
        (String::new(), "it can't be read"),
    ] {
        let start = good.clone().file(BUNDLE, &bad);
        let resolved = start.ok();
        assert_eq!(resolved.settings.approval_policy.value, ApprovalPolicy::OnRequest);
        assert_eq!(codes(&resolved), ["no-policy"]);
        assert!(resolved.notices[0].text.contains(why), "{}", resolved.notices[0].text);
        let stopped = start.requirements(&required).error();
        assert!(stopped.starts_with("no valid policy bundle") && stopped.contains(why), "{stopped}");
    }
    let seen = good.clone().file(
        "/home/me/.ringfence/state/cloud/seen.json",
        "{\"format\": 1, \"audiences\": {\"acme\": {\"version\": 4, \"digest\": \"x\"}}}",
    );
    assert!(seen.ok().notices[0].text.contains("version 3, but version 4 was in force here before"));
    let absent = Start::new().requirements(&required);
    assert!(absent.error().contains("none was fetched yet"));
    let broken = good.clone().cloud("allowed_sandbox_modes = 1");
    assert!(broken.error().starts_with("policy https://policy.test version 3, line 1"), "{}", broken.error());
    let user = Start::new().user("[cloud]\nurl = \"https://policy.test\"\naudience = \"acme\"").cloud(text).ok();
    assert_eq!(user.settings.approval_policy.value, ApprovalPolicy::OnRequest);
    assert!(user.notices[0].text.contains("no administrator named a key"));
    let own = good.cloud("[cloud]\nrequired = true");
    assert!(own.error().contains("has no place in a policy bundle"));
}

fn good_half(text: &str) -> String {
    text[..text.len() / 2].to_owned()
}

#[test]
fn cf_05_no_flag_moves_requirements() {
    let start = Start::new().requirements("allowed_sandbox_modes = [\"read-only\"]");
    for flag in [
        "allowed_sandbox_modes=[\"danger-full-access\"]",
        "cloud.required=false",
        "requirements_order=\"system-first\"",
    ] {
        let resolved = start.clone().config(flag).ok();
        assert_eq!(resolved.settings.sandbox_mode.value, SandboxMode::ReadOnly, "{flag}");
        assert_eq!(codes(&resolved)[0], "unknown-key");
    }
}
