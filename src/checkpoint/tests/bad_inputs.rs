//! Every bad input: a clear error, and nothing written.

use rand::SeedableRng;

use super::*;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::{Existing, Scope};
use crate::error::{AmountError, CheckpointError, Error, ListError, MaskError};
use crate::mask::{
    BlockRank, BlockStructured, GlobalOptions, L1Unstructured, LnStructured, NmStructured, RandomUnstructured,
};

fn weights() -> Vec<Tensor> {
    vec![
        Tensor::new("a.weight", Dtype::F32, &[20, 30], noise(1)),
        Tensor::new("b.weight", Dtype::BF16, &[20, 30], noise(2)),
        Tensor::new("ids", Dtype::U8, &[4], |i| i as f64),
    ]
}

fn open(bytes: &[u8]) -> Error {
    let place = folder();
    let path = place.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    Checkpoint::open(&path).unwrap_err()
}

fn damage(error: Error) -> Damage {
    match error {
        Error::Checkpoint(CheckpointError::Damaged { damage, .. }) => *damage,
        other => panic!("{other}"),
    }
}

#[test]
fn every_truncation_of_a_file_is_an_error() {
    let whole = file(&weights());
    for len in (0..whole.len()).step_by(37).chain(whole.len() - 9..whole.len()) {
        let damage = damage(open(&whole[..len]));
        assert!(
            matches!(
                damage,
                Damage::TooShort { .. } | Damage::HeaderTruncated { .. } | Damage::Truncated { .. }
            ),
            "{len}: {damage}"
        );
    }
    let mut long = whole;
    long.push(0);
    assert_eq!(damage(open(&long)), Damage::TrailingBytes { extra: 1 });
}

#[test]
fn a_header_that_lies_about_its_length_is_an_error() {
    let mut bytes = file(&weights());
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(damage(open(&bytes)), Damage::HeaderTooLarge { .. }));
    bytes[..8].copy_from_slice(&90_000_000u64.to_le_bytes());
    assert!(matches!(damage(open(&bytes)), Damage::HeaderTruncated { .. }));
    bytes[..8].copy_from_slice(&20u64.to_le_bytes());
    assert!(matches!(damage(open(&bytes)), Damage::Json { .. }));
}

#[test]
fn files_of_pytorch_get_an_error_that_says_what_to_do() {
    let place = folder();
    for name in ["pytorch_model.bin", "model.pt"] {
        let path = place.path().join(name);
        fs::write(&path, b"PK\x03\x04 and so on").unwrap();
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(error.to_string().contains("save_file"), "{error}");
    }
    let error = Checkpoint::open(place.path()).unwrap_err();
    assert!(error.to_string().contains("PyTorch"), "{error}");
    let error = open(b"PK\x03\x04 and so on");
    assert!(error.to_string().contains("save_file"), "{error}");
}

#[test]
fn paths_that_lead_nowhere() {
    let place = folder();
    assert!(matches!(
        Checkpoint::open(place.path().join("no")),
        Err(Error::Io { .. })
    ));
    assert!(matches!(
        Checkpoint::open(place.path()),
        Err(Error::Checkpoint(CheckpointError::NotCheckpoint { .. }))
    ));
    for name in ["a.safetensors", "b.safetensors"] {
        fs::write(place.path().join(name), file(&[])).unwrap();
    }
    let error = Checkpoint::open(place.path()).unwrap_err();
    assert!(error.to_string().contains("several"), "{error}");
}

