//! Arguments and environment in the forms that Windows takes: one line, one block.

/// Arguments as one command line, from which the usual rules read exactly these arguments back.
pub(crate) fn command_line(argv: &[Vec<u16>]) -> Vec<u16> {
    const QUOTE: u16 = 0x22;
    const BACKSLASH: u16 = 0x5c;
    let mut line = Vec::new();
    for (index, argument) in argv.iter().enumerate() {
        if index > 0 {
            line.push(0x20);
        }
        let plain =
            !argument.is_empty() && !argument.iter().any(|unit| matches!(unit, 0x20 | 0x09 | 0x0a | 0x0b | 0x22));
        if plain {
            line.extend_from_slice(argument);
            continue;
        }
        line.push(QUOTE);
        let mut backslashes = 0;
        for &unit in argument {
            match unit {
                BACKSLASH => backslashes += 1,
                QUOTE => {
                    // Those before a quote count double, and the quote itself gets one.
                    line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
                    backslashes = 0;
                }
                _ => backslashes = 0,
            }
            line.push(unit);
        }
        line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
        line.push(QUOTE);
    }
    line.push(0);
    line
}

/// Variables as one block, sorted as the system wants them: without regard to case.
pub(crate) fn environment(variables: &[(Vec<u16>, Vec<u16>)]) -> Vec<u16> {
    let upper = |name: &[u16]| String::from_utf16_lossy(name).to_uppercase();
    let mut sorted: Vec<_> = variables.iter().filter(|(name, _)| !name.is_empty()).collect();
    sorted.sort_by_key(|(name, _)| upper(name));
    sorted.dedup_by_key(|(name, _)| upper(name));
    let mut block = Vec::new();
    for (name, value) in sorted {
        block.extend_from_slice(name);
        block.push(u16::from(b'='));
        block.extend_from_slice(value);
        block.push(0);
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    block
}

/// Whether a program is a batch file. Those are read by a shell whose rules for arguments are others: what is passed to
/// them can become commands.
pub(crate) fn is_batch(program: &str) -> bool {
    let name = program.trim_end_matches([' ', '.']).to_ascii_lowercase();
    name.ends_with(".bat") || name.ends_with(".cmd")
}

#[cfg(test)]
mod tests {
    use super::{command_line, environment, is_batch};

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn line(argv: &[&str]) -> String {
        let argv: Vec<_> = argv.iter().map(|argument| wide(argument)).collect();
        String::from_utf16(&command_line(&argv)).expect("text").trim_end_matches('\0').to_owned()
    }

    #[test]
    fn arguments_are_quoted_so_that_they_come_back() {
        assert_eq!(line(&["a", "b c", ""]), r#"a "b c" """#);
        assert_eq!(line(&[r#"say "hi""#]), r#""say \"hi\"""#);
        assert_eq!(line(&[r"C:\a b\", r"C:\a\"]), r#""C:\a b\\" C:\a\"#);
        assert_eq!(line(&[r#"a\"b"#]), r#""a\\\"b""#);
        assert_eq!(line(&["x\ty"]), "\"x\ty\"");
    }

    #[test]
    fn variables_are_sorted_without_regard_to_case() {
        let block = environment(&[(wide("b"), wide("2")), (wide("A"), wide("1")), (wide("B"), wide("3"))]);
        assert_eq!(String::from_utf16(&block).expect("text"), "A=1\0b=2\0\0");
        assert_eq!(environment(&[]), [0, 0]);
    }

    #[test]
    fn batch_files_are_known_by_their_name() {
        assert!(is_batch("x.bat") && is_batch(r"C:\X.CMD") && is_batch("x.cmd. "));
        assert!(!is_batch("x.exe") && !is_batch("bat"));
    }
}
