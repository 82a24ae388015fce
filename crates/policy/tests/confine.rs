//! What settings and facts give: roots, islands, reads, network, environment; and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_model::confinement::{DeniedRead, NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::facts::{FileId, FileKind, GitFacts, LinkTarget, NameFacts, RootFacts};
use ringfence_model::mode::GitAccess;
use ringfence_model::settings::RootRequest;
use ringfence_model::{AbsPath, Confinement, Layer, Origin, OsText, SandboxMode, Settings, Sourced, WorldFacts};
use ringfence_policy::confine::{Granted, notices};
use ringfence_policy::{ConfineError, Request, confine, protected};

fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).expect(path)
}

fn flag<T>(value: T) -> Sourced<T> {
    Sourced::new(value, Origin::flag("--flag"))
}

fn required() -> Origin {
    Origin::File {
        file: OsText::new("/etc/ringfence/requirements.toml"),
        line: 3,
        column: 1,
        layer: Layer::SystemRequirements,
    }
}

fn granted<T>(value: T) -> Sourced<T> {
    Sourced::new(value, Origin::Grant { grant: "g1".to_owned() })
}

fn settings() -> Settings {
    Settings { sandbox_mode: flag(SandboxMode::WorkspaceWrite), exclude_slash_tmp: flag(true), ..Settings::default() }
}

fn root_at(settings: &Settings, path: &str, present: &[(&str, FileKind)]) -> RootFacts {
    let resolved = abs(path);
    let names = protected::names_under(&resolved, Some(&abs("/home/u")), settings)
        .into_iter()
        .map(|name| {
            let found = present.iter().find(|(known, _)| name.name.as_str() == Some(known)).map(|(_, kind)| *kind);
            NameFacts { name: name.name, found, target: None }
        })
        .collect();
    RootFacts {
        requested: flag(resolved.clone()),
        resolved: Some((resolved, FileId { device: 1, inode: 7 })),
        names,
        git: Vec::new(),
    }
}

fn facts(roots: Vec<RootFacts>) -> WorldFacts {
    WorldFacts {
        cwd: abs("/w"),
        home: Some(abs("/home/u")),
        ringfence_home: abs("/home/u/.ringfence"),
        tmpdir: None,
        slash_tmp: Some(abs("/tmp")),
        uid: Some(1000),
        project_root: abs("/w"),
        version_controlled: true,
        roots,
        environment: vec![(OsText::new("PATH"), OsText::new("/bin")), (OsText::new("API_KEY"), OsText::new("x"))],
        mounts: Vec::new(),
    }
}

fn world(settings: &Settings) -> WorldFacts {
    facts(vec![root_at(settings, "/w", &[(".git", FileKind::Directory)])])
}

fn made(settings: &Settings, facts: &WorldFacts) -> Confinement {
    confine(settings, facts, &Request::default()).expect("confines")
}

fn protects(confinement: &Confinement, path: &str) -> bool {
    confinement.protected.iter().any(|entry| abs(path).is_within(&entry.path))
}

fn add_root(settings: &mut Settings, path: &str) {
    settings.writable_roots.push(RootRequest { path: flag(abs(path)), required: true });
}

#[test]
fn the_workspace_is_writable_and_its_orders_are_not() {
    let settings = settings();
    let confinement = made(&settings, &world(&settings));
    assert_eq!(confinement.roots.len(), 1);
    for name in ["/w/.git/hooks/x", "/w/.codex", "/w/.vscode/tasks.json", "/w/.envrc"] {
        assert!(protects(&confinement, name), "{name}");
    }
    let git = confinement.protected.iter().find(|entry| entry.path == abs("/w/.git")).expect(".git");
    assert_eq!(git.found, Some(FileKind::Directory));
    let codex = confinement.protected.iter().find(|entry| entry.path == abs("/w/.codex")).expect(".codex");
    assert_eq!(codex.found, None, "a name that is absent is held back too");
    assert_eq!(confinement.network.value, NetworkWish::Off);
    assert_eq!(confinement.reads.base.value, ReadBase::Everything);
    assert!(!confinement.environment.iter().any(|var| var.name.as_str() == Some("API_KEY")));
}

