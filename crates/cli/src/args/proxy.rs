//! `ringfence proxy`.

use super::Shared;
use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};

/// `ringfence proxy`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProxyArgs {
    /// Listen here for HTTP proxy requests, instead of where settings say; may be given again
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub http: Vec<SocketAddr>,
    /// Listen here for SOCKS5, instead of where settings say; may be given again
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub socks: Vec<SocketAddr>,
    /// Serve counters for Prometheus at `/metrics` here; loopback only
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
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
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub via: SocketAddr,
    /// The host
    pub host: String,
    /// The port
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

/// An address with a port; what is missing is said with the whole as it would be right.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    Err(match (text.parse::<IpAddr>(), text.parse::<u16>(), text.strip_prefix("localhost:")) {
        (Ok(address), ..) => format!("the port is missing: `{}`", SocketAddr::new(address, 3128)),
        (_, Ok(port), _) => format!("the address is missing: `127.0.0.1:{port}`"),
        (.., Some(port)) => format!("names aren't looked up here: `127.0.0.1:{port}`"),
        _ => "an address with a port is needed, such as `127.0.0.1:3128` or `[::1]:3128`".to_owned(),
    })
}
