//! Attention and rotary positions as one operator each.

use super::heads::Heads;
use super::whole::Whole;
use super::{Change, FIXED, Labels, Tracked, Walk, not_zero};
use crate::graph::Node;
use crate::shapes::Shape;

/// Why keys and values stay where only queries are to go.
pub const KEYS_AND_VALUES: &str = "the choice to keep keys and values";

impl<'a> Walk<'a, '_> {
    /// Queries and keys lose the same places of each head, values their own; heads go together.
    pub(super) fn attention(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let names = [node.input(0)?, node.input(1)?, node.input(2)?];
        let states = [4, 5].iter().any(|place| node.input(*place).is_some());
        let others = node.outputs.iter().skip(1).any(|name| !name.is_empty());
        // What comes from elsewhere, or leaves, would have to be cut along.
        if states || others || names.iter().any(|name| self.is_weight(name)) {
            return None;
        }
        let flat = self.value(names[0]).labels.len() == 3;
        let mut sides = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let side = self.value(name);
            sides.push(match flat {
                true => self.with_heads(&side, node.int(["q_num_heads", "kv_num_heads"][place.min(1)])?)?,
                false => side,
            });
        }
        let [query, key, value] = &sides[..] else {
            return None;
        };
        let lengths = |side: &Tracked| Some([side.len(1)?, side.len(3)?]);
        let [[heads, size], [groups, key_size], [value_groups, value_size]] =
            [lengths(query)?, lengths(key)?, lengths(value)?];
        (size == key_size && groups == value_groups && heads.checked_rem(groups) == Some(0)).then_some(())?;
        for side in &sides {
            self.hold_dim(side, 0, node.op);
            self.hold_dim(side, 2, node.op);
        }
        match (query.units(3), key.units(3)) {
            (Some(own), Some(other)) => {
                self.units.tie(own, other);
                if let (Some(op), Some(_)) = (&query.not_zero, &key.not_zero) {
                    self.units.hold(own, &not_zero(op));
                }
                if node.float("scale").is_none() {
                    let (name, value) = ("scale", (1.0 / (size as f64).sqrt()) as f32);
                    let labels = own.clone();
                    self.follow(number, Change::Float { name, value, labels });
                }
            }
            (own, other) => own
                .into_iter()
                .chain(other)
                .for_each(|labels| self.units.hold(labels, node.op)),
        }
        let mut of_value = value.not_zero.clone();
        let alone = self.choice.query_heads && heads > groups;
        let joined = match (query.units(1), key.units(1), value.units(1)) {
            // Queries alone, as many of each group: a removed head still sends the mean of all values.
            (Some(own), keys, values) if alone || (groups == 1 && keys.or(values).is_none()) => {
                for labels in [keys, values].into_iter().flatten() {
                    self.units.hold(labels, KEYS_AND_VALUES);
                }
                self.tied_groups(own, groups);
                self.never_empty.push(own.clone());
                if flat {
                    let (name, labels) = ("q_num_heads", own.clone());
                    self.follow(number, Change::Attribute { name, labels });
                }
                of_value.get_or_insert_with(|| node.op.to_owned());
                Some(own.clone())
            }
            (Some(own), Some(keys), Some(values)) => {
                let repeated = keys
                    .iter()
                    .flat_map(|unit| std::iter::repeat_n(*unit, heads / groups));
                self.units.tie(own, &repeated.collect::<Vec<_>>());
                self.units.tie(keys, values);
                if flat {
                    let attributes = [("q_num_heads", own), ("kv_num_heads", keys)];
                    for (name, labels) in attributes.map(|(name, labels)| (name, labels.clone())) {
                        self.follow(number, Change::Attribute { name, labels });
                    }
                }
                Some(own.clone())
            }
            (own, keys, values) => {
                let all = [own, keys, values].into_iter().flatten();
                all.for_each(|labels| self.units.hold(labels, node.op));
                None
            }
        };
        if let Some(mask) = node.input(3) {
            self.attention_mask(node, mask, joined.as_ref());
        }
        let labels = [joined, value.units(3).cloned()];
        let labels = match flat {
            true => vec![
                None,
                None,
                self.merged(&[Some(heads), Some(value_size)], &labels, node.op),
            ],
            false => {
                let [heads, sizes] = labels;
                vec![None, heads, None, sizes]
            }
        };
        let mut output = Tracked::zero(shape, labels);
        output.not_zero = of_value;
        Some(output)
    }

    /// What is added to the scores of each head.
    fn attention_mask(&mut self, node: &Node<'a>, mask: &'a str, heads: Option<&Labels>) {
        let value = self.value(mask);
        let rank = value.labels.len();
        for dim in 0..rank {
            let of_heads = dim + 3 == rank && value.len(dim) != Some(1);
            match heads.filter(|_| of_heads) {
                Some(labels) => self.cut_along(mask, dim, labels, node.op),
                None => self.fix(mask, dim, FIXED),
            }
        }
    }

    /// Pairs of places go together, and the tables of angles are cut along.
    pub(super) fn rotary(&mut self, number: usize, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        let tables = [node.input(1)?, node.input(2)?];
        let flat = first.labels.len() == 3;
        let parted = match flat {
            true => self.with_heads(&first, node.int("num_heads")?)?,
            false => first.clone(),
        };
        let (heads, size) = (parted.len(1)?, parted.len(3)?);
        let given = node.int("rotary_embedding_dim").filter(|length| *length != 0);
        let turned = usize::try_from(given.unwrap_or(size as i64)).ok()?;
        (turned <= size && turned.is_multiple_of(2)).then_some(())?;
        self.hold_dim(&parted, 0, node.op);
        self.hold_dim(&parted, 2, node.op);
        for place in 3..node.inputs.len() {
            node.input(place)
                .into_iter()
                .for_each(|name| self.hold_all(name, node.op));
        }
        let last = |walk: &Self, table: &str| walk.value(table).labels.len().checked_sub(1);
        if let Some(all) = parted.units(3) {
            let (of_first, of_second): (Vec<u32>, Vec<u32>) = match node.int("interleaved") {
                Some(1) => all[..turned]
                    .chunks_exact(2)
                    .map(|pair| (pair[0], pair[1]))
                    .unzip(),
                _ => (all[..turned / 2].to_vec(), all[turned / 2..turned].to_vec()),
            };
            self.units.tie(&of_first, &of_second);
            let of_first: Labels = of_first.into();
            for table in tables {
                let last = last(self, table)?;
                self.cut_along(table, last, &of_first, node.op);
            }
            if given.is_some() {
                let (name, labels) = ("rotary_embedding_dim", all[..turned].into());
                self.follow(number, Change::Attribute { name, labels });
                // None at all would mean all of them.
                self.never_empty.push(all[..turned].into());
            }
        } else {
            for table in tables {
                let last = last(self, table)?;
                self.fix(table, last, FIXED);
            }
        }
        if let Some(labels) = parted.units(1).cloned().filter(|_| flat) {
            let name = "num_heads";
            self.follow(number, Change::Attribute { name, labels });
        }
        let labels = match flat {
            true => {
                let labels = [parted.labels[1].clone(), parted.labels[3].clone()];
                vec![
                    None,
                    None,
                    self.merged(&[Some(heads), Some(size)], &labels, node.op),
                ]
            }
            false => parted.labels.clone(),
        };
        Some(Tracked::zero(first.shape.clone()?, labels).zero_like(&first))
    }

    /// A value of shape [batch, length, width] as [batch, heads, length, size].
    fn with_heads(&mut self, value: &Tracked, heads: i64) -> Option<Tracked> {
        let heads = usize::try_from(heads).ok().filter(|heads| *heads > 0)?;
        let shape = value.shape.as_ref()?;
        let ([batch, length, Some(width)], [of_batch, of_length, _]) = (&shape[..], &value.labels[..]) else {
            return None;
        };
        let (batch, length, width) = (*batch, *length, *width);
        width.is_multiple_of(heads).then_some(())?;
        let parts = match value.units(2).cloned() {
            Some(labels) => {
                let whole = Whole::Heads(Heads { of_three: false });
                let whole = self.choice.heads_are_whole().then_some(whole);
                self.divided(&labels, &[heads, width / heads], whole)
            }
            None => vec![None, None],
        };
        let [of_heads, of_places] = &parts[..] else {
            return None;
        };
        let labels = vec![
            of_batch.clone(),
            of_heads.clone(),
            of_length.clone(),
            of_places.clone(),
        ];
        let shape = vec![batch, Some(heads), length, Some(width / heads)];
        Some(Tracked::zero(shape, labels).zero_like(value))
    }
}
