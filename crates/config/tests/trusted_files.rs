//! Requirements files on a real disk: who may own what leads to them. Run as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use ringfence_config::gather::{TrustedError, read_owned};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// A directory whose every ancestor is root's alone; none for an ordinary user.
struct RootOnly(tempfile::TempDir);

impl RootOnly {
    fn new(test: &str) -> Option<Self> {
        let found = ["/opt", "/usr/local", "/var/lib"].iter().find_map(|base| {
            let made = tempfile::Builder::new().prefix("ringfence-test-").tempdir_in(base).ok()?;
            let file = made.path().join("probe");
            fs::write(&file, "").ok()?;
            matches!(read_owned(&file, 0), Ok(Some(_))).then_some(made)
        });
        if found.is_none() {
            println!("SKIPPED: {test}: it needs root, and a directory that only root can write");
        }
        found.map(Self)
    }
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().expect("has one")).expect("makes directories");
        fs::write(&file, text).expect("writes");
        file
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changes the mode");
}

fn refused(file: &Path) -> String {
    match read_owned(file, 0) {
        Err(error @ TrustedError::Untrusted { .. }) => error.to_string(),
        other => panic!("{} was not refused: {other:?}", file.display()),
    }
}

#[test]
fn roots_own_file_is_read_and_a_missing_one_is_none() {
    let Some(dir) = RootOnly::new("roots_own_file_is_read_and_a_missing_one_is_none") else { return };
    let file = dir.file("etc/requirements.toml", "x");
    assert_eq!(read_owned(&file, 0).expect("reads"), Some(b"x".to_vec()));
    assert_eq!(read_owned(&file.with_file_name("none"), 0).expect("reads"), None);
    assert_eq!(read_owned(&dir.0.path().join("no/such/dir"), 0).expect("reads"), None);
}

#[test]
fn cf_02_what_others_can_write_is_refused() {
    let Some(dir) = RootOnly::new("cf_02_what_others_can_write_is_refused") else { return };
    let file = dir.file("etc/requirements.toml", "x");
    let parent = file.parent().expect("has one").to_path_buf();
    for bits in [0o664, 0o646, 0o666] {
        mode(&file, bits);
        assert!(refused(&file).contains("others can write this file"));
    }
    mode(&file, 0o644);
    for bits in [0o775, 0o757, 0o1777] {
        mode(&parent, bits);
        assert!(refused(&file).contains("others can write this directory"));
        let missing = file.with_file_name("none");
        assert!(refused(&missing).contains("others can write this directory"), "who can write it can remove the file");
    }
    let nowhere = parent.join("no").join("such");
    assert_eq!(read_owned(&nowhere, 0).expect("reads"), None, "nothing is there to distrust");
    mode(&parent, 0o755);
    chown(&parent, Some(1000), None).expect("root may");
    assert!(refused(&file).contains("this directory belongs to user 1000, not to root"));
    chown(&parent, Some(0), None).expect("root may");
    chown(&file, Some(1000), None).expect("root may");
    assert!(refused(&file).contains("this file belongs to user 1000"));
}

#[test]
fn cf_02_links_are_followed_only_where_all_is_roots() {
    let Some(dir) = RootOnly::new("cf_02_links_are_followed_only_where_all_is_roots") else { return };
    let real = dir.file("real/requirements.toml", "x");
    let etc = dir.file("etc/other", "");
    let link = etc.with_file_name("requirements.toml");
    symlink(&real, &link).expect("links");
    assert_eq!(read_owned(&link, 0).expect("reads"), Some(b"x".to_vec()));
    let relative = etc.with_file_name("relative.toml");
    symlink("../real/requirements.toml", &relative).expect("links");
    assert_eq!(read_owned(&relative, 0).expect("reads"), Some(b"x".to_vec()));

    std::os::unix::fs::lchown(&link, Some(1000), None).expect("root may");
    assert!(refused(&link).contains("this symbolic link belongs to user 1000"));
    std::os::unix::fs::lchown(&link, Some(0), None).expect("root may");
    mode(real.parent().expect("has one"), 0o777);
    assert!(refused(&link).contains("others can write this directory"));
    mode(real.parent().expect("has one"), 0o755);

    let dangling = etc.with_file_name("dangling.toml");
    symlink("/nowhere/at/all", &dangling).expect("links");
    assert!(matches!(read_owned(&dangling, 0), Err(TrustedError::Io(_))), "a dangling link is no absence");
    let circle = etc.with_file_name("circle.toml");
    symlink("circle.toml", &circle).expect("links");
    assert!(matches!(read_owned(&circle, 0), Err(TrustedError::Io(_))));
    let through_tmp = tempfile::tempdir().expect("makes");
    fs::write(through_tmp.path().join("requirements.toml"), "x").expect("writes");
    let out = etc.with_file_name("out.toml");
    symlink(through_tmp.path().join("requirements.toml"), &out).expect("links");
    assert!(refused(&out).contains("others can write this directory"));
}

#[test]
fn cf_02_what_is_no_file_is_refused_at_once() {
    let Some(dir) = RootOnly::new("cf_02_what_is_no_file_is_refused_at_once") else { return };
    let etc = dir.file("etc/other", "");
    let fifo = etc.with_file_name("requirements.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("makes a FIFO");
    assert!(refused(&fifo).contains("isn't a regular file"));
    let directory = etc.with_file_name("directory");
    fs::create_dir(&directory).expect("makes");
    assert!(matches!(read_owned(&directory, 0), Err(TrustedError::Io(_))));
    let below_file = etc.join("requirements.toml");
    assert!(matches!(read_owned(&below_file, 0), Err(TrustedError::Io(_))));
}

#[test]
fn cf_02_an_ordinary_users_file_is_never_roots() {
    if rustix::process::geteuid().is_root() {
        println!("SKIPPED: cf_02_an_ordinary_users_file_is_never_roots: it needs an ordinary user");
        return;
    }
    let dir = tempfile::tempdir().expect("makes");
    let file = dir.path().join("requirements.toml");
    fs::write(&file, "x").expect("writes");
    assert!(matches!(read_owned(&file, 0), Err(TrustedError::Untrusted { .. })));
}

#[test]
fn cf_02_an_unreadable_file_is_an_error_and_no_absence() {
    if rustix::process::geteuid().is_root() {
        println!("SKIPPED: cf_02_an_unreadable_file_is_an_error_and_no_absence: it needs an ordinary user");
        return;
    }
    // Every system has these two, root's and closed to others.
    let closed = Path::new("/etc/shadow");
    if closed.exists() {
        assert!(matches!(read_owned(closed, 0), Err(TrustedError::Io(_))));
    }
    let below = Path::new("/root/requirements.toml");
    assert!(matches!(read_owned(below, 0), Err(TrustedError::Io(_))), "a directory that can't be searched is an error");
}
