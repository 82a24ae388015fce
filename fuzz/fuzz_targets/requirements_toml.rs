//! `requirements.toml`: no bytes panic, and what is accepted satisfies itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_config::layers::{Document, Layers};
use ringfence_config::node::Source;
use ringfence_config::requirements::{RequirementSources, compose};
use ringfence_config::{Facts, ProjectFacts, constrain, resolve};
use ringfence_model::AbsPath;
use ringfence_model::origin::Layer;

fuzz_target!(|bytes: &[u8]| {
    let (Ok(cwd), Ok(home)) = (AbsPath::new("/w/app"), AbsPath::new("/home/me")) else { return };
    let source = Source::file("/etc/ringfence/requirements.toml", Layer::SystemRequirements);
    let Ok(document) = Document::parse(bytes, source) else { return };
    let sources = RequirementSources {
        system: Some(document.clone()),
        managed: Some(document),
        hostname: Some("a.example.com".to_owned()),
        ..RequirementSources::default()
    };
    let Ok((requirements, _)) = compose(&sources, Some(&home)) else { return };
    let facts = Facts {
        cwd: cwd.clone(),
        user_home: Some(home),
        tmpdir: None,
        project: ProjectFacts { root: cwd, version_controlled: true },
    };
    if let Ok(resolved) = resolve(&Layers::default(), requirements, &facts, /* strict */ false) {
        assert!(constrain::verify(&resolved.settings, &resolved.requirements).is_ok());
    }
});
