//! The asynchronous face: the same calls on threads of their own, as futures that any executor can wait for. No executor
//! comes with it.

use crate::{Action, Authorization, AuthorizeError, Cancel, Flow, PerformError, Report, Session, Streams};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Work on a thread of its own. Dropping it doesn't end the work; [`crate::Cancel`] does.
#[derive(Debug)]
#[must_use = "a future does nothing visible unless it is awaited"]
pub struct Task<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    result: Option<std::thread::Result<T>>,
    waker: Option<Waker>,
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    let shared = Arc::new(Mutex::new(Shared { result: None, waker: None }));
    let theirs = Arc::clone(&shared);
    std::thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let waker = {
            let mut shared = lock(&theirs);
            shared.result = Some(result);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    Task { shared }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut shared = lock(&self.shared);
        match shared.result.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Session {
    /// As [`Session::authorize`], without blocking the caller.
    pub fn authorize_async(self: &Arc<Self>, action: Action) -> Task<Result<Authorization, AuthorizeError>> {
        let session = Arc::clone(self);
        start(move || session.authorize(action))
    }

    /// As [`Session::perform`], without blocking the caller.
    pub fn perform_async(self: &Arc<Self>, authorization: Authorization) -> Task<Result<Report, PerformError>> {
        let session = Arc::clone(self);
        start(move || session.perform(authorization))
    }

    /// As [`Session::perform_with`], without blocking the caller; `cancel` ends it, also after the task was dropped.
    pub fn perform_async_with(
        self: &Arc<Self>,
        authorization: Authorization,
        streams: Streams,
        cancel: Cancel,
    ) -> Task<Result<Report, PerformError>> {
        let session = Arc::clone(self);
        start(move || session.perform_with(authorization, Flow { streams, cancel, ..Flow::default() }))
    }
}
