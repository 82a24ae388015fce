//! The acts: one row each, with the promise it tests, what it does in words, and how it is judged.

use super::files as f;
use super::inputs::Inputs;
use super::kernel as k;
use super::network as n;
use super::processes as p;
use ringfence_sandbox::plan::Promise;
use std::io;

/// One act.
pub struct Act {
    /// Unique name.
    pub name: &'static str,
    /// The promise it tests.
    pub promise: Promise,
    /// What it does.
    pub does: &'static str,
    /// The inside half.
    pub inside: fn(&Inputs) -> io::Result<()>,
    /// How the outside half judges.
    pub judge: Judge,
}

/// How an act is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// By the canaries outside: files, listeners, the victim.
    Canaries,
    /// There is nothing outside to look at: an act that went to its end is broken.
    Reached,
    /// A process left behind keeps writing to a file in the root: broken if the file grows after the command ended.
    Lingers,
    /// The same after Ringfence itself was killed.
    Orphan,
    /// An honest act: broken if it did not go to its end.
    Honest,
    /// An honest act that needs a writable root.
    HonestWrite,
}

/// The act of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Act> {
    ACTS.iter().find(|act| act.name == name)
}

const fn canary(
    name: &'static str,
    promise: Promise,
    does: &'static str,
    inside: fn(&Inputs) -> io::Result<()>,
) -> Act {
    Act { name, promise, does, inside, judge: Judge::Canaries }
}

const fn reached(
    name: &'static str,
    promise: Promise,
    does: &'static str,
    inside: fn(&Inputs) -> io::Result<()>,
) -> Act {
    Act { name, promise, does, inside, judge: Judge::Reached }
}

const fn honest(
    name: &'static str,
    promise: Promise,
    does: &'static str,
    inside: fn(&Inputs) -> io::Result<()>,
) -> Act {
    Act { name, promise, does, inside, judge: Judge::Honest }
}

use Promise::{
    DenyRead, Devices, DiesWithCommand, DiesWithParent, Environment, HostSettings, InheritedDescriptors, Ipc,
    KernelSurface, Keyring, Loopback, NetworkOff, NoSetuid, Privilege, Processes, ProtectedPaths, Terminal,
    UnixSockets, Work, WriteOutside,
};

