//! The face: a command with its streams, a running one, and what became of it.

use crate::enforced::Enforced;
use crate::plan::Plan;
use ringfence_model::report::{Exit, NotHeld};
use ringfence_model::{Denial, OsText, Tier, Voucher};
use std::time::Duration;

/// What to run in a prepared sandbox.
#[derive(Debug)]
pub struct Command {
    /// Program and arguments; the first is looked up in the `PATH` of the plan's environment, inside the sandbox.
    pub argv: Vec<OsText>,
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// What happens to signals that the supervisor gets.
    pub signals: Signals,
    /// What its connections to a proxy on the machine's loopback begin with: the broker says it for the command, which never
    /// has it. Where the proxy listens inside, nobody is asked for it.
    pub voucher: Option<Voucher>,
}

impl Command {
    /// A command that has the supervisor's own streams.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsText>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Stdio::Inherit,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            signals: Signals::Leave,
            voucher: None,
        }
    }

    /// The same command once more; none where a stream can't be copied. A descriptor can be given to one attempt only, so
    /// that what may be tried again keeps a copy.
    #[cfg(target_os = "linux")]
    pub(crate) fn again(&self) -> Option<Self> {
        Some(Self {
            argv: self.argv.clone(),
            stdin: self.stdin.again()?,
            stdout: self.stdout.again()?,
            stderr: self.stderr.again()?,
            signals: self.signals,
            voucher: self.voucher.clone(),
        })
    }
}

/// Something made inside the sandbox's network that the proxy serves from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inlet {
    /// A socket that listens on this port of loopback.
    Port(u16),
    /// The descriptor of the interface that everything but loopback leaves through: a packet each.
    Interface,
    /// A socket that listens for connections that the proxy leads back to it.
    Connections,
    /// A datagram socket of a name server on loopback.
    Names,
}

impl Inlet {
    /// As one word of a message.
    #[cfg(target_os = "linux")]
    pub(crate) const fn word(self) -> u32 {
        match self {
            Self::Port(port) => port as u32,
            Self::Interface => 0x1_0000,
            Self::Connections => 0x1_0001,
            Self::Names => 0x1_0002,
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn from_word(word: u32) -> Option<Self> {
        let known = [Self::Interface, Self::Connections, Self::Names];
        match u16::try_from(word) {
            Ok(port) => Some(Self::Port(port)),
            Err(_) => known.into_iter().find(|inlet| inlet.word() == word),
        }
    }
}

/// One standard stream of a command.
#[derive(Debug)]
pub enum Stdio {
    /// The supervisor's.
    Inherit,
    /// `/dev/null`.
    Null,
    /// A new pipe, whose other end is in [`Pipes`].
    Piped,
    /// This descriptor.
    #[cfg(unix)]
    Descriptor(std::os::fd::OwnedFd),
}

impl Stdio {
    #[cfg(target_os = "linux")]
    fn again(&self) -> Option<Self> {
        match self {
            Self::Inherit => Some(Self::Inherit),
            Self::Null => Some(Self::Null),
            Self::Piped => Some(Self::Piped),
            Self::Descriptor(descriptor) => descriptor.try_clone().ok().map(Self::Descriptor),
        }
    }
}

/// The supervisor's ends of pipes.
#[derive(Debug, Default)]
pub struct Pipes {
    /// To write to standard input.
    pub stdin: Option<std::fs::File>,
    /// To read standard output.
    pub stdout: Option<std::fs::File>,
    /// To read standard error.
    pub stderr: Option<std::fs::File>,
}

/// What happens to signals that the supervisor gets while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// They are passed on to the command, job control works, and the terminal is restored afterwards. For front ends
    /// with one command and one thread.
    Forward,
    /// They are the caller's business.
    Leave,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the command ended.
    pub exit: Exit,
    /// What held it.
    pub tier: Tier,
    /// What became of each step.
    pub enforced: Vec<Enforced>,
    /// What the broker refused.
    pub denials: Vec<Denial>,
    /// From start to end.
    pub duration: Duration,
}

impl Outcome {
    /// What was not, or not fully, held: what the plan foresaw and what its steps came to. Sorted, each once.
    #[must_use]
    pub fn not_held(&self, plan: &Plan) -> Vec<NotHeld> {
        let mut not_held: Vec<NotHeld> = self.enforced.iter().filter_map(Enforced::not_held).collect();
        not_held.extend(plan.not_held.iter().map(|gap| NotHeld {
            promise: gap.promise.name().to_owned(),
            weakened: gap.weakened,
            why: format!("{}: {}", gap.what, gap.why),
            remedy: gap.remedy.clone(),
        }));
        not_held.sort();
        not_held.dedup();
        not_held
    }
}

/// A descriptor that this process was started with, as one of our own, closed on exec. The number as such stays open, and
/// no command gets it: everything but the standard streams is closed before one starts.
#[cfg(target_os = "linux")]
pub fn inherited(number: u16) -> std::io::Result<std::os::fd::OwnedFd> {
    let duplicate = crate::sys::fs::dup_above(i32::from(number), 3)?;
    Ok(crate::sys::own(duplicate))
}
