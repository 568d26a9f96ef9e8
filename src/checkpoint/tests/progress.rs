//! Progress has one total for each phase, known from the start, which is reached.

use std::sync::{Arc, Mutex};

use safetensors::Dtype;

use super::*;
use crate::checkpoint::{Existing, Phase, Progress, Scope};
use crate::mask::{
    BlockRank, BlockStructured, GlobalOptions, IntoMethod, L1Unstructured, LnStructured, NmStructured,
    PruningMethod, RandomUnstructured,
};

/// Prunes, and returns what was told of ranking and of writing.
fn told(method: &dyn PruningMethod, scope: Scope, options: GlobalOptions<'static>) -> [Vec<(u64, u64)>; 2] {
    let place = tempfile::tempdir().unwrap();
    let tensors = [
        Tensor::new("a.weight", Dtype::F32, &[32, 64], noise(1)),
        Tensor::new("b.weight", Dtype::BF16, &[64, 64], noise(2)),
        Tensor::new("c.weight", Dtype::F64, &[16, 16], noise(3)),
    ];
    let path = place.path().join("in.safetensors");
    fs::write(&path, file(&tensors)).unwrap();
    let all = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let observer = {
        let all = all.clone();
        move |progress| all.lock().unwrap().push(progress)
    };
    let checkpoint = Checkpoint::open(&path).unwrap().with_observer(observer);
    let names = ["a.weight", "b.weight", "c.weight"];
    let job = checkpoint.prune(names, method, scope).unwrap();
    let job = job.with_options(options).unwrap();
    job.write(place.path().join("out.safetensors"), Existing::Refuse)
        .unwrap();
    let all = all.lock().unwrap();
    [Phase::Ranking, Phase::Writing].map(|phase| {
        let of_phase = all.iter().filter(|progress| progress.phase == phase);
        of_phase.map(|progress| (progress.done, progress.total)).collect()
    })
}

#[test]
fn every_phase_has_one_total_that_is_reached() {
    let rng = &mut <rand_chacha::ChaCha8Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
    let l1 = || L1Unstructured::new(0.5).unwrap().into_method();
    let random = RandomUnstructured::new(0.5, rng).unwrap().into_method();
    let random_local = random.clone();
    let plain = GlobalOptions::new;
    for (what, method, scope, options, ranks) in [
        ("local", l1(), Scope::Local, plain(), true),
        ("global", l1(), Scope::Global, plain(), true),
        ("normalised", l1(), Scope::Global, plain().normalize(true), true),
        (
            "capped",
            l1(),
            Scope::Global,
            plain().max_sparsity(0.6).unwrap(),
            true,
        ),
        (
            "normalised and capped",
            l1(),
            Scope::Global,
            plain().normalize(true).max_sparsity(0.6).unwrap(),
            true,
        ),
        ("random", random, Scope::Global, plain(), true),
        ("random, local", random_local, Scope::Local, plain(), true),
        (
            "channels",
            LnStructured::new(0.5, 2, 0).unwrap().into_method(),
            Scope::Local,
            plain(),
            true,
        ),
        (
            "blocks",
            BlockStructured::new(0.5, 4, 4, BlockRank::MeanSquare)
                .unwrap()
                .into_method(),
            Scope::Local,
            plain(),
            true,
        ),
        (
            "groups",
            NmStructured::new(2, 4, 1).unwrap().into_method(),
            Scope::Local,
            plain(),
            false,
        ),
    ] {
        for (phase, told) in ["ranking", "writing"]
            .into_iter()
            .zip(told(&*method, scope, options))
        {
            if phase == "ranking" && !ranks {
                assert!(told.is_empty(), "{what} ranks nothing beforehand");
                continue;
            }
            let (_, total) = told[0];
            assert!(
                told.iter().all(|(_, each)| *each == total),
                "{what}, {phase}: {told:?}"
            );
            assert!(told.is_sorted(), "{what}, {phase}: {told:?}");
            assert_eq!(told[told.len() - 1].0, total, "{what}, {phase}");
        }
    }
}
