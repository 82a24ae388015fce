//! The proxy as a client sees it: raw bytes and real programs against local origins.
//!
//! Names are answered by a stub; a public address it gives is led to a loopback origin after it was judged.

mod bounds;
mod chaos;
mod clients;
mod loops;
mod smuggling;
mod socks;
mod stalls;
#[cfg(target_os = "linux")]
mod talk;
mod threats;
mod voucher;
pub(crate) mod world;
