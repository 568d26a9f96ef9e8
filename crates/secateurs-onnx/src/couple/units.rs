//! [`Units`]: what is removed as a whole, and what keeps it.

use std::sync::Arc;

/// For each index of an axis, the unit that it belongs to.
pub type Labels = Arc<[u32]>;

/// Units of removal: indices of axes that can only be removed together are one unit. A union-find forest, for which no
/// recursion is needed.
#[derive(Default)]
pub struct Units {
    parents: Vec<u32>,
    /// Of roots: the group whose members rank against each other, which is the first of the axes that they are in.
    groups: Vec<u32>,
    axes: u32,
    /// Of roots: why the unit stays, by the number of the reason.
    held: Vec<Option<u32>>,
    reasons: Vec<String>,
}

impl Units {
    /// New units, one for each index of an axis of this length, which are a group.
    pub fn fresh(&mut self, length: usize) -> Labels {
        let group = self.axes;
        self.axes += 1;
        let first = self.parents.len() as u32;
        let labels: Labels = (first..first + length as u32).collect();
        self.parents.extend(labels.iter());
        self.groups.resize(self.parents.len(), group);
        self.held.resize(self.parents.len(), None);
        labels
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
        let known = self.reasons.iter().position(|each| each == reason);
        let number = known.unwrap_or_else(|| {
            self.reasons.push(reason.to_owned());
            self.reasons.len() - 1
        });
        for unit in labels {
            let root = self.root(*unit) as usize;
            self.held[root].get_or_insert(number as u32);
        }
    }

    /// Why a unit stays, if it does.
    pub fn reason(&self, unit: u32) -> Option<&str> {
        let number = self.held[self.root(unit) as usize]?;
        Some(&self.reasons[number as usize])
    }
}
