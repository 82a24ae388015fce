//! The `ringfence` program: hands its arguments to the library beside it and ends with the status it gives.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// The program that is handed out is linked with musl, whose own allocator costs a start as much as everything else.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    ringfence_cli::main(std::env::args_os())
}
