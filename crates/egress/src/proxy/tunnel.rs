//! A tunnel: bytes both ways, after the first bytes were looked at for a TLS server name.

use super::phases::Connected;
use super::{Proxy, Visit};
use crate::event::{Bytes, Record};
use crate::hello::{self, Hello};
use crate::host::Target;
use crate::policy::Refusal;
use crate::relay::{self, Left, Pair};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Room for what a client says first.
const FIRST: usize = 4096;

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
    let mut unseen = Some(early);
    // What came back from a talk and is still to be written: to the destination, to the client.
    let mut rest = [Vec::new(), Vec::new()];
    let outcome = loop {
        let (mut client_read, mut client_write) = client.split();
        let (mut up_read, mut up_write) = upstream.split();
        let mut refused = None;
        let pair = Pair::new(visit.proxy.can_talk());
        let [up_rest, down_rest] = std::mem::take(&mut rest);
        let first = unseen.take();
        let up = async {
            if let Some(early) = first {
                // What guards the first bytes is boxed: it is gone when the tunnel idles.
                let first = first_bytes(&target, check, early, &client_read, &mut up_write, &bytes, limits.hello);
                match Box::pin(first).await {
                    Ok(()) => {}
                    Err(Broken::Io(error)) => return Err(error),
                    Err(Broken::Refused(why)) => {
                        refused = Some(why);
                        return Err(io::ErrorKind::PermissionDenied.into());
                    }
                }
            }
            up_write.write_all(&up_rest).await?;
            relay::pump(&mut client_read, &mut up_write, &bytes.up, &pair, 0).await
        };
        let down = async {
            client_write.write_all(&down_rest).await?;
            relay::pump(&mut up_read, &mut client_write, &bytes.down, &pair, 1).await
        };
        let joined = relay::join(up, down, &bytes, limits.half_open).await;
        if !matches!(joined, Ok(Left::Talking)) {
            break (joined, refused);
        }
        match visit.proxy.talk(client, upstream, &bytes).await {
            Ok(back) => (client, upstream, rest) = back,
            Err(error) => break (Err(error), None),
        }
    };
    match outcome {
        (_, Some(why)) => {
            let refusal = Refusal::of_policy(&target.to_string(), why, "server name of the TLS hello", None)
                .or_allow_with(format!("[network] allow_sni_mismatch = [\"{target}\"]"));
            record.refused(&refusal);
        }
        (Err(error), None) => record.event.detail = format!("broken off: {error}"),
        (Ok(_), None) => {}
    }
    drop(visit);
}

/// Reads what there is: all of a request at once, if it came so. While nothing comes there is no buffer.
async fn read_more(client: &ReadHalf<'_>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        client.readable().await?;
        buffer.reserve(FIRST);
        match client.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Tunnels that are talked over are left to the thread that does nothing else, on systems where there is one.
impl Proxy {
    #[cfg_attr(not(target_os = "linux"), allow(clippy::unused_self))]
    fn can_talk(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.talk.may_be();
        #[cfg(not(target_os = "linux"))]
        false
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn talk_threads(&self) -> usize {
        usize::from(self.talk.is_running())
    }

    /// The tunnel comes back with what is still to be written to the destination and to the client.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, clippy::unused_self, clippy::unused_async))]
    async fn talk(
        &self,
        client: TcpStream,
        upstream: TcpStream,
        bytes: &Arc<Bytes>,
    ) -> io::Result<(TcpStream, TcpStream, [Vec<u8>; 2])> {
        #[cfg(target_os = "linux")]
        if self.talk.starts() {
            let streams = [client.into_std()?, upstream.into_std()?];
            let relay::talk::Back { streams: [client, upstream], rest } = self.talk.carry(streams, bytes).await?;
            let rest = match rest {
                Some((0, rest)) => [rest, Vec::new()],
                Some((_, rest)) => [Vec::new(), rest],
                None => Default::default(),
            };
            return Ok((TcpStream::from_std(client)?, TcpStream::from_std(upstream)?, rest));
        }
        Ok((client, upstream, Default::default()))
    }
}

/// Reads what the client says first; if it is a TLS hello, its server name must be the name that was asked for.
async fn first_bytes(
    target: &Target,
    check: bool,
    mut early: Vec<u8>,
    client: &ReadHalf<'_>,
    upstream: &mut WriteHalf<'_>,
    bytes: &Bytes,
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
            let read = read_more(client, &mut early);
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
