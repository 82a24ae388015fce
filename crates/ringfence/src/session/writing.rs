//! Writing a patch through the sandbox: the confinement that one patch needs, and the process inside that writes it.
//!
//! The process is Ringfence's own program, and nothing is believed of it: the kernel holds that only the directories of the
//! judged files can be written, less what is protected there, and that nothing leaves. A link that is swapped in under a
//! judged name leads nowhere it could write.

use super::Session;
use super::apply::ApplyError;
use super::authorize::Authorization;
use crate::apply::{self, Done, Places};
use crate::facts;
use ringfence_model::action::{ChangeKind, Edit};
use ringfence_model::confinement::{Confinement, NetworkWish, Tmp, UnixSockets, WritableRoot};
use ringfence_model::facts::FileId;
use ringfence_model::mode::{GitAccess, SandboxMode};
use ringfence_model::{AbsPath, Origin, Sourced};
use std::collections::BTreeMap;

/// Where the pieces of a writer's confinement come from.
const ORIGIN: &str = "writing a patch";

/// What the writer of `edit` may do: write the directories of its files, and what is protected there only where the edit
/// names it.
pub(super) fn confinement(judged: &Confinement, edit: &Edit, writer: &AbsPath) -> std::io::Result<Confinement> {
    let mut wish = judged.clone();
    let origin = || Origin::builtin(ORIGIN);
    wish.environment.clear();
    wish.environment_dropped.clear();
    wish.keep_background = Sourced::new(false, origin());
    if wish.mode.value == SandboxMode::DangerFullAccess {
        return Ok(wish);
    }
    wish.network = Sourced::new(NetworkWish::Off, origin());
    wish.unix_sockets = UnixSockets::Only(Vec::new());
    // A file below `/tmp` is the host's, or somebody's yes was for nothing.
    wish.tmp = Sourced::new(Tmp::Shared, origin());
    wish.git = Sourced::new(GitAccess::ReadOnly, origin());
    wish.git_dirs.clear();
    wish.reads.also.push(Sourced::new(writer.clone(), origin()));
    let mut roots: Vec<WritableRoot> = Vec::new();
    for change in &edit.changes {
        let root = existing_directory(&change.path)?;
        wish.reads.also.push(Sourced::new(root.path.clone(), origin()));
        if roots.iter().any(|other| root.path.is_within(&other.path)) {
            continue;
        }
        roots.retain(|other| !other.path.is_within(&root.path));
        roots.push(root);
    }
    roots.sort();
    // Somebody's yes to this very file is what got it this far, if it is protected.
    wish.protected.retain(|entry| {
        roots.iter().any(|root| entry.path.is_within(&root.path))
            && !edit.changes.iter().any(|change| change.path.is_within(&entry.path))
    });
    wish.roots = roots;
    // Where everything was read-only, the writer writes what somebody said yes to.
    wish.mode.value = SandboxMode::WorkspaceWrite;
    wish.reads.also.sort();
    wish.reads.also.dedup();
    Ok(wish)
}

/// Which file is there.
fn found(path: &AbsPath) -> Option<FileId> {
    std::fs::symlink_metadata(path.as_path()).ok().map(|meta| facts::file_id(&meta))
}

