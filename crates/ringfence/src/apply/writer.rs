//! The writer: a process of its own, confined to the directories of one patch, that works the patch out and writes it.
//!
//! It reads its job from standard input: one line of JSON that says where every name leads, as that was judged, and the
//! patch. It answers with one line of JSON. It decides nothing, and what the kernel holds doesn't rest on it.

use super::{Done, MAX_FILES, MAX_PATCH, Places, parse, work};
use ringfence_model::{AbsPath, OsText};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

const SCHEMA: &str = "ringfence.dev/v1/patch-job";

/// Longest first line: every file of the largest patch, moved, with the longest names there are.
const MAX_HEAD: usize = MAX_FILES * 2 * 16 * 1024;

/// Longest answer that is believed.
#[cfg(target_os = "linux")]
const MAX_ANSWER: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: String,
    places: Vec<(OsText, AbsPath)>,
}

/// What a writer says in the end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// All of it was written.
    Written(Vec<Done>),
    /// Nothing was, and why: what failed, and what lies behind it.
    Failed(Vec<String>),
}

/// A job for a writer, as bytes.
pub(crate) fn job(places: &Places, patch: &[u8]) -> io::Result<Vec<u8>> {
    let places = places.iter().map(|(named, path)| (named.clone(), path.clone())).collect();
    let mut bytes = serde_json::to_vec(&Head { schema: SCHEMA.to_owned(), places })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(patch);
    Ok(bytes)
}

/// Reads a writer's answer.
#[cfg(target_os = "linux")]
pub(crate) fn read_answer(from: impl Read) -> io::Result<Answer> {
    let mut text = Vec::new();
    from.take(MAX_ANSWER).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The whole life of a writer: the job from `input`, the answer to `output`. For a program that a session starts inside a
/// sandbox, see [`Opening::writer`](crate::Opening).
pub fn write_inside(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let answer = match carry_out(input) {
        Ok(done) => Answer::Written(done),
        Err(said) => Answer::Failed(said),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    output.write_all(&bytes)?;
    output.flush()
}

fn carry_out(input: impl Read) -> Result<Vec<Done>, Vec<String>> {
    let mut bytes = Vec::new();
    let most = (MAX_HEAD + MAX_PATCH) as u64;
    input.take(most).read_to_end(&mut bytes).map_err(|error| vec!["read the job".to_owned(), error.to_string()])?;
    let no_job = |why: String| vec!["this is no job for a writer".to_owned(), why];
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| no_job("it has one line only".to_owned()))?;
    let (head, patch) = bytes.split_at(end);
    let head: Head = serde_json::from_slice(head).map_err(|error| no_job(error.to_string()))?;
    if head.schema != SCHEMA {
        return Err(no_job("it is of another version".to_owned()));
    }
    let patch = parse(patch.get(1..).unwrap_or_default()).map_err(|error| said(&error))?;
    work(&patch, &head.places.into_iter().collect()).map_err(|error| said(&error))
}

/// An error and what lies behind it.
fn said(error: &dyn std::error::Error) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        said.push(cause.to_string());
        source = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_where_every_name_leads_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = AbsPath::new(std::fs::canonicalize(dir.path()).expect("it exists")).expect("a path");
        let patch = b"--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+hi\n";
        let named = OsText::new("new");
        let run = |job: &[u8]| {
            let mut out = Vec::new();
            write_inside(job, &mut out).expect("an answer");
            read_answer(out.as_slice()).expect("an answer")
        };
        let unjudged = job(&Places::new(), patch).expect("a job");
        assert!(matches!(run(&unjudged), Answer::Failed(said) if said[0].contains("wasn't judged")));
        assert!(matches!(run(b"{}\n"), Answer::Failed(_)) && matches!(run(b""), Answer::Failed(_)));
        let place = here.join("elsewhere").expect("a path");
        let judged = job(&Places::from([(named, place.clone())]), patch).expect("a job");
        assert!(matches!(run(&judged), Answer::Written(done) if done.len() == 1));
        assert_eq!(std::fs::read_to_string(place.as_path()).expect("written"), "hi\n");
    }

    #[cfg(unix)]
    #[test]
    fn fs_03_a_link_that_took_the_place_of_a_judged_directory_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = AbsPath::new(std::fs::canonicalize(dir.path()).expect("it exists")).expect("a path");
        std::fs::create_dir(here.as_path().join("out")).expect("a directory");
        std::os::unix::fs::symlink("out", here.as_path().join("sub")).expect("a link");
        let patch = b"--- /dev/null\n+++ b/sub/new\n@@ -0,0 +1 @@\n+hi\n";
        let judged = Places::from([(OsText::new("sub/new"), here.join("sub/new").expect("a path"))]);
        let mut out = Vec::new();
        write_inside(job(&judged, patch).expect("a job").as_slice(), &mut out).expect("an answer");
        assert!(matches!(read_answer(out.as_slice()).expect("an answer"), Answer::Failed(_)));
        assert_eq!(std::fs::read_dir(here.as_path().join("out")).expect("out").count(), 0);
    }
}
