//! Packing gives every bit back, and what was damaged meanwhile is found out.

use super::*;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::format::header::{Entry, Header};
use crate::checkpoint::{Existing, PackReport, Scope, Zeros};
use crate::error::{CheckpointError, Error, PackError, Result};
use crate::mask::L1Unstructured;
use proptest::prelude::*;

/// A tensor of which the share `sparsity` is +0.0.
fn sparse(name: &str, dtype: Dtype, shape: &[usize], sparsity: f64) -> Tensor {
    let (value, lot) = (noise(7), noise(8));
    Tensor::new(name, dtype, shape, |i| {
        if (lot(i * 3) + 1.0) / 2.0 < sparsity {
            0.0
        } else {
            value(i)
        }
    })
}

fn all(sparsity: f64) -> Vec<Tensor> {
    let mut nan = sparse("nan.weight", Dtype::F32, &[64, 40], sparsity);
    nan.bytes[400..404].copy_from_slice(&0xffc1_2345_u32.to_le_bytes()); // a payload
    nan.bytes[404..408].copy_from_slice(&1_u32.to_le_bytes()); // a subnormal
    vec![
        sparse("wide.weight", Dtype::F32, &[9, 520], sparsity),
        sparse("narrow.weight", Dtype::BF16, &[300, 13], sparsity),
        sparse("conv.weight", Dtype::F16, &[40, 10, 3, 3], sparsity),
        sparse("in_proj_weight", Dtype::F64, &[17, 512], sparsity),
        nan,
        Tensor::new("dense.weight", Dtype::F32, &[30, 30], |i| i as f64 + 1.0),
        Tensor::new("none", Dtype::F32, &[0, 512], |_| 0.0),
        Tensor::new("one", Dtype::F32, &[], |_| 0.0),
        Tensor::new("ids", Dtype::U8, &[5], |_| 0.0),
        sparse("line", Dtype::F32, &[3001], sparsity),
    ]
}

fn pack(input: &Path, output: &Path, zeros: Zeros) -> Result<PackReport> {
    Checkpoint::open(input)?.pack(output, Existing::Refuse, zeros)
}

fn unpack(input: &Path, output: &Path) -> Result<()> {
    Checkpoint::open(input)?
        .unpack(output, Existing::Refuse)
        .map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_byte_comes_back(sparsity in 0.0..1.0f64, threads in 1..3usize) {
        let place = folder();
        let all = all(sparsity);
        let inputs = [
            single(place.path(), &all),
            sharded(place.path(), &[&all[6..], &all[..3], &all[3..6]]),
        ];
        for input in inputs {
            let [packed, back] = ["packed", "back"].map(|name| {
                place.path().join(format!("{name}-{}", input.extension().is_some()))
            });
            let threads = std::num::NonZeroUsize::new(threads).unwrap();
            let checkpoint = Checkpoint::open(&input).unwrap().with_threads(threads);
            let report = checkpoint.pack(&packed, Existing::Refuse, Zeros::Exact).unwrap();
            prop_assert_eq!(report.tensors.len(), 9);
            let checkpoint = Checkpoint::open(&packed).unwrap().with_threads(threads);
            let unpacked = checkpoint.unpack(&back, Existing::Refuse).unwrap();
            prop_assert_eq!(unpacked.tensors.len(), report.packed().count());
            if input.is_dir() {
                prop_assert_eq!(files(&input), files(&back));
            } else {
                prop_assert_eq!(fs::read(&input).unwrap(), fs::read(&back).unwrap());
            }
            prop_assert!(report.packed().all(|t| t.packed_bytes.unwrap() < t.bytes));
        }
    }
}

