//! [`Mask`]: which entries of a tensor are kept, one bit each.

use std::fmt;
use std::ops::{BitAnd, BitOr, Index, Not};

use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, Dimension, IxDyn};
use num_traits::{One, Zero};
use serde::{Deserialize, Serialize};

use super::bits::{BITS, masked};
use super::parallel::{Threads, vectorized};
use crate::error::{Error, MaskError, Result};

/// A binary mask of any shape, stored packed: a set bit is an entry that is kept, a clear one is pruned.
///
/// Entries are numbered in row-major order whatever the memory layout of the array a mask came from; entry `i`
/// is bit `i % 64` of word `i / 64`. Masks are equal when their shapes and entries are.
///
/// The equivalent of PyTorch's `weight_mask` buffer, in 1/32 of its memory.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::Mask;
///
/// let mask = Mask::from_array(array![[1, 0, 1], [0, 1, 1]].view())?;
/// assert_eq!((mask.count_kept(), mask.count_pruned()), (4, 2));
/// assert_eq!(mask.get(&[0, 1]), Some(false));
///
/// assert!(mask[[0, 2]] && !(&mask & &!&mask)[[0, 2]]);
///
/// let weight = array![[1.0_f32, f32::NAN, 3.0], [4.0, 5.0, 6.0]];
/// let pruned = mask.apply(weight.view().into_dyn())?;
/// assert_eq!(pruned, array![[1.0, 0.0, 3.0], [0.0, 5.0, 6.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Mask {
    shape: Vec<usize>,
    /// Bits past the last entry are 0, so that counts and comparisons are those of words.
    words: Vec<u64>,
}

/// The serialised form of a mask, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    shape: Vec<usize>,
    words: Vec<u64>,
}

impl TryFrom<Unchecked> for Mask {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self> {
        Mask::from_words(&raw.shape, raw.words)
    }
}

impl Mask {
    /// A mask that keeps every entry.
    ///
    /// # Panics
    ///
    /// If the number of entries overflows `usize`, as an array of that shape would.
    pub fn ones(shape: &[usize]) -> Self {
        let len = entries(shape).expect("the number of entries overflows usize");
        let mut words = vec![u64::MAX; len.div_ceil(BITS)];
        clear_tail(&mut words, len);
        Mask {
            shape: shape.to_vec(),
            words,
        }
    }

    /// A mask that prunes every entry.
    ///
    /// # Panics
    ///
    /// If the number of entries overflows `usize`, as an array of that shape would.
    pub fn zeros(shape: &[usize]) -> Self {
        let len = entries(shape).expect("the number of entries overflows usize");
        Mask {
            shape: shape.to_vec(),
            words: vec![0; len.div_ceil(BITS)],
        }
    }

