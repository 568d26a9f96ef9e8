//! The update of the entries of one parameter, under its mask.

use ndarray::{ArrayD, ArrayViewD};

use crate::mask::bits::BITS;
use crate::mask::parallel::{Threads, vectorized};
use crate::nn::Parameter;

/// Applies `update` to every entry of a parameter that is kept. It takes the entry, its gradient and its running
/// numbers, and returns the new entry and the new running numbers.
///
/// A pruned entry keeps its value bit for bit, and its running numbers become +0.0. So nothing, neither weight decay
/// nor momentum, changes it, and if it is kept again, it starts afresh.
///
/// Every entry is computed, and the words of the mask select, 64 entries at a time: vector instructions do both.
pub(super) fn update_entries<const N: usize>(
    parameter: &mut Parameter,
    gradient: ArrayViewD<'_, f32>,
    running: [&mut ArrayD<f32>; N],
    update: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]) + Sync,
) {
    const STANDARD: &str = "parameters and their running arrays are in standard layout";
    let mask = parameter.pruning().map(|pruning| pruning.mask().clone());
    let gradient = gradient.as_standard_layout();
    let gradient = gradient.as_slice().expect(STANDARD);
    let mut original = parameter.original_mut();
    let values = original.as_slice_mut().expect(STANDARD);
    let running = running.map(|array| array.as_slice_mut().expect(STANDARD));

    let threads = Threads::of(values.len());
    let words_of_task = values.len().div_ceil(BITS).div_ceil(threads.tasks()).max(1);
    let of_task = words_of_task * BITS;
    let mut words = mask.as_ref().map(|mask| mask.as_words().chunks(words_of_task));
    let mut running = running.map(|array| array.chunks_mut(of_task));
    let tasks = values.chunks_mut(of_task).zip(gradient.chunks(of_task));
    let mut tasks: Vec<_> = tasks
        .map(|(values, gradient)| {
            Some(Task {
                values,
                gradient,
                running: running.each_mut().map(|chunks| chunks.next().unwrap_or_default()),
                words: words.as_mut().map(|chunks| chunks.next().unwrap_or_default()),
            })
        })
        .collect();
    let update = &update;
    threads.each(&mut tasks, |task| {
        let Some(task) = task.take() else { return };
        // A closure that consumes what it captures is compiled for the vector instructions. Another one is only called
        // there, and may be compiled without them.
        vectorized(
            #[inline(always)]
            move || task.run(update),
        )
    });
}

/// A part of the entries, which begins where a word of the mask does.
struct Task<'a, const N: usize> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    running: [&'a mut [f32]; N],
    /// The words of the mask, if there is one.
    words: Option<&'a [u64]>,
}

impl<const N: usize> Task<'_, N> {
    #[inline(always)]
    fn run(mut self, update: &impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N])) {
        let (values, values_rest) = self.values.as_chunks_mut();
        let (gradient, gradient_rest) = self.gradient.as_chunks();
        let (whole, words) = (values.len(), self.words);
        for (number, (values, gradient)) in values.iter_mut().zip(gradient).enumerate() {
            let running = self.running.each_mut().map(
                #[inline(always)]
                |array| &mut array.as_chunks_mut().0[number],
            );
            block(
                values,
                gradient,
                running,
                words.map(|words| words[number]),
                update,
            );
        }
        if values_rest.is_empty() {
            return;
        }
        // The end, as a block of which only the beginning counts.
        let (mut values, mut gradient) = ([0.0; BITS], [0.0; BITS]);
        let mut running = [[0.0; BITS]; N];
        let len = values_rest.len();
        values[..len].copy_from_slice(values_rest);
        gradient[..len].copy_from_slice(gradient_rest);
        for (block, array) in running.iter_mut().zip(&self.running) {
            block[..len].copy_from_slice(&array[whole * BITS..]);
        }
        let word = words.map(|words| words[whole]);
        block(&mut values, &gradient, running.each_mut(), word, update);
        values_rest.copy_from_slice(&values[..len]);
        for (block, array) in running.iter().zip(&mut self.running) {
            array[whole * BITS..].copy_from_slice(&block[..len]);
        }
    }
}

/// Updates as many entries as share a word of the mask.
#[inline(always)]
fn block<const N: usize>(
    values: &mut [f32; BITS],
    gradient: &[f32; BITS],
    running: [&mut [f32; BITS]; N],
    word: Option<u64>,
    update: &impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]),
) {
    let (mut updated, mut further) = ([0.0; BITS], [[0.0; BITS]; N]);
    match word {
        None => {
            for i in 0..BITS {
                let (value, numbers) = update(values[i], gradient[i], at(&running, i));
                updated[i] = value;
                for n in 0..N {
                    further[n][i] = numbers[n];
                }
            }
        }
        // Whole channels or blocks are pruned.
        Some(0) => updated = *values,
        Some(word) => {
            let kept = kept(word);
            for i in 0..BITS {
                let (value, numbers) = update(values[i], gradient[i], at(&running, i));
                updated[i] = f32::from_bits(value.to_bits() & kept[i] | values[i].to_bits() & !kept[i]);
                for n in 0..N {
                    further[n][i] = f32::from_bits(numbers[n].to_bits() & kept[i]);
                }
            }
        }
    }
    *values = updated;
    for (running, further) in running.into_iter().zip(further) {
        *running = further;
    }
}

/// The running numbers of one entry.
#[inline(always)]
fn at<const N: usize>(running: &[&mut [f32; BITS]; N], i: usize) -> [f32; N] {
    std::array::from_fn(
        #[inline(always)]
        |n| running[n][i],
    )
}

/// All bits of an entry that is kept, and none of one that is pruned.
///
/// From a table: where the compiler sees how masks of floats come from bits, it stores floats under a mask, for which
/// some processors take longer than for all the rest of a step.
#[inline(always)]
fn kept(word: u64) -> [u32; BITS] {
    let mut kept = [0; BITS];
    for (kept, byte) in kept.as_chunks_mut().0.iter_mut().zip(word.to_le_bytes()) {
        *kept = OF_BYTE[usize::from(byte)];
    }
    kept
}

static OF_BYTE: [[u32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut bit = 0;
    while bit < 256 * 8 {
        if ((bit / 8) >> (bit % 8)) & 1 == 1 {
            table[bit / 8][bit % 8] = u32::MAX;
        }
        bit += 1;
    }
    table
};

/// Makes the running arrays of a parameter +0.0 where it is pruned, in a step in which it has no gradient.
pub(super) fn forget_pruned<const N: usize>(parameter: &Parameter, running: [&mut ArrayD<f32>; N]) {
    if let Some(mask) = parameter.mask() {
        for array in running {
            let done = mask.apply_inplace(array.view_mut());
            done.expect("a mask and running arrays have their parameter's shape");
        }
    }
}
