//! What goes on beside a command: the renewal of a policy. It never delays a start; at the end it may get a short while.

use ringfence_fleet::Refresh;
use std::sync::{Mutex, PoisonError};

/// At most one: settings are usually gathered once, and a later renewal makes an earlier one needless.
static RENEWAL: Mutex<Option<Refresh>> = Mutex::new(None);

/// Lets a renewal go on until the command is done.
pub fn renew(refresh: Option<Refresh>) {
    if refresh.is_some() {
        *RENEWAL.lock().unwrap_or_else(PoisonError::into_inner) = refresh;
    }
}

/// The command is done: waits for what must not be lost, or left behind.
pub fn settle() {
    ringfence::settle();
    if let Some(refresh) = RENEWAL.lock().unwrap_or_else(PoisonError::into_inner).take() {
        refresh.settle();
    }
}
