//! `ringfence proxy`.

use super::Shared;
use clap::{Args, Subcommand};
use std::net::SocketAddr;

/// `ringfence proxy`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProxyArgs {
    /// Listen here for HTTP proxy requests, instead of where settings say; may be given again
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Vec<SocketAddr>,
    /// Listen here for SOCKS5, instead of where settings say; may be given again
    #[arg(long, value_name = "ADDR:PORT")]
    pub socks: Vec<SocketAddr>,
    /// Serve counters for Prometheus at `/metrics` here; loopback only
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Settings to judge by.
    #[command(flatten)]
    pub shared: Shared,
    /// Something else than running the proxy.
    #[command(subcommand)]
    pub other: Option<ProxyCommand>,
}

/// What else `ringfence proxy` does.
#[derive(Debug, Subcommand)]
pub enum ProxyCommand {
    /// Connect standard input and output to a host through a proxy, as `ProxyCommand` of ssh
    Connect(ConnectArgs),
}

/// `ringfence proxy connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The proxy's address; a user name and password for it are taken from `HTTPS_PROXY`
    #[arg(long, value_name = "ADDR:PORT")]
    pub via: SocketAddr,
    /// The host
    pub host: String,
    /// The port
    pub port: u16,
}
