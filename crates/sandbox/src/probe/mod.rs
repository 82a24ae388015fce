//! Host facts, found by trying.

mod quick;

pub use quick::quick;
