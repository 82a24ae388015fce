//! SOCKS5 datagrams, where a session offers them: each destination judged, resolved and pinned like a connection.

use super::Visit;
use super::connect::note;
use super::phases;
use crate::event::Record;
use crate::host::Target;
use crate::socks::{self, Reply};
use ringfence_model::network::NetworkProtocol;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// Destinations of one association at once.
const MAX_FLOWS: usize = 64;
/// Datagrams waiting for a destination that is being decided about.
const MAX_WAITING: usize = 64;
/// A destination that is silent this long is forgotten.
const IDLE: Duration = Duration::from_secs(120);

/// Serves one association: it lives as long as its connection.
pub(crate) async fn serve(visit: Visit, mut control: TcpStream) {
    let Ok((inside, reply)) = open(&control).await else { return };
    if tokio::io::AsyncWriteExt::write_all(&mut control, &reply).await.is_err() {
        return;
    }
    let Ok(peer) = control.peer_addr() else { return };
    let inside = Arc::new(inside);
    let mut flows: HashMap<Target, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut client = None;
    let mut buffer = vec![0; 65_536];
    let mut nothing = [0; 1];
    loop {
        let (count, from) = tokio::select! {
            ended = control.read(&mut nothing) => match ended { Ok(1..) => continue, _ => return },
            received = inside.recv_from(&mut buffer) => match received { Ok(received) => received, Err(_) => continue },
            Some(_) = tasks.join_next() => {
                flows.retain(|_, sender| !sender.is_closed());
                continue;
            }
        };
        // Only the client that asked, from the one port it uses first.
        if from.ip() != peer.ip() || *client.get_or_insert(from) != from {
            continue;
        }
        let Some(datagram) = buffer.get(..count) else { continue };
        let Ok((target, header)) = socks::datagram(datagram) else { continue };
        let payload = datagram.get(header..).unwrap_or_default().to_vec();
        if let Some(sender) = flows.get(&target)
            && !sender.is_closed()
        {
            let _ = sender.try_send(payload);
        } else if flows.len() < MAX_FLOWS {
            let (sender, receiver) = mpsc::channel(MAX_WAITING);
            let _ = sender.try_send(payload);
            flows.insert(target.clone(), sender);
            tasks.spawn(flow(visit.clone(), target, receiver, Arc::clone(&inside), from));
        }
    }
}

async fn open(control: &TcpStream) -> io::Result<(UdpSocket, Vec<u8>)> {
    let inside = UdpSocket::bind(SocketAddr::new(control.local_addr()?.ip(), 0)).await?;
    let reply = Reply::Succeeded.bytes(Some(inside.local_addr()?));
    Ok((inside, reply))
}

/// One destination: decided once, then datagrams both ways until it is silent.
async fn flow(
    visit: Visit,
    target: Target,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    inside: Arc<UdpSocket>,
    client: SocketAddr,
) {
    let protocol = NetworkProtocol::Socks5Udp;
    let mut record = visit.proxy.recorder.open(&visit.session.name, protocol, &target);
    let outside = match reach(&visit, &target, &mut record).await {
        Ok(outside) => outside,
        Err(stopped) => {
            note(&mut record, &stopped);
            // Stays refused for a while, without a lookup or a question for every datagram.
            drop(record);
            let _ = tokio::time::timeout(IDLE, async { while outgoing.recv().await.is_some() {} }).await;
            return;
        }
    };
    record.allowed();
    let Ok(from) = outside.peer_addr() else { return };
    record.event.address = Some(from.ip());
    let mut buffer = vec![0; 65_536];
    loop {
        let step = async {
            tokio::select! {
                payload = outgoing.recv() => {
                    let Some(payload) = payload else { return false };
                    record.bytes.up.fetch_add(payload.len() as u64, Relaxed);
                    let _ = outside.send(&payload).await;
                }
                received = outside.recv(&mut buffer) => {
                    let Ok(count) = received else { return true };
                    let mut datagram = socks::datagram_header(from);
                    datagram.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    record.bytes.down.fetch_add(count as u64, Relaxed);
                    let _ = inside.send_to(&datagram, client).await;
                }
            }
            true
        };
        match tokio::time::timeout(IDLE, step).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
}

async fn reach(visit: &Visit, target: &Target, record: &mut Record) -> Result<UdpSocket, phases::Stop> {
    let decided = phases::decide(visit, target, NetworkProtocol::Socks5Udp, record).await?;
    if let Err(fault) = visit.session.policy.check_tunnel(target) {
        return Err(Box::new(crate::policy::Refusal::of_method(target, "UDP", fault)).into());
    }
    let pinned = phases::pin(visit, &decided).await?;
    let to = phases::datagram_address(visit, &pinned)?;
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let opened = async {
        let outside = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        outside.connect(to).await?;
        Ok(outside)
    };
    opened.await.map_err(|error: io::Error| phases::Failure::Connect(error).into())
}
