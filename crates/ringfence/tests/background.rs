//! The asynchronous face, waited for by the smallest executor there is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use ringfence::config::Overrides;
use ringfence::facts::Start;
use ringfence::{AuthorizeError, Cancel, Opening, PerformError, Session, Streams};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn session(dir: &std::path::Path, policy: &str) -> Arc<Session> {
    for name in ["ws", "home/.ringfence"] {
        std::fs::create_dir_all(dir.join(name)).expect(name);
    }
    let environment = vec![
        ("HOME".into(), dir.join("home").into()),
        ("RINGFENCE_HOME".into(), dir.join("home/.ringfence").into()),
        ("PATH".into(), "/usr/bin:/bin".into()),
    ];
    let start = Start::new(environment, Some(&dir.join("ws"))).expect("start");
    let mut flags = Overrides::default();
    flags.config("sandbox_mode=workspace-write").expect("setting");
    flags.config(&format!("approval_policy={policy}")).expect("setting");
    Arc::new(Session::open(Opening { start: Some(start), flags, ..Opening::default() }).expect("session"))
}

#[test]
fn what_is_authorized_is_performed_beside_the_caller_and_can_be_cancelled() {
    let dir = tempfile::tempdir_in("/var/tmp").expect("scratch directory");
    let session = session(dir.path(), "on-request");
    let authorization = wait(session.authorize_async(session.exec(["touch", "made"]))).expect("authorized");
    match wait(session.perform_async(authorization)) {
        Err(PerformError::Unenforceable(why)) => {
            println!("SKIPPED: what_is_authorized_is_performed_beside_the_caller: this host confines nothing: {why:?}");
            return;
        }
        done => assert!(done.expect("performed").exit.is_some_and(|exit| exit.status() == 0)),
    }
    assert!(dir.path().join("ws/made").exists());
    let authorization = wait(session.authorize_async(session.exec(["sleep", "600"]))).expect("authorized");
    let (cancel, began) = (Cancel::default(), Instant::now());
    let running = session.perform_async_with(authorization, Streams::default(), cancel.clone());
    std::thread::sleep(Duration::from_millis(300));
    cancel.cancel();
    let ended = wait(running);
    assert!(!matches!(ended, Ok(report) if report.exit.is_some_and(|exit| exit.status() == 0)));
    assert!(began.elapsed() < Duration::from_secs(120));
}

#[test]
fn a_refusal_comes_back_as_one() {
    let dir = tempfile::tempdir_in("/var/tmp").expect("scratch directory");
    let session = session(dir.path(), "untrusted");
    let refused = wait(session.authorize_async(session.exec(["touch", "made"])));
    assert!(matches!(refused, Err(AuthorizeError::NoAnswer { .. })));
}
