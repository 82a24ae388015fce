//! Git's configuration files: none panics the reader, and every entry has a key that Git could have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_model::{Layer, Origin};
use ringfence_shell::git::{GitFacts, parse, troubles};

fuzz_target!(|text: &[u8]| {
    let origin = Origin::File { file: "config".into(), line: 0, column: 0, layer: Layer::Project };
    if let Ok(config) = parse(text, &origin) {
        for entry in &config {
            assert!(!entry.section.is_empty() && !entry.name.is_empty());
            assert!(!entry.name.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
        let facts = GitFacts { config, attributes: Some(vec!["* filter=x".to_owned()]) };
        let found = troubles("status", &facts, |_| false);
        assert!(found.len() <= facts.config.len());
    }
});
