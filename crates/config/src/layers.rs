//! The layers of one start, as gathered: parsed, but not yet checked, merged or judged.

use crate::document;
use crate::error::{ConfigError, Problem};
use crate::node::{self, Mark, Node, Source, Table, Value};
use ringfence_model::mode::SandboxMode;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::path::AbsPath;
use std::sync::Arc;

/// One parsed source.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it came from.
    pub source: Arc<Source>,
    /// What it says.
    pub table: Table,
}

impl Document {
    /// Parses a source.
    pub fn parse(bytes: &[u8], source: Arc<Source>) -> Result<Self, Problem> {
        Ok(Self { table: document::parse(bytes, &source)?, source })
    }
}

/// Every layer of one start, lowest first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// `/etc/ringfence/config.toml`.
    pub system: Option<Document>,
    /// `config.toml` in the user's Ringfence home.
    pub user: Option<Document>,
    /// The name of the selected profile.
    pub profile: Option<Sourced<String>>,
    /// `NAME.config.toml` of the selected profile, if it exists.
    pub profile_file: Option<Document>,
    /// Files of a trusted project, root first, nearest last.
    pub projects: Vec<Document>,
    /// Flags and `-c`.
    pub flags: Overrides,
    /// `managed_config.toml`.
    pub managed: Option<Document>,
    /// Managed preferences of the operating system, `config_toml_base64`.
    pub preferences: Option<Document>,
}

/// What the command line sets. Flags count over `-c`, and later ones over earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    config: Vec<(Vec<String>, Node)>,
    flags: Vec<(Vec<String>, Node)>,
    pub(crate) add_dirs: Vec<Sourced<String>>,
    pub(crate) network: Option<Sourced<NetworkFlag>>,
    pub(crate) permissions: Option<Sourced<String>>,
    pub(crate) pass: Vec<Sourced<String>>,
    pub(crate) bypass: Option<Origin>,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFlag {
    /// No network.
    Off,
    /// Network; through the proxy where one is enabled.
    On,
    /// Network, only through the proxy.
    Proxy,
}

impl Overrides {
    /// `-c KEY=VALUE`: the value is read as TOML, and as a string if it isn't that.
    pub fn config(&mut self, text: &str) -> Result<(), ConfigError> {
        let origin = || Origin::flag(format!("-c {text}"));
        let bad =
            |why: &str| Problem::new("flag", format!("`-c {}`: {why}", ringfence_model::text::escape(text)), origin());
        let (path, value) = text.split_once('=').ok_or_else(|| bad("expected KEY=VALUE"))?;
        let keys = document::parse_path(path).filter(|keys| !keys.is_empty()).ok_or_else(|| {
            bad("the part before `=` isn't a key path").hint("write names with other characters as \"NAME\"")
        })?;
        let source = Arc::new(Source::Flag(format!("-c {}", node::path_text(&keys))));
        let value = value.trim();
        let node = document::parse_value(value, &source)
            .unwrap_or_else(|| Node::new(Value::Text(value.to_owned()), Mark::whole(&source)));
        self.config.push((keys, node));
        Ok(())
    }

    /// Sets a key by a dedicated flag; `flag` is how it was typed.
    pub fn set(&mut self, flag: &str, path: &str, value: Value) {
        let source = Arc::new(Source::Flag(flag.to_owned()));
        let keys = path.split('.').map(str::to_owned).collect();
        self.flags.push((keys, Node::new(value, Mark::whole(&source))));
    }

    /// `--sandbox MODE`.
    pub fn sandbox(&mut self, mode: SandboxMode) {
        self.set("--sandbox", "sandbox_mode", Value::Text(mode.name().to_owned()));
    }

    /// `--ask-for-approval POLICY`; the text is read as `-c approval_policy=` reads it.
    pub fn ask_for_approval(&mut self, policy: &str) {
        let source = Arc::new(Source::Flag("--ask-for-approval".to_owned()));
        let node = document::parse_value(policy, &source)
            .filter(|node| matches!(node.value, Value::Table(_)))
            .unwrap_or_else(|| Node::new(Value::Text(policy.to_owned()), Mark::whole(&source)));
        self.flags.push((vec!["approval_policy".to_owned()], node));
    }

