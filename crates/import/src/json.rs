//! JSON with line numbers; comments and a comma before a closing bracket are accepted, since some agents accept them.
//!
//! A key that stands twice is an error: which of the two an agent takes isn't worth guessing.

use crate::node::{Field, MAX_DEPTH, MAX_VALUES, Node, ParseError, Value, check_size};

/// Reads one document; empty text is an empty table, as agents take it.
pub(crate) fn parse(text: &str) -> Result<Node, ParseError> {
    check_size(text)?;
    let mut reader = Reader { text, at: 0, line: 1, line_start: 0, count: 0 };
    reader.space()?;
    if reader.peek().is_none() {
        return Ok(Node::new(1, Value::Table(Vec::new())));
    }
    let node = reader.value(0)?;
    reader.space()?;
    if reader.peek().is_some() {
        return Err(reader.error("there is more text after the end"));
    }
    if !node.is_table() {
        return Err(ParseError { line: node.line, column: 1, why: "the file must hold one object".to_owned() });
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    count: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.line_start = self.at;
        }
        Some(c)
    }

    fn error(&self, why: &str) -> ParseError {
        let column = self.text.get(self.line_start..self.at).map_or(0, |before| before.chars().count()) + 1;
        ParseError { line: self.line, column: u32::try_from(column).unwrap_or(u32::MAX), why: why.to_owned() }
    }

    fn space(&mut self) -> Result<(), ParseError> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r' | '\n') => drop(self.next()),
                Some('/') if self.rest().starts_with("//") => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                Some('/') if self.rest().starts_with("/*") => {
                    let Some(length) = self.rest().get(2..).and_then(|rest| rest.find("*/")) else {
                        return Err(self.error("this comment has no end"));
                    };
                    let end = self.at + 2 + length + 2;
                    while self.at < end {
                        self.next();
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, ParseError> {
        self.count += 1;
        if depth > MAX_DEPTH {
            return Err(self.error("values are nested more than 64 deep"));
        }
        if self.count > MAX_VALUES {
            return Err(self.error("the file has more than 10000 values"));
        }
        let line = self.line;
        let value = match self.peek() {
            Some('{') => self.table(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Text(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z') => self.word()?,
            Some(_) => return Err(self.error("a value was expected")),
            None => return Err(self.error("the file ends in the middle")),
        };
        Ok(Node::new(line, value))
    }

    fn table(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.next();
        let mut fields: Vec<Field> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            self.space()?;
            match self.peek() {
                Some('}') => {
                    self.next();
                    return Ok(Value::Table(fields));
                }
                Some('"') => {}
                Some(_) => return Err(self.error("a key in double quotes or `}` was expected")),
                None => return Err(self.error("the file ends in the middle")),
            }
            let line = self.line;
            let name = self.string()?;
            if !names.insert(name.clone()) {
                return Err(self.error("this key stands here twice"));
            }
            self.space()?;
            if self.next() != Some(':') {
                return Err(self.error("`:` was expected after the key"));
            }
            self.space()?;
            let node = self.value(depth + 1)?;
            fields.push(Field { name, line, node });
            self.separator('}')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.space()?;
            if self.peek() == Some(']') {
                self.next();
                return Ok(Value::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.separator(']')?;
        }
    }

    fn separator(&mut self, end: char) -> Result<(), ParseError> {
        self.space()?;
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(())
            }
            Some(c) if c == end => Ok(()),
            Some(_) => Err(self.error("`,` was expected")),
            None => Err(self.error("the file ends in the middle")),
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) if u32::from(c) < 0x20 => return Err(self.error("a text contains a control character")),
                Some(c) => text.push(c),
                None => return Err(self.error("a text has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let c = match self.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if self.next() != Some('\\') || self.next() != Some('u') {
                        return Err(self.error("half of a character's escape is missing"));
                    }
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.error("half of a character's escape is missing"));
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.error("this escape is no character"))?
            }
            _ => return Err(self.error("this escape isn't known")),
        };
        if c == '\0' { Err(self.error("a text contains a NUL character")) } else { Ok(c) }
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|c| c.to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.error("four hexadecimal digits were expected"))?;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let length = self.rest().find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let text = self.rest().get(..length.unwrap_or(self.rest().len())).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() > 1
            && digits.starts_with('0')
            && digits.as_bytes().get(1).copied().is_some_and(|byte| byte.is_ascii_digit())
            || !digits.starts_with(|c: char| c.is_ascii_digit())
            || digits.contains(".e")
            || digits.contains(".E")
            || digits.ends_with('.')
        {
            return Err(self.error("this is no number"));
        }
        let value = match text.parse::<i64>() {
            Ok(number) => Value::Integer(number),
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Float(number),
                _ => return Err(self.error("this is no number")),
            },
        };
        self.at += text.len();
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if let Some(after) = self.rest().strip_prefix(word)
                && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("`true`, `false` or `null` was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(ours: &Node, theirs: &serde_json::Value) -> bool {
        match (&ours.value, theirs) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Integer(a), serde_json::Value::Number(b)) => b.as_i64() == Some(*a),
            (Value::Float(a), serde_json::Value::Number(b)) => {
                b.as_f64().is_some_and(|b| (a - b).abs() <= b.abs() * 1e-12)
            }
            (Value::Text(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Table(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|field| b.get(&field.name).is_some_and(|b| same(&field.node, b)))
            }
            _ => false,
        }
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            (-1e9f64..1e9).prop_map(serde_json::Value::from),
            "[^\0]{0,8}".prop_map(serde_json::Value::from),
        ];
        let tree = leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[^\0]{0,6}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map("[^\0]{0,6}", tree, 0..5)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn it_reads_what_another_reader_reads(value in document(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let node = parse(&text.expect("json")).expect("read");
            prop_assert!(same(&node, &value));
        }

        #[test]
        fn what_it_reads_without_comments_is_json(text in r#"[\[\]{}":,a0e.+\-tru\\ \n]{0,16}"#) {
            if let Ok(node) = parse(&format!("{{\"k\":{text}}}")) {
                let strict = format!("{{\"k\":{text}}}").replace(",}", "}").replace(",]", "]");
                if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&strict) {
                    prop_assert!(same(&node, &theirs), "{}", text);
                }
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = parse(&text);
            let _ = crate::node::parse_toml(&text);
        }
    }

    #[test]
    fn comments_commas_and_lines() {
        let node = parse("// first\n{ \"a\": [1, /* two\nlines */ 2,],\n \"b\": {} , }\n").expect("read");
        assert_eq!(node.field("a").map(|field| field.line), Some(2));
        assert_eq!(
            node.at(&["a"]).and_then(Node::as_list).map(|items| items.iter().map(|item| item.line).collect()),
            Some(vec![2, 3])
        );
        assert_eq!(node.field("b").map(|field| field.line), Some(4));
    }

    #[test]
    fn mistakes_name_line_and_column() {
        for (text, line, said) in [
            ("{\n  \"a\": 1,\n  \"a\": 2\n}", 3, "twice"),
            ("{\n \"a\" 1}", 2, "`:`"),
            ("[]", 1, "one object"),
            ("{} {}", 1, "after the end"),
            ("{\"a\": 01}", 1, "no number"),
            ("{\"a\": nul}", 1, "`true`"),
            ("{\"a\": \"", 1, "no end"),
            ("{\"a\": \"\\ud800\"}", 1, "missing"),
            ("{\"a\": \"\\u0000\"}", 1, "NUL"),
            ("\u{feff}{}", 1, "byte order mark"),
            ("{ /* ", 1, "no end"),
            ("{", 1, "ends in the middle"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.line == line && error.why.contains(said), "{text}: {error:?}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(parse(&deep).expect_err("deep").why.contains("64 deep"));
        assert!(parse(&format!("{{\"a\":[{}0]}}", "0,".repeat(20_000))).expect_err("many").why.contains("10000"));
    }
}
