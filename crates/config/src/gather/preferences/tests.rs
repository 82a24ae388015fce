//! Managed preferences of other systems, read from samples as administrators' tools write them.

use super::{PreferenceError, REGISTRY_KEY, read_plist, read_registry_export};
use base64::Engine as _;

const PLIST: &[u8] = include_bytes!("samples/dev.ringfence.plist");
const EXPORT: &str = include_str!("samples/policies.reg");

fn decoded(text: Option<String>) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.expect("there")).expect("base64");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_property_list_in_xml_and_in_binary() {
    let value: plist::Value = plist::Value::from_reader(std::io::Cursor::new(PLIST)).expect("a sample");
    let mut binary = Vec::new();
    value.to_writer_binary(&mut binary).expect("writes");
    for bytes in [PLIST, &binary] {
        assert_eq!(decoded(read_plist(bytes, "config_toml_base64").expect("reads")), "git = \"commit\"\n");
        assert_eq!(
            decoded(read_plist(bytes, "requirements_toml_base64").expect("reads")),
            "allowed_sandbox_modes = [\"read-only\"]\n"
        );
        assert_eq!(read_plist(bytes, "none"), Ok(None));
        assert_eq!(read_plist(bytes, "number"), Err(PreferenceError::NotText("number".into())));
    }
    for bad in [&b""[..], b"<plist>", b"bplist00", b"<plist version=\"1.0\"><string>x</string></plist>"] {
        assert!(matches!(read_plist(bad, "x"), Err(PreferenceError::Malformed { .. })), "{bad:?}");
    }
}

#[test]
fn a_registry_export_in_utf_8_and_in_utf_16() {
    let mut wide = vec![0xFF, 0xFE];
    wide.extend(EXPORT.replace('\n', "\r\n").encode_utf16().flat_map(u16::to_le_bytes));
    for bytes in [EXPORT.as_bytes(), &wide] {
        let read = |name: &str| read_registry_export(bytes, REGISTRY_KEY, name);
        assert_eq!(
            decoded(read("requirements_toml_base64").expect("reads")),
            "allowed_sandbox_modes = [\"read-only\"]\n"
        );
        assert_eq!(decoded(read("Config_TOML_base64").expect("reads")), "git = \"commit\"\n");
        assert_eq!(read("Owner"), Ok(Some("Example \"IT\" \\ Security".into())));
        assert_eq!(read("none"), Ok(None));
        assert_eq!(read("Version"), Err(PreferenceError::NotText("Version".into())));
    }
    let gone = format!("{EXPORT}\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies]\n");
    assert_eq!(read_registry_export(gone.as_bytes(), REGISTRY_KEY, "Owner"), Ok(None));
    for bad in [
        "",
        "x",
        "Windows Registry Editor Version 5.00\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Ringfence]\n\"x\"=\"open",
    ] {
        assert!(read_registry_export(bad.as_bytes(), REGISTRY_KEY, "x").is_err(), "{bad}");
    }
}
