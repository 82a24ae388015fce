//! By what the proxy of a run knows the connections of that run, where others on the machine reach its listeners.
//!
//! There the broker makes each of the command's connections. To the proxy it says this first, before the command can say
//! anything: so the proxy knows who is at the other end, no client has to authenticate, and the command itself never has
//! what it would need to let somebody else in.

use std::fmt;

/// Random bytes in one.
pub const RANDOM: usize = 32;
/// Its length as it is sent.
pub const LENGTH: usize = 1 + RANDOM;

/// What no protocol that a proxy speaks begins with: so whoever doesn't send a voucher is known by the first byte.
const FIRST: u8 = 0;

/// The voucher of one run. It is in the memory of the supervisor only, and printing it shows nothing.
#[derive(Clone)]
pub struct Voucher([u8; LENGTH]);

impl Voucher {
    /// One of these bytes, which nobody can guess.
    #[must_use]
    pub fn new(random: &[u8; RANDOM]) -> Self {
        let mut bytes = [FIRST; LENGTH];
        for (byte, random) in bytes.iter_mut().skip(1).zip(random) {
            *byte = *random;
        }
        Self(bytes)
    }

    /// As it is sent. Compare it in constant time, but for the first byte, which is no secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voucher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_protocol_begins_like_it_and_printing_shows_nothing() {
        let voucher = Voucher::new(&[0x41; RANDOM]);
        assert_eq!((voucher.bytes()[0], voucher.bytes()[1], voucher.bytes()[LENGTH - 1]), (0, 0x41, 0x41));
        assert_eq!(format!("{voucher:?}"), "Voucher");
    }
}
