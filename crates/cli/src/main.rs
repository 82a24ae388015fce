//! The `ringfence` command: arguments in, verdicts and exit statuses out.

#![forbid(unsafe_code)]

fn main() {}
