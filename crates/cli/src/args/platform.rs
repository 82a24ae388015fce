//! The platform spellings of `sandbox`: `sandbox linux …`, `sandbox seatbelt …`; the word is taken off the arguments.

use std::ffi::{OsStr, OsString};

/// An operating system somebody asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `linux`, `landlock`.
    Linux,
    /// `macos`, `seatbelt`.
    Macos,
    /// `windows`.
    Windows,
}

const SPELLINGS: &[(&str, Platform)] = &[
    ("linux", Platform::Linux),
    ("landlock", Platform::Linux),
    ("macos", Platform::Macos),
    ("seatbelt", Platform::Macos),
    ("windows", Platform::Windows),
];

impl Platform {
    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
        }
    }

    /// Whether this program was built for it.
    #[must_use]
    pub fn is_here(self) -> bool {
        self == if cfg!(target_os = "macos") {
            Self::Macos
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }

    fn from_word(word: &OsStr) -> Option<Self> {
        SPELLINGS.iter().find(|(spelling, _)| word == *spelling).map(|(_, platform)| *platform)
    }
}

/// Looks whether the parsed `command` begins with a platform that wasn't put behind `--`. Gives the platform and the
/// arguments without that word, to be parsed again.
#[must_use]
pub fn spelled(args: &[OsString], command: &[OsString]) -> Option<(Platform, Vec<OsString>)> {
    let platform = Platform::from_word(command.first()?)?;
    // The command is always the tail of the arguments, so its place is known from its length.
    let at = args.len().checked_sub(command.len())?;
    if args.get(at.checked_sub(1)?).is_some_and(|before| before == "--") {
        return None;
    }
    let mut rest = args.to_vec();
    rest.remove(at);
    Some((platform, rest))
}
