use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

const NOW: UnixTime = UnixTime(1_764_093_600);
const DAY: u64 = 86_400;

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn key(seed: u8) -> PublicKey {
    PublicKey::from_bytes(&signer(seed).verifying_key().to_bytes()).expect("a key")
}

fn content(version: u64) -> Content {
    Content {
        version,
        audience: "example-fleet".to_owned(),
        issued_at: UnixTime(NOW.0 - DAY),
        expires_at: NOW.plus(7 * DAY),
        requirements: "allowed_sandbox_modes = [\"read-only\"]\n".to_owned(),
    }
}

fn signed(content: Content, seed: u8) -> Vec<u8> {
    let signature = signer(seed).sign(&canonical_bytes(&content)).to_bytes();
    serde_json::to_vec(&Bundle::new(content, &signature)).expect("json")
}

fn judge(bytes: &[u8]) -> Result<Verified, BundleError> {
    verify(bytes, &[key(1)], "example-fleet", NOW, None)
}

#[test]
fn a_signed_bundle_in_force_is_believed() {
    let verified = judge(&signed(content(7), 1)).expect("verified");
    assert_eq!(verified.version(), 7);
    assert_eq!(verified.requirements(), "allowed_sandbox_modes = [\"read-only\"]\n");
    assert_eq!(verified.key(), &key(1));
}

#[test]
fn canonical_bytes_are_as_documented() {
    let mut expected = b"ringfence.dev/policy-bundle/v1\n".to_vec();
    for number in [2u64, 3, 4] {
        expected.extend(number.to_be_bytes());
    }
    expected.extend([0, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 2, b'x', b'\n']);
    let content = Content {
        version: 2,
        audience: "a".to_owned(),
        issued_at: UnixTime(3),
        expires_at: UnixTime(4),
        requirements: "x\n".to_owned(),
    };
    assert_eq!(canonical_bytes(&content), expected);
}

#[test]
fn cf_07_bad_signature() {
    let by_another = signed(content(7), 2);
    assert_eq!(judge(&by_another), Err(BundleError::Signature { keys: 1 }));
    // Every field is covered.
    let good: serde_json::Value = serde_json::from_slice(&signed(content(7), 1)).expect("json");
    for (field, other) in [
        ("version", serde_json::json!(8)),
        ("audience", serde_json::json!("other")),
        ("issued_at", serde_json::json!(NOW.0 - 1)),
        ("expires_at", serde_json::json!(NOW.0 + 1)),
        ("requirements", serde_json::json!("")),
    ] {
        let mut edited = good.clone();
        edited[field] = other;
        let edited = serde_json::to_vec(&edited).expect("json");
        assert_eq!(judge(&edited), Err(BundleError::Signature { keys: 1 }), "{field}");
    }
    for signature in ["", "AAAA", &"A".repeat(88), &"!".repeat(88)] {
        let mut edited = good.clone();
        edited["signature"] = serde_json::json!(signature);
        assert!(judge(&serde_json::to_vec(&edited).expect("json")).is_err(), "{signature}");
    }
}

#[test]
fn cf_07_a_signature_for_another_purpose_does_not_count() {
    let content = content(7);
    let bare = canonical_bytes(&content).split_off(DOMAIN.len());
    let signature = signer(1).sign(&bare).to_bytes();
    let bytes = serde_json::to_vec(&Bundle::new(content, &signature)).expect("json");
    assert_eq!(judge(&bytes), Err(BundleError::Signature { keys: 1 }));
}

#[test]
fn cf_07_other_audience() {
    let other = Content { audience: "other-fleet".to_owned(), ..content(7) };
    let error = judge(&signed(other, 1)).expect_err("another's");
    assert_eq!(error.code(), "policy-bundle-audience");
    assert!(error.to_string().contains("`other-fleet`, not for `example-fleet`"), "{error}");
    // No audience means nobody, not everybody.
    let nobody = Content { audience: String::new(), ..content(7) };
    assert!(verify(&signed(nobody, 1), &[key(1)], "", NOW, None).is_err());
}

