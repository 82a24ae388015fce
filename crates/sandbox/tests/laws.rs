//! Laws of the compiler: deterministic, monotone, narrowing, faithful.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{abs, interpret, may_read, may_write, wish};
use proptest::prelude::*;
use ringfence_model::Confinement;
use ringfence_sandbox::compile::{Options, compile, print};
use ringfence_sandbox::host::HostFacts;
use ringfence_sandbox::plan::{Act, Plan, Promise};

fn host() -> HostFacts {
    serde_json::from_str(include_str!("hosts/linux-6.18-user.json")).expect("a recorded host")
}

fn plan(wish: &Confinement) -> Plan {
    compile(wish, &host(), &Options::default()).expect("this host holds it")
}

/// Paths of a small tree, so that they meet often.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "c"], 0..4).prop_map(|names| format!("/w/{}", names.join("/")))
}

#[derive(Debug, Clone)]
struct Parts {
    roots: Vec<String>,
    protected: Vec<(String, bool)>,
    denied: Vec<String>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let lists = (
        proptest::collection::vec(path(), 0..3),
        proptest::collection::vec((path(), any::<bool>()), 0..4),
        proptest::collection::vec(path(), 0..3),
    );
    lists.prop_map(|(roots, protected, denied)| {
        // What a protected name is asked about lies below a root, and the whole workspace is never denied.
        let denied = denied.into_iter().filter(|path| path != "/w/").collect();
        Parts { roots, protected, denied }
    })
}

fn made(parts: &Parts) -> Confinement {
    let roots: Vec<&str> = parts.roots.iter().map(String::as_str).collect();
    let protected: Vec<(&str, bool)> =
        parts.protected.iter().map(|(path, present)| (path.as_str(), *present)).collect();
    let denied: Vec<&str> = parts.denied.iter().map(String::as_str).collect();
    wish(&roots, &protected, &denied)
}

/// Hosts with Landlock: with and without its right for unix sockets, and one where no broker can be had.
#[cfg(target_os = "linux")]
const HOSTS: [&str; 3] = [
    include_str!("hosts/linux-6.18-user.json"),
    include_str!("hosts/linux-7.3-user.json"),
    include_str!("hosts/linux-7.3-nested.json"),
];

proptest! {
    #[test]
    #[cfg(target_os = "linux")]
    fn who_may_make_nothing_has_somebody_to_ask(parts in parts(), host in 0..HOSTS.len(), watched in any::<bool>()) {
        use ringfence_model::mode::AbsentHold;
        use ringfence_sandbox::linux::broker::plan::BrokerPlan;
        let mut wish = made(&parts);
        wish.absent_protected.value = if watched { AbsentHold::Watch } else { AbsentHold::Broker };
        let host: HostFacts = serde_json::from_str(HOSTS[host]).expect("a recorded host");
        // Where no broker can be had, a wish that needs one is refused.
        let Ok(plan) = compile(&wish, &host, &Options::default()) else { return Ok(()) };
        let makes = |rights: &[String]| rights.iter().any(|right| right == "MAKE_REG");
        let granted = plan.steps.iter().any(|step| matches!(&step.act, Act::LandlockRule { rights, .. } if makes(rights)));
        let asks = BrokerPlan::of(&plan).is_some_and(|broker| broker.traps.names);
        prop_assert!(granted || asks, "{}", print::json(&plan));
    }

    #[test]
    fn the_same_wish_gives_the_same_bytes(parts in parts()) {
        let (one, two) = (plan(&made(&parts)), plan(&made(&parts)));
        prop_assert_eq!(one.id(), two.id());
        prop_assert_eq!(print::json(&one).to_string(), print::json(&two).to_string());
        let back: Plan = serde_json::from_value(print::json(&one)).expect("a plan can be read back");
        prop_assert_eq!(back, one);
    }

    #[test]
    fn the_plan_says_what_the_wish_says(parts in parts(), asked in proptest::collection::vec(path(), 8)) {
        let wish = made(&parts);
        let plan = plan(&wish);
        for asked in asked {
            let asked = abs(&asked);
            prop_assert_eq!(interpret(&plan, &asked), (may_read(&wish, &asked), may_write(&wish, &asked)), "{}", asked.display());
        }
    }

    #[test]
    fn one_more_protected_path_never_makes_anything_writable(parts in parts(), more in (path(), any::<bool>()), asked in proptest::collection::vec(path(), 8)) {
        let before = plan(&made(&parts));
        let mut tighter = parts;
        tighter.protected.push(more);
        let after = plan(&made(&tighter));
        for asked in asked {
            let (_, was) = interpret(&before, &abs(&asked));
            let (_, is) = interpret(&after, &abs(&asked));
            prop_assert!(was || !is, "{asked}");
        }
    }

    #[test]
    fn one_more_denied_path_never_makes_anything_readable(parts in parts(), more in path(), asked in proptest::collection::vec(path(), 8)) {
        prop_assume!(more != "/w/");
        let before = plan(&made(&parts));
        let mut tighter = parts;
        tighter.denied.push(more);
        let after = plan(&made(&tighter));
        for asked in asked {
            let (was, is) = (interpret(&before, &abs(&asked)), interpret(&after, &abs(&asked)));
            prop_assert!((was.0 || !is.0) && (was.1 || !is.1), "{asked}");
        }
    }

    #[test]
    fn fewer_roots_give_a_subset(parts in parts(), asked in proptest::collection::vec(path(), 8)) {
        let wide = plan(&made(&parts));
        let mut narrower = parts;
        narrower.roots.pop();
        let narrow = plan(&made(&narrower));
        for asked in asked {
            prop_assert!(interpret(&wide, &abs(&asked)).1 || !interpret(&narrow, &abs(&asked)).1, "{asked}");
        }
    }

    #[test]
    fn fs_06_every_directory_between_a_root_and_a_protected_path_is_pinned(parts in parts()) {
        let wish = made(&parts);
        let plan = plan(&wish);
        let held = |path: &ringfence_model::AbsPath| plan.steps.iter().any(|step| match &step.act {
            Act::Pin { path: pinned } => pinned == path,
            Act::ReadOnlyPath { path: island, .. } => path.is_within(island),
            _ => false,
        });
        for protected in &wish.protected {
            let Some(root) = wish.roots.iter().find(|root| protected.path.is_within(&root.path)) else { continue };
            let mut above = protected.path.parent();
            while let Some(directory) = above.filter(|directory| directory != &root.path && directory.is_within(&root.path)) {
                prop_assert!(held(&directory), "{} is not held", directory.display());
                above = directory.parent();
            }
        }
    }
}

#[test]
fn every_step_has_an_origin_a_promise_and_a_proof() {
    let plan = plan(&wish(&["/w"], &[("/w/.git", true), ("/w/.codex", false)], &["/home/me/.ssh"]));
    for step in &plan.steps {
        assert!(!step.proof.is_empty(), "{step:?}");
        assert!(!step.promise.name().is_empty(), "{step:?}");
        assert!(!step.origin.to_string().is_empty(), "{step:?}");
    }
}

#[test]
fn every_promise_has_one_name() {
    let mut names: Vec<&str> = Promise::NAMES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Promise::NAMES.len());
}
