//! Paths that can't be read: whether one is among them, also by another spelling where names are folded, and whether moving
//! something would take it out of them.

use super::fold::{fold_path, is_below_alike};
use super::place::folds_above;
use super::rules::is_below;
use ringfence_model::confinement::{DeniedRead, PathPattern};
use ringfence_model::glob::PathGlob;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// The patterns of one sandbox, and what a file system makes of them that folds names.
pub(super) struct Denied {
    all: Vec<DeniedRead>,
    folded: OnceLock<Vec<Option<PathGlob>>>,
}

impl Denied {
    pub(super) fn new(all: Vec<DeniedRead>) -> Self {
        Self { all, folded: OnceLock::new() }
    }

    /// The patterns with their globs folded; an exact path is compared name by name.
    fn alike(&self) -> impl Iterator<Item = (&DeniedRead, Option<&PathGlob>)> {
        let folded = self.folded.get_or_init(|| {
            let fold = |denied: &DeniedRead| match &denied.pattern {
                PathPattern::Glob(glob) => Some(folded(glob)),
                PathPattern::Path(_) => None,
            };
            self.all.iter().map(fold).collect()
        });
        self.all.iter().zip(folded.iter().map(Option::as_ref))
    }

    /// The first that covers `path`.
    pub(super) fn covering(&self, path: &[u8]) -> Option<&DeniedRead> {
        let found = self.all.iter().find(|denied| match &denied.pattern {
            PathPattern::Glob(glob) => glob.covers(path),
            PathPattern::Path(_) => is_below(path, exact_bytes(denied)),
        });
        found.or_else(|| {
            let given = fold_path(path);
            let mut all = self.alike();
            let found = all.find(|(denied, glob)| match glob {
                Some(glob) => glob.covers(&given),
                None => is_below_alike(path, exact_bytes(denied)),
            });
            found.filter(|_| folds_above(path)).map(|(denied, _)| denied)
        })
    }

    /// As [`Self::covering`], of the exact paths alone.
    pub(super) fn masking(&self, path: &[u8]) -> Option<&DeniedRead> {
        let mut exact = self.all.iter().filter(|denied| matches!(denied.pattern, PathPattern::Path(_)));
        exact.clone().find(|denied| is_below(path, exact_bytes(denied))).or_else(|| {
            let found = exact.find(|denied| is_below_alike(path, exact_bytes(denied)));
            found.filter(|_| folds_above(path))
        })
    }

    /// The first of which something at or below `from` would not be covered any more at `to`.
    pub(super) fn freed(&self, from: &[u8], to: &[u8]) -> Option<&DeniedRead> {
        let leaves = |below: fn(&[u8], &[u8]) -> bool, exact: &[u8]| {
            below(exact, from) || (below(from, exact) && !below(to, exact))
        };
        let found = self.all.iter().find(|denied| match &denied.pattern {
            PathPattern::Glob(glob) => !glob.stays_covered(from, to),
            PathPattern::Path(_) => leaves(is_below, exact_bytes(denied)),
        });
        found.or_else(|| {
            let (old, new) = (fold_path(from), fold_path(to));
            let mut all = self.alike();
            let found = all.find(|(denied, glob)| match glob {
                Some(glob) => !glob.stays_covered(&old, &new),
                None => leaves(is_below_alike, exact_bytes(denied)),
            });
            found.filter(|_| folds_above(from)).map(|(denied, _)| denied)
        })
    }
}

/// The path of an exact pattern.
fn exact_bytes(denied: &DeniedRead) -> &[u8] {
    match &denied.pattern {
        PathPattern::Path(path) => path.as_path().as_os_str().as_bytes(),
        PathPattern::Glob(_) => b"",
    }
}

fn folded(glob: &PathGlob) -> PathGlob {
    let text = fold_path(glob.as_str().as_bytes());
    let made = std::str::from_utf8(&text).ok().and_then(|text| PathGlob::new(text).ok());
    made.unwrap_or_else(|| glob.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_folded_name_by_name() {
        let glob = |text: &str| folded(&PathGlob::new(text).unwrap());
        assert_eq!(glob("/**/*.KEY").as_str(), "/**/*.key");
        assert_eq!(glob("/Home/*/.Env*/**").as_str(), "/home/*/.env*/**");
        assert!(glob("/**/.ENV").covers(&fold_path(b"/w/.env")));
    }
}
