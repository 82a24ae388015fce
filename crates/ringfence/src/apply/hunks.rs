//! Working out the new content of a file: each hunk is found where its old lines are, and nowhere else.

use super::{Hunk, Line};
use serde::Serialize;

/// Steps spent on finding the nearest candidate of a hunk that doesn't fit.
const MAX_STEPS: usize = 20_000_000;

/// A hunk that doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Which hunk of the file, counted from 1.
    pub hunk: usize,
    /// The first old line that was looked for, escaped.
    pub expected: String,
    /// The place that is most like it.
    pub nearest: Option<Near>,
}

/// A place in a file that is like what was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Near {
    /// The line, counted from 1.
    pub line: usize,
    /// How many of the old lines are there.
    pub same: usize,
    /// How many there should be.
    pub of: usize,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hunk {} doesn't fit: `{}` isn't found with the lines around it", self.hunk, self.expected)?;
        match self.nearest {
            Some(near) => {
                write!(f, "; nearest is line {}, where {} of {} lines are the same", near.line, near.same, near.of)
            }
            None => Ok(()),
        }
    }
}

/// One line of a file: its text and its line end, which may be empty at the end of the file.
#[derive(Clone)]
struct FileLine<'c> {
    text: &'c [u8],
    end: &'c [u8],
}

/// How closely lines are compared: each in turn, until one finds the place.
#[derive(Clone, Copy)]
enum Like {
    Same,
    IgnoringBlanksAtEnd,
    IgnoringBlanksAround,
}

/// The content with the hunks applied. Pure.
pub fn change(content: &[u8], hunks: &[Hunk]) -> Result<Vec<u8>, Conflict> {
    let lines: Vec<FileLine<'_>> = content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| match line.strip_suffix(b"\r\n") {
            Some(text) => FileLine { text, end: b"\r\n" },
            None => match line.strip_suffix(b"\n") {
                Some(text) => FileLine { text, end: b"\n" },
                None => FileLine { text: line, end: b"" },
            },
        })
        .collect();
    let windows = lines.iter().filter(|line| line.end == b"\r\n").count() * 2 > lines.len();
    let end: &[u8] = if windows { b"\r\n" } else { b"\n" };
    let mut out: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(lines.len());
    let mut done = 0;
    // How far the hunks so far were from where they said.
    let mut drift: isize = 0;
    let mut no_newline = false;
    for (index, hunk) in hunks.iter().enumerate() {
        let old: Vec<&[u8]> = hunk.lines.iter().filter_map(old_text).map(|text| strip_cr(text, windows)).collect();
        let place =
            find(&lines, hunk, &old, done, drift, windows).ok_or_else(|| conflict(&lines, index, hunk, &old))?;
        if let Some(at) = hunk.at {
            drift = isize::try_from(place).unwrap_or(0)
                - isize::try_from(at.saturating_sub(usize::from(!old.is_empty()))).unwrap_or(0);
        }
        let skipped = lines.get(done..place).unwrap_or_default();
        out.extend(skipped.iter().map(|line| (line.text.to_vec(), line.end.to_vec())));
        let mut here = place;
        for line in &hunk.lines {
            match line {
                Line::Keep(_) => {
                    // The file's own bytes stay, also where they were found by looking past blanks.
                    if let Some(line) = lines.get(here) {
                        out.push((line.text.to_vec(), line.end.to_vec()));
                    }
                    here += 1;
                }
                Line::Remove(_) => here += 1,
                Line::Add(text) => out.push((strip_cr(text, windows).to_vec(), end.to_vec())),
            }
        }
        done = here;
        no_newline = hunk.no_newline && done >= lines.len();
    }
    let rest = lines.get(done..).unwrap_or_default();
    out.extend(rest.iter().map(|line| (line.text.to_vec(), line.end.to_vec())));
    let last = out.len().saturating_sub(1);
    let mut content = Vec::new();
    for (index, (text, line_end)) in out.into_iter().enumerate() {
        content.extend_from_slice(&text);
        if index == last {
            content.extend_from_slice(if no_newline { b"" } else { &line_end });
        } else if line_end.is_empty() {
            // What was the last line isn't any more.
            content.extend_from_slice(end);
        } else {
            content.extend_from_slice(&line_end);
        }
    }
    Ok(content)
}

