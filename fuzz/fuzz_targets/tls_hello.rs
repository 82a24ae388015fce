//! TLS client hellos: no bytes panic, and a hello that was whole stays what it was when more follows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_egress::hello::{self, Hello};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Hello::Whole(name)) = hello::read(bytes) {
        let longer = [bytes, &[0x17, 3, 3, 0, 1, 0]].concat();
        assert_eq!(hello::read(&longer), Ok(Hello::Whole(name)));
    }
});
