//! The `ringfence` program: hands its arguments to the library beside it and ends with the status it gives.

#![deny(unsafe_code)]

#[cfg(target_env = "musl")]
mod allocator;

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

fn main() -> ExitCode {
    ringfence_cli::main(std::env::args_os())
}
