//! The walls: what keeps the project's shape, as checks that fail with the rule's reason.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::layers::{CONFINED, LAYERS, LONG_FILES, RUN_PATH_PACKAGES};
use xtask::root;

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Packages of the workspace with their direct dependencies that end in the product: (package, dependency).
fn imports() -> Vec<(String, String)> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"]);
    let metadata: Value = serde_json::from_str(&text).expect("metadata is JSON");
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["kind"].as_str() != Some("dev") {
                found.push((name.to_owned(), dependency["name"].as_str().expect("name").to_owned()));
            }
        }
    }
    found
}

#[test]
fn crates_import_only_what_the_layer_table_allows() {
    let ours: BTreeSet<&str> = LAYERS.iter().map(|layer| layer.package).collect();
    for (package, dependency) in imports() {
        let layer = LAYERS
            .iter()
            .find(|layer| layer.package == package)
            .unwrap_or_else(|| panic!("`{package}` has no row in the layer table (xtask/src/layers.rs)"));
        if ours.contains(dependency.as_str()) {
            assert!(
                layer.may.contains(&dependency.as_str()),
                "`{package}` imports `{dependency}`, which its row of the layer table doesn't allow"
            );
        }
    }
}

#[test]
fn outside_crates_stay_where_they_belong() {
    for (package, dependency) in imports() {
        for confined in CONFINED.iter().filter(|confined| dependency.starts_with(confined.prefix)) {
            assert!(
                confined.only.contains(&package.as_str()),
                "`{package}` imports `{dependency}`; only {:?} may: {}",
                confined.only,
                confined.why
            );
        }
    }
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let page = std::fs::read_to_string(root().join("docs/dependencies.md")).expect("docs/dependencies.md");
    let ours: BTreeSet<&str> = LAYERS.iter().map(|layer| layer.package).collect();
    let missing: BTreeSet<String> = imports()
        .into_iter()
        .map(|(_, dependency)| dependency)
        .filter(|name| !ours.contains(name.as_str()) && !page.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "dependencies without a row in docs/dependencies.md: {missing:?}");
}

/// Every source file of the product.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in std::fs::read_dir(root().join("crates")).expect("crates").flatten() {
        walk(&directory.path().join("src"), &mut found);
    }
    walk(&root().join("xtask/src"), &mut found);
    found.sort();
    found
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn unsafe_code_stands_only_in_sys_and_child() {
    for path in sources() {
        let name = short(&path);
        if name.starts_with("crates/sandbox/src/sys/") || name == "crates/sandbox/src/child.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
            assert!(
                !found.iter().any(|form| code.contains(form)),
                "{name}:{}: unsafe code belongs into crates/sandbox/src/sys, one function per system call",
                number + 1
            );
        }
    }
}

#[test]
fn every_unsafe_block_argues() {
    let mut directories = Vec::new();
    walk(&root().join("crates/sandbox/src/sys"), &mut directories);
    directories.push(root().join("crates/sandbox/src/child.rs"));
    for path in directories.into_iter().filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !line.contains("unsafe {") || line.trim_start().starts_with("//") {
                continue;
            }
            let above = lines[at.saturating_sub(8)..=at].join("\n");
            assert!(above.contains("SAFETY:"), "{}:{}: an unsafe block without `SAFETY:`", short(&path), at + 1);
        }
    }
}

#[test]
fn no_file_is_longer_than_a_house_room() {
    for path in sources() {
        let name = short(&path);
        let text = std::fs::read_to_string(&path).expect("readable");
        let product =
            text.lines().take_while(|line| line.trim() != "#[cfg(test)]" && !line.starts_with("mod tests")).count();
        let allowed = LONG_FILES.iter().any(|(file, reason)| *file == name && !reason.is_empty());
        assert!(product <= 800 || allowed, "{name}: {product} product lines; 800 is the wall, split it by reason");
    }
}

#[test]
fn every_module_says_its_reason_first() {
    for path in sources().into_iter().filter(|path| !path.to_string_lossy().ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("//!"), "{}: a module opens with one sentence on its reason", short(&path));
    }
}

#[test]
fn generated_files_are_up_to_date() {
    if let Err(error) = xtask::generate::check() {
        panic!("{error}");
    }
}

#[test]
fn the_run_path_links_few_packages() {
    let args =
        ["tree", "-p", "ringfence-cli", "-e", "normal", "--prefix", "none", "--offline", "--locked", "--no-dedupe"];
    // The proxy is linked too, but nothing of it is started, or even read from disk, by a run without it.
    let text = cargo(&[args.as_slice(), &["--no-default-features"]].concat());
    let packages: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    assert!(
        packages.len() <= RUN_PATH_PACKAGES,
        "{} packages are linked into the plain run path, {RUN_PATH_PACKAGES} is the bound: {packages:?}",
        packages.len()
    );
    println!("{} packages", packages.len());
}
