//! Managed preferences: macOS property lists and the Windows registry. Each has a parser that runs on any system.

use super::World;
use super::trusted::TrustedError;

mod plist_file;
mod registry_export;
#[cfg(test)]
mod tests;

pub use plist_file::read_plist;
pub use registry_export::read_registry_export;

/// The domain of Ringfence's managed preferences.
pub const DOMAIN: &str = "dev.ringfence";
/// The key of the Windows registry that holds them.
pub const REGISTRY_KEY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Ringfence";

/// A managed preference as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Where: domain or registry key, and name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a property list or a registry export can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreferenceError {
    /// It isn't of its format.
    #[error("it isn't {expected}: {why}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
        /// What the parser said.
        why: String,
    },
    /// The value isn't text.
    #[error("the value of `{0}` isn't a string")]
    NotText(String),
}

/// The preference of this machine.
#[cfg(target_os = "macos")]
pub(super) fn of_machine(world: &dyn World, key: &str) -> Result<Option<Preference>, TrustedError> {
    let file = std::path::PathBuf::from(format!("/Library/Managed Preferences/{DOMAIN}.plist"));
    let Some(bytes) = world.read_trusted(&file)? else { return Ok(None) };
    let found =
        read_plist(&bytes, key).map_err(|error| TrustedError::Untrusted { at: file, why: error.to_string() })?;
    Ok(found.map(|text| Preference { name: format!("{DOMAIN}/{key}"), text }))
}

/// The preference of this machine. Only administrators can write below `Policies`.
#[cfg(windows)]
pub(super) fn of_machine(_world: &dyn World, key: &str) -> Result<Option<Preference>, TrustedError> {
    /// `ERROR_FILE_NOT_FOUND` as an `HRESULT`.
    const MISSING: i32 = 0x8007_0002_u32.cast_signed();
    let untrusted =
        |why: String| TrustedError::Untrusted { at: std::path::PathBuf::from(format!(r"{REGISTRY_KEY}\{key}")), why };
    let policies = match windows_registry::LOCAL_MACHINE.open(r"SOFTWARE\Policies\Ringfence") {
        Ok(policies) => policies,
        Err(error) if error.code().0 == MISSING => return Ok(None),
        Err(error) => return Err(untrusted(error.to_string())),
    };
    match policies.get_string(key) {
        Ok(text) => Ok(Some(Preference { name: format!(r"{REGISTRY_KEY}\{key}"), text })),
        Err(error) if error.code().0 == MISSING => Ok(None),
        Err(error) => Err(untrusted(error.to_string())),
    }
}

/// This system has none.
#[cfg(not(any(target_os = "macos", windows)))]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn of_machine(_world: &dyn World, _key: &str) -> Result<Option<Preference>, TrustedError> {
    Ok(None)
}
