//! `cargo xtask dist`: the program as it is handed out: one file, statically linked, at fixed addresses.
//!
//! It then runs on any distribution of its architecture, and it starts faster: the kernel maps it and it runs, with no
//! libraries to look for and no addresses to fill in.

use std::path::{Path, PathBuf};
use std::process::Command;

/// With which profile of `Cargo.toml`; also the name of the directory it comes to lie in.
const PROFILE: &str = "dist";
/// How everything in it is compiled.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// Builds it for `target`, or for this machine's architecture with musl, and says where it is.
pub fn build(target: Option<&str>) -> Result<PathBuf, String> {
    let target = match target {
        Some(target) => target.to_owned(),
        None if cfg!(target_os = "linux") => format!("{}-unknown-linux-musl", std::env::consts::ARCH),
        None => return Err("name a target: only for Linux is one chosen by itself".to_owned()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--profile", PROFILE, "--locked", "--package", "ringfence-cli", "--target", &target])
        .current_dir(super::root());
    // Static linking is asked for on Linux only: other systems have no stable interface below their libraries.
    if target.contains("-linux-") {
        command.env("RUSTFLAGS", FLAGS);
    }
    let target_directory =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| super::root().join("target"), PathBuf::from);
    let order = std::path::absolute(target_directory.join(&target).join("start-order.ld"));
    let order = order.map_err(|error| format!("the target directory: {error}"))?;
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    // Whoever chose a linker keeps it.
    let ordered = target.starts_with(std::env::consts::ARCH)
        && target.ends_with("-linux-musl")
        && std::env::var_os(&linker).is_none();
    if ordered {
        link_in_order(&mut command, &linker, &order)?;
    }
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "it wasn't built; it needs `rustup target add {target}` and a C compiler for that target (on Debian and \
             Ubuntu, for musl: `apt install musl-tools`)"
        ));
    }
    // The linker said why, but a linker's words are kept back when it succeeds.
    if ordered && !order.exists() {
        eprintln!(
            "xtask: no start of the program could be followed here, so it will start a tenth more slowly than it could"
        );
    }
    let name = if target.contains("-windows-") { "ringfence.exe" } else { "ringfence" };
    Ok(target_directory.join(target).join(PROFILE).join(name))
}

/// Has this program link what cargo compiles: `linker` is the variable that says so.
fn link_in_order(command: &mut Command, linker: &str, order: &Path) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| format!("find myself: {error}"))?;
    if let Some(directory) = order.parent() {
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    command.env(linker, this).env(crate::order::ORDER, order);
    Ok(())
}
