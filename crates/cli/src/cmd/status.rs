//! `ringfence status`: workspace, mode, policy, trust, tier, and what isn't held here.

use crate::args::StatusArgs;
use crate::out::{Failure, Paint, json, notices, table};
use crate::start::{self, Ready};
use ringfence_model::confinement::{NetworkWish, UnixSockets};
use ringfence_model::mode::Tier;
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::settings::Trust;
use ringfence_model::{AbsPath, Confinement};
use ringfence_sandbox::plan::Shortfall;
use ringfence_sandbox::{Options, compile};
use serde::Serialize;
use std::process::ExitCode;

/// The document, and what the text is made from.
#[derive(Serialize)]
struct Status {
    schema: &'static str,
    directory: AbsPath,
    project: AbsPath,
    version_controlled: bool,
    trust: Sourced<Trust>,
    sandbox_mode: Sourced<String>,
    approval_policy: Sourced<String>,
    profile: Option<Sourced<String>>,
    permissions: Option<Sourced<String>>,
    web_search: Sourced<String>,
    writable_roots: Vec<Sourced<AbsPath>>,
    network: Sourced<String>,
    unix_sockets: Vec<String>,
    tier: Option<Tier>,
    /// Why no tier holds, one per line.
    unenforceable: Vec<String>,
    not_held: Vec<Shortfall>,
    notices: Vec<Notice>,
}

/// Prints where you stand.
pub fn main(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let ready = start::ready(&args.shared, &[])?;
    let wish = start::confinement(&ready, /* keep background */ false)?;
    let status = gather(&ready, &wish);
    if args.shared.json {
        return json::print(&status);
    }
    json::text_out(render(&status, Paint::stdout()).trim_end());
    notices::print(&status.notices);
    Ok(ExitCode::SUCCESS)
}

/// `ringfence` alone: the same, and what to do next.
pub fn overview() -> Result<ExitCode, Failure> {
    main(&StatusArgs { shared: crate::args::Shared::default() })?;
    json::text_out(
        "\nnext\n  ringfence sandbox -- COMMAND   run a command confined\n  ringfence doctor               what this host \
         can hold, and how to mend what it can't\n  ringfence prove                attack the sandbox and see that it \
         holds",
    );
    Ok(ExitCode::SUCCESS)
}

fn gather(ready: &Ready, wish: &Confinement) -> Status {
    let settings = &ready.resolved.settings;
    let host = ringfence_sandbox::probe::survey().facts;
    let (tier, unenforceable, not_held) = match compile(wish, &host, &Options::default()) {
        Ok(plan) => (Some(plan.tier), Vec::new(), plan.not_held),
        Err(error) => {
            (None, error.unmet.iter().map(|unmet| format!("{}: {}", unmet.what, unmet.why)).collect(), Vec::new())
        }
    };
    Status {
        schema: "ringfence.dev/v1/status",
        directory: ready.start.cwd.clone(),
        project: ready.facts.project_root.clone(),
        version_controlled: ready.facts.version_controlled,
        trust: settings.trust.clone(),
        sandbox_mode: settings.sandbox_mode.clone().map(|mode| mode.to_string()),
        approval_policy: settings.approval_policy.clone().map(|policy| policy.to_string()),
        profile: ready.resolved.profile.clone(),
        permissions: settings.permissions.clone(),
        web_search: settings.web_search.clone().map(|mode| mode.to_string()),
        writable_roots: wish.roots.iter().map(|root| Sourced::new(root.path.clone(), root.origin.clone())).collect(),
        network: wish.network.clone().map(|network| {
            match network {
                NetworkWish::Off => "off",
                NetworkWish::Proxy { .. } => "proxy",
                NetworkWish::On => "on",
            }
            .to_owned()
        }),
        unix_sockets: match &wish.unix_sockets {
            UnixSockets::Everything => vec!["every socket".into()],
            UnixSockets::Only(sockets) => sockets.iter().map(|socket| socket.value.display()).collect(),
        },
        tier,
        unenforceable,
        not_held,
        notices: start::notices(ready),
    }
}

fn render(status: &Status, paint: Paint) -> String {
    let from = |origin: &Origin| format!("[{origin}]");
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String, origin: String| rows.push(vec![name.into(), value, origin]);
    row("directory", status.directory.display(), String::new());
    let control = if status.version_controlled { "version-controlled" } else { "not version-controlled" };
    row("project", format!("{}, {control}", status.project.display()), String::new());
    let trust = match status.trust.value {
        Trust::Trusted => "trusted",
        Trust::Untrusted => "untrusted",
        Trust::Unknown => "unknown",
    };
    row("trust", trust.into(), from(&status.trust.origin));
    row("sandbox", status.sandbox_mode.value.clone(), from(&status.sandbox_mode.origin));
    row("approvals", status.approval_policy.value.clone(), from(&status.approval_policy.origin));
    for (name, value) in [("profile", &status.profile), ("permissions", &status.permissions)] {
        if let Some(value) = value {
            row(name, value.value.clone(), from(&value.origin));
        }
    }
    row("network", status.network.value.clone(), from(&status.network.origin));
    row("web search", status.web_search.value.clone(), from(&status.web_search.origin));
    if status.writable_roots.is_empty() {
        let none = if status.sandbox_mode.value == "danger-full-access" { "everything" } else { "nothing" };
        row("writable", none.into(), from(&status.sandbox_mode.origin));
    }
    for (at, root) in status.writable_roots.iter().enumerate() {
        row(if at == 0 { "writable" } else { "" }, root.value.display(), from(&root.origin));
    }
    if !status.unix_sockets.is_empty() {
        row("sockets", status.unix_sockets.join(", "), String::new());
    }
    let tier = match status.tier {
        Some(Tier::Unconfined) => paint.warn("none: danger-full-access confines nothing"),
        Some(tier) => paint.good(tier.name()),
        None => paint.bad("none: commands can't be confined here"),
    };
    row("held by", tier, String::new());
    let mut out = table::columns(&rows, "");
    for why in &status.unenforceable {
        out.push_str(&format!("  {why}\n"));
    }
    for gap in &status.not_held {
        let kind = if gap.weakened { "held weaker" } else { "not held" };
        out.push_str(&format!("{}: {}: {}: {}\n", paint.warn(kind), gap.promise, gap.what, gap.why));
        if !gap.remedy.is_empty() {
            out.push_str(&format!("  hint: {}\n", gap.remedy));
        }
    }
    out
}