#[test]
fn cf_07_lower_version_and_replay() {
    let seven = judge(&signed(content(7), 1)).expect("verified").seen();
    let at = |bytes: &[u8]| verify(bytes, &[key(1)], "example-fleet", NOW, Some(&seven)).map(|found| found.version());
    assert_eq!(at(&signed(content(6), 1)), Err(BundleError::Downgrade { version: 6, seen: 7 }));
    assert_eq!(at(&signed(content(7), 1)), Ok(7), "the same again is no downgrade");
    assert_eq!(at(&signed(content(8), 1)), Ok(8));
    let other = Content { requirements: "# weaker\n".to_owned(), ..content(7) };
    assert_eq!(at(&signed(other, 1)), Err(BundleError::Changed { version: 7 }));
}

#[test]
fn cf_07_expired_and_clock_wrong_by_a_year() {
    let bytes = signed(content(7), 1);
    let at = |now: UnixTime| verify(&bytes, &[key(1)], "example-fleet", now, None).map(|found| found.version());
    assert_eq!(at(NOW.plus(7 * DAY - 1)), Ok(7), "its last second");
    assert_eq!(at(NOW.plus(7 * DAY)).map_err(|error| error.code()), Err("policy-bundle-expired"));
    assert_eq!(at(NOW.plus(365 * DAY)).map_err(|error| error.code()), Err("policy-bundle-expired"));
    assert_eq!(at(UnixTime(NOW.0 - 365 * DAY)).map_err(|error| error.code()), Err("policy-bundle-not-yet-valid"));
    assert_eq!(at(UnixTime(NOW.0 - DAY - CLOCK_TOLERANCE)), Ok(7), "a clock slightly behind");
    let backwards = Content { expires_at: UnixTime(NOW.0 - 2 * DAY), ..content(7) };
    assert_eq!(judge(&signed(backwards, 1)).map_err(|error| error.code()), Err("policy-bundle-lifetime"));
    let forever = Content { expires_at: UnixTime(u64::MAX), issued_at: UnixTime(u64::MAX - 1), ..content(7) };
    assert_eq!(judge(&signed(forever, 1)).map_err(|error| error.code()), Err("policy-bundle-not-yet-valid"));
}

#[test]
fn cf_07_key_rotation() {
    let keys = [key(1), key(2)];
    let by_new = signed(content(8), 2);
    let verified = verify(&by_new, &keys, "example-fleet", NOW, None).expect("both keys count while they are listed");
    assert_eq!(verified.key(), &key(2));
    let seen = verified.seen();
    assert!(verify(&signed(content(9), 1), &keys, "example-fleet", NOW, Some(&seen)).is_ok());
    let only_new = [key(2)];
    assert_eq!(
        verify(&signed(content(9), 1), &only_new, "example-fleet", NOW, Some(&seen)).map(|found| found.version()),
        Err(BundleError::Signature { keys: 1 })
    );
    assert_eq!(
        verify(&by_new, &[], "example-fleet", NOW, None).map(|found| found.version()),
        Err(BundleError::NoKeys),
        "no key is never any key"
    );
}

#[test]
fn cf_07_what_is_not_a_bundle() {
    let good = signed(content(7), 1);
    let text = String::from_utf8(good.clone()).expect("text");
    for (bytes, said) in [
        (b"".to_vec(), "it is empty"),
        (b"<!doctype html><html>".to_vec(), "it is a web page"),
        (good[..good.len() / 2].to_vec(), "it ends in the middle"),
        (b"[]".to_vec(), "invalid"),
        (b"{\"version\":1.5}".to_vec(), "floating point"),
        (b"{\"version\":-1}".to_vec(), "invalid value"),
        (text.replacen("\"version\":7", "\"version\":7,\"version\":8", 1).into_bytes(), "duplicate field"),
        (text.replacen("{", "{\"extra\":1,", 1).into_bytes(), "unknown field"),
        (b"\xff\xfe".to_vec(), "not a policy bundle"),
    ] {
        let error = judge(&bytes).expect_err("not a bundle");
        assert!(matches!(error, BundleError::Malformed { .. }), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().is_some());
    }
    assert!(matches!(judge(&vec![b' '; MAX_BUNDLE + 1]), Err(BundleError::TooLarge { .. })));
    let big = Content { requirements: "#".repeat(MAX_REQUIREMENTS + 1), ..content(7) };
    assert!(matches!(judge(&signed(big, 1)), Err(BundleError::TooLarge { .. })));
}

