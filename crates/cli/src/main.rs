//! The `ringfence` program: hands its arguments to the library beside it and ends with the status it gives.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ringfence_cli::main(std::env::args_os())
}