#[test]
fn read_only_writes_nowhere_and_full_access_is_not_held() {
    let mut settings = settings();
    settings.sandbox_mode = flag(SandboxMode::ReadOnly);
    let confinement = made(&settings, &world(&settings));
    assert!(confinement.roots.is_empty() && confinement.protected.is_empty());
    settings.sandbox_mode = flag(SandboxMode::DangerFullAccess);
    let confinement = made(&settings, &world(&settings));
    assert_eq!(confinement.network.value, NetworkWish::On);
    assert_eq!(confinement.unix_sockets, UnixSockets::Everything);
    assert!(!confinement.environment.iter().any(|var| var.name.as_str() == Some("API_KEY")), "still filtered");
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn nested_roots_merge_and_keep_their_islands() {
    let mut settings = settings();
    add_root(&mut settings, "/data");
    add_root(&mut settings, "/data/a/ws");
    let facts = facts(vec![
        root_at(&settings, "/w", &[]),
        root_at(&settings, "/data", &[]),
        root_at(&settings, "/data/a/ws", &[(".git", FileKind::Directory)]),
    ]);
    let confinement = made(&settings, &facts);
    let roots: Vec<_> = confinement.roots.iter().map(|root| root.path.display()).collect();
    assert_eq!(roots, ["/data", "/w"]);
    assert!(protects(&confinement, "/data/a/ws/.git/config"));
}

#[test]
fn a_root_inside_a_protected_path_stays_protected() {
    let mut settings = settings();
    add_root(&mut settings, "/w/.git/hooks");
    let facts = facts(vec![
        root_at(&settings, "/w", &[(".git", FileKind::Directory)]),
        root_at(&settings, "/w/.git/hooks", &[]),
    ]);
    let confinement = made(&settings, &facts);
    assert_eq!(confinement.roots.len(), 1);
    assert!(protects(&confinement, "/w/.git/hooks/pre-commit"));
    assert!(notices(&settings, &facts).iter().any(|notice| notice.code == "root-protected"));
}

#[test]
fn cf_05_own_files_and_broad_roots_are_refused() {
    for (root, setting) in [
        ("/", "dangerously_allow_broad_roots"),
        ("/home/u", "dangerously_allow_broad_roots"),
        ("/home", "dangerously_allow_broad_roots"),
    ] {
        let mut settings = settings();
        add_root(&mut settings, root);
        let facts = facts(vec![root_at(&settings, "/w", &[]), root_at(&settings, root, &[])]);
        let error = confine(&settings, &facts, &Request::default()).expect_err(root);
        assert!(matches!(error, ConfineError::BroadRoot { .. }), "{root}: {error}");
        assert!(error.to_string().contains(setting));
        settings.dangerously_allow_broad_roots = flag(true);
        let confinement = made(&settings, &facts);
        assert!(protects(&confinement, "/home/u/.ringfence/rules"), "{root}: own files stay read-only even then");
        assert!(protects(&confinement, "/home/u/.ssh/authorized_keys") && protects(&confinement, "/home/u/.bashrc"));
    }
    for root in ["/home/u/.ringfence", "/home/u/.ringfence/log", "/etc/ringfence"] {
        let mut settings = settings();
        settings.dangerously_allow_broad_roots = flag(true);
        add_root(&mut settings, root);
        let facts = facts(vec![root_at(&settings, "/w", &[]), root_at(&settings, root, &[])]);
        let error = confine(&settings, &facts, &Request::default()).expect_err(root);
        assert!(matches!(error, ConfineError::RootInOwnFiles { .. }), "{root}");
    }
    let settings = settings();
    let mut facts = world(&settings);
    facts.ringfence_home = abs("/w/x");
    let error = confine(&settings, &facts, &Request::default()).expect_err("home inside");
    assert!(matches!(error, ConfineError::OwnFilesInside { .. }));
}

#[test]
fn a_missing_root_is_an_error_or_a_notice() {
    let mut settings = settings();
    settings.writable_roots.push(RootRequest { path: flag(abs("/gone")), required: false });
    let facts = world(&settings);
    assert_eq!(made(&settings, &facts).roots.len(), 1);
    assert!(notices(&settings, &facts).iter().any(|notice| notice.code == "root-missing"));
    settings.writable_roots[0].required = true;
    assert!(matches!(confine(&settings, &facts, &Request::default()), Err(ConfineError::MissingRoot { .. })));
}

#[test]
fn fs_04_git_directories_behind_pointers_are_protected() {
    let settings = settings();
    let mut root = root_at(&settings, "/w", &[(".git", FileKind::File)]);
    root.git.push(GitFacts {
        entry: abs("/w/.git"),
        entry_kind: FileKind::File,
        git_dir: abs("/w/elsewhere/git"),
        common_dir: abs("/w/elsewhere/common"),
        present: Vec::new(),
        linked_back: true,
        configured: vec![(
            "core.hookspath".to_owned(),
            LinkTarget { path: abs("/w/.husky"), found: Some(FileKind::Directory) },
        )],
        missing: Vec::new(),
    });
    let confinement = made(&settings, &facts(vec![root]));
    for path in ["/w/.git", "/w/elsewhere/git/config", "/w/elsewhere/common/hooks/x", "/w/.husky/pre-commit"] {
        assert!(protects(&confinement, path), "{path}");
    }
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn fs_22_what_is_missing_where_git_or_a_link_leads_is_an_absent_name() {
    let settings = settings();
    let mut root = root_at(&settings, "/w", &[(".git", FileKind::File), (".envrc", FileKind::Symlink)]);
    let missing = |path: &str| LinkTarget { path: abs(path), found: None };
    root.names.iter_mut().filter(|fact| fact.name.as_str() == Some(".envrc")).for_each(|fact| {
        fact.target = Some(missing("/w/env.sh"));
    });
    root.git.push(GitFacts {
        entry: abs("/w/.git"),
        entry_kind: FileKind::File,
        git_dir: abs("/w/later"),
        common_dir: abs("/w/later"),
        present: Vec::new(),
        linked_back: false,
        configured: vec![("core.hookspath".to_owned(), missing("/w/.husky"))],
        missing: vec![abs("/w/later")],
    });
    let confinement = made(&settings, &facts(vec![root]));
    for path in ["/w/env.sh", "/w/later", "/w/.husky"] {
        let held = confinement.protected.iter().find(|held| held.path == abs(path)).expect(path);
        // Nothing can be mounted there: whoever took it for there would let no command start.
        assert_eq!(held.found, None, "{path}");
    }
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn git_commit_opens_the_roots_own_directories_only() {
    let mut settings = settings();
    settings.git = flag(GitAccess::Commit);
    let git = |entry: &str, dir: &str, linked_back| GitFacts {
        entry: abs(entry),
        entry_kind: FileKind::File,
        git_dir: abs(dir),
        common_dir: abs("/repo/.git"),
        present: Vec::new(),
        linked_back,
        configured: Vec::new(),
        missing: Vec::new(),
    };
    let mut root = root_at(&settings, "/w", &[(".git", FileKind::File)]);
    root.git = vec![git("/w/.git", "/repo/.git/worktrees/w", true), git("/w/sub/.git", "/repo/.git/modules/sub", true)];
    let opened = |root: RootFacts| -> Vec<String> {
        made(&settings, &facts(vec![root])).git_dirs.iter().map(|dir| dir.path.display()).collect()
    };
    assert_eq!(opened(root.clone()), ["/repo/.git", "/repo/.git/worktrees/w"]);
    let planted = GitFacts { common_dir: abs("/w/sub/.git"), ..git("/w/x/.git", "/repo/.git/worktrees/x", true) };
    root.git = vec![git("/w/.git", "/repo/.git", true), git("/w/in/.git", "/repo/.git/worktrees/in", true), planted];
    root.git[0].common_dir = root.git[0].git_dir.clone();
    assert_eq!(opened(root.clone()), ["/repo/.git", "/repo/.git/worktrees/in"], "a worktree below it, of the same one");
    root.git = vec![git("/w/.git", "/home/u/other/.git", false)];
    assert!(opened(root).is_empty(), "a pointer that nothing points back to may have been planted");
}

#[test]
fn names_are_added_and_taken_off_but_not_what_a_requirement_adds() {
    let mut settings = settings();
    settings.protected_paths = vec![flag("secrets/".to_owned()), Sourced::new("deploy".to_owned(), required())];
    settings.unprotected_paths = vec![flag(".vscode".to_owned()), flag("deploy".to_owned())];
    let confinement = made(&settings, &world(&settings));
    assert!(protects(&confinement, "/w/secrets/x") && protects(&confinement, "/w/deploy"));
    assert!(!protects(&confinement, "/w/.vscode/tasks.json"));
}

#[test]
fn denied_reads_network_tmp_and_sockets_come_through() {
    let mut settings = settings();
    settings.filesystem.deny_read =
        vec![DeniedRead { pattern: PathPattern::Path(abs("/home/u/.ssh")), origin: required() }];
    settings.private_tmp = flag(true);
    settings.network.access = flag(true);
    settings.network.proxy = flag(true);
    let confinement = made(&settings, &world(&settings));
    assert_eq!(confinement.reads.denied.len(), 1);
    assert_eq!(confinement.tmp.value, Tmp::Private);
    assert!(matches!(confinement.network.value, NetworkWish::Proxy { http_port: 3128, .. }));
    let proxy = confinement.environment.iter().find(|var| var.name.as_str() == Some("HTTPS_PROXY")).expect("proxy");
    assert_eq!(proxy.value.as_str(), Some("http://127.0.0.1:3128"));
}

#[test]
fn ap_07_a_grant_adds_exactly_what_it_names_and_requirements_still_win() {
    let mut settings = settings();
    settings.filesystem.deny_read = vec![DeniedRead { pattern: PathPattern::Path(abs("/srv")), origin: required() }];
    let mut facts = world(&settings);
    let mut more = root_at(&settings, "/out", &[]);
    more.requested = granted(abs("/out"));
    facts.roots.push(more);
    let request = |granted: Granted| Request { granted, ..Request::default() };
    let wider =
        confine(&settings, &facts, &request(Granted { write: vec![granted(abs("/out"))], ..Granted::default() }))
            .expect("wider");
    assert_eq!(wider.roots.len(), 2);
    let reading =
        confine(&settings, &facts, &request(Granted { read: vec![granted(abs("/srv"))], ..Granted::default() }))
            .expect("reading");
    assert_eq!(reading.reads.denied.len(), 1, "a requirement's denial stays");
    let outside = request(Granted { outside: Some(granted(()).origin), ..Granted::default() });
    assert!(matches!(confine(&settings, &facts, &outside), Err(ConfineError::RequirementDenies { .. })));
    settings.filesystem.deny_read.clear();
    assert_eq!(confine(&settings, &facts, &outside).expect("outside").mode.value, SandboxMode::DangerFullAccess);
}

#[test]
fn ap_07_a_grant_for_a_protected_path_lifts_that_path_alone() {
    let settings = settings();
    let mut facts = world(&settings);
    for path in ["/w/.git", "/w/.git/hooks"] {
        let mut root = root_at(&settings, path, &[]);
        root.requested = granted(abs(path));
        facts.roots.push(root);
    }
    let write = |path: &str| Request {
        granted: Granted { write: vec![granted(abs(path))], ..Granted::default() },
        ..Request::default()
    };
    let lifted = confine(&settings, &facts, &write("/w/.git")).expect("lifted");
    assert!(!protects(&lifted, "/w/.git/config") && protects(&lifted, "/w/.codex"));
    assert!(matches!(
        confine(&settings, &facts, &write("/w/.git/hooks")),
        Err(ConfineError::GrantInsideProtected { .. })
    ));
}

#[test]
fn a_judged_read_runs_without_writing_or_network() {
    let mut settings = settings();
    settings.network.access = flag(true);
    let request = Request { reads_only: Some(Origin::builtin("known-safe reads")), ..Request::default() };
    let confinement = confine(&settings, &world(&settings), &request).expect("confines");
    assert!(confinement.roots.is_empty());
    assert_eq!(confinement.network.value, NetworkWish::Off);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn adding_a_protected_path_never_opens_anything(names in proptest::collection::vec("[a-c]{1,2}(/[a-c])?", 0..4), more in "[a-c]{1,2}(/[a-c])?") {
        let mut before = settings();
        before.protected_paths = names.into_iter().map(flag).collect();
        let mut after = before.clone();
        after.protected_paths.push(flag(more));
        let (was, is) = (made(&before, &world(&before)), made(&after, &world(&after)));
        for entry in &was.protected {
            prop_assert!(is.protected.iter().any(|other| entry.path.is_within(&other.path)));
        }
        prop_assert_eq!(was.roots, is.roots);
    }

    #[test]
    #[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
    fn the_same_wish_has_the_same_bytes(order in Just(["/d/x", "/d", "/e", "/w/sub"]).prop_shuffle()) {
        let mut settings = settings();
        for path in order {
            add_root(&mut settings, path);
        }
        let mut roots: Vec<_> = order.iter().map(|path| root_at(&settings, path, &[])).collect();
        roots.push(root_at(&settings, "/w", &[]));
        let confinement = made(&settings, &facts(roots));
        let paths: Vec<_> = confinement.roots.iter().map(|root| root.path.display()).collect();
        prop_assert_eq!(paths, ["/d", "/e", "/w"]);
    }
}
