//! A person at a terminal as approver.

use super::keys::{Key, Keys, Read};
use super::render::{self, Look, session_offers};
use crate::approver::{Approver, Asked, NoAnswer};
use ringfence_model::AbsPath;
use ringfence_model::grant::{Answer, Lasts};
use std::io;
use std::time::{Duration, Instant};

/// A terminal: what the approver needs of one.
pub trait Tty: Send + Sync {
    /// How it shows things.
    fn look(&self) -> Look;

    /// Takes the terminal for a question: keys come one by one and aren't shown. Given back when the guard goes.
    fn take(&self) -> io::Result<Box<dyn Taken + '_>>;
}

/// A terminal that was taken for a question.
pub trait Taken {
    /// Shows text.
    fn show(&mut self, text: &str) -> io::Result<()>;

    /// Throws away what was typed or pasted so far.
    fn drain(&mut self) -> io::Result<()>;

    /// Waits until something is typed, at most this long. False: nothing was.
    fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        let _ = limit;
        Ok(true)
    }

    /// What was typed, as it came; empty at the end of input.
    fn keys(&mut self) -> io::Result<Vec<u8>>;

    /// A line, shown while it is typed; none at the end of input.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;
}

/// Asks a person at a terminal.
pub struct TerminalApprover<T> {
    tty: T,
}

const WHO: &str = "the terminal";

impl<T: Tty> TerminalApprover<T> {
    /// Asks at this terminal.
    pub fn new(tty: T) -> Self {
        Self { tty }
    }

    fn put(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        let look = self.tty.look();
        let one = std::slice::from_ref(asked);
        let mut taken = self.tty.take().map_err(failed)?;
        show_all(taken.as_mut(), &render::question(asked, look), look, one)?;
        // What was typed before the question was there is no answer to it.
        taken.drain().map_err(failed)?;
        let offers = &asked.question.offers;
        loop {
            match next_key(taken.as_mut(), one)? {
                Key::Yes => return Ok(Answer::Once),
                Key::No => return Ok(Answer::No { say: None }),
                Key::Quit => return Ok(Answer::Abort),
                Key::Session => {
                    if let Some(offer) = self.session(taken.as_mut(), &session_offers(offers), one)? {
                        return Ok(Answer::Offer { offer });
                    }
                }
                Key::Always => {
                    if let Some(offer) = offers.iter().position(|offer| offer.lasts == Lasts::Always) {
                        return Ok(Answer::Offer { offer });
                    }
                    taken.show("  not offered for this one\r\n").map_err(failed)?;
                }
                Key::Explain => {
                    let said = taken.line("  what to do instead: ").map_err(failed)?;
                    let say = said.ok_or_else(gone)?;
                    return Ok(Answer::No { say: Some(say).filter(|say| !say.trim().is_empty()) });
                }
                Key::Next | Key::Digit(_) | Key::OneByOne | Key::Later => {}
            }
        }
    }

    /// Which of the offers for this session: asked for where there are several.
    fn session(&self, taken: &mut dyn Taken, offers: &[usize], asked: &[Asked]) -> Result<Option<usize>, NoAnswer> {
        match offers {
            [] => {
                taken.show("  not offered for this one\r\n").map_err(failed)?;
                Ok(None)
            }
            [only] => Ok(Some(*only)),
            several => {
                taken.show("  which? type its number, or n to go back\r\n").map_err(failed)?;
                loop {
                    match next_key(taken, asked)? {
                        Key::Digit(digit) => {
                            if let Some(offer) = several.get(digit.saturating_sub(1)) {
                                return Ok(Some(*offer));
                            }
                        }
                        Key::No => return Ok(None),
                        _ => {}
                    }
                }
            }
        }
    }
}

impl<T: Tty> Approver for TerminalApprover<T> {
    fn name(&self) -> &str {
        "user"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        self.put(asked)
    }

    fn ask_list(&self, asked: &[Asked]) -> Vec<Result<Answer, NoAnswer>> {
        if let [one] = asked {
            return vec![self.put(one)];
        }
        let all = |answer: &dyn Fn() -> Result<Answer, NoAnswer>| asked.iter().map(|_| answer()).collect();
        match self.put_list(asked) {
            Ok(Key::Yes) => all(&|| Ok(Answer::Once)),
            Ok(Key::OneByOne) => self.one_by_one(asked),
            Ok(Key::Quit) => all(&|| Ok(Answer::Abort)),
            Ok(_) => all(&|| Ok(Answer::No { say: None })),
            Err(_) => all(&|| Err(gone())),
        }
    }

