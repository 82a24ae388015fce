//! Patterns over command lines, as agents write them, read as prefixes of words, as rules say them.
//!
//! A rule matches whole words from the first on. A pattern over characters says something else, so a restriction becomes
//! the shortest prefix that catches everything it catches, and a permission is left out unless it is exactly a prefix.

use crate::tables::SHELL_SPECIAL;

/// What a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    Allow,
    Prompt,
    Forbidden,
}

impl Decision {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Prompt => "prompt",
            Self::Forbidden => "forbidden",
        }
    }
}

/// How a pattern ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing follows: exactly this command line.
    Here,
    /// Further words may follow.
    MoreWords,
    /// Anything may follow, also in the middle of the last word.
    Anything,
}

/// A pattern as a prefix of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The words; empty: any command.
    pub(crate) words: Vec<String>,
    /// Whether it is the pattern exactly; if not, it catches more.
    pub(crate) exact: bool,
}

impl Prefix {
    /// Any command.
    pub(crate) fn everything() -> Self {
        Self { words: Vec::new(), exact: true }
    }
}

/// `Tool` or `Tool(argument)`, as agents write rules about their tools. An argument that says nothing is none, and one that
/// isn't closed isn't a rule for the agent either: to be on the safe side it restricts as the bare tool would.
pub(crate) fn tool_and_argument(text: &str) -> (&str, Option<&str>) {
    let (tool, argument) = match text.split_once('(') {
        Some((tool, rest)) => (tool.trim(), rest.strip_suffix(')').map(str::trim)),
        None => (text, None),
    };
    (tool, argument.filter(|argument| !argument.is_empty() && *argument != "*"))
}

/// Reads literal text and how it goes on.
pub(crate) fn prefix(text: &str, end: End) -> Prefix {
    let mut words = Vec::new();
    let mut exact = end == End::MoreWords;
    let pieces: Vec<&str> = text.split([' ', '\t']).filter(|piece| !piece.is_empty()).collect();
    let ends_in_word = end == End::Anything && !text.is_empty() && !text.ends_with([' ', '\t']);
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        // A variable set for one command, and text that a shell reads, isn't a word of the command.
        let assignment = words.is_empty() && piece.contains('=');
        if assignment || piece.contains(SHELL_SPECIAL) || piece.chars().any(char::is_control) {
            exact = false;
            break;
        }
        if last && ends_in_word {
            exact = false;
            break;
        }
        words.push((*piece).to_owned());
    }
    if words.is_empty() {
        exact = exact && text.trim().is_empty();
    }
    // A path or name of the program with an unusual spelling still is a word; nothing to do.
    Prefix { words, exact }
}

/// The literal text at the beginning of a regular expression, and whether anything may follow it in the same word.
/// Conservative: what isn't plainly literal ends it.
pub(crate) fn regex_literal(pattern: &str) -> String {
    // An alternative at the top may begin with anything at all.
    if pattern.contains('|') && !top_level_free_of_alternatives(pattern) {
        return String::new();
    }
    let mut literal = String::new();
    let mut chars = pattern.strip_prefix('^').unwrap_or(pattern).chars().peekable();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.peek() {
                Some(&escaped) if !escaped.is_alphanumeric() => {
                    chars.next();
                    escaped
                }
                _ => break,
            },
            '.' | '[' | ']' | '(' | ')' | '{' | '}' | '*' | '+' | '?' | '|' | '^' | '$' => break,
            c => c,
        };
        // A repetition makes the character before it optional, or one of many.
        if matches!(chars.peek(), Some('*' | '?' | '+' | '{')) {
            break;
        }
        literal.push(plain);
    }
    literal
}

fn top_level_free_of_alternatives(pattern: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0u32, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, end: End) -> (Vec<String>, bool) {
        let Prefix { words, exact } = prefix(text, end);
        (words, exact)
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_pattern_becomes_the_words_it_surely_has() {
        assert_eq!(of("npm run", End::MoreWords), (words("npm run"), true));
        assert_eq!(of("git push", End::Here), (words("git push"), false));
        assert_eq!(of("git pu", End::Anything), (words("git"), false));
        assert_eq!(of("git ", End::Anything), (words("git"), false));
        assert_eq!(of("ls", End::Anything), (vec![], false));
        assert_eq!(of("curl $URL", End::MoreWords), (words("curl"), false));
        assert_eq!(of("FOO=bar make", End::MoreWords), (vec![], false));
        assert_eq!(of("", End::MoreWords), (vec![], true));
    }

    #[test]
    fn a_regular_expression_gives_its_literal_beginning() {
        for (pattern, literal) in [
            ("git (commit|push)", "git "),
            ("git push.*--force", "git push"),
            ("^rm -rf", "rm -rf"),
            ("a|b", ""),
            ("rm\\s+-rf", "rm"),
            ("ab?c", "a"),
            ("ab{2}", "a"),
            ("a\\.b", "a.b"),
            ("(git|npm)", ""),
            ("[ab]c|d", ""),
            (".*", ""),
        ] {
            assert_eq!(regex_literal(pattern), literal, "{pattern}");
        }
    }
}
