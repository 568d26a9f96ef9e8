//! Attention and rotary positions as one operator each.

use ndarray::{Array4, ArrayD, ArrayView2, ArrayView4, Axis, Ix4, IxDyn};

use super::{Inputs, unsupported};
use crate::error::Result;

/// Operators that only move entries, so that truth values stay truth values.
const MOVES: [&str; 8] = [
    "Reshape",
    "Transpose",
    "Expand",
    "Unsqueeze",
    "Squeeze",
    "Slice",
    "Gather",
    "Identity",
];

/// Operators that give truth values.
const TRUTHS: [&str; 9] = [
    "And",
    "Or",
    "Not",
    "Equal",
    "Less",
    "Greater",
    "LessOrEqual",
    "GreaterOrEqual",
    "IsNaN",
];

/// The matrix of one sample and head.
fn matrix(array: &Array4<f64>, sample: usize, head: usize) -> ArrayView2<'_, f64> {
    array.index_axis(Axis(0), sample).index_axis_move(Axis(0), head)
}

impl Inputs<'_, '_> {
    pub(super) fn attention(&self) -> Result<ArrayD<f64>> {
        let node = self.node;
        if node.input(4).is_some() || node.input(5).is_some() {
            return Err(unsupported(node, "keys and values of earlier steps"));
        }
        let flat = self.get(0)?.ndim() == 3;
        let heads = ["q_num_heads", "kv_num_heads", "kv_num_heads"];
        let of = |place: usize| self.with_heads(self.get(place)?, heads[place]);
        let (query, key, value) = (of(0)?, of(1)?, of(2)?);
        let ((batch, heads, length, size), (_, groups, others, _)) = (query.dim(), key.dim());
        let fits = key.dim() == (batch, groups, others, size)
            && (value.dim().0, value.dim().1, value.dim().2) == (batch, groups, others)
            && heads.checked_rem(groups) == Some(0);
        if !fits {
            return Err(self.misfit());
        }
        let scale = node.float("scale").filter(|scale| *scale != 0.0);
        // As it is written where it does not follow from the size any more.
        let scale = f64::from(scale.unwrap_or((1.0 / (size as f64).sqrt()) as f32));
        let cap = f64::from(node.float("softcap").unwrap_or(0.0));
        let causal = node.int("is_causal") == Some(1);
        let mask = self.mask(3, [batch, heads, length, others])?;
        let mut out = Array4::zeros((batch, heads, length, value.dim().3));
        for sample in 0..batch {
            for head in 0..heads {
                let group = head / (heads / groups);
                let mut scores = matrix(&query, sample, head).dot(&matrix(&key, sample, group).t());
                scores.mapv_inplace(|x| x * scale);
                if cap > 0.0 {
                    scores.mapv_inplace(|x| cap * libm::tanh(x / cap));
                }
                if let Some(mask) = &mask {
                    scores += &matrix(mask, sample, head);
                }
                for (row, mut scores) in scores.axis_iter_mut(Axis(0)).enumerate() {
                    if causal {
                        let later = row.saturating_add(1);
                        scores.iter_mut().skip(later).for_each(|x| *x = f64::NEG_INFINITY);
                    }
                    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    if highest == f64::NEG_INFINITY {
                        scores.fill(0.0);
                        continue;
                    }
                    scores.mapv_inplace(|x| libm::exp(x - highest));
                    let sum = scores.sum();
                    scores.mapv_inplace(|x| x / sum);
                }
                let mixed = scores.dot(&matrix(&value, sample, group));
                out.index_axis_mut(Axis(0), sample)
                    .index_axis_mut(Axis(0), head)
                    .assign(&mixed);
            }
        }
        self.without_heads(out.view(), flat)
    }

    /// A mask, as what is added to scores: minus infinity for what is false.
    fn mask(&self, place: usize, shape: [usize; 4]) -> Result<Option<Array4<f64>>> {
        let Some(mask) = self.optional(place) else {
            return Ok(None);
        };
        let wide = mask.broadcast(IxDyn(&shape)).ok_or_else(|| self.misfit())?;
        let mut mask = wide
            .to_owned()
            .into_dimensionality::<Ix4>()
            .map_err(|_| self.misfit())?;
        if self.node.input(place).is_some_and(|name| self.is_truth(name)) {
            mask.mapv_inplace(|x| if x == 0.0 { f64::NEG_INFINITY } else { 0.0 });
        }
        Ok(Some(mask))
    }