#[test]
fn indexes_that_do_not_fit_their_shards() {
    let all = weights();
    let place = folder();
    let model = sharded(place.path(), &[&all[..1], &all[1..]]);
    let index = model.join("model.safetensors.index.json");
    let (one, two) = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    );
    let good = fs::read_to_string(&index).unwrap();
    let with = |text: &str| {
        fs::write(&index, text).unwrap();
        damage(Checkpoint::open(&model).unwrap_err())
    };
    let of = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, shard)| format!("{name:?}:{shard:?}"))
            .collect();
        format!("{{\"weight_map\":{{{}}}}}", pairs.join(","))
    };

    let wrong = with(&of(&[("a.weight", two), ("b.weight", two), ("ids", two)]));
    assert!(
        matches!(wrong, Damage::Unlisted { .. } | Damage::WrongShard { .. }),
        "{wrong}"
    );
    let wrong = with(&of(&[("a.weight", one), ("b.weight", one), ("ids", two)]));
    assert_eq!(
        wrong,
        Damage::WrongShard {
            name: "b.weight".into(),
            shard: one.into(),
            found: Some(two.into())
        }
    );
    let nowhere = with(&of(&[
        ("a.weight", one),
        ("b.weight", two),
        ("c", two),
        ("ids", two),
    ]));
    assert!(matches!(nowhere, Damage::WrongShard { found: None, .. }));
    let unlisted = with(&of(&[("a.weight", one), ("b.weight", two)]));
    assert!(matches!(unlisted, Damage::Unlisted { name, .. } if name == "ids"));
    let twice = with(&of(&[("a.weight", one), ("a.weight", two)]));
    assert!(matches!(twice, Damage::DuplicateTensor { name } if name == "a.weight"));
    let missing = with(&of(&[
        ("a.weight", one),
        ("b.weight", "model-3.safetensors"),
        ("ids", two),
    ]));
    assert!(matches!(missing, Damage::MissingShard { shard, .. } if shard == "model-3.safetensors"));
    for outside in ["../x.safetensors", "/etc/passwd", "inner/x.safetensors", ""] {
        let bad = with(&of(&[("a.weight", outside)]));
        assert!(matches!(bad, Damage::BadShardName { .. }), "{bad}");
    }
    assert_eq!(with(&of(&[])), Damage::EmptyIndex);
    for text in ["", "[]", "{}", r#"{"weight_map":3}"#, r#"{"weight_map":{"a":3}}"#] {
        assert!(matches!(with(text), Damage::Json { .. }), "{text}");
    }

    // The same tensor in both shards.
    fs::write(&index, &good).unwrap();
    fs::write(model.join(one), file(&all[..2])).unwrap();
    let twice = damage(Checkpoint::open(&model).unwrap_err());
    assert_eq!(
        twice,
        Damage::DuplicateTensor {
            name: "b.weight".into()
        }
    );
    fs::remove_file(model.join(one)).unwrap();
    let missing = damage(Checkpoint::open(&model).unwrap_err());
    assert!(matches!(missing, Damage::MissingShard { tensors: 1, .. }));
}

/// Prunes, expects an error, and looks that there is nothing beside the input.
fn refused(all: &[Tensor], names: &[&str], method: &dyn crate::mask::PruningMethod, scope: Scope) -> Error {
    let place = folder();
    let input = single(place.path(), all);
    let checkpoint = Checkpoint::open(&input).unwrap();
    let result = checkpoint.prune(names, method, scope);
    let error = match result {
        Ok(pruning) => pruning
            .with_masks(place.path().join("masks"))
            .write(place.path().join("out"), Existing::Refuse)
            .unwrap_err(),
        Err(error) => error,
    };
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(fs::read(input).unwrap(), file(all));
    error
}

#[test]
fn nan_is_named_by_tensor_and_index() {
    let mut all = weights();
    all[0] = Tensor::new("a.weight", Dtype::F32, &[20, 32], noise(1));
    all[1] = Tensor::new("b.weight", Dtype::BF16, &[20, 300], |i| {
        if i % 4000 == 3999 { f64::NAN } else { 1.0 }
    });
    let entries = L1Unstructured::new(0.5).unwrap();
    let channels = LnStructured::new(0.5, 2.0, 0).unwrap();
    let columns = LnStructured::new(0.5, f64::INFINITY, 1).unwrap();
    let (local, global) = (Scope::Local, Scope::Global);
    let groups = NmStructured::new(2, 4, 1).unwrap();
    let tall_groups = NmStructured::new(2, 20, 0).unwrap();
    let blocks = BlockStructured::new(0.5, 3, 7, BlockRank::MeanSquare).unwrap();
    let runs: [(&dyn crate::mask::PruningMethod, _); 7] = [
        (&entries, local),
        (&entries, global),
        (&channels, local),
        (&columns, local),
        (&groups, local),
        (&tall_groups, local),
        (&blocks, local),
    ];
    for (method, scope) in runs {
        let error = refused(&all, &["a.weight", "b.weight"], method, scope);
        assert!(
            matches!(&error, Error::Mask(MaskError::NanScore { parameter: Some(name), index: 3999 }) if name == "b.weight"),
            "{error}"
        );
    }
    // As a share of a norm, too.
    let place = folder();
    let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
    let pruning = checkpoint
        .prune(["b.weight", "a.weight"], &entries, global)
        .unwrap();
    let pruning = pruning
        .with_options(GlobalOptions::new().normalize(true))
        .unwrap();
    assert!(matches!(
        pruning.measure(),
        Err(Error::Mask(MaskError::NanScore { parameter: Some(name), index: 3999 })) if name == "b.weight"
    ));
}

