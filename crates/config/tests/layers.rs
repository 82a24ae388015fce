//! Layers: which one wins, what each value remembers of where it came from, and what a project can't do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Start, abs, codes};
use ringfence_config::gather::accept;
use ringfence_config::{NetworkFlag, ProjectLayer};
use ringfence_model::confinement::{PathPattern, UnixSockets};
use ringfence_model::mode::{ApprovalPolicy, Backend, GitAccess, SandboxMode, WebSearchMode};
use ringfence_model::settings::{Settings, Trust};

#[test]
fn nothing_set_is_the_default() {
    let resolved = Start::new().ok();
    let mut settings = resolved.settings;
    assert_eq!(settings.sandbox_mode.value, SandboxMode::WorkspaceWrite);
    assert!(!settings.sandbox_mode.origin.is_explicit());
    let defaults = Settings::default();
    settings.sandbox_mode = defaults.sandbox_mode.clone();
    settings.approval_policy.origin = defaults.approval_policy.origin.clone();
    settings.network.access.origin = defaults.network.access.origin.clone();
    settings.trust.origin = defaults.trust.origin.clone();
    assert_eq!(settings, defaults);
    assert!(resolved.notices.is_empty());
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn the_later_layer_wins_and_the_origin_stays() {
    let start = Start::new()
        .system("git = \"commit\"\nprivate_tmp = true\n")
        .user("\n  private_tmp = false\n[limits]\nmemory = \"1GiB\"\nprocesses = 7\n");
    let settings = start.clone().config("limits.processes=9").ok().settings;
    assert_eq!(settings.git.value, GitAccess::Commit);
    assert_eq!(settings.git.origin.to_string(), "/etc/ringfence/config.toml:1:1");
    assert!(!settings.private_tmp.value);
    assert_eq!(settings.private_tmp.origin.to_string(), "/home/me/.ringfence/config.toml:2:3");
    assert_eq!(settings.limits.memory.expect("set").value.0, 1 << 30);
    let processes = settings.limits.processes.expect("set");
    assert_eq!((processes.value, processes.origin.to_string().as_str()), (9, "flag `-c limits.processes`"));
}

#[test]
fn defaults_follow_trust_and_version_control() {
    let with = |trust: &str, vcs: bool, extra: &str| {
        let mut start = Start::new().user(&match trust {
            "" => extra.to_owned(),
            trust => format!("{extra}\n[projects.\"/w/app\"]\ntrust_level = \"{trust}\""),
        });
        if let Some(project) = &mut start.request.project {
            project.version_controlled = vcs;
        }
        let settings = start.ok().settings;
        (settings.sandbox_mode.value, settings.approval_policy.value, settings.trust.value)
    };
    use ApprovalPolicy::{OnRequest, Untrusted};
    use SandboxMode::{ReadOnly, WorkspaceWrite};
    assert_eq!(with("", true, ""), (WorkspaceWrite, OnRequest, Trust::Unknown));
    assert_eq!(with("", true, "require_trust = true"), (ReadOnly, OnRequest, Trust::Unknown));
    assert_eq!(with("trusted", true, "require_trust = true"), (WorkspaceWrite, OnRequest, Trust::Trusted));
    assert_eq!(with("", false, ""), (ReadOnly, OnRequest, Trust::Unknown));
    assert_eq!(with("trusted", false, ""), (WorkspaceWrite, OnRequest, Trust::Trusted));
    assert_eq!(with("untrusted", true, ""), (ReadOnly, Untrusted, Trust::Untrusted));
    assert_eq!(with("untrusted", true, "sandbox_mode = \"workspace-write\"").0, WorkspaceWrite);
}

#[test]
fn trust_is_of_this_path_and_of_none_above() {
    let start = Start::new().user("[projects.\"/w\"]\ntrust_level = \"trusted\"");
    assert_eq!(start.ok().settings.trust.value, Trust::Unknown);
}

#[test]
fn profiles_of_both_forms() {
    let start = Start::new()
        .system("[profiles.ci]\ngit = \"commit\"\nprivate_tmp = true")
        .user("git = \"read-only\"\n[profiles.ci]\nprivate_tmp = false");
    let mut named = start.clone();
    named.request.profile = Some("ci".into());
    let settings = named.ok().settings;
    assert_eq!(settings.git.value, GitAccess::Commit);
    assert_eq!(settings.git.origin.layer(), ringfence_model::Layer::Profile);
    assert!(!settings.private_tmp.value);
    assert_eq!(start.ok().settings.git.value, GitAccess::ReadOnly);

    let mut file = Start::new().file("/home/me/.ringfence/fast.config.toml", "web_search = \"live\"");
    file.request.profile = Some("fast".into());
    assert_eq!(file.ok().settings.web_search.value, WebSearchMode::Live);

    let mut both = named.file("/home/me/.ringfence/ci.config.toml", "");
    assert!(both.error().contains("profile `ci` is written twice"), "{}", both.error());
    both.request.profile = Some("cj".into());
    assert_eq!(both.error(), "flag `--profile`: there is no profile `cj`");
    both.request.profile = Some("../x".into());
    assert!(both.error().contains("can't be the name of a profile"));
}

#[test]
fn a_flag_falls_back_to_text_and_is_checked_like_a_file() {
    assert_eq!(Start::new().config("sandbox_mode=read-only").ok().settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(Start::new().config("linux.backend=\"bwrap\"").ok().settings.linux_backend.value, Backend::Bwrap);
    assert_eq!(
        Start::new().config("sandbox_mode=raed-only").error(),
        "flag `-c sandbox_mode`: `sandbox_mode` is \"raed-only\"; expected one of \"read-only\", \"workspace-write\", \
         \"danger-full-access\""
    );
    let unknown = Start::new().config("sandbx_mode=read-only").ok();
    assert_eq!(codes(&unknown), ["unknown-key"]);
    assert_eq!(unknown.notices[0].hint.as_deref(), Some("did you mean `sandbox_mode`?"));
}

#[test]
fn dedicated_flags() {
    let auto = Start::new().flags(|flags| flags.full_auto()).ok().settings;
    assert_eq!(
        (auto.sandbox_mode.value, auto.approval_policy.value),
        (SandboxMode::WorkspaceWrite, ApprovalPolicy::OnRequest)
    );
    assert_eq!(auto.sandbox_mode.origin.to_string(), "flag `--full-auto`");
    let yolo = Start::new().flags(|flags| flags.bypass("--yolo")).ok().settings;
    assert_eq!(
        (yolo.sandbox_mode.value, yolo.approval_policy.value),
        (SandboxMode::DangerFullAccess, ApprovalPolicy::Never)
    );
    assert_eq!(yolo.web_search.value, WebSearchMode::Live);
    assert!(yolo.network.access.value);
    let network = Start::new().flags(|flags| flags.network(NetworkFlag::Proxy)).ok().settings.network;
    assert!(network.access.value && network.proxy.value);
    let off = Start::new().config("sandbox_workspace_write.network_access=true");
    assert!(off.ok().settings.network.access.value);
    assert!(!off.flags(|flags| flags.network(NetworkFlag::Off)).ok().settings.network.access.value);
    let roots = Start::new().flags(|flags| flags.add_dir("../lib")).ok().settings.writable_roots;
    assert_eq!((roots[0].path.value.clone(), roots[0].required), (abs("/w/lib"), true));
    let env = Start::new().flags(|flags| {
        flags.env("KEEP").expect("name");
        flags.env("A=b=c").expect("pair");
    });
    let environment = env.ok().settings.environment;
    assert_eq!(environment.pass[0].value, "KEEP");
    assert_eq!(environment.set["A"].value, "b=c");
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn roots_are_relative_to_their_file_and_homes_expand() {
    let text = "[sandbox_workspace_write]\nwritable_roots = [\"cache\", \"~/x\", \"$HOME/y\", \"/abs\", \"../up\"]";
    let roots = Start::new().user(text).ok().settings.writable_roots;
    let paths: Vec<_> = roots.iter().map(|root| root.path.value.display()).collect();
    assert_eq!(paths, ["/home/me/.ringfence/cache", "/home/me/x", "/home/me/y", "/abs", "/home/me/up"]);
    assert_eq!(roots[1].path.origin.to_string(), "/home/me/.ringfence/config.toml:2:28");
    let bad = Start::new().user("[sandbox_workspace_write]\nwritable_roots = [\"~root/x\"]").error();
    assert!(bad.contains("config.toml:2:19: `~root/x` has a `~` or `$` that isn't understood"), "{bad}");
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn the_escape_suites_files_mean_what_they_say() {
    let profile = Start::new().user(
        r#"
default_permissions = "esc"
[permissions.esc]
extends = ":workspace"
[permissions.esc.filesystem]
"/srv/secret" = "deny"
"/home/me/.ssh" = "deny"
[permissions.esc.filesystem.":workspace_roots"]
"**/.env" = "deny"
"#,
    );
    let settings = profile.ok().settings;
    assert_eq!(settings.sandbox_mode.value, SandboxMode::WorkspaceWrite);
    assert!(
        settings.workspace_writable.value
            && !settings.exclude_slash_tmp.value
            && !settings.exclude_tmpdir_env_var.value
    );
    let denied: Vec<String> = settings
        .filesystem
        .deny_read
        .iter()
        .map(|denied| match &denied.pattern {
            PathPattern::Path(path) => path.display(),
            PathPattern::Glob(glob) => format!("glob {}", glob.as_str()),
        })
        .collect();
    assert_eq!(denied, ["/home/me/.ssh", "/srv/secret", "glob /w/app/**/.env"]);
    assert_eq!(settings.permissions.expect("in force").value, "esc");

    let sockets = Start::new().user("sandbox_mode = \"workspace-write\"\nallow_unix_sockets = [\"/o/s.sock\"]");
    assert!(matches!(sockets.ok().settings.unix_sockets, UnixSockets::Only(list) if list[0].value == abs("/o/s.sock")));

    let limits = Start::new().user(
        "[limits]\nprocesses = 100\nmemory = \"256MiB\"\nopen_files = 64\nfile_size = \"8MiB\"\ncpu_time = \"2s\"\nwall_clock = \"4s\"",
    );
    let limits = limits.ok().settings.limits;
    assert_eq!(limits.wall_clock.expect("set").value.to_string(), "4s");
    assert_eq!(limits.file_size.expect("set").value.0, 8 << 20);

    let network = Start::new()
        .user(
            "[sandbox_workspace_write]\nnetwork_access = true\n[network]\nenabled = true\nmode = \"full\"\n\
             [network.domains]\n\"allowed.test:*\" = \"allow\"\n\"x.test\" = \"deny\"",
        )
        .ok()
        .settings
        .network;
    assert!(network.access.value && network.proxy.value);
    assert_eq!(network.managed.allow[0].value, "allowed.test:*");
    assert_eq!(network.managed.deny[0].value, "x.test");
}

#[test]
fn a_mode_wins_over_a_permission_profile_with_a_notice() {
    let start = Start::new().user("sandbox_mode = \"read-only\"\ndefault_permissions = \":workspace\"");
    let resolved = start.ok();
    assert_eq!(resolved.settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert!(resolved.settings.permissions.is_none());
    assert_eq!(codes(&resolved), ["profile-not-in-force"]);
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn cf_04_a_project_tightens_and_never_widens() {
    let wide = r#"
sandbox_mode = "danger-full-access"
approval_policy = "never"
unprotected_paths = [".git"]
allow_unix_sockets = ["/run/docker.sock"]
git = "commit"
default_permissions = ":danger-full-access"
profile = "x"
project_root_markers = ["x"]
[sandbox_workspace_write]
network_access = true
writable_roots = ["/"]
[network]
mode = "full"
allow_local_binding = true
[network.domains]
"evil.test" = "allow"
[mcp_servers.x]
command = "evil"
[otel]
exporter = "otlp-http"
[projects."/w/app"]
allow_project_overrides = ["sandbox_mode"]
[shell_environment_policy]
ignore_default_excludes = true
set = { PATH = "/w/app/bin" }
[permissions.a.filesystem]
"/" = "write"
[profiles.x]
git = "commit"
[cloud]
url = "https://evil.test"
[linux]
backend = "landlock"
"#;
    let resolved = Start::new().trusted_project(wide).ok();
    let plain = Start::new().trusted_project("").ok();
    assert_eq!(resolved.settings, Settings { network: resolved.settings.network.clone(), ..plain.settings });
    assert!(!resolved.settings.network.access.value && resolved.settings.network.managed.allow.is_empty());
    let notices: Vec<_> = resolved.notices.iter().filter(|notice| notice.code == "project-key-ignored").collect();
    assert!(notices.len() >= 18, "{notices:#?}");
    assert!(notices.iter().all(|notice| {
        notice.origin.as_ref().is_some_and(|o| o.to_string().starts_with("/w/app/.ringfence/config.toml:"))
    }));
}

#[test]
fn au_04_a_project_sends_no_telemetry_anywhere() {
    let plain = Start::new().trusted_project("").ok();
    let keys = [
        "exporter = { otlp-http = { endpoint = \"https://evil.test\", protocol = \"json\", headers = { a = \"b\" } } }",
        "exporter = { otlp-grpc = { endpoint = \"https://evil.test\" } }",
        "exporter = \"otlp-http\"",
        "trace_exporter = \"otlp-http\"",
        "metrics_exporter = \"otlp-http\"",
        "log_user_prompt = true",
    ];
    for key in keys {
        let project = format!("[otel]\n{key}\n");
        let untrusted = Start::new().file("/w/app/.ringfence/config.toml", &project).ok();
        assert_eq!(untrusted.settings, Start::new().ok().settings, "{key}");
        let resolved = Start::new().trusted_project(&project).ok();
        assert_eq!(resolved.settings, plain.settings, "{key}");
        let said = resolved.notices.iter().any(|notice| {
            notice.code == "project-key-ignored"
                && notice.origin.as_ref().is_some_and(|at| at.to_string().starts_with("/w/app/.ringfence/config.toml:"))
        });
        assert!(said, "{key}: {:#?}", resolved.notices);
    }
}

#[test]
fn a_project_may_tighten() {
    let strict = r#"
sandbox_mode = "read-only"
approval_policy = "untrusted"
protected_paths = ["vendor"]
deny_read = ["/**/*.pem"]
private_tmp = true
[shell_environment_policy]
inherit = "core"
exclude = ["AWS_*"]
[network.domains]
"bad.test" = "deny"
[limits]
processes = 10
"#;
    let start = Start::new().user("protected_paths = [\"dist\"]\n[limits]\nprocesses = 100\n").trusted_project(strict);
    let resolved = start.ok();
    assert_eq!(codes(&resolved), [""; 0]);
    let settings = resolved.settings;
    assert_eq!(settings.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(settings.approval_policy.value, ApprovalPolicy::Untrusted);
    let protected: Vec<_> = settings.protected_paths.iter().map(|path| path.value.as_str()).collect();
    assert_eq!(protected, ["dist", "vendor"]);
    assert_eq!(settings.filesystem.deny_read.len(), 1);
    assert_eq!(settings.limits.processes.expect("set").value, 10);
    assert_eq!(settings.network.managed.deny[0].value, "bad.test");
}

#[test]
fn a_project_that_is_not_trusted_is_not_read() {
    let start = Start::new().file("/w/app/.ringfence/config.toml", "this is no toml");
    assert_eq!(start.ok().settings.trust.value, Trust::Unknown);
}

#[test]
fn an_override_in_the_users_own_entry_lets_a_project_set_a_key() {
    let start = Start::new()
        .user("")
        .file("/w/app/.ringfence/config.toml", "git = \"commit\"\n[sandbox_workspace_write]\nnetwork_access = true");
    let start = start.user(
        "[projects.\"/w/app\"]\ntrust_level = \"trusted\"\nallow_project_overrides = [\"sandbox_workspace_write\", \"rules.allow\"]",
    );
    let resolved = start.ok();
    assert!(resolved.settings.network.access.value);
    assert_eq!(resolved.settings.git.value, GitAccess::ReadOnly);
    assert_eq!(codes(&resolved), ["project-key-ignored"]);
    assert_eq!(resolved.settings.project_overrides[1].value, "rules.allow");
}

#[test]
fn a_projects_mode_narrows_a_permission_profile_and_does_not_replace_it() {
    let user = "default_permissions = \"p\"\n[permissions.p]\nextends = \":workspace\"\n[permissions.p.filesystem]\n\"/secret\" = \"deny\"\n";
    let narrowed = Start::new().user(user).trusted_project("sandbox_mode = \"read-only\"").ok().settings;
    assert_eq!(narrowed.sandbox_mode.value, SandboxMode::ReadOnly);
    assert_eq!(narrowed.filesystem.deny_read.len(), 1);
    let read_only = "default_permissions = \":read-only\"\n";
    let same = Start::new().user(read_only).trusted_project("sandbox_mode = \"workspace-write\"").ok().settings;
    assert_eq!(same.sandbox_mode.value, SandboxMode::ReadOnly);
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn cf_06_a_project_that_changed_since_it_was_trusted_is_not_read() {
    let start = Start::new().trusted_project("git = \"read-only\"\nprivate_tmp = true");
    assert!(start.ok().settings.private_tmp.value, "written by hand: in force, and recorded");
    assert!(start.ok().settings.private_tmp.value, "unchanged");
    let changed = start.clone().file("/w/app/.ringfence/config.toml", "private_tmp = true\n# more");
    let resolved = changed.ok();
    assert!(!resolved.settings.private_tmp.value);
    assert_eq!(codes(&resolved), ["project-changed"]);
    let ProjectLayer::Changed(change) = &resolved.project_layer else { panic!("{:?}", resolved.project_layer) };
    assert_eq!(change.changed, ["/w/app/.ringfence/config.toml"]);
    let added = start.clone().file("/w/app/.ringfence/rules/x.rules", "").ok();
    assert!(
        matches!(added.project_layer, ProjectLayer::Changed(change) if change.added == ["/w/app/.ringfence/rules/x.rules"])
    );
    let mut gone = start.clone();
    gone.world.files.remove(std::path::Path::new("/w/app/.ringfence/config.toml"));
    assert!(matches!(gone.ok().project_layer, ProjectLayer::Changed(change) if change.removed.len() == 1));
    accept(&changed.request.places, &changed.request.cwd, &abs("/w/app"), &changed.world).expect("records");
    assert!(changed.ok().settings.private_tmp.value, "accepted");
}

#[test]
fn cf_06_settings_of_a_new_directory_below_a_trusted_root_are_a_change() {
    let start = Start::new().trusted_project("private_tmp = true");
    start.ok();
    let mut below = start.file("/w/app/sub/.ringfence/config.toml", "git = \"read-only\"");
    below.request.cwd = abs("/w/app/sub");
    assert!(matches!(below.ok().project_layer, ProjectLayer::Changed(_)));
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn what_is_said_of_a_project_holds_there_and_nowhere_else() {
    use ApprovalPolicy::{Never, OnRequest, Untrusted};
    use SandboxMode::{DangerFullAccess, ReadOnly, WorkspaceWrite};
    let user = "sandbox_mode = \"danger-full-access\"\napproval_policy = \"never\"\n\
                [projects.\"/w/app\"]\nsandbox_mode = \"read-only\"\napproval_policy = \"untrusted\"\n";
    let of = |start: &Start| {
        let settings = start.ok().settings;
        (settings.sandbox_mode.value, settings.approval_policy.value)
    };
    let start = Start::new().user(user);
    assert_eq!(of(&start), (ReadOnly, Untrusted));
    let settings = start.ok().settings;
    assert_eq!(settings.sandbox_mode.origin.to_string(), "/home/me/.ringfence/config.toml:4:1");
    assert_eq!(settings.approval_policy.origin.to_string(), "/home/me/.ringfence/config.toml:5:1");
    let mut elsewhere = start.clone();
    elsewhere.request.project = Some(ringfence_config::ProjectFacts { root: abs("/w"), version_controlled: true });
    assert_eq!(of(&elsewhere), (DangerFullAccess, Never));
    // Of two files the higher one's word for all holds over the lower one's for the project, and a flag over both.
    let system = "[projects.\"/w/app\"]\nsandbox_mode = \"read-only\"\n";
    let both = Start::new().system(system).user("sandbox_mode = \"workspace-write\"\n");
    assert_eq!(of(&both), (WorkspaceWrite, OnRequest));
    assert_eq!(of(&start.clone().flags(|flags| flags.sandbox(WorkspaceWrite))), (WorkspaceWrite, Untrusted));
    let word = "projects.\"/w/app\".sandbox_mode=\"danger-full-access\"";
    assert_eq!(of(&start.clone().config(word)), (DangerFullAccess, Untrusted));
    assert_eq!(of(&start.clone().config(word).flags(|flags| flags.sandbox(ReadOnly))), (ReadOnly, Untrusted));
    // An administrator's default displaces it, a requirement rejects it, and a project can't say it of itself.
    let managed = start.clone().managed("approval_policy = \"on-request\"\n");
    assert_eq!(of(&managed), (ReadOnly, OnRequest));
    assert!(codes(&managed.ok()).contains(&"managed-default"));
    let loose = Start::new().user("[projects.\"/w/app\"]\nsandbox_mode = \"danger-full-access\"\n");
    assert_eq!(of(&loose), (DangerFullAccess, OnRequest));
    let error = loose.requirements("allowed_sandbox_modes = [\"read-only\"]\n").error();
    assert!(error.contains("config.toml:2:1") && error.contains("requirements.toml:1:1"), "{error}");
    let own = Start::new().trusted_project("[projects.\"/w/app\"]\nsandbox_mode = \"danger-full-access\"\n");
    assert_eq!(of(&own), (WorkspaceWrite, OnRequest));
    assert!(codes(&own.ok()).contains(&"project-key-ignored"), "{:?}", codes(&own.ok()));
}
