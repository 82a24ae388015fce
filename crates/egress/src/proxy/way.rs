//! To a destination that was named without a request: by SOCKS5, or by connecting to its address. Decided, resolved and
//! pinned like any other; then a tunnel, or TLS that the proxy opens.

use super::phases::{self, Stop};
use super::{Visit, tunnel};
use crate::event::Record;
use crate::host::Target;
use crate::intercept::Interceptor;
use crate::policy::Refusal;
use ringfence_model::network::NetworkProtocol;
use std::sync::Arc;
use tokio::net::TcpStream;

/// A destination that may be reached.
pub(crate) enum Way {
    /// It is connected to.
    Tunnel(phases::Connected),
    /// Its TLS is opened.
    Open(Arc<Interceptor>, phases::Pinned),
}

/// Finds the way. `asked` says by what means the destination was named.
pub(crate) async fn find(
    visit: &Visit,
    target: &Target,
    protocol: NetworkProtocol,
    asked: &str,
    record: &mut Record,
) -> Result<Way, Stop> {
    let interceptor = visit.session.interceptor.clone().filter(|_| visit.session.policy.intercepts(target));
    let decided = phases::decide(visit, target, protocol, record).await?;
    if interceptor.is_none() {
        let seen = visit.session.policy.check_tunnel(target);
        seen.map_err(|fault| Box::new(Refusal::of_method(target, asked, fault)))?;
    }
    let pinned = phases::pin(visit, &decided).await?;
    match interceptor {
        Some(interceptor) => Ok(Way::Open(interceptor, pinned)),
        None => phases::connect(visit, &pinned, true).await.map(Way::Tunnel),
    }
}

impl Way {
    /// Carries a client's connection along the way, to its end.
    pub(crate) async fn carry(
        self,
        visit: Visit,
        target: Target,
        stream: TcpStream,
        early: Vec<u8>,
        mut record: Record,
    ) {
        match self {
            Self::Open(interceptor, pinned) => {
                interceptor.serve(visit, target, pinned, stream, early, record).await;
            }
            Self::Tunnel(connected) => {
                record.event.address = connected.address;
                tunnel::run(visit, target, stream, early, connected, record).await;
            }
        }
    }
}
