//! Where a value came from. It stays with the value for ever, so that every refusal can name the line at fault.

use crate::os_text::OsText;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A source of settings, lowest first: a later layer wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// Ringfence's own defaults and tables.
    BuiltIn,
    /// `/etc/ringfence/config.toml`.
    System,
    /// `config.toml` in the user's Ringfence home.
    User,
    /// The selected profile.
    Profile,
    /// A trusted project's `.ringfence/config.toml`.
    Project,
    /// Flags and `-c`.
    CommandLine,
    /// `managed_config.toml`: defaults an administrator applies at each start.
    Managed,
    /// macOS managed preferences, `config_toml_base64`.
    ManagedPreferences,
    /// A constraint: legacy fields of `managed_config.toml`.
    LegacyRequirements,
    /// A constraint: `requirements.toml` of the system.
    SystemRequirements,
    /// A constraint: a verified cloud bundle.
    CloudRequirements,
    /// A constraint: managed preferences, `requirements_toml_base64`.
    PreferenceRequirements,
}

impl Layer {
    /// Whether this source constrains instead of setting.
    #[must_use]
    pub fn is_requirement(self) -> bool {
        self >= Self::LegacyRequirements
    }
}

/// The place a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file as it was opened.
        file: OsText,
        /// Counted from 1; 0 when the whole file is meant.
        line: u32,
        /// In characters, counted from 1; 0 when the whole line is meant.
        #[serde(default, skip_serializing_if = "is_zero")]
        column: u32,
        /// The layer that the file belongs to.
        layer: Layer,
    },
    /// A flag of the command line, as typed: `--add-dir`, `-c sandbox_mode`.
    Flag {
        /// The flag.
        flag: String,
    },
    /// A managed preference of the operating system.
    Preference {
        /// Domain and key: `dev.ringfence/requirements_toml_base64`.
        preference: String,
        /// Line in the decoded text; 0 when the whole is meant.
        line: u32,
        /// The layer that the preference belongs to.
        layer: Layer,
    },
    /// A verified policy bundle.
    Cloud {
        /// The address it was fetched from.
        cloud: String,
        /// Its version.
        version: u64,
        /// Line in its requirements text; 0 when the whole is meant.
        line: u32,
    },
    /// A table or default of Ringfence itself.
    BuiltIn {
        /// Name of the table or default, as the reference documents it.
        builtin: Cow<'static, str>,
    },
    /// An answer a person or reviewer gave.
    Grant {
        /// Identifier of the grant.
        grant: String,
    },
    /// A fact of this host, found by trying.
    Host {
        /// What was found.
        host: String,
    },
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Origin {
    /// One of Ringfence's own tables or defaults.
    pub fn builtin(name: impl Into<Cow<'static, str>>) -> Self {
        Self::BuiltIn { builtin: name.into() }
    }

    /// A flag, as typed.
    pub fn flag(flag: impl Into<String>) -> Self {
        Self::Flag { flag: flag.into() }
    }

    /// A fact of this host.
    pub fn host(fact: impl Into<String>) -> Self {
        Self::Host { host: fact.into() }
    }

    /// The layer the value belongs to.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::File { layer, .. } | Self::Preference { layer, .. } => *layer,
            Self::Flag { .. } | Self::Grant { .. } => Layer::CommandLine,
            Self::Cloud { .. } => Layer::CloudRequirements,
            Self::BuiltIn { .. } | Self::Host { .. } => Layer::BuiltIn,
        }
    }

    /// Whether a person chose the value, rather than a default that nobody touched.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        !matches!(self, Self::BuiltIn { .. } | Self::Host { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column, .. } => {
                f.write_str(&file.display())?;
                match (line, column) {
                    (0, _) => Ok(()),
                    (line, 0) => write!(f, ":{line}"),
                    (line, column) => write!(f, ":{line}:{column}"),
                }
            }
            Self::Flag { flag } => write!(f, "flag `{}`", crate::text::escape(flag)),
            Self::Preference { preference, line: 0, .. } => write!(f, "managed preference {preference}"),
            Self::Preference { preference, line, .. } => write!(f, "managed preference {preference}, line {line}"),
            Self::Cloud { cloud, version, line: 0 } => write!(f, "policy {cloud} version {version}"),
            Self::Cloud { cloud, version, line } => write!(f, "policy {cloud} version {version}, line {line}"),
            Self::BuiltIn { builtin } => write!(f, "built in: {builtin}"),
            Self::Grant { grant } => write!(f, "grant {grant}"),
            Self::Host { host } => write!(f, "this host: {host}"),
        }
    }
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was set.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Joins a value and its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// A default that nobody set.
    pub fn default_of(value: T, key: &str) -> Self {
        Self { value, origin: Origin::builtin(format!("default of `{key}`")) }
    }

    /// The same origin for another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: f(self.value), origin: self.origin }
    }
}