#[test]
fn the_format_is_the_one_that_is_documented() {
    let values = |i: usize| match i {
        1 => 5.0,
        515 => -6.0,
        1535 => 7.0,
        _ => 0.0,
    };
    let place = folder();
    let all = [
        Tensor::new("m.fc.weight", Dtype::F32, &[3, 512], values),
        Tensor::new("ids", Dtype::U8, &[9], |i| i as f64),
    ];
    let input = single(place.path(), &all);
    let packed = place.path().join("packed");
    pack(&input, &packed, Zeros::Exact).unwrap();
    let bytes = fs::read(&packed).unwrap();
    assert_eq!(bytes[..8], *b"\x89SECATP\n");
    // No reader takes the file for a model.
    assert!(SafeTensors::deserialize(&bytes).is_err());
    let file = SafeTensors::deserialize(&bytes[8..]).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(
        names,
        ["ids", "m.fc.bitmask", "m.fc.compressed", "secateurs.crc32.0"]
    );
    let part = |name: &str| {
        let view = file.tensor(name).unwrap();
        (view.dtype(), view.shape().to_vec(), view.data().to_vec())
    };
    let floats: Vec<u8> = [5.0_f32, -6.0, 7.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    assert_eq!(part("m.fc.compressed"), (Dtype::F32, vec![3], floats));
    let mut bits = vec![0; 192];
    (bits[0], bits[64], bits[191]) = (0b10, 0b1000, 0b1000_0000);
    assert_eq!(part("m.fc.bitmask"), (Dtype::U8, vec![192], bits));
    assert_eq!(part("ids").2, all[1].bytes);
    let sums = all
        .iter()
        .flat_map(|tensor| crc32fast::hash(&tensor.bytes).to_le_bytes());
    assert_eq!(part("secateurs.crc32.0"), (Dtype::U32, vec![2], sums.collect()));
    let packed = Checkpoint::open(&packed).unwrap();
    let metadata = packed.shards()[0].metadata();
    assert_eq!(
        (&metadata["secateurs.pack"][..], &metadata["format"][..]),
        ("2", "pt")
    );
    for info in packed.tensors() {
        assert_eq!(info.begin % (info.dtype().bitsize() as u64 / 8), 0);
    }
}

#[test]
fn every_flipped_bit_is_found_or_means_nothing() {
    let place = folder();
    let all = [
        Tensor::new("fc.weight", Dtype::F32, &[2, 150], |i| {
            if i % 60 == 7 { i as f64 } else { 0.0 }
        }),
        Tensor::new("ids", Dtype::U8, &[3], |i| i as f64),
    ];
    let input = single(place.path(), &all);
    let [packed, back] = ["packed", "back"].map(|name| place.path().join(name));
    let report = pack(&input, &packed, Zeros::Exact).unwrap();
    assert_eq!(report.packed().count(), 1);
    let (whole, original) = (fs::read(&packed).unwrap(), fs::read(&input).unwrap());
    let data = Checkpoint::open(&packed).unwrap().shards()[0].data as usize;
    let (mut found, mut named) = (0, 0);
    // Of the data every bit, of what comes before it one of each byte.
    for at in (0..whole.len() * 8).filter(|at| at / 8 >= data || at % 8 == at / 8 % 8) {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(&packed, bytes).unwrap();
        match unpack(&packed, &back) {
            Ok(()) => {
                assert!(at / 8 < data, "bit {at}");
                assert_eq!(fs::read(&back).unwrap(), original, "bit {at}");
                fs::remove_file(&back).unwrap();
            }
            Err(error) => {
                found += usize::from(at / 8 >= data);
                let error = error.to_string();
                named +=
                    usize::from(at / 8 >= data && (error.contains("`fc.weight`") || error.contains("`ids`")));
            }
        }
    }
    // Every bit of the data, and the tensor is named each time.
    assert_eq!([found, named], [(whole.len() - data) * 8; 2]);
}

/// The folder of a file that version 1 packed, and its original.
fn version_1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/packed-1")
}

#[test]
fn files_of_version_1_are_unpacked() {
    let place = folder();
    let back = place.path().join("back");
    unpack(&version_1().join("packed.safetensors"), &back).unwrap();
    let original = fs::read(version_1().join("original.safetensors")).unwrap();
    assert_eq!(fs::read(&back).unwrap(), original);
}

