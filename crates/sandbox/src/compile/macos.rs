//! The Seatbelt tier of macOS: a profile for `/usr/bin/sandbox-exec`, closed by default, and its parameters.
//!
//! Paths never stand in the text of the profile: they are parameters, so that no path can be read as a rule. Only globs
//! become regular expressions, every byte of which is written out.

use super::common::{self, always, step};
use super::{Unenforceable, Unmet};
use crate::host::HostFacts;
use crate::macos::words::{PARAMETERS, PROFILE};
use crate::plan::{Act, Insistence, Plan, Promise, Shortfall, Step};
use ringfence_model::confinement::{NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::mode::GitAccess;
use ringfence_model::{AbsPath, Confinement, Origin, OsText, Tier};
use std::collections::BTreeSet;
use std::ffi::OsString;

use Insistence::Must;

/// What every program needs, whatever it may read and write; each with its reason.
const BASE: &[(&str, &str)] = &[
    ("(allow process-exec process-fork)", "programs start programs"),
    ("(allow signal (target same-sandbox))", "signals among the command's own processes"),
    ("(allow process-info* (target same-sandbox))", "a look at the command's own processes"),
    ("(allow sysctl-read)", "facts of the hardware"),
    ("(allow file-read-metadata)", "paths are looked up component by component"),
    ("(allow pseudo-tty)", "terminals of its own"),
    ("(allow ipc-posix-sem ipc-posix-shm-read* ipc-posix-shm-write-create ipc-posix-shm-write-data)", "semaphores"),
    (
        "(allow file-read* file-write-data file-ioctl (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\") \
         (literal \"/dev/ptmx\") (regex #\"^/dev/(ttys[0-9]+|fd/[0-9]+)$\"))",
        "harmless devices",
    ),
    ("(allow file-read* (literal \"/dev/random\") (literal \"/dev/urandom\"))", "randomness"),
];

/// System services that libraries ask for; everything else answers nothing.
const SERVICES: &[(&str, &str)] = &[
    ("com.apple.system.opendirectoryd.libinfo", "names of users and groups"),
    ("com.apple.system.opendirectoryd.membership", "membership in groups"),
    ("com.apple.system.notification_center", "change of time zone and the like"),
    ("com.apple.system.logger", "the system's log"),
    ("com.apple.logd", "the system's log"),
];

/// Platform directories for restricted reads.
const PLATFORM_READS: &[&str] = &[
    "/bin",
    "/dev",
    "/Library/Apple",
    "/private/etc",
    "/private/var/db/timezone",
    "/sbin",
    "/System",
    "/usr",
    "/opt/homebrew",
];

/// Profile text and parameters in the making.
#[derive(Default)]
struct Profile {
    rules: Vec<String>,
    parameters: Vec<OsText>,
}

impl Profile {
    /// A path as a parameter; its reference in the text.
    fn path(&mut self, path: &AbsPath) -> String {
        let name = format!("P{}", self.parameters.len());
        let mut definition = OsString::from(format!("-D{name}="));
        definition.push(path.as_path());
        self.parameters.push(OsText::new(definition));
        format!("(param \"{name}\")")
    }

    fn rule(&mut self, text: impl Into<String>) {
        self.rules.push(text.into());
    }
}

/// Makes the plan of the Seatbelt tier.
pub(super) fn seatbelt(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let unmet = unmet(wish);
    if !unmet.is_empty() {
        return Err(Unenforceable { unmet });
    }
    let mut plan = common::frame(wish, host, Tier::Seatbelt);
    common::whereabouts(wish, &mut plan, "");
    let mut profile = Profile::default();
    profile.rule("(version 1)");
    profile.rule("(deny default)");
    for (rule, _) in BASE {
        profile.rule(*rule);
    }
    let services: Vec<String> = SERVICES.iter().map(|(name, _)| format!("(global-name \"{name}\")")).collect();
    profile.rule(format!("(allow mach-lookup {})", services.join(" ")));
    reads(wish, &mut profile);
    writes(wish, &mut profile);
    network(wish, &mut profile);
    // Denials of reads come last: the last rule that fits decides.
    denied(wish, &mut profile);
    plan.steps = steps(wish, profile);
    common::limits(wish, host, &mut plan);
    common::environment(wish, &mut plan);
    shortfalls(wish, &mut plan);
    Ok(plan)
}

fn reads(wish: &Confinement, profile: &mut Profile) {
    match wish.reads.base.value {
        ReadBase::Everything => profile.rule("(allow file-read*)"),
        ReadBase::Minimal => {
            let platform: Vec<String> = PLATFORM_READS.iter().map(|path| format!("(subpath \"{path}\")")).collect();
            profile.rule(format!("(allow file-read* {})", platform.join(" ")));
            let own = wish.roots.iter().map(|root| &root.path);
            for path in own.chain(wish.reads.also.iter().map(|also| &also.value)) {
                let path = profile.path(path);
                profile.rule(format!("(allow file-read* (subpath {path}))"));
            }
        }
    }
}

fn writes(wish: &Confinement, profile: &mut Profile) {
    for root in &wish.roots {
        let mut parts = vec![format!("(subpath {})", profile.path(&root.path))];
        // The directories above a protected path can't be renamed, so that nothing takes the name anew.
        let mut between = BTreeSet::new();
        for protected in wish.protected.iter().filter(|protected| protected.path.is_within(&root.path)) {
            let path = profile.path(&protected.path);
            parts.push(format!("(require-not (subpath {path}))"));
            let mut above = protected.path.parent();
            while let Some(directory) = above.filter(|above| above.is_within(&root.path)) {
                above = directory.parent();
                between.insert(directory);
            }
        }
        for directory in between {
            let literal = profile.path(&directory);
            parts.push(format!("(require-not (literal {literal}))"));
        }
        // Nothing runs with another's rights afterwards.
        profile.rule(format!("(allow file-write* (require-all {}))", parts.join(" ")));
    }
    profile.rule("(deny file-write-setugid)");
}

fn network(wish: &Confinement, profile: &mut Profile) {
    match wish.network.value {
        NetworkWish::On => profile.rule("(allow network* system-socket)"),
        NetworkWish::Off if wish.allow_local_binding.value => {
            profile.rule("(allow network* (local ip \"localhost:*\") (remote ip \"localhost:*\"))");
        }
        NetworkWish::Off => {}
        NetworkWish::Proxy { http_port, socks_port, .. } => {
            for port in [http_port, socks_port] {
                if port != 0 {
                    profile.rule(format!("(allow network-outbound (remote ip \"localhost:{port}\"))"));
                }
            }
        }
    }
    match &wish.unix_sockets {
        UnixSockets::Everything => profile.rule("(allow network-outbound (remote unix-socket))"),
        UnixSockets::Only(sockets) => {
            let own = wish.roots.iter().map(|root| ("path-subpath", &root.path));
            // Sockets below the roots may be the host's too: macOS can't tell who made one.
            let listed = sockets.iter().map(|socket| ("path-literal", &socket.value));
            for (kind, path) in own.chain(listed) {
                let path = profile.path(path);
                profile.rule(format!("(allow network* (remote unix-socket ({kind} {path})))"));
            }
        }
    }
}

fn denied(wish: &Confinement, profile: &mut Profile) {
    for denied in &wish.reads.denied {
        let target = match &denied.pattern {
            PathPattern::Path(path) => format!("(subpath {})", profile.path(path)),
            PathPattern::Glob(glob) => format!("(regex #\"{}\")", regex(glob.as_str())),
        };
        profile.rule(format!("(deny file-read* file-write* {target})"));
    }
}

/// A glob as a regular expression in which every byte that isn't a letter, digit or slash stands as a class of itself.
fn regex(glob: &str) -> String {
    let mut out = String::from("^");
    let mut parts = glob.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    while let Some(part) = parts.next() {
        if part == "**" {
            out.push_str(if parts.peek().is_some() { "(/[^/]+)*" } else { "(/.*)?" });
            continue;
        }
        out.push('/');
        for c in part.chars() {
            match c {
                '*' => out.push_str("[^/]*"),
                '?' => out.push_str("[^/]"),
                c if c.is_ascii_alphanumeric() => out.push(c),
                // These have a meaning inside a class, or would end the text.
                '^' => out.push_str("\\^"),
                '"' | '\\' => out.push('.'),
                c => out.push_str(&format!("[{c}]")),
            }
        }
    }
    // What matches is denied with everything below it.
    out.push_str("(/.*)?$");
    out
}

fn steps(wish: &Confinement, profile: Profile) -> Vec<Step> {
    let lines = profile.rules.into_iter().map(OsText::new).collect();
    let mut steps = vec![
        step(
            Act::Native { kind: PROFILE.to_owned(), lines },
            Promise::WriteOutside,
            Must,
            &wish.mode.origin,
            "EPERM for what no rule allows",
        ),
        step(
            Act::Native { kind: PARAMETERS.to_owned(), lines: profile.parameters },
            Promise::WriteOutside,
            Must,
            &wish.mode.origin,
            "the paths that the profile names",
        ),
        step(Act::CloseDescriptors, Promise::InheritedDescriptors, Must, &always(), "only 0, 1 and 2 are open"),
    ];
    if !wish.keep_background.value {
        let origin = &wish.keep_background.origin;
        steps.push(step(Act::KillLeftovers, Promise::DiesWithCommand, Must, origin, "the group is ended"));
    }
    steps
}

/// What was asked for and can't be held: nothing starts without it.
fn unmet(wish: &Confinement) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let mut add = |promise, what: &str, why: &str, origin: &Origin| {
        unmet.push(common::unmet(promise, what, why, "remove it for this system", origin));
    };
    if wish.tmp.value == Tmp::Private {
        add(Promise::PrivateTmp, "a private `/tmp`", "this system has no mounts of a run's own", &wish.tmp.origin);
    }
    if wish.git.value == GitAccess::Commit {
        let why = "which names git may write is judged by the broker, and there is none here";
        add(Promise::ProtectedPaths, "`git = \"commit\"`", why, &wish.git.origin);
    }
    let limits = &wish.limits;
    let whole_tree = "nothing here counts a whole tree of processes";
    for (what, origin) in [
        ("the limit on memory", limits.memory.as_ref().map(|limit| &limit.origin)),
        ("the limit on processes", limits.processes.as_ref().map(|limit| &limit.origin)),
    ] {
        if let Some(origin) = origin {
            add(Promise::Limits, what, whole_tree, origin);
        }
    }
    unmet
}