#[test]
fn cf_07_cache_edited_or_cut_off() {
    let bundle = Bundle::parse(&signed(content(7), 1)).expect("bundle");
    let entry = CacheEntry::new("https://policy.example.com".to_owned(), Some("\"7\"".to_owned()), NOW, bundle);
    let bytes = entry.to_bytes();
    assert_eq!(CacheEntry::parse(&bytes), Ok(entry));
    let text = String::from_utf8(bytes.clone()).expect("text");
    let edited = CacheEntry::parse(text.replace("read-only", "danger-full-access").as_bytes()).expect("still a file");
    assert_eq!(
        verify_bundle(&edited.bundle, &[key(1)], "example-fleet", NOW, None),
        Err(BundleError::Signature { keys: 1 })
    );
    for end in 0..bytes.len() - 2 {
        assert!(CacheEntry::parse(&bytes[..end]).is_err(), "cut off at {end}");
    }
    assert_eq!(
        CacheEntry::parse(text.replace("\"format\": 1", "\"format\": 2").as_bytes()),
        Err(CacheError::Format { found: 2 })
    );
}

#[test]
fn public_keys_are_read_exactly() {
    let text = key(1).to_string();
    assert_eq!(text.parse(), Ok(key(1)));
    for bad in
        ["", "ed25519:", &text[8..], &text.replace('=', ""), &format!("{text}="), &format!(" {text}"), "rsa:AAAA"]
    {
        assert!(matches!(bad.parse::<PublicKey>(), Err(KeyError::Form { .. })), "{bad}");
    }
    // The identity and other points of small order verify anything.
    for weak in [[0u8; 32], {
        let mut one = [0u8; 32];
        one[0] = 1;
        one
    }] {
        assert!(matches!(PublicKey::from_bytes(&weak), Err(KeyError::Weak { .. })));
    }
}

proptest! {
    #[test]
    fn the_mark_of_an_audience_never_falls(versions in proptest::collection::vec(0u64..20, 1..20)) {
        let mut store = SeenStore::default();
        let mut highest = None;
        for version in versions {
            store.raise("a", Seen { version, digest: format!("d{version}") });
            highest = highest.max(Some(version));
            prop_assert_eq!(store.get("a").map(|seen| seen.version), highest);
            prop_assert_eq!(SeenStore::parse(&store.to_bytes()), Ok(store.clone()));
        }
        prop_assert_eq!(store.get("b"), None);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = judge(&bytes);
        let _ = CacheEntry::parse(&bytes);
        let _ = SeenStore::parse(&bytes);
    }

    #[test]
    fn one_changed_byte_is_never_believed_as_other_content(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = signed(content(7), 1);
        let mut edited = good.clone();
        let at = at.index(edited.len());
        edited[at] = byte;
        if let Ok(verified) = judge(&edited) {
            prop_assert_eq!(verified, judge(&good).expect("good"));
        }
    }

    #[test]
    fn different_contents_have_different_bytes(a in arbitrary(), b in arbitrary()) {
        prop_assert_eq!(canonical_bytes(&a) == canonical_bytes(&b), a == b);
    }
}

fn arbitrary() -> impl Strategy<Value = Content> {
    (0u64..3, "[ab]{0,2}", 0u64..3, 0u64..3, "[ab]{0,2}").prop_map(
        |(version, audience, issued, expires, requirements)| Content {
            version,
            audience,
            issued_at: UnixTime(issued),
            expires_at: UnixTime(expires),
            requirements,
        },
    )
}
