//! What streams from files agrees, bit for bit, with the mask layer on the arrays in them.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::checkpoint::{Existing, Scope};
use crate::mask::{
    Amount, BlockRank, BlockStructured, EntryRank, GlobalOptions, L1Unstructured, LnStructured, Mask,
    NmStructured, Norm, Plan, PruningMethod, PruningType, RandomStructured, RandomUnstructured, Ranked,
    ScoreUnstructured,
};

const FLOATS: [Dtype; 4] = [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];

/// Tensors of all types and of several chunks each, out of the order of their names.
pub(super) fn tensors(seed: u64) -> Vec<Tensor> {
    let shapes: [&[usize]; 8] = [
        &[40, 30],
        &[7, 3, 5, 5],
        &[300, 17],
        &[1, 513],
        &[2, 6, 200],
        &[0, 4],
        &[129, 1],
        &[2, 1, 700],
    ];
    let mut all: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let dtype = FLOATS[(i + seed as usize) % 4];
            Tensor::new(
                &format!("t{}.weight", (i * 5) % 8),
                dtype,
                shape,
                noise(seed + i as u64),
            )
        })
        .collect();
    all.push(Tensor::new("ids", Dtype::U8, &[5], |i| i as f64));
    all.push(Tensor::new("bias", Dtype::F32, &[3], |_| 0.001));
    all
}

pub(super) fn weights(all: &[Tensor]) -> Vec<Tensor> {
    let mut weights: Vec<_> = all
        .iter()
        .filter(|tensor| tensor.name.ends_with("weight"))
        .cloned()
        .collect();
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    weights
}

/// Checks a pruned checkpoint and its masks against the masks that the mask layer gives.
fn check(input: &[Tensor], output: &Path, masks_file: &Path, expected: &BTreeMap<String, Mask>) {
    let (output, masks) = (read(output), read(masks_file));
    assert_eq!(output.len(), input.len());
    assert_eq!(masks.len(), expected.len());
    for before in input {
        let after = &output[&before.name];
        assert_eq!((&after.shape, after.dtype), (&before.shape, before.dtype));
        let Some(mask) = expected.get(&before.name) else {
            assert_eq!(after.bytes, before.bytes, "{}", before.name);
            continue;
        };
        let size = before.dtype.bitsize() / 8;
        for (i, kept) in mask.iter().enumerate() {
            let range = i * size..(i + 1) * size;
            let zero = vec![0; size]; // +0.0 (S10)
            let expected = if kept {
                &before.bytes[range.clone()]
            } else {
                &zero[..]
            };
            assert_eq!(&after.bytes[range], expected, "{} [{i}]", before.name);
        }
        let bytes: Vec<u8> = mask.iter().map(u8::from).collect();
        let written = &masks[&format!("{}_mask", before.name)];
        assert_eq!((&written.bytes, &written.shape), (&bytes, &before.shape));
    }
}

fn run(all: &[Tensor], method: &dyn PruningMethod, scope: Scope, expected: BTreeMap<String, Mask>) {
    run_with(all, method, scope, GlobalOptions::new(), expected);
}

fn run_with(
    all: &[Tensor],
    method: &dyn PruningMethod,
    scope: Scope,
    options: GlobalOptions<'static>,
    expected: BTreeMap<String, Mask>,
) {
    let place = folder();
    let half = all.len() / 2;
    let inputs = [
        single(place.path(), all),
        sharded(place.path(), &[&all[half..], &all[..half]]),
    ];
    let pruned: usize = expected.values().map(Mask::count_pruned).sum();
    for (number, input) in inputs.iter().enumerate() {
        for threads in [1, 4] {
            let checkpoint = Checkpoint::open(input)
                .unwrap()
                .with_threads(NonZeroUsize::new(threads).unwrap());
            let output = place.path().join(format!("out-{number}-{threads}"));
            let masks = place.path().join(format!("masks-{number}-{threads}"));
            let pruning = checkpoint
                .prune(weights(all).iter().rev().map(|t| &t.name), method, scope)
                .unwrap()
                .with_options(options.clone())
                .unwrap()
                .with_masks(&masks);
            let measured = pruning.measure().unwrap();
            let mut report = pruning.write(&output, Existing::Refuse).unwrap();
            check(all, &output, &masks, &expected);
            assert_eq!(report.pruned(), pruned);
            assert_eq!(report.achieved(), report.requested);
            let after = read(&output);
            for tensor in &report.tensors {
                let zeros = after[&tensor.name].values().iter().filter(|x| **x == 0.0).count();
                assert_eq!(tensor.zeros, zeros);
            }
            report.copied.clear();
            assert_eq!(report, measured);
        }
    }
}

fn globally(method: &dyn PruningMethod, weights: &[Tensor]) -> BTreeMap<String, Mask> {
    globally_with(method, weights, &GlobalOptions::new())
}

