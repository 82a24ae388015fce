//! The only way out of a managed network: a judging proxy.

#![forbid(unsafe_code)]

pub mod address;
pub mod ask;
pub mod bridge;
pub mod event;
mod gate;
pub mod hello;
pub mod host;
pub mod intercept;
pub mod metrics;
pub mod policy;
pub mod proxy;
mod relay;
pub mod resolve;
pub mod socks;
pub mod standalone;
mod text;
#[cfg(target_os = "linux")]
pub mod transparent;
pub mod voucher;

#[cfg(test)]
mod test_settings;
