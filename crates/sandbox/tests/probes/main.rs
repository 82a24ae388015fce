//! Probes: for each protection an attack that must fail and the nearest honest act, which must work. What an attack says
//! about itself isn't believed: the judge looks from outside.
//!
//! As root everything runs twice, the second time as an ordinary user. A probe that this host can't run is printed as
//! `SKIPPED` with the reason and counted, never passed over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(target_os = "linux")]
mod attacks;
#[cfg(target_os = "linux")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod deny_read;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod devices;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod faithful;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod host_settings;
#[cfg(target_os = "linux")]
mod ipc;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod lifetime;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod prepared;
#[cfg(target_os = "linux")]
mod privilege;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod protected;
#[cfg(target_os = "linux")]
mod setuid;
#[cfg(target_os = "linux")]
mod start;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    harness::main(&[
        files::PROBES,
        protected::PROBES,
        deny_read::PROBES,
        devices::PROBES,
        host_settings::PROBES,
        setuid::PROBES,
        network::PROBES,
        ipc::PROBES,
        processes::PROBES,
        lifetime::PROBES,
        privilege::PROBES,
        kernel::PROBES,
        descriptors::PROBES,
        environment::PROBES,
        limits::PROBES,
        start::PROBES,
        prepared::PROBES,
        faithful::PROBES,
    ])
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: probes: they need Linux");
}
