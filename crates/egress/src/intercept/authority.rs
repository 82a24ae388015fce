//! The certificate authority of one session: a key in this process only, and a certificate for each host on demand.

use crate::host::Host;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// Certificates kept.
const KEPT: usize = 1024;

/// Signs certificates for hosts whose TLS is opened.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// One key for all hosts: they are all us.
    leaf_key: KeyPair,
    ca_der: CertificateDer<'static>,
    configs: Mutex<HashMap<Host, Arc<ServerConfig>>>,
}

/// The one cryptography provider that is used everywhere.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Authority {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "Ringfence, this session only");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(30);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            ca_der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            leaf_key: KeyPair::generate()?,
            configs: Mutex::default(),
        })
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.ca_der
    }

    /// The TLS settings that present this host.
    pub(super) fn config_for(&self, host: &Host) -> Result<Arc<ServerConfig>, super::InterceptError> {
        if let Some(known) = self.configs.lock().unwrap_or_else(PoisonError::into_inner).get(host) {
            return Ok(Arc::clone(known));
        }
        let config = Arc::new(self.make(host)?);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if configs.len() >= KEPT {
            configs.clear();
        }
        configs.insert(host.clone(), Arc::clone(&config));
        Ok(config)
    }

    fn make(&self, host: &Host) -> Result<ServerConfig, super::InterceptError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.to_string().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        }];
        // A common name holds 64 characters at most; clients look at the alternative names.
        params.distinguished_name.push(DnType::OrganizationName, "Ringfence");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(30);
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone(), self.ca_der.clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// A certificate as text.
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = crate::text::base64(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + "-----END CERTIFICATE-----\n"
}
