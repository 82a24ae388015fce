//! The only way out of a managed network: a judging proxy.

#![forbid(unsafe_code)]

pub mod address;
pub mod host;
pub mod policy;

#[cfg(test)]
mod test_settings;
