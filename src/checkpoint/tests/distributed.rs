//! Files that are counted apart and pruned apart are those that one process writes, whoever does which part.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::agreement::{tensors, weights};
use super::*;
use crate::checkpoint::distributed::{
    Counts, DistributedError, GlobalSelection, Pass, Search, TensorSummary,
};
use crate::checkpoint::{CheckpointError, Existing, Scope};
use crate::error::{AmountError, Error, ListError, MaskError};
use crate::mask::{
    Amount, GlobalOptions, L1Unstructured, LnStructured, Norm, PruningMethod, RandomUnstructured,
    ScoreUnstructured,
};

/// What arrives in another process.
fn sent<T: Serialize + DeserializeOwned>(value: &T, as_text: bool) -> T {
    if as_text {
        return serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap();
    }
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(value, config).unwrap();
    bincode::serde::decode_from_slice(&bytes, config).unwrap().0
}

/// Divides tensors among `count` files at random, some of which may be empty of tensors that are pruned.
fn divided(all: &[Tensor], count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<Tensor>> {
    use rand::RngExt;
    let mut shards = vec![Vec::new(); count];
    for tensor in all {
        shards[rng.random_range(0..count)].push(tensor.clone());
    }
    shards.retain(|shard| !shard.is_empty());
    shards
}

/// Counts by workers, each of which opens its files anew and merges its own counts; then merges theirs, in any order.
/// `again` says which file is counted by one worker that dies, and once more by another.
fn count(shards: &[PathBuf], pass: &Pass, workers: usize, again: usize, rng: &mut ChaCha8Rng) -> Counts {
    use rand::RngExt;
    let text = rng.random();
    let mut of_workers: Vec<Vec<Counts>> = vec![Vec::new(); workers];
    for (number, shard) in shards.iter().enumerate() {
        let pass = sent(pass, text);
        let counts = Checkpoint::open(shard).unwrap().count(&pass).unwrap();
        if number == again {
            let lost = serde_json::to_string(&counts).unwrap();
            let counts = Checkpoint::open(shard).unwrap().count(&pass).unwrap();
            assert!(
                serde_json::to_string(&counts).unwrap() == lost,
                "not the same twice"
            );
        }
        of_workers[rng.random_range(0..workers)].push(counts);
    }
    let merged = |counts: Vec<Counts>| counts.into_iter().reduce(|a, b| a.merge(b).unwrap());
    let mut all: Vec<Counts> = of_workers.into_iter().filter_map(merged).collect();
    all.shuffle(rng);
    all.iter()
        .map(|counts| sent(counts, text))
        .reduce(|a, b| a.merge(b).unwrap())
        .unwrap()
}

/// Prunes the files one by one, by counts of some workers, and returns how many passes there were.
fn run(
    place: &Path,
    shards: &[PathBuf],
    names: &[String],
    method: &dyn PruningMethod,
    options: &GlobalOptions<'static>,
    workers: usize,
    seed: u64,
) -> (GlobalSelection, usize) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let summaries = shards
        .iter()
        .flat_map(|shard| Checkpoint::open(shard).unwrap().summarize());
    let mut summaries: Vec<TensorSummary> = summaries.map(|summary| sent(&summary, true)).collect();
    summaries.shuffle(rng);
    let mut search = Search::new(summaries, names, method, options).unwrap();
    let mut passes = 0;
    let selection = loop {
        passes += 1;
        let counts = count(shards, search.pass(), workers, seed as usize % shards.len(), rng);
        search = sent(&search, passes % 2 == 0);
        if let Some(selection) = search.end_pass(counts).unwrap() {
            break sent(&selection, seed.is_multiple_of(2));
        }
    };
    let mut pruned = 0;
    for shard in shards {
        let checkpoint = Checkpoint::open(shard).unwrap();
        let output = place.join(shard.file_name().unwrap());
        let job = checkpoint.apply_selection(&selection).unwrap();
        let job = job.with_masks(output.with_extension("masks"));
        let measured = job.measure().unwrap();
        let first = job.write(&output, Existing::Replace).unwrap();
        // A task that is run again writes the same.
        let bytes = fs::read(&output).unwrap();
        let again = job.write(&output, Existing::Replace).unwrap();
        assert_eq!(fs::read(&output).unwrap(), bytes);
        assert_eq!((&first, &first), (&again, &measured));
        for tensor in &first.tensors {
            let expected = selection
                .tensors()
                .find(|(summary, _)| summary.name() == tensor.name);
            assert_eq!(expected.unwrap().1, tensor.pruned);
        }
        pruned += first.pruned();
    }
    assert_eq!(pruned, selection.pruned());
    (selection, passes)
}

