//! What is found on disk: Git directories behind every form of `.git`, protected names, programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use ringfence::facts::{Start, StartError, gather, program};
use ringfence_model::facts::{FileKind, GitFacts, LinkTarget};
use ringfence_model::{AbsPath, OsText, SandboxMode, Settings, Sourced, WorldFacts};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { dir: tempfile::tempdir().expect("scratch directory") };
        fs::create_dir_all(tree.path("ws")).expect("workspace");
        fs::create_dir_all(tree.path("home")).expect("home");
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).expect("scratch").join(name)
    }

    fn abs(&self, name: &str) -> AbsPath {
        AbsPath::new(self.path(name)).expect(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("parents");
        fs::write(path, text).expect(name);
    }

    fn git_dir(&self, name: &str) {
        self.file(&format!("{name}/HEAD"), "ref: refs/heads/main\n");
        fs::create_dir_all(self.path(name).join("objects")).expect("objects");
        fs::create_dir_all(self.path(name).join("refs")).expect("refs");
    }

    fn facts(&self) -> WorldFacts {
        self.facts_with(&[])
    }

    fn facts_with(&self, variables: &[(&str, PathBuf)]) -> WorldFacts {
        let mut environment: Vec<(OsString, OsString)> =
            vec![("HOME".into(), self.path("home").into()), ("TMPDIR".into(), "/".into())];
        environment.extend(variables.iter().map(|(name, value)| ((*name).into(), value.into())));
        let start = Start::new(environment, Some(&self.path("ws"))).expect("start");
        let settings = Settings {
            sandbox_mode: Sourced::default_of(SandboxMode::WorkspaceWrite, "sandbox_mode"),
            exclude_slash_tmp: Sourced::default_of(true, "x"),
            ..Settings::default()
        };
        let project = start.project_root(&[".git".to_owned()]);
        gather(&start, &settings, project, &[])
    }

    fn git(&self) -> Vec<GitFacts> {
        self.facts().roots.remove(0).git
    }
}

#[test]
fn fs_04_a_plain_repository() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    let facts = tree.facts();
    assert!(facts.version_controlled);
    assert_eq!(facts.tmpdir, None, "`/` is no temporary directory");
    let git = &facts.roots[0].git;
    assert_eq!(git.len(), 1);
    assert_eq!(
        (git[0].git_dir.clone(), git[0].entry_kind, git[0].linked_back),
        (tree.abs("ws/.git"), FileKind::Directory, true)
    );
    assert!(git[0].present.iter().any(|(name, _)| name.as_str() == Some("objects")));
}

#[test]
fn fs_04_every_spelling_of_a_pointer() {
    for pointer in [
        "gitdir: ../real\n",
        "gitdir: ../real\r\n",
        "gitdir: ../real",
        "gitdir: ../real  \n",
        "gitdir:../real\n",
        "ABS",
    ] {
        let tree = Tree::new();
        tree.git_dir("real");
        let text = pointer.replace("ABS", &format!("gitdir: {}\n", tree.path("real").display()));
        tree.file("ws/.git", &text);
        let git = tree.git();
        assert!(git.iter().any(|git| git.git_dir == tree.abs("real")), "{pointer:?}: {git:?}");
        assert!(git.iter().all(|git| !git.linked_back), "nothing points back");
    }
}

#[test]
fn fs_04_linked_worktrees_below_the_root_are_found_and_those_elsewhere_are_not() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    for (name, at) in [("in", "ws/in"), ("out", "out")] {
        let dir = format!("ws/.git/worktrees/{name}");
        tree.git_dir(&dir);
        tree.file(&format!("{at}/.git"), &format!("gitdir: {}\n", tree.path(&dir).display()));
        tree.file(&format!("{dir}/gitdir"), &format!("{}/.git\n", tree.path(at).display()));
        tree.file(&format!("{dir}/commondir"), "../..\n");
    }
    let git = tree.git();
    let found: Vec<_> = git.iter().map(|git| (git.git_dir.clone(), git.common_dir.clone(), git.linked_back)).collect();
    let main = tree.abs("ws/.git");
    assert_eq!(found, [(main.clone(), main.clone(), true), (tree.abs("ws/.git/worktrees/in"), main, true)]);
}

