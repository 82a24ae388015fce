//! The only way out of a managed network: a judging proxy.

#![forbid(unsafe_code)]
