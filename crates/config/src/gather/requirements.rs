//! Gathers the sources of requirements. One that exists and can't be read, trusted or parsed is an error.

use super::cloud::{self, CachedError, PolicyCache, Service};
use super::trusted::TrustedError;
use super::{Request, World};
use crate::bundle::PublicKey;
use crate::document::MAX_BYTES;
use crate::error::{ConfigError, Problem};
use crate::layers::Document;
use crate::node::{Node, Source, Table, at};
use crate::requirements::{RequirementSources, inherited};
use base64::Engine as _;
use ringfence_model::notice::Notice;
use ringfence_model::origin::Layer;
use ringfence_model::requirements::RequirementSource;
use std::path::Path;
use std::sync::Arc;

/// Reads and parses a file that constrains.
pub(super) fn trusted(world: &dyn World, file: &Path, layer: Layer) -> Result<Option<Document>, ConfigError> {
    document(world.read_trusted(file), file, layer)
}

/// Reads and parses the managed defaults.
pub(super) fn managed(world: &dyn World, file: &Path) -> Result<Option<Document>, ConfigError> {
    document(world.read_managed(file), file, Layer::Managed)
}

fn document(
    read: Result<Option<Vec<u8>>, TrustedError>,
    file: &Path,
    layer: Layer,
) -> Result<Option<Document>, ConfigError> {
    match read {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => Ok(Some(Document::parse(&bytes, Source::file(file, layer))?)),
        Err(TrustedError::Io(cause)) => Err(ConfigError::Unreadable { file: file.to_path_buf(), cause }),
        Err(TrustedError::Untrusted { at, why }) => {
            let why = if at == file { why } else { format!("{}: {why}", at.display()) };
            Err(ConfigError::Untrusted { file: file.to_path_buf(), why })
        }
    }
}

/// Reads, decodes and parses a managed preference.
pub(super) fn preference(world: &dyn World, key: &str, layer: Layer) -> Result<Option<Document>, ConfigError> {
    let found = world.preference(key).map_err(|error| match error {
        TrustedError::Io(cause) => ConfigError::Unreadable { file: key.into(), cause },
        TrustedError::Untrusted { at, why } => ConfigError::Untrusted { file: at, why },
    })?;
    let Some(found) = found else { return Ok(None) };
    let source = Arc::new(Source::Preference { name: found.name, layer });
    let bytes = decode(&found.text).map_err(|why| Problem::new("bad-base64", why, source.at(0, 0)))?;
    Ok(Some(Document::parse(&bytes, source)?))
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    if text.len() > MAX_BYTES * 2 {
        return Err(format!("it has more than {} bytes", MAX_BYTES * 2));
    }
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
        let breaks = text.contains(['\n', '\r', ' ']);
        let hint = if breaks { "; encode it without line breaks" } else { "" };
        format!("it isn't valid base64: {error}{hint}")
    })
}

/// Every source.
pub(super) fn sources(
    request: &Request,
    world: &dyn World,
    managed: Option<Document>,
    tables: &[&Table],
    notices: &mut Vec<Notice>,
) -> Result<RequirementSources, ConfigError> {
    let file = request.places.system.join("requirements.toml");
    let preferences = preference(world, "requirements_toml_base64", Layer::PreferenceRequirements)?;
    let system = trusted(world, &file, Layer::SystemRequirements)?;
    let preferences_inherited = inherit(world, preferences.as_ref(), Layer::PreferenceRequirements)?;
    let system_inherited = inherit(world, system.as_ref(), Layer::SystemRequirements)?;

    let local: Vec<&Table> = [&preferences, &system].into_iter().flatten().map(|document| &document.table).collect();
    let inherited = preferences_inherited.iter().chain(&system_inherited).map(|document| &document.table);
    let local: Vec<&Table> = local.into_iter().chain(inherited).collect();
    let cloud = cloud(request, world, &local, tables, notices)?;
    let named = |name: String, layer, document: Option<&Document>| RequirementSource {
        name,
        layer,
        present: document.is_some(),
    };
    let managed_file = super::managed_file(&request.places);
    let sources = vec![
        named(super::preferences::DOMAIN.into(), Layer::PreferenceRequirements, preferences.as_ref()),
        named("cloud".into(), Layer::CloudRequirements, cloud.as_ref()),
        named(file.display().to_string(), Layer::SystemRequirements, system.as_ref()),
        named(managed_file.display().to_string(), Layer::LegacyRequirements, managed.as_ref()),
    ];
    let hostname = world_needs_name(&local, cloud.as_ref()).then(|| world.hostname()).flatten();
    Ok(RequirementSources {
        preferences,
        cloud,
        system,
        preferences_inherited,
        system_inherited,
        managed,
        hostname,
        sources,
    })
}

