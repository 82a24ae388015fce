//! The run of all tests: as root and as an ordinary user where that can be, with a table of what held, what was skipped
//! and why, and one closing line.

use crate::user::User;
use crate::wine::{self, Wine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Test programs whose tests ask the kernel: run as root and as an ordinary user. By package and target.
const ENFORCEMENT: &[(&str, &[&str])] = &[
    (
        "ringfence-sandbox",
        // `probes` runs itself as an ordinary user too.
        &["survey", "enforce", "enforcement", "broker", "races", "tiers", "hosts", "limits"],
    ),
    ("ringfence-cli", &["cli", "documents", "git", "hosts", "managed", "prove", "work"]),
    // Whose files constrain is judged by owner and mode: root and others see different halves.
    ("ringfence-config", &["trusted_files"]),
];

/// One built test program.
struct Program {
    package: String,
    target: String,
    executable: PathBuf,
    directory: PathBuf,
}

/// What one test came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped(String),
}

/// Every result: who ran it, which program, which test.
type Results = BTreeMap<(&'static str, String, String), Verdict>;

/// Builds and runs everything; the exit status is 0 if nothing failed.
pub fn run() -> ExitCode {
    status(all())
}

/// Builds and runs the tests of Windows alone.
pub fn run_on_windows() -> ExitCode {
    let (mut results, mut broken) = (Results::new(), Vec::new());
    status(on_windows(&mut results, &mut broken).map(|()| report(&results, &broken, &[])))
}

fn status(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<bool, String> {
    let (programs, ringfence) = build()?;
    let mut results = Results::new();
    let mut broken: Vec<String> = Vec::new();
    let root = is_root();
    let who = if root { "root" } else { "user" };
    for program in &programs {
        let mut command = Command::new(&program.executable);
        command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
        command.env("RINGFENCE_BIN", &ringfence);
        one(who, program, command, &mut results, &mut broken)?;
    }
    doc_tests(who, &mut results, &mut broken)?;
    let mut notes = Vec::new();
    if root {
        match User::make() {
            Ok(user) => as_user(&user, &programs, &ringfence, &mut results, &mut broken)?,
            Err(error) => notes.push(format!("the half as an ordinary user was skipped: {error}")),
        }
    } else {
        notes.push("the half as root was skipped: this isn't root".to_owned());
    }
    on_windows(&mut results, &mut broken)?;
    Ok(report(&results, &broken, &notes))
}

/// The tests of Windows, where there is something to run them on.
fn on_windows(results: &mut Results, broken: &mut Vec<String>) -> Result<(), String> {
    let wine = match Wine::find() {
        Ok(wine) => wine,
        Err(why) => {
            results.insert(("wine", "all".to_owned(), "the tests of Windows".to_owned()), Verdict::Skipped(why));
            return Ok(());
        }
    };
    for build in wine::BUILDS {
        for program in test_programs(&[build, &["--target", wine::TARGET][..]].concat())? {
            let mut command = wine.command(&program.executable);
            command.current_dir(&program.directory);
            one("wine", &program, command, results, broken)?;
        }
    }
    Ok(())
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uid.split_whitespace().nth(1) == Some("0")
}

/// Builds every test and the program itself; gives the test programs and the path of `ringfence`.
fn build() -> Result<(Vec<Program>, PathBuf), String> {
    let mut ringfence = None;
    // With the library's examples, which its tests run.
    let programs = ["--package", "ringfence-cli", "--package", "ringfence", "--bins", "--examples"];
    for message in cargo(&[&["build", "--locked"], &programs[..]].concat())? {
        if message["target"]["name"] == "ringfence" && message["executable"].is_string() {
            ringfence = message["executable"].as_str().map(PathBuf::from);
        }
    }
    // Benches are programs with a `main` of their own: they are built, and run by hand.
    let programs = test_programs(&["--workspace", "--lib", "--bins", "--tests", "--examples"])?;
    Ok((programs, ringfence.ok_or("cargo built no `ringfence`")?))
}

/// Runs cargo; what it made.
fn cargo(args: &[&str]) -> Result<Vec<Value>, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
        .args(args)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests don't build".into());
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .collect())
}

