//! Hosts that clients name: no bytes panic, and whatever is read is canonical.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_egress::host::{Host, Target};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(host) = Host::parse(bytes) {
        let text = host.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
        if let Some(name) = host.name() {
            assert!(name.len() <= 253 && !name.ends_with('.'));
            // What a resolver could take for an address is never a name.
            assert!(name.parse::<std::net::IpAddr>().is_err());
        }
        assert_eq!(Target::parse(&format!("{text}:1"), None).map(|target| target.host), Ok(host));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(target) = Target::parse(text, Some(80)) {
            assert_eq!(Target::parse(&target.to_string(), None), Ok(target));
        }
    }
});
