//! The .rules language: load, run its own examples, match, explain.

#![forbid(unsafe_code)]
