//! The patch parser on any bytes: it answers, and what it read can be worked out on any file without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::apply::{Op, parse, work_out_hunks};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (patch, content) = input;
    if let Ok(patch) = parse(patch) {
        for file in &patch.files {
            if let Op::Update { hunks, .. } | Op::Delete { hunks } = &file.op {
                let _ = work_out_hunks(content, hunks);
            }
        }
    }
});
