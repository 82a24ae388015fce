//! Events to sinks: redaction, journal, rotation, verification.

#![forbid(unsafe_code)]
