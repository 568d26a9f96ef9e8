//! Files that were changed at random are read, or refused, but never make anyone panic.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Existing, Zeros};

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Flip(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    /// A digit becomes another one, so that the JSON stays valid and lies.
    Digit(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<usize>();
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), 1..40usize).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        8 => (at(), b'0'..=b'9').prop_map(|(at, digit)| Change::Digit(at, digit)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len().max(1);
    match *change {
        _ if bytes.is_empty() => {}
        Change::Set(at, byte) => bytes[at % len] = byte,
        Change::Flip(at, bit) => bytes[at % len] ^= 1 << bit,
        Change::Cut(at) => bytes.truncate(at % len),
        Change::Remove(at, n) => drop(bytes.drain(at % len..(at % len + n).min(len))),
        Change::Insert(at, ref new) => drop(bytes.splice(at % len..at % len, new.iter().copied())),
        Change::Digit(at, digit) => {
            let digits: Vec<usize> = (0..len).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if let Some(&i) = digits.get(at % digits.len().max(1)) {
                bytes[i] = digit;
            }
        }
    }
}

fn tensors() -> Vec<Tensor> {
    let zeros = |i: usize| if i.is_multiple_of(9) { 1.5 } else { 0.0 };
    vec![
        Tensor::new("wide.weight", Dtype::F32, &[3, 512], zeros),
        Tensor::new("conv.weight", Dtype::BF16, &[16, 8, 3, 3], zeros),
        Tensor::new("bias", Dtype::F16, &[5], |i| i as f64),
        Tensor::new("ids", Dtype::U8, &[3], |_| 1.0),
    ]
}

/// Does everything with a checkpoint that reads it, and expects an error at worst.
fn use_it(input: &Path, place: &Path) {
    let Ok(checkpoint) = Checkpoint::open(input) else {
        return;
    };
    let checkpoint = checkpoint.with_threads(std::num::NonZeroUsize::MIN);
    let _ = checkpoint.inspect(checkpoint.tensors().iter().map(|info| info.name()));
    let out = |name: &str| place.join(name);
    let _ = checkpoint.unpack(out("unpacked"), Existing::Refuse);
    let _ = checkpoint.pack(out("packed"), Existing::Refuse, Zeros::Exact);
    let _ = checkpoint.bake(out("baked"), Existing::Refuse);
    let _ = checkpoint.diff(&checkpoint);
    let _ = checkpoint.apply_masks(&checkpoint, out("applied"), Existing::Refuse);
}

proptest! {
    #[test]
    fn changed_files_are_read_or_refused(
        changes in prop::collection::vec(change(), 1..4),
        kind in 0..4usize,
    ) {
        let place = folder();
        let all = tensors();
        let mut input = single(place.path(), &all);
        if kind >= 2 {
            input = sharded(place.path(), &[&all[..2], &all[2..]]);
        }
        if kind % 2 == 1 {
            let packed = place.path().join("input");
            Checkpoint::open(&input).unwrap().pack(&packed, Existing::Refuse, Zeros::Exact).unwrap();
            input = packed;
        }
        let target = match (kind, changes.len()) {
            (0 | 1, _) => input.clone(),
            (_, 1) => input.join("model.safetensors.index.json"),
            _ => input.join("model-00001-of-00002.safetensors"),
        };
        let mut bytes = fs::read(&target).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        fs::write(&target, bytes).unwrap();
        use_it(&input, place.path());
    }
}
