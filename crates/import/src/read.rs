//! The reader: finds an agent's files and reads them whole. The only module here that looks at a disk.

use crate::{Agent, Input, MAX_BYTES, Role};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A file that is there and can't be read. It might have forbidden something, so nothing is imported.
#[derive(Debug, thiserror::Error)]
#[error("can't read {}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Where {
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The project's directory.
    pub project: Option<PathBuf>,
    /// A file or directory named by the user; then nothing else is looked at.
    pub only: Option<PathBuf>,
}

/// Reads what is there of an agent's files.
pub fn read(agent: Agent, place: &Where) -> Result<Vec<Input>, ReadError> {
    let mut found = Found::default();
    if let Some(only) = &place.only {
        named(agent, only, &mut found)?;
        return Ok(found.0);
    }
    let home = place.home.as_deref();
    let project = place.project.as_deref();
    match agent {
        Agent::Codex => {
            codex(Path::new("/etc/codex"), Role::System, "/etc/codex", &mut found)?;
            if let Some(home) = home {
                codex(&home.join(".codex"), Role::User, "~/.codex", &mut found)?;
            }
        }
        Agent::ClaudeCode => {
            for directory in
                ["/etc/claude-code", "/Library/Application Support/ClaudeCode", "C:/Program Files/ClaudeCode"]
            {
                claude(Path::new(directory), Role::Managed, directory, &mut found)?;
            }
            if let Some(home) = home {
                claude(&home.join(".claude"), Role::User, "~/.claude", &mut found)?;
                found.file(&home.join(".claude.json"), Role::User, "~/.claude.json")?;
            }
            if let Some(project) = project {
                claude(&project.join(".claude"), Role::Project, ".claude", &mut found)?;
                found.file(&project.join(".mcp.json"), Role::Project, ".mcp.json")?;
            }
        }
        Agent::GeminiCli => {
            for directory in ["/etc/gemini-cli", "/Library/Application Support/GeminiCli", "C:/ProgramData/gemini-cli"]
            {
                gemini(Path::new(directory), Role::Managed, directory, &mut found)?;
            }
            if let Some(home) = home {
                gemini(&home.join(".gemini"), Role::User, "~/.gemini", &mut found)?;
            }
            if let Some(project) = project {
                gemini(&project.join(".gemini"), Role::Project, ".gemini", &mut found)?;
            }
        }
        Agent::Srt => {
            if let Some(home) = home {
                found.file(&home.join(".srt-settings.json"), Role::User, "~/.srt-settings.json")?;
            }
        }
    }
    Ok(found.0)
}

/// A path that the user named: a directory like the agent's own, or one file.
fn named(agent: Agent, path: &Path, found: &mut Found) -> Result<(), ReadError> {
    let metadata = fs::metadata(path).map_err(|cause| ReadError { path: path.to_owned(), cause })?;
    let shown = path.display().to_string();
    if !metadata.is_dir() {
        let role = match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            "managed-settings.json" | "requirements.toml" => Role::Managed,
            "managed_config.toml" => Role::ManagedDefaults,
            ".mcp.json" => Role::Project,
            name if name.ends_with(".config.toml") => Role::Profile,
            _ => Role::User,
        };
        return found.file(path, role, &shown);
    }
    // A directory may be the agent's own, or hold it.
    let own = match agent {
        Agent::Codex => ".codex",
        Agent::ClaudeCode => ".claude",
        Agent::GeminiCli => ".gemini",
        Agent::Srt => {
            return found.file(&path.join(".srt-settings.json"), Role::User, &format!("{shown}/.srt-settings.json"));
        }
    };
    let inside = path.join(own);
    let (directory, name) =
        if inside.is_dir() { (inside, format!("{shown}/{own}")) } else { (path.to_owned(), shown.clone()) };
    match agent {
        Agent::Codex => codex(&directory, Role::User, &name, found),
        Agent::ClaudeCode => {
            claude(&directory, Role::User, &name, found)?;
            found.file(&path.join(".mcp.json"), Role::Project, &format!("{shown}/.mcp.json"))?;
            found.file(&path.join(".claude.json"), Role::User, &format!("{shown}/.claude.json"))
        }
        Agent::GeminiCli => gemini(&directory, Role::User, &name, found),
        Agent::Srt => Ok(()),
    }
}

fn codex(directory: &Path, role: Role, shown: &str, found: &mut Found) -> Result<(), ReadError> {
    found.file(&directory.join("config.toml"), role, &format!("{shown}/config.toml"))?;
    found.file(
        &directory.join("managed_config.toml"),
        Role::ManagedDefaults,
        &format!("{shown}/managed_config.toml"),
    )?;
    found.file(&directory.join("requirements.toml"), Role::Managed, &format!("{shown}/requirements.toml"))?;
    found.all(directory, ".config.toml", Role::Profile, shown)?;
    found.all(&directory.join("rules"), ".rules", role, &format!("{shown}/rules"))
}

fn claude(directory: &Path, role: Role, shown: &str, found: &mut Found) -> Result<(), ReadError> {
    for name in ["settings.json", "settings.local.json"] {
        found.file(&directory.join(name), role, &format!("{shown}/{name}"))?;
    }
    for name in ["managed-settings.json", "managed-mcp.json"] {
        found.file(&directory.join(name), Role::Managed, &format!("{shown}/{name}"))?;
    }
    found.all(&directory.join("managed-settings.d"), ".json", Role::Managed, &format!("{shown}/managed-settings.d"))
}

fn gemini(directory: &Path, role: Role, shown: &str, found: &mut Found) -> Result<(), ReadError> {
    let defaults = format!("{shown}/system-defaults.json");
    found.file(&directory.join("system-defaults.json"), Role::System, &defaults)?;
    found.file(&directory.join("settings.json"), role, &format!("{shown}/settings.json"))?;
    found.all(&directory.join("policies"), ".toml", role, &format!("{shown}/policies"))
}

#[derive(Default)]
struct Found(Vec<Input>);

impl Found {
    fn file(&mut self, path: &Path, role: Role, shown: &str) -> Result<(), ReadError> {
        let failed = |cause| ReadError { path: path.to_owned(), cause };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        }
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
        self.0.push(Input { name: shown.to_owned(), role, text });
        Ok(())
    }

    fn all(&mut self, directory: &Path, ending: &str, role: Role, shown: &str) -> Result<(), ReadError> {
        let failed = |cause| ReadError { path: directory.to_owned(), cause };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            match name.to_str() {
                Some(name) if name.ends_with(ending) && name.len() > ending.len() => names.push(name.to_owned()),
                _ => {}
            }
        }
        names.sort();
        names.iter().try_for_each(|name| self.file(&directory.join(name), role, &format!("{shown}/{name}")))
    }
}
