//! A reader of git's configuration syntax, just enough to see which keys it has: sections, quoted subsections, quoting,
//! comments, continued lines. It follows git where git is lenient, so that nothing git would obey is overlooked.

/// One `key = value`, the key as `section.subsection.name` with section and name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The full key.
    pub key: String,
    /// The value; `true` for a key without one.
    pub value: String,
}

/// Reads as far as the text is well formed; what follows an error git doesn't obey either.
pub(super) fn parse(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = String::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None => break,
            Some('#' | ';') => while rest.next_if(|c| *c != '\n').is_some() {},
            Some('[') => {
                rest.next();
                match header(&mut rest) {
                    Some(name) => section = name,
                    None => break,
                }
            }
            Some(c) if c.is_ascii_alphabetic() => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '-') {
                    name.push(c.to_ascii_lowercase());
                }
                while rest.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
                let value = match rest.peek() {
                    Some('=') => {
                        rest.next();
                        match value(&mut rest) {
                            Some(value) => value,
                            None => break,
                        }
                    }
                    None | Some('\n' | '#' | ';') => "true".to_owned(),
                    Some(_) => break,
                };
                entries.push(Entry { key: format!("{section}.{name}"), value });
            }
            Some(_) => break,
        }
    }
    entries
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

fn header(rest: &mut Chars<'_>) -> Option<String> {
    let mut name = String::new();
    loop {
        match rest.next()? {
            ']' => return Some(name),
            c if c.is_ascii_alphanumeric() || c == '-' || c == '.' => name.push(c.to_ascii_lowercase()),
            ' ' | '\t' => break,
            _ => return None,
        }
    }
    while rest.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
    if rest.next()? != '"' {
        return None;
    }
    name.push('.');
    loop {
        match rest.next()? {
            '"' => break,
            '\n' => return None,
            '\\' => name.push(rest.next()?),
            c => name.push(c),
        }
    }
    (rest.next()? == ']').then_some(name)
}

fn value(rest: &mut Chars<'_>) -> Option<String> {
    let mut out = String::new();
    let mut kept = 0;
    let mut quoted = false;
    let mut comment = false;
    while let Some(c) = rest.next() {
        match c {
            '\n' if quoted => return None,
            '\n' => break,
            _ if comment => {}
            ' ' | '\t' if !quoted => {
                if !out.is_empty() {
                    out.push(c);
                }
            }
            '#' | ';' if !quoted => comment = true,
            '\\' => {
                match rest.next()? {
                    '\n' => continue,
                    't' => out.push('\t'),
                    'b' => out.push('\u{8}'),
                    'n' => out.push('\n'),
                    c @ ('\\' | '"') => out.push(c),
                    _ => return None,
                }
                kept = out.len();
            }
            '"' => {
                quoted = !quoted;
                kept = out.len();
            }
            c => {
                out.push(c);
                kept = out.len();
            }
        }
    }
    out.truncate(kept);
    (!quoted).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn what_git_reads_is_read() {
        assert_eq!(
            pairs(
                "[Core]\n\thooksPath = .husky ; c\n[filter \"x\\\"Y\"]\r\nclean=\"./s #\" -a \\\n b\n\tbare\n[a.b] c = d"
            ),
            [
                pair("core.hookspath", ".husky"),
                pair("filter.x\"Y.clean", "./s # -a  b"),
                pair("filter.x\"Y.bare", "true"),
                pair("a.b.c", "d"),
            ]
        );
        assert_eq!(pairs("[core] bare = false\n x = \"open\n y = z"), [pair("core.bare", "false")]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|[\\[\\]\"\\\\\n= #;a]){0,60}") {
            let _ = parse(&text);
        }
    }
}
