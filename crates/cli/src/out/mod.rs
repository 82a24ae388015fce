//! What Ringfence says, and where: its own words go to standard error, documents and tables that were asked for to
//! standard output, and the command's output is never touched.

pub mod denials;
pub mod failure;
pub mod json;
pub mod notices;
pub mod paint;
pub mod plan;
pub mod report;
pub mod table;

pub use failure::Failure;
pub use paint::Paint;
