//! Domain patterns: no text panics, what is read prints as itself, and a wildcard crosses at a dot only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_model::DomainPattern;

fuzz_target!(|text: &str| {
    let Ok(pattern) = text.parse::<DomainPattern>() else { return };
    let printed = pattern.to_string();
    assert_eq!(printed.parse::<DomainPattern>().as_ref(), Ok(&pattern));
    assert!(printed.is_ascii());
    if let Some(apex) = printed.strip_prefix("*.").and_then(|rest| rest.split(':').next()) {
        assert!(!pattern.matches_name(apex, 443));
        assert!(!pattern.matches_name(&format!("x{apex}"), 443));
    }
});
