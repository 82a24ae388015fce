//! Opening TLS.
use crate::event::Record;
use crate::host::Target;
use crate::proxy::Visit;
use tokio::net::TcpStream;
/// x
pub struct Interceptor(());
impl Interceptor {
    pub(crate) async fn serve(
        &self,
        _v: Visit,
        _t: Target,
        _p: crate::proxy::Pinned,
        _s: TcpStream,
        _e: Vec<u8>,
        _r: Record,
    ) {
    }
}
