//! [`owl`], and the [`outlier_share`]s that it needs.

use super::error::CriteriaError;
use super::values;
use crate::error::Result;
use crate::mask::FloatView;

/// The share of outliers among importance scores: those above `factor` times their mean, in percent of all, as OWL counts
/// them. The scores are usually those of [`wanda`](super::wanda), and the factor 5.
///
/// # Errors
///
/// [`CriteriaError::Factor`] for a factor that is not above 0 and finite;
/// [`MaskError::NanScore`](crate::error::MaskError::NanScore) if a score is NaN.
pub fn outlier_share<'a>(scores: impl Into<FloatView<'a>>, factor: f64) -> Result<f64> {
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(CriteriaError::Factor { value: factor }.into());
    }
    let scores = values(&scores.into())?;
    if scores.is_empty() {
        return Ok(0.0);
    }
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let outliers = scores.iter().filter(|score| **score > factor * mean).count();
    Ok(100.0 * outliers as f64 / scores.len() as f64)
}

/// The sparsity of each layer by OWL: layers with more outliers are pruned less, within `lambda` of the target, and their
/// mean is the target.
///
/// The authors take a lambda of 0.08 and count outliers with a factor of 5 ([`outlier_share`]). The mean counts each
/// layer once, so that all layers together have the target sparsity if they are of equal size, as blocks of a
/// transformer are. Sparsities outside [0, 1] are brought to its ends.
///
/// Yin et al. 2023, <https://arxiv.org/abs/2310.05175>.
///
/// ```
/// let sparsities = secateurs::criteria::owl(&[1.0, 2.0, 4.0], 0.7, 0.08)?;
/// let rounded: Vec<String> = sparsities.iter().map(|sparsity| format!("{sparsity:.6}")).collect();
/// assert_eq!(rounded, ["0.771111", "0.717778", "0.611111"]);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`CriteriaError::OwlSetting`] for a target, a lambda or a share that is NaN or infinite, or a target or lambda outside
/// [0, 1].
pub fn owl(outlier_shares: &[f64], sparsity: f64, lambda: f64) -> Result<Vec<f64>> {
    for (setting, value) in [("target sparsity", sparsity), ("lambda", lambda)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(CriteriaError::OwlSetting { setting, value }.into());
        }
    }
    if let Some(&value) = outlier_shares.iter().find(|share| !share.is_finite()) {
        return Err(CriteriaError::OwlSetting {
            setting: "outlier share",
            value,
        }
        .into());
    }
    let lowest = outlier_shares.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = outlier_shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Densities in a range of 2λ, and then moved such that their mean is that of the target.
    let spread = highest - lowest;
    let scaled = outlier_shares.iter().map(|share| match spread > 0.0 {
        true => (share - lowest) / spread * (2.0 * lambda),
        false => 0.0,
    });
    let scaled: Vec<f64> = scaled.collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len().max(1) as f64;
    Ok(scaled
        .iter()
        .map(|density| (sparsity + mean - density).clamp(0.0, 1.0))
        .collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn outliers_are_counted_in_percent() {
        // The mean is 2; above 5 times that is 11 alone, and 10 is not above.
        let scores = array![[0.0_f32, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0, 11.0]];
        assert_eq!(outlier_share(&scores, 5.0).unwrap(), 10.0);
        assert_eq!(outlier_share(&scores, 4.5).unwrap(), 10.0);
        assert_eq!(outlier_share(&scores, 4.4).unwrap(), 20.0);
        assert_eq!(
            outlier_share(&ndarray::Array1::<f64>::zeros(0), 5.0).unwrap(),
            0.0
        );
        assert!(outlier_share(&scores, 0.0).is_err() && outlier_share(&scores, f64::NAN).is_err());
        assert!(outlier_share(&array![f32::NAN], 5.0).is_err());
    }

    #[test]
    fn equal_layers_get_the_target_and_bad_settings_are_refused() {
        assert_eq!(owl(&[3.0, 3.0], 0.7, 0.08).unwrap(), [0.7, 0.7]);
        assert!(owl(&[], 0.7, 0.08).unwrap().is_empty());
        assert_eq!(owl(&[0.0, 1.0], 1.0, 0.5).unwrap(), [1.0, 0.5]);
        for (shares, sparsity, lambda) in [
            ([1.0, 2.0], 1.1, 0.1),
            ([1.0, 2.0], 0.5, -0.1),
            ([f64::NAN, 1.0], 0.5, 0.1),
        ] {
            assert!(owl(&shares, sparsity, lambda).is_err());
        }
    }
}
