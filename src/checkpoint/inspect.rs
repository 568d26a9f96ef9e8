//! [`TensorStats`]: what a tensor of a checkpoint holds, found in one pass.

use super::Checkpoint;
use super::report::share;
use super::select::Channels;
use super::stream::chunk::whole;
use super::stream::values::{Float, Values, with_floats};
use super::stream::{Phase, ordered};
use crate::error::Result;
use crate::mask::bits::{self, BITS};
use crate::mask::parallel::vectorized;

/// Group sizes of the N:M patterns that are recognised; powers of two, so that a group lies in a word.
const GROUPS: [usize; 4] = [2, 4, 8, 16];

/// Patterns along a dimension are recognised where what has to be remembered for that is no longer than this.
const LIMIT: usize = 1 << 24;

/// What a tensor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorStats {
    /// Entries that are +0.0 or −0.0.
    pub zeros: usize,
    /// Of these, −0.0.
    pub negative_zeros: usize,
    /// Entries that are NaN.
    pub nans: usize,
    /// Entries in all.
    pub entries: usize,
    /// N:M patterns that hold along the first two dimensions, except those that follow from another.
    pub groups: Vec<GroupPattern>,
    /// Dimensions, of the first two, along which whole channels are zero.
    pub channels: Vec<ChannelPattern>,
}

/// Of every `of` consecutive entries along `dim`, at most `keep` are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GroupPattern {
    /// Most entries of a group that are not zero.
    pub keep: usize,
    /// Entries of a group.
    pub of: usize,
    /// The dimension along which they are consecutive.
    pub dim: usize,
}

/// Whole channels along `dim` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ChannelPattern {
    /// The dimension that numbers the channels.
    pub dim: usize,
    /// Channels that are zero.
    pub zero: usize,
    /// Channels in all.
    pub count: usize,
}

impl TensorStats {
    /// The share of entries that are zero, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.zeros, self.entries)
    }
}

impl Checkpoint {
    /// Reads the tensors of these names in one pass, and returns what each holds; `None` where its type cannot be
    /// pruned, so that there is nothing to count.
    ///
    /// ```
    /// use secateurs::checkpoint::{Checkpoint, Dtype};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.safetensors");
    /// # let bytes: Vec<u8> = [0_f32, -0.0, 3.0, 0.2].iter().flat_map(|x| x.to_le_bytes()).collect();
    /// # let weight = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
    /// # safetensors::serialize_to_file([("fc.weight", weight)], None, &path).unwrap();
    /// let checkpoint = Checkpoint::open(&path)?;
    /// let stats = checkpoint.inspect(["fc.weight"])?.remove(0).unwrap();
    /// assert_eq!((stats.zeros, stats.negative_zeros, stats.sparsity()), (2, 1, 0.5));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CheckpointError::UnknownTensor`](crate::error::CheckpointError::UnknownTensor), [`Error::Io`](crate::Error::Io), and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn inspect(&self, names: impl IntoIterator<Item: AsRef<str>>) -> Result<Vec<Option<TensorStats>>> {
        let mut numbers = Vec::new();
        for name in names {
            numbers.push(self.number(name.as_ref())?);
        }
        let infos = numbers.iter().map(|&number| &self.tensors()[number]);
        let mut scans: Vec<_> = infos
            .clone()
            .map(|info| info.is_float().then(|| Scan::new(info.shape())))
            .collect();
        let floats = numbers.iter().enumerate();
        let floats = floats.filter(|(_, number)| self.tensors()[**number].is_float());
        let chunks = floats.flat_map(|(place, &number)| {
            whole(number, &self.tensors()[number], 64).map(move |chunk| (place, chunk))
        });
        let mut report = self.meter(Phase::Reading, chunks.clone().map(|(_, chunk)| chunk));
        ordered(
            &mut self.work.workers_for(chunks.clone(), Values::default),
            chunks,
            |(_, chunk), values| self.read_chunk(*chunk, values),
            |(place, chunk), values| {
                if let Some(scan) = &mut scans[*place] {
                    with_floats!(values, values => scan.feed(chunk.first, values), raw => {});
                }
                report(*chunk);
                Ok(())
            },
            |_, _| Ok(()),
        )?;
        let stats = scans.into_iter().zip(infos);
        Ok(stats
            .map(|(scan, info)| scan.map(|scan| scan.end(info.entries())))
            .collect())
    }
}

#[derive(Default)]
struct Scan {
    zeros: usize,
    negative_zeros: usize,
    nans: usize,
    dims: Vec<Dim>,
}

impl Scan {
    fn new(shape: &[usize]) -> Self {
        let dims = (0..shape.len().min(2)).filter(|_| shape.len() >= 2 && !shape.contains(&0));
        let dims = dims.filter_map(|dim| {
            let channels = Channels::along(dim as isize, shape).ok()?;
            (channels.count.max(channels.inner) <= LIMIT).then(|| Dim::new(dim, channels))
        });
        Scan {
            dims: dims.collect(),
            ..Scan::default()
        }
    }

    fn feed<T: Float>(&mut self, first: usize, values: &[T]) {
        let mut bits = Vec::with_capacity(values.len().div_ceil(BITS));
        let (blocks, rest) = values.as_chunks::<BITS>();
        vectorized(
            #[inline(always)]
            || {
                for block in blocks {
                    bits.push(self.block(block));
                }
                if !rest.is_empty() {
                    bits.push(self.block(rest));
                }
            },
        );
        for dim in &mut self.dims {
            dim.feed(first, values.len(), &bits);
        }
    }

