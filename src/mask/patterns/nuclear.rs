//! The nuclear norm of a small matrix, by one-sided Jacobi rotations.
//!
//! It is our own, and not that of a linear-algebra crate, because the order of operations must be the same on every
//! machine. A library that chooses kernels by processor does not promise that.

/// The maximal number of sweeps. Convergence is quadratic and takes a handful.
const SWEEPS: usize = 60;

/// The sum of the singular values of the `rows × columns` matrix with these row-major entries.
///
/// NaN where an entry is NaN, ∞ where one is infinite and none is NaN.
pub(crate) fn norm(mut entries: Vec<f64>, rows: usize, columns: usize) -> f64 {
    let largest = entries.iter().fold(
        0.0_f64,
        |m, x| if x.abs() > m || x.is_nan() { x.abs() } else { m },
    );
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    // With this scale, squares neither overflow nor vanish.
    entries.iter_mut().for_each(|x| *x /= largest);
    // A matrix and its transpose have the same singular values: orthogonalise the fewer vectors.
    let mut vectors: Vec<Vec<f64>> = if rows <= columns {
        entries.chunks(columns).map(<[f64]>::to_vec).collect()
    } else {
        (0..columns)
            .map(|c| entries.iter().skip(c).step_by(columns).copied().collect())
            .collect()
    };
    for _ in 0..SWEEPS {
        let mut orthogonal = true;
        for q in 1..vectors.len() {
            for p in 0..q {
                let (head, tail) = vectors.split_at_mut(q);
                orthogonal &= !rotate(&mut head[p], &mut tail[0]);
            }
        }
        if orthogonal {
            break;
        }
    }
    largest * vectors.iter().map(|v| dot(v, v).sqrt()).sum::<f64>()
}

/// Makes two vectors orthogonal by a rotation. Returns whether a rotation was needed.
fn rotate(a: &mut [f64], b: &mut [f64]) -> bool {
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    if ab.abs() <= f64::EPSILON * (aa * bb).sqrt() {
        return false;
    }
    let tau = (bb - aa) / (2.0 * ab);
    let tangent = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = cosine * tangent;
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
    true
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