/// Every act, in the order it is shown.
pub static ACTS: &[Act] = &[
    canary("write-create", WriteOutside, "create a file outside the writable roots", f::create),
    canary("write-append", WriteOutside, "append to a file outside", f::append),
    canary("write-truncate", WriteOutside, "truncate a file outside while opening it to read", f::truncate),
    canary("write-unlink", WriteOutside, "remove a file outside", f::unlink),
    canary("write-rename", WriteOutside, "rename a file outside", f::rename),
    canary("write-rename-in", WriteOutside, "move a file from outside into a writable root", f::rename_in),
    canary("write-mkdir", WriteOutside, "make a directory outside", f::mkdir),
    canary("write-symlink", WriteOutside, "make a symbolic link outside", f::symlink),
    canary("write-through-link", WriteOutside, "write through a link made in a writable root", f::through_link),
    canary("write-hard-link", WriteOutside, "hard-link a file outside into a root and write to it", f::hard_link),
    canary("write-proc-root", WriteOutside, "write through /proc/self/root", f::through_proc),
    canary("write-fifo", WriteOutside, "write into a pipe of an outside reader", f::fifo),
    canary("write-mode", WriteOutside, "change the mode of a file outside", f::mode),
    canary(
        "write-mode-descriptor",
        WriteOutside,
        "change the mode through a descriptor opened to read",
        f::mode_by_descriptor,
    ),
    canary("write-times", WriteOutside, "change the times of a file outside", f::times),
    canary("write-attribute", WriteOutside, "set an extended attribute outside", f::attribute),
    canary("write-inode-flags", WriteOutside, "change inode flags through a descriptor opened to read", f::inode_flags),
    canary("protected-file", ProtectedPaths, "write to .git/config in a writable root", f::git_config),
    canary("protected-hook", ProtectedPaths, "plant .git/hooks/pre-commit", f::git_hook),
    canary("protected-rename", ProtectedPaths, "rename .git away and make a fresh one", f::git_replace),
    canary("protected-absent", ProtectedPaths, "create .codex where there is none", f::absent),
    canary("protected-absent-rename", ProtectedPaths, "rename a prepared directory to .agents", f::absent_rename),
    canary("protected-absent-link", ProtectedPaths, "make .mcp.json as a symbolic link", f::absent_link),
    canary("protected-orders", ProtectedPaths, "write orders for other tools: .vscode/tasks.json", f::orders),
    reached("read-denied", DenyRead, "read a path that settings deny", f::denied),
    reached("read-denied-list", DenyRead, "list or link a path that settings deny", f::denied_link),
    canary("network-loopback", NetworkOff, "connect to a server on the host's loopback", n::loopback),
    canary("network-address", NetworkOff, "connect to the host by its own address", n::address),
    canary("network-fast-open", NetworkOff, "connect with MSG_FASTOPEN instead of connect()", n::fast_open),
    reached("network-route", NetworkOff, "find a route to an address outside", n::route),
    reached("network-resolve", NetworkOff, "resolve a name on the internet", n::resolve),
    reached("network-raw", NetworkOff, "open a raw socket", k::raw_socket),
    reached("network-packet", NetworkOff, "open a packet socket", k::packet_socket),
    canary("socket-stream", UnixSockets, "connect to a unix socket made outside", n::unix_stream),
    canary("socket-proc-root", UnixSockets, "connect to it through /proc/self/root", n::unix_stream_proc),
    canary("socket-datagram", UnixSockets, "send a datagram to a unix socket outside", n::unix_datagram),
    canary("socket-pair", UnixSockets, "the same from a socket pair", n::unix_pair),
    canary("socket-pair-message", UnixSockets, "the same with sendmsg()", n::unix_pair_message),
    canary("socket-abstract", Ipc, "connect to an abstract socket outside", n::unix_abstract),
    reached("memory-shared", Ipc, "attach shared memory of a process outside by its number", p::shared_memory),
    canary("process-signal", Processes, "send a signal to a process outside", p::signal),
    canary("process-signal-all", Processes, "send a signal to every process", p::signal_all),
    canary("process-trace", Processes, "trace a process outside", p::trace),
    canary("process-priority", Processes, "change the priority of a process outside", p::priority),
    reached("process-memory", Processes, "read the memory of a process outside", p::memory),
    reached("process-environment", Processes, "read the environment of a process outside", p::environment),
    reached("process-descriptor", Processes, "open a descriptor for a process outside", p::open),
    reached("process-limits", Processes, "change limits of a process outside", p::limits),
    Act {
        name: "survive-command",
        promise: DiesWithCommand,
        does: "leave a daemon behind that ignores signals",
        inside: p::linger,
        judge: Judge::Lingers,
    },
    Act {
        name: "survive-parent",
        promise: DiesWithParent,
        does: "go on after Ringfence is killed with SIGKILL",
        inside: p::beat,
        judge: Judge::Orphan,
    },
    canary("setuid-bit", NoSetuid, "leave a set-user-id program in a writable root", f::setuid),
    reached("device-node", Devices, "make a device node", f::device_node),
    reached("device-disk", Devices, "open a disk or the kernel's memory", f::disks),
    reached("kernel-setting", HostSettings, "write to /proc/sys", k::proc_sys),
    reached("kernel-sys", HostSettings, "write to /sys", k::sys),
    reached("kernel-sysrq", HostSettings, "open /proc/sysrq-trigger for writing", k::sysrq),
    reached("host-name", HostSettings, "set the host's name through /proc/sys/kernel/hostname", k::host_name),
    reached("privilege-namespace", Privilege, "make a user namespace, to regain capabilities", k::user_namespace),
    reached("privilege-join", Privilege, "join the namespaces of another process", k::join),
    reached("privilege-mount", Privilege, "mount a file system", k::mount),
    reached("privilege-remount", Privilege, "make the root writable again", k::remount),
    reached("privilege-unmount", Privilege, "unmount what hides something", k::unmount),
    reached("privilege-chroot", Privilege, "chroot", k::chroot),
    reached("privilege-capabilities", Privilege, "hold any capability", k::capabilities),
    reached("kernel-bpf", KernelSurface, "load a bpf map", k::bpf),
    reached("kernel-perf", KernelSurface, "open a performance event", k::perf),
    reached("kernel-userfaultfd", KernelSurface, "open a userfaultfd", k::userfaultfd),
    reached("kernel-io-uring", KernelSurface, "set up an io_uring", k::io_uring),
    reached("kernel-alg-socket", KernelSurface, "open an AF_ALG socket", k::crypto_socket),
    reached("kernel-vsock", KernelSurface, "open an AF_VSOCK socket", k::vsock),
    reached("keyring-add", Keyring, "add a key to the session keyring", k::add_key),
    reached("keyring-read", Keyring, "find the user's keyring", k::keyctl),
    reached("terminal-type", Terminal, "type into the user's terminal (TIOCSTI)", k::tiocsti),
    reached("terminal-type-high", Terminal, "the same with the request's upper half set", k::tiocsti_high),
    reached("environment-secret", Environment, "find a secret in the environment", p::secret_variable),
    reached("descriptor-inherited", InheritedDescriptors, "use a descriptor nobody gave it", p::descriptors),
    Act {
        name: "work-write",
        promise: Work,
        does: "write, rename and remove in a writable root",
        inside: f::work,
        judge: Judge::HonestWrite,
    },
    honest("work-loopback", Loopback, "serve and connect on 127.0.0.1 and ::1 inside", n::own_loopback),
    honest("work-socket", Work, "serve and connect on a unix socket of its own", n::own_socket),
    honest("work-child", Work, "start and signal a child", p::own_child),
    honest("work-devices", Work, "use /dev/null, /dev/zero and /dev/urandom", f::devices),
];

#[cfg(test)]
mod tests {
    use super::{ACTS, Judge};

    /// A promise as a number: see `SPECIFICATION.md`.
    #[test]
    fn at_least_seventy_forbidden_acts_are_tried() {
        let forbidden = ACTS.iter().filter(|act| !matches!(act.judge, Judge::Honest | Judge::HonestWrite));
        assert!(forbidden.count() >= 70);
    }

    #[test]
    fn names_are_unique_and_every_act_says_what_it_does() {
        let mut names: Vec<_> = ACTS.iter().map(|act| act.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ACTS.len());
        assert!(ACTS.iter().all(|act| !act.does.is_empty()));
    }
}