    /// The mask with these packed words: entry `i` (row-major) is bit `i % 64` of word `i / 64`.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if `words` does not have the length that
    /// the shape needs; [`MaskError::NotBinary`](crate::error::MaskError::NotBinary) if a bit past the last entry is
    /// set.
    pub fn from_words(shape: &[usize], words: Vec<u64>) -> Result<Self> {
        let len = entries(shape).filter(|len| len.div_ceil(BITS) == words.len());
        let Some(len) = len else {
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "a mask's list of words",
                expected: entries(shape).map(|len| len.div_ceil(BITS)).into_iter().collect(),
                got: vec![words.len()],
            }));
        };
        let mut clean = words;
        if clear_tail(&mut clean, len) {
            return Err(Error::Mask(MaskError::NotBinary {
                index: len,
                value: "set, but past the last entry".into(),
            }));
        }
        Ok(Mask {
            shape: shape.to_vec(),
            words: clean,
        })
    }

    /// The mask of an array of 0s and 1s, of any number type, rank and memory layout.
    ///
    /// # Errors
    ///
    /// [`MaskError::NotBinary`](crate::error::MaskError::NotBinary) names the first entry (row-major) that is neither 0 nor 1.
    pub fn from_array<T, D>(array: ArrayView<'_, T, D>) -> Result<Self>
    where
        T: Zero + One + PartialEq + fmt::Debug,
        D: Dimension,
    {
        let (zero, one) = (T::zero(), T::one());
        let mut wrong = None;
        let bits = array.iter().enumerate().map(|(index, value)| {
            if *value != zero && *value != one && wrong.is_none() {
                wrong = Some(Error::Mask(MaskError::NotBinary {
                    index,
                    value: format!("{value:?}"),
                }));
            }
            *value == one
        });
        let mask = Mask::collect(array.shape(), bits);
        match wrong {
            Some(error) => Err(error),
            None => Ok(mask),
        }
    }

    /// The mask of an array of booleans, of any rank and memory layout; `true` is kept.
    pub fn from_bool<D: Dimension>(array: ArrayView<'_, bool, D>) -> Self {
        Mask::collect(array.shape(), array.iter().copied())
    }

    /// The mask that keeps the entries of `array` for which `keep` holds.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::mask::Mask;
    ///
    /// let mask = Mask::from_fn(array![3.0_f32, -1.0, 0.5].view(), |x| x.abs() >= 1.0);
    /// assert_eq!(mask.to_bool(), array![true, true, false].into_dyn());
    /// ```
    pub fn from_fn<T, D: Dimension>(array: ArrayView<'_, T, D>, keep: impl FnMut(&T) -> bool) -> Self {
        Mask::collect(array.shape(), array.iter().map(keep))
    }

    /// The mask of these bits in row-major order; entries without one are pruned.
    pub(crate) fn collect(shape: &[usize], bits: impl Iterator<Item = bool>) -> Self {
        let mut mask = Mask::zeros(shape);
        for (index, kept) in bits.enumerate() {
            mask.words[index / BITS] |= u64::from(kept) << (index % BITS);
        }
        mask
    }

    /// Shape of the tensor that the mask is for.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of dimensions.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Number of entries, kept and pruned.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no entries at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of entries that are kept.
    pub fn count_kept(&self) -> usize {
        vectorized(
            #[inline(always)]
            || self.words.iter().map(|word| word.count_ones() as usize).sum(),
        )
    }

    /// Number of entries that are pruned.
    pub fn count_pruned(&self) -> usize {
        self.len() - self.count_kept()
    }

    /// The share of entries that are pruned, in [0, 1]; 0 for a mask without entries.
    pub fn sparsity(&self) -> f64 {
        match self.len() {
            0 => 0.0,
            len => self.count_pruned() as f64 / len as f64,
        }
    }

    /// Whether the entry at `index` is kept; `None` outside the shape.
    pub fn get(&self, index: &[usize]) -> Option<bool> {
        if index.len() != self.shape.len() {
            return None;
        }
        let mut flat = 0;
        for (&i, &n) in index.iter().zip(&self.shape) {
            if i >= n {
                return None;
            }
            flat = flat * n + i;
        }
        Some(self.bit(flat))
    }

    /// Whether the entry of row-major index `flat` is kept.
    pub(crate) fn bit(&self, flat: usize) -> bool {
        self.words[flat / BITS] >> (flat % BITS) & 1 == 1
    }

    /// The entries in row-major order, `true` where kept.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            mask: self,
            range: 0..self.len(),
        }
    }

    /// The packed words: entry `i` (row-major) is bit `i % 64` of word `i / 64`, bits past the last entry are 0.
    pub fn as_words(&self) -> &[u64] {
        &self.words
    }

    /// The packed words, without the shape.
    pub(crate) fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// The mask as an array of booleans, `true` where kept.
    pub fn to_bool(&self) -> ArrayD<bool> {
        self.expand(|kept| kept)
    }

    /// The mask as an array of ones (kept) and zeros (pruned), as PyTorch stores it.
    pub fn to_array<T: Zero + One + Clone>(&self) -> ArrayD<T> {
        self.expand(|kept| if kept { T::one() } else { T::zero() })
    }

    fn expand<T>(&self, value: impl FnMut(bool) -> T) -> ArrayD<T> {
        let values = self.iter().map(value).collect();
        Array::from_shape_vec(IxDyn(&self.shape), values).expect("a mask has as many entries as its shape")
    }

    /// The mask that keeps what both keep.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shapes differ.
    pub fn and(&self, other: &Mask) -> Result<Mask> {
        self.zip(other, |a, b| a & b)
    }

    /// The mask that keeps what either keeps.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shapes differ.
    pub fn or(&self, other: &Mask) -> Result<Mask> {
        self.zip(other, |a, b| a | b)
    }

    /// The mask that keeps what this one prunes and prunes what it keeps.
    #[allow(clippy::should_implement_trait)] // the operator is there too, for references
    pub fn not(&self) -> Mask {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        clear_tail(&mut words, self.len());
        Mask {
            shape: self.shape.clone(),
            words,
        }
    }

    fn zip(&self, other: &Mask, op: impl Fn(u64, u64) -> u64) -> Result<Mask> {
        self.check_shape("the other mask", other.shape())?;
        let words = self
            .words
            .iter()
            .zip(&other.words)
            .map(|(&a, &b)| op(a, b))
            .collect();
        Ok(Mask {
            shape: self.shape.clone(),
            words,
        })
    }

    /// The array with +0.0 wherever the mask prunes, even in place of NaN, ∞ or a negative number.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shapes differ.
    pub fn apply<T: Zero + Copy + Send + Sync>(&self, array: ArrayViewD<'_, T>) -> Result<ArrayD<T>> {
        self.check_shape("the array", array.shape())?;
        let standard = array.as_standard_layout();
        let values = standard
            .as_slice()
            .expect("an array in standard layout is a slice");
        let mut out = vec![T::zero(); values.len()];
        self.write_kept(values, &mut out);
        Ok(Array::from_shape_vec(IxDyn(&self.shape), out).expect("a mask has as many entries as its shape"))
    }

    /// Puts +0.0 wherever the mask prunes, in place, in any memory layout.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shapes differ.
    pub fn apply_inplace<T: Zero + Copy + Send>(
        &self,
        mut array: ndarray::ArrayViewMutD<'_, T>,
    ) -> Result<()> {
        self.check_shape("the array", array.shape())?;
        match array.as_slice_mut() {
            Some(values) => self.zero_pruned(values),
            None => array
                .iter_mut()
                .zip(self.iter())
                .filter(|(_, kept)| !kept)
                .for_each(|(x, _)| *x = T::zero()),
        }
        Ok(())
    }

    /// Copies the entries that are kept into an array of zeros.
    fn write_kept<T: Zero + Copy + Send + Sync>(&self, values: &[T], into: &mut [T]) {
        let threads = Threads::of(values.len());
        let of_task = self.words.len().div_ceil(threads.tasks()).max(1);
        let into = into.chunks_mut(of_task * BITS);
        let tasks = into
            .zip(values.chunks(of_task * BITS))
            .zip(self.words.chunks(of_task));
        threads.each(&mut tasks.collect::<Vec<_>>(), |((into, values), words)| {
            vectorized(
                #[inline(always)]
                || {
                    let (whole, rest) = values.as_chunks();
                    let (into, into_rest) = into.as_chunks_mut();
                    for ((into, values), word) in into.iter_mut().zip(whole).zip(words.iter()) {
                        *into = masked(values, *word, T::zero());
                    }
                    let word = words.last().copied().unwrap_or(0);
                    for (i, (into, value)) in into_rest.iter_mut().zip(rest).enumerate() {
                        if word >> i & 1 == 1 {
                            *into = *value;
                        }
                    }
                },
            )
        });
    }

    /// Puts zeros over the entries that are pruned.
    fn zero_pruned<T: Zero + Copy + Send>(&self, values: &mut [T]) {
        let threads = Threads::of(values.len());
        let of_task = self.words.len().div_ceil(threads.tasks()).max(1);
        let tasks = values.chunks_mut(of_task * BITS).zip(self.words.chunks(of_task));
        threads.each(&mut tasks.collect::<Vec<_>>(), |(values, words)| {
            vectorized(
                #[inline(always)]
                || {
                    let (whole, rest) = values.as_chunks_mut();
                    for (values, word) in whole.iter_mut().zip(words.iter()) {
                        *values = masked(values, *word, T::zero());
                    }
                    let word = words.last().copied().unwrap_or(0);
                    for (i, value) in rest.iter_mut().enumerate() {
                        if word >> i & 1 == 0 {
                            *value = T::zero();
                        }
                    }
                },
            )
        });
    }

    /// An error where `got` is not the shape of this mask.
    pub(crate) fn check_shape(&self, what: &'static str, got: &[usize]) -> Result<()> {
        if got == self.shape {
            return Ok(());
        }
        Err(Error::Mask(MaskError::ShapeMismatch {
            what,
            expected: self.shape.clone(),
            got: got.to_vec(),
        }))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Mask({:?}, {} of {} kept)",
            self.shape,
            self.count_kept(),
            self.len()
        )
    }
}

