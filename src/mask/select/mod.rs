//! Selection of the lowest (temporary naive form).
#![allow(missing_docs)]
use num_traits::{AsPrimitive, Float, Zero};
pub trait Element: AsPrimitive<f64> + Zero + Float + Send + Sync + 'static {}
impl<T: AsPrimitive<f64> + Zero + Float + Send + Sync + 'static> Element for T {}
pub struct Segment<'a, T> {
    pub values: &'a [T],
    pub prior: Option<&'a [u64]>,
}
pub struct RandomSegment<'a> {
    pub len: usize,
    pub prior: Option<&'a [u64]>,
    pub key: [u8; 32],
}
#[derive(PartialEq)]
pub enum Order {
    Magnitude,
    Value,
}
pub enum SelectError {
    Nan { segment: usize, index: usize },
    TooMany { asked: usize, left: usize },
}
pub fn lowest<T: Element>(
    segments: &[Segment<'_, T>],
    k: usize,
    order: Order,
) -> Result<Vec<Vec<u64>>, SelectError> {
    let mut all = vec![];
    let mut words: Vec<Vec<u64>> = vec![];
    for (s, seg) in segments.iter().enumerate() {
        words.push(vec![0; seg.values.len().div_ceil(64)]);
        for (i, v) in seg.values.iter().enumerate() {
            if seg.prior.is_none_or(|p| p[i / 64] >> (i % 64) & 1 == 1) {
                if v.is_nan() {
                    return Err(SelectError::Nan { segment: s, index: i });
                }
                words[s][i / 64] |= 1 << (i % 64);
                let f: f64 = v.as_();
                all.push((
                    if order == Order::Magnitude {
                        f.abs()
                    } else {
                        f + 0.0
                    },
                    s,
                    i,
                ));
            }
        }
    }
    if k > all.len() {
        return Err(SelectError::TooMany {
            asked: k,
            left: all.len(),
        });
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, s, i) in &all[..k] {
        words[*s][i / 64] &= !(1 << (i % 64));
    }
    Ok(words)
}
pub fn lowest_random(segments: &[RandomSegment<'_>], k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    let keys: Vec<Vec<f64>> = segments
        .iter()
        .map(|s| {
            super::random::keys(s.key, s.len)
                .into_iter()
                .map(f64::from)
                .collect()
        })
        .collect();
    let segs: Vec<_> = segments
        .iter()
        .zip(&keys)
        .map(|(s, k)| Segment {
            values: k,
            prior: s.prior,
        })
        .collect();
    lowest(&segs, k, Order::Magnitude)
}