/// Prunes a checkpoint in one process and by workers, and compares.
fn compare(
    all: &[Tensor],
    method: &dyn PruningMethod,
    options: &GlobalOptions<'static>,
    (files, workers): (usize, usize),
    seed: u64,
) -> usize {
    let place = folder();
    let shards = divided(all, files, &mut ChaCha8Rng::seed_from_u64(seed));
    let input = sharded(
        place.path(),
        &shards.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    );
    let whole = Checkpoint::open(&input).unwrap();
    let names: Vec<String> = weights(all).into_iter().map(|tensor| tensor.name).collect();
    let one = place.path().join("one");
    let masks = place.path().join("masks");
    let job = whole.prune(&names, method, Scope::Global).unwrap();
    let job = job.with_options(options.clone()).unwrap().with_masks(&masks);
    let report = job.write(&one, Existing::Refuse).unwrap();

    let many = place.path().join("many");
    fs::create_dir(&many).unwrap();
    let paths: Vec<PathBuf> = whole
        .shards()
        .iter()
        .map(|shard| shard.path().to_owned())
        .collect();
    let (selection, passes) = run(&many, &paths, &names, method, options, workers, seed);
    assert_eq!(selection.pruned(), report.pruned());
    let mut of_many = BTreeMap::new();
    for path in &paths {
        let (name, output) = (path.file_name().unwrap(), many.join(path.file_name().unwrap()));
        assert!(
            fs::read(one.join(name)).unwrap() == fs::read(&output).unwrap(),
            "{name:?} differs"
        );
        of_many.extend(read(&output.with_extension("masks")));
    }
    let of_one = read(&masks);
    assert_eq!(of_one.len(), of_many.len());
    for (name, mask) in of_one {
        assert!(mask.bytes == of_many[&name].bytes, "{name} differs");
    }
    passes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_division_gives_the_result_of_one_process(
        seed in 0..1000u64, share in 0.0..=1.0f64, cap in 0.3..1.0f64, files in 1..6usize, workers in 1..5usize
    ) {
        let all = tensors(seed); // a third of the entries are tied
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plain = GlobalOptions::new;
        let capped = plain().max_sparsity(cap).unwrap();
        let one_capped = plain().max_sparsity_of("t0.weight", cap / 2.0).unwrap();
        let magnitude = L1Unstructured::new(share).unwrap();
        let value = ScoreUnstructured::new(share * cap * 0.9).unwrap();
        let random = RandomUnstructured::new(share * cap * 0.9, &mut rng).unwrap();
        let cases: [(&dyn PruningMethod, _); 6] = [
            (&magnitude, plain()),
            (&magnitude, plain().normalize(true)),
            (&value, capped.clone()),
            (&value, capped.clone().normalize(true)),
            (&value, one_capped),
            (&random, capped),
        ];
        for (method, options) in cases {
            compare(&all, method, &options, (files, workers), seed);
        }
        compare(&all, &random, &plain(), (files, workers), seed);
    }
}

