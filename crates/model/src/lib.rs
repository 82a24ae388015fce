//! The vocabulary of Ringfence: the plain values every other crate speaks in, and their laws.
//!
//! This crate knows nothing of files, clocks, environments, processes or networks. A value here can be made, compared,
//! merged and serialised on any system; what it *means* for a kernel is the business of `ringfence-sandbox`, and whether
//! it *may* happen that of `ringfence-policy`.

#![forbid(unsafe_code)]

pub mod action;
pub mod confinement;
pub mod denial;
pub mod domain;
pub mod event;
pub mod facts;
pub mod glob;
pub mod grant;
pub mod limits;
pub mod mode;
pub mod network;
pub mod notice;
pub mod origin;
pub mod os_text;
pub mod path;
pub mod proxy_env;
pub mod report;
pub mod requirements;
pub mod settings;
pub mod text;
pub mod transparent;
pub mod units;
pub mod verdict;
pub mod voucher;

pub use action::Action;
pub use confinement::Confinement;
pub use denial::{Denial, DenialKind, Evidence};
pub use domain::DomainPattern;
pub use event::Event;
pub use facts::WorldFacts;
pub use grant::Grant;
pub use mode::{ApprovalPolicy, Backend, SandboxMode, Tier, WebSearchMode};
pub use network::NetworkRule;
pub use notice::Notice;
pub use origin::{Layer, Origin, Sourced};
pub use os_text::OsText;
pub use path::AbsPath;
pub use report::{Exit, Report};
pub use requirements::Requirements;
pub use settings::Settings;
pub use verdict::{Decision, Verdict};
pub use voucher::Voucher;
