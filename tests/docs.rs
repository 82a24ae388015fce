//! The documents as a reader meets them: links lead somewhere, and files they name exist.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use xtask::root;

/// Every Markdown file of the project, generated ones too.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !name.starts_with("target") && !name.starts_with('.') && name != "corpus" && name != "node_modules" {
                collect(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The text outside blocks of code, with the number of each line.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            out.push((number + 1, line.to_owned()));
        }
    }
    out
}

/// Without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Targets of `[text](target)`.
fn links(line: &str) -> Vec<String> {
    let line = without_code(line);
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page's headings, as they are made from their text.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .iter()
        .filter_map(|(_, line)| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim().to_lowercase()))
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        for (line, target) in
            prose(&text).iter().flat_map(|(number, line)| links(line).into_iter().map(|target| (*number, target)))
        {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let found = if file.is_empty() { page.clone() } else { page.parent().expect("a parent").join(file) };
            let there = found.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&found).is_ok_and(|text| anchors(&text).contains(anchor)));
            if !there {
                broken.push(format!("{}:{line}: {target}", page.strip_prefix(root()).expect("below").display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(count > 20, "{count} links");
}

#[test]
fn files_that_pages_name_exist() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        for (number, line) in prose(&text) {
            let named = line.split('`').skip(1).step_by(2).filter(|name| {
                ["crates/", "docs/", "schema/", "xtask/", "tests/", "fuzz/"].iter().any(|top| name.starts_with(top))
                    && !name.contains(['*', ' ', '…', '<'])
                    && !name.contains("NAME")
            });
            for name in named {
                let file = name.split(':').next().unwrap_or(name);
                if !root().join(file).exists() {
                    missing.push(format!("{}:{number}: {name}", page.strip_prefix(root()).expect("below").display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "files that pages name and that aren't there:\n{}", missing.join("\n"));
}

#[test]
fn a_page_is_reached_from_the_readme() {
    let mut reached = BTreeSet::from([root().join("README.md")]);
    let mut open: Vec<PathBuf> = reached.iter().cloned().collect();
    while let Some(page) = open.pop() {
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        for target in prose(&text).iter().flat_map(|(_, line)| links(line)) {
            let file = target.split('#').next().unwrap_or_default();
            let Ok(found) = page.parent().expect("a parent").join(file).canonicalize() else { continue };
            if found.extension().is_some_and(|end| end == "md") && reached.insert(found.clone()) {
                open.push(found);
            }
        }
    }
    let lost: Vec<String> = pages()
        .into_iter()
        .filter(|page| page.starts_with(root().join("docs")))
        .filter(|page| !reached.contains(&page.canonicalize().expect("there")))
        .map(|page| page.strip_prefix(root()).expect("below").display().to_string())
        .collect();
    assert!(lost.is_empty(), "pages that no link leads to from the README: {lost:?}");
}
