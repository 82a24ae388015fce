//! Finding a program: in the plan's `PATH`, and nowhere that the system would look by itself, such as the working
//! directory.

use super::words::is_batch;
use crate::enforced::StartError;
use crate::plan::Plan;
use ringfence_model::OsText;
use std::io;
use std::path::{Path, PathBuf};

/// The file of a program.
pub(super) fn find(name: &OsText, plan: &Plan) -> Result<PathBuf, StartError> {
    let shown = name.display();
    let missing = || StartError::NotFound { program: shown.clone(), cause: io::Error::from(io::ErrorKind::NotFound) };
    let path = Path::new(name.as_os_str());
    let found = if path.components().count() > 1 {
        // Named by a path: relative to the command's directory.
        with_extension(&plan.cwd.as_path().join(path))
    } else {
        let search =
            plan.environment.iter().find(|var| var.name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("PATH")));
        let search = search.map(|var| var.value.as_os_str().to_owned()).unwrap_or_default();
        std::env::split_paths(&search)
            .filter(|directory| directory.is_absolute())
            .find_map(|directory| with_extension(&directory.join(path)))
    };
    let found = found.ok_or_else(missing)?;
    if is_batch(&found.to_string_lossy()) {
        return Err(StartError::NotExecutable {
            program: shown,
            cause: io::Error::other(
                "it is a batch file, whose arguments a shell would read anew: start it by `cmd /c`",
            ),
        });
    }
    Ok(found)
}

fn with_extension(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some() && path.is_file() {
        return Some(path.to_path_buf());
    }
    ["exe", "com", "bat", "cmd"].iter().find_map(|extension| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        let file = PathBuf::from(name);
        file.is_file().then_some(file)
    })
}
