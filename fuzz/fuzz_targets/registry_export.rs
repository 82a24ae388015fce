//! Registry exports: no bytes panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_config::gather::preferences::{REGISTRY_KEY, read_registry_export};

fuzz_target!(|bytes: &[u8]| {
    let _ = read_registry_export(bytes, REGISTRY_KEY, "requirements_toml_base64");
});
