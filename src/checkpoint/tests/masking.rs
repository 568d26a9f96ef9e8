//! Masks put on checkpoints, read off them, and baked into them.

use super::*;
use crate::checkpoint::{Existing, Scope};
use crate::error::{CheckpointError, Error, MaskTensorError, OutputError, Result};
use crate::mask::L1Unstructured;

fn weights() -> Vec<Tensor> {
    vec![
        Tensor::new("a.weight", Dtype::F32, &[20, 30], noise(1)),
        Tensor::new("b.weight", Dtype::BF16, &[7, 130], noise(2)),
        Tensor::new("c.weight", Dtype::F16, &[3, 5, 7], noise(3)),
        Tensor::new("d.weight", Dtype::F64, &[300], noise(4)),
        Tensor::new("bias", Dtype::F32, &[9], noise(5)),
        Tensor::new("ids", Dtype::U8, &[5], |i| i as f64),
    ]
}

fn mask_of(tensor: &Tensor, dtype: Dtype, bit: impl Fn(usize) -> bool) -> Tensor {
    let name = format!("{}_mask", tensor.name);
    Tensor::new(&name, dtype, &tensor.shape, |i| f64::from(u8::from(bit(i))))
}

fn bit(i: usize) -> bool {
    !(i * 7 + i / 5).is_multiple_of(3)
}

/// What masking by `bit` makes of a tensor.
fn masked(tensor: &Tensor) -> Vec<u8> {
    let size = tensor.dtype.bitsize() / 8;
    let entries = tensor.bytes.chunks(size).enumerate();
    let kept = entries.map(|(i, entry)| if bit(i) { entry.to_vec() } else { vec![0; size] });
    kept.collect::<Vec<_>>().concat()
}

#[test]
fn masks_of_every_dtype_are_applied() {
    let all = weights();
    let dtypes = [Dtype::BOOL, Dtype::U8, Dtype::F32, Dtype::BF16];
    let masks: Vec<_> = all
        .iter()
        .zip(dtypes)
        .map(|(t, dtype)| mask_of(t, dtype, bit))
        .collect();
    let place = folder();
    let masks_path = place.path().join("masks.safetensors");
    fs::write(&masks_path, file(&masks)).unwrap();
    let inputs = [
        single(place.path(), &all),
        sharded(place.path(), &[&all[3..], &all[..3]]),
    ];
    for (number, input) in inputs.iter().enumerate() {
        let output = place.path().join(format!("out-{number}"));
        let masks = Checkpoint::open(&masks_path).unwrap();
        let report = Checkpoint::open(input)
            .unwrap()
            .apply_masks(&masks, &output, Existing::Refuse);
        let report = report.unwrap();
        let after = read(&output);
        for (i, before) in all.iter().enumerate() {
            let expected = if i < 4 {
                masked(before)
            } else {
                before.bytes.clone()
            };
            assert_eq!(after[&before.name].bytes, expected, "{}", before.name); // S10
        }
        let fell: usize = all[..4]
            .iter()
            .map(|t| (0..t.values().len()).filter(|&i| !bit(i)).count())
            .sum();
        assert_eq!(report.masked(), fell);
        let zeros = all[..4]
            .iter()
            .map(|t| after[&t.name].values().iter().filter(|x| **x == 0.0).count());
        assert_eq!(report.zeros(), zeros.sum::<usize>());
        assert_eq!(report.copied.len(), 3 * number); // index, config, notes
    }
}

#[test]
fn masks_written_by_prune_give_the_same_checkpoint() {
    let place = folder();
    let input = single(place.path(), &weights());
    let checkpoint = Checkpoint::open(&input).unwrap();
    let [pruned, masks, inferred, applied] =
        ["pruned", "masks", "inferred", "applied"].map(|name| place.path().join(name));
    let method = L1Unstructured::new(0.5).unwrap();
    let names = ["a.weight", "c.weight"];
    let pruning = checkpoint
        .prune(names, &method, Scope::Global)
        .unwrap()
        .with_masks(&masks);
    pruning.write(&pruned, Existing::Refuse).unwrap();
    let masks = Checkpoint::open(&masks).unwrap();
    checkpoint
        .apply_masks(&masks, &applied, Existing::Refuse)
        .unwrap();
    assert_eq!(fs::read(&pruned).unwrap(), fs::read(&applied).unwrap());
    // Zeros were pruned first, so masks read off them are the same.
    let pruned = Checkpoint::open(&pruned).unwrap();
    let report = pruned.write_masks(names, &inferred, Existing::Refuse).unwrap();
    assert_eq!(fs::read(masks.path()).unwrap(), fs::read(&inferred).unwrap());
    assert_eq!(report.masked(), report.zeros());
}

#[test]
fn zeros_of_either_sign_are_inferred() {
    let values = [0.0, -0.0, 1.0, f64::NAN, -1e-300, 0.0];
    let all = [Tensor::new("a", Dtype::F64, &[2, 3], |i| values[i])];
    let place = folder();
    let output = place.path().join("masks");
    let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
    let report = checkpoint.write_masks(["a"], &output, Existing::Refuse).unwrap();
    let mask = &read(&output)["a_mask"];
    assert_eq!((mask.dtype, &mask.shape[..]), (Dtype::BOOL, &[2, 3][..]));
    assert_eq!(mask.bytes, [0, 0, 1, 1, 1, 0]);
    assert_eq!((report.masked(), report.entries()), (3, 6));
}

