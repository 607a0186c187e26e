//! Who takes part in a run, and the dice.

use crate::support::{Person, person};

/// How many people take part besides the owner.
pub const PEOPLE: usize = 4;

/// The address of one of them.
pub fn address(who: usize) -> String {
    format!("p{who}@example.com")
}

/// One of them.
pub fn person_of(who: usize) -> Person {
    person(&address(who))
}

/// Dice that fall the same for the same seed.
pub struct Chance(u64);

impl Chance {
    /// Dice of a seed.
    pub fn new(seed: usize) -> Self {
        Self(u64::try_from(seed).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % end
    }

    /// One of these, if there is any.
    pub fn of<'a, T>(&mut self, these: &'a [T]) -> Option<&'a T> {
        if these.is_empty() { None } else { these.get(self.below(these.len())) }
    }
}
