//! Policy bundles and their cache: no bytes panic, and nothing unsigned is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_config::bundle::{CacheEntry, PublicKey, SeenStore, UnixTime, verify};

fuzz_target!(|bytes: &[u8]| {
    let key: Result<PublicKey, _> = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".parse();
    if let Ok(key) = key {
        assert!(verify(bytes, &[key], "audience", UnixTime(1_800_000_000), None).is_err());
    }
    let _ = CacheEntry::parse(bytes);
    let _ = SeenStore::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<PublicKey>();
    }
});
