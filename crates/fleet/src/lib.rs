//! Policy bundles between machines: keys and signing, a small server, the client that fetches, and the cache on disk.
//!
//! What a bundle is and when it is believed is decided by `ringfence_config::bundle`; this crate moves bytes and keeps
//! files. It never decides about an action, and nothing here runs between a command's proposal and its start except
//! [`Client::cached`], which reads two small files.

#![forbid(unsafe_code)]

mod client;
mod fetch;
mod files;
mod key;
mod serve;
mod sign;
mod store;

pub use client::{CachedPolicy, Client, Obtained, Refresh, Refreshed, Status, Trouble};
pub use fetch::{DEADLINE, FetchError, Fetched, Roots, Source, Token, TokenError, fetch};
pub use files::{AtomicWriteError, read_bounded, write_atomically};
pub use key::{SecretKey, SecretKeyError};
pub use serve::{Answered, ServeError, Server, TlsFiles};
pub use sign::{Draft, SignError, sign};
pub use store::{Attempt, Store, StoreError};

use ringfence_config::bundle::UnixTime;

/// This machine's clock. Before 1970 counts as 1970, where no bundle is in force.
#[must_use]
pub fn now() -> UnixTime {
    UnixTime(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