/// Applies masks, and checks that nothing is left of it.
fn refused(masks: &[Tensor]) -> Error {
    let place = folder();
    let input = single(place.path(), &weights());
    let path = place.path().join("masks.safetensors");
    fs::write(&path, file(masks)).unwrap();
    let before = files(place.path());
    let masks = Checkpoint::open(&path).unwrap();
    let output = place.path().join("out");
    let error = Checkpoint::open(input)
        .unwrap()
        .apply_masks(&masks, output, Existing::Refuse);
    assert_eq!(files(place.path()), before);
    error.unwrap_err()
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let all = weights();
    assert!(matches!(
        refused(&[]),
        Error::Checkpoint(CheckpointError::Masks(MaskTensorError::NoMasks { .. }))
    ));
    let unknown = Tensor::new("z_mask", Dtype::BOOL, &[3], |_| 1.0);
    assert!(
        matches!(refused(&[unknown]), Error::Checkpoint(CheckpointError::Masks(MaskTensorError::NotMask { name, .. })) if name == "z_mask")
    );
    let other = Tensor::new("a.weight", Dtype::BOOL, &[3], |_| 1.0);
    assert!(
        matches!(refused(&[other]), Error::Checkpoint(CheckpointError::Masks(MaskTensorError::NotMask { name, .. })) if name == "a.weight")
    );
    let of_ids = mask_of(&all[5], Dtype::BOOL, bit);
    assert!(
        matches!(refused(&[of_ids]), Error::Checkpoint(CheckpointError::NotPrunable { name, .. }) if name == "ids")
    );
    let mut shape = mask_of(&all[0], Dtype::U8, bit);
    shape.shape = vec![30, 20];
    let error = refused(&[shape]).to_string();
    assert!(
        ["a.weight", "[30, 20]", "[20, 30]"]
            .iter()
            .all(|part| error.contains(part)),
        "{error}"
    );
    let mut dtype = mask_of(&all[0], Dtype::U8, bit);
    (dtype.dtype, dtype.bytes) = (Dtype::I16, vec![0; 1200]);
    assert!(matches!(
        refused(&[dtype]),
        Error::Checkpoint(CheckpointError::Masks(MaskTensorError::NotMask { .. }))
    ));
    for (dtype, at, value) in [
        (Dtype::BOOL, 555, 2.0),
        (Dtype::U8, 70, 255.0),
        (Dtype::F32, 599, 0.5),
        (Dtype::F16, 1, f64::NAN),
    ] {
        let name = "a.weight_mask";
        let mask = Tensor::new(name, dtype, &[20, 30], |i| if i == at { value } else { 1.0 });
        let error = refused(&[mask]).to_string();
        assert!(
            error.contains(name) && error.contains(&format!("index {at} ")),
            "{error}"
        );
    }
}

#[test]
fn outputs_never_replace_the_masks() {
    let place = folder();
    let input = single(place.path(), &weights());
    let path = place.path().join("masks.safetensors");
    fs::write(&path, file(&[mask_of(&weights()[0], Dtype::BOOL, bit)])).unwrap();
    let before = files(place.path());
    let (checkpoint, masks) = (
        Checkpoint::open(&input).unwrap(),
        Checkpoint::open(&path).unwrap(),
    );
    for target in [&path, &input] {
        let error = checkpoint
            .apply_masks(&masks, target, Existing::Replace)
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Checkpoint(CheckpointError::Output(OutputError::Refused { .. }))
            ),
            "{error}"
        );
    }
    let error = checkpoint
        .write_masks(["a.weight"], &input, Existing::Replace)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Output(OutputError::Refused { .. }))
        ),
        "{error}"
    );
    assert_eq!(files(place.path()), before);
}

/// The weights as PyTorch's pruning saves them.
fn pairs() -> Vec<Tensor> {
    let dtypes = [Dtype::F32, Dtype::BF16, Dtype::BOOL, Dtype::U8];
    let mut all = Vec::new();
    for (i, tensor) in weights().into_iter().enumerate() {
        let Some(dtype) = dtypes.get(i) else {
            all.push(tensor);
            continue;
        };
        all.push(mask_of(&tensor, *dtype, bit));
        let name = format!("{}_orig", tensor.name);
        all.push(Tensor { name, ..tensor });
    }
    all.push(Tensor::new("attention_mask", Dtype::U8, &[3], |i| i as f64));
    all
}