#[test]
fn fs_04_chains_and_links() {
    let tree = Tree::new();
    tree.git_dir("real");
    tree.file("ws/.git", "gitdir: ../one\n");
    tree.file("one", "gitdir: two\n");
    tree.file("two", "gitdir: real\n");
    assert!(tree.git().iter().any(|git| git.git_dir == tree.abs("real")));
    fs::remove_file(tree.path("ws/.git")).expect("remove");
    symlink("../real", tree.path("ws/.git")).expect("link");
    let git = tree.git();
    assert_eq!(
        (git[0].git_dir.clone(), git[0].entry_kind, git[0].linked_back),
        (tree.abs("real"), FileKind::Symlink, false)
    );
    tree.file("loop", "gitdir: loop\n");
    fs::remove_file(tree.path("ws/.git")).expect("remove");
    tree.file("ws/.git", "gitdir: ../loop\n");
    assert!(tree.git().is_empty());
}

#[test]
fn fs_04_a_linked_worktree_names_its_common_directory() {
    let tree = Tree::new();
    tree.git_dir("main/.git");
    tree.git_dir("main/.git/worktrees/ws");
    tree.file("main/.git/worktrees/ws/commondir", "../..\n");
    tree.file("main/.git/worktrees/ws/gitdir", &format!("{}\n", tree.path("ws/.git").display()));
    tree.file("ws/.git", &format!("gitdir: {}\n", tree.path("main/.git/worktrees/ws").display()));
    let git = tree.git();
    assert_eq!(git.len(), 1);
    assert_eq!(git[0].common_dir, tree.abs("main/.git"));
    assert!(git[0].linked_back);
}

#[test]
fn fs_04_submodules_are_found_by_both_ends() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    tree.git_dir("ws/.git/modules/libs/a");
    tree.file("ws/.git/modules/libs/a/config", "[core]\n\tworktree = ../../../../libs/a\n");
    tree.file("ws/libs/a/.git", "gitdir: ../../.git/modules/libs/a\n");
    tree.file("ws/.gitmodules", "[submodule \"b\"]\n\tpath = b\n\turl = x\n");
    tree.git_dir("ws/b/.git");
    let entries: Vec<AbsPath> = tree.git().into_iter().map(|git| git.entry).collect();
    for entry in ["ws/.git", "ws/libs/a/.git", "ws/b/.git"] {
        assert!(entries.contains(&tree.abs(entry)), "{entry}: {entries:?}");
    }
}

#[test]
fn fs_22_what_git_is_configured_to_run_is_named() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    tree.file(
        "ws/.git/config",
        "[core]\nhooksPath = .husky\n[filter \"x\"]\nclean = ./s -a\n[include]\npath = ../team.cfg\n[alias]\nl = log\n",
    );
    tree.file("ws/team.cfg", "[diff]\nexternal = ./d\n");
    let configured = tree.git().remove(0).configured;
    for (key, path) in [
        ("core.hookspath", "ws/.husky"),
        ("filter.x.clean", "ws/s"),
        ("include.path", "ws/team.cfg"),
        ("diff.external", "ws/d"),
    ] {
        let found = (path == "ws/team.cfg").then_some(FileKind::File);
        let place = LinkTarget { path: tree.abs(path), found };
        assert!(configured.contains(&(key.to_owned(), place)), "{key}: {configured:?}");
    }
    assert_eq!(configured.len(), 4);
}

#[test]
fn fs_22_a_script_that_is_missing_for_now_is_named() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    symlink("gone/x", tree.path("ws/hooks")).expect("link");
    tree.file(
        "ws/.git/config",
        "[core]\nhooksPath = hooks\n[diff \"y\"]\ntextconv = python3 tools/conv.py -x s/a/b %f\n\
         [filter \"x\"]\nclean = sh 'a.sh'\n",
    );
    let configured = tree.git().remove(0).configured;
    let expected =
        [("core.hookspath", "ws/gone/x"), ("diff.y.textconv", "ws/tools/conv.py"), ("filter.x.clean", "ws/a.sh")]
            .map(|(key, path)| (key.to_owned(), LinkTarget { path: tree.abs(path), found: None }));
    assert_eq!(configured, expected);
}

