//! `Gather`: entries of an axis are picked, such as the rows of an embedding, or channels in another order.

use super::reshapes::MOST_MERGED;
use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{Shape, axis};

impl<'a> Walk<'a, '_> {
    /// The rows of a weight stay. Of other values the axis is followed where it is known which indices are picked.
    pub(super) fn gather(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let (data, indices) = (node.input(0)?, node.input(1)?);
        let rank = self.value(data).labels.len();
        let at = axis(node.int("axis").unwrap_or(0), rank)?;
        if self.is_weight(data) {
            self.fix(data, at, FIXED);
        }
        let first = self.read(data, node.op);
        let of_indices = self.value(indices);
        self.hold_from(&of_indices, 0, node.op);
        let picked = match first.units(at).cloned() {
            None => vec![None; of_indices.labels.len()],
            Some(source) => match self.picked(indices, &source) {
                Some((table, parts)) => {
                    let table = Change::Table {
                        place: 1,
                        table,
                        source,
                        parts: parts.clone(),
                    };
                    self.follow(number, table);
                    parts.into_iter().map(|(_, labels)| labels).collect()
                }
                None => {
                    self.units.hold(&source, node.op);
                    vec![None; of_indices.labels.len()]
                }
            },
        };
        let mut labels = first.labels[..at].to_vec();
        labels.extend(picked);
        labels.extend_from_slice(&first.labels[at + 1..]);
        (labels.len() == shape.len()).then(|| Tracked::zero(shape, labels).zero_like(&first))
    }

    /// The indices that are picked of an axis with these units, if they are known, and of each of their dimensions its
    /// length and the units along it.
    #[allow(clippy::type_complexity)]
    fn picked(
        &mut self,
        indices: &str,
        source: &Labels,
    ) -> Option<(Vec<usize>, Vec<(usize, Option<Labels>)>)> {
        let constant = self.graph.constants.get(indices)?;
        let known = (1..=MOST_MERGED).contains(&constant.len());
        let list = constant.integers().filter(|_| known)?.into_iter();
        let list: Vec<usize> = list
            .map(|index| axis(index, source.len()))
            .collect::<Option<_>>()?;
        let dims = constant.dims.clone();
        let units = list.iter().map(|index| source.get(*index).copied());
        let units: Labels = units.collect::<Option<_>>()?;
        let parts = match dims.len() {
            // One is picked, which nothing stands for afterwards.
            0 => {
                self.units.hold(&units, "Gather");
                Vec::new()
            }
            1 => vec![Some(units)],
            _ => self.divided(&units, &dims, None),
        };
        let parts: Vec<(usize, Option<Labels>)> = dims.into_iter().zip(parts).collect();
        let of_parts = parts.iter().filter_map(|(_, labels)| labels.clone());
        self.never_empty.extend(of_parts);
        Some((list, parts))
    }
}
