//! The session's certificates as Java reads them: it takes no file of certificates as text, only a key store.
//!
//! The store is in Java's own old format, JKS: unlike PKCS #12, every version reads it, and reads it without a password.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls::pki_types::CertificateDer;

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is a certificate to trust.
const TRUSTED: u32 = 2;
/// What Java's own tools assume. It keeps nothing secret: it is for those programs that insist on one.
const PASSWORD: &str = "changeit";
/// Part of the format: what the digest begins with, after the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// A key store that trusts these certificates. None: one is longer than the format has room for.
pub(super) fn store<'c>(certificates: impl ExactSizeIterator<Item = &'c CertificateDer<'static>>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for word in [MAGIC, VERSION, u32::try_from(certificates.len()).ok()?] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for (index, certificate) in certificates.enumerate() {
        out.extend_from_slice(&TRUSTED.to_be_bytes());
        text(&mut out, &format!("certificate-{index}"))?;
        // Nobody asks when it was added.
        out.extend_from_slice(&0_u64.to_be_bytes());
        text(&mut out, "X.509")?;
        out.extend_from_slice(&u32::try_from(certificate.len()).ok()?.to_be_bytes());
        out.extend_from_slice(certificate);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        digest.update(&unit.to_be_bytes());
    }
    digest.update(WHITENER);
    digest.update(&out);
    out.extend_from_slice(digest.finish().as_ref());
    Some(out)
}

/// Text of ASCII, as the format has it.
fn text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn javas_own_tool_reads_the_store_with_and_without_the_password() {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let certificates = [made.cert.der().clone(), made.cert.der().clone()];
        let store = store(certificates.iter()).unwrap();
        assert_eq!(store[..12], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        std::fs::write(&file, store).unwrap();
        for password in [&["-storepass", PASSWORD][..], &[]] {
            let mut keytool = Command::new("keytool");
            let listed = keytool.args(["-list", "-keystore"]).arg(&file).args(password).output();
            let Ok(listed) = listed else {
                eprintln!("SKIPPED: `keytool` isn't on this machine");
                return;
            };
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(listed.contains("contains 2 entries") && listed.contains("trustedCertEntry"), "{listed}");
        }
    }
}
