//! The walls: what keeps the project's shape, as checks that fail with the rule's reason.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::layers::{CONFINED, LAYERS, LONG_FILES, RUN_PATH};
use xtask::{root, rust_files};

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
        found.extend(rust_files(&directory.path().join("src")));
    }
    found.extend(rust_files(&root().join("xtask/src")));
    found.sort();
    found
}

/// Whether a source file holds nothing but tests.
fn of_tests(path: &Path) -> bool {
    let name = short(path);
    name.ends_with("tests.rs") || name.contains("/tests/")
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn unsafe_code_stands_only_in_sys_and_child() {
    for path in sources() {
        let name = short(&path);
        if name.starts_with("crates/sandbox/src/sys/")
            || name.starts_with("crates/sandbox/src/child/")
            // An allocator can't be anything else, and what real-time signals are, no library says.
            || ["crates/cli/src/allocator.rs", "xtask/src/follow.rs"].contains(&name.as_str())
            || of_tests(&path)
        {
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
    let below = ["crates/sandbox/src/sys", "crates/sandbox/src/child", "crates/cli/src", "xtask/src"];
    for path in below.iter().flat_map(|below| rust_files(&root().join(below))) {
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
    for path in sources().into_iter().filter(|path| !of_tests(path)) {
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

/// Codes that a person meets: of reasons, of problems with settings, of notices.
fn codes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        // Product code only; what tests make up isn't met by anybody. A module of tests ends its file.
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let in_codes = short(&path) == "crates/policy/src/decide/reasons.rs";
        let quoted =
            |part: &str| part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next().map(str::to_owned));
        let mut literals: Vec<String> = text.split("Problem::new(").skip(1).filter_map(quoted).collect();
        literals.extend(text.split("code: ").skip(1).filter_map(quoted));
        let lines = text.lines().filter(|line| in_codes && line.contains("pub const "));
        literals.extend(lines.filter_map(|line| line.split_once(": &str = ").and_then(|(_, rest)| quoted(rest))));
        let plain = |code: &String| !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        found.extend(literals.into_iter().filter(plain));
    }
    found
}

#[test]
fn every_code_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/reference/codes.md")).expect("docs/reference/codes.md");
    let missing: Vec<String> = codes().into_iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "codes without a row in docs/reference/codes.md: {missing:?}");
}

/// How many packages a package links, itself included.
fn linked(package: &str) -> BTreeSet<String> {
    let args = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "--offline", "--locked", "--no-dedupe"];
    cargo(&args)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_run_path_links_few_packages() {
    // The library without its managed network: nothing of the proxy is started by a run that doesn't need it.
    for (package, bound) in RUN_PATH {
        let packages = linked(package);
        assert!(
            packages.len() <= *bound,
            "`{package}` links {} packages, {bound} is the bound: {packages:?}",
            packages.len()
        );
        println!("{package}: {} packages", packages.len());
    }
}
