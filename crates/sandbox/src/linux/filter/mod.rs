//! The seccomp filter: a table of rows (call, conditions, action), and its compilation to BPF.
//!
//! The table is data: the base profile is in `table`, the broker adds rows of its own.

mod bpf;
mod numbers;
mod table;

pub use bpf::{FilterError, program};
pub use table::{base, exceptions_explained};

/// Architectures a filter can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64; x32 and i386 are closed.
    X86_64,
    /// arm64; 32-bit is closed.
    Aarch64,
}

impl Arch {
    /// By the name of `std::env::consts::ARCH`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// One row: the first of a call's rows whose conditions all hold decides; a call without such a row is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The call's name.
    pub call: &'static str,
    /// All must hold; none: always.
    pub when: Vec<Condition>,
    /// What happens.
    pub action: Action,
}

impl Row {
    /// A row without conditions.
    #[must_use]
    pub fn always(call: &'static str, action: Action) -> Self {
        Self { call, when: Vec::new(), action }
    }

    /// A row with conditions.
    #[must_use]
    pub fn when(call: &'static str, when: &[Condition], action: Action) -> Self {
        Self { call, when: when.to_vec(), action }
    }
}

/// A condition on one argument. All but [`Condition::Equal64`] look at the low 32 bits, as the kernel does for integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The low 32 bits are this value.
    Equal(u8, u32),
    /// The low 32 bits are not this value.
    Differs(u8, u32),
    /// All 64 bits are this value.
    Equal64(u8, u64),
    /// All 64 bits are not this value.
    Differs64(u8, u64),
    /// At least one of these bits is set.
    AnyBit(u8, u32),
    /// The bits under the mask have this value.
    Masked(u8, u32, u32),
    /// The low 32 bits are above this value.
    Above(u8, u32),
}

/// What a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The call goes on, whatever later rows say.
    Allow,
    /// The call fails with this errno.
    Errno(i32),
    /// The supervisor decides.
    Notify,
    /// The process is killed.
    Kill,
}

#[cfg(test)]
mod tests;
