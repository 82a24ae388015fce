//! Where the kernel has a right for unix sockets, the plan uses it: nothing of that promise is left to the broker, and none
//! is needed for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{abs, wish};
use ringfence_model::confinement::{NetworkWish, UnixSockets};
use ringfence_model::facts::FileKind;
use ringfence_model::mode::{AbsentHold, Backend};
use ringfence_model::{Confinement, Origin, Sourced};
use ringfence_sandbox::compile::{Options, Unenforceable, compile};
use ringfence_sandbox::host::{HostFacts, Tried};
use ringfence_sandbox::plan::{Act, Brokered, Insistence, Plan, Promise};

fn host() -> HostFacts {
    serde_json::from_str(include_str!("hosts/linux-7.3-user.json")).expect("a recorded host")
}

/// The same, inside a program that serves notifications itself.
fn nested() -> HostFacts {
    serde_json::from_str(include_str!("hosts/linux-7.3-nested.json")).expect("a recorded host")
}

fn made(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    compile(wish, host, &Options::default())
}

fn listing(mut wish: Confinement) -> Confinement {
    wish.unix_sockets =
        UnixSockets::Only(vec![Sourced::new(abs("/srv/agent.sock"), Origin::flag("-c allow_unix_sockets"))]);
    wish
}

fn workspace() -> Confinement {
    wish(&["/w"], &[("/w/.git", true)], &[])
}

#[test]
fn the_kernel_holds_sockets_in_every_tier_and_no_directory_is_granted_them() {
    for backend in [Backend::Namespaces, Backend::Landlock] {
        let mut wish = listing(workspace());
        wish.backend.value = backend;
        let plan = made(&wish, &host()).expect("this host holds it");
        let handled = plan.steps.iter().any(
            |step| matches!(&step.act, Act::Landlock { files, .. } if files.iter().any(|right| right == "RESOLVE_UNIX")),
        );
        assert!(handled, "{backend:?}");
        let held = plan.steps.iter().find(|step| matches!(step.act, Act::LandlockSockets { .. })).expect("a step");
        assert_eq!((held.promise, held.insistence), (Promise::UnixSockets, Insistence::Must));
        assert!(!plan.brokered().any(|(step, wish)| {
            matches!(wish, Brokered::UnixSockets { .. })
                || (step.promise == Promise::UnixSockets && step.insistence == Insistence::Must)
        }));
        for step in &plan.steps {
            let (Act::LandlockRule { path, rights } | Act::LandlockSiblings { path, rights, .. }) = &step.act else {
                continue;
            };
            let grants = rights.iter().any(|right| right == "RESOLVE_UNIX");
            assert_eq!(grants, *path == abs("/srv/agent.sock"), "{backend:?}: {path:?}: {rights:?}");
        }
    }
}

#[test]
fn a_right_that_was_not_found_by_trial_is_not_believed() {
    let mut host = host();
    if let Some(linux) = &mut host.linux {
        linux.landlock_unix = Tried::Fails { why: "connect(AF_UNIX) was not refused".to_owned(), remedy: None };
    }
    let plan = made(&workspace(), &host).expect("this host holds it");
    assert!(plan.brokered().any(|(_, wish)| matches!(wish, Brokered::UnixSockets { .. })));
    assert!(!plan.steps.iter().any(|step| matches!(step.act, Act::LandlockSockets { .. })));
}

#[test]
fn sockets_that_are_all_allowed_are_not_held() {
    let mut wish = workspace();
    wish.unix_sockets = UnixSockets::Everything;
    let plan = made(&wish, &host()).expect("this host holds it");
    assert!(!plan.steps.iter().any(|step| step.promise == Promise::UnixSockets && matches!(step.act, Act::Broker(_))));
    assert!(!plan.steps.iter().any(|step| matches!(step.act, Act::LandlockSockets { .. })));
}

#[test]
fn without_mounts_metadata_is_asked_about_and_no_socket_is() {
    for (mut wish, asked) in [(wish(&[], &[], &[]), true), (wish(&["/w"], &[], &[]), true), (workspace(), false)] {
        wish.backend.value = Backend::Landlock;
        wish.network.value = NetworkWish::On;
        wish.unix_sockets = UnixSockets::Everything;
        let plan = made(&wish, &host()).expect("this host holds it");
        assert_eq!(plan.brokered().any(|(_, wish)| *wish == Brokered::Metadata), asked);
        assert!(plan.brokered().count() > 0, "nobody would be asked about files outside");
        assert!(!plan.steps.iter().any(|step| step.promise == Promise::UnixSockets));
    }
}

