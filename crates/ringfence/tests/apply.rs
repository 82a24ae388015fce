//! Patches as agents and diff tools write them: what is applied, what is refused, and that nothing is half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use proptest::prelude::*;
use ringfence::action::ChangeKind;
use ringfence::apply::{Op, WorkError, parse, work_out_hunks};
use ringfence::config::Overrides;
use ringfence::facts::Start;
use ringfence::session::ApplyError;
use ringfence::{AuthorizeError, Opening, Session, Verdict};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir_in("/var/tmp").expect("scratch directory") };
        for name in ["ws/.git", "home/.ringfence", "out"] {
            fs::create_dir_all(place.path(name)).expect(name);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).expect("scratch").join(name)
    }

    fn session(&self) -> Session {
        Session::open(self.opening()).expect("session")
    }

    fn opening(&self) -> Opening {
        let environment = vec![
            ("HOME".into(), self.path("home").into()),
            ("RINGFENCE_HOME".into(), self.path("home/.ringfence").into()),
        ];
        let start = Start::new(environment, Some(&self.path("ws"))).expect("start");
        let mut flags = Overrides::default();
        flags.config("sandbox_mode=workspace-write").expect("setting");
        Opening { start: Some(start), flags, ..Opening::default() }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path("ws").join(name), text).expect(name);
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.path("ws").join(name)).unwrap_or_else(|error| format!("<{error}>"))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("ws"))
            .expect("ws")
            .map(|item| item.expect("item").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

const GIT: &str = "diff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n\
diff --git a/new.sh b/new.sh\nnew file mode 100755\n--- /dev/null\n+++ b/new.sh\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+true\n\
diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n\
diff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\n";

#[test]
fn a_git_diff_changes_adds_deletes_and_renames() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\nthree\n");
    place.put("old", "gone\n");
    place.put("from", "moved\n");
    fs::set_permissions(place.path("ws/from"), fs::Permissions::from_mode(0o750)).expect("mode");
    let applied = place.session().apply(GIT.as_bytes()).expect("applied");
    assert_eq!(applied.files.len(), 5);
    assert_eq!(
        (place.get("a.txt"), place.get("new.sh"), place.get("to")),
        ("one\nTWO\nthree\n".into(), "#!/bin/sh\ntrue\n".into(), "moved\n".into())
    );
    assert_eq!(place.names(), [".git", "a.txt", "new.sh", "to"], "nothing is left beside");
    let mode = |name: &str| fs::metadata(place.path("ws").join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode("new.sh"), mode("to")), (0o755, 0o750));
}

#[test]
fn the_begin_patch_form_changes_adds_deletes_and_moves() {
    let place = Place::new();
    place.put("a.py", "import x\n\ndef f():\n    return 1\n\ndef g():\n    return 1\n");
    place.put("b", "b\n");
    let patch = "*** Begin Patch\n*** Update File: a.py\n@@ def g():\n-    return 1\n+    return 2\n*** Add File: sub/new\n+hello\n\
*** Delete File: b\n*** Update File: c\n*** Move to: d\n@@\n-c\n+d\n*** End Patch\n";
    place.put("c", "c\n");
    place.session().apply(patch.as_bytes()).expect("applied");
    assert_eq!(place.get("a.py"), "import x\n\ndef f():\n    return 1\n\ndef g():\n    return 2\n");
    assert_eq!((place.get("sub/new"), place.get("d")), ("hello\n".into(), "d\n".into()));
    assert_eq!(place.names(), [".git", "a.py", "d", "sub"]);
}

