//! [`Matrix`]: a slice as a matrix.

use ndarray::ArrayView2;

/// A slice as a matrix: row by row, or transposed, column by column.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub elements: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub transposed: bool,
}

impl<'a> Matrix<'a> {
    /// A slice of as many elements as rows times columns, row by row.
    pub fn new(elements: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(elements.len(), rows * columns);
        Matrix {
            elements,
            rows,
            columns,
            transposed: false,
        }
    }

    /// The matrix with rows and columns exchanged.
    pub fn t(self) -> Self {
        Matrix {
            elements: self.elements,
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
        }
    }

    /// The same as ndarray has it.
    pub fn view(self) -> ArrayView2<'a, f32> {
        let stored = match self.transposed {
            false => (self.rows, self.columns),
            true => (self.columns, self.rows),
        };
        let view = ArrayView2::from_shape(stored, self.elements).expect("as many elements");
        if self.transposed {
            view.reversed_axes()
        } else {
            view
        }
    }
}
