//! A look at a rule file's tokens before anything recursive sees it: how deep could its tree become?

use super::{Fault, Limits, LoadProblem};
use starlark_syntax::codemap::{CodeMap, Pos, Span};
use starlark_syntax::lexer::{Lexer, Token};
use starlark_syntax::syntax::Dialect;

/// Decimal digits in a row that are still read as a number: turning digits into a number takes quadratic time.
const MAX_DIGITS: usize = 1_000;

/// Refuses what would nest deeper than `limits.depth`. Every bracket, operator, keyword and block that can add a level
/// counts one; a comma or a line end takes its own level's count back.
pub(super) fn check(text: &str, codemap: &CodeMap, limits: &Limits) -> Result<(), Fault> {
    digits(text)?;
    let mut depth = Depth { levels: vec![0], sum: 0, blocks: 0, limit: limits.depth };
    let mut branches = 0;
    for lexeme in Lexer::new(text, &Dialect::Extended, codemap.clone()) {
        // What isn't a token is the parser's to report.
        let Ok((begin, token, end)) = lexeme else { return Ok(()) };
        depth.see(&token);
        // Each `elif` nests in the one before it, across lines and other blocks.
        branches += usize::from(token == Token::Elif);
        if depth.exceeded() || branches > limits.depth {
            return Err(Box::new((LoadProblem::Depth(limits.depth), Some(span(begin, end)))));
        }
    }
    Ok(())
}

fn digits(text: &str) -> Result<(), Fault> {
    let mut run = 0;
    for (index, byte) in text.bytes().enumerate() {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        if run > MAX_DIGITS {
            let problem = LoadProblem::Type(format!("a number of more than {MAX_DIGITS} digits"));
            return Err(Box::new((problem, Some(span(index, index + 1)))));
        }
    }
    Ok(())
}

fn span(begin: usize, end: usize) -> Span {
    let pos = |at: usize| Pos::new(u32::try_from(at).unwrap_or(u32::MAX));
    Span::new(pos(begin), pos(end))
}

struct Depth {
    /// Per open bracket: what was counted in it since its last comma.
    levels: Vec<usize>,
    /// Sum of `levels`.
    sum: usize,
    blocks: usize,
    limit: usize,
}

impl Depth {
    fn see(&mut self, token: &Token) {
        match token {
            Token::OpeningRound | Token::OpeningSquare | Token::OpeningCurly | Token::FStringExprStart => {
                self.count();
                self.levels.push(0);
            }
            Token::ClosingRound | Token::ClosingSquare | Token::ClosingCurly | Token::FStringExprEnd => {
                if self.levels.len() > 1 {
                    self.sum -= self.levels.pop().unwrap_or(0);
                }
            }
            Token::Comma | Token::Newline | Token::Semicolon => {
                if let Some(top) = self.levels.last_mut() {
                    self.sum -= *top;
                    *top = 0;
                }
            }
            Token::Indent => self.blocks += 1,
            Token::Dedent => self.blocks = self.blocks.saturating_sub(1),
            Token::Comment(_) | Token::String(_) | Token::Identifier(_) | Token::Int(_) | Token::Float(_) => {}
            Token::Bytes(_) | Token::FStringText(_) | Token::FStringStart(_) | Token::FStringEnd => {}
            _ => self.count(),
        }
    }

    fn count(&mut self) {
        self.sum += 1;
        if let Some(top) = self.levels.last_mut() {
            *top += 1;
        }
    }

    fn exceeded(&self) -> bool {
        self.sum + self.levels.len() + self.blocks > self.limit
    }
}