#[test]
fn line_ends_and_the_missing_last_one_are_kept() {
    let hunks = |patch: &str| match parse(patch.as_bytes()).expect("patch").files.remove(0).op {
        Op::Update { hunks, .. } => hunks,
        other => panic!("{other:?}"),
    };
    let windows = hunks("--- a\n+++ a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
    assert_eq!(work_out_hunks(b"one\r\ntwo\r\nthree\r\n", &windows).expect("fits"), b"one\r\n2\r\nthree\r\n");
    let open = hunks(
        "--- a\n+++ a\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+2\n\\ No newline at end of file\n",
    );
    assert_eq!(work_out_hunks(b"one\ntwo", &open).expect("fits"), b"one\n2");
    let closed = hunks("--- a\n+++ a\n@@ -1,2 +1,3 @@\n one\n-two\n\\ No newline at end of file\n+two\n+three\n");
    assert_eq!(work_out_hunks(b"one\ntwo", &closed).expect("fits"), b"one\ntwo\nthree\n");
}

#[test]
fn a_conflict_names_file_hunk_and_nearest_place_and_nothing_changes() {
    let place = Place::new();
    place.put("a.txt", "one\nzwei\nthree\n");
    place.put("old", "gone\n");
    place.put("from", "moved\n");
    let error = place.session().apply(GIT.as_bytes()).expect_err("conflict");
    let text = error.to_string();
    assert!(matches!(error, ApplyError::Work(WorkError::Conflict { .. })), "{text}");
    assert!(text.contains("a.txt") && text.contains("hunk 1") && text.contains("line 1, where 2 of 3"), "{text}");
    assert_eq!(place.names(), [".git", "a.txt", "from", "old"]);
}

#[test]
fn what_cannot_be_written_undoes_what_was() {
    let place = Place::new();
    place.put("a", "a\n");
    place.put("file", "x\n");
    let patch = "*** Begin Patch\n*** Update File: a\n@@\n-a\n+b\n*** Add File: file/below\n+x\n*** End Patch\n";
    assert!(place.session().apply(patch.as_bytes()).is_err());
    assert_eq!(
        (place.get("a"), place.names()),
        ("a\n".into(), vec![".git".to_owned(), "a".to_owned(), "file".to_owned()])
    );
}

fn add(path: &str) -> String {
    format!("*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch\n")
}

#[test]
fn fs_03_paths_are_judged_by_where_they_lead() {
    let place = Place::new();
    symlink(place.path("out"), place.path("ws/link")).expect("link");
    symlink("../out/dangling", place.path("ws/dangling")).expect("link");
    symlink(".git", place.path("ws/alias")).expect("link");
    let session = place.session();
    for path in [
        "../out/x",
        "link/x",
        "dangling",
        "/etc/x",
        ".git/hooks/pre-commit",
        "alias/config",
        ".codex/config.toml",
        "sub/../../out/x",
    ] {
        let error = session.apply(add(path).as_bytes()).expect_err(path);
        assert!(matches!(error, ApplyError::Authorize(AuthorizeError::NoAnswer { .. })), "{path}: {error}");
        let check = session.check_patch(add(path).as_bytes()).expect("patch");
        assert!(matches!(check.decision.verdict, Verdict::Ask(_)), "{path}");
        let named = session.edit_check(&[(path.into(), ChangeKind::Add)], "digest");
        assert!(matches!(named.decision.verdict, Verdict::Ask(_)), "{path}: judged the same for who writes by itself");
    }
    let inside = session.edit_check(&[("sub/new".into(), ChangeKind::Add)], "digest");
    assert!(matches!(inside.decision.verdict, Verdict::Run(_)), "{:?}", inside.decision);
    let own = place.path("home/.ringfence/config.toml").display().to_string();
    let error = session.apply(add(&own).as_bytes()).expect_err("own files");
    assert!(matches!(error, ApplyError::Authorize(AuthorizeError::Refused(_))), "{error}");
    assert!(fs::read_dir(place.path("out")).expect("out").next().is_none());
}

/// A writer that was taken over: it doesn't write the patch but what `script` says, and claims that all went well.
#[cfg(target_os = "linux")]
fn taken_over(place: &Place, script: &str) -> Opening {
    let writer = place.path("out/writer");
    fs::write(&writer, format!("#!/bin/sh\ncat >/dev/null\n{script}\nexit 1\n")).expect("writer");
    fs::set_permissions(&writer, fs::Permissions::from_mode(0o755)).expect("mode");
    Opening { writer: Some(vec![writer.as_path().into()]), ..place.opening() }
}

#[cfg(target_os = "linux")]
#[test]
fn fs_03_the_kernel_holds_a_writer_to_the_directories_of_the_patch() {
    let place = Place::new();
    fs::create_dir_all(place.path("ws/sub")).expect("sub");
    fs::create_dir_all(place.path("ws/.git/hooks")).expect("hooks");
    let attack = format!(
        "echo x >{out}/stolen; echo x >{ws}/beside; echo x >{ws}/.git/hooks/pre-commit; echo x >{home}/.ringfence/config.toml\n\
         ln -s {out} {ws}/sub/link && echo x >{ws}/sub/link/through; rm -rf {ws}/.git; mv {ws}/sub {ws}/gone; echo x >{ws}/sub/fine",
        out = place.path("out").display(),
        ws = place.path("ws").display(),
        home = place.path("home").display(),
    );
    let session = Session::open(taken_over(&place, &attack)).expect("session");
    match session.apply(add("sub/new").as_bytes()) {
        Err(ApplyError::Inside(error)) => {
            println!("SKIPPED: fs_03_the_kernel_holds_a_writer: this host confines nothing: {error}");
            return;
        }
        Err(ApplyError::Writer { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(place.path("ws/sub/fine").exists(), "the directory of the patch is writable");
    for gone in ["out/stolen", "out/through", "ws/beside", "ws/.git/hooks/pre-commit", "home/.ringfence/config.toml"] {
        assert!(!place.path(gone).exists(), "{gone} was written");
    }
    assert!(place.path("ws/.git/hooks").is_dir());
}

#[cfg(target_os = "linux")]
#[test]
fn a_writer_that_says_nothing_or_nonsense_is_believed_nothing() {
    let place = Place::new();
    let lies = "echo '{\"written\":[]}'; exit 0";
    for script in [lies, "exit 0", "echo '{\"written\":[]}'; exit 3", "echo nonsense; exit 0", "kill -9 $$"] {
        let session = Session::open(taken_over(&place, script)).expect("session");
        match session.apply(add("new").as_bytes()) {
            Err(ApplyError::Inside(_)) => return,
            Err(ApplyError::Writer { .. }) => {}
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[test]
fn ap_02_a_link_swapped_in_while_the_patch_is_asked_about_is_not_followed() {
    struct Swaps(PathBuf, PathBuf);
    impl ringfence::Approver for Swaps {
        fn name(&self) -> &str {
            "user"
        }
        fn ask(&self, _: &ringfence::Asked) -> Result<ringfence::model::grant::Answer, ringfence::approver::NoAnswer> {
            fs::rename(&self.0, self.0.with_extension("old")).expect("away");
            symlink(&self.1, &self.0).expect("link");
            Ok(ringfence::model::grant::Answer::Once)
        }
    }
    let place = Place::new();
    fs::create_dir(place.path("judged")).expect("judged");
    let swaps = Swaps(place.path("judged"), place.path("out"));
    let opening = Opening { approver: Some(std::sync::Arc::new(swaps)), ..place.opening() };
    let session = Session::open(opening).expect("session");
    let error = session.apply(add("../judged/new").as_bytes()).expect_err("moved");
    assert!(matches!(error, ApplyError::Moved { .. }), "{error}");
    assert!(!place.path("out/new").exists());
}

#[test]
fn what_is_no_patch_is_named_with_its_line() {
    for (patch, what) in [
        ("", "names no file"),
        ("hello\n", "names no file"),
        ("*** Begin Patch\n*** Add File: a\n+x\n", "`*** End Patch` is missing"),
        ("*** Begin Patch\n*** Update File: a\n@@\n x\n*** End Patch\n", "changes nothing"),
        ("--- a\n+++ b\n@@ -1,9 +1,9 @@\n x\n", "ends before its lines do"),
        ("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n+z\n", "more lines than it says"),
        ("diff --git a/x b/x\nGIT binary patch\n", "binary"),
        ("diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+y\n", "symbolic links"),
        ("*** Begin Patch\n*** Add File: a\0b\n+x\n*** End Patch\n", "NUL"),
    ] {
        let error = parse(patch.as_bytes()).expect_err(patch);
        assert!(error.to_string().contains(what), "{patch:?}: {error}");
    }
}

#[test]
fn names_with_blanks_and_quoted_bytes_are_read_as_git_writes_them() {
    let patch = "diff --git \"a/\\303\\244 b\" \"b/\\303\\244 b\"\n--- \"a/\\303\\244 b\"\n+++ \"b/\\303\\244 b\"\n@@ -1 +1 @@\n-x\n+y\n";
    assert_eq!(parse(patch.as_bytes()).expect("patch").files[0].path.as_str(), Some("ä b"));
    let plain = "--- old name.txt\t2026-01-01\n+++ new name.txt\t2026-01-01\n@@ -1 +1 @@\n-x\n+y\n";
    assert_eq!(parse(plain.as_bytes()).expect("patch").files[0].path.as_str(), Some("new name.txt"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_panic(patch in proptest::collection::vec(any::<u8>(), 0..200), lines in proptest::collection::vec("(@@ -1,2 \\+1,2 @@|--- a|\\+\\+\\+ b|diff --git a/x b/x|[-+ ]x|\\*\\*\\* (Begin|End) Patch|\\*\\*\\* Update File: a|rename from x|)", 0..12)) {
        let _ = parse(&patch);
        if let Ok(patch) = parse(lines.join("\n").as_bytes()) {
            for file in patch.files {
                if let Op::Update { hunks, .. } = file.op { let _ = work_out_hunks(b"x\ny\n", &hunks); }
            }
        }
    }

    #[test]
    fn replacing_every_line_gives_exactly_the_new_ones(old in proptest::collection::vec("[a-c]{0,3}", 1..6), new in proptest::collection::vec("[a-c]{0,3}", 0..6)) {
        let removed: String = old.iter().map(|line| format!("-{line}\n")).collect();
        let added: String = new.iter().map(|line| format!("+{line}\n")).collect();
        let patch = format!("--- a/f\n+++ b/f\n@@ -1,{} +1,{} @@\n{removed}{added}", old.len(), new.len());
        let content: String = old.iter().map(|line| format!("{line}\n")).collect();
        let wanted: String = new.iter().map(|line| format!("{line}\n")).collect();
        match parse(patch.as_bytes()).expect("patch").files.remove(0).op {
            Op::Update { hunks, .. } => prop_assert_eq!(work_out_hunks(content.as_bytes(), &hunks).expect("fits"), wanted.into_bytes()),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
