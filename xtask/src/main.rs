//! `cargo xtask generate [--check]`, `cargo xtask test [windows]`, `cargo xtask threats`, `cargo xtask dist [TARGET]`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask generate [--check] | cargo xtask test [windows] | cargo xtask threats | cargo xtask dist [TARGET]";

fn main() -> ExitCode {
    if let Some(order) = std::env::var_os(xtask::order::ORDER) {
        // `dist` made us the linker.
        let args: Vec<_> = std::env::args_os().skip(1).collect();
        return end(xtask::order::link(&args, order.as_ref()));
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["generate"] => xtask::generate::write(),
        ["generate", "--check"] => xtask::generate::check(),
        ["test"] => return xtask::tests::run(),
        ["test", "windows"] => return xtask::tests::run_on_windows(),
        ["threats"] => {
            print!("{}", xtask::threats::markdown(&xtask::root()));
            Ok(())
        }
        ["dist"] => xtask::dist::build(None).map(|made| println!("{}", made.display())),
        ["dist", target] => xtask::dist::build(Some(target)).map(|made| println!("{}", made.display())),
        _ => Err(USAGE.into()),
    };
    end(result)
}

fn end(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
