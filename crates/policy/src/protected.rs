//! The one table of protected names: places under a writable root from which git, agents, editors and shells take orders.
//!
//! What is written there would run, or be believed, outside the sandbox and later. The table knows names and reasons;
//! what is on disk under each name comes in as facts, and who may take a name off it is decided with the settings.

use ringfence_model::{AbsPath, Origin, OsText, Settings};
use std::borrow::Cow;
use std::path::Path;

/// Where the names of a row lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Directly under every writable root.
    Root,
    /// Directly under the user's home, where that lies inside a writable root.
    Home,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Where.
    pub place: Place,
    /// Names relative to that place; with what is below them.
    pub names: &'static [&'static str],
    /// Why, as a person reads it after "protected path:".
    pub reason: &'static str,
}

const fn row(place: Place, names: &'static [&'static str], reason: &'static str) -> Row {
    Row { place, names, reason }
}

/// Every protected name with its reason.
pub const TABLE: &[Row] = &[
    row(Place::Root, &[".git"], "git runs hooks, filters and configured programs from here, outside the sandbox"),
    row(Place::Root, &[".hg"], "Mercurial runs hooks and extensions that its `hgrc` names"),
    row(Place::Root, &[".jj"], "Jujutsu runs tools that its repository configuration names"),
    row(Place::Root, &[".ringfence"], "Ringfence's own settings and rules for this project"),
    row(
        Place::Root,
        &[".agents", ".codex"],
        "Codex and agents like it take instructions, skills and settings from here",
    ),
    row(Place::Root, &[".claude"], "Claude Code runs hooks and servers that its settings name"),
    row(Place::Root, &[".gemini", ".qwen"], "Gemini CLI and its kin start servers and tools that their settings name"),
    row(Place::Root, &[".cursor"], "Cursor starts servers and hooks from here"),
    row(
        Place::Root,
        &[".windsurf", ".kiro", ".amazonq", ".roo", ".continue"],
        "agents in editors start servers and hooks from here",
    ),
    row(Place::Root, &[".opencode", "opencode.json", "opencode.jsonc"], "opencode loads plugins and servers from here"),
    row(Place::Root, &[".aider.conf.yml"], "aider runs the lint and test commands set here"),
    row(Place::Root, &[".mcp.json"], "agents start the servers listed here"),
    row(
        Place::Root,
        &[".vscode"],
        "Visual Studio Code runs tasks, launches and tools that its workspace settings name",
    ),
    row(
        Place::Root,
        &[
            ".agents/skills",
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".codex/config.toml",
            ".cursor/hooks.json",
            ".cursor/mcp.json",
            ".devcontainer/devcontainer.json",
            ".gemini/settings.json",
            ".ringfence/config.toml",
            ".vscode/launch.json",
            ".vscode/mcp.json",
            ".vscode/settings.json",
            ".vscode/tasks.json",
        ],
        "a protected file that may be a link: what it leads to gives the same orders",
    ),
    row(Place::Root, &[".idea", ".fleet"], "JetBrains editors run configurations and external tools from here"),
    row(Place::Root, &[".zed"], "Zed runs tasks and language servers that its settings name"),
    row(
        Place::Root,
        &[".devcontainer", ".devcontainer.json"],
        "editors start containers and run commands from here on the host",
    ),
    row(Place::Root, &[".envrc"], "direnv runs it when a person enters the directory"),
    row(
        Place::Root,
        &[".exrc", ".nvimrc", ".nvim.lua", ".vimrc", ".gdbinit"],
        "vim, Neovim or gdb may run it when started in the directory",
    ),
    row(
        Place::Home,
        &[".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile"],
        "bash runs it at start or end",
    ),
    row(
        Place::Home,
        &[".zshenv", ".zprofile", ".zshrc", ".zlogin", ".zlogout", ".oh-my-zsh"],
        "zsh runs it at start or end",
    ),
    row(Place::Home, &[".config/fish", ".kshrc", ".cshrc", ".tcshrc", ".login", ".mkshrc"], "a shell runs it at start"),
    row(Place::Home, &[".inputrc", ".config/readline"], "readline binds keys to commands from here"),
    row(
        Place::Home,
        &[".xprofile", ".xinitrc", ".xsession", ".xsessionrc", ".pam_environment", ".config/environment.d"],
        "the session runs it or takes its environment from it at log-in",
    ),
    row(
        Place::Home,
        &[
            ".config/autostart",
            ".config/systemd",
            ".local/share/systemd",
            ".local/share/dbus-1",
            ".local/share/applications",
        ],
        "the session starts programs from here",
    ),
    row(Place::Home, &["Library/LaunchAgents", "Library/Preferences"], "macOS starts programs from here"),
    row(Place::Home, &[".local/bin", "bin", ".cargo/bin"], "usually in `PATH`: programs here run outside by name"),
    row(Place::Home, &[".ssh"], "ssh keys, known hosts, and programs that its configuration runs"),
    row(Place::Home, &[".gnupg"], "keys, and programs that gpg's configuration runs"),
    row(Place::Home, &[".gitconfig", ".config/git"], "git runs aliases, filters and helpers that it names"),
    row(Place::Home, &[".hgrc", ".config/hg", ".config/jj"], "Mercurial or Jujutsu runs hooks and tools that it names"),
    row(
        Place::Home,
        &[".npmrc", ".yarnrc", ".yarnrc.yml", ".config/pip", ".pip", ".pypirc"],
        "package managers take registries, tokens and programs from it",
    ),
    row(
        Place::Home,
        &[".cargo/config", ".cargo/config.toml", ".cargo/credentials.toml"],
        "cargo takes linkers, runners and credentials from it",
    ),
    row(Place::Home, &[".docker", ".kube", ".aws", ".netrc"], "credentials, and helpers that clients run"),
    row(Place::Home, &[".vim", ".config/nvim", ".emacs", ".emacs.d", ".config/emacs"], "an editor runs it at start"),
    row(Place::Home, &[".tmux.conf", ".config/tmux", ".screenrc"], "tmux or screen runs commands from it"),
    row(Place::Home, &[".config/direnv", ".config/mise"], "runs when a person enters a directory"),
];