#[test]
fn options_that_do_not_fit() {
    let place = folder();
    let checkpoint = Checkpoint::open(single(place.path(), &weights())).unwrap();
    let half = L1Unstructured::new(0.5).unwrap();
    let chance = RandomUnstructured::new(0.5, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1)).unwrap();
    let names = ["a.weight", "b.weight"];
    let prune = |method, scope, options: GlobalOptions<'static>| {
        let pruning = checkpoint.prune(names, method, scope)?.with_options(options)?;
        pruning.measure()
    };
    let capped = GlobalOptions::new().max_sparsity(0.25).unwrap();
    let normalized = GlobalOptions::new().normalize(true);
    for error in [
        prune(
            &half as &dyn crate::mask::PruningMethod,
            Scope::Local,
            capped.clone(),
        )
        .unwrap_err(),
        prune(&half, Scope::Local, normalized.clone()).unwrap_err(),
        prune(&chance, Scope::Global, normalized).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Mask(MaskError::Unsupported { .. })),
            "{error}"
        );
    }
    let error = prune(&half, Scope::Global, capped).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Amount(AmountError::Capped {
                requested: 600,
                achievable: 300,
                max_sparsity: 0.25
            })
        ),
        "{error}"
    );
    prune(&half, Scope::Local, GlobalOptions::new()).unwrap();
    // N:M does not fit rows of 30.
    let groups = NmStructured::new(2, 4, 1).unwrap();
    let error = refused(&weights(), &names, &groups, Scope::Local);
    assert!(
        error.to_string().contains("a.weight") && error.to_string().contains("groups of 4"),
        "{error}"
    );
}

#[test]
fn lists_that_cannot_be_pruned() {
    let half = L1Unstructured::new(0.5).unwrap();
    let refuse = |names: &[&str]| refused(&weights(), names, &half, Scope::Global);
    assert!(matches!(refuse(&[]), Error::List(ListError::NoParameters)));
    assert!(matches!(
        refuse(&["a.weight", "a.weight"]),
        Error::List(ListError::ListedTwice { .. })
    ));
    assert!(matches!(
        refuse(&["nothing"]),
        Error::Checkpoint(CheckpointError::UnknownTensor { .. })
    ));
    let error = refuse(&["a.weight", "ids"]);
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::NotPrunable { name, dtype }) if name == "ids" && dtype == "U8"),
        "{error}"
    );
}

#[test]
fn amounts_and_methods_that_do_not_fit() {
    let names = ["a.weight", "b.weight"];
    let all = weights();
    let many = L1Unstructured::new(601).unwrap();
    let error = refused(&all, &names, &many, Scope::Local);
    assert!(
        error.to_string().contains("a.weight") && error.to_string().contains("601"),
        "{error}"
    );
    let many = L1Unstructured::new(1201).unwrap();
    assert!(matches!(
        refused(&all, &names, &many, Scope::Global),
        Error::Amount(AmountError::TooLarge {
            requested: 1201,
            remaining: 1200
        })
    ));
    let channels = LnStructured::new(0.5, 2.0, 0).unwrap();
    assert!(matches!(
        refused(&all, &names, &channels, Scope::Global),
        Error::Mask(MaskError::Unsupported { .. })
    ));
    let outside = LnStructured::new(0.5, 2.0, 2).unwrap();
    let error = refused(&all, &names, &outside, Scope::Local);
    assert!(error.to_string().contains("a.weight"), "{error}");
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let place = folder();
    let input = single(place.path(), &weights());
    let checkpoint = Checkpoint::open(&input).unwrap();
    let half = L1Unstructured::new(0.5).unwrap();
    let pruning = checkpoint.prune(["a.weight"], &half, Scope::Local).unwrap();
    let whole = fs::read(&input).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&input)
        .unwrap()
        .set_len(300)
        .unwrap();
    let output = place.path().join("out");
    let error = pruning.write(&output, Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::ChangedMeanwhile { .. })),
        "{error}"
    );
    fs::write(&input, &whole).unwrap();
    let error = pruning.write(&output, Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::ChangedMeanwhile { .. })),
        "{error}"
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