/// The nearest directory above a file that is there.
fn existing_directory(file: &AbsPath) -> std::io::Result<WritableRoot> {
    let mut at = file.parent();
    while let Some(path) = at {
        match std::fs::symlink_metadata(path.as_path()) {
            Ok(meta) if meta.is_dir() => {
                return Ok(WritableRoot { path, id: facts::file_id(&meta), origin: Origin::builtin(ORIGIN) });
            }
            Ok(_) => return Err(std::io::Error::from(std::io::ErrorKind::NotADirectory)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => at = path.parent(),
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::from(std::io::ErrorKind::NotFound))
}

impl Session {
    /// Has `writer` write what was authorized.
    pub(super) fn write_through(
        &self,
        writer: &[ringfence_model::OsText],
        authorization: &Authorization,
        edit: &Edit,
        places: &Places,
        patch: &[u8],
    ) -> Result<Vec<Done>, ApplyError> {
        let failed = |what: &'static str| {
            move |cause: std::io::Error| ApplyError::NotWritten { said: vec![what.to_owned(), cause.to_string()] }
        };
        let program = writer.first().and_then(|program| AbsPath::new(program.as_os_str()).ok());
        let program =
            program.ok_or_else(|| ApplyError::Writer { what: "isn't named by an absolute path".to_owned() })?;
        let wish = confinement(&authorization.run.confinement, edit, &program)
            .map_err(failed("the directory of a file can't be used"))?;
        let job = apply::job(places, patch).map_err(failed("the job can't be written down"))?;
        let before: Vec<Option<FileId>> = edit.changes.iter().map(|change| found(&change.path)).collect();
        let done = self.run_writer(writer, authorization, &wish, &job)?;
        let mut times: BTreeMap<&AbsPath, usize> = BTreeMap::new();
        edit.changes.iter().for_each(|change| *times.entry(&change.path).or_default() += 1);
        // What it says is held against what is there: a place that only the sandbox has (its own `/dev/shm`) isn't ours.
        for (change, before) in edit.changes.iter().zip(before) {
            if times.get(&change.path).is_some_and(|times| *times > 1) {
                continue;
            }
            let now = found(&change.path);
            let as_said = match change.kind {
                ChangeKind::Delete | ChangeKind::MoveFrom => now.is_none(),
                _ => now.is_some() && now != before,
            };
            if !as_said {
                let what = format!("said that `{}` was written, and it wasn't", change.named.display());
                return Err(ApplyError::Writer { what });
            }
        }
        Ok(done)
    }

    /// Starts the writer inside and hears what it says of the job.
    fn run_writer(
        &self,
        writer: &[ringfence_model::OsText],
        authorization: &Authorization,
        wish: &Confinement,
        job: &[u8],
    ) -> Result<Vec<Done>, ApplyError> {
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (writer, authorization, wish, job);
            Err(ApplyError::Inside(super::PerformError::NoEnforcer))
        }
        #[cfg(target_os = "linux")]
        {
            use super::perform::Wishes;
            use super::{Flow, Streams};
            use ringfence_sandbox::Stdio;
            use std::io::{Seek, SeekFrom};

            let failed = |cause: std::io::Error| ApplyError::NotWritten {
                said: vec!["memory for the job can't be had".to_owned(), cause.to_string()],
            };
            // Files without a name: neither side waits for the other, whatever their sizes.
            let input = memory(job).map_err(failed)?;
            let mut output = memory(&[]).map_err(failed)?;
            let streams = Streams {
                stdin: Stdio::Descriptor(input.into()),
                stdout: Stdio::Descriptor(output.try_clone().map_err(failed)?.into()),
                ..Streams::default()
            };
            let report = self
                .perform_argv(authorization, &Wishes::one(wish), writer.to_vec(), Flow { streams, ..Flow::default() })
                .map_err(ApplyError::Inside)?;
            output.seek(SeekFrom::Start(0)).map_err(failed)?;
            match apply::read_answer(&mut output) {
                Ok(apply::Answer::Written(done)) if report.exit.is_some_and(|exit| exit.status() == 0) => Ok(done),
                Ok(apply::Answer::Failed(said)) if !said.is_empty() => Err(ApplyError::NotWritten { said }),
                _ => {
                    let status = report.exit.map_or(0, |exit| exit.status());
                    Err(ApplyError::Writer { what: format!("ended with status {status} and no answer") })
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn memory(content: &[u8]) -> std::io::Result<std::fs::File> {
    use std::io::{Seek, SeekFrom, Write};

    let file = rustix::fs::memfd_create("ringfence-patch", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
