//! Real programs through the proxy.
