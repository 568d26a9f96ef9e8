//! Writing masks into variables, in place, and keeping the original values of what they prune: [`Hidden`].

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var};
use ndarray::ArrayViewMutD;
use secateurs::FloatArray;
use secateurs::mask::Mask;

use crate::error::Result;
use crate::storage::{to_host, with_floats};

/// The original values of the entries that a mask prunes, in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    mask: Arc<Mask>,
    values: CpuStorage,
}

impl Hidden {
    /// The mask that hides the values.
    pub fn mask(&self) -> &Arc<Mask> {
        &self.mask
    }

    /// Puts the values back into a copy of the variable.
    pub fn restore(&self, array: &mut FloatArray) {
        macro_rules! restore {
            ($($variant:ident)*) => {
                match (array, &self.values) {
                    $((FloatArray::$variant(array), CpuStorage::$variant(hidden)) => {
                        if let Some(values) = array.as_slice_mut() {
                            put_back(values, &self.mask, hidden);
                        }
                    })*
                    _ => unreachable!("hidden values have the type of their variable, which never changes"),
                }
            };
        }
        restore!(F16 BF16 F32 F64);
    }
}

/// What is going to be done to a variable. Preparing may fail; what is prepared does not, on a CPU.
pub(crate) enum Rewrite {
    /// In memory of the CPU.
    InPlace {
        before: Option<Hidden>,
        after: Option<Arc<Mask>>,
    },
    /// On a device: everything is computed, and only has to be stored.
    Stored { values: Tensor, hidden: Option<Hidden> },
}

impl Rewrite {
    /// Prepares to put back what is hidden `before`, and then to hide what the mask `after` prunes.
    pub fn new(var: &Var, before: Option<&Hidden>, after: Option<&Arc<Mask>>) -> Result<Self> {
        if var.device().is_cpu() {
            let (before, after) = (before.cloned(), after.cloned());
            return Ok(Rewrite::InPlace { before, after });
        }
        Rewrite::by_copy(var, before, after)
    }

    /// As [`new`](Self::new), for a device: by a copy on the host.
    pub fn by_copy(var: &Var, before: Option<&Hidden>, after: Option<&Arc<Mask>>) -> Result<Self> {
        let mut storage = to_host(var)?;
        let hidden = rewrite(&mut storage, 0..var.elem_count(), before, after);
        let values = with_floats!(storage, values => {
            Tensor::from_vec(values, var.dims(), var.device())?
        }, _ => unreachable!("only floats are read"));
        Ok(Rewrite::Stored { values, hidden })
    }

    /// Does it. Returns the values that are hidden from now on.
    pub fn execute(self, var: &Var) -> Result<Option<Hidden>> {
        match self {
            Rewrite::InPlace { before, after } => {
                let op = InPlace {
                    before,
                    after,
                    hidden: RefCell::new(None),
                };
                var.inplace_op1(&op)?;
                Ok(op.hidden.into_inner())
            }
            Rewrite::Stored { values, hidden } => {
                var.set(&values)?;
                Ok(hidden)
            }
        }
    }
}

struct InPlace {
    before: Option<Hidden>,
    after: Option<Arc<Mask>>,
    hidden: RefCell<Option<Hidden>>,
}

impl InplaceOp1 for InPlace {
    fn name(&self) -> &'static str {
        "secateurs-rewrite"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (begin, end) = contiguous(layout)?;
        self.hidden.replace(rewrite(
            storage,
            begin..end,
            self.before.as_ref(),
            self.after.as_ref(),
        ));
        Ok(())
    }
}

fn rewrite(
    storage: &mut CpuStorage,
    range: std::ops::Range<usize>,
    before: Option<&Hidden>,
    after: Option<&Arc<Mask>>,
) -> Option<Hidden> {
    macro_rules! rewrite {
        ($($variant:ident)*) => {
            match storage {
                $(CpuStorage::$variant(values) => {
                    let values = &mut values[range];
                    if let Some(before) = before {
                        if let CpuStorage::$variant(hidden) = &before.values {
                            put_back(values, &before.mask, hidden);
                        }
                    }
                    after.map(|mask| Hidden {
                        values: CpuStorage::$variant(take_out(values, mask)),
                        mask: mask.clone(),
                    })
                })*
                _ => None,
            }
        };
    }
    rewrite!(F16 BF16 F32 F64)
}