#[test]
fn ties_across_files_are_pruned_in_the_order_of_the_names() {
    // S5: every entry is tied, and files hold the tensors in turns.
    let tensor = |i: usize| Tensor::new(&format!("t{i}.weight"), Dtype::BF16, &[10, 10], |_| 1.0);
    let all: Vec<_> = (0..6).map(tensor).collect();
    for (count, files) in [(0, 3), (1, 3), (250, 2), (301, 3), (599, 6), (600, 4)] {
        let method = L1Unstructured::new(Amount::count(count)).unwrap();
        let passes = compare(&all, &method, &GlobalOptions::new(), (files, 3), count as u64);
        assert_eq!(passes, 2, "one that counts keys, one that counts ties");
    }
}

#[test]
fn passes_are_as_many_as_the_types_need() {
    for (dtype, normalize, passes) in [
        (Dtype::BF16, false, 2),
        (Dtype::F32, false, 3),
        (Dtype::F64, false, 5),
        (Dtype::BF16, true, 6),
    ] {
        let noise = |i: usize| ((i + 1) as f64 * 0.618_033_988_749_894_9).fract() - 0.5;
        let tensor = |i: usize| {
            Tensor::new(&format!("t{i}.weight"), dtype, &[30, 40], move |j| {
                noise(i * 7919 + j)
            })
        };
        let all: Vec<_> = (0..3).map(tensor).collect();
        let options = GlobalOptions::new().normalize(normalize);
        let method = L1Unstructured::new(0.37).unwrap();
        assert_eq!(
            compare(&all, &method, &options, (2, 2), 5),
            passes,
            "{dtype:?} {normalize}"
        );
    }
}

/// Two files, and a search over them.
fn two() -> (tempfile::TempDir, [Checkpoint; 2], Search) {
    let place = folder();
    let file_of = |name: &str| {
        let path = place.path().join(format!("{name}.safetensors"));
        fs::write(
            &path,
            file(&[Tensor::new(name, Dtype::F32, &[20, 20], noise(name.len() as u64))]),
        )
        .unwrap();
        Checkpoint::open(&path).unwrap()
    };
    let files = [file_of("a.weight"), file_of("bb.weight")];
    let search = search(
        &files,
        &["a.weight", "bb.weight"],
        &L1Unstructured::new(0.5).unwrap(),
    )
    .unwrap();
    (place, files, search)
}

fn search(files: &[Checkpoint], names: &[&str], method: &dyn PruningMethod) -> crate::Result<Search> {
    Search::new(
        files.iter().flat_map(Checkpoint::summarize),
        names,
        method,
        &GlobalOptions::new(),
    )
}

