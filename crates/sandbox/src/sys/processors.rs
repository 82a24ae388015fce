//! Processors: which a process may use, and moving one that was just made to another than ours.

use super::raw::{Result, call, word};

/// A set of processors, as `sched_setaffinity(2)` takes it. Larger machines than it can name have no set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processors([usize; WORDS]);

const BITS: usize = usize::BITS as usize;
/// For 1024 processors, as many as a `cpu_set_t` names.
const WORDS: usize = 1024 / BITS;

impl Processors {
    /// Those that this thread may use (`sched_getaffinity(2)`).
    pub(crate) fn allowed() -> Result<Self> {
        let mut set = [0usize; WORDS];
        let args = [0, size_of_val(&set), set.as_mut_ptr() as usize, 0, 0, 0];
        // SAFETY: the kernel writes at most so many bytes, and refuses if it has more processors than they name.
        unsafe { call(libc::SYS_sched_getaffinity, args) }?;
        Ok(Self(set))
    }

    /// The others than the one this thread is running on; none if there are no others.
    pub(crate) fn but_this_one(&self) -> Option<Self> {
        let mut number: u32 = 0;
        let args = [&raw mut number as usize, 0, 0, 0, 0, 0];
        // SAFETY: the kernel writes one number; the two null pointers ask for nothing.
        unsafe { call(libc::SYS_getcpu, args) }.ok()?;
        self.but(number as usize)
    }

    fn but(&self, number: usize) -> Option<Self> {
        let mut others = self.0;
        *others.get_mut(number / BITS)? &= !(1 << (number % BITS));
        others.iter().any(|word| *word != 0).then_some(Self(others))
    }

    /// Lets a thread use these and no others (`sched_setaffinity(2)`); 0 is the one that calls.
    pub(crate) fn give_to(&self, thread: i32) -> Result<()> {
        let args = [word(thread), size_of_val(&self.0), self.0.as_ptr() as usize, 0, 0, 0];
        // SAFETY: the kernel reads so many bytes of a set that outlives the call.
        unsafe { call(libc::SYS_sched_setaffinity, args) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_all_but_one() {
        let mut two = [0; WORDS];
        two[0] = 0b101;
        let two = Processors(two);
        assert_eq!(two.but(0).map(|set| set.0[0]), Some(0b100));
        assert_eq!(two.but(2).and_then(|set| set.but(0)), None);
        assert_eq!(two.but(1), Some(two));
        assert_eq!(two.but(1024), None);
    }

    #[test]
    fn what_is_given_back_is_what_was_there() {
        let before = Processors::allowed().unwrap();
        if let Some(others) = before.but_this_one() {
            others.give_to(0).unwrap();
            assert_eq!(Processors::allowed().unwrap(), others);
        }
        before.give_to(0).unwrap();
        assert_eq!(Processors::allowed().unwrap(), before);
    }
}