#[test]
fn a_version_above_those_known_is_used_like_the_last_that_is_known() {
    let mut later = host();
    later.linux.as_mut().expect("linux").landlock_abi = 99;
    for backend in [Backend::Namespaces, Backend::Landlock] {
        let mut wish = workspace();
        wish.backend.value = backend;
        assert_eq!(made(&wish, &later).expect("held"), made(&wish, &host()).expect("held"));
    }
}

#[test]
fn where_no_broker_can_be_had_what_the_kernel_and_mounts_hold_is_held_without() {
    for wish in [wish(&[], &[], &[]), workspace(), wish(&["/w"], &[("/w/.git", true)], &["/w/secret"])] {
        let plan = made(&wish, &nested()).expect("mounts and Landlock hold it");
        assert_eq!(plan.brokered().count(), 0);
        assert!(plan.steps.iter().any(|step| matches!(step.act, Act::LandlockSockets { .. })));
        assert!(!plan.not_held.iter().any(|gap| gap.promise == Promise::UnixSockets), "{:?}", plan.not_held);
        // What a mask doesn't find is nobody's, and that is said.
        let said = plan.not_held.iter().any(|gap| gap.promise == Promise::DenyRead && gap.weakened);
        assert_eq!(said, !wish.reads.denied.is_empty(), "{:?}", plan.not_held);
    }
    let plan = made(&listing(workspace()), &nested()).expect("mounts and Landlock hold it");
    assert!(plan.not_held.iter().any(|gap| gap.promise == Promise::Work && gap.what.contains("made anew")));
}

#[test]
fn where_no_broker_can_be_had_what_only_it_holds_is_refused_by_name() {
    let absent = wish(&["/w"], &[("/w/.codex", false)], &[]);
    let mut link = workspace();
    link.protected[0].found = Some(FileKind::Symlink);
    for wish in [absent, link] {
        let error = made(&wish, &nested()).expect_err("nobody holds it");
        assert_eq!(error.unmet.len(), 1, "{error}");
        assert_eq!(error.unmet[0].promise, Some(Promise::ProtectedPaths), "{error}");
    }
    let mut older = nested();
    older.linux.as_mut().expect("linux").landlock_unix = Tried::Untried;
    let error = made(&workspace(), &older).expect_err("nobody holds it");
    assert_eq!(error.unmet[0].promise, Some(Promise::UnixSockets), "{error}");
}

#[test]
fn without_an_own_network_no_port_is_left_to_the_command_itself() {
    let ports = |host: &HostFacts, backend, network| {
        let mut wish = workspace();
        (wish.backend.value, wish.network.value) = (backend, network);
        let plan = made(&wish, host).expect("this host holds it");
        plan.steps.iter().find_map(|step| match &step.act {
            Act::Landlock { network, .. } => Some(network.clone()),
            _ => None,
        })
    };
    let mut older = host();
    older.linux.as_mut().expect("linux").landlock_abi = 7;
    let none = Some(Vec::new());
    assert_eq!(ports(&host(), Backend::Landlock, NetworkWish::Off).map(|all| all.len()), Some(4));
    assert_eq!(ports(&older, Backend::Landlock, NetworkWish::Off).map(|all| all.len()), Some(2));
    assert_eq!(ports(&host(), Backend::Landlock, NetworkWish::On), none);
    assert_eq!(ports(&host(), Backend::Namespaces, NetworkWish::Off), none);
}

#[test]
fn a_watch_asks_nobody_about_sockets_either() {
    let mut wish = wish(&["/w"], &[("/w/.codex", false)], &[]);
    wish.absent_protected.value = AbsentHold::Watch;
    let sockets = |wish: &Confinement| {
        let plan = made(wish, &host()).expect("held");
        plan.brokered().any(|(_, wish)| matches!(wish, Brokered::RefusedSockets { .. } | Brokered::UnixSockets { .. }))
    };
    assert!(!sockets(&wish));
    assert!(sockets(&listing(wish)));
}

#[test]
fn files_that_are_protected_are_said_to_be_weaker_without_a_broker() {
    let mut wish = workspace();
    wish.protected[0].found = Some(FileKind::File);
    let plan = made(&wish, &nested()).expect("a mount holds it");
    assert!(plan.not_held.iter().any(|gap| gap.promise == Promise::ProtectedPaths && gap.weakened));
}