/// The host's name is looked up only where some source asks for it.
fn world_needs_name(local: &[&Table], cloud: Option<&Document>) -> bool {
    let cloud = cloud.map(|document| &document.table);
    local.iter().copied().chain(cloud).any(|table| table.contains_key("remote_sandbox_config"))
}

fn inherit(world: &dyn World, document: Option<&Document>, layer: Layer) -> Result<Vec<Document>, ConfigError> {
    let mut documents = Vec::new();
    for (path, _) in document.map(inherited).unwrap_or_default() {
        if Path::new(&path).has_root() {
            documents.extend(trusted(world, Path::new(&path), layer)?);
        }
    }
    Ok(documents)
}

/// The cached bundle, if a policy service is set and an administrator named the keys that may sign.
fn cloud(
    request: &Request,
    world: &dyn World,
    local: &[&Table],
    settings: &[&Table],
    notices: &mut Vec<Notice>,
) -> Result<Option<Document>, ConfigError> {
    let first = |path: &[&str]| local.iter().find_map(|table| at(table, path));
    let required = first(&["cloud", "required"]).filter(|node| node.as_bool() == Some(true));
    let text = |key: &str| first(&["cloud", key]).and_then(Node::as_str).map(str::to_owned);
    let setting = |key: &str| {
        let found = settings.iter().rev().find_map(|table| at(table, &["cloud", key]));
        found.and_then(Node::as_str).map(str::to_owned)
    };
    let url = text("url").or_else(|| setting("url"));
    let audience = text("audience").or_else(|| setting("audience"));
    let keys = first(&["cloud", "public_keys"]).and_then(Node::as_list).unwrap_or(&[]);
    let keys: Vec<PublicKey> = keys.iter().filter_map(|key| key.as_str()?.parse().ok()).collect();
    let found = match (&url, &audience) {
        (None, _) if required.is_none() => return Ok(None),
        (None, _) => Err("no `cloud.url` is set".to_owned()),
        (Some(_), None) => Err("no `cloud.audience` is set".to_owned()),
        (Some(_), Some(_)) if keys.is_empty() => {
            Err("no administrator named a key that may sign it (`cloud.public_keys`)".to_owned())
        }
        (Some(url), Some(audience)) => {
            let service = Service { url, audience, keys: &keys };
            match cloud::cached(&PolicyCache::of(&request.places), world, service) {
                Ok(Some(document)) => Ok(document),
                Ok(None) => Err("none was fetched yet".to_owned()),
                Err(CachedError::Broken(problem)) => return Err(problem.into()),
                Err(CachedError::Unusable(why)) => Err(why),
            }
        }
    };
    match (found, required) {
        (Ok(document), _) => Ok(Some(document)),
        (Err(why), Some(required)) => Err(ConfigError::NoPolicy { origin: required.mark.origin(), why }),
        (Err(why), None) => {
            notices.push(notice(&url.unwrap_or_default(), &why));
            Ok(None)
        }
    }
}

fn notice(url: &str, why: &str) -> Notice {
    Notice {
        code: "no-policy".into(),
        text: format!("going on without the policy of {}: {why}", ringfence_model::text::escape(url)),
        origin: None,
        hint: Some("`ringfence policy status` shows more".into()),
    }
}