#[test]
fn at_90_percent_packed_tensors_take_at_most_14_percent_of_dense_f32() {
    let shapes: [&[usize]; 9] = [
        &[64, 512],
        &[64, 768],
        &[100, 1000],
        &[200, 511],
        &[2000, 64],
        &[64, 64, 3, 3],
        &[512, 64, 1, 1],
        &[64, 3, 7, 7],
        &[30_000],
    ];
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for shape in shapes {
            let all = [Tensor::new("a.weight", dtype, shape, |i| {
                ((i * 7919) % 104_729 + 1) as f64
            })];
            let place = folder();
            let [pruned, packed] = ["pruned", "packed"].map(|name| place.path().join(name));
            let method = L1Unstructured::new(0.9).unwrap();
            let checkpoint = Checkpoint::open(single(place.path(), &all)).unwrap();
            let pruning = checkpoint.prune(["a.weight"], &method, Scope::Local).unwrap();
            pruning.write(&pruned, Existing::Refuse).unwrap();
            let report = pack(&pruned, &packed, Zeros::Exact).unwrap();
            let tensor = &report.tensors[0];
            let dense = 4 * tensor.entries as u64;
            let share = tensor.packed_bytes.unwrap() as f64 / dense as f64;
            println!("{dtype} {shape:?}: {:.2} % of dense f32", 100.0 * share);
            assert!(share <= 0.14, "{dtype} {shape:?}: {share}");
            // What is stated is what the file has, and a checksum.
            let data: u64 = Checkpoint::open(&packed)
                .unwrap()
                .tensors()
                .iter()
                .map(|t| t.bytes())
                .sum();
            assert_eq!(data, tensor.packed_bytes.unwrap() + 4);
            assert_eq!(report.bytes_after, fs::metadata(&packed).unwrap().len());
        }
    }
}

#[test]
fn negative_zeros_are_values_unless_they_are_made_positive() {
    let place = folder();
    let all = [
        Tensor::new("a.weight", Dtype::BF16, &[40, 100], |i| {
            [0.0, -0.0, -0.0, 3.0][i % 4]
        }),
        Tensor::new("small", Dtype::F32, &[4], |_| -0.0),
    ];
    let input = single(place.path(), &all);
    let [exact, canonical, back] = ["exact", "canonical", "back"].map(|name| place.path().join(name));
    let report = pack(&input, &exact, Zeros::Exact).unwrap();
    let tensor = &report.tensors[0];
    assert_eq!((tensor.absent, tensor.negative_zeros), (1000, 2000));
    assert_eq!(tensor.packed_bytes, Some(6000 + 500));
    let report = pack(&input, &canonical, Zeros::Canonical).unwrap();
    assert_eq!(report.tensors[0].absent, 3000);
    assert_eq!(report.tensors[0].packed_bytes, Some(2000 + 500));
    unpack(&canonical, &back).unwrap();
    let back = read(&back);
    let positive = Tensor::new("a.weight", Dtype::BF16, &[40, 100], |i| {
        [0.0, 0.0, 0.0, 3.0][i % 4]
    });
    assert_eq!(back["a.weight"].bytes, positive.bytes);
    assert_eq!(back["small"].bytes, all[1].bytes); // it is not packed
}

#[test]
fn names_that_are_taken_keep_tensors_plain() {
    let place = folder();
    let zeros = |name: &str| Tensor::new(name, Dtype::F32, &[100, 100], |_| 0.0);
    let ids = |name: &str| Tensor::new(name, Dtype::U8, &[2], |_| 1.0);
    let all = [
        zeros("fc"),
        zeros("fc.weight"),
        zeros("k.weight"),
        ids("k.bitmask"),
    ];
    let input = single(place.path(), &all);
    let [packed, back] = ["packed", "back"].map(|name| place.path().join(name));
    let report = pack(&input, &packed, Zeros::Exact).unwrap();
    let names: Vec<_> = report.packed().map(|tensor| &tensor.name[..]).collect();
    assert_eq!(names, ["fc"]);
    unpack(&packed, &back).unwrap();
    assert_eq!(fs::read(&input).unwrap(), fs::read(&back).unwrap());
}

