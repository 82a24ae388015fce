//! Actions: what an agent wants to do. The request as it came, never a reading of it.
//!
//! Every front end turns its calls into these values and does nothing else; what they mean is found out by the decision.

use crate::facts::FileId;
use crate::os_text::OsText;
use crate::path::AbsPath;
use crate::text::Untrusted;
use serde::{Deserialize, Serialize};

/// One thing an agent wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Run a command.
    Exec(Exec),
    /// Change files.
    Edit(Edit),
    /// Read a file outside what commands can read.
    Read(Read),
    /// Call a tool of an MCP server.
    McpCall(McpCall),
    /// Search the web.
    WebSearch(WebSearch),
    /// Open a connection through the proxy.
    Connect(Connect),
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<OsText>,
    /// The directory it starts in, resolved.
    pub cwd: AbsPath,
    /// A request to run it with more than the sandbox gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
}

/// A request to run outside the sandbox or with more permissions, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The agent's own words: shown as such, never as ours.
    pub justification: Untrusted,
    /// What it wants.
    pub want: Placement,
    /// A prefix of the command that the agent suggests to allow for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Vec<OsText>>,
}

/// Where an action takes place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "where")]
pub enum Placement {
    /// In the sandbox that the settings give.
    Inside,
    /// In that sandbox, with more.
    With(More),
    /// Without a sandbox.
    Outside,
}

/// What is added to a sandbox for one action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct More {
    /// Directories to write under.
    pub write: Vec<AbsPath>,
    /// Paths to read.
    pub read: Vec<AbsPath>,
    /// Hosts to reach; `*` is all.
    pub network: Vec<String>,
    /// Unix sockets to reach.
    pub unix_sockets: Vec<AbsPath>,
}

impl More {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.write.is_empty() && self.read.is_empty() && self.network.is_empty() && self.unix_sockets.is_empty()
    }

    /// Whether everything `other` adds is added by this too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let paths =
            |mine: &[AbsPath], theirs: &[AbsPath]| theirs.iter().all(|path| mine.iter().any(|m| path.is_within(m)));
        paths(&self.write, &other.write)
            && paths(&self.read, &other.read)
            && other.network.iter().all(|host| self.network.iter().any(|mine| mine == "*" || mine == host))
            && other.unix_sockets.iter().all(|path| self.unix_sockets.contains(path))
    }
}

impl Placement {
    /// Whether this gives everything that `other` needs.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Outside, _) | (_, Self::Inside) => true,
            (Self::With(mine), Self::With(theirs)) => mine.covers(theirs),
            (Self::Inside, Self::With(theirs)) => theirs.is_empty(),
            (Self::Inside | Self::With(_), Self::Outside) => false,
        }
    }
}

/// Changes to files, as one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What is touched, in the order of the patch.
    pub changes: Vec<FileChange>,
    /// Digest of the whole change, contents included: what was approved is what is written.
    pub digest: String,
}

/// One file an edit touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// As the patch names it.
    pub named: OsText,
    /// Where that leads, through symbolic links and `..`.
    pub path: AbsPath,
    /// What is done there.
    pub kind: ChangeKind,
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It comes into being.
    Add,
    /// Its content changes.
    Update,
    /// It goes.
    Delete,
    /// It goes under this name, and comes under another, which is a change of its own.
    MoveFrom,
    /// It comes from another name.
    MoveTo,
}

/// A path to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// As named.
    pub named: OsText,
    /// Where that leads.
    pub path: AbsPath,
}

/// A call of an MCP tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpCall {
    /// The configured server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// The arguments, as JSON text.
    pub arguments: Untrusted,
    /// What the server says of the tool.
    #[serde(default)]
    pub hints: ToolHints,
}

/// A tool's annotations. What is absent has MCP's default, which is the worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolHints {
    /// It changes nothing.
    pub read_only_hint: Option<bool>,
    /// It may destroy.
    pub destructive_hint: Option<bool>,
    /// Calling it again changes nothing more.
    pub idempotent_hint: Option<bool>,
    /// It reaches the world outside.
    pub open_world_hint: Option<bool>,
}

/// A web search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSearch {
    /// What is searched for.
    pub query: Untrusted,
    /// Whether pages are to be fetched live.
    pub live: bool,
}

/// A connection through the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// The host, canonical.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `http`, `https`, `socks5_tcp`, `socks5_udp`.
    pub protocol: String,
}

/// What an approval is bound to: what was shown is what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Digest of the act: argv, patch, arguments.
    pub act: String,
    /// The directory, by name and file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<(AbsPath, FileId)>,
    /// The program that would start, by name and file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<(AbsPath, FileId)>,
    /// Size and last change of that file, as text: it may be written anew under the same name and identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_state: Option<String>,
    /// Digest of the environment it would get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

impl Action {
    /// What it is, in one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Edit(_) => "edit",
            Self::Read(_) => "read",
            Self::McpCall(_) => "mcp-call",
            Self::WebSearch(_) => "web-search",
            Self::Connect(_) => "connect",
        }
    }

    /// One line for people, everything foreign in it escaped.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Exec(exec) => display_argv(&exec.argv),
            Self::Edit(edit) => {
                let names: Vec<String> = edit.changes.iter().map(|change| change.named.display()).collect();
                format!("change {}", names.join(", "))
            }
            Self::Read(read) => format!("read {}", read.named.display()),
            Self::McpCall(call) => format!(
                "{}.{} {}",
                crate::text::escape(&call.server),
                crate::text::escape(&call.tool),
                call.arguments.display()
            ),
            Self::WebSearch(search) => format!("search the web for {}", search.query.display()),
            Self::Connect(Connect { host, port, .. }) if host.contains(':') => {
                format!("connect to [{}]:{port}", crate::text::escape(host))
            }
            Self::Connect(Connect { host, port, .. }) => format!("connect to {}:{port}", crate::text::escape(host)),
        }
    }
}

/// An argv as a shell would need it, with deceptive characters escaped.
#[must_use]
pub fn display_argv(argv: &[OsText]) -> String {
    argv.iter().map(display_word).collect::<Vec<_>>().join(" ")
}

/// A word as a shell would need it, with deceptive characters escaped.
#[must_use]
pub fn display_word(word: &OsText) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(byte);
    match !word.as_bytes().is_empty() && word.as_bytes().iter().all(plain) {
        true => word.display(),
        false => crate::text::single_quoted(&word.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(write: &[&str], network: &[&str]) -> Placement {
        Placement::With(More {
            write: write.iter().map(|path| AbsPath::new(*path).expect("path")).collect(),
            network: network.iter().map(|host| (*host).to_owned()).collect(),
            ..More::default()
        })
    }

    #[test]
    fn a_placement_covers_what_it_gives_and_no_more() {
        assert!(Placement::Outside.covers(&with(&["/a"], &["h"])));
        assert!(with(&["/a"], &["*"]).covers(&with(&["/a/b"], &["h"])));
        assert!(!with(&["/a"], &[]).covers(&with(&["/ab"], &[])));
        assert!(!with(&["/"], &["*"]).covers(&Placement::Outside));
        assert!(!Placement::Inside.covers(&with(&["/a"], &[])));
    }

    #[test]
    fn ap_01_an_argv_is_shown_word_by_word_and_escaped() {
        let argv = ["rm", "-rf", "a b", "x\n$ yes", ""].map(OsText::new);
        assert_eq!(display_argv(&argv), "rm -rf 'a b' 'x\\n$ yes' ''");
    }
}