fn old_text(line: &Line) -> Option<&[u8]> {
    match line {
        Line::Keep(text) | Line::Remove(text) => Some(text),
        Line::Add(_) => None,
    }
}

/// In a file with Windows line ends a patch may have them or not.
fn strip_cr(text: &[u8], windows: bool) -> &[u8] {
    if windows { text.strip_suffix(b"\r").unwrap_or(text) } else { text }
}

fn find(lines: &[FileLine<'_>], hunk: &Hunk, old: &[&[u8]], from: usize, drift: isize, windows: bool) -> Option<usize> {
    match hunk.at {
        Some(at) => by_number(lines, at, old, from, drift),
        None => by_context(lines, hunk, old, from, windows),
    }
}

/// The place nearest to the number, at which all old lines are exactly there.
fn by_number(lines: &[FileLine<'_>], at: usize, old: &[&[u8]], from: usize, drift: isize) -> Option<usize> {
    if old.is_empty() {
        // Only additions: behind the line that is named. A count of 0 names the line before.
        let place = at.saturating_add_signed(drift).clamp(from, lines.len().max(from));
        return (place <= lines.len()).then_some(place);
    }
    let last = lines.len().checked_sub(old.len())?;
    let wanted = at.saturating_sub(1).saturating_add_signed(drift).clamp(from, last.max(from));
    let farthest = lines.len();
    (0..=farthest)
        .flat_map(|distance| [wanted.checked_add(distance), wanted.checked_sub(distance)])
        .flatten()
        .find(|place| *place >= from && *place <= last && matches_at(lines, *place, old, Like::Same))
}

/// The first place behind what was changed already, under the hunk's header.
fn by_context(lines: &[FileLine<'_>], hunk: &Hunk, old: &[&[u8]], from: usize, windows: bool) -> Option<usize> {
    let from = match &hunk.under {
        None => from,
        Some(header) => {
            let header = strip_cr(header, windows);
            let under = [Like::Same, Like::IgnoringBlanksAtEnd, Like::IgnoringBlanksAround]
                .into_iter()
                .find_map(|like| (from..lines.len()).find(|place| matches_at(lines, *place, &[header], like)))?;
            under + 1
        }
    };
    if old.is_empty() {
        // Additions without context go to the end of the file, or right under their header.
        return Some(if hunk.under.is_some() && !hunk.at_end { from } else { lines.len() });
    }
    let last = lines.len().checked_sub(old.len())?;
    [Like::Same, Like::IgnoringBlanksAtEnd, Like::IgnoringBlanksAround].into_iter().find_map(|like| {
        if hunk.at_end {
            return (last >= from && matches_at(lines, last, old, like)).then_some(last);
        }
        (from..=last).find(|place| matches_at(lines, *place, old, like))
    })
}

fn matches_at(lines: &[FileLine<'_>], place: usize, old: &[&[u8]], like: Like) -> bool {
    let Some(there) = lines.get(place..place + old.len()) else { return false };
    there.iter().zip(old).all(|(line, old)| match like {
        Like::Same => line.text == *old,
        Like::IgnoringBlanksAtEnd => line.text.trim_ascii_end() == old.trim_ascii_end(),
        Like::IgnoringBlanksAround => line.text.trim_ascii() == old.trim_ascii(),
    })
}

fn conflict(lines: &[FileLine<'_>], index: usize, hunk: &Hunk, old: &[&[u8]]) -> Conflict {
    let expected = old.iter().find(|line| !line.trim_ascii().is_empty()).or(old.first()).copied();
    let expected = expected.or(hunk.under.as_deref()).unwrap_or_default();
    let mut nearest: Option<Near> = None;
    if lines.len().saturating_mul(old.len()) <= MAX_STEPS {
        for place in 0..lines.len() {
            let there = lines.get(place..).unwrap_or_default();
            let same = there.iter().zip(old).filter(|(line, old)| line.text.trim_ascii() == old.trim_ascii()).count();
            if same > 0 && nearest.is_none_or(|near| same > near.same) {
                nearest = Some(Near { line: place + 1, same, of: old.len() });
            }
        }
    }
    let shown = expected.get(..expected.len().min(200)).unwrap_or(expected);
    Conflict { hunk: index + 1, expected: ringfence_model::text::escape_bytes(shown), nearest }
}
