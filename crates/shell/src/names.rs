//! A sieve for names: whether one can be in a table at all, told by its first two bytes and its length. A line may have
//! hundreds of thousands of commands, and nearly none of them is a shell, a wrapper or a keyword.

/// A bit for each mixture of first bytes and length that a name of the table has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sieve([u64; WORDS]);

const WORDS: usize = 32;

/// Which bit is a name's.
const fn bit(name: &[u8]) -> usize {
    let first = if name.is_empty() { 0 } else { name[0] as usize };
    let second = if name.len() < 2 { 0 } else { name[1] as usize };
    (first * 37 + second * 5 + name.len() * 131) % (WORDS * 64)
}

impl Sieve {
    /// One that lets nothing through.
    pub(crate) const fn new() -> Self {
        Self([0; WORDS])
    }

    /// As this, with a name more.
    pub(crate) const fn with(mut self, name: &str) -> Self {
        let bit = bit(name.as_bytes());
        self.0[bit / 64] |= 1 << (bit % 64);
        self
    }

    /// As this, with every one of these names.
    pub(crate) const fn with_all(mut self, names: &[&str]) -> Self {
        let mut at = 0;
        while at < names.len() {
            self = self.with(names[at]);
            at += 1;
        }
        self
    }

    /// Whether `name` can be one of them.
    pub(crate) fn may_hold(&self, name: &str) -> bool {
        let bit = bit(name.as_bytes());
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_was_put_in_comes_through() {
        const SIEVE: Sieve =
            Sieve::new().with_all(&["sudo", "a-name-that-is-longer-than-thirty-one-letters"]).with("env");
        for name in ["sudo", "env", "a-name-that-is-longer-than-thirty-one-letters"] {
            assert!(SIEVE.may_hold(name), "{name}");
        }
        for name in ["", "true", "sud", "environment", "a-name", "e"] {
            assert!(!SIEVE.may_hold(name), "{name}");
        }
    }
}
