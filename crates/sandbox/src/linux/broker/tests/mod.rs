//! The broker against real callers, without namespaces: a child of the test's own binary runs under the filter alone, so
//! what holds here is held by the broker and nothing else.

mod harness;
mod names;
mod race;
mod sockets;
