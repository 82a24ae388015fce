//! What is set, by whom, and what is forbidden: layers, requirements, origins.
//!
//! ```text
//! gather (I/O)  →  Layers + RequirementSources + Facts  →  resolve (pure)  →  Resolved
//! ```
//!
//! [`load`] does both for this machine. One table, [`registry::KEYS`], says of every key what it takes, how layers merge,
//! what a project may do with it and which value is stricter; checking, merging, the schema, the reference and what is
//! shown come from it.

#![forbid(unsafe_code)]

pub mod apply;
pub mod bundle;
pub mod check;
pub mod constrain;
pub mod diff;
pub mod document;
pub mod edit;
pub mod error;
pub mod extract;
pub mod gather;
mod idle;
pub mod inspect;
pub mod layers;
pub mod merge;
pub mod node;
pub mod order;
pub mod permissions;
pub mod project_rule;
pub mod reference;
pub mod registry;
pub mod requirements;
pub mod resolve;
pub mod schema;
pub mod show;
pub mod stack;
pub mod suggest;
pub mod trust;

pub use error::{ConfigError, Problem};
pub use gather::{Gathered, Machine, Places, ProjectLayer, Request, gather};
pub use layers::{Layers, NetworkFlag, Overrides};
pub use resolve::{Facts, Resolved, resolve};
pub use trust::ProjectFacts;

/// Gathers and resolves the settings of one start on this machine.
///
/// ```no_run
/// use ringfence_config::{Places, Request, load};
/// use ringfence_model::AbsPath;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let home = AbsPath::new("/home/me/.ringfence")?;
/// let mut request = Request::new(Places::of_machine(home), AbsPath::new("/work/app")?);
/// request.user_home = Some(AbsPath::new("/home/me")?);
/// request.flags.config("sandbox_mode=read-only")?;
/// let resolved = load(&request)?;
/// println!("{}: {}", resolved.settings.sandbox_mode.value, resolved.settings.sandbox_mode.origin);
/// # Ok(())
/// # }
/// ```
pub fn load(request: &Request) -> Result<Resolved, ConfigError> {
    load_from(request, &Machine::default())
}

/// As [`load`], looking at `world` instead of this machine.
pub fn load_from(request: &Request, world: &dyn gather::World) -> Result<Resolved, ConfigError> {
    let gathered = gather::gather(request, world)?;
    resolve_gathered(&gathered, request.strict)
}

/// Resolves what was gathered.
pub fn resolve_gathered(gathered: &Gathered, strict: bool) -> Result<Resolved, ConfigError> {
    let user_home = gathered.facts.user_home.as_ref();
    let (requirements, _) = requirements::compose(&gathered.requirements, user_home)
        .map_err(|problems| ConfigError::Invalid { problems })?;
    let mut resolved = resolve(&gathered.layers, requirements, &gathered.facts, strict)?;
    resolved.notices.splice(0..0, gathered.notices.iter().cloned());
    resolved.project_layer.clone_from(&gathered.project_layer);
    Ok(resolved)
}
