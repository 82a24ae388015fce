//! The walk to files that constrain, on a disk of Windows. Who may change what is told by a stand-in for the system's answer:
//! what the answers mean is judged elsewhere, on every system.
#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_config::gather::{Descriptor, Machine, TrustedError, World};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const ADMINISTRATORS: &str = "O:BAG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1200a9;;;BU)";
const SOMEBODY: &str = "O:S-1-5-21-1-2-3-1001G:SYD:(A;;FA;;;S-1-5-21-1-2-3-1001)";

/// Everything is the administrators'.
fn theirs(_: &File) -> io::Result<String> {
    Ok(ADMINISTRATORS.to_owned())
}

/// Directories are somebody's, files the administrators'.
fn in_a_home(file: &File) -> io::Result<String> {
    Ok(if file.metadata()?.is_dir() { SOMEBODY } else { ADMINISTRATORS }.to_owned())
}

/// Everything is somebody's.
fn somebodys(_: &File) -> io::Result<String> {
    Ok(SOMEBODY.to_owned())
}

fn with(descriptor: Descriptor) -> Machine {
    Machine::with_descriptor(Some(descriptor))
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("managed_config.toml");
    (dir, file)
}

fn is_untrusted(read: Result<Option<Vec<u8>>, TrustedError>) -> bool {
    matches!(read, Err(TrustedError::Untrusted { .. }))
}

#[test]
fn what_is_the_administrators_all_the_way_is_read() {
    let (_dir, file) = directory();
    assert!(matches!(with(theirs).read_trusted(&file), Ok(None)));
    fs::write(&file, "x = 1").unwrap();
    assert_eq!(with(theirs).read_trusted(&file).unwrap().as_deref(), Some(&b"x = 1"[..]));
    // The same file by the other names of its path.
    let text = file.to_str().unwrap();
    for other in [text.to_uppercase(), format!(r"\\?\{text}")] {
        assert!(matches!(with(theirs).read_trusted(Path::new(&other)), Ok(Some(_))), "{other}");
    }
}

#[test]
fn cf_02_requirements_below_somebodys_directory_stop_everything() {
    let (dir, file) = directory();
    assert!(is_untrusted(with(in_a_home).read_trusted(&file)), "somebody could have removed it");
    fs::write(&file, "").unwrap();
    assert!(is_untrusted(with(in_a_home).read_trusted(&file)));
    let nowhere = dir.path().join("none").join("requirements.toml");
    assert!(matches!(with(somebodys).read_trusted(&nowhere), Ok(None)), "no directory, nothing to distrust");
    assert!(is_untrusted(Machine::default().read_trusted(&file)), "nobody can tell whose it is");
}

#[test]
fn managed_defaults_in_the_users_home_may_be_missing_and_must_be_the_administrators() {
    let (_dir, file) = directory();
    assert!(matches!(with(somebodys).read_managed(&file), Ok(None)), "every user's home is the user's");
    fs::write(&file, "x = 1").unwrap();
    assert!(matches!(with(in_a_home).read_managed(&file), Ok(Some(_))));
    assert!(is_untrusted(with(somebodys).read_managed(&file)));
}

#[test]
fn what_is_no_plain_path_is_refused() {
    for path in ["relative.toml", r"C:relative.toml", r"C:\a\..\b.toml", r"\\server\share\x.toml", r"\\.\C:\x.toml"] {
        assert!(is_untrusted(with(theirs).read_trusted(Path::new(path))), "{path}");
    }
    let (dir, file) = directory();
    fs::create_dir(&file).unwrap();
    assert!(is_untrusted(with(theirs).read_trusted(&file)), "a directory in the file's place");
    drop(dir);
}
