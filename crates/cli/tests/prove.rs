//! `prove` holds on this host, under every mode, and its verdicts come from outside.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, confines, skip};
use serde_json::Value;

fn prove(place: &Place, args: &[&str]) -> Value {
    let mut all = vec!["prove", "--json"];
    all.extend(args);
    let ran = place.run(all);
    let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    assert_eq!(document["schema"], "ringfence.dev/v1/prove");
    document
}

/// Every act held, or belongs to a promise that the plan itself says isn't fully held here.
#[track_caller]
fn nothing_got_through(test: &str, document: &Value) {
    let known: Vec<&str> =
        document["not_held"].as_array().expect("a list").iter().filter_map(|gap| gap["promise"].as_str()).collect();
    let mut excused = Vec::new();
    for act in document["acts"].as_array().expect("acts") {
        let (name, promise) = (act["name"].as_str().expect("name"), act["promise"].as_str().expect("promise"));
        match act["result"].as_str() {
            Some("held" | "skipped") => {}
            Some("broken") if known.contains(&promise) => excused.push(name),
            other => panic!("{name}: {other:?}: {act}"),
        }
    }
    if !excused.is_empty() {
        skip(test, &format!("not held on this host, and said so: {}", excused.join(", ")));
    }
}

#[test]
fn every_promise_holds_in_workspace_write() {
    if !confines("every_promise_holds_in_workspace_write") {
        return;
    }
    let place = Place::new();
    let document = prove(&place, &["-s", "workspace-write"]);
    assert!(document["held"].as_u64().is_some_and(|held| held > 60), "{document}");
    nothing_got_through("every_promise_holds_in_workspace_write", &document);
    assert_eq!(std::fs::read_dir(place.path("ws")).expect("listing").count(), 1, "nothing is left in the workspace");
}

/// A misspelt name must not pass for a proof.
#[test]
fn a_proof_of_nothing_is_an_error() {
    let place = Place::new();
    place.run(["prove", "--only", "network", "--only", "sokets"]).ends(125).says("`sokets`").says("unix-sockets");
}

#[test]
fn every_promise_holds_in_read_only() {
    if !confines("every_promise_holds_in_read_only") {
        return;
    }
    let place = Place::new();
    nothing_got_through("every_promise_holds_in_read_only", &prove(&place, &["-s", "read-only"]));
}

#[test]
fn a_denied_read_is_proven_where_one_is_set() {
    if !confines("a_denied_read_is_proven_where_one_is_set") {
        return;
    }
    let place = Place::new();
    place.write("out/secret/key", "k\n");
    let secret = place.path("out/secret");
    place.settings(&format!(
        "default_permissions = \"p\"\n[permissions.p]\nextends = \":workspace\"\n[permissions.p.filesystem]\n\"{}\" = \
         \"deny\"\n",
        secret.display()
    ));
    let document = prove(&place, &["--only", "deny-read"]);
    for act in document["acts"].as_array().expect("acts") {
        assert_eq!(act["result"], "held", "{act}");
    }
}

#[test]
fn what_is_not_promised_is_not_claimed() {
    if !confines("what_is_not_promised_is_not_claimed") {
        return;
    }
    let place = Place::new();
    let document = prove(&place, &["-s", "workspace-write", "--network", "on", "--only", "network-route"]);
    assert_eq!(document["acts"][0]["result"], "skipped", "{document}");
    assert!(document["acts"][0]["why"].as_str().is_some_and(|why| why.contains("--network")), "{document}");
    place.run(["prove", "--yolo"]).ends(125).says("nothing to prove");
}

#[test]
fn an_act_that_gets_through_is_seen() {
    if !confines("an_act_that_gets_through_is_seen") {
        return;
    }
    // The judge must be able to fail: with every socket allowed by name, connecting is no escape, but the same act
    // judged by its canary would be. Here the promise is withdrawn by a setting, and the act is told from a held one.
    let place = Place::new();
    place.settings("sandbox_mode = \"workspace-write\"\n[shell_environment_policy]\nignore_default_excludes = true\n");
    let document = prove(&place, &["--only", "environment-secret"]);
    let result = document["acts"][0]["result"].as_str().expect("a result");
    assert!(matches!(result, "broken" | "skipped"), "{document}");
}
