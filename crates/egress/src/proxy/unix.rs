//! `x-unix-socket`: a request forwarded to a socket of the host, by resolved exact path.

use super::Visit;
use super::answer::{self, After, Body};
use super::connect::note;
use super::forward::{self, Link, Unsent, refuse};
use super::http::malformed;
use super::phases::{Failure, Stop};
use super::request::{self, Wish};
use crate::gate::Fault;
use crate::host::{Host, Target};
use crate::policy::Refusal;
use http::{Request, Response};
use hyper::body::Incoming;
use ringfence_model::network::NetworkProtocol;
use ringfence_model::{AbsPath, Origin, Sourced};
use std::path::{Path, PathBuf};

/// The header that asks for it.
pub(crate) const HEADER: &str = "x-unix-socket";

/// A socket that may be reached: as written, and where that led when the session began.
pub(crate) struct AllowedSocket {
    written: PathBuf,
    resolved: PathBuf,
    origin: Origin,
}

impl AllowedSocket {
    /// Resolves an entry. What a command does to links later has no effect on it.
    pub(crate) fn resolve(entry: &Sourced<AbsPath>) -> Self {
        let written: &Path = entry.value.as_path();
        let resolved = match (written.canonicalize(), written.parent(), written.file_name()) {
            (Ok(resolved), ..) => resolved,
            (Err(_), Some(parent), Some(name)) => {
                parent.canonicalize().map_or_else(|_| written.to_owned(), |parent| parent.join(name))
            }
            _ => written.to_owned(),
        };
        Self { written: written.to_owned(), resolved, origin: entry.origin.clone() }
    }
}

/// Serves a request that names a socket. Its `Host` is the socket's own business.
pub(crate) async fn serve(visit: &Visit, fault: &Fault, mut request: Request<Incoming>) -> Response<Body> {
    let named: Vec<_> = request.headers().get_all(HEADER).iter().collect();
    let [one] = named.as_slice() else { return malformed(visit, HEADER, "two `x-unix-socket` headers") };
    let Ok(path) = one.to_str().map(str::to_owned) else {
        return malformed(visit, HEADER, "`x-unix-socket` isn't text");
    };
    let recorder = &visit.proxy.recorder;
    let shown = format!("unix:{}", ringfence_model::text::escape(&path));
    let mut record = recorder.open_text(&visit.session.name, NetworkProtocol::Http, shown.clone(), 0);
    record.event.method = Some(request.method().to_string());
    let sockets = &visit.session.unix_sockets;
    let found = sockets.iter().find(|socket| socket.written == Path::new(&path) || socket.resolved == Path::new(&path));
    // `Path` compares without regard to `.` and doubled slashes: the text must be the one that was written.
    let found = found
        .filter(|socket| [&socket.written, &socket.resolved].iter().any(|known| known.as_os_str() == path.as_str()));
    let Some(socket) = found else {
        let refusal = Refusal::of_policy(&shown, "no rule allows this socket", "unix_sockets", None)
            .or_allow_with(format!("[network] unix_sockets = {{ {path:?} = \"allow\" }}"));
        return refuse(record, refusal);
    };
    record.event.rule = format!("unix_sockets: {}", socket.written.display());
    record.event.origin = socket.origin.to_string();
    let target = Target { host: Host::Name("localhost".into()), port: 80 };
    match request::judge(&visit.session.policy, &target, &request) {
        Ok(Wish::Answer) => {}
        Ok(Wish::WebSocket) => {
            let refusal =
                Refusal::of_policy(&shown, "a socket's connection can't be upgraded", "protocol upgrades", None);
            return refuse(record, refusal);
        }
        Err(refusal) => return refuse(record, *refusal),
    }
    request.headers_mut().remove(HEADER);
    let mut prepared = request::prepare(request, &target, 80, Wish::Answer, &record.bytes);
    request::address_to(&mut prepared, &target, None);
    let outcome = async {
        let stream = connect(&socket.resolved).await.map_err(Failure::Connect)?;
        let mut link = Link::open(stream, None, false).await?;
        forward::exchange(visit, &mut link, prepared, &record.bytes).await.map_err(|unsent| match unsent {
            Unsent::Gone(failure) => failure,
            Unsent::Whole(_) => Failure::Connect(std::io::ErrorKind::ConnectionReset.into()),
        })
    };
    match outcome.await {
        Ok(response) => {
            record.allowed();
            forward::answered(response, record)
        }
        Err(_) if fault.get().is_some() => {
            let why = fault.get().copied().unwrap_or_default();
            record.malformed(why);
            answer::malformed(why)
        }
        Err(failure) => {
            let stopped = Stop::Failed(failure);
            note(&mut record, &stopped);
            answer::stopped(&stopped, After::Keep)
        }
    }
}

/// Connects to exactly this path: opened without following a link, compared, and connected to by descriptor.
#[cfg(target_os = "linux")]
async fn connect(path: &Path) -> std::io::Result<tokio::net::UnixStream> {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd;
    let socket = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd()));
    if std::fs::read_link(&by_descriptor)? != path {
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "the socket's path leads elsewhere now"));
    }
    tokio::net::UnixStream::connect(&by_descriptor).await
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn connect(path: &Path) -> std::io::Result<tokio::net::UnixStream> {
    if path.canonicalize()? != path {
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "the socket's path leads elsewhere now"));
    }
    tokio::net::UnixStream::connect(path).await
}

#[cfg(not(unix))]
async fn connect(_: &Path) -> std::io::Result<tokio::net::TcpStream> {
    Err(std::io::ErrorKind::Unsupported.into())
}