#[test]
fn headers_and_indexes_come_back_as_they_stood() {
    let place = folder();
    let one = sparse("b.weight", Dtype::F32, &[100, 100], 0.9);
    let input = sharded(place.path(), &[std::slice::from_ref(&one)]);
    let json = format!(
        r#"  {{ "b.weight" :{{"shape":[100,100],"dtype":"F32","data_offsets":[0,{}]}},"__metadata__":{{"ü\n":"\u00e9"}}}}  "#,
        one.bytes.len()
    );
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.extend(&one.bytes);
    fs::write(input.join("model-00001-of-00001.safetensors"), &bytes).unwrap();
    let index =
        r#"{"weight_map" : {"b.weight":"model-00001-of-00001.safetensors"}, "metadata":null,"x":[1,  2]}"#;
    fs::write(input.join("model.safetensors.index.json"), index).unwrap();
    let [packed, back] = ["packed", "back"].map(|name| place.path().join(name));
    pack(&input, &packed, Zeros::Exact).unwrap();
    unpack(&packed, &back).unwrap();
    assert_eq!(files(&input), files(&back));
    // By the path of the index, too.
    let again = place.path().join("again");
    unpack(&packed.join("model.safetensors.index.json"), &again).unwrap();
    assert_eq!(files(&input), files(&again));
}

#[test]
fn what_is_packed_is_not_packed_again_nor_what_is_plain_unpacked() {
    let place = folder();
    let input = single(place.path(), &all(0.9));
    let [packed, again] = ["packed", "again"].map(|name| place.path().join(name));
    let error = unpack(&input, &again).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Pack(PackError::NotPacked { .. }))
        ),
        "{error}"
    );
    pack(&input, &packed, Zeros::Exact).unwrap();
    let error = pack(&packed, &again, Zeros::Exact).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Pack(PackError::PackedAlready { .. }))
        ),
        "{error}"
    );
    assert!(!again.exists());
}

/// Lets `change` damage a file of version 1, given its header and its data, and unpacks it.
fn damaged(change: impl FnOnce(&mut Vec<Entry>, &mut BTreeMap<String, String>, &mut Vec<u8>)) -> Damage {
    let place = folder();
    let [packed, back] = ["packed", "back"].map(|name| place.path().join(name));
    let bytes = fs::read(version_1().join("packed.safetensors")).unwrap();
    fs::write(&packed, &bytes).unwrap();
    let shard = Checkpoint::open(&packed).unwrap();
    let shard = &shard.shards()[0];
    let mut data = bytes[shard.data as usize..].to_vec();
    let header = Header::parse(&bytes[8..shard.data as usize], data.len() as u64).unwrap();
    let (mut entries, mut metadata) = (header.entries, header.metadata);
    change(&mut entries, &mut metadata, &mut data);
    let mut json = serde_json::Map::new();
    json.insert("__metadata__".into(), serde_json::json!(metadata));
    for entry in entries {
        let value = serde_json::json!({
            "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [entry.begin, entry.end],
        });
        json.insert(entry.name, value);
    }
    let json = serde_json::to_vec(&json).unwrap();
    let file = [&(json.len() as u64).to_le_bytes()[..], &json, &data].concat();
    fs::write(&packed, file).unwrap();
    let before = files(place.path());
    let error = unpack(&packed, &back).unwrap_err();
    assert_eq!(files(place.path()), before);
    match error {
        Error::Checkpoint(CheckpointError::Damaged { damage, .. }) => *damage,
        other => panic!("{other}"),
    }
}

fn entry<'a>(entries: &'a mut [Entry], name: &str) -> &'a mut Entry {
    entries.iter_mut().find(|entry| entry.name == name).unwrap()
}

