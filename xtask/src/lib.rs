//! Tasks that need the project's own types: what is generated, the run of all tests, and the program that is handed out.

#![deny(unsafe_code)]

pub mod dist;
mod follow;
pub mod generate;
pub mod layers;
pub mod order;
pub mod schemas;
pub mod tests;
pub mod threats;
pub mod user;
pub mod wine;

use std::path::{Path, PathBuf};

/// The directory of the whole project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The Rust sources below a directory, in no order.
#[must_use]
pub fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
