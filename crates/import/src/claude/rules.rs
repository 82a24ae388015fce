//! Rules of `permissions.allow`, `ask` and `deny`: `Tool` or `Tool(what)`.

use super::servers::Servers;
use crate::command::{self, Decision, End, Prefix};
use crate::draft::{Access, Draft};
use crate::node::Node;
use crate::path::{self, Base, Place};
use crate::report::{Carried, Src};
use crate::{ImportError, Parsed, Role, doc, srt};

/// Tools that change files.
const EDIT: &[&str] = &["Edit", "Write", "MultiEdit", "NotebookEdit"];
/// Tools that read files.
const READ: &[&str] = &["Read", "Grep", "Glob", "LS", "NotebookRead"];

pub(super) fn read(
    draft: &mut Draft,
    servers: &mut Servers,
    file: &Parsed<'_>,
    list: &Node,
    name: &str,
) -> Result<(), ImportError> {
    let decision = match name {
        "allow" => Decision::Allow,
        "ask" => Decision::Prompt,
        _ => Decision::Forbidden,
    };
    for (text, src) in srt::texts(list, file.name, &format!("permissions.{name}"))? {
        rule(draft, servers, file, text.trim(), decision, &src);
    }
    Ok(())
}

fn rule(draft: &mut Draft, servers: &mut Servers, file: &Parsed<'_>, text: &str, decision: Decision, src: &Src) {
    let (tool, what) = command::tool_and_argument(text);
    match tool {
        "Bash" | "PowerShell" => draft.command(command(what), decision, file.role, None, src),
        "WebFetch" => fetch(draft, what, decision, src),
        "WebSearch" => search(draft, decision, src),
        tool if EDIT.contains(&tool) => edit(draft, file, what, decision, src),
        tool if READ.contains(&tool) => reading(draft, file, what, decision, src),
        tool if tool.starts_with("mcp__") => servers.rule(draft, tool, decision.into(), src),
        "*" => {
            draft.command(Prefix::everything(), decision, file.role, None, src);
            if decision != Decision::Allow {
                draft.forbid_domains(src);
            }
        }
        _ => draft.other_tool(decision, src),
    }
}

/// `npm run:*` and `npm run *`: these words and more. `npm run*`: these characters and more. Otherwise exactly this.
fn command(what: Option<&str>) -> Prefix {
    let Some(what) = what else { return Prefix::everything() };
    if let Some(words) = what.strip_suffix(":*").filter(|words| !words.contains('*')) {
        return command::prefix(words, End::MoreWords);
    }
    match what.split_once('*') {
        None => command::prefix(what, End::Here),
        Some((words, "")) if words.ends_with(' ') => command::prefix(words, End::MoreWords),
        Some((head, _)) => command::prefix(head, End::Anything),
    }
}

fn fetch(draft: &mut Draft, what: Option<&str>, decision: Decision, src: &Src) {
    let host = what.and_then(|what| what.strip_prefix("domain:")).map(str::trim);
    match (host, decision) {
        (Some(host), Decision::Allow) => match srt::domain(host) {
            Some(pattern) => {
                draft.domain(pattern, true, src);
                draft.tell(src, Carried::Exactly, "the host may be reached through the proxy");
            }
            None => draft.tell(src, Carried::Narrowed, "this isn't a domain pattern here; the host is asked about"),
        },
        (Some(host), Decision::Forbidden) => match srt::domain(host) {
            Some(pattern) => {
                let pattern = pattern.strip_prefix("*.").unwrap_or(&pattern).to_owned();
                let (name, _) = pattern.split_once(':').unwrap_or((pattern.as_str(), ""));
                draft.domain(format!("**.{name}:*"), false, src);
                draft.tell(src, Carried::Narrowed, "the name, every name below it and every port are denied");
            }
            None => {
                draft.forbid_domains(src);
                draft.tell(src, Carried::NotCarried, "this isn't a domain pattern here; no host is allowed instead");
            }
        },
        (None, Decision::Allow) => {
            draft.tell(src, Carried::Narrowed, "not every host is opened up; each is asked about")
        }
        // Asking about one host can't be said beside allowing others; without an entry it is asked about.
        (Some(_), Decision::Prompt) => {
            draft.forbid_domains(src);
            draft.tell(src, Carried::Narrowed, "no host is allowed, so each is asked about or out of reach");
        }
        (None, _) => {
            draft.forbid_domains(src);
            draft.tell(src, Carried::Narrowed, "no host is allowed");
        }
    }
}

