//! Against oracles that take one entry at a time, on tensors of one chunk and of several.

use std::fs;

use super::{Entries, Kept, Masked};
use crate::input_file::InputFile;

/// Shapes, of up to several chunks of bytes.
const SHAPES: [&[usize]; 10] = [
    &[],
    &[9],
    &[150_000],
    &[5, 6, 7, 3],
    &[700, 300],
    &[3, 50, 600],
    &[2, 90_000],
    &[2, 1, 300, 300],
    &[40, 30, 0, 2],
    &[64, 50, 3, 3],
];

/// For each entry of a tensor, its index in each dimension.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let len = dims.iter().product();
    (0..len).map(|place: usize| {
        let mut place = place;
        let mut index: Vec<usize> = dims
            .iter()
            .rev()
            .map(|dim| {
                let own = place % dim;
                place /= dim;
                own
            })
            .collect();
        index.reverse();
        index
    })
}

/// Whether an index of a dimension is removed: runs of several lengths, and nothing of some dimensions.
fn removed(seed: usize, dim: usize, index: usize) -> bool {
    (seed >> dim) & 1 == 1 && (index * 7 + index / 5 * 3 + seed) % 5 < 2
}

#[test]
fn what_is_kept_and_what_is_masked_is_what_it_is_entry_by_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for dims in SHAPES {
        for (size, seed) in [(2, 3), (4, 5), (4, 14), (4, 15), (8, 6), (1, 1), (4, 0)] {
            let bytes: Vec<u8> = (0..dims.iter().product::<usize>() * size)
                .map(|i| (i * 31 + i / 256 + 1) as u8)
                .collect();
            fs::write(&path, &bytes).unwrap();
            let file = InputFile::open(&path, &path).unwrap();
            let zero = vec![seed as u8; size];
            let sources = [
                Entries::Memory(&bytes),
                Entries::File {
                    file: &file,
                    offset: 0,
                    len: bytes.len(),
                },
            ];
            let kept: Vec<Option<Vec<usize>>> = (0..dims.len())
                .map(|dim| {
                    let stays = (0..dims[dim]).filter(|index| !removed(seed, dim, *index));
                    ((seed >> dim) & 1 == 1).then(|| stays.collect())
                })
                .collect();
            let zeros: Vec<(usize, usize)> = (0..dims.len())
                .flat_map(|dim| (0..dims[dim]).map(move |index| (dim, index)))
                .filter(|(dim, index)| removed(seed, *dim, *index))
                .collect();
            let (mut expected, mut masked) = (Vec::new(), bytes.clone());
            for (place, index) in indices(dims).enumerate() {
                let entry = place * size..(place + 1) * size;
                if index
                    .iter()
                    .enumerate()
                    .any(|(dim, index)| removed(seed, dim, *index))
                {
                    masked[entry].copy_from_slice(&zero);
                } else {
                    expected.extend_from_slice(&bytes[entry]);
                }
            }
            for source in sources {
                let cut = Kept::new(source.clone(), dims, size, kept.clone()).unwrap();
                let cut = Entries::Kept(cut.into());
                assert_eq!(cut.len(), expected.len());
                assert!(
                    *cut.bytes().unwrap() == expected,
                    "{dims:?} of {size} bytes, {seed}"
                );
                let zeroed = Entries::Masked(Masked::new(source, (dims, size), &zeros, zero.clone()).into());
                assert!(
                    *zeroed.bytes().unwrap() == masked,
                    "{dims:?} of {size} bytes, {seed}"
                );
                // What is cut can be cut again.
                let all = vec![None; dims.len()];
                let cut = Kept::new(zeroed, dims, size, all).unwrap();
                assert!(*Entries::Kept(cut.into()).bytes().unwrap() == masked);
            }
        }
    }
}

#[test]
fn a_file_that_changes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    fs::write(&path, [1; 100]).unwrap();
    let file = InputFile::open(&path, &path).unwrap();
    let entries = Entries::File {
        file: &file,
        offset: 50,
        len: 50,
    };
    assert_eq!(*entries.bytes().unwrap(), [1; 50]);
    file.check().unwrap();
    assert!(entries.part(40..51).is_none());
    fs::write(&path, [1; 70]).unwrap();
    let message = file.check().unwrap_err().to_string();
    assert!(message.contains("has changed meanwhile"), "{message}");
    assert!(entries.bytes().is_err());
    // The reason stays known to whoever asks later.
    fs::write(&path, [1; 100]).unwrap();
    assert!(file.check().unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let message = InputFile::open(folder.path(), folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("not a regular file"), "{message}");
    assert!(InputFile::open(&folder.path().join("none"), &folder.path().join("none")).is_err());
}
