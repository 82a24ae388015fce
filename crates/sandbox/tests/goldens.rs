//! Plans of recorded hosts, as they are printed. `UPDATE_GOLDENS=1` writes them anew; a difference is for a person to
//! look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{abs, wish};
use ringfence_model::confinement::{Confinement, DeniedRead, NetworkWish, PathPattern, ProxyListeners, Tmp};
use ringfence_model::glob::PathGlob;
use ringfence_model::units::{ByteSize, Span};
use ringfence_model::{Origin, SandboxMode, Sourced};
use ringfence_sandbox::compile::{Options, compile, print};
use ringfence_sandbox::host::HostFacts;
use ringfence_sandbox::plan::{Act, Plan};
use std::path::Path;
use std::time::Duration;

fn wishes() -> Vec<(&'static str, Confinement)> {
    let read_only = wish(&[], &[], &[]);
    let workspace = wish(&["/w", "/tmp"], &[("/w/.git", true), ("/w/.codex", false)], &[]);
    let mut narrow = wish(&["/w"], &[("/w/.git", true), ("/w/sub/deep/.git", true)], &["/home/me/.ssh"]);
    narrow.tmp = Sourced::new(Tmp::Private, Origin::flag("-c private_tmp"));
    let pattern = PathPattern::Glob(PathGlob::new("/**/.env").expect("a glob"));
    narrow.reads.denied.push(DeniedRead { pattern, origin: Origin::flag("-c deny") });
    narrow.limits.memory = Some(Sourced::new(ByteSize(1 << 30), Origin::flag("-c limits.memory")));
    narrow.limits.wall_clock = Some(Sourced::new(Span(Duration::from_secs(90)), Origin::flag("--timeout")));
    let mut online = workspace.clone();
    online.network = Sourced::new(NetworkWish::On, Origin::flag("--network"));
    let mut proxy = workspace.clone();
    let listeners = ProxyListeners::Inside;
    let through = NetworkWish::Proxy { http_port: 3128, socks_port: 1080, transparent: false, listeners };
    proxy.network = Sourced::new(through, Origin::flag("--network"));
    let mut full = workspace.clone();
    full.mode = Sourced::new(SandboxMode::DangerFullAccess, Origin::flag("--sandbox"));
    let mut run = wish(&["/run/user/1000/w"], &[("/run/user/1000/w/.git", true)], &[]);
    run.cwd = abs("/run/user/1000/w");
    vec![
        ("read-only", read_only),
        ("workspace", workspace),
        ("narrow", narrow),
        ("online", online),
        ("proxy", proxy),
        ("full-access", full),
        ("below-run", run),
    ]
}

/// What another system's own tool is given.
fn native(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        if let Act::Native { kind, lines } = &step.act {
            text.push_str(&format!("-- {kind}\n"));
            for line in lines {
                text.push_str(&format!("{}\n", line.display()));
            }
        }
    }
    text
}

#[test]
fn plans_of_recorded_hosts_are_as_recorded() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut different = Vec::new();
    let mut hosts: Vec<_> =
        std::fs::read_dir(tests.join("hosts")).expect("hosts").map(|e| e.expect("entry").path()).collect();
    hosts.sort();
    for file in hosts {
        let host = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let facts: HostFacts =
            serde_json::from_slice(&std::fs::read(&file).expect("readable")).expect("a recorded host");
        let mut text = String::new();
        for (name, wish) in wishes() {
            let plan = match compile(&wish, &facts, &Options::default()) {
                Ok(plan) if plan.tier == ringfence_model::Tier::Namespaces => print::text(&plan),
                Ok(plan) if plan.tier == ringfence_model::Tier::Unconfined => print::text(&plan),
                Ok(plan) if matches!(plan.tier, ringfence_model::Tier::Seatbelt | ringfence_model::Tier::Windows) => {
                    print::text(&plan) + &native(&plan)
                }
                Ok(plan) => format!("the `{}` tier\n", plan.tier),
                Err(error) => format!("unenforceable: {error}\n"),
            };
            text.push_str(&format!("== {name}\n{plan}\n"));
        }
        let golden = tests.join("goldens").join(format!("{host}.txt"));
        if update {
            std::fs::write(&golden, &text).expect("writable");
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(text.as_str()) {
            different.push(host);
        }
    }
    assert!(different.is_empty(), "plans of {different:?} differ: look at them with UPDATE_GOLDENS=1 and `git diff`");
}
