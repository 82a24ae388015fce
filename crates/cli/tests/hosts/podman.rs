//! A container of Podman with its default settings, on a root made of what the host has: no image is fetched.

use crate::common::{Place, have, skip};
use crate::{ACTS, is_root};
use std::path::Path;
use std::process::{Command, Output};

/// The libraries that a program needs, as `ldd` finds them.
fn libraries(program: &Path) -> Vec<String> {
    let Ok(Output { stdout, .. }) = Command::new("ldd").arg(program).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

/// A root file system of a shell, a few tools and Ringfence.
fn root(place: &Place) {
    let put = |from: &Path, to: &str| {
        let to = place.path("").join("root").join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    let ringfence = crate::common::program();
    let programs = [("/bin/sh", "/bin/sh"), ("/bin/mkdir", "/bin/mkdir"), ("/bin/cat", "/bin/cat")];
    for (from, to) in
        programs.map(|(from, to)| (Path::new(from), to)).into_iter().chain([(ringfence.as_path(), "/bin/ringfence")])
    {
        put(from, to);
        for library in libraries(from) {
            put(Path::new(&library), &library);
        }
    }
    for directory in ["proc", "sys", "dev", "tmp", "run", "etc", "w/ws/.git", "w/home", "w/out"] {
        std::fs::create_dir_all(place.path("").join("root").join(directory)).unwrap();
    }
    place.write("root/w/out/keep", "a canary\n");
    place.write("root/etc/passwd", "root:x:0:0:root:/w/home:/bin/sh\n");
}

#[test]
fn in_a_container_with_default_settings_the_landlock_tier_holds() {
    let test = "in_a_container_with_default_settings_the_landlock_tier_holds";
    if !have(test, "podman") || !have(test, "ldd") {
        return;
    }
    let place = Place::new();
    root(&place);
    let root = place.path("root").display().to_string();
    let podman = |command: &[&str]| {
        let mut podman = Command::new("podman");
        podman.args(["run", "--rm", "--network", "none", "-w", "/w/ws", "-e", "HOME=/w/home", "--rootfs", &root]);
        podman.args(command).env("HOME", place.path("home")).stdin(std::process::Stdio::null());
        podman.output()
    };
    match podman(&["/bin/sh", "-c", "exit 0"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            return skip(test, &format!("podman runs nothing here: {}", why.lines().last().unwrap_or_default()));
        }
        Err(error) => return skip(test, &error.to_string()),
    }
    let output = podman(&["ringfence", "sandbox", "-s", "workspace-write", "--", "/bin/sh", "-c", ACTS]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown = format!("as root: {}\n{said}\n{}", is_root(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
    assert!(said.contains("tier=landlock") || said.contains("tier=namespaces"), "{shown}");
    assert_eq!(place.read("root/w/ws/made"), "made\n", "{shown}");
    assert_eq!(place.read("root/w/out/keep"), "a canary\n", "{shown}");
    assert!(!place.path("root/w/ws").join(".codex").exists(), "{shown}");
}