fn distributed<T>(result: crate::Result<T>) -> DistributedError {
    match result.err().expect("it fails") {
        Error::Checkpoint(CheckpointError::Distributed(error)) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn counts_that_do_not_fit_are_refused_and_change_nothing() {
    let (_place, [one, other], mut search) = two();
    let counts = |pass: &Pass| (one.count(pass).unwrap(), other.count(pass).unwrap());
    let (a, b) = counts(search.pass());
    let before = serde_json::to_string(&search).unwrap();
    assert!(matches!(
        distributed(search.end_pass(a.clone())),
        DistributedError::NotCounted { name } if name == "bb.weight"
    ));
    assert!(matches!(
        distributed(a.clone().merge(b.clone()).unwrap().merge(a.clone())),
        DistributedError::CountedTwice { name } if name == "a.weight"
    ));
    assert_eq!(serde_json::to_string(&search).unwrap(), before);
    let first = a.clone().merge(b).unwrap();
    assert!(search.end_pass(first.clone()).unwrap().is_none());
    // Counts that come late, of the pass before.
    let (c, d) = counts(search.pass());
    assert!(matches!(
        distributed(c.clone().merge(a)),
        DistributedError::AnotherPass
    ));
    assert!(matches!(
        distributed(search.end_pass(first)),
        DistributedError::AnotherPass
    ));
    // Of another search, which is in the same pass.
    let amount = L1Unstructured::new(0.3).unwrap();
    let mut another = self::search(&[], &[], &amount);
    assert!(matches!(another, Err(Error::List(ListError::NoParameters))));
    let (place, files, _) = two();
    another = self::search(&files, &["a.weight", "bb.weight"], &amount);
    let mut another = another.unwrap();
    let (e, f) = (
        files[0].count(another.pass()).unwrap(),
        files[1].count(another.pass()).unwrap(),
    );
    assert!(another.end_pass(e.merge(f).unwrap()).unwrap().is_none());
    let e = files[0].count(another.pass()).unwrap();
    assert!(matches!(
        distributed(e.merge(d.clone())),
        DistributedError::AnotherPass
    ));
    drop(place);
    assert!(search.end_pass(c.merge(d).unwrap()).unwrap().is_none());
}

#[test]
fn a_file_that_changes_between_passes_is_noticed() {
    let (place, [one, other], mut search) = two();
    loop {
        let counts = one
            .count(search.pass())
            .unwrap()
            .merge(other.count(search.pass()).unwrap())
            .unwrap();
        if search.end_pass(counts).unwrap().is_some() {
            panic!("the last pass came too early");
        }
        // In the last pass, all weights of a file are other ones.
        let split = serde_json::to_value(search.pass()).unwrap()["work"]
            .get("Split")
            .is_some();
        if split {
            break;
        }
    }
    let path = place.path().join("a.weight.safetensors");
    fs::write(
        &path,
        file(&[Tensor::new("a.weight", Dtype::F32, &[20, 20], |_| 7.0)]),
    )
    .unwrap();
    let one = Checkpoint::open(&path).unwrap();
    let counts = one
        .count(search.pass())
        .unwrap()
        .merge(other.count(search.pass()).unwrap())
        .unwrap();
    assert!(matches!(
        distributed(search.end_pass(counts)),
        DistributedError::Changed
    ));
}

#[test]
fn pruning_by_a_selection_checks_that_the_file_is_the_one_that_was_counted() {
    let (place, [one, other], mut search) = two();
    let selection = loop {
        let counts = one
            .count(search.pass())
            .unwrap()
            .merge(other.count(search.pass()).unwrap())
            .unwrap();
        if let Some(selection) = search.end_pass(counts).unwrap() {
            break selection;
        }
    };
    let path = place.path().join("changed.safetensors");
    let output = place.path().join("out.safetensors");
    fs::write(
        &path,
        file(&[Tensor::new("a.weight", Dtype::F32, &[20, 20], |_| 7.0)]),
    )
    .unwrap();
    let changed = Checkpoint::open(&path).unwrap();
    let result = changed
        .apply_selection(&selection)
        .unwrap()
        .write(&output, Existing::Refuse);
    assert!(matches!(
        result,
        Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile { .. }))
    ));
    assert!(!output.exists());
    fs::write(
        &path,
        file(&[Tensor::new("a.weight", Dtype::F32, &[400], |_| 7.0)]),
    )
    .unwrap();
    let changed = Checkpoint::open(&path).unwrap();
    assert!(matches!(
        distributed(changed.apply_selection(&selection)),
        DistributedError::AnotherTensor { name } if name == "a.weight"
    ));
    assert!(matches!(
        distributed(changed.count(search.pass())),
        DistributedError::AnotherTensor { .. }
    ));
    // An output in the place of the input.
    let job = one.apply_selection(&selection).unwrap();
    let over = job.write(one.path(), Existing::Replace);
    assert!(matches!(over, Err(Error::Checkpoint(CheckpointError::Output(_)))));
}

