//! The three decisions a rule can make, and which of several holds.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a rule says; a later one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// No question, and the command may leave the sandbox.
    Allow,
    /// A person is asked.
    Prompt,
    /// The command is refused.
    Forbidden,
}

impl Decision {
    /// The decision with this name in rule files.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "allow" => Self::Allow,
            "prompt" => Self::Prompt,
            "forbidden" => Self::Forbidden,
            _ => return None,
        })
    }

    /// Its name in rule files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Prompt => "prompt",
            Self::Forbidden => "forbidden",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The decision that holds when both count: the stricter one. Nothing said gives way to anything said.
///
/// Associative, commutative and idempotent, so the order of files and rules can't matter.
#[must_use]
pub fn strictest(one: Option<Decision>, other: Option<Decision>) -> Option<Decision> {
    one.max(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decision() -> impl Strategy<Value = Option<Decision>> {
        proptest::option::of(prop_oneof![Just(Decision::Allow), Just(Decision::Prompt), Just(Decision::Forbidden)])
    }

    proptest! {
        #[test]
        fn strictest_wins_is_associative_commutative_and_idempotent(a in decision(), b in decision(), c in decision()) {
            prop_assert_eq!(strictest(strictest(a, b), c), strictest(a, strictest(b, c)));
            prop_assert_eq!(strictest(a, b), strictest(b, a));
            prop_assert_eq!(strictest(a, a), a);
            prop_assert!(strictest(a, b) >= a);
        }
    }
}
