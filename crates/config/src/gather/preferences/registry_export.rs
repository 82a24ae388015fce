//! A value of a registry export (`.reg`): what `reg export` and the registry editor write, and administrators review.

use super::PreferenceError;

/// The text of a value below a key; none if it isn't there. Later entries count, and `[-KEY]` or `"NAME"=-` remove.
pub fn read_registry_export(bytes: &[u8], key: &str, name: &str) -> Result<Option<String>, PreferenceError> {
    let malformed = |why: String| PreferenceError::Malformed { expected: "a registry export", why };
    if bytes.len() > crate::document::MAX_BYTES * 4 {
        return Err(malformed("it is too large".into()));
    }
    let text = decode(bytes).ok_or_else(|| malformed("it is neither UTF-16 nor UTF-8".into()))?;
    let mut lines = text.lines().map(str::trim_end).enumerate();
    match lines.by_ref().map(|(_, line)| line).find(|line| !line.trim().is_empty()) {
        Some("Windows Registry Editor Version 5.00" | "REGEDIT4") => {}
        _ => return Err(malformed("its first line isn't `Windows Registry Editor Version 5.00`".into())),
    }
    let (mut here, mut found) = (false, None);
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        while line.ends_with('\\') && !line.ends_with("\\\\") && line.contains("=hex") {
            line.pop();
            match lines.next() {
                Some((_, more)) => line.push_str(more.trim()),
                None => return Err(malformed(format!("line {}: the value goes on, and the file ends", number + 1))),
            }
        }
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (removed, section) = match section.strip_prefix('-') {
                Some(section) => (true, section),
                None => (false, section),
            };
            here = !removed && section.eq_ignore_ascii_case(key);
            let above = section.len() < key.len()
                && key.get(..section.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(section))
                && key.get(section.len()..).is_some_and(|rest| rest.starts_with('\\'));
            if removed && (above || section.eq_ignore_ascii_case(key)) {
                found = None;
            }
            continue;
        }
        if !here || !line.starts_with('"') {
            continue;
        }
        let bad = |why: &str| malformed(format!("line {}: {why}", number + 1));
        let (entry, rest) = quoted(&line).ok_or_else(|| bad("a name isn't closed"))?;
        if !entry.eq_ignore_ascii_case(name) {
            continue;
        }
        let rest = rest.trim_start().strip_prefix('=').ok_or_else(|| bad("`=` is missing"))?.trim_start();
        found = match rest {
            "-" => None,
            rest if rest.starts_with('"') => {
                let (text, after) = quoted(rest).ok_or_else(|| bad("a string isn't closed"))?;
                if !after.trim().is_empty() {
                    return Err(bad("something follows the string"));
                }
                Some(text)
            }
            rest => match rest.strip_prefix("hex(2):").or_else(|| rest.strip_prefix("hex(1):")) {
                Some(bytes) => Some(hex_text(bytes).ok_or_else(|| bad("the bytes aren't UTF-16 text"))?),
                None => return Err(PreferenceError::NotText(name.to_owned())),
            },
        };
    }
    Ok(found)
}

fn decode(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] if rest.len().is_multiple_of(2) => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// A string in quotes and what follows it; `\\` and `\"` are the escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

fn hex_text(bytes: &str) -> Option<String> {
    let bytes: Vec<u8> = bytes
        .split(',')
        .map(str::trim)
        .filter(|byte| !byte.is_empty())
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect::<Option<_>>()?;
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}
