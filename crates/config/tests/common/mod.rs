//! A world of files in memory, and short words for starts in it.
#![allow(dead_code)]

use ringfence_config::gather::World;
use ringfence_config::{ConfigError, Places, ProjectFacts, Request, Resolved, load_from};
use ringfence_model::AbsPath;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Default, Clone)]
pub struct Memory {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl World for Memory {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(file).cloned())
    }
    fn exists(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file.starts_with(path))
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

pub fn codes(resolved: &Resolved) -> Vec<&str> {
    resolved.notices.iter().map(|notice| notice.code.as_str()).collect()
}