fn put_back<T: Copy>(values: &mut [T], mask: &Mask, hidden: &[T]) {
    let mut hidden = hidden.iter();
    for_each_pruned(mask, |index| {
        if let Some(original) = hidden.next() {
            values[index] = *original;
        }
    });
}

/// Replaces what the mask prunes by +0.0, and returns it.
fn take_out<T: Copy + Default>(values: &mut [T], mask: &Mask) -> Vec<T> {
    let mut hidden = Vec::with_capacity(mask.count_pruned());
    for_each_pruned(mask, |index| hidden.push(std::mem::take(&mut values[index])));
    hidden
}

fn for_each_pruned(mask: &Mask, mut each: impl FnMut(usize)) {
    for (number, word) in mask.as_words().iter().enumerate() {
        let entries = (mask.len() - number * 64).min(64);
        let mut pruned = !word & (u64::MAX >> (64 - entries));
        while pruned != 0 {
            each(number * 64 + pruned.trailing_zeros() as usize);
            pruned &= pruned - 1;
        }
    }
}

/// Puts +0.0 wherever a mask prunes, in place on a CPU, and by candle's operations elsewhere.
pub(crate) struct ApplyMask<'a>(pub &'a Mask);

impl InplaceOp1 for ApplyMask<'_> {
    fn name(&self) -> &'static str {
        "secateurs-apply-mask"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (begin, end) = contiguous(layout)?;
        with_floats!(storage, values => {
            let view = ArrayViewMutD::from_shape(self.0.shape(), &mut values[begin..end]);
            let view = view.map_err(candle_core::Error::wrap)?;
            self.0.apply_inplace(view).map_err(candle_core::Error::wrap)
        }, _ => Ok(()))
    }
}

/// The tensor with +0.0 wherever the mask prunes, by candle's own operations. `mask` is of `u8`, on the same device.
pub(crate) fn masked(tensor: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
    mask.where_cond(tensor, &tensor.zeros_like()?)
}

/// A mask as a tensor of `u8`.
pub(crate) fn mask_tensor(mask: &Mask, like: &Tensor) -> candle_core::Result<Tensor> {
    let entries: Vec<u8> = mask.iter().map(u8::from).collect();
    Tensor::from_vec(entries, mask.shape(), like.device())
}

fn contiguous(layout: &Layout) -> candle_core::Result<(usize, usize)> {
    let offsets = layout.contiguous_offsets();
    offsets.ok_or_else(|| candle_core::Error::Msg("the tensor is not contiguous".into()))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use ndarray::array;

    use super::*;

    /// What is done on a device, done here on the CPU, beside what is done in place.
    #[test]
    fn copies_are_rewritten_as_memory_is() {
        let first = Arc::new(Mask::from_bool(
            array![[true, false, false], [false, true, true]].view(),
        ));
        let second = Arc::new(Mask::from_bool(
            array![[false, true, false], [true, true, false]].view(),
        ));
        let values = Tensor::new(&[[1f32, f32::NAN, -0.0], [4.0, -5.0, 6.0]], &Device::Cpu).unwrap();
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let var = || Var::from_tensor(&values.to_dtype(dtype).unwrap()).unwrap();
            let (in_place, copied) = (var(), var());
            let (mut hidden, mut hidden_of_copy) = (None, None);
            for mask in [Some(&first), Some(&second), None] {
                hidden = Rewrite::new(&in_place, hidden.as_ref(), mask)
                    .unwrap()
                    .execute(&in_place)
                    .unwrap();
                let rewrite = Rewrite::by_copy(&copied, hidden_of_copy.as_ref(), mask).unwrap();
                hidden_of_copy = rewrite.execute(&copied).unwrap();
                let bits = |var: &Var| format!("{:?}", to_host(var).unwrap());
                assert_eq!(bits(&in_place), bits(&copied));
                assert_eq!(hidden.is_some(), mask.is_some());

                // And what is done after each step.
                if let Some(mask) = mask {
                    let stepped = (var().as_tensor() + 1.0).unwrap();
                    let by_candle = masked(&stepped, &mask_tensor(mask, &stepped).unwrap()).unwrap();
                    stepped.inplace_op1(&ApplyMask(mask)).unwrap();
                    assert_eq!(
                        format!("{:?}", to_host(&stepped).unwrap()),
                        format!("{:?}", to_host(&by_candle).unwrap())
                    );
                }
            }
            assert_eq!(
                format!("{:?}", to_host(&in_place).unwrap()),
                format!("{:?}", to_host(&var()).unwrap())
            );
        }
    }
}
