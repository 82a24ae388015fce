//! Changing settings files: comments stay, nothing is lost, nothing half-written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_config::edit::{Change, change_file, change_text, trust};
use ringfence_model::AbsPath;
use ringfence_model::settings::Trust;
use std::fs;
use std::path::Path;

fn set(text: &str, key: &str, value: &str) -> Result<String, String> {
    let path = ringfence_config::document::parse_path(key).expect(key);
    change_text(text, Path::new("/c/config.toml"), &path, &Change::Set(value.into())).map_err(|error| error.to_string())
}

#[test]
fn comments_and_order_stay() {
    let text = "# mine\ngit = \"commit\" # why\n\n[limits] # bounds\nmemory = \"1GiB\"\n\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n";
    assert_eq!(
        set(text, "git", "\"read-only\"").expect("valid"),
        "# mine\ngit = \"read-only\" # why\n\n[limits] # bounds\nmemory = \"1GiB\"\n\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n"
    );
    assert_eq!(
        set(text, "limits.processes", "7").expect("valid"),
        "# mine\ngit = \"commit\" # why\n\n[limits] # bounds\nmemory = \"1GiB\"\nprocesses = 7\n\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n"
    );
    let added = set(text, "network.domains.\"a.test\"", "allow").expect("valid");
    assert!(added.ends_with("\n[network.domains]\n\"a.test\" = \"allow\"\n"), "{added}");
    assert!(!added.contains("[network]\n"), "{added}");
    assert_eq!(set("", "private_tmp", "true").expect("valid"), "private_tmp = true\n");
    assert_eq!(set("", "sandbox_mode", "read-only").expect("valid"), "sandbox_mode = \"read-only\"\n");
    let path = ["limits".to_owned(), "memory".to_owned()];
    let removed = change_text(text, Path::new("/c"), &path, &Change::Unset).expect("valid");
    assert!(!removed.contains("1GiB") && removed.contains("[limits] # bounds"));
}

#[test]
fn what_would_not_be_valid_is_not_written() {
    assert_eq!(
        set("", "sandbox_mode", "raed-only").expect_err("wrong"),
        "flag `config set sandbox_mode`: `sandbox_mode` is \"raed-only\"; expected one of \"read-only\", \
         \"workspace-write\", \"danger-full-access\""
    );
    assert!(set("", "colour", "1").expect_err("unknown").contains("unknown key `colour`"));
    assert!(set("git = ", "private_tmp", "true").expect_err("broken").starts_with("/c/config.toml:1:"));
    assert!(set("limits = 1", "limits.memory", "1").expect_err("no table").contains("`limits` "));
    let bom = change_text("\u{feff}", Path::new("/c"), &["git".to_owned()], &Change::Unset);
    assert!(bom.is_err());
}

#[test]
fn cf_08_two_writers_lose_nothing() {
    let dir = tempfile::tempdir().expect("makes");
    let file = dir.path().join("home").join("config.toml");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for number in 0..10 {
                    let path = ["shell_environment_policy", "set", &format!("V{writer}_{number}")].map(str::to_owned);
                    change_file(file, &path, &Change::Set("\"x\"".into())).expect("writes");
                }
            });
        }
    });
    let text = fs::read_to_string(&file).expect("reads");
    assert_eq!(text.matches("= \"x\"").count(), 40);
    let left: Vec<_> =
        fs::read_dir(file.parent().expect("has one")).expect("reads").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_and_links_stay() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("makes");
    let real = dir.path().join("dotfiles.toml");
    fs::write(&real, "# kept\n").expect("writes");
    let link = dir.path().join("config.toml");
    std::os::unix::fs::symlink(&real, &link).expect("links");
    change_file(&link, &["private_tmp".to_owned()], &Change::Set("true".into())).expect("writes");
    assert!(link.symlink_metadata().expect("there").is_symlink());
    assert_eq!(fs::read_to_string(&real).expect("reads"), "# kept\nprivate_tmp = true\n");
    assert_eq!(real.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let fresh = dir.path().join("new").join("home").join("config.toml");
    change_file(&fresh, &["private_tmp".to_owned()], &Change::Set("true".into())).expect("writes");
    assert_eq!(fresh.parent().expect("has one").metadata().expect("there").permissions().mode() & 0o777, 0o700);
    let dangling = dir.path().join("dangling.toml");
    std::os::unix::fs::symlink("/nowhere/x", &dangling).expect("links");
    assert!(change_file(&dangling, &["private_tmp".to_owned()], &Change::Set("true".into())).is_err());
}

#[test]
fn cf_08_what_cannot_be_written_says_so_and_stays_whole() {
    let dir = tempfile::tempdir().expect("makes");
    let blocked = dir.path().join("blocked");
    fs::write(&blocked, "a file in the place of a directory").expect("writes");
    let file = blocked.join("config.toml");
    let error = change_file(&file, &["private_tmp".to_owned()], &Change::Set("true".into())).expect_err("can't");
    assert!(error.to_string().starts_with("can't write "), "{error}");
    assert!(error.hint().expect("has one").starts_with("nothing was changed"));
}

#[test]
#[cfg_attr(not(unix), ignore = "names paths as Unix writes them")]
fn trust_is_written_and_withdrawn() {
    let dir = tempfile::tempdir().expect("makes");
    let file = dir.path().join("config.toml");
    let root = AbsPath::new("/w/my app").expect("absolute");
    trust(&file, &root, Trust::Trusted).expect("writes");
    assert_eq!(fs::read_to_string(&file).expect("reads"), "[projects.\"/w/my app\"]\ntrust_level = \"trusted\"\n");
    trust(&file, &root, Trust::Untrusted).expect("writes");
    assert!(fs::read_to_string(&file).expect("reads").contains("\"untrusted\""));
    trust(&file, &root, Trust::Unknown).expect("writes");
    assert!(!fs::read_to_string(&file).expect("reads").contains("trust_level"));
}
