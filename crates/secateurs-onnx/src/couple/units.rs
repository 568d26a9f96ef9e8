//! [`Units`]: what is removed as a whole, and what keeps it.

use std::collections::HashMap;
use std::sync::Arc;

/// For each index of an axis, the unit that it belongs to.
pub type Labels = Arc<[u32]>;

/// The reason of units that nothing asks to remove, such as kernel sizes: no report counts them.
pub const FIXED: &str = "";

/// Units of removal: indices of axes that can only be removed together are one unit. A union-find forest, for which no
/// recursion is needed.
#[derive(Default)]
pub struct Units {
    parents: Vec<u32>,
    /// Of roots: the group whose members rank against each other, which is the first of the axes that they are in.
    groups: Vec<u32>,
    /// The axis that each unit was made for, which is the first group that it was in.
    origins: Vec<u32>,
    /// Of groups: the operator that made them.
    kinds: Vec<String>,
    /// Of roots: why the unit stays, by the number of the reason.
    held: Vec<Option<u32>>,
    reasons: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Units {
    /// New units, one for each index of an axis of this length, which are a group.
    pub fn fresh(&mut self, length: usize, kind: &str) -> Labels {
        let group = self.kinds.len() as u32;
        self.kinds.push(kind.to_owned());
        let first = self.parents.len() as u32;
        let labels: Labels = (first..first + length as u32).collect();
        self.parents.extend(labels.iter());
        self.groups.resize(self.parents.len(), group);
        self.origins.resize(self.parents.len(), group);
        self.held.resize(self.parents.len(), None);
        labels
    }

    /// Number of labels: every unit has one of them.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// The unit that an index belongs to.
    pub fn root(&self, mut unit: u32) -> u32 {
        while self.parents[unit as usize] != unit {
            unit = self.parents[unit as usize];
        }
        unit
    }

    /// The group of a unit.
    pub fn group(&self, unit: u32) -> u32 {
        self.groups[self.root(unit) as usize]
    }

    /// The operator that made the group of a unit.
    pub fn kind(&self, unit: u32) -> &str {
        &self.kinds[self.group(unit) as usize]
    }

    /// How many indices of the axis that its group was made for each unit stands for.
    pub fn multiplicities(&self) -> HashMap<u32, usize> {
        let mut counts = HashMap::new();
        for unit in 0..self.parents.len() as u32 {
            let root = self.root(unit);
            if self.origins[unit as usize] == self.groups[root as usize] {
                *counts.entry(root).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Makes one unit of each pair.
    pub fn tie(&mut self, a: &[u32], b: &[u32]) {
        debug_assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (self.root(*a), self.root(*b));
            if a == b {
                continue;
            }
            let (low, high) = (a.min(b), a.max(b));
            self.parents[high as usize] = low;
            let held = self.held[low as usize].or(self.held[high as usize]);
            self.held[low as usize] = held;
            self.groups[low as usize] = self.groups[low as usize].min(self.groups[high as usize]);
        }
        // Short ways from now on.
        for unit in a.iter().chain(b) {
            self.parents[*unit as usize] = self.root(*unit);
        }
    }

    /// Keeps these units, for a reason. The first reason of each counts.
    pub fn hold(&mut self, labels: &[u32], reason: &str) {
        if labels.is_empty() {
            return;
        }
        let number = match self.numbers.get(reason) {
            Some(number) => *number,
            None => {
                let number = self.reasons.len() as u32;
                self.reasons.push(reason.to_owned());
                self.numbers.insert(reason.to_owned(), number);
                number
            }
        };
        for unit in labels {
            let root = self.root(*unit) as usize;
            self.held[root].get_or_insert(number);
        }
    }

    /// Why a unit stays, if it does.
    pub fn reason(&self, unit: u32) -> Option<&str> {
        let number = self.held[self.root(unit) as usize]?;
        Some(&self.reasons[number as usize])
    }
}
