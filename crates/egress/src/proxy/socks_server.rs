//! The SOCKS5 front: one client connection, one destination.

use super::connect::note;
use super::phases::{Failure, Stop};
use super::{Visit, udp, way};
use crate::host::Target;
use crate::resolve::ResolveError;
use crate::socks::{self, Command, Read, Reply, SocksError};
use ringfence_model::network::NetworkProtocol;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest message of the handshake.
const MAX_MESSAGE: usize = 600;

/// Serves one client connection.
pub(crate) async fn serve(visit: Visit, mut stream: TcpStream) {
    let limit = visit.session.limits.head;
    match tokio::time::timeout(limit, handshake(&mut stream)).await {
        Ok(Ok(Some((request, early)))) => answer(visit, stream, request, early).await,
        Ok(Ok(None) | Err(Unread::Io)) | Err(_) => {}
        Ok(Err(Unread::Socks(error))) => {
            let recorder = &visit.proxy.recorder;
            let mut record = recorder.open_text(&visit.session.name, NetworkProtocol::Socks5Tcp, String::new(), 0);
            record.malformed(&error.to_string());
            let reply = match error {
                SocksError::Method => vec![5, 0xff],
                SocksError::Version => Vec::new(),
                other => other.reply().bytes(None),
            };
            let _ = stream.write_all(&reply).await;
            let _ = stream.shutdown().await;
        }
    }
}

enum Unread {
    Io,
    Socks(SocksError),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl From<SocksError> for Unread {
    fn from(error: SocksError) -> Self {
        Self::Socks(error)
    }
}

/// Reads greeting and request. What the client sent beyond them belongs to the tunnel.
async fn handshake(stream: &mut TcpStream) -> Result<Option<(socks::Request, Vec<u8>)>, Unread> {
    let mut buffer = Vec::new();
    let Some(((), length)) = message(stream, &mut buffer, socks::greeting).await? else { return Ok(None) };
    buffer.drain(..length);
    stream.write_all(&[5, socks::NO_METHOD]).await?;
    let Some((request, length)) = message(stream, &mut buffer, socks::request).await? else { return Ok(None) };
    buffer.drain(..length);
    Ok(Some((request, buffer)))
}

async fn message<T>(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    read: impl Fn(&[u8]) -> Result<Read<T>, SocksError>,
) -> Result<Option<(T, usize)>, Unread> {
    loop {
        match read(buffer)? {
            Read::Whole(whole, length) => return Ok(Some((whole, length))),
            Read::Partial if buffer.len() > MAX_MESSAGE => return Err(SocksError::Reserved.into()),
            Read::Partial => {}
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn answer(visit: Visit, mut stream: TcpStream, request: socks::Request, early: Vec<u8>) {
    let reply = match (request.command, request.target) {
        (Command::Connect, Ok(target)) => return connect(visit, stream, target, early).await,
        (Command::UdpAssociate, _) if visit.session.socks_udp => return udp::serve(visit, stream).await,
        (Command::Connect, Err(error)) => {
            refuse(&visit, &error.to_string());
            error.reply()
        }
        (command, _) => {
            refuse(&visit, &format!("{command:?} isn't offered"));
            Reply::Command
        }
    };
    let _ = stream.write_all(&reply.bytes(None)).await;
    let _ = stream.shutdown().await;
}

fn refuse(visit: &Visit, why: &str) {
    let recorder = &visit.proxy.recorder;
    recorder.open_text(&visit.session.name, NetworkProtocol::Socks5Tcp, String::new(), 0).malformed(why);
}

async fn connect(visit: Visit, mut stream: TcpStream, target: Target, early: Vec<u8>) {
    let mut record = visit.proxy.recorder.open(&visit.session.name, NetworkProtocol::Socks5Tcp, &target);
    let way = match way::find(&visit, &target, NetworkProtocol::Socks5Tcp, "SOCKS", &mut record).await {
        Ok(way) => way,
        Err(stopped) => {
            note(&mut record, &stopped);
            let _ = stream.write_all(&reply_to(&stopped).bytes(None)).await;
            let _ = stream.shutdown().await;
            return;
        }
    };
    record.allowed();
    if stream.write_all(&Reply::Succeeded.bytes(None)).await.is_err() {
        return;
    }
    way.carry(visit, target, stream, early, record).await;
}

fn reply_to(stopped: &Stop) -> Reply {
    match stopped {
        Stop::Refused(_) => Reply::NotAllowed,
        Stop::Failed(Failure::TimedOut | Failure::Resolve(ResolveError::TimedOut)) => Reply::TimedOut,
        Stop::Failed(Failure::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Reply::Refused,
        Stop::Failed(Failure::Resolve(_) | Failure::Connect(_)) => Reply::HostUnreachable,
        Stop::Failed(Failure::Upstream(_)) => Reply::General,
    }
}