/// Whether the entry at an index is kept: `mask[&[0, 1]]`.
///
/// # Panics
///
/// If the index is outside the shape. [`Mask::get`] does not panic.
impl<I: AsRef<[usize]>> Index<I> for Mask {
    type Output = bool;

    fn index(&self, index: I) -> &bool {
        let index = index.as_ref();
        match self.get(index) {
            Some(true) => &true,
            Some(false) => &false,
            None => panic!("index {index:?} is outside a mask of shape {:?}", self.shape),
        }
    }
}

/// The mask that keeps what both keep.
///
/// # Panics
///
/// If the shapes differ. [`Mask::and`] does not panic.
impl BitAnd for &Mask {
    type Output = Mask;

    fn bitand(self, other: &Mask) -> Mask {
        self.and(other).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The mask that keeps what either keeps.
///
/// # Panics
///
/// If the shapes differ. [`Mask::or`] does not panic.
impl BitOr for &Mask {
    type Output = Mask;

    fn bitor(self, other: &Mask) -> Mask {
        self.or(other).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The mask that keeps what this one prunes, and prunes what it keeps.
impl Not for &Mask {
    type Output = Mask;

    fn not(self) -> Mask {
        Mask::not(self)
    }
}

impl BitAnd for Mask {
    type Output = Mask;

    fn bitand(self, other: Mask) -> Mask {
        &self & &other
    }
}

impl BitOr for Mask {
    type Output = Mask;

    fn bitor(self, other: Mask) -> Mask {
        &self | &other
    }
}

impl Not for Mask {
    type Output = Mask;

    fn not(self) -> Mask {
        !&self
    }
}

macro_rules! mask_from_numbers {
    ($($number:ty)*) => {$(
        impl<D: Dimension> TryFrom<Array<$number, D>> for Mask {
            type Error = Error;

            /// The mask of an array of 0s and 1s, as [`Mask::from_array`].
            fn try_from(array: Array<$number, D>) -> Result<Self> {
                Mask::from_array(array.view())
            }
        }
    )*};
}

mask_from_numbers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 half::f16 half::bf16);

impl<D: Dimension> From<Array<bool, D>> for Mask {
    fn from(array: Array<bool, D>) -> Self {
        Mask::from_bool(array.view())
    }
}

/// Iterator over the entries of a [`Mask`] in row-major order, made by [`Mask::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    mask: &'a Mask,
    range: std::ops::Range<usize>,
}

impl Iterator for Iter<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        self.range.next().map(|flat| self.mask.bit(flat))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<bool> {
        self.range.next_back().map(|flat| self.mask.bit(flat))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Mask {
    type Item = bool;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The number of entries of a shape, unless it overflows.
///
/// The product of the non-zero dimensions has to fit as well, because ndarray requires it. So every shape accepted
/// here can be expanded into an array.
fn entries(shape: &[usize]) -> Option<usize> {
    let nonzero = shape
        .iter()
        .filter(|&&n| n != 0)
        .try_fold(1_usize, |len, &n| len.checked_mul(n))?;
    if nonzero > isize::MAX as usize {
        return None;
    }
    Some(if shape.contains(&0) { 0 } else { nonzero })
}

/// Clears the bits past the last entry; says whether any was set.
fn clear_tail(words: &mut [u64], len: usize) -> bool {
    let used = len % BITS;
    match words.last_mut() {
        Some(last) if used != 0 => {
            let before = *last;
            *last &= (1 << used) - 1;
            *last != before
        }
        _ => false,
    }
}
