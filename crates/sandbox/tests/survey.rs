//! The survey of the host this runs on: complete, cited, and leaving nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use ringfence_sandbox::host::Tried;
use ringfence_sandbox::probe::survey;

#[test]
fn every_finding_cites_its_source_and_every_failure_a_fix_or_a_cause() {
    let survey = survey();
    println!("{}", serde_json::to_string_pretty(&survey).expect("serialises"));
    for finding in &survey.findings {
        assert!(!finding.source.is_empty() && !finding.serves.is_empty(), "{finding:?}");
        if let Tried::Fails { why, .. } = &finding.tried {
            assert!(!why.is_empty(), "{finding:?}");
        }
    }
    let mut names: Vec<_> = survey.findings.iter().map(|finding| &finding.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), survey.findings.len(), "names are unique");
}

#[test]
fn probing_changes_nothing_of_the_process() {
    let namespaces = || {
        ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
            .map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link of /proc"))
    };
    let status = || {
        let text = std::fs::read_to_string("/proc/self/status").expect("status");
        text.lines().filter(|l| ["Seccomp:", "NoNewPrivs:", "CapEff:"].iter().any(|n| l.starts_with(n))).count()
    };
    let (before, lines) = (namespaces(), status());
    let seen = survey();
    assert_eq!(before, namespaces());
    assert_eq!(lines, status());
    assert_eq!(seen, survey(), "the same host gives the same facts");
}

#[test]
fn facts_survive_being_recorded() {
    let survey = survey();
    let json = serde_json::to_string(&survey).expect("serialises");
    assert_eq!(serde_json::from_str::<ringfence_sandbox::probe::Survey>(&json).expect("reads"), survey);
}
