//! The capability file: what a program inside may do, in words it can read.

use ringfence_model::confinement::{NetworkWish, PathPattern, ReadBase, Tmp, UnixSockets};
use ringfence_model::{AbsPath, Confinement, Tier};
use serde_json::{Value, json};

/// The JSON text.
pub(super) fn file(wish: &Confinement, tier: Tier) -> String {
    let path = |path: &AbsPath| serde_json::to_value(path).unwrap_or(Value::Null);
    let network = match wish.network.value {
        NetworkWish::Off => json!({"state": "off", "loopback": true}),
        NetworkWish::On => json!({"state": "on"}),
        NetworkWish::Proxy { http_port, socks_port, .. } => {
            json!({"state": "proxy", "http_port": http_port, "socks_port": socks_port})
        }
    };
    let denied: Vec<Value> = wish
        .reads
        .denied
        .iter()
        .map(|denied| match &denied.pattern {
            PathPattern::Path(exact) => path(exact),
            PathPattern::Glob(glob) => json!(glob.as_str()),
        })
        .collect();
    let sockets = match &wish.unix_sockets {
        UnixSockets::Everything => json!("everything"),
        UnixSockets::Only(list) => list.iter().map(|socket| path(&socket.value)).collect(),
    };
    let document = json!({
        "schema": "ringfence.dev/v1/capabilities",
        "tier": tier.name(),
        "mode": wish.mode.value.name(),
        "writable": wish.roots.iter().map(|root| path(&root.path)).collect::<Vec<_>>(),
        "protected": wish.protected.iter().map(|entry| path(&entry.path)).collect::<Vec<_>>(),
        "reads": match wish.reads.base.value { ReadBase::Everything => "everything", ReadBase::Minimal => "minimal" },
        "denied_reads": denied,
        "private_tmp": wish.tmp.value == Tmp::Private,
        "network": network,
        "unix_sockets": sockets,
        "git": wish.git.value.name(),
    });
    let mut text = document.to_string();
    text.push('\n');
    text
}
