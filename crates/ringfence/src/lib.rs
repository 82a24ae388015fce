//! The Ringfence library: gather settings, decide, authorize, perform, record.

#![forbid(unsafe_code)]
