//! Security identifiers as the system keeps them, made without asking it.

/// A security identifier: revision, authority and numbers, as 32-bit words so that it lies where the system wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sid(Vec<u32>);

impl Sid {
    /// `S-1-AUTHORITY-NUMBERS`; authorities of the system are small.
    pub(crate) fn new(authority: u8, numbers: &[u32]) -> Self {
        let count = u32::try_from(numbers.len()).unwrap_or(0) & 0xff;
        // Bytes: revision, count, six of authority with the most significant first; then the numbers.
        let mut words = vec![1 | count << 8, u32::from(authority) << 24];
        words.extend_from_slice(numbers);
        Self(words)
    }

    /// Everybody.
    pub(crate) fn everyone() -> Self {
        Self::new(1, &[0])
    }

    /// The mandatory level below that of ordinary programs.
    pub(crate) fn low_integrity() -> Self {
        Self::new(16, &[4096])
    }

    /// An identifier that nothing but one run has. What is drawn comes from the system's own randomness.
    pub(crate) fn of_a_run() -> Self {
        use std::hash::{BuildHasher as _, Hasher as _};
        let draw = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        let halves =
            |number: u64| [u32::try_from(number >> 32).unwrap_or(0), u32::try_from(number & 0xffff_ffff).unwrap_or(0)];
        let ([a, b], [c, d]) = (halves(draw()), halves(draw()));
        // An account of a domain that nobody has: kinds of identifiers with a meaning of their own, such as capabilities of
        // packages, aren't compared like others.
        Self::new(5, &[21, a, b, c, d])
    }

    /// From the system's own memory: `words` are a whole identifier.
    #[cfg(windows)]
    pub(crate) fn from_words(words: Vec<u32>) -> Self {
        Self(words)
    }

    /// Where it lies.
    #[cfg(windows)]
    pub(crate) fn as_ptr(&self) -> *mut std::ffi::c_void {
        self.0.as_ptr().cast_mut().cast()
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        let authority = self.0.get(1).map_or(0, |word| word >> 24);
        let numbers: String = self.0.iter().skip(2).map(|number| format!("-{number}")).collect();
        format!("S-1-{authority}{numbers}")
    }
}

#[cfg(test)]
mod tests {
    use super::Sid;

    #[test]
    fn identifiers_lie_as_the_system_keeps_them() {
        let bytes = |sid: &Sid| sid.0.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        assert_eq!(bytes(&Sid::everyone()), [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes(&Sid::low_integrity()), [1, 1, 0, 0, 0, 0, 0, 16, 0, 16, 0, 0]);
        assert_eq!(Sid::low_integrity().text(), "S-1-16-4096");
        assert!(Sid::of_a_run().text().starts_with("S-1-5-21-"));
        assert_ne!(Sid::of_a_run(), Sid::of_a_run());
    }
}
