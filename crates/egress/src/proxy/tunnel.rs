//! A tunnel: bytes both ways, after the first bytes were looked at for a TLS server name.

use super::Visit;
use super::phases::Connected;
use crate::event::Record;
use crate::hello::{self, Hello};
use crate::host::Target;
use crate::policy::Refusal;
use crate::relay;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Why a tunnel ended before its ends closed it.
enum Broken {
    Io(io::Error),
    Refused(&'static str),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs a tunnel to its end and closes the record.
pub(crate) async fn run(
    visit: Visit,
    target: Target,
    mut client: TcpStream,
    early: Vec<u8>,
    connected: Connected,
    mut record: Record,
) {
    let Connected { stream: mut upstream, early: spoken, .. } = connected;
    if client.write_all(&spoken).await.is_err() {
        return;
    }
    let bytes = std::sync::Arc::clone(&record.bytes);
    let limits = visit.session.limits;
    let check = !visit.session.policy.allows_sni_mismatch(&target);
    let outcome = {
        let (mut client_read, mut client_write) = client.split();
        let (mut up_read, mut up_write) = upstream.split();
        let mut refused = None;
        let one_done = AtomicBool::new(false);
        let up = async {
            // What guards the first bytes is boxed: it is gone when the tunnel idles.
            let first = first_bytes(&target, check, early, &mut client_read, &mut up_write, &bytes, limits.hello);
            let first = Box::pin(first).await;
            match first {
                Ok(()) => relay::pump(&mut client_read, &mut up_write, &bytes.up, &one_done).await,
                Err(Broken::Io(error)) => Err(error),
                Err(Broken::Refused(why)) => {
                    refused = Some(why);
                    Err(io::ErrorKind::PermissionDenied.into())
                }
            }
        };
        let down = relay::pump(&mut up_read, &mut client_write, &bytes.down, &one_done);
        let joined = relay::join(up, down, &bytes, limits.half_open).await;
        (joined, refused)
    };
    match outcome {
        (_, Some(why)) => {
            let refusal = Refusal::of_policy(&target.to_string(), why, "server name of the TLS hello", None)
                .or_allow_with(format!("[network] allow_sni_mismatch = [\"{target}\"]"));
            record.refused(&refusal);
        }
        (Err(error), None) => record.event.detail = format!("broken off: {error}"),
        (Ok(()), None) => {}
    }
    drop(visit);
}

/// Reads what the client says first; if it is a TLS hello, its server name must be the name that was asked for.
async fn first_bytes(
    target: &Target,
    check: bool,
    mut early: Vec<u8>,
    client: &mut ReadHalf<'_>,
    upstream: &mut WriteHalf<'_>,
    bytes: &crate::event::Bytes,
    limit: std::time::Duration,
) -> Result<(), Broken> {
    if check {
        let after = || tokio::time::Instant::now() + limit;
        let mut deadline = (!early.is_empty()).then(after);
        loop {
            match hello::read(&early) {
                Err(_) => return Err(Broken::Refused("its TLS hello can't be read")),
                Ok(Hello::Other) => break,
                Ok(Hello::Whole(None)) => break,
                Ok(Hello::Whole(Some(name))) if name == target.host => break,
                Ok(Hello::Whole(Some(_))) => return Err(Broken::Refused("its TLS hello asks for another server")),
                Ok(Hello::Partial) if early.len() > hello::MAX_HELLO * 2 => {
                    return Err(Broken::Refused("its TLS hello is too long"));
                }
                Ok(Hello::Partial) => {}
            }
            // A client may be silent for as long as it likes, but not in the middle of a hello.
            let read = client.read_buf(&mut early);
            let count = if let Some(deadline) = deadline {
                let timed = tokio::time::timeout_at(deadline, read).await;
                timed.map_err(|_| Broken::Refused("its TLS hello didn't end in time"))??
            } else {
                let count = read.await?;
                deadline = Some(after());
                count
            };
            if count == 0 {
                break;
            }
        }
    }
    if !early.is_empty() {
        upstream.write_all(&early).await?;
        bytes.up.fetch_add(early.len() as u64, Relaxed);
    }
    Ok(())
}
