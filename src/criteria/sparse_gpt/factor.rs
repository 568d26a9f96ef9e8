//! [`Factor`]: the triangular factor of the Hessian that SparseGPT works with.
//!
//! SparseGPT prunes the columns of a weight W in order. What the error in one column costs is compensated by
//! the columns after it, so it needs, for every j, the inverse of the Hessian of columns j and after. The
//! paper takes these from U, where H⁻¹ = Uᵀ × U and U is upper triangular: the authors factorise H, compute
//! H⁻¹ from the factor, and factorise that.
//!
//! One factorisation is enough. Let V be upper triangular with H = V × Vᵀ. Then
//!
//! ```text
//! H⁻¹ = V⁻ᵀ × V⁻¹ = (V⁻¹)ᵀ × V⁻¹, so U = V⁻¹.
//! ```
//!
//! V is the Cholesky factor of H with rows and columns in reverse order: with J for that reversal, J × H × J
//! = L × Lᵀ gives H = (J × L × J) × (J × L × J)ᵀ, and J × L × J is upper triangular. In memory, J × L × J is
//! L read backwards.
//!
//! Nor does U have to be computed. Let D = W − Ŵ be what pruning has changed. The error of the output is
//!
//! ```text
//! tr(D × H × Dᵀ) = ‖D × V‖²,
//! ```
//!
//! and column j of D × V depends on columns up to j of D only. So columns that can still change, in order,
//! make their columns of D × V zero: of a block b, after the columns a before it,
//!
//! ```text
//! D_a × V_ab + D_b × V_bb = 0, so W_b − D_b = W_b + (D_a × V_ab) × V_bb⁻¹.
//! ```
//!
//! That is the weight the paper has in block b when it gets there, from the products with V that an update
//! with U would also take. Only blocks on the diagonal are inverted: U_bb = V_bb⁻¹.

use super::error::SparseGptError;
use super::hessian::Hessian;
use super::linalg::cholesky::{BadPivot, factorize};
use super::linalg::panels::Right;
use super::linalg::triangle::Triangle;
use crate::error::Result;

/// V, upper triangular, with H + λ × I = V × Vᵀ.
pub struct Factor {
    n: usize,
    /// Row-major. What is below the diagonal means nothing.
    entries: Vec<f64>,
    /// λ, what was added to the diagonal.
    pub dampening: f64,
    /// Of each column, whether its input was never other than zero.
    pub dead: Vec<bool>,
}

/// A block of V on the diagonal, and its inverse.
pub struct Block {
    pub width: usize,
    pub diagonal: Vec<f64>,
    pub factor: Triangle,
    /// Row-major and upper triangular.
    pub inverse: Vec<f64>,
}

impl Factor {
    /// Factorises a Hessian with a share of its mean diagonal added to its diagonal.
    ///
    /// Columns whose diagonal is zero are left out of that mean, and get a diagonal of 1. The authors' mean
    /// counts these ones, so with them the result depends on the units of the inputs.
    pub fn new(hessian: &Hessian, dampening: f64) -> Result<Self> {
        let n = hessian.inputs();
        let diagonal = hessian.diagonal();
        let dead: Vec<bool> = diagonal.iter().map(|&x| x == 0.0).collect();
        let live = dead.iter().filter(|dead| !**dead).count();
        if live == 0 && n > 0 {
            return Err(SparseGptError::NoCalibration.into());
        }
        let dampening = dampening * diagonal.iter().sum::<f64>() / live.max(1) as f64;
        let mut entries = hessian.reversed().to_vec();
        for (column, dead) in dead.iter().enumerate() {
            let at = n - 1 - column;
            let entry = &mut entries[at * n + at];
            *entry = if *dead { 1.0 } else { *entry + dampening };
        }
        factorize(&mut entries, n).map_err(|BadPivot { column, value }| {
            SparseGptError::NotPositiveDefinite {
                column: n - 1 - column,
                pivot: value,
            }
        })?;
        entries.reverse();
        Ok(Factor {
            n,
            entries,
            dampening,
            dead,
        })
    }

    /// The block on the diagonal that begins at column `start`.
    pub fn block(&self, start: usize, width: usize) -> Block {
        let entry = |row: usize, column: usize| self.entries[(start + row) * self.n + start + column];
        let factor = Triangle::new(width, entry);
        // Row i of the inverse is what times the block gives row i of the identity.
        let mut inverse = vec![0.0; width * width];
        inverse.iter_mut().step_by(width + 1).for_each(|x| *x = 1.0);
        factor.solve(&mut inverse, width, 0);
        Block {
            width,
            diagonal: (0..width).map(|j| entry(j, j)).collect(),
            factor,
            inverse,
        }
    }

    /// Columns of V, down to the row where the block of these columns begins.
    pub fn columns_above(&self, start: usize, width: usize) -> Right {
        Right::from_rows(width, start, |k| &self.entries[k * self.n + start..][..width])
    }
}