fn globally_with(
    method: &dyn PruningMethod,
    weights: &[Tensor],
    options: &GlobalOptions<'_>,
) -> BTreeMap<String, Mask> {
    let values: Vec<_> = weights.iter().map(Tensor::values).collect();
    let ranked: Vec<_> = weights
        .iter()
        .zip(&values)
        .map(|(tensor, values)| Ranked {
            name: &tensor.name,
            scores: values.view().into(),
            prior: None,
        })
        .collect();
    let outcome = method.plan().unwrap().compute_global_with(&ranked, options);
    let masks = outcome.unwrap().masks;
    weights.iter().map(|t| t.name.clone()).zip(masks).collect()
}

fn locally(method: &dyn PruningMethod, weights: &[Tensor]) -> BTreeMap<String, Mask> {
    let mask = |tensor: &Tensor| {
        let plan = method.plan().unwrap();
        plan.compute(tensor.values().view(), None).unwrap().mask
    };
    weights.iter().map(|t| (t.name.clone(), mask(t))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn global_magnitude_is_exact_across_shards_and_types(seed in 0..1000u64, share in 0.0..1.0f64) {
        let all = tensors(seed); // S5
        let method = L1Unstructured::new(share).unwrap();
        run(&all, &method, Scope::Global, globally(&method, &weights(&all)));
    }

    #[test]
    fn local_magnitude_takes_its_share_of_each(seed in 0..1000u64, share in 0.0..1.0f64) {
        let all = tensors(seed);
        let method = L1Unstructured::new(share).unwrap();
        run(&all, &method, Scope::Local, locally(&method, &weights(&all)));
    }

    #[test]
    fn channels_fall_by_every_norm_along_every_dim(seed in 0..1000u64, share in 0.0..1.0f64, dim in -2..2isize) {
        let all = tensors(seed);
        let norms = ["0", "1", "2", "3.5", "-1", "inf", "-inf", "fro"];
        for norm in [norms[seed as usize % 8], norms[(seed + 3) as usize % 8]] {
            let norm: Norm = norm.parse().unwrap();
            let method = LnStructured::new(share, norm, dim).unwrap();
            run(&all, &method, Scope::Local, locally(&method, &weights(&all)));
        }
    }

    #[test]
    fn groups_keep_their_highest_along_every_dim(seed in 0..1000u64, keep in 0..5usize, dim in -3..3isize) {
        for (keep, of) in [(keep.min(4), 4), (keep, 20), (keep.min(2), 2)] {
            let method = NmStructured::new(keep, of, dim).unwrap();
            let all = divisible(seed, dim, of);
            run(&all, &method, Scope::Local, locally(&method, &weights(&all)));
            let values = OtherGroups { keep, of, dim, seed: None };
            run(&all, &values, Scope::Local, locally(&values, &weights(&all)));
        }
    }

    #[test]
    fn blocks_fall_by_their_scores(seed in 0..1000u64, share in 0.0..1.0f64, height in 1..50usize, width in 1..600usize) {
        let all = tensors(seed);
        for (height, width) in [(4, 4), (height, width % 9 + 1), (height % 3 + 1, width), (height, 1)] {
            for by in [BlockRank::MeanSquare, BlockRank::MaxAbs] {
                let method = BlockStructured::new(share, height, width, by).unwrap();
                run(&all, &method, Scope::Local, locally(&method, &weights(&all)));
            }
        }
    }

    #[test]
    fn options_of_global_pruning_are_exact(seed in 0..1000u64, share in 0.0..1.0f64, cap in 0.0..1.0f64) {
        let all = tensors(seed);
        let methods: [Box<dyn PruningMethod>; 3] = [
            Box::new(L1Unstructured::new(share * cap * 0.99).unwrap()),
            Box::new(ScoreUnstructured::new(share * cap * 0.99).unwrap()),
            Box::new(RandomUnstructured::new(share * cap * 0.99, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()),
        ];
        let capped = GlobalOptions::new().max_sparsity(cap).unwrap();
        for (number, method) in methods.iter().enumerate() {
            let mut all_options = vec![capped.clone()];
            if number < 2 {
                all_options.extend([capped.clone().normalize(true), GlobalOptions::new().normalize(true)]);
            }
            for options in all_options {
                let expected = globally_with(&**method, &weights(&all), &options);
                run_with(&all, &**method, Scope::Global, options, expected);
            }
        }
    }

    #[test]
    fn global_lots_are_those_of_the_mask_layer(seed in 0..1000u64, share in 0.0..1.0f64) {
        let all = tensors(seed); // S18
        let method = RandomUnstructured::new(share, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        run(&all, &method, Scope::Global, globally(&method, &weights(&all)));
    }
}

/// N:M by value, or by chance: a user's own method.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct OtherGroups {
    keep: usize,
    of: usize,
    dim: isize,
    seed: Option<u64>,
}

#[typetag::serde]
impl PruningMethod for OtherGroups {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn compute_mask(&self, scores: ndarray::ArrayViewD<'_, f32>, prior: &Mask) -> crate::Result<Mask> {
        Ok(self.plan().unwrap().compute(scores, Some(prior))?.mask)
    }

    fn plan(&self) -> Option<Plan<'_>> {
        let OtherGroups { keep, of, dim, seed } = *self;
        let by = seed.map_or(EntryRank::Value, |seed| EntryRank::Random { seed });
        Some(Plan::Groups { keep, of, dim, by })
    }
}

/// Tensors of all types whose dimension `dim` can be divided by `of`, some in slabs longer than a chunk.
fn divisible(seed: u64, dim: isize, of: usize) -> Vec<Tensor> {
    let lengths: [&[usize]; 6] = [
        &[3, 2, 70],
        &[1, 3, 200],
        &[2, 1, 1],
        &[5, 1, 9],
        &[1, 1, 700],
        &[2, 0, 3],
    ];
    let tensors = lengths.iter().enumerate().map(|(i, shape)| {
        let mut shape = shape.to_vec();
        shape[dim.rem_euclid(3) as usize] *= of;
        let dtype = FLOATS[(i + seed as usize) % 4];
        Tensor::new(&format!("t{i}.weight"), dtype, &shape, noise(seed + i as u64))
    });
    tensors.collect()
}

#[test]
fn local_lots_of_one_tensor_are_those_of_the_mask_layer() {
    let all = [
        Tensor::new("a.weight", Dtype::F32, &[30, 40], noise(1)),
        Tensor::new("b", Dtype::F32, &[30, 40], noise(1)),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let entries = RandomUnstructured::new(0.3, &mut rng).unwrap();
    run(&all, &entries, Scope::Local, locally(&entries, &weights(&all)));
    let channels = RandomStructured::new(7, 1, &mut rng).unwrap();
    run(&all, &channels, Scope::Local, locally(&channels, &weights(&all)));
    for (dim, of) in [(0, 30), (0, 2), (1, 4)] {
        let groups = OtherGroups {
            keep: 1,
            of,
            dim,
            seed: Some(7),
        };
        run(&all, &groups, Scope::Local, locally(&groups, &weights(&all)));
    }
}

#[test]
fn equal_tensors_do_not_get_equal_random_masks() {
    // S18, for every pattern that can be random: entries, channels, N:M.
    let all: Vec<_> = ["a", "b"]
        .map(|name| Tensor::new(name, Dtype::F32, &[16, 8], |_| 1.0))
        .into();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let methods: [Box<dyn PruningMethod>; 3] = [
        Box::new(RandomUnstructured::new(0.5, &mut rng).unwrap()),
        Box::new(RandomStructured::new(8, 0, &mut rng).unwrap()),
        Box::new(OtherGroups {
            keep: 2,
            of: 4,
            dim: 1,
            seed: Some(7),
        }),
    ];
    for method in methods {
        let place = folder();
        let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
        let output = place.path().join("out.safetensors");
        let pruning = checkpoint.prune(["a", "b"], &*method, Scope::Local).unwrap();
        pruning.write(&output, Existing::Refuse).unwrap();
        let after = read(&output);
        assert_ne!(after["a"].bytes, after["b"].bytes, "{method:?}");
    }
}

#[test]
fn the_nuclear_norm_sees_whole_matrices() {
    let all = [Tensor::new("a.weight", Dtype::BF16, &[5, 9, 30], noise(4))];
    for dim in 0..3 {
        let method = LnStructured::new(0.5, Norm::NUCLEAR, dim).unwrap();
        run(&all, &method, Scope::Local, locally(&method, &weights(&all)));
    }
}

#[test]
fn zeros_rank_lowest_and_counts_are_exact() {
    let all = [
        Tensor::new("a", Dtype::F32, &[400], |i| if i % 2 == 0 { 0.0 } else { 1.0 }),
        Tensor::new("b", Dtype::BF16, &[400], |_| 1.0),
    ];
    let place = folder();
    let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
    for (asked, of_a, of_b) in [
        (0, 0, 0),
        (150, 150, 0),
        (250, 250, 0),
        (500, 400, 100),
        (800, 400, 400),
    ] {
        let method = L1Unstructured::new(Amount::count(asked)).unwrap();
        let report = checkpoint
            .prune(["b", "a"], &method, Scope::Global)
            .unwrap()
            .measure()
            .unwrap();
        // S3, S4, S5: zeros first, then ties in the order of names.
        assert_eq!([report.tensors[0].pruned, report.tensors[1].pruned], [of_a, of_b]);
    }
}
