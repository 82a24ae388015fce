//! The Seatbelt tier of macOS: a profile for `/usr/bin/sandbox-exec`, closed by default, and its parameters.
//!
//! Paths never stand in the text of the profile: they are parameters, so that no path can be read as a rule. Only globs and
//! protected names that aren't there yet become regular expressions, every byte of which is written out.

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

/// What names of hosts and certificates are asked of, where there is a network. Keychains aren't.
const NETWORK_SERVICES: &[(&str, &str)] = &[
    ("com.apple.SystemConfiguration.configd", "which networks there are"),
    ("com.apple.SystemConfiguration.DNSConfiguration", "name servers"),
    ("com.apple.networkd", "connections of system libraries"),
    ("com.apple.ocspd", "whether a certificate was withdrawn"),
    ("com.apple.trustd", "whether a certificate is to be trusted"),
    ("com.apple.trustd.agent", "whether a certificate is to be trusted"),
];

/// Where names are asked for.
const RESOLVER: &str = "/private/var/run/mDNSResponder";

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
    profile.rule(lookups(SERVICES));
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

/// Makes the plan of `danger-full-access`: no profile, and those limits that one process can be given.
pub(super) fn unconfined(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let unmet = unmet_limits(wish);
    if !unmet.is_empty() {
        return Err(Unenforceable { unmet });
    }
    Ok(common::unconfined(wish, host))
}

fn lookups(services: &[(&str, &str)]) -> String {
    let services: Vec<String> = services.iter().map(|(name, _)| format!("(global-name \"{name}\")")).collect();
    format!("(allow mach-lookup {})", services.join(" "))
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
    for root in common::open_roots(wish) {
        let mut parts = vec![format!("(subpath {})", profile.path(&root.path))];
        // The directories above a protected path can't be renamed, so that nothing takes the name anew.
        let mut between = BTreeSet::new();
        for protected in wish.protected.iter().filter(|protected| protected.path.is_within(&root.path)) {
            let path = profile.path(&protected.path);
            parts.push(format!("(require-not (subpath {path}))"));
            // The kernel knows what is there by one name, however it is spelt; what isn't, by the name it is made with. Most
            // disks take `.CODEX` for `.codex` afterwards.
            if protected.found.is_none() {
                let name = any_case(&root.path, &protected.path);
                parts.push(format!("(require-not (regex #\"{name}\"))"));
            }
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
    // One rule for each way, each with the end that it is about: "from loopback" would be true of every connection.
    match wish.network.value {
        NetworkWish::On => {
            profile.rule("(allow network-bind network-inbound (local ip \"*:*\"))");
            profile.rule("(allow network-outbound (remote ip \"*:*\"))");
            profile.rule("(allow system-socket)");
            profile.rule(format!("(allow network-outbound (literal \"{RESOLVER}\"))"));
            profile.rule(lookups(NETWORK_SERVICES));
        }
        NetworkWish::Off if wish.allow_local_binding.value => {
            profile.rule("(allow network-bind network-inbound (local ip \"localhost:*\"))");
            profile.rule("(allow network-outbound (remote ip \"localhost:*\"))");
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
    sockets(wish, profile);
}

fn sockets(wish: &Confinement, profile: &mut Profile) {
    profile.rule("(allow system-socket (socket-domain AF_UNIX))");
    match &wish.unix_sockets {
        UnixSockets::Everything => {
            profile.rule("(allow network-bind network-inbound (local unix-socket))");
            profile.rule("(allow network-outbound (remote unix-socket))");
        }
        UnixSockets::Only(sockets) => {
            // Sockets below the roots may be the host's too: macOS can't tell who made one.
            for root in &wish.roots {
                let path = profile.path(&root.path);
                profile.rule(format!("(allow network-bind network-inbound (local unix-socket (subpath {path})))"));
                profile.rule(format!("(allow network-outbound (remote unix-socket (subpath {path})))"));
            }
            for socket in sockets {
                let path = profile.path(&socket.value);
                profile.rule(format!("(allow network-outbound (remote unix-socket (literal {path})))"));
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
        // Running a program reads it without opening it.
        profile.rule(format!("(deny file-read* file-write* process-exec {target})"));
        // Under another name of a directory above it, the path wouldn't fit any more.
        let above = match &denied.pattern {
            PathPattern::Path(path) => {
                let above = std::iter::successors(path.parent(), AbsPath::parent);
                let above: Vec<_> = above.filter(|at| wish.roots.iter().any(|root| at.is_within(&root.path))).collect();
                above.iter().map(|at| format!("(literal {})", profile.path(at))).collect()
            }
            PathPattern::Glob(glob) => above_glob(glob.as_str()),
        };
        for directory in above {
            profile.rule(format!("(deny file-write-unlink {directory})"));
        }
    }
}

/// The directories that what a glob fits lies in, as far as the glob tells them from others by their names.
fn above_glob(glob: &str) -> Vec<String> {
    let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let named = (1..parts.len()).filter(|end| !matches!(parts[end - 1], "*" | "**"));
    named.map(|end| format!("(regex #\"^{}$\")", components(&parts[..end]))).collect()
}

/// A glob as a regular expression in which every byte that could mean something stands for itself. What fits is denied
/// with everything below it.
fn regex(glob: &str) -> String {
    let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("^{}(/.*)?$", components(&parts))
}

/// A path below a root, whatever the case of the letters below the root, with everything below it.
fn any_case(root: &AbsPath, path: &AbsPath) -> String {
    let names = |path: &std::path::Path| {
        let names = path.components().filter(|part| matches!(part, std::path::Component::Normal(_)));
        names.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut out = String::from("^");
    for name in names(root.as_path()) {
        out.push('/');
        name.chars().for_each(|c| literal(&mut out, c, false));
    }
    for name in path.below(root).map(names).unwrap_or_default() {
        out.push('/');
        name.chars().for_each(|c| literal(&mut out, c, true));
    }
    out.push_str("(/.*)?$");
    out
}

fn components(parts: &[&str]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if *part == "**" {
            out.push_str(if index + 1 < parts.len() { "(/[^/]+)*" } else { "(/.*)?" });
            continue;
        }
        out.push('/');
        for c in part.chars() {
            match c {
                '*' => out.push_str("[^/]*"),
                '?' => out.push_str("[^/]"),
                c => literal(&mut out, c, false),
            }
        }
    }
    out
}

/// A character that stands for itself, or for itself in either case.
fn literal(out: &mut String, c: char, any_case: bool) {
    match c {
        c if any_case && c.is_ascii_alphabetic() => {
            out.extend(['[', c.to_ascii_lowercase(), c.to_ascii_uppercase(), ']']);
        }
        // Expressions are matched byte by byte: in a class, one of several bytes would be enough.
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => out.push(c),
        // These have a meaning inside a class.
        '^' | '[' | ']' => out.extend(['\\', c]),
        // These would end the text, or begin an escape.
        '"' | '\\' => out.push('.'),
        c => out.extend(['[', c, ']']),
    }
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
    unmet.extend(unmet_limits(wish));
    unmet
}

fn unmet_limits(wish: &Confinement) -> Vec<Unmet> {
    let limits = &wish.limits;
    let memory = limits.memory.as_ref().map(|limit| ("the limit on memory", &limit.origin));
    let processes = limits.processes.as_ref().map(|limit| ("the limit on processes", &limit.origin));
    let (why, remedy) = ("nothing here counts a whole tree of processes", "remove it for this system");
    let unmet = |(what, origin)| common::unmet(Promise::Limits, what, why, remedy, origin);
    memory.into_iter().chain(processes).map(unmet).collect()
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
