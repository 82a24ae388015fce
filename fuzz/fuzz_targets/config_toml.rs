//! `config.toml`: no bytes panic when a file is read, checked, resolved, shown or changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_config::edit::{Change, change_text};
use ringfence_config::layers::{Document, Layers};
use ringfence_config::node::Source;
use ringfence_config::{Facts, ProjectFacts, resolve, show};
use ringfence_model::origin::Layer;
use ringfence_model::{AbsPath, Requirements};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let (Ok(cwd), Ok(home)) = (AbsPath::new("/w/app"), AbsPath::new("/home/me")) else { return };
    let source = Source::file("/home/me/.ringfence/config.toml", Layer::User);
    if let Ok(user) = Document::parse(bytes, source) {
        let project = user.clone();
        let layers = Layers { user: Some(user), projects: vec![project], ..Layers::default() };
        let facts = Facts {
            cwd: cwd.clone(),
            user_home: Some(home),
            tmpdir: None,
            project: ProjectFacts { root: cwd, version_controlled: true },
        };
        if let Ok(resolved) = resolve(&layers, Requirements::default(), &facts, /* strict */ false) {
            let _ = show::show(&resolved);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let path = ["limits".to_owned(), "memory".to_owned()];
        let _ = change_text(text, Path::new("/c"), &path, &Change::Set("\"1GiB\"".to_owned()));
        let _ = ringfence_config::Overrides::default().config(text);
    }
});
