//! Writing: everything beside its place first, then renamed into place, with the originals kept until all is done. Where
//! something fails on the way, what was done is undone.
//!
//! Directories are opened component by component without following a link, and all work happens by name in the opened
//! directory: what was judged is what is written.

use ringfence_model::AbsPath;
use std::fs::{self, File};
use std::io::{self, Read, Write};

/// One file to write or remove, with the place it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where, without links.
    pub path: AbsPath,
    /// The new content; none: it goes.
    pub content: Option<Vec<u8>>,
    /// What must be there now; none: nothing may be there.
    pub expected: Option<Vec<u8>>,
    /// Permission bits, where the patch gives some.
    pub mode: Option<u32>,
    /// The mode of the file it comes from, for one that moves.
    pub like: Option<u32>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Directories that came into being on the way.
    pub made: Vec<AbsPath>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An operation failed; everything was put back.
    #[error("{what} `{}`; nothing was changed", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: AbsPath,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// It isn't any more what it was when the change was worked out.
    #[error("`{}` changed meanwhile; nothing was changed", path.display())]
    Changed {
        /// Where.
        path: AbsPath,
    },
    /// An operation failed, and putting back failed too.
    #[error("{what} `{}`, and not everything could be put back: the original is in `{kept}`", path.display())]
    Torn {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: AbsPath,
        /// Where its original lies.
        kept: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

/// A change on its way.
struct Step<'c> {
    change: &'c Change,
    dir: place::Dir,
    name: std::ffi::OsString,
    /// The new content, beside.
    beside: Option<std::ffi::OsString>,
    /// The original, kept.
    kept: Option<std::ffi::OsString>,
    placed: bool,
}

/// Makes every change, or none.
pub(crate) fn write_all(changes: &[Change]) -> Result<Written, WriteError> {
    let mut made = Vec::new();
    let mut steps: Vec<Step<'_>> = Vec::new();
    match prepare(changes, &mut steps, &mut made).and_then(|()| place_all(&mut steps)) {
        Ok(()) => {
            for step in &steps {
                if let Some(kept) = &step.kept {
                    let _ = step.dir.remove(kept);
                }
            }
            Ok(Written { made })
        }
        Err(error) => {
            let torn = undo(&mut steps);
            for dir in made.iter().rev() {
                let _ = fs::remove_dir(dir.as_path());
            }
            match (error, torn) {
                (WriteError::File { what, path, cause }, Some(kept)) => {
                    Err(WriteError::Torn { what, path, kept, cause })
                }
                (error, _) => Err(error),
            }
        }
    }
}

fn prepare<'c>(changes: &'c [Change], steps: &mut Vec<Step<'c>>, made: &mut Vec<AbsPath>) -> Result<(), WriteError> {
    for change in changes {
        let failed = |what| {
            let path = change.path.clone();
            move |cause| WriteError::File { what, path, cause }
        };
        let (Some(parent), Some(name)) = (change.path.parent(), change.path.file_name()) else {
            return Err(failed("write")(io::Error::from(io::ErrorKind::InvalidInput)));
        };
        if change.content.is_some() {
            make_dirs(&parent, made).map_err(failed("make the directory of"))?;
        }
        let dir = place::Dir::open(&parent).map_err(failed("open the directory of"))?;
        let mut step = Step { change, dir, name: name.to_os_string(), beside: None, kept: None, placed: false };
        let found = step.dir.read(&step.name).map_err(failed("read"))?;
        if found.as_ref().map(|(content, _)| content) != change.expected.as_ref() {
            return Err(WriteError::Changed { path: change.path.clone() });
        }
        if let Some(content) = &change.content {
            let mode = mode_for(change, found.map(|(_, mode)| mode));
            let (beside, mut file) = step.dir.create_beside(mode).map_err(failed("write beside"))?;
            step.beside = Some(beside);
            let written =
                file.write_all(content).and_then(|()| place::set_mode(&file, mode)).and_then(|()| file.sync_all());
            if let Err(cause) = written {
                steps.push(step);
                return Err(failed("write beside")(cause));
            }
        }
        steps.push(step);
    }
    Ok(())
}

/// The mode of the new file: the old one's, with the executable bits that the patch gives. Never set-user-id.
fn mode_for(change: &Change, old: Option<u32>) -> u32 {
    let base = old.or(change.like).unwrap_or(0o644) & 0o777;
    match change.mode {
        // A patch says whether a file is executable; who may is as who may read.
        Some(mode) if mode & 0o100 != 0 => base | ((base & 0o444) >> 2),
        Some(_) => base & !0o111,
        None => base,
    }
}

