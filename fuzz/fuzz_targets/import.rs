//! Other agents' settings: no text panics, and what comes out is TOML and rules of one line each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_import::{Agent, Input, Role, import};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let agent = Agent::ALL[usize::from(choice % 4)];
    let name = ["settings.json", ".mcp.json", "config.toml", "requirements.toml"][usize::from(choice / 4 % 4)];
    let role = if choice & 0x80 == 0 { Role::User } else { Role::Managed };
    let input = Input { name: name.to_owned(), role, text: text.to_owned() };
    let Ok(imported) = import(agent, std::slice::from_ref(&input)) else { return };
    assert_eq!(import(agent, &[input]).as_ref(), Ok(&imported), "same input, same bytes");
    for text in [Some(&imported.config_toml), imported.requirements_toml.as_ref()].into_iter().flatten() {
        assert!(toml::de::DeTable::parse(text).is_ok(), "{text}");
    }
    if agent != Agent::Codex {
        let mut lines = imported.rules.lines();
        assert!(lines.all(|line| line.is_empty() || line.starts_with('#') || line.starts_with("prefix_rule(")));
    }
});
