//! `policy`: bundles of requirements, signed.

use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `ringfence policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What can be done with bundles.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Make a signing key, and print the public key that machines are given
    Keygen {
        /// Where the secret key is written; nobody else can read it
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Sign a requirements file
    Sign(SignArgs),
    /// Check a bundle as a machine would
    Verify {
        /// The bundle
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
        /// A public key, `ed25519:…`; may be given again
        #[arg(long, value_name = "KEY", required = true)]
        key: Vec<String>,
        /// Whom it must be for
        #[arg(long, value_name = "NAME")]
        audience: String,
    },
    /// Serve one bundle to machines with a token
    Serve(ServeArgs),
}

/// `ringfence policy sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The requirements
    #[arg(value_name = "REQUIREMENTS")]
    pub requirements: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Whom it is for
    #[arg(long, value_name = "NAME")]
    pub audience: String,
    /// How long it holds, in days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub days: u64,
    /// Its version; without one, one more than that of the bundle it replaces, or 1
    #[arg(long, value_name = "N")]
    pub set_version: Option<u64>,
    /// Where the bundle is written; one that is there is replaced by a newer version
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: PathBuf,
}

/// `ringfence policy serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The bundle; read anew for every request
    #[arg(value_name = "FILE")]
    pub bundle: PathBuf,
    /// A file with one token per line
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM; needed where others can connect
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}
