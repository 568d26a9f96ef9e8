//! What differs between two checkpoints.

use super::*;
use crate::checkpoint::{CheckpointDiff, Difference};

fn weights() -> Vec<Tensor> {
    vec![
        Tensor::new("a", Dtype::F32, &[20, 30], noise(1)),
        Tensor::new("b", Dtype::BF16, &[1, 2000], noise(2)),
        Tensor::new("c", Dtype::U8, &[9], |i| i as f64),
        Tensor::new("d", Dtype::F64, &[0, 3], noise(3)),
    ]
}

fn diff(left: &Path, right: &Path) -> CheckpointDiff {
    Checkpoint::open(left)
        .unwrap()
        .diff(&Checkpoint::open(right).unwrap())
        .unwrap()
}

fn with(change: impl FnOnce(&mut Vec<Tensor>)) -> CheckpointDiff {
    let place = folder();
    let left = single(place.path(), &weights());
    let mut all = weights();
    change(&mut all);
    let right = sharded(place.path(), &[&all[all.len() / 2..], &all[..all.len() / 2]]);
    let diff = diff(&left, &right);
    assert_eq!(diff.same + diff.tensors.len(), all.len().max(4));
    diff
}

fn only(diff: CheckpointDiff) -> (String, Difference) {
    assert_eq!(
        (diff.tensors.len(), diff.order, &diff.metadata[..]),
        (1, None, &[][..])
    );
    let tensor = diff.tensors.into_iter().next().unwrap();
    (tensor.name, tensor.difference)
}

#[test]
fn the_same_tensors_in_other_files_are_the_same() {
    let diff = with(|_| {});
    assert!(diff.is_empty() && diff.same == 4, "{diff:?}");
}

#[test]
fn entries_are_compared_by_their_bits() {
    let (name, difference) = only(with(|all| {
        for i in [1030, 1031, 1999] {
            all[1].bytes[2 * i + 1] ^= 0x80; // the sign
        }
    }));
    let Difference::Entries {
        differing: 3,
        entries: 2000,
        first: 1030,
        figures: Some(figures),
    } = difference
    else {
        panic!("{difference:?}");
    };
    assert_eq!(name, "b");
    assert!(figures.largest > 0.0 && figures.mean < figures.largest && figures.cosine < Some(1.0));
    let (name, difference) = only(with(|all| all[2].bytes[8] = 0));
    assert!(
        matches!(
            difference,
            Difference::Entries {
                differing: 1,
                first: 8,
                ..
            }
        ) && name == "c"
    );
}

#[test]
fn forms_and_missing_tensors() {
    let (name, difference) = only(with(|all| all[0].shape = vec![600]));
    let (left, right) = ((Dtype::F32, vec![20, 30]), (Dtype::F32, vec![600]));
    assert_eq!((&name[..], difference), ("a", Difference::Form { left, right }));
    let (_, difference) = only(with(|all| {
        (all[0].dtype, all[0].shape) = (Dtype::F16, vec![20, 60])
    }));
    assert!(matches!(difference, Difference::Form { .. }));
    let (name, difference) = only(with(|all| drop(all.remove(2))));
    assert_eq!((&name[..], difference), ("c", Difference::OnlyLeft));
    let (name, difference) = only(with(|all| all.push(Tensor::new("e", Dtype::U8, &[1], |_| 1.0))));
    assert_eq!((&name[..], difference), ("e", Difference::OnlyRight));
}

#[test]
fn order_and_metadata_count_within_files() {
    let place = folder();
    let left = single(place.path(), &weights());
    let right = place.path().join("right.safetensors");
    let mut all = weights();
    all.swap(0, 2);
    fs::write(&right, file_with(&all, &[("format", "np"), ("by", "us")])).unwrap();
    let found = diff(&left, &right);
    assert_eq!((found.same, found.is_empty()), (4, false));
    assert_eq!(found.order, Some(("a".into(), "b".into())));
    let keys: Vec<_> = found
        .metadata
        .iter()
        .map(|m| (&m.key[..], &m.left[..], &m.right[..]))
        .collect();
    assert_eq!(
        keys,
        [
            ("by", &[][..], &["us".to_owned()][..]),
            ("format", &["pt".to_owned()][..], &["np".to_owned()][..])
        ]
    );
}