#[test]
fn pairs_become_plain_weights() {
    let place = folder();
    let all = pairs();
    // Originals and masks in one file, in the same shard, in different shards, and masks in a shard of their own.
    let masks: Vec<_> = all
        .iter()
        .filter(|t| t.name.ends_with("weight_mask"))
        .cloned()
        .collect();
    let others: Vec<_> = all
        .iter()
        .filter(|t| !t.name.ends_with("weight_mask"))
        .cloned()
        .collect();
    let shardings: [Vec<&[Tensor]>; 3] = [
        vec![&all[..2], &all[2..]],
        vec![&all[..3], &all[3..5], &all[5..]],
        vec![&masks, &others],
    ];
    let mut inputs = vec![single(place.path(), &all)];
    for (number, shards) in shardings.iter().enumerate() {
        let inner = place.path().join(number.to_string());
        fs::create_dir(&inner).unwrap();
        inputs.push(sharded(&inner, shards));
    }
    for (number, input) in inputs.iter().enumerate() {
        let output = place.path().join(format!("out-{number}"));
        let report = Checkpoint::open(input)
            .unwrap()
            .bake(&output, Existing::Refuse)
            .unwrap();
        let after = read(&output);
        assert_eq!(after.len(), 7);
        for (i, before) in weights().iter().enumerate() {
            let expected = if i < 4 {
                masked(before)
            } else {
                before.bytes.clone()
            };
            let tensor = &after[&before.name];
            assert_eq!((tensor.dtype, &tensor.shape), (before.dtype, &before.shape));
            assert_eq!(tensor.bytes, expected, "{}", before.name); // S10
        }
        assert_eq!(after["attention_mask"].bytes, [0, 1, 2]);
        let names: Vec<_> = report.tensors.iter().map(|t| &t.name[..]).collect();
        assert_eq!(names, ["a.weight", "b.weight", "c.weight", "d.weight"]);
        // Every tensor lies where readers that want aligned data can take it.
        let output = Checkpoint::open(&output).unwrap();
        for info in output.tensors() {
            assert_eq!(
                info.begin % (info.dtype().bitsize() as u64 / 8),
                0,
                "{}",
                info.name()
            );
        }
        assert_eq!(output.shards()[0].metadata()["format"], "pt");
    }
    // The shard of masks is gone, and its name from the index.
    let last = files(&place.path().join("out-3"));
    assert_eq!(last.len(), 4);
    let index = fs::read_to_string(place.path().join("out-3/model.safetensors.index.json")).unwrap();
    assert!(!index.contains("00001") && !index.contains("_orig"), "{index}");
    let size: u64 = read(&place.path().join("out-3"))
        .values()
        .map(|t| t.bytes.len() as u64)
        .sum();
    assert!(index.contains(&format!("\"total_size\": {size}")), "{index}");
}

#[test]
fn weights_take_the_places_of_their_originals() {
    let one = |name: &str| Tensor::new(name, Dtype::F32, &[2], |_| 1.0);
    let all = ["z.weight_orig", "a", "z.weight_mask", "k"].map(one);
    let place = folder();
    let output = place.path().join("out");
    let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
    checkpoint.bake(&output, Existing::Refuse).unwrap();
    let output = Checkpoint::open(&output).unwrap();
    let order: Vec<_> = output.shards()[0]
        .header
        .entries
        .iter()
        .map(|e| &e.name[..])
        .collect();
    assert_eq!(order, ["z.weight", "a", "k"]); // S13
}

fn bake(all: &[Tensor]) -> Result<()> {
    let place = folder();
    let input = single(place.path(), all);
    let before = files(place.path());
    let baked = Checkpoint::open(&input)
        .unwrap()
        .bake(place.path().join("out"), Existing::Refuse);
    if baked.is_err() {
        assert_eq!(files(place.path()), before);
    }
    baked.map(drop)
}

#[test]
fn pairs_that_are_none_are_refused() {
    let all = pairs();
    assert!(matches!(
        bake(&weights()),
        Err(Error::Checkpoint(CheckpointError::Masks(
            MaskTensorError::NoPairs { .. }
        )))
    ));
    assert!(matches!(
        bake(&all[1..]),
        Err(Error::Checkpoint(CheckpointError::Masks(MaskTensorError::Unpaired { name, mask }))) if name == "a.weight_orig" && mask == "a.weight_mask"
    ));
    let mut taken = all.clone();
    taken.push(weights().remove(0));
    assert!(
        matches!(bake(&taken), Err(Error::Checkpoint(CheckpointError::Masks(MaskTensorError::NameTaken { weight, .. }))) if weight == "a.weight")
    );
    let mut shape = all.clone();
    shape[0].shape = vec![600];
    assert!(bake(&shape).unwrap_err().to_string().contains("[600]"));
    let mut soft = all.clone();
    soft[0] = Tensor::new("a.weight_mask", Dtype::F32, &[20, 30], |i| {
        if i == 431 { 0.5 } else { 1.0 }
    });
    let error = bake(&soft).unwrap_err().to_string();
    assert!(
        error.contains("a.weight_mask") && error.contains("431"),
        "{error}"
    );
    let mut bytes = all;
    bytes[1] = Tensor::new("a.weight_orig", Dtype::U8, &[20, 30], |_| 1.0);
    assert!(matches!(
        bake(&bytes),
        Err(Error::Checkpoint(CheckpointError::NotPrunable { .. }))
    ));
}