    /// Whether a value is one of truth values.
    fn is_truth(&self, name: &str) -> bool {
        let mut name = name;
        /// The number of their type.
        const BOOL: i64 = 9;
        let input = |name: &str| self.graph.inputs.iter().find(|input| input.name == name);
        // A step for each node at most.
        for _ in 0..=self.graph.nodes.len() {
            if let Some(constant) = self.graph.constants.get(name) {
                return constant.dtype.number() == BOOL;
            }
            if let Some(input) = input(name) {
                return input.dtype == BOOL;
            }
            let maker = self.graph.nodes.iter().find(|node| node.outputs.contains(&name));
            match maker {
                Some(node) if node.op == "Cast" => return node.int("to") == Some(BOOL),
                Some(node) if MOVES.contains(&node.op) => match node.inputs.first() {
                    Some(source) => name = source,
                    None => return false,
                },
                Some(node) => return TRUTHS.contains(&node.op),
                None => return false,
            }
        }
        false
    }

    pub(super) fn rotary(&self) -> Result<ArrayD<f64>> {
        let node = self.node;
        let input = self.get(0)?;
        let flat = input.ndim() == 3;
        let mut array = self.with_heads(input, "num_heads")?;
        let (batch, _, length, size) = array.dim();
        let given = node.int("rotary_embedding_dim").filter(|length| *length != 0);
        let turned = usize::try_from(given.unwrap_or(size as i64)).unwrap_or(usize::MAX);
        let half = turned / 2;
        if turned > size || turned % 2 != 0 {
            return Err(self.misfit());
        }
        let table = |place: usize| -> Result<ArrayD<f64>> {
            let table = self.get(place)?;
            let rows = match self.optional(3) {
                Some(positions) => {
                    let shape = [positions.shape(), table.shape().get(1..).unwrap_or(&[])].concat();
                    let mut rows = Vec::new();
                    for position in positions {
                        let row = table.shape().first().filter(|rows| (*position as usize) < **rows);
                        row.ok_or_else(|| self.misfit())?;
                        rows.extend(table.index_axis(Axis(0), *position as usize).iter());
                    }
                    ArrayD::from_shape_vec(IxDyn(&shape), rows).map_err(|_| self.misfit())?
                }
                None => table.clone(),
            };
            let wide = rows.broadcast(IxDyn(&[batch, length, half]));
            Ok(wide.ok_or_else(|| self.misfit())?.to_owned())
        };
        let (cos, sin) = (table(1)?, table(2)?);
        let heads = array.dim().1;
        for (number, mut row) in array.lanes_mut(Axis(3)).into_iter().enumerate() {
            let (sample, at) = (number / (heads * length).max(1), number % length.max(1));
            for pair in 0..half {
                let (first, second) = match node.int("interleaved") {
                    Some(1) => (2 * pair, 2 * pair + 1),
                    _ => (pair, half + pair),
                };
                let (x, y) = (row[first], row[second]);
                let (cos, sin) = (cos[[sample, at, pair]], sin[[sample, at, pair]]);
                (row[first], row[second]) = (cos * x - sin * y, sin * x + cos * y);
            }
        }
        self.without_heads(array.view(), flat)
    }

    /// An array of shape [batch, length, width] as [batch, heads, length, size], or one that is so already.
    fn with_heads(&self, array: &ArrayD<f64>, attribute: &str) -> Result<Array4<f64>> {
        let array = match *array.shape() {
            [batch, length, width] => {
                let heads = self
                    .node
                    .int(attribute)
                    .and_then(|heads| usize::try_from(heads).ok());
                let heads = heads.filter(|heads| *heads > 0 && width % heads == 0);
                let heads = heads.ok_or_else(|| self.misfit())?;
                let shape = [batch, length, heads, width / heads];
                let parts = array.to_shape(IxDyn(&shape)).map_err(|_| self.misfit())?;
                let order = IxDyn(&[0, 2, 1, 3]);
                parts.permuted_axes(order).as_standard_layout().into_owned()
            }
            _ => array.clone(),
        };
        array.into_dimensionality::<Ix4>().map_err(|_| self.misfit())
    }

    fn without_heads(&self, array: ArrayView4<'_, f64>, flat: bool) -> Result<ArrayD<f64>> {
        if !flat {
            return Ok(array.to_owned().into_dyn());
        }
        let (batch, heads, length, size) = array.dim();
        let values: Vec<f64> = array.permuted_axes([0, 2, 1, 3]).iter().copied().collect();
        let shape = IxDyn(&[batch, length, heads * size]);
        ArrayD::from_shape_vec(shape, values).map_err(|_| self.misfit())
    }
}