/// Builds tests; the programs.
fn test_programs(args: &[&str]) -> Result<Vec<Program>, String> {
    let mut programs = Vec::new();
    for message in cargo(&[&["test", "--no-run", "--locked"], args].concat())? {
        // A test with a `main` of its own isn't built with the test profile's harness.
        let kinds = message["target"]["kind"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_test = message["profile"]["test"] == true || kinds.iter().any(|kind| kind == "test");
        let Some(executable) = message["executable"].as_str().filter(|_| is_test) else { continue };
        let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
        let directory = manifest.parent().unwrap_or(Path::new(".")).to_path_buf();
        let package = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let package = match package.as_str() {
            "ringfence" | "xtask" => package,
            other => format!("ringfence-{other}"),
        };
        let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        programs.push(Program { package, target, executable: executable.into(), directory });
    }
    programs.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(programs)
}

fn as_user(
    user: &User,
    programs: &[Program],
    ringfence: &Path,
    results: &mut Results,
    broken: &mut Vec<String>,
) -> Result<(), String> {
    let ringfence = user.lend(ringfence)?;
    let enforcement = programs.iter().filter(|program| {
        ENFORCEMENT.iter().any(|(package, targets)| {
            *package == program.package && targets.iter().any(|target| program.target.starts_with(target))
        })
    });
    for program in enforcement {
        let mut command = user.command(&user.lend(&program.executable)?);
        command.env("RINGFENCE_BIN", &ringfence);
        one("user", program, command, results, broken)?;
    }
    Ok(())
}

/// Runs one test program and reads what it says.
fn one(
    who: &'static str,
    program: &Program,
    mut command: Command,
    results: &mut Results,
    broken: &mut Vec<String>,
) -> Result<(), String> {
    let name = format!("{}/{}", program.package, program.target);
    command.args(["--show-output", "--test-threads", &threads()]);
    listen(who, &name, command, results, broken)
}

fn threads() -> String {
    std::thread::available_parallelism().map_or(2, |count| count.get().min(4)).to_string()
}

fn doc_tests(who: &'static str, results: &mut Results, broken: &mut Vec<String>) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--doc", "--locked", "--quiet"]).current_dir(crate::root());
    command.args(["--", "--format", "pretty"]).stderr(Stdio::null());
    listen(who, "doc tests", command, results, broken)
}

fn listen(
    who: &'static str,
    name: &str,
    mut command: Command,
    results: &mut Results,
    broken: &mut Vec<String>,
) -> Result<(), String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| format!("{name}: {error}"))?;
    let mut tail = Vec::new();
    let before = results.len();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            hear(who, name, &line, results);
            tail.push(line);
        }
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    if !status.success() {
        println!("---- {name} as {who}");
        // What libtest printed of the failures, whole: it is what a reader needs.
        tail.iter().skip_while(|line| line.trim() != "failures:").for_each(|line| println!("{line}"));
        let counted = results
            .iter()
            .any(|((by, program, _), verdict)| *by == who && program == name && *verdict == Verdict::Failed);
        if !counted || results.len() == before {
            broken.push(format!("{name} as {who} ended with {status}"));
        }
    }
    Ok(())
}

/// One line of libtest, or of a test that says why it was skipped.
fn hear(who: &'static str, program: &str, line: &str, results: &mut Results) {
    let key = |test: &str| (who, program.to_owned(), test.to_owned());
    if let Some(rest) = line.strip_prefix("SKIPPED: ") {
        let (test, why) = rest.split_once(": ").unwrap_or((rest, "no reason given"));
        // A test may name itself without its module.
        let known = results.keys().find(|(by, of, name)| {
            *by == who && of == program && (name == test || name.ends_with(&format!("::{test}")))
        });
        let name = known.map_or_else(|| test.to_owned(), |(_, _, name)| name.clone());
        results.insert(key(&name), Verdict::Skipped(why.to_owned()));
        return;
    }
    let Some((test, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else { return };
    let verdict = match verdict {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        other if other.starts_with("ignored") => {
            let why = other.strip_prefix("ignored, ").unwrap_or("marked as ignored");
            Verdict::Skipped(why.to_owned())
        }
        _ => return,
    };
    // A skip that was heard first stays.
    let test = test.trim_end_matches(" - should panic");
    results.entry(key(test)).or_insert(verdict);
}

fn report(results: &Results, broken: &[String], notes: &[String]) -> bool {
    let mut by_program: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    for ((who, program, _), verdict) in results {
        let counts = by_program.entry((who, program)).or_default();
        let at = match verdict {
            Verdict::Passed => 0,
            Verdict::Failed => 1,
            Verdict::Skipped(_) => 2,
        };
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
    println!("\n{:<44} {:>6} {:>8} {:>7} {:>8}", "tests", "as", "passed", "failed", "skipped");
    for ((who, program), [passed, failed, skipped]) in &by_program {
        println!("{program:<44} {who:>6} {passed:>8} {failed:>7} {skipped:>8}");
    }
    let skipped: Vec<_> = results
        .iter()
        .filter_map(|((who, _, test), verdict)| match verdict {
            Verdict::Skipped(why) => Some((test, who, why)),
            _ => None,
        })
        .collect();
    if !skipped.is_empty() {
        println!("\nskipped, and why");
        skipped.iter().for_each(|(test, who, why)| println!("  {test} (as {who}): {why}"));
    }
    notes.iter().for_each(|note| println!("  {note}"));
    let count = |wanted: fn(&Verdict) -> bool| results.values().filter(|verdict| wanted(verdict)).count();
    let passed = count(|verdict| *verdict == Verdict::Passed);
    let failed = count(|verdict| *verdict == Verdict::Failed) + broken.len();
    if failed > 0 {
        println!("\nfailed");
        let failures = results.iter().filter(|(_, verdict)| **verdict == Verdict::Failed);
        failures.for_each(|((who, program, test), _)| println!("  {program}: {test} (as {who})"));
        broken.iter().for_each(|what| println!("  {what}"));
    }
    println!("\n{passed} passed, {failed} failed, {} skipped", skipped.len());
    failed == 0
}