fn place_all(steps: &mut [Step<'_>]) -> Result<(), WriteError> {
    for step in steps {
        let failed = |what| {
            let path = step.change.path.clone();
            move |cause| WriteError::File { what, path, cause }
        };
        if step.change.expected.is_some() {
            let kept = step.dir.set_aside(&step.name).map_err(failed("set aside"))?;
            // What was set aside must still be what the change was worked out from.
            let same = step
                .dir
                .read(&kept)
                .ok()
                .flatten()
                .is_some_and(|(content, _)| Some(&content) == step.change.expected.as_ref());
            step.kept = Some(kept);
            if !same {
                return Err(WriteError::Changed { path: step.change.path.clone() });
            }
        }
        if let Some(beside) = step.beside.take() {
            match step.dir.rename_new(&beside, &step.name) {
                Ok(()) => step.placed = true,
                Err(cause) => {
                    step.beside = Some(beside);
                    return Err(failed("put in place")(cause));
                }
            }
        }
    }
    Ok(())
}

/// Puts everything back. Where an original lies that couldn't be.
fn undo(steps: &mut [Step<'_>]) -> Option<String> {
    let mut torn = None;
    for step in steps.iter_mut().rev() {
        if step.placed {
            let _ = step.dir.remove(&step.name);
        }
        if let Some(beside) = &step.beside {
            let _ = step.dir.remove(beside);
        }
        if let Some(kept) = &step.kept
            && step.dir.rename_new(kept, &step.name).is_err()
        {
            torn = Some(ringfence_model::text::escape_bytes(kept.as_encoded_bytes()));
        }
    }
    torn
}

fn make_dirs(dir: &AbsPath, made: &mut Vec<AbsPath>) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = Some(dir.clone());
    while let Some(dir) = at.filter(|dir| dir.as_path().symlink_metadata().is_err()) {
        at = dir.parent();
        missing.push(dir);
    }
    for dir in missing.into_iter().rev() {
        let parent = dir.parent().unwrap_or_else(AbsPath::root);
        let name = dir.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
        match place::Dir::open(&parent)?.make_dir(&name) {
            Ok(()) => made.push(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_file(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = file.take(super::MAX_FILE + 1).read_to_end(&mut content)?;
    if read as u64 > super::MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 256 MiB"));
    }
    Ok(content)
}

fn beside_name() -> std::ffi::OsString {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Random, so that nobody can foresee it; made with O_EXCL all the same.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!(".ringfence-{:016x}", hasher.finish()).into()
}

/// Directories by descriptor: nothing that is done in one can be led elsewhere.
#[cfg(unix)]
mod place {
    use super::{beside_name, read_file};
    use ringfence_model::AbsPath;
    use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Component;

    pub(super) struct Dir(OwnedFd);

    impl Dir {
        pub(super) fn open(path: &AbsPath) -> io::Result<Self> {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            let mut dir = rustix::fs::open("/", flags, Mode::empty())?;
            for part in path.as_path().components() {
                if let Component::Normal(name) = part {
                    dir = rustix::fs::openat(&dir, name, flags, Mode::empty())?;
                }
            }
            Ok(Self(dir))
        }

        pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<(Vec<u8>, u32)>> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let meta = file.metadata()?;
            if !meta.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it isn't a regular file"));
            }
            let mode = meta.permissions().mode();
            Ok(Some((read_file(file)?, mode)))
        }

        pub(super) fn create_beside(&self, mode: u32) -> io::Result<(OsString, File)> {
            let name = beside_name();
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut own = Mode::empty();
            own.set(Mode::RUSR, mode & 0o400 != 0);
            own.set(Mode::WUSR, mode & 0o200 != 0);
            let file = rustix::fs::openat(&self.0, &name, flags, own)?;
            Ok((name, File::from(file)))
        }

        pub(super) fn make_dir(&self, name: &OsStr) -> io::Result<()> {
            Ok(rustix::fs::mkdirat(&self.0, name, Mode::from_bits_truncate(0o777))?)
        }

        pub(super) fn set_aside(&self, name: &OsStr) -> io::Result<OsString> {
            let kept = beside_name();
            self.rename_new(name, &kept)?;
            Ok(kept)
        }

        /// Renames, unless something has the new name.
        pub(super) fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
            #[cfg(any(target_os = "linux", target_os = "macos"))]
            match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
                // File systems that can't say "unless it is there".
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
                other => return Ok(other?),
            }
            if rustix::fs::statat(&self.0, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
        }

        pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }
    }

    pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(mode & 0o777))
    }
}

/// Directories by path, on systems without the calls above.
#[cfg(not(unix))]
mod place {
    use super::{beside_name, read_file};
    use ringfence_model::AbsPath;
    use std::ffi::{OsStr, OsString};
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::PathBuf;

    pub(super) struct Dir(PathBuf);

    impl Dir {
        pub(super) fn open(path: &AbsPath) -> io::Result<Self> {
            if fs::canonicalize(path.as_path())? != path.as_path() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads elsewhere"));
            }
            Ok(Self(path.as_path().to_path_buf()))
        }

        pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<(Vec<u8>, u32)>> {
            match File::open(self.0.join(name)) {
                Ok(file) => Ok(Some((read_file(file)?, 0o644))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }

        pub(super) fn create_beside(&self, _: u32) -> io::Result<(OsString, File)> {
            let name = beside_name();
            let file = OpenOptions::new().create_new(true).write(true).open(self.0.join(&name))?;
            Ok((name, file))
        }

        pub(super) fn make_dir(&self, name: &OsStr) -> io::Result<()> {
            fs::create_dir(self.0.join(name))
        }

        pub(super) fn set_aside(&self, name: &OsStr) -> io::Result<OsString> {
            let kept = beside_name();
            self.rename_new(name, &kept)?;
            Ok(kept)
        }

        pub(super) fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
            if self.0.join(to).symlink_metadata().is_ok() {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            fs::rename(self.0.join(from), self.0.join(to))
        }

        pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
            fs::remove_file(self.0.join(name))
        }
    }

    pub(super) fn set_mode(_: &File, _: u32) -> io::Result<()> {
        Ok(())
    }
}
