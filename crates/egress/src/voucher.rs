//! Who may use a listener that others on the machine can reach: connections that were vouched for.
//!
//! Where the sandbox has no network of its own, the proxy listens on the machine's loopback, and a port there is open to
//! everybody. The broker, which makes the sandbox's connections, says the voucher of the run first; it is compared in
//! constant time.

use ringfence_model::voucher::{LENGTH, RANDOM, Voucher};
use rustls::crypto::GetRandomFailed;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Time for it. The broker sends it while it connects; only a machine that hardly gets on takes longer than a moment.
const LIMIT: Duration = Duration::from_secs(10);

/// A new voucher.
///
/// # Errors
/// When the system has no randomness.
pub fn make() -> Result<Voucher, GetRandomFailed> {
    let mut random = [0; RANDOM];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut random)?;
    Ok(Voucher::new(&random))
}

/// Whether a connection begins with the voucher. Nothing beyond it is read; of one that begins otherwise, one byte is.
pub(crate) async fn begins(connection: &mut (impl AsyncRead + Unpin), voucher: &Voucher) -> bool {
    let (wanted, mut said) = (voucher.bytes(), [0; LENGTH]);
    let mut read = 0;
    let whole = async {
        while read < LENGTH {
            let room = said.get_mut(read..).unwrap_or_default();
            match connection.read(room).await {
                Ok(count @ 1..) => read += count,
                _ => return false,
            }
            if said.first() != wanted.first() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(LIMIT, whole).await.unwrap_or(false) && wanted.ct_eq(&said).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_whole_voucher_is_one() {
        let (one, other) = (make().unwrap(), make().unwrap());
        let mut rest = [one.bytes().as_slice(), b"GET"].concat();
        let mut connection = rest.as_slice();
        assert!(begins(&mut connection, &one).await);
        assert_eq!(connection, b"GET");
        rest[LENGTH - 1] ^= 1;
        for said in
            [other.bytes().as_slice(), &rest, &one.bytes()[..LENGTH - 1], &one.bytes()[1..], b"GET / HTTP/1.1", b""]
        {
            let mut connection = said;
            assert!(!begins(&mut connection, &one).await, "{said:?}");
        }
    }
}