    fn is_terminal(&self) -> bool {
        true
    }
}

/// What a person says of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is trusted.
    Trusted,
    /// It isn't.
    Untrusted,
    /// Not now.
    Later,
    /// The run ends.
    Stop,
}

impl<T: Tty> TerminalApprover<T> {
    /// Asks whether a project is trusted, or still is after its own settings changed.
    pub fn ask_trust(&self, root: &AbsPath, changes: &[String]) -> Result<Said, NoAnswer> {
        let look = self.tty.look();
        let mut taken = self.tty.take().map_err(failed)?;
        show_all(taken.as_mut(), &render::trust(root, changes, look), look, &[])?;
        taken.drain().map_err(failed)?;
        loop {
            match next_key(taken.as_mut(), &[])? {
                Key::Yes => return Ok(Said::Trusted),
                Key::No => return Ok(Said::Untrusted),
                Key::Later => return Ok(Said::Later),
                Key::Quit => return Ok(Said::Stop),
                _ => {}
            }
        }
    }

    /// Each for itself, until one is answered by stopping: then the rest is, too.
    fn one_by_one(&self, asked: &[Asked]) -> Vec<Result<Answer, NoAnswer>> {
        let mut stopped = false;
        let answer = |one| {
            let answer = if stopped { Ok(Answer::Abort) } else { self.put(one) };
            stopped |= matches!(answer, Ok(Answer::Abort));
            answer
        };
        asked.iter().map(answer).collect()
    }

    fn put_list(&self, asked: &[Asked]) -> Result<Key, NoAnswer> {
        let look = self.tty.look();
        let mut taken = self.tty.take().map_err(failed)?;
        show_all(taken.as_mut(), &render::list(asked, look), look, asked)?;
        taken.drain().map_err(failed)?;
        loop {
            if let key @ (Key::Yes | Key::No | Key::Quit | Key::OneByOne) = next_key(taken.as_mut(), asked)? {
                return Ok(key);
            }
        }
    }
}

/// Shows every line, page by page where there are more than the screen has: the end is never out of sight, and no key
/// answers before all of it was shown.
fn show_all(taken: &mut dyn Taken, lines: &[String], look: Look, asked: &[Asked]) -> Result<(), NoAnswer> {
    let page = look.rows.saturating_sub(2).max(4);
    let mut pages = lines.chunks(page).peekable();
    while let Some(lines) = pages.next() {
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        taken.show(&text).map_err(failed)?;
        if pages.peek().is_some() {
            taken.show("-- there is more: space shows it, q stops the run --\r\n").map_err(failed)?;
            taken.drain().map_err(failed)?;
            loop {
                match next_key(taken, asked)? {
                    Key::Next => break,
                    Key::Quit => return Err(NoAnswer::Gone { who: WHO.to_owned() }),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn next_key(taken: &mut dyn Taken, asked: &[Asked]) -> Result<Key, NoAnswer> {
    loop {
        wait(taken, asked)?;
        let bytes = taken.keys().map_err(failed)?;
        if bytes.is_empty() {
            return Err(gone());
        }
        match Keys::read(&bytes) {
            Read::Key(key) => return Ok(key),
            Read::Burst => {
                taken.drain().map_err(failed)?;
                taken.show("  several keys at once are no answer; type one\r\n").map_err(failed)?;
            }
            Read::Nothing => {}
        }
    }
}

/// Waits for a key for as long as any of these questions matters; the person is told when none does any more.
fn wait(taken: &mut dyn Taken, asked: &[Asked]) -> Result<(), NoAnswer> {
    let Some(first) = asked.first() else { return Ok(()) };
    while let Some(until) = first.over.look_again(None) {
        if asked.iter().all(|asked| asked.over.is_over()) {
            taken
                .show("  no answer is needed any more: what asked has ended, or doesn't wait any longer\r\n")
                .map_err(failed)?;
            return Err(NoAnswer::Over);
        }
        if taken.wait(until.saturating_duration_since(Instant::now())).map_err(failed)? {
            break;
        }
    }
    Ok(())
}

fn gone() -> NoAnswer {
    NoAnswer::Gone { who: WHO.to_owned() }
}

fn failed(cause: io::Error) -> NoAnswer {
    NoAnswer::Failed { who: WHO.to_owned(), cause }
}
