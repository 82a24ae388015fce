//! SOCKS5 messages: no bytes panic, and a message is never longer than its bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_egress::socks::{self, Read};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Read::Whole((), length)) = socks::greeting(bytes) {
        assert!(length <= bytes.len());
    }
    if let Ok(Read::Whole(request, length)) = socks::request(bytes) {
        assert!(length <= bytes.len());
        assert_eq!(socks::request(&bytes[..length]), Ok(Read::Whole(request, length)));
        assert_eq!(socks::request(&bytes[..length - 1]), Ok(Read::Partial));
    }
    if let Ok((_, at)) = socks::datagram(bytes) {
        assert!(at <= bytes.len());
    }
});
