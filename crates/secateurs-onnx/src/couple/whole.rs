//! [`Whole`]: which parts go as a whole where an axis is divided.

use super::heads::{Heads, dimension_of_heads};

/// Which parts of an axis that is divided go as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Heads of attention.
    Heads(Heads),
    /// Groups of a group norm.
    Groups,
}

impl Whole {
    /// Of the parts that an axis is divided into, the one that counts what goes as a whole.
    pub fn dimension(self, lengths: &[usize]) -> Option<usize> {
        match self {
            Whole::Heads(heads) => dimension_of_heads(lengths, heads),
            Whole::Groups => lengths.first().filter(|groups| **groups > 1).map(|_| 0),
        }
    }
}