fn shortfalls(wish: &Confinement, plan: &mut Plan) {
    let mut short = |promise, what: &str, why: &str, origin: &ringfence_model::Origin| {
        plan.not_held.push(Shortfall {
            promise,
            weakened: true,
            what: what.to_owned(),
            why: why.to_owned(),
            remedy: "run the agent in a virtual machine with Linux".to_owned(),
            origin: origin.clone(),
        });
    };
    short(
        Promise::DiesWithCommand,
        "processes that leave the command's group",
        "macOS has no process namespaces",
        &wish.keep_background.origin,
    );
    short(
        Promise::DiesWithParent,
        "what runs when Ringfence is killed with SIGKILL",
        "macOS ends nothing with its parent",
        &always(),
    );
    if wish.network.value == NetworkWish::Off && !wish.allow_local_binding.value {
        short(
            Promise::Loopback,
            "loopback",
            "it would be the host's; `allow_local_binding = true` accepts that",
            &wish.network.origin,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::regex;

    #[test]
    fn a_glob_becomes_a_regular_expression_of_the_same_meaning() {
        assert_eq!(regex("/**/.env"), "^(/[^/]+)*/[.]env(/.*)?$");
        assert_eq!(regex("/a/*.k?y"), "^/a/[^/]*[.]k[^/]y(/.*)?$");
        assert!(!regex("/a\"b\\c").contains(['"']));
    }
}