#[test]
fn every_damage_to_a_packed_tensor_is_found() {
    let begin = |entries: &mut [Entry], name: &str| entry(entries, name).begin as usize;
    let more = damaged(|entries, _, data| data[entry(entries, "fc.bitmask").end as usize - 1] = 0xff);
    assert!(
        matches!(&more, Damage::PackedBits { bits, values, .. } if bits > values),
        "{more}"
    );
    let last =
        damaged(|entries, _, data| data[entry(entries, "fc.bitmask").end as usize - 65..][..65].fill(0));
    assert!(
        matches!(&last, Damage::PackedBits { bits, values, .. } if bits < values),
        "{last}"
    );
    let fewer = damaged(|entries, _, data| data[begin(entries, "fc.bitmask")..][..70].fill(0));
    assert!(
        matches!(
            fewer,
            Damage::PackedBits { .. } | Damage::PackedRow { row: 1, .. }
        ),
        "{fewer}"
    );
    let moved = damaged(|entries, _, data| {
        let bits = &mut data[begin(entries, "fc.bitmask")..][..390];
        bits.rotate_left(65); // as many bits as before, in other rows
    });
    assert!(matches!(moved, Damage::PackedRow { .. }), "{moved}");
    let offset = damaged(|entries, _, data| data[begin(entries, "fc.row_offsets") + 16 + 7] = 0x80);
    assert!(
        matches!(offset, Damage::PackedRow { row: 2, got: ..0, .. }),
        "{offset}"
    );
    let shape = damaged(|entries, _, data| data[begin(entries, "fc.shape")] = 7);
    assert!(
        matches!(&shape, Damage::PackedShape { got, .. } if got == &[7, 520]),
        "{shape}"
    );
    let dims = damaged(|entries, _, _| entry(entries, "fc.bitmask").shape = vec![390]);
    assert!(
        matches!(&dims, Damage::PackedPart { part, .. } if part == "fc.bitmask"),
        "{dims}"
    );
    let dtype = damaged(|entries, _, _| entry(entries, "fc.compressed").dtype = Dtype::I32);
    assert!(
        matches!(&dtype, Damage::PackedPart { part, .. } if part == "fc.compressed"),
        "{dtype}"
    );
    let missing = damaged(|entries, _, _| entry(entries, "fc.row_offsets").name = "x".into());
    assert!(
        matches!(&missing, Damage::PackedMissing { part, .. } if part == "fc.row_offsets"),
        "{missing}"
    );
    let stray = damaged(|entries, _, data| {
        let mut stray = entries[0].clone();
        (stray.begin, stray.end) = (data.len() as u64, data.len() as u64 + stray.end - stray.begin);
        data.resize(stray.end as usize, 0);
        stray.name = "x".into();
        entries.push(stray);
    });
    assert!(
        matches!(&stray, Damage::PackedStray { name } if name == "x"),
        "{stray}"
    );
}

#[test]
fn every_damage_to_the_record_is_found() {
    let record = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let damage = damaged(|_, metadata, _| change(metadata));
        assert!(
            matches!(damage, Damage::PackedRecord { .. } | Damage::PackedPart { .. }),
            "{damage}"
        );
    };
    record(&|metadata| drop(metadata.remove("secateurs.header")));
    record(&|metadata| drop(metadata.insert("secateurs.header".into(), "{".into())));
    record(&|metadata| drop(metadata.insert("secateurs.pack".into(), "2".into())));
    let edit = |from: &str, to: &str| {
        record(&|metadata| {
            let header = metadata.get_mut("secateurs.header").unwrap();
            assert!(header.contains(from));
            *header = header.replace(from, to);
        });
    };
    edit("[6, 520]", "[520, 6]");
    edit("[6, 520]", "[6, 521]");
    edit("F32", "I32");

    let place = folder();
    let all = all(0.9);
    let input = sharded(place.path(), &[&all[..5], &all[5..]]);
    let [packed, back] = ["packed", "back"].map(|name| place.path().join(name));
    pack(&input, &packed, Zeros::Exact).unwrap();
    let index = packed.join("model.safetensors.index.json");
    let good = fs::read_to_string(&index).unwrap();
    for (from, to) in [("secateurs.index", "secateurs.x"), ("\\\"ids\\\"", "\\\"idz\\\"")] {
        assert!(good.contains(from));
        fs::write(&index, good.replacen(from, to, 1)).unwrap();
        let error = unpack(&packed, &back).unwrap_err();
        assert!(error.to_string().contains("index"), "{error}");
    }
    // A shard that is not packed among others that are.
    fs::write(&index, good).unwrap();
    let shard = "model-00002-of-00002.safetensors";
    let mut bytes = fs::read(packed.join(shard)).unwrap();
    let at = bytes
        .windows(14)
        .position(|window| window == b"secateurs.pack")
        .unwrap();
    bytes[at] = b'S';
    bytes.drain(..8);
    fs::write(packed.join(shard), bytes).unwrap();
    let error = unpack(&packed, &back).unwrap_err();
    assert!(error.to_string().contains("not packed"), "{error}");
}
