//! The capability file: what a program inside may do, in words it can read.

use ringfence_model::confinement::{NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::{AbsPath, Confinement, Tier};
use serde::Serialize;

/// The document, in the order in which it is written.
#[derive(Serialize)]
struct Document<'w> {
    denied_reads: Vec<Denied<'w>>,
    git: &'static str,
    mode: &'static str,
    network: Network,
    private_tmp: bool,
    protected: Vec<&'w AbsPath>,
    reads: &'static str,
    schema: &'static str,
    tier: &'static str,
    unix_sockets: Sockets<'w>,
    writable: Vec<&'w AbsPath>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Denied<'w> {
    Path(&'w AbsPath),
    Glob(&'w str),
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Network {
    Off { loopback: bool },
    On,
    Proxy { http_port: u16, socks_port: u16 },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sockets<'w> {
    All(&'static str),
    Only(Vec<&'w AbsPath>),
}

/// The JSON text.
pub(super) fn file(wish: &Confinement, tier: Tier) -> String {
    let denied = wish.reads.denied.iter().map(|denied| match &denied.pattern {
        PathPattern::Path(exact) => Denied::Path(exact),
        PathPattern::Glob(glob) => Denied::Glob(glob.as_str()),
    });
    let document = Document {
        denied_reads: denied.collect(),
        git: wish.git.value.name(),
        mode: wish.mode.value.name(),
        network: match wish.network.value {
            NetworkWish::Off => Network::Off { loopback: true },
            NetworkWish::On => Network::On,
            NetworkWish::Proxy { http_port, socks_port, .. } => Network::Proxy { http_port, socks_port },
        },
        private_tmp: wish.tmp.value == Tmp::Private,
        protected: wish.protected.iter().map(|entry| &entry.path).collect(),
        reads: match wish.reads.base.value {
            ReadBase::Everything => "everything",
            ReadBase::Minimal => "minimal",
        },
        schema: "ringfence.dev/v1/capabilities",
        tier: tier.name(),
        unix_sockets: match &wish.unix_sockets {
            UnixSockets::Everything => Sockets::All("everything"),
            UnixSockets::Only(list) => Sockets::Only(list.iter().map(|socket| &socket.value).collect()),
        },
        writable: wish.roots.iter().map(|root| &root.path).collect(),
    };
    // Text, numbers and lists of both: nothing in it can't be written.
    let mut text = serde_json::to_string(&document).unwrap_or_default();
    text.push('\n');
    text
}
