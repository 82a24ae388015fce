//! Linux: what holds a plan there.

pub mod broker;
