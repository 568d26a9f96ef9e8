//! The places where samples are taken.

/// A hash of a number, so that a sample is not in step with any pattern in the weights (the finaliser of
/// MurmurHash3).
#[inline(always)]
pub(crate) fn sample_hash(number: u64) -> u64 {
    let x = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}
