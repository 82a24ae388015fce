//! The cached policy bundle: read, verified and turned into a layer at each start, with no network. `ringfence-fleet`
//! fetches bundles and keeps them here.

use super::{Places, World};
use crate::bundle::{CacheEntry, PublicKey, SeenStore, UnixTime, verify_bundle};
use crate::error::Problem;
use crate::layers::Document;
use crate::node::Source;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a user's cached bundle and the versions seen lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCache {
    /// The bundle, with its signature.
    pub bundle: PathBuf,
    /// The highest version per audience.
    pub seen: PathBuf,
}

impl PolicyCache {
    /// The cache of a user.
    #[must_use]
    pub fn of(places: &Places) -> Self {
        let cloud = places.home.as_path().join("state").join("cloud");
        Self { bundle: cloud.join("bundle.json"), seen: cloud.join("seen.json") }
    }
}

/// A policy service, as settings name it.
#[derive(Debug, Clone, Copy)]
pub struct Service<'s> {
    /// Its address.
    pub url: &'s str,
    /// The audience that bundles must name.
    pub audience: &'s str,
    /// Keys of which one must have signed.
    pub keys: &'s [PublicKey],
}

/// Why a cached bundle isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CachedError {
    /// It isn't valid, here and now: as if there were none.
    #[error("{0}")]
    Unusable(String),
    /// It is valid, and its requirements can't be read: nothing runs.
    #[error(transparent)]
    Broken(#[from] Problem),
}

/// The requirements of the cached bundle of a service, verified; none if there is none.
pub fn cached(cache: &PolicyCache, world: &dyn World, service: Service<'_>) -> Result<Option<Document>, CachedError> {
    let Some(bytes) = read(world, &cache.bundle)? else { return Ok(None) };
    let entry = CacheEntry::parse(&bytes).map_err(|error| unusable(&cache.bundle, &error.to_string()))?;
    if entry.url != service.url {
        return Ok(None);
    }
    let seen = match read(world, &cache.seen)? {
        Some(bytes) => SeenStore::parse(&bytes).map_err(|error| unusable(&cache.seen, &error.to_string()))?,
        None => SeenStore::default(),
    };
    let now = UnixTime(world.now());
    let verified = verify_bundle(&entry.bundle, service.keys, service.audience, now, seen.get(service.audience))
        .map_err(|error| CachedError::Unusable(error.to_string()))?;
    let source = Arc::new(Source::Cloud { url: service.url.to_owned(), version: verified.version() });
    Ok(Some(Document::parse(verified.requirements().as_bytes(), source)?))
}

fn read(world: &dyn World, file: &Path) -> Result<Option<Vec<u8>>, CachedError> {
    world.read(file).map_err(|error| unusable(file, &error.to_string()))
}

fn unusable(file: &Path, why: &str) -> CachedError {
    let file = ringfence_model::os_text::OsText::new(file.as_os_str()).display();
    CachedError::Unusable(format!("{file}: {why}"))
}
