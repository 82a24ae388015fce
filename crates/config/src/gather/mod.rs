//! The one place where settings are read from the machine: files, project facts, preferences. It judges nothing.

mod cloud;
mod files;
mod host;
pub mod preferences;
mod project;
mod requirements;
pub mod trusted;

pub use cloud::{CachedError, PolicyCache, Service, cached};
#[cfg(unix)]
pub use files::read_owned;
pub use files::{Descriptor, Machine};
pub use preferences::Preference;
pub use project::{Contents, ProjectChange, ProjectLayer, Record, accept, chain};
pub use trusted::TrustedError;

use crate::error::{ConfigError, Problem};
use crate::layers::{Document, Layers, Overrides};
use crate::node::{Source, Table};
use crate::requirements::RequirementSources;
use crate::resolve::Facts;
use crate::trust::{self, ProjectFacts};
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Layer, Origin, Sourced};
use ringfence_model::path::AbsPath;
use ringfence_model::settings::Trust;
use std::io;
use std::path::{Path, PathBuf};

/// What one start asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where settings lie.
    pub places: Places,
    /// The working directory, resolved.
    pub cwd: AbsPath,
    /// The user's home, if there is one: what `~` stands for.
    pub user_home: Option<AbsPath>,
    /// `$TMPDIR`, if it is absolute and exists.
    pub tmpdir: Option<AbsPath>,
    /// The project; none: found from the working directory upwards.
    pub project: Option<ProjectFacts>,
    /// What the command line sets.
    pub flags: Overrides,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--strict-config`: unknown keys are errors.
    pub strict: bool,
    /// `--ignore-user-config`: the user's file, and its profiles, aren't read.
    pub ignore_user: bool,
}

impl Request {
    /// A plain start in `cwd`.
    #[must_use]
    pub fn new(places: Places, cwd: AbsPath) -> Self {
        Self {
            places,
            cwd,
            user_home: None,
            tmpdir: None,
            project: None,
            flags: Overrides::default(),
            profile: None,
            strict: false,
            ignore_user: false,
        }
    }
}

/// Where settings lie. Only code can choose the system's directory: no flag and no variable reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `/etc/ringfence`.
    pub system: PathBuf,
    /// Ringfence's home of this user.
    pub home: AbsPath,
}

impl Places {
    /// The places of this machine.
    #[must_use]
    pub fn of_machine(home: AbsPath) -> Self {
        Self { system: system_directory(), home }
    }
}

#[cfg(not(windows))]
fn system_directory() -> PathBuf {
    PathBuf::from("/etc/ringfence")
}

#[cfg(windows)]
fn system_directory() -> PathBuf {
    // The known folder `ProgramData`; the variable of that name belongs to the user and isn't asked.
    PathBuf::from(r"C:\ProgramData\Ringfence")
}

/// What gathering may look at.
pub trait World {
    /// The content of a regular file, bounded, but with more than is accepted of any if it is longer; none if
    /// there is none.
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Whether anything has this name.
    fn exists(&self, path: &Path) -> bool;
    /// As `read`, of a file that constrains: nobody but the administrator may be able to write it or what leads to it.
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError>;
    /// As `read_trusted`, of the managed defaults. Where they lie in a directory of the user's, who could remove the file
    /// anyway, it alone must be the administrator's.
    fn read_managed(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        self.read_trusted(file)
    }
    /// A managed preference of the operating system, if it is set.
    fn preference(&self, key: &str) -> Result<Option<Preference>, TrustedError>;
    /// Every file below a directory and a fingerprint of its content; none if there is no such directory.
    fn contents(&self, directory: &Path) -> io::Result<Option<Contents>>;
    /// Keeps a file of this user's state.
    fn keep(&self, file: &Path, bytes: &[u8]) -> io::Result<()>;
    /// The host's name, in full if that is known.
    fn hostname(&self) -> Option<String>;
    /// The time, in seconds since 1970 UTC.
    fn now(&self) -> u64;
}

/// Everything that one start is resolved from.
#[derive(Debug)]
pub struct Gathered {
    /// The layers.
    pub layers: Layers,
    /// The sources of requirements.
    pub requirements: RequirementSources,
    /// The facts.
    pub facts: Facts,
    /// Whether the project's own settings and rules count.
    pub project_layer: ProjectLayer,
    /// What a person is told of the sources.
    pub notices: Vec<Notice>,
}

/// Reads every layer.
pub fn gather(request: &Request, world: &dyn World) -> Result<Gathered, ConfigError> {
    let places = &request.places;
    let system = read(world, &places.system.join("config.toml"), Layer::System)?;
    let user = match request.ignore_user {
        true => None,
        false => read(world, &places.home.as_path().join("config.toml"), Layer::User)?,
    };
    let managed = requirements::managed(world, &managed_file(places))?;
    let preferences = requirements::preference(world, "config_toml_base64", Layer::ManagedPreferences)?;
    let flags = request.flags.table();
    let tables =
        [&system, &user, &managed, &preferences].into_iter().flatten().map(|document| &document.table).chain([&flags]);
    let tables: Vec<&Table> = tables.collect();
    let project = match &request.project {
        Some(project) => project.clone(),
        None => project::find(&request.cwd, &project::markers(&tables), world),
    };
    let facts = Facts {
        cwd: request.cwd.clone(),
        user_home: request.user_home.clone(),
        tmpdir: request.tmpdir.clone(),
        project,
    };
    let profile = match &request.profile {
        Some(name) => Some(Sourced::new(name.clone(), Origin::flag("--profile"))),
        None => last(&tables, "profile"),
    };
    let profile_file = match &profile {
        Some(name) if !request.ignore_user => {
            crate::check::profile_name(&name.value, &name.origin)?;
            let file = places.home.as_path().join(format!("{}.config.toml", name.value));
            read(world, &file, Layer::Profile)?
        }
        _ => None,
    };
    let trust = tables.iter().fold(Trust::Unknown, |trust, table| match trust::level(table, &facts.project.root) {
        Sourced { value, origin } if origin.is_explicit() => value,
        _ => trust,
    });
    let mut notices = Vec::new();
    let (projects, project_layer) = match trust {
        Trust::Trusted => project::layer(request, &facts, world, &mut notices)?,
        Trust::Unknown | Trust::Untrusted => (Vec::new(), ProjectLayer::NotRead),
    };
    let requirements = requirements::sources(request, world, managed.clone(), &tables, &mut notices)?;
    let flags = request.flags.clone();
    Ok(Gathered {
        layers: Layers { system, user, profile, profile_file, projects, flags, managed, preferences },
        requirements,
        facts,
        project_layer,
        notices,
    })
}

/// The project that a start would find. A source that can't be read says nothing of it, so that this can be told while
/// settings are broken.
#[must_use]
pub fn project(request: &Request, world: &dyn World) -> ProjectFacts {
    let places = &request.places;
    let own = |file: &Path, layer| read(world, file, layer).ok().flatten();
    let user = match request.ignore_user {
        true => None,
        false => own(&places.home.as_path().join("config.toml"), Layer::User),
    };
    let documents = [
        own(&places.system.join("config.toml"), Layer::System),
        user,
        requirements::managed(world, &managed_file(places)).ok().flatten(),
        requirements::preference(world, "config_toml_base64", Layer::ManagedPreferences).ok().flatten(),
    ];
    let flags = request.flags.table();
    let tables: Vec<&Table> =
        documents.iter().flatten().map(|document| &document.table).chain(std::iter::once(&flags)).collect();
    project::find(&request.cwd, &project::markers(&tables), world)
}

/// Where `managed_config.toml` lies: beside the system's settings; on Windows in the user's Ringfence home.
#[must_use]
pub fn managed_file(places: &Places) -> PathBuf {
    if cfg!(windows) {
        places.home.as_path().join("managed_config.toml")
    } else {
        places.system.join("managed_config.toml")
    }
}

fn read(world: &dyn World, file: &Path, layer: Layer) -> Result<Option<Document>, ConfigError> {
    let bytes = match world.read(file) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(cause) => return Err(ConfigError::Unreadable { file: file.to_path_buf(), cause }),
    };
    Ok(Some(Document::parse(&bytes, Source::file(file, layer))?))
}

/// The value of a plain key in the highest table that has it as text; a wrong type is reported when layers are checked.
fn last(tables: &[&Table], key: &str) -> Option<Sourced<String>> {
    let found = tables.iter().rev().find_map(|table| table.get(key))?;
    Some(Sourced::new(found.as_str()?.to_owned(), found.mark.origin()))
}

/// Ringfence's home: `$RINGFENCE_HOME` if it is set, else `.ringfence` in the user's home. A relative one is an error.
pub fn ringfence_home(variable: Option<&Path>, user_home: Option<&AbsPath>) -> Result<AbsPath, ConfigError> {
    let problem = |text: String| ConfigError::from(Problem::new("no-home", text, Origin::host("RINGFENCE_HOME")));
    match (variable.filter(|path| !path.as_os_str().is_empty()), user_home) {
        (Some(path), _) => {
            AbsPath::new(path).map_err(|error| problem(format!("the variable `RINGFENCE_HOME`: {error}")))
        }
        (None, Some(home)) => home.join(".ringfence").map_err(|error| problem(error.to_string())),
        (None, None) => Err(problem("there is no home directory, and `RINGFENCE_HOME` isn't set".into())),
    }
}
