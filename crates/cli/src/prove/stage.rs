//! The stage: canaries outside the sandbox, what they looked like before an act, and whether one of them changed.

use super::inputs::Inputs;
use super::victim::Victim;
use ringfence_sandbox::attack;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

/// The canaries, gone again when dropped.
pub struct Stage {
    base: PathBuf,
    inputs: Inputs,
    tcp: TcpListener,
    stream: UnixListener,
    datagram: UnixDatagram,
    abstract_stream: UnixListener,
    pipe: File,
    victim: Victim,
    program: PathBuf,
}

/// A file as it was: kind and mode, size, times, content.
type Seen = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

impl Stage {
    /// Sets everything up below `directory`, which must lie outside every writable root.
    pub fn set(directory: &Path, program: &Path, secret: &str, denied: Option<PathBuf>) -> io::Result<Self> {
        let base = directory.join(format!("ringfence-prove-{secret}"));
        fs::DirBuilder::new().mode(0o700).create(&base)?;
        let result = Self::fill(base.clone(), program, secret, denied);
        if result.is_err() {
            let _ = fs::remove_dir_all(&base);
        }
        result
    }

    fn fill(base: PathBuf, program: &Path, secret: &str, denied: Option<PathBuf>) -> io::Result<Self> {
        let (outside, root) = (base.join("outside"), base.join("root"));
        lay(&outside, &root)?;
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        tcp.set_nonblocking(true)?;
        let stream = UnixListener::bind(base.join("stream"))?;
        stream.set_nonblocking(true)?;
        let datagram = UnixDatagram::bind(base.join("datagram"))?;
        datagram.set_nonblocking(true)?;
        let abstract_name = format!("ringfence-prove-{secret}");
        let abstract_stream = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&abstract_name)?)?;
        abstract_stream.set_nonblocking(true)?;
        let pipe = open_pipe(&outside)?;
        let victim = Victim::start(program, secret)?;
        let inputs = Inputs {
            port: tcp.local_addr()?.port(),
            address: own_address(),
            socket: base.join("stream"),
            datagram: base.join("datagram"),
            abstract_name,
            victim: victim.pid(),
            victim_byte: victim.byte,
            victim_memory: victim.memory,
            secret: secret.to_owned(),
            denied,
            outside,
            root,
        };
        let program = program.to_path_buf();
        Ok(Self { base, inputs, tcp, stream, datagram, abstract_stream, pipe, victim, program })
    }

    /// Where the canaries are.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What the files look like now.
    #[must_use]
    pub fn look(&self) -> Seen {
        let mut seen = Seen::new();
        walk(&self.inputs.outside, &mut seen);
        for name in PROTECTED {
            walk(&self.inputs.root.join(name), &mut seen);
        }
        seen
    }

    /// What changed since `before`: the first thing found; none if all canaries are as they were.
    pub fn changed(&mut self, before: &Seen) -> Option<String> {
        let now = self.look();
        for (path, was) in before {
            match now.get(path) {
                None => return Some(format!("{} is gone", short(&self.base, path))),
                Some(is) if is != was => return Some(format!("{} changed", short(&self.base, path))),
                Some(_) => {}
            }
        }
        if let Some(path) = now.keys().find(|path| !before.contains_key(*path)) {
            return Some(format!("{} was made", short(&self.base, path)));
        }
        if fs::metadata(self.inputs.root.join("set-user-id")).is_ok_and(|meta| meta.mode() & 0o6000 != 0) {
            return Some("a set-user-id file was left in the root".into());
        }
        if self.tcp.accept().is_ok() {
            return Some("the server outside got a connection".into());
        }
        if self.stream.accept().is_ok() {
            return Some("the unix socket outside got a connection".into());
        }
        let mut buffer = [0; 64];
        if self.datagram.recv(&mut buffer).is_ok() {
            return Some("the datagram socket outside got a message".into());
        }
        if self.abstract_stream.accept().is_ok() {
            return Some("the abstract socket outside got a connection".into());
        }
        if matches!(self.pipe.read(&mut buffer), Ok(read) if read > 0) {
            return Some("the reader of the pipe outside got data".into());
        }
        self.victim.harmed()
    }

    /// Puts the files and the victim back after an act that got through.
    pub fn reset(&mut self) -> io::Result<()> {
        let _ = fs::remove_dir_all(&self.inputs.outside);
        let _ = fs::remove_dir_all(&self.inputs.root);
        lay(&self.inputs.outside, &self.inputs.root)?;
        self.pipe = open_pipe(&self.inputs.outside)?;
        self.victim = Victim::start(&self.program, &self.inputs.secret)?;
        self.inputs.victim = self.victim.pid();
        self.inputs.victim_byte = self.victim.byte;
        self.inputs.victim_memory = self.victim.memory;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Names in the root that must stay as they are.
const PROTECTED: &[&str] = &[".git", ".codex", ".agents", ".mcp.json", ".vscode"];

fn lay(outside: &Path, root: &Path) -> io::Result<()> {
    let private = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
    private(outside)?;
    private(root)?;
    fs::write(outside.join("keep"), b"a canary of ringfence prove\n")?;
    fs::set_permissions(outside.join("keep"), Permissions::from_mode(0o600))?;
    attack::make_fifo(&outside.join("pipe"))?;
    fs::create_dir_all(root.join(".git/hooks"))?;
    fs::create_dir_all(root.join(".git/objects"))?;
    fs::create_dir_all(root.join(".git/refs"))?;
    fs::write(root.join(".git/HEAD"), b"ref: refs/heads/main\n")?;
    fs::write(root.join(".git/config"), b"[core]\n\trepositoryformatversion = 0\n")
}

fn open_pipe(outside: &Path) -> io::Result<File> {
    const O_NONBLOCK: i32 = 0o4000;
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(outside.join("pipe"))
}

fn walk(path: &Path, seen: &mut Seen) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let content = if meta.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    // A directory's times change with its entries, which are compared themselves.
    let times = if meta.is_dir() { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
    seen.insert(path.to_path_buf(), (meta.mode(), times.0, times.1, content));
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), seen);
        }
    }
}

fn short(base: &Path, path: &Path) -> String {
    ringfence_model::text::escape_os(path.strip_prefix(base).unwrap_or(path))
}

/// An address of this host other than loopback: the one it would send from.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // No packet is sent: connecting a datagram socket only looks at the routing table.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
