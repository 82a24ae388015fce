//! What a person sees of settings, and how files are checked and compared without a start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Start;
use ringfence_config::diff::{Direction, diff};
use ringfence_config::inspect::{FileKind, check_bytes};
use ringfence_config::{reference, registry, requirements, schema, show};
use std::path::Path;

fn path(text: &str) -> Vec<String> {
    ringfence_config::document::parse_path(text).expect(text)
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn every_effective_key_names_its_origin() {
    let resolved = Start::new()
        .system("git = \"commit\"")
        .user("protected_paths = [\"a\"]\n[shell_environment_policy.set]\nTOKEN = \"s3cret\"")
        .trusted_project("protected_paths = [\"b\"]")
        .requirements("allowed_web_search_modes = []")
        .config("limits.processes=9")
        .ok();
    let overview = show::show(&resolved);
    let line = |key: &str| {
        let shown = overview.settings.iter().find(|shown| shown.key == key).expect(key);
        format!("{} = {} ({}, set: {})", shown.key, shown.value, shown.origin, shown.is_set)
    };
    assert_eq!(line("git"), "git = \"commit\" (/etc/ringfence/config.toml:1:1, set: true)");
    assert_eq!(line("limits.processes"), "limits.processes = 9 (flag `-c limits.processes`, set: true)");
    assert_eq!(line("private_tmp"), "private_tmp = false (built in: default of `private_tmp`, set: false)");
    assert_eq!(line("web_search"), "web_search = \"disabled\" (/etc/ringfence/requirements.toml:1:1, set: true)");
    assert_eq!(
        line("sandbox_mode"),
        "sandbox_mode = \"workspace-write\" (built in: default of `sandbox_mode` for a version-controlled, trusted \
         project, set: false)"
    );
    let parts = &overview.settings.iter().find(|shown| shown.key == "protected_paths").expect("set").parts;
    let origins: Vec<_> = parts.iter().map(|(value, origin)| format!("{value} {origin}")).collect();
    assert_eq!(origins, ["\"a\" /home/me/.ringfence/config.toml:1:20", "\"b\" /w/app/.ringfence/config.toml:1:20"]);
    let json = serde_json::to_string(&overview).expect("serialises");
    assert!(!json.contains("s3cret"), "values that may be credentials aren't shown");
    assert_eq!(overview.requirements[0].key, "allowed_web_search_modes");
    let changed =
        overview.settings.iter().find_map(|shown| shown.changed.as_ref()).expect("one requirement changed a key");
    assert_eq!(
        (changed.key.as_str(), changed.from.as_str(), changed.to.as_str()),
        ("web_search", "cached", "disabled")
    );
    assert_eq!(overview.sources.len(), 4);
}

#[test]
fn one_key_or_section() {
    let resolved = Start::new().user("[limits]\nmemory = \"1GiB\"\nprocesses = 3").ok();
    assert_eq!(show::get(&resolved, &path("limits.memory")).expect("set").value.to_string(), "\"1GiB\"");
    assert_eq!(
        show::get(&resolved, &path("limits")).expect("set").value.to_string(),
        "{ memory = \"1GiB\", processes = 3 }"
    );
    assert_eq!(show::get(&resolved, &path("git")).expect("known").value.to_string(), "\"read-only\"");
    let unknown = show::get(&resolved, &path("limits.memroy")).expect_err("unknown");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `memory`?"));
}

#[test]
fn comparing_two_files_says_what_got_weaker() {
    let compare = |a: &str, b: &str, kind| {
        let found =
            diff((Path::new("a.toml"), a.as_bytes()), (Path::new("b.toml"), b.as_bytes()), kind).expect("valid");
        found.into_iter().map(|found| (found.key, found.direction)).collect::<Vec<_>>()
    };
    use Direction::{Other, Stricter, Weaker};
    let found = compare(
        "sandbox_mode = \"read-only\"\napproval_policy = \"never\"\nprotected_paths = [\"a\"]\n[limits]\nmemory = \"1GiB\"\n[network.domains]\n\"a.test\" = \"allow\"",
        "sandbox_mode = \"workspace-write\"\napproval_policy = \"on-request\"\nprotected_paths = [\"a\", \"b\"]\nprivate_tmp = false\n[limits]\nmemory = \"2GiB\"\n[linux]\nbackend = \"bwrap\"\n[network.domains]\n\"b.test\" = \"allow\"\n\"a.test\" = \"allow\"",
        FileKind::Config,
    );
    let expected = [
        ("limits.memory", Weaker),
        ("network.domains", Weaker),
        ("sandbox_mode", Weaker),
        ("approval_policy", Stricter),
        ("protected_paths", Stricter),
        ("linux.backend", Other),
    ];
    assert_eq!(found, expected.map(|(key, way)| (key.to_owned(), way)));
    let found = compare(
        "allowed_sandbox_modes = [\"read-only\"]\n[permissions.filesystem]\ndeny_read = [\"/a\"]",
        "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\nallowed_web_search_modes = []\n[permissions.filesystem]\ndeny_read = [\"/a\", \"/b\"]\n[network]\nenabled = true",
        FileKind::Requirements,
    );
    let expected = [
        ("allowed_sandbox_modes", Weaker),
        ("allowed_web_search_modes", Stricter),
        ("experimental_network.enabled", Stricter),
        ("permissions.filesystem.deny_read", Stricter),
    ];
    assert_eq!(found, expected.map(|(key, way)| (key.to_owned(), way)));
    assert!(diff((Path::new("a.toml"), b"x = "), (Path::new("b.toml"), b""), FileKind::Config).is_err());
}

#[test]
fn checking_a_file_by_its_name() {
    let check = |name: &str, text: &str| {
        let file = Path::new(name);
        let checked = check_bytes(file, text.as_bytes(), FileKind::of(file));
        let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
        (problems, checked.notices.len())
    };
    assert_eq!(check("policies/config.toml", "git = \"commit\"\ncolour = 1"), (vec![], 1));
    assert_eq!(
        check("config.toml", "git = \"commits\"\n[limits]\nmemory = \"x\""),
        (
            vec![
                "config.toml:1:1: `git` is \"commits\"; expected one of \"read-only\", \"commit\" (did you mean \"commit\"?)".into(),
                "config.toml:3:1: `limits.memory` is \"x\"; expected a size such as 512, \"64KiB\", \"8MiB\" or \"2GB\"".into(),
            ],
            0
        )
    );
    assert_eq!(check("corp-requirements.toml", "allowed_login_methods = []"), (vec![], 1));
    let unknown = check("requirements.toml", "allowed_sandbox_mode = []").0;
    assert_eq!(
        unknown,
        ["requirements.toml:1:1: unknown requirement `allowed_sandbox_mode` (did you mean `allowed_sandbox_modes`?)"]
    );
    let cycle = check("x.config.toml", "[permissions.a]\nextends = \"b\"\n[permissions.b]\nextends = \"a\"").0;
    assert_eq!(cycle[0], "x.config.toml:4:1: permission profiles extend each other in a circle: a → b → a");
}

#[test]
fn schema_and_reference_know_every_key() {
    let config = schema::config();
    let requirement_schema = schema::requirements();
    let page = reference::markdown();
    let find = |schema: &serde_json::Value, path: &str| {
        let mut node = schema.clone();
        for part in path.split('.') {
            node = match part {
                "*" => node["additionalProperties"].clone(),
                part => match &node["properties"][part] {
                    serde_json::Value::Null => node["anyOf"][1]["properties"][part].clone(),
                    found => found.clone(),
                },
            };
            assert!(node.is_object(), "{path} at {part}");
        }
        node
    };
    for key in registry::KEYS {
        find(&config, key.path);
        let name = key.path.split('.').next_back().expect("a name").replace('*', "");
        assert!(page.contains(&name), "{}", key.path);
        assert!(key.doc.ends_with('.') && !key.doc.is_empty(), "{}", key.path);
    }
    for key in requirements::keys::KEYS.iter().filter(|key| key.path != "hooks.windows_managed_dir") {
        let node = find(&requirement_schema, key.path);
        assert!(node["description"].is_string() || node["$ref"].is_string(), "{}", key.path);
    }
}

#[test]
fn paths_of_keys_are_unique() {
    let mut paths: Vec<_> = registry::KEYS.iter().map(|key| key.path).collect();
    paths.sort_unstable();
    let count = paths.len();
    paths.dedup();
    assert_eq!(paths.len(), count);
}