fn search(draft: &mut Draft, decision: Decision, src: &Src) {
    let strictest = draft.config.text_at(&[], "web_search") == Some("disabled");
    match decision {
        Decision::Allow if strictest => draft.tell(src, Carried::Narrowed, "another rule refuses or asks about it"),
        Decision::Allow => {
            draft.config.set(&[], "web_search", doc::text("cached"), src);
            draft.tell(src, Carried::Narrowed, "from the search provider's index; no page is fetched live");
        }
        Decision::Forbidden => {
            draft.config.set(&[], "web_search", doc::text("disabled"), src);
            draft.tell(src, Carried::Exactly, "");
        }
        Decision::Prompt => {
            draft.config.set(&[], "web_search", doc::text("disabled"), src);
            draft.tell(src, Carried::Narrowed, "searches aren't asked about one by one, so they are off");
        }
    }
}

/// `//x` is absolute, `~/x` from the home, `/x` from the directory of the settings, the rest from the workspace.
fn pattern(role: Role, text: &str) -> Option<path::Read> {
    if let Some(rest) = text.strip_prefix("//") {
        return path::read(&format!("/{rest}"), Base::Workspace, true);
    }
    match text.strip_prefix('/') {
        Some(rest) if role == Role::User => path::read(&format!("./{rest}"), Base::Home(".claude"), true),
        Some(rest) => path::read(&format!("./{rest}"), Base::Workspace, true),
        None => path::read(text, Base::Workspace, true),
    }
}

fn edit(draft: &mut Draft, file: &Parsed<'_>, what: Option<&str>, decision: Decision, src: &Src) {
    match (what, decision) {
        (None, Decision::Allow) => {
            draft.config_allows_edits(src);
        }
        (Some(what), Decision::Allow) => match pattern(file.role, what) {
            // What may be written may be read; reading there is asked about, and so is changing.
            Some(path::Read { place: Place::Anywhere(_), .. }) => {
                let why = "outside the workspace it is asked about; list the directory as \"write\" if commands may write there";
                draft.tell(src, Carried::Narrowed, why);
            }
            found => draft.path(found, Access::Write, file.role, src),
        },
        (Some(what), Decision::Forbidden) => draft.path(pattern(file.role, what), Access::Read, file.role, src),
        (None, Decision::Forbidden) => {
            draft.no_edits(src);
            draft.tell(src, Carried::NotCarried, "nothing is writable; a change is asked about, not refused");
        }
        (None, Decision::Prompt) => {
            draft.no_edits(src);
            draft.tell(src, Carried::Narrowed, "nothing is writable, so that every change is asked about");
        }
        // Read-only inside what is writable: a change there is asked about.
        (Some(what), Decision::Prompt) => draft.path(pattern(file.role, what), Access::Read, file.role, src),
    }
}

fn reading(draft: &mut Draft, file: &Parsed<'_>, what: Option<&str>, decision: Decision, src: &Src) {
    match (what, decision) {
        (None, Decision::Allow) => draft.tell(src, Carried::Narrowed, "reads stay as the profile says"),
        (Some(what), Decision::Allow) => draft.path(pattern(file.role, what), Access::Reopen, file.role, src),
        // A read can't be asked about by pattern; a denied one is asked about as a request to leave the sandbox.
        (Some(what), Decision::Prompt | Decision::Forbidden) => {
            draft.path(pattern(file.role, what), Access::Deny, file.role, src);
        }
        (None, Decision::Prompt | Decision::Forbidden) => {
            let root = path::Read { place: Place::Workspace(".".to_owned()), glob: false, exact: true };
            draft.path(Some(root), Access::Deny, Role::User, src);
            draft.path(path::read("/", Base::Workspace, false), Access::Deny, Role::User, src);
        }
    }
}

/// `additionalDirectories`: directories beside the workspace.
pub(super) fn directory(draft: &mut Draft, file: &Parsed<'_>, text: &str, src: &Src) {
    let found = path::read(text, super::base(file.role), false);
    match found {
        Some(path::Read { place: Place::Anywhere(path), .. }) if path == "/" || path == "~" => {
            draft.tell(src, Carried::Narrowed, "too broad a directory to open up; name the ones that are needed");
        }
        found => draft.path(found, Access::Reopen, file.role, src),
    }
}
