//! "Did you mean": the closest of some known words, or none if nothing is close.

/// The known word closest to `word`, if at most a third of its letters (and at most three) differ.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known.map(|near| (distance(word, near), near)).filter(|(far, _)| *far <= limit).min().map(|(_, near)| near)
}

/// Edits between two words: insert, delete, replace, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    let b: Vec<char> = b.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn close_words_are_found_and_far_ones_are_not() {
        let known = ["sandbox_mode", "approval_policy", "git"];
        assert_eq!(nearest("sandbox-mode", known.into_iter()), Some("sandbox_mode"));
        assert_eq!(nearest("sandobx_mode", known.into_iter()), Some("sandbox_mode"));
        assert_eq!(nearest("aproval_polcy", known.into_iter()), Some("approval_policy"));
        assert_eq!(nearest("gti", known.into_iter()), Some("git"));
        assert_eq!(nearest("colour", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
    }
}