#[test]
fn fs_22_configuration_that_a_variable_puts_into_the_workspace_counts() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    tree.file("ws/conf/git/config", "[core]\nhooksPath = tools/hooks\n");
    let variables = [("XDG_CONFIG_HOME", tree.path("ws/conf")), ("GIT_CONFIG_GLOBAL", tree.path("ws/global"))];
    let configured = tree.facts_with(&variables).roots.remove(0).git.remove(0).configured;
    let expected = [
        ("GIT_CONFIG_GLOBAL", "ws/global", None),
        ("XDG_CONFIG_HOME", "ws/conf/git/config", Some(FileKind::File)),
        ("core.hookspath", "ws/tools/hooks", None),
    ]
    .map(|(key, path, found)| (key.to_owned(), LinkTarget { path: tree.abs(path), found }));
    assert_eq!(configured, expected);
}

#[test]
fn fs_04_a_pointer_to_what_is_missing_is_followed() {
    let tree = Tree::new();
    tree.file("ws/.git", "gitdir: later/git\n");
    let later = tree.abs("ws/later/git");
    assert!(tree.git().iter().any(|git| git.git_dir == later && git.missing == [later.clone()]));
    tree.git_dir("ws/later/git");
    assert!(tree.git().iter().any(|git| git.git_dir == later && git.missing.is_empty()));
}

#[test]
fn fs_03_links_are_followed_to_what_is_missing() {
    let tree = Tree::new();
    fs::create_dir_all(tree.path("ws/there")).expect("dir");
    for (link, to) in [
        (".envrc", "env.sh"),
        (".mcp.json", "there/a/b.json"),
        (".exrc", "second"),
        ("second", "there/rc"),
        (".vimrc", "gone/../there/rc2"),
        (".claude", "cl"),
        (".nvimrc", ".nvimrc"),
    ] {
        symlink(to, tree.path("ws").join(link)).expect("link");
    }
    let facts = tree.facts();
    let target = |name: &str| {
        let fact = facts.roots[0].names.iter().find(|fact| fact.name.as_str() == Some(name)).expect(name);
        fact.target.clone()
    };
    for (name, path) in [
        (".envrc", "ws/env.sh"),
        (".mcp.json", "ws/there/a/b.json"),
        (".exrc", "ws/there/rc"),
        // What the way goes through could become a link to anywhere.
        (".vimrc", "ws/gone"),
        (".claude", "ws/cl"),
    ] {
        assert_eq!(target(name), Some(LinkTarget { path: tree.abs(path), found: None }), "{name}");
    }
    assert_eq!(target(".nvimrc"), None);
}

#[test]
fn fs_22_a_script_given_to_an_interpreter_is_named_and_the_tree_is_not() {
    let tree = Tree::new();
    tree.git_dir("ws/.git");
    tree.file("ws/tools/clean.js", "");
    tree.file("ws/conv.py", "");
    tree.file("ws/main.rs", "");
    tree.file(
        "ws/.git/config",
        "[filter \"x\"]\nclean = node tools/clean.js --in %f\nsmudge = sed s/a/b/\n[diff \"y\"]\ntextconv = python3 'conv.py'\n\
         [mergetool \"z\"]\ncmd = ./merge.sh \"$LOCAL\" .\n[core]\nfsmonitor = true\nworktree = ..\npager = less ./\n\
         [alias]\nshow-main = !cat main.rs\nhere = \"!cd tools && sh ./x.sh\"\nl = log main.rs\n\
         [log]\nshowSignature = main.rs\n[init]\ntemplateDir = tpl\nbroken line\n",
    );
    let configured = tree.git().remove(0).configured;
    let expected = [
        ("alias.here", "ws/x.sh"),
        ("diff.y.textconv", "ws/conv.py"),
        ("filter.x.clean", "ws/tools/clean.js"),
        ("init.templatedir", "ws/tpl"),
        ("mergetool.z.cmd", "ws/merge.sh"),
    ]
    .map(|(key, path)| {
        let found = tree.path(path).exists().then_some(FileKind::File);
        (key.to_owned(), LinkTarget { path: tree.abs(path), found })
    });
    assert_eq!(configured, expected);
}

