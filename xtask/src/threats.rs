//! The table of threats and the tests that try them, read off the names of the tests: `fs_03_…` belongs to `FS-03`,
//! `cmd_14_to_17_and_33_…` to five of them. Rows of a table that a test goes through (`("fs_09_…", probe)`,
//! `("FS-15 set-user-id", …)`) have names like tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A boundary: prefix of ids, how many there are, what it is about.
const BOUNDARIES: &[(&str, u8, &str)] = &[
    ("FS", 25, "files: writes outside the roots, protected paths, denied reads, other spellings of a path"),
    ("PROC", 16, "processes: reach, survival, privilege, terminal, the supervisor as target"),
    ("IPC", 5, "unix sockets, shared memory, queues, netlink"),
    ("NET", 8, "network off, loopback on"),
    ("PX", 15, "the managed network's proxy"),
    ("CMD", 34, "reading command lines and rules"),
    ("AP", 7, "questions and answers"),
    ("CF", 8, "configuration and requirements"),
    ("MC", 8, "tool servers and hooks"),
    ("AU", 4, "journal and telemetry"),
    ("DOS", 3, "exhaustion"),
];

/// The acts of `ringfence prove`, whose names say what they are about.
const PROOF: &str = "crates/cli/src/prove/acts.rs";

/// The page.
#[must_use]
pub fn markdown(root: &Path) -> String {
    let mut tests: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut sources: Vec<_> =
        ["crates", "tests"].iter().flat_map(|below| crate::rust_files(&root.join(below))).collect();
    sources.sort();
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        for line in text.lines() {
            let rows = if in_tests { rows_of(line) } else { Vec::new() };
            for (ids, name) in std::iter::once(test_of(line)).chain(rows) {
                for id in ids {
                    let of_id = tests.entry(id).or_default();
                    // A test that says its own name, as one that may be skipped does, is one test.
                    if !of_id.iter().any(|(known, file)| *known == name && *file == shown) {
                        of_id.push((name.clone(), shown.clone()));
                    }
                }
            }
        }
    }
    let mut out = String::from(
        "# Threats and tests\n\nMade by `cargo xtask threats` from the names of the tests: a test that tries a threat \
         is named after its id. Each boundary is attacked a second time, from inside and judged from outside, by \
         `ringfence prove`; its acts are the rows of `",
    );
    let _ = writeln!(
        out,
        "{PROOF}`. The probes in `crates/sandbox/tests/probes` try every protection with its honest twin; the acts in \
         `crates/sandbox/tests/tiers` are tried in every tier."
    );
    for (prefix, last, about) in BOUNDARIES {
        let rows: Vec<_> = tests.iter().filter(|(id, _)| id.split('-').next() == Some(prefix)).collect();
        let _ = write!(out, "\n## {prefix}: {about}\n\n| id | tests |\n| --- | --- |\n");
        for (id, tests) in rows {
            let tests: Vec<_> = tests.iter().map(|(name, file)| format!("`{name}` ({file})")).collect();
            let _ = writeln!(out, "| {id} | {} |", tests.join("<br>"));
        }
        let untried = (1..=*last).map(|number| format!("{prefix}-{number:02}")).filter(|id| !tests.contains_key(id));
        let untried: Vec<_> = untried.collect();
        if !untried.is_empty() {
            let _ = writeln!(out, "\nNo test has the name of {}: `prove` at most tries it.", untried.join(", "));
        }
    }
    out
}

/// The ids and the name of a test function whose name begins with some: `fn px_02_numbers()`, `async fn px_13_loops()`,
/// `fn cmd_01_to_05_readers()`, `fn cmd_16_and_32_configuration()`.
fn test_of(line: &str) -> (Vec<String>, String) {
    let line = line.trim_start();
    let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
    let name = function.and_then(|rest| rest.split('(').next()).unwrap_or_default();
    (ids_of(name), name.to_owned())
}

/// The same for rows of a table: literals that begin with an id, as a test's name or as a person writes it.
fn rows_of(line: &str) -> Vec<(Vec<String>, String)> {
    let literals = line.split('"').skip(1).step_by(2);
    let rows = literals.filter(|name| !name.contains('{')).map(|name| {
        let shown = name.split_once(' ').map_or(name, |(id, _)| if id.contains('-') { name } else { "" });
        (ids_of(&shown.replace(['-', ' '], "_")), shown.to_owned())
    });
    rows.filter(|(ids, name)| !ids.is_empty() && (name.contains(' ') || name.matches('_').count() > 1)).collect()
}

/// The ids that a name begins with.
fn ids_of(name: &str) -> Vec<String> {
    let mut words = name.split('_');
    let prefix = words.next().unwrap_or_default();
    let Some((known, ..)) = BOUNDARIES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(prefix)) else {
        return Vec::new();
    };
    let number = |word: Option<&str>| word.filter(|word| word.len() == 2).and_then(|word| word.parse::<u8>().ok());
    let mut numbers: Vec<u8> = number(words.next()).into_iter().collect();
    while let Some(first) = numbers.last().copied() {
        match (words.next(), number(words.clone().next())) {
            (Some("to"), Some(end)) => numbers.extend(first.saturating_add(1)..=end),
            (Some("and"), Some(next)) => numbers.push(next),
            _ => break,
        }
        words.next();
    }
    numbers.into_iter().map(|number| format!("{known}-{number:02}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{rows_of, test_of};

    #[test]
    fn an_id_is_read_off_a_name() {
        let ids = |line| test_of(line).0;
        assert_eq!(test_of("    fn fs_19_paths() {"), (vec!["FS-19".to_owned()], "fs_19_paths".to_owned()));
        assert_eq!(ids("fn cmd_14_to_16_and_33_git() {"), ["CMD-14", "CMD-15", "CMD-16", "CMD-33"]);
        assert_eq!(ids("fn cmd_31_and_more() {"), ["CMD-31"]);
        assert_eq!(ids("async fn px_13_and_15_loops() {"), ["PX-13", "PX-15"]);
        assert!(
            ids("fn fs_paths() {").is_empty() && ids("fn other_19_x() {").is_empty() && ids("let x = 1;").is_empty()
        );
    }

    #[test]
    fn rows_of_a_table_have_names_too() {
        let names = |line| rows_of(line).into_iter().map(|(ids, name)| (ids.join(","), name)).collect::<Vec<_>>();
        let row = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(
            names("    &[(\"fs_13_devices_are_there\", devices), (\"fs_13_none_is_made\", made)];"),
            [row("FS-13", "fs_13_devices_are_there"), row("FS-13", "fs_13_none_is_made")]
        );
        assert_eq!(names("(\"FS-15 set-user-id\", \"chmod u+s s\", Must::Fail),"), [row("FS-15", "FS-15 set-user-id")]);
        assert!(names("assert!(x, \"FS-15: {line}\", \"CMD-01\", \"fs_13\", \"fs 13 x\");").is_empty());
    }
}