/// A name to hold read-only under one root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtectedName {
    /// Relative to the root.
    pub name: OsText,
    /// Why.
    pub reason: Cow<'static, str>,
    /// Where it was set.
    pub origin: Origin,
}

/// The origin of every row.
#[must_use]
pub fn origin() -> Origin {
    Origin::builtin("protected names")
}

/// The names to look up and protect under `root`: the table's and the settings', minus those taken off.
#[must_use]
pub fn names_under(root: &AbsPath, home: Option<&AbsPath>, settings: &Settings) -> Vec<ProtectedName> {
    let mut names = Vec::new();
    let home = home.and_then(|home| HomeNames::seen_from(root, home));
    for row in TABLE {
        for name in row.names {
            let relative = match (row.place, &home) {
                (Place::Root, _) => Some(OsText::new(*name)),
                (Place::Home, home) => home.as_ref().and_then(|home| home.relative(name)),
            };
            if let Some(name) = relative {
                names.push(ProtectedName { name, reason: Cow::Borrowed(row.reason), origin: origin() });
            }
        }
    }
    for entry in &settings.protected_paths {
        let path = Path::new(&entry.value);
        let relative = if path.has_root() {
            AbsPath::new(path).ok().and_then(|path| path.below(root).map(Path::to_path_buf))
        } else {
            // Normalised here so that `./x/` and `x` are one name; a name with `..` would leave the root.
            root.join(path).ok().and_then(|path| path.below(root).map(Path::to_path_buf))
        };
        if let Some(relative) = relative.filter(|relative| !relative.as_os_str().is_empty()) {
            names.push(ProtectedName {
                name: OsText::new(relative.into_os_string()),
                reason: Cow::Borrowed("listed in `protected_paths`"),
                origin: entry.origin.clone(),
            });
        }
    }
    names.retain(|name| !is_taken_off(root, name, settings));
    names.sort();
    names.dedup_by(|later, earlier| later.name == earlier.name);
    names
}

/// How names under the home are seen from a root.
enum HomeNames<'path> {
    /// The home lies in the root: this comes before each name.
    Below(&'path Path),
    /// The root lies in the home: only names that begin with this are in it.
    Above(&'path Path),
}

impl<'path> HomeNames<'path> {
    fn seen_from(root: &'path AbsPath, home: &'path AbsPath) -> Option<Self> {
        home.below(root).map(Self::Below).or_else(|| root.below(home).map(Self::Above))
    }

    fn relative(&self, name: &str) -> Option<OsText> {
        match self {
            Self::Below(prefix) => Some(OsText::new(prefix.join(name))),
            // A root at or below the name itself was chosen by name; there is nothing under it to single out.
            Self::Above(prefix) => {
                let rest = Path::new(name).strip_prefix(prefix).ok()?;
                (!rest.as_os_str().is_empty()).then(|| OsText::new(rest.as_os_str()))
            }
        }
    }
}

/// Whether `unprotected_paths` takes this name off the table. What `protected_paths` of a requirement adds stays.
fn is_taken_off(root: &AbsPath, name: &ProtectedName, settings: &Settings) -> bool {
    if settings.unprotected_paths.is_empty() || name.origin.layer().is_requirement() {
        return false;
    }
    root.join(Path::new(name.name.as_os_str())).is_ok_and(|path| path_is_taken_off(root, &path, settings))
}

/// Whether `unprotected_paths` takes `path`, which lies under `root`, off the protection.
#[must_use]
pub fn path_is_taken_off(root: &AbsPath, full: &AbsPath, settings: &Settings) -> bool {
    settings.unprotected_paths.iter().any(|entry| {
        let path = Path::new(&entry.value);
        if path.has_root() {
            AbsPath::new(path).is_ok_and(|path| full.is_within(&path))
        } else {
            root.join(path).is_ok_and(|path| path != *root && full.is_within(&path))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fs_23_every_row_has_a_reason_and_no_name_stands_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!(!row.reason.is_empty() && !row.reason.ends_with('.'), "{row:?}");
            for name in row.names {
                assert!(seen.insert((row.place, name)), "{name} stands twice");
                assert!(!name.starts_with('/') && !name.contains(".."), "{name}");
            }
        }
    }

    #[test]
    fn fs_23_what_must_be_protected_is() {
        let root_names: Vec<&str> =
            TABLE.iter().filter(|row| row.place == Place::Root).flat_map(|row| row.names).copied().collect();
        for wanted in [
            ".git",
            ".ringfence",
            ".agents",
            ".codex",
            ".claude",
            ".gemini",
            ".cursor",
            ".mcp.json",
            ".vscode/tasks.json",
            ".vscode/settings.json",
            ".idea",
            ".devcontainer",
            ".envrc",
        ] {
            assert!(root_names.iter().any(|name| Path::new(wanted).starts_with(name)), "{wanted}");
        }
        let home_names: Vec<&str> =
            TABLE.iter().filter(|row| row.place == Place::Home).flat_map(|row| row.names).copied().collect();
        for wanted in [
            ".bashrc",
            ".zshenv",
            ".ssh/authorized_keys",
            ".gitconfig",
            ".config/autostart",
            ".config/systemd",
            ".npmrc",
        ] {
            assert!(home_names.iter().any(|name| Path::new(wanted).starts_with(name)), "{wanted}");
        }
    }
}
