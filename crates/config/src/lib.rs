//! What is set, by whom, and what is forbidden: layers, requirements, origins.

#![forbid(unsafe_code)]

pub mod bundle;
