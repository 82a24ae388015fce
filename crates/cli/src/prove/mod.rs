//! `ringfence prove`: attacks its own sandbox under the user's present settings.
//!
//! Each act runs through the whole program, as the user would start it: `ringfence sandbox FLAGS -- ringfence __attack
//! NAME`. What it says about itself is never believed; the canaries outside are looked at.

mod acts;
mod files;
mod inputs;
pub mod inside;
mod kernel;
mod network;
mod processes;
mod stage;
mod trial;
mod victim;

pub use acts::{ACTS, Act, Judge};
pub use stage::Stage;
pub use trial::{Launcher, Promised, Row, State, check, run};
