//! Looks for names below a root: one by one, but for those that a look into the root itself has ruled out.

use super::listing::Listing;
use super::{kind, leads_to};
use ringfence_model::facts::{FileKind, NameFacts};
use ringfence_model::{AbsPath, OsText};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Looks at names below a root, at each place once: protected names repeat their directories.
pub(super) struct Look<'root> {
    root: &'root AbsPath,
    /// What the root itself holds, if that was to be had at once.
    listing: Option<Listing>,
    seen: HashMap<PathBuf, Option<FileKind>>,
}

impl<'root> Look<'root> {
    pub(super) fn at(root: &'root AbsPath) -> Self {
        Self { root, listing: Listing::of(root.as_path()), seen: HashMap::new() }
    }

    /// What is at `name`, or the symbolic link on the way to it.
    pub(super) fn for_name(&mut self, name: &Path) -> NameFacts {
        if let (Some(listing), Some(first)) = (&self.listing, name.iter().next())
            && listing.lacks(Path::new(first))
        {
            return NameFacts { name: OsText::new(name.as_os_str()), found: None, target: None };
        }
        let mut on_the_way = PathBuf::new();
        let mut parts = name.components().peekable();
        while let Some(part) = parts.next() {
            on_the_way.push(part);
            let last = parts.peek().is_none();
            match self.kind(&on_the_way) {
                Some(FileKind::Symlink) => {
                    // A directory that holds the name may be reached through a link: both the link and what it leads to
                    // count.
                    let whole = if last { on_the_way.clone() } else { on_the_way.join(parts.collect::<PathBuf>()) };
                    let target = leads_to(&self.root.as_path().join(whole));
                    let name = OsText::new(on_the_way.as_os_str());
                    return NameFacts { name, found: Some(FileKind::Symlink), target };
                }
                found if last => return NameFacts { name: OsText::new(name.as_os_str()), found, target: None },
                // Nothing lies below what isn't there.
                None => break,
                Some(_) => {}
            }
        }
        NameFacts { name: OsText::new(name.as_os_str()), found: None, target: None }
    }

    fn kind(&mut self, name: &Path) -> Option<FileKind> {
        if let Some(known) = self.seen.get(name) {
            return *known;
        }
        let found = std::fs::symlink_metadata(self.root.as_path().join(name)).ok().map(|meta| kind(meta.file_type()));
        self.seen.insert(name.to_path_buf(), found);
        found
    }
}
