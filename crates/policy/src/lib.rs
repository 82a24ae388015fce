//! The decision and nothing but the decision.

#![forbid(unsafe_code)]
