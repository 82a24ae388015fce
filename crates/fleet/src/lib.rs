//! Policy bundles: signing, serving, fetching.

#![forbid(unsafe_code)]