    /// Counts in a block of at most 64 entries, and returns a word with a bit for each that is not zero.
    #[inline(always)]
    fn block<T: Float>(&mut self, block: &[T]) -> u64 {
        let count = |is: fn(&T) -> bool| block.iter().map(|x| u32::from(is(x))).sum::<u32>() as usize;
        self.nans += count(T::is_not_a_number);
        let zeros = count(T::is_zero);
        if zeros == 0 {
            return u64::MAX >> (BITS - block.len());
        }
        self.zeros += zeros;
        self.negative_zeros += count(T::is_negative_zero);
        let entries = block.iter().enumerate();
        entries.fold(0, |word, (i, x)| word | u64::from(!x.is_zero()) << i)
    }

    fn end(self, entries: usize) -> TensorStats {
        TensorStats {
            zeros: self.zeros,
            negative_zeros: self.negative_zeros,
            nans: self.nans,
            entries,
            groups: self.dims.iter().flat_map(Dim::groups).collect(),
            channels: self.dims.iter().filter_map(Dim::zero_channels).collect(),
        }
    }
}

/// What is remembered of a dimension.
struct Dim {
    dim: usize,
    channels: Channels,
    /// A bit for each channel: whether any entry is not zero.
    used: Vec<u64>,
    /// By group size: the most entries of a group that were not zero so far.
    most: [usize; GROUPS.len()],
    /// By group size and place in a channel: entries of the group under way that are not zero.
    under_way: [Vec<u8>; GROUPS.len()],
}

impl Dim {
    fn new(dim: usize, channels: Channels) -> Self {
        let places = if channels.inner == 1 { 0 } else { channels.inner };
        Dim {
            dim,
            channels,
            used: vec![0; channels.count.div_ceil(BITS)],
            most: [0; GROUPS.len()],
            under_way: std::array::from_fn(|_| vec![0; places]),
        }
    }

    /// Group sizes that divide the dimension.
    fn sizes(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.channels.count;
        GROUPS
            .into_iter()
            .enumerate()
            .filter(move |(_, of)| count.is_multiple_of(*of))
    }

    /// Takes `len` entries from `first` on, of which those whose bit is set are not zero.
    fn feed(&mut self, first: usize, len: usize, bits: &[u64]) {
        // A group without a zero says all that there is to say of its size, and dense tensors soon have one.
        let open: Vec<_> = self.sizes().filter(|&(size, of)| self.most[size] < of).collect();
        if self.channels.inner == 1 {
            self.mark_columns(first, len, bits);
            self.count_words(&open, len, bits);
            return;
        }
        let mut i = 0;
        while i < len {
            let (channel, run) = self.channels.of(first + i);
            let end = len.min(i + run);
            if bits::any_set(bits, i..end) {
                self.used[channel / BITS] |= 1 << (channel % BITS);
            }
            for &(size, of) in &open {
                let place = (first + i) % self.channels.inner;
                let starts = channel.is_multiple_of(of);
                let counts = &mut self.under_way[size][place..place + end - i];
                let mut most = 0;
                for (at, count) in counts.iter_mut().enumerate() {
                    let is_set = (bits[(i + at) / BITS] >> ((i + at) % BITS) & 1) as u8;
                    *count = if starts { is_set } else { *count + is_set };
                    most = most.max(*count);
                }
                self.most[size] = self.most[size].max(usize::from(most));
            }
            i = end;
        }
    }

    /// Marks the channels of entries that follow each other, one for each channel.
    fn mark_columns(&mut self, first: usize, len: usize, bits: &[u64]) {
        let mut i = 0;
        while i < len {
            let column = (first + i) % self.channels.count;
            let run = (self.channels.count - column).min(len - i);
            bits::or_at(&mut self.used, column, bits, i, run);
            i += run;
        }
    }

    /// Groups of consecutive entries lie in words, because chunks begin where words do and sizes divide rows.
    fn count_words(&mut self, sizes: &[(usize, usize)], len: usize, bits: &[u64]) {
        for &(size, of) in sizes {
            let group = (1_u64 << of) - 1;
            let mut most = self.most[size] as u32;
            for (word, bits) in bits.iter().enumerate() {
                if most as usize == of {
                    break;
                }
                let used = (len - word * BITS).min(BITS);
                for at in (0..used).step_by(of) {
                    most = most.max((bits >> at & group).count_ones());
                }
            }
            self.most[size] = most as usize;
        }
    }

    fn groups(&self) -> Vec<GroupPattern> {
        let mut held: Vec<GroupPattern> = Vec::new();
        for (size, of) in self.sizes() {
            let keep = self.most[size];
            // 1:2 is 2:4 is 4:8; and what holds nothing at all holds every pattern.
            let implied = held.iter().any(|p| p.keep * of / p.of <= keep);
            if keep < of && keep > 0 && !implied {
                held.push(GroupPattern {
                    keep,
                    of,
                    dim: self.dim,
                });
            }
        }
        held
    }

    fn zero_channels(&self) -> Option<ChannelPattern> {
        let used: usize = self.used.iter().map(|word| word.count_ones() as usize).sum();
        let zero = self.channels.count - used;
        (zero > 0).then_some(ChannelPattern {
            dim: self.dim,
            zero,
            count: self.channels.count,
        })
    }
}
