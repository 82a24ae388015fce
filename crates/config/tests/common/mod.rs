//! A world of files in memory, and short words for starts in it.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use ringfence_config::bundle::{Bundle, CacheEntry, Content, UnixTime, canonical_bytes};
use ringfence_config::gather::{Contents, Preference, TrustedError, World};
use ringfence_config::{ConfigError, Places, ProjectFacts, Request, Resolved, load_from};
use ringfence_model::AbsPath;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Default, Clone)]
pub struct Memory {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub kept: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    pub preferences: BTreeMap<String, String>,
    pub hostname: Option<String>,
    pub now: u64,
}

impl World for Memory {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.kept.borrow().get(file).or_else(|| self.files.get(file)).cloned())
    }
    fn exists(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file.starts_with(path))
    }
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        Ok(self.read(file)?)
    }
    fn preference(&self, key: &str) -> Result<Option<Preference>, TrustedError> {
        let name = format!("dev.ringfence/{key}");
        Ok(self.preferences.get(key).map(|text| Preference { name, text: text.clone() }))
    }
    fn contents(&self, directory: &Path) -> io::Result<Option<Contents>> {
        let below = self.files.iter().filter_map(|(file, bytes)| Some((file.strip_prefix(directory).ok()?, bytes)));
        let contents: Contents =
            below.map(|(name, bytes)| (name.display().to_string(), format!("{bytes:x?}"))).collect();
        Ok((!contents.is_empty()).then_some(contents))
    }
    fn keep(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        self.kept.borrow_mut().insert(file.into(), bytes.to_vec());
        Ok(())
    }
    fn hostname(&self) -> Option<String> {
        self.hostname.clone()
    }
    fn now(&self) -> u64 {
        self.now
    }
}

pub fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).expect(path)
}

/// A start in `/w/app`, the root of a version-controlled project, by a user whose home is `/home/me`.
#[derive(Clone)]
pub struct Start {
    pub world: Memory,
    pub request: Request,
}

impl Start {
    pub fn new() -> Self {
        let places = Places { system: "/etc/ringfence".into(), home: abs("/home/me/.ringfence") };
        let mut request = Request::new(places, abs("/w/app"));
        request.user_home = Some(abs("/home/me"));
        request.tmpdir = Some(abs("/var/tmp/me"));
        request.project = Some(ProjectFacts { root: abs("/w/app"), version_controlled: true });
        Self { world: Memory::default(), request }
    }
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.world.files.insert(path.into(), text.as_bytes().to_vec());
        self
    }
    pub fn system(self, text: &str) -> Self {
        self.file("/etc/ringfence/config.toml", text)
    }
    pub fn user(self, text: &str) -> Self {
        self.file("/home/me/.ringfence/config.toml", text)
    }
    pub fn trusted_project(self, text: &str) -> Self {
        let mut start = self.file("/w/app/.ringfence/config.toml", text);
        let user = start.world.files.entry("/home/me/.ringfence/config.toml".into()).or_default();
        user.extend_from_slice(b"\n[projects.\"/w/app\"]\ntrust_level = \"trusted\"\n");
        start
    }
    pub fn managed(self, text: &str) -> Self {
        self.file("/etc/ringfence/managed_config.toml", text)
    }
    pub fn requirements(self, text: &str) -> Self {
        self.file("/etc/ringfence/requirements.toml", text)
    }
    pub fn preference(mut self, key: &str, toml: &str) -> Self {
        let text = base64::engine::general_purpose::STANDARD.encode(toml);
        self.world.preferences.insert(key.into(), text);
        self
    }
    pub fn mdm(self, toml: &str) -> Self {
        self.preference("requirements_toml_base64", toml)
    }
    /// A bundle in the cache, signed by the key of [`secret_key`], of a service at `https://policy.test`.
    pub fn cloud(mut self, toml: &str) -> Self {
        self.world.now = 1_000;
        self.file(BUNDLE, &entry(&sign("acme", (900, 2_000), toml, &secret_key())))
    }
    pub fn config(mut self, text: &str) -> Self {
        self.request.flags.config(text).expect(text);
        self
    }
    pub fn flags(mut self, set: impl FnOnce(&mut ringfence_config::Overrides)) -> Self {
        set(&mut self.request.flags);
        self
    }
    pub fn load(&self) -> Result<Resolved, ConfigError> {
        load_from(&self.request, &self.world)
    }
    #[track_caller]
    pub fn ok(&self) -> Resolved {
        match self.load() {
            Ok(resolved) => resolved,
            Err(error) => panic!("{error}"),
        }
    }
    #[track_caller]
    pub fn error(&self) -> String {
        match self.load() {
            Ok(resolved) => panic!("resolved: {:#?}", resolved.settings),
            Err(error) => error.to_string(),
        }
    }
}

pub const BUNDLE: &str = "/home/me/.ringfence/state/cloud/bundle.json";

pub fn secret_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A signed bundle of version 3.
pub fn sign(audience: &str, (issued_at, expires_at): (u64, u64), toml: &str, key: &SigningKey) -> Bundle {
    let content = Content {
        version: 3,
        audience: audience.into(),
        issued_at: UnixTime(issued_at),
        expires_at: UnixTime(expires_at),
        requirements: toml.into(),
    };
    let signature = key.sign(&canonical_bytes(&content)).to_bytes();
    Bundle::new(content, &signature)
}

/// A bundle as it lies in the cache.
pub fn entry(bundle: &Bundle) -> String {
    let entry = CacheEntry::new("https://policy.test".into(), None, UnixTime(950), bundle.clone());
    String::from_utf8(entry.to_bytes()).expect("JSON")
}

/// What an administrator writes to have a policy service.
pub fn service() -> String {
    let key = base64::engine::general_purpose::STANDARD.encode(secret_key().verifying_key().to_bytes());
    format!("[cloud]\nurl = \"https://policy.test\"\naudience = \"acme\"\npublic_keys = [\"ed25519:{key}\"]\n")
}

pub fn codes(resolved: &Resolved) -> Vec<&str> {
    resolved.notices.iter().map(|notice| notice.code.as_str()).collect()
}