#[test]
fn a_root_that_is_a_git_directory_is_one() {
    let tree = Tree::new();
    tree.git_dir("ws");
    let git = tree.git();
    assert!(git.iter().any(|git| git.git_dir == tree.abs("ws")));
}

#[test]
fn protected_names_are_looked_up_without_following() {
    let tree = Tree::new();
    fs::create_dir(tree.path("elsewhere")).expect("dir");
    symlink("../elsewhere", tree.path("ws/.codex")).expect("link");
    symlink("nowhere", tree.path("ws/.envrc")).expect("link");
    let facts = tree.facts();
    let find =
        |name: &str| facts.roots[0].names.iter().find(|fact| fact.name.as_str() == Some(name)).expect(name).clone();
    let leads = |path: &str, found| Some(LinkTarget { path: tree.abs(path), found });
    let elsewhere = leads("elsewhere", Some(FileKind::Directory));
    assert_eq!((find(".codex").found, find(".codex").target), (Some(FileKind::Symlink), elsewhere));
    assert_eq!((find(".envrc").found, find(".envrc").target), (Some(FileKind::Symlink), leads("ws/nowhere", None)));
    assert_eq!(find(".claude").found, None);
}

#[test]
fn cf_05_a_relative_home_of_ringfence_is_an_error() {
    let environment = |value: &str| vec![("HOME".into(), "/".into()), ("RINGFENCE_HOME".into(), value.into())];
    assert!(matches!(Start::new(environment("./x"), None), Err(StartError::RelativeHome { .. })));
    assert!(matches!(Start::new(environment("/a/../x"), None), Err(StartError::RelativeHome { .. })));
    let start = Start::new(environment("/nonexistent/deep"), None).expect("absolute");
    assert_eq!(start.ringfence_home.display(), "/nonexistent/deep");
}

#[test]
fn a_missing_working_directory_is_named() {
    let error = Start::new(Vec::new(), Some(Path::new("/nonexistent/dir"))).expect_err("missing");
    assert!(error.to_string().contains("/nonexistent/dir"));
}

fn executable(tree: &Tree, name: &str) {
    tree.file(name, "#!/bin/sh\n");
    fs::set_permissions(tree.path(name), fs::Permissions::from_mode(0o755)).expect("mode");
}

#[test]
fn cmd_25_a_program_is_found_as_the_system_does_and_writable_places_show() {
    let tree = Tree::new();
    executable(&tree, "bin/tool");
    executable(&tree, "ws/bin/tool");
    executable(&tree, "ws/local");
    tree.file("bin/plain", "not executable");
    let roots = [tree.abs("ws")];
    let find =
        |word: &str, path: &str| program::find(&OsText::new(word), &tree.abs("ws"), Some(OsStr::new(path)), &roots);
    let bin = tree.path("bin").display().to_string();
    let found = find("tool", &bin);
    assert_eq!((found.resolved, found.from_writable), (Some(tree.abs("bin/tool")), false));
    let first = format!("{}:{bin}", tree.path("ws/bin").display());
    assert_eq!(find("tool", &first).resolved, Some(tree.abs("ws/bin/tool")));
    let ws = tree.path("ws").display().to_string();
    for path in [format!(":{bin}"), format!(".:{bin}"), format!("missing:{bin}"), format!("{ws}:{bin}")] {
        assert!(find("tool", &path).from_writable, "{path}");
    }
    assert!(find("./local", &bin).from_writable);
    assert_eq!(find("plain", &bin).resolved, None);
    assert_eq!(find("", &bin).resolved, None);
    symlink(tree.path("bin/tool"), tree.path("ws/link")).expect("link");
    assert!(find("./link", &bin).from_writable, "the link can be pointed elsewhere");
    symlink(tree.path("ws/local"), tree.path("bin/out")).expect("link");
    assert!(find("out", &bin).from_writable);
}