    /// `--full-auto`.
    pub fn full_auto(&mut self) {
        self.set("--full-auto", "sandbox_mode", Value::Text("workspace-write".to_owned()));
        self.set("--full-auto", "approval_policy", Value::Text("on-request".to_owned()));
    }

    /// `--dangerously-bypass-approvals-and-sandbox`, also `--yolo`; `flag` is how it was typed.
    pub fn bypass(&mut self, flag: &str) {
        self.set(flag, "sandbox_mode", Value::Text("danger-full-access".to_owned()));
        self.set(flag, "approval_policy", Value::Text("never".to_owned()));
        self.bypass = Some(Origin::flag(flag));
    }

    /// `--search`.
    pub fn search(&mut self) {
        self.set("--search", "web_search", Value::Text("live".to_owned()));
    }

    /// `--approve-with PROGRAM`: this program reviews, if requirements let a program do so.
    pub fn approve_with(&mut self, words: &[String]) {
        const FLAG: &str = "--approve-with";
        let source = Arc::new(Source::Flag(FLAG.to_owned()));
        let word = |word: &String| Node::new(Value::Text(word.clone()), Mark::whole(&source));
        self.set(FLAG, "approvals_reviewer", Value::Text("program".to_owned()));
        self.set(FLAG, "approvals.program", Value::List(words.iter().map(word).collect()));
    }

    /// `--approve-over CHANNEL`: a front end is asked, which counts as a program, since nothing shows who sits behind it.
    pub fn approve_over(&mut self) {
        self.set("--approve-over", "approvals_reviewer", Value::Text("program".to_owned()));
    }

    /// `--network`.
    pub fn network(&mut self, network: NetworkFlag) {
        self.network = Some(Sourced::new(network, Origin::flag("--network")));
    }

    /// `--permissions NAME`: this permission profile, whatever `default_permissions` says.
    pub fn permissions(&mut self, name: &str) {
        self.permissions = Some(Sourced::new(name.to_owned(), Origin::flag("--permissions")));
    }

    /// `--add-dir DIR`: relative to the working directory.
    pub fn add_dir(&mut self, directory: &str) {
        self.add_dirs.push(Sourced::new(directory.to_owned(), Origin::flag("--add-dir")));
    }

    /// `--env KEY` passes a variable through, `--env KEY=VALUE` sets one.
    pub fn env(&mut self, text: &str) -> Result<(), ConfigError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() || text.contains('\0') {
            let text = format!("`--env {}`: expected KEY or KEY=VALUE", ringfence_model::text::escape(text));
            return Err(Problem::new("flag", text, Origin::flag("--env")).into());
        }
        match value {
            None => self.pass.push(Sourced::new(name.to_owned(), Origin::flag("--env"))),
            Some(value) => {
                let source = Arc::new(Source::Flag("--env".to_owned()));
                let path = vec!["shell_environment_policy".to_owned(), "set".to_owned(), name.to_owned()];
                self.flags.push((path, Node::new(Value::Text(value.to_owned()), Mark::whole(&source))));
            }
        }
        Ok(())
    }

    /// `--timeout DUR`.
    pub fn timeout(&mut self, duration: &str) {
        self.set("--timeout", "limits.wall_clock", Value::Text(duration.to_owned()));
    }

    /// Any directory that `--add-dir` named, for finding out what is there.
    #[must_use]
    pub fn directories(&self) -> &[Sourced<String>] {
        &self.add_dirs
    }

    /// The layer that `-c` and the flags make.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        for (path, node) in self.config.iter().chain(&self.flags) {
            node::put(&mut table, path, node.clone());
        }
        table
    }

    /// Values given more than once: the later one replaces the earlier, but both must be allowed.
    pub(crate) fn every(&self, path: &[&str]) -> impl Iterator<Item = &Node> {
        self.config.iter().chain(&self.flags).filter(move |(keys, _)| keys.iter().eq(path.iter())).map(|(_, node)| node)
    }
}

/// The directory that relative entries of a source are relative to.
#[must_use]
pub fn base_directory(origin: &Origin, cwd: &AbsPath) -> Option<AbsPath> {
    match origin {
        Origin::File { file, .. } => AbsPath::new(file.as_os_str()).ok()?.parent(),
        Origin::Flag { .. } => Some(cwd.clone()),
        _ => None,
    }
}
