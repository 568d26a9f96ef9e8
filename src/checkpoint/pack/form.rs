//! [`Form`]: the tensors that a packed tensor consists of.

use safetensors::Dtype;

use crate::checkpoint::TensorInfo;
use crate::checkpoint::format::layout::Planned;

/// Matrices with rows of at least so many entries keep them: the offsets take at most 2/512 of f32 then.
const WIDE: usize = 512;

/// What the name of a weight loses before the names of its parts are made of it.
const WEIGHT: &str = ".weight";

/// How a tensor is packed, but for how many values it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub entries: usize,
    /// Rows that have an offset each: 1 unless the tensor is a wide matrix. All are of a multiple of 8 entries,
    /// where there are several.
    pub rows: usize,
}

/// The parts of a packed tensor, in this order everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Shape,
    RowOffsets,
    Compressed,
    Bitmask,
}

impl Part {
    pub const ALL: [Part; 4] = [Part::Shape, Part::RowOffsets, Part::Compressed, Part::Bitmask];

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
    pub fn of(dtype: Dtype, shape: &[usize]) -> Self {
        let rows = match *shape {
            [rows, columns] if columns >= WIDE && columns.is_multiple_of(8) => rows,
            _ => 1,
        };
        Form {
            dtype,
            shape: shape.to_vec(),
            entries: shape.iter().product(),
            rows,
        }
    }

    pub fn of_tensor(info: &TensorInfo) -> Self {
        Form::of(info.dtype(), info.shape())
    }

    /// Bytes of an entry.
    pub fn width(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// Entries of a row.
    pub fn columns(&self) -> usize {
        self.entries / self.rows.max(1)
    }

    /// The parts of a tensor of this name that keeps so many values.
    pub fn parts(&self, name: &str, kept: usize) -> [Planned; 4] {
        Part::ALL.map(|part| {
            let (dtype, shape) = match part {
                Part::Shape => (Dtype::I64, vec![self.shape.len()]),
                Part::RowOffsets => (Dtype::I64, vec![self.rows]),
                Part::Compressed => (self.dtype, vec![kept]),
                Part::Bitmask => (Dtype::U8, vec![self.rows, self.columns().div_ceil(8)]),
            };
            Planned {
                name: part.name(name),
                dtype,
                shape,
            }
        })
    }

    /// Bytes of all parts.
    pub fn packed_bytes(&self, kept: usize) -> u64 {
        let parts = self.parts("", kept);
        let bytes = parts
            .iter()
            .map(|part| part.shape.iter().product::<usize>() * part.dtype.bitsize() / 8);
        bytes.sum::<usize>() as u64
    }

    /// Bytes that the header grows by, and a little more: four entries instead of one.
    pub fn header_bytes(&self, name: &str) -> u64 {
        4 * (100 + name.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_compressed_tensors() {
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
    fn wide_matrices_keep_their_rows() {
        let rows = |shape: &[usize]| Form::of(Dtype::F32, shape).rows;
        assert_eq!(rows(&[7, 512]), 7);
        assert_eq!([rows(&[7, 511]), rows(&[7, 516]), rows(&[7, 504])], [1, 1, 1]);
        assert_eq!([rows(&[2, 7, 512]), rows(&[4096]), rows(&[])], [1, 1, 1]);
        let parts = Form::of(Dtype::BF16, &[3, 512]).parts("a.weight", 5);
        let shapes = parts.map(|part| (part.name, part.dtype, part.shape));
        assert_eq!(
            shapes,
            [
                ("a.shape".into(), Dtype::I64, vec![2]),
                ("a.row_offsets".into(), Dtype::I64, vec![3]),
                ("a.compressed".into(), Dtype::BF16, vec![5]),
                ("a.bitmask".into(), Dtype::U8, vec![3, 64]),
            ]
        );
        assert_eq!(
            Form::of(Dtype::BF16, &[3, 512]).packed_bytes(5),
            16 + 24 + 10 + 192
        );
    }
}