#[test]
fn bad_searches_say_what_is_wrong() {
    let (_place, files, _) = two();
    let half = L1Unstructured::new(0.5).unwrap();
    let [one, other] = &files;
    let twice = one
        .summarize()
        .into_iter()
        .chain(other.summarize())
        .chain(one.summarize());
    let twice = Search::new(twice, ["a.weight"], &half, &GlobalOptions::new());
    assert!(matches!(distributed(twice), DistributedError::InTwoFiles { name } if name == "a.weight"));
    let unknown = search(&files, &["a.wieght"], &half);
    assert!(matches!(
        unknown,
        Err(Error::Checkpoint(CheckpointError::UnknownTensor { .. }))
    ));
    let listed_twice = search(&files, &["a.weight", "a.weight"], &half);
    assert!(matches!(
        listed_twice,
        Err(Error::List(ListError::ListedTwice { .. }))
    ));
    let channels = LnStructured::new(0.5, Norm::L2, 0).unwrap();
    let channels = search(&files, &["a.weight"], &channels);
    assert!(matches!(
        channels,
        Err(Error::Mask(MaskError::Unsupported { .. }))
    ));
    let large = search(
        &files,
        &["a.weight"],
        &L1Unstructured::new(Amount::count(401)).unwrap(),
    );
    assert!(matches!(
        large,
        Err(Error::Amount(AmountError::TooLarge {
            requested: 401,
            remaining: 400
        }))
    ));
    let options = GlobalOptions::new().max_sparsity(0.2).unwrap();
    let capped = Search::new(one.summarize(), ["a.weight"], &half, &options);
    assert!(matches!(
        capped,
        Err(Error::Amount(AmountError::Capped {
            requested: 200,
            achievable: 80,
            ..
        }))
    ));
}

#[test]
fn nan_is_named_by_whoever_counts_it() {
    let place = folder();
    let path = place.path().join("model.safetensors");
    let nan = |i| if i == 321 { f64::NAN } else { 1.0 };
    fs::write(
        &path,
        file(&[Tensor::new("a.weight", Dtype::F32, &[20, 20], nan)]),
    )
    .unwrap();
    let files = [Checkpoint::open(&path).unwrap()];
    let search = search(&files, &["a.weight"], &L1Unstructured::new(0.5).unwrap()).unwrap();
    assert!(matches!(
        files[0].count(search.pass()),
        Err(Error::Mask(MaskError::NanScore { parameter: Some(name), index: 321 })) if name == "a.weight"
    ));
}

/// Bytes from elsewhere give an error, or something that can be worked with; never a panic.
#[test]
fn what_is_received_is_checked() {
    let (_place, [one, other], mut search) = two();
    let first = one
        .count(search.pass())
        .unwrap()
        .merge(other.count(search.pass()).unwrap())
        .unwrap();
    search.end_pass(first.clone()).unwrap();
    let second = one
        .count(search.pass())
        .unwrap()
        .merge(other.count(search.pass()).unwrap())
        .unwrap();
    let config = bincode::config::standard().with_limit::<{ 1 << 24 }>();
    for counts in [&first, &second] {
        let good = bincode::serde::encode_to_vec(counts, config).unwrap();
        for seed in 0..2000_usize {
            let mut bytes = good.clone();
            let at =
                seed.wrapping_mul(0x9e37_79b9) % bytes.len().min(if seed % 2 == 0 { 64 } else { usize::MAX });
            bytes[at] = bytes[at].wrapping_add((seed / 7) as u8 | 1);
            let Ok((counts, _)) = bincode::serde::decode_from_slice::<Counts, _>(&bytes, config) else {
                continue;
            };
            let mut search = search.clone();
            let _ = search.end_pass(counts.clone());
            let _ = counts.clone().merge(counts);
        }
    }
    let good = bincode::serde::encode_to_vec(search.pass(), config).unwrap();
    for seed in 0..2000_usize {
        let mut bytes = good.clone();
        let at = seed.wrapping_mul(0x9e37_79b9) % bytes.len();
        bytes[at] = bytes[at].wrapping_add((seed / 7) as u8 | 1);
        if let Ok((pass, _)) = bincode::serde::decode_from_slice::<Pass, _>(&bytes, config) {
            let _ = one.count(&pass);
        }
    }
}
