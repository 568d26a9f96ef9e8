//! [`Form`]: the tensors that a packed tensor consists of.

use safetensors::Dtype;

use super::record::Version;
use crate::checkpoint::format::layout::Planned;

/// Matrices with rows of at least this many entries have an offset for each of them in version 1.
const WIDE: usize = 512;

/// What the name of a weight loses before the names of its parts are made of it.
const WEIGHT: &str = ".weight";

/// How a tensor is packed, but for how many values it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub entries: usize,
    /// In version 1: rows that have an offset each, 1 unless the tensor is a wide matrix. All are of a multiple of 8
    /// entries, where there are several.
    pub rows: Option<usize>,
}

/// The parts of a packed tensor. Version 2 has the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Shape,
    RowOffsets,
    Compressed,
    Bitmask,
}

impl Part {
    /// The parts that are written.
    pub const WRITTEN: [Part; 2] = [Part::Compressed, Part::Bitmask];

    /// The part's name, for a tensor of this name.
    pub fn name(self, tensor: &str) -> String {
        let end = match self {
            Part::Shape => "shape",
            Part::RowOffsets => "row_offsets",
            Part::Compressed => "compressed",
            Part::Bitmask => "bitmask",
        };
        let stem = tensor.strip_suffix(WEIGHT).unwrap_or(tensor);
        if stem.is_empty() {
            end.to_owned()
        } else {
            format!("{stem}.{end}")
        }
    }
}

impl Form {
    pub fn of(version: Version, dtype: Dtype, shape: &[usize]) -> Self {
        let rows = match (version, shape) {
            (Version::Two, _) => None,
            (Version::One, &[rows, columns]) if columns >= WIDE && columns.is_multiple_of(8) => Some(rows),
            (Version::One, _) => Some(1),
        };
        Form {
            dtype,
            shape: shape.to_vec(),
            entries: shape.iter().product(),
            rows,
        }
    }

    /// Bytes of an entry.
    pub fn width(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// A part of a tensor of this name that keeps this many values.
    pub fn part(&self, part: Part, name: &str, kept: usize) -> Planned {
        let (dtype, shape) = match (part, self.rows) {
            (Part::Shape, _) => (Dtype::I64, vec![self.shape.len()]),
            (Part::RowOffsets, rows) => (Dtype::I64, vec![rows.unwrap_or(0)]),
            (Part::Compressed, _) => (self.dtype, vec![kept]),
            (Part::Bitmask, None) => (Dtype::U8, vec![self.entries.div_ceil(8)]),
            (Part::Bitmask, Some(rows)) => {
                let columns = self.entries / rows.max(1);
                (Dtype::U8, vec![rows, columns.div_ceil(8)])
            }
        };
        Planned {
            name: part.name(name),
            dtype,
            shape,
        }
    }

    /// Bytes of all parts that are written.
    pub fn packed_bytes(&self, kept: usize) -> u64 {
        (kept * self.width() + self.entries.div_ceil(8)) as u64
    }

    /// Bytes that the header grows by, and a little more: two entries instead of one.
    pub fn header_bytes(&self, name: &str) -> u64 {
        2 * (100 + name.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        assert_eq!(
            Part::Bitmask.name("model.layers.0.q.weight"),
            "model.layers.0.q.bitmask"
        );
        assert_eq!(
            Part::RowOffsets.name("in_proj_weight"),
            "in_proj_weight.row_offsets"
        );
        assert_eq!(Part::Shape.name("weight"), "weight.shape");
        assert_eq!(Part::Compressed.name(".weight"), "compressed");
    }

    #[test]
    fn wide_matrices_have_rows_in_version_1_only() {
        let rows = |shape: &[usize]| Form::of(Version::One, Dtype::F32, shape).rows;
        assert_eq!(rows(&[7, 512]), Some(7));
        assert_eq!([rows(&[7, 511]), rows(&[7, 516]), rows(&[7, 504])], [Some(1); 3]);
        assert_eq!([rows(&[2, 7, 512]), rows(&[4096]), rows(&[])], [Some(1); 3]);
        let bitmask = |version| {
            Form::of(version, Dtype::BF16, &[3, 512])
                .part(Part::Bitmask, "a.weight", 5)
                .shape
        };
        assert_eq!(bitmask(Version::One), [3, 64]);
        assert_eq!(bitmask(Version::Two), [192]);
        assert_eq!(
            Form::of(Version::Two, Dtype::BF16, &[3, 512]).packed_bytes(5),
            10 + 192
        );
    }
}
