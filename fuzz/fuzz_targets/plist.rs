//! Property lists of managed preferences: no bytes panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_config::gather::preferences::read_plist;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_plist(bytes, "requirements_toml_base64");
});
