//! Amounts, norms, masks, methods and containers through JSON and bincode, also from corrupted bytes.

use secateurs::error::AmountError;
mod common;

use std::sync::Arc;

use common::methods::{Answer, Failing, Ones, Part, Threshold};
use common::rng;
use ndarray::ArrayD;
use proptest::prelude::*;
use rand::Rng;
use secateurs::Error;
use secateurs::mask::{
    self, Amount, CustomFromMask, Identity, L1Unstructured, LnStructured, Mask, Norm, PruningContainer,
    PruningMethod, RandomStructured, RandomUnstructured, ScoreUnstructured,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn to_bincode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap()
}

fn from_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, bincode::config::standard())?;
    assert!(read <= bytes.len());
    Ok(value)
}

/// As `from_bincode`, for bytes that cannot be trusted: without a limit, bincode itself allocates as much as a length
/// in the bytes says.
fn from_untrusted<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    let config = bincode::config::standard().with_limit::<65_536>();
    bincode::serde::decode_from_slice(bytes, config).map(|(value, _)| value)
}

/// The value after a trip through JSON, and through bincode.
fn trips<T: Serialize + DeserializeOwned>(value: &T) -> [T; 2] {
    [
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap(),
        from_bincode(&to_bincode(value)).unwrap(),
    ]
}

fn norms() -> Vec<Norm> {
    [
        "1", "2", "0", "inf", "-inf", "fro", "nuc", "0.5", "3", "-1", "1e300", "0.1",
    ]
    .map(|n| n.parse().unwrap())
    .to_vec()
}

fn amounts() -> Vec<Amount> {
    let shares = [0.0, 0.1, 0.5, 1.0, 1e-300, 1.0 / 3.0];
    let mut amounts: Vec<Amount> = [0, 1, 300, usize::MAX].map(Amount::count).to_vec();
    amounts.extend(shares.map(|share| Amount::fraction(share).unwrap()));
    amounts.extend(shares.map(|share| Amount::until(share).unwrap()));
    amounts
}

fn masks() -> Vec<Mask> {
    let mut data = rng(70);
    [
        &[][..],
        &[0],
        &[3, 0, 2],
        &[1],
        &[63],
        &[64],
        &[65],
        &[4, 3, 11],
        &[2, 2, 2, 2, 2, 2],
    ]
    .into_iter()
    .map(|shape| {
        Mask::from_bool(ArrayD::from_shape_simple_fn(shape, || data.next_u32().is_multiple_of(2)).view())
    })
    .collect()
}

/// A method of every kind, and a container that holds them all.
fn methods() -> Vec<Arc<dyn PruningMethod>> {
    let mut data = rng(71);
    let mut methods: Vec<Arc<dyn PruningMethod>> = vec![Arc::new(Identity)];
    for amount in amounts() {
        methods.push(Arc::new(L1Unstructured::new(amount).unwrap()));
        methods.push(Arc::new(ScoreUnstructured::new(amount).unwrap()));
        methods.push(Arc::new(RandomUnstructured::new(amount, &mut data).unwrap()));
        methods.push(Arc::new(RandomStructured::new(amount, -3, &mut data).unwrap()));
    }
    for norm in norms() {
        methods.push(Arc::new(LnStructured::new(0.5, norm, -1).unwrap()));
        methods.push(Arc::new(LnStructured::new(2, norm, 1).unwrap()));
    }
    for mask in masks() {
        methods.push(Arc::new(CustomFromMask::new(mask.clone())));
        methods.push(Arc::new(Answer(Part::Whole, mask)));
    }
    methods.push(Arc::new(Threshold(Part::Channels(-1), 0.25)));
    methods.push(Arc::new(Ones(Part::Entries)));
    methods.push(Arc::new(Failing(Part::Whole)));
    methods.push(Arc::new(PruningContainer::new("")));
    methods.push(Arc::new(container(&methods)));
    methods
}

fn container(methods: &[Arc<dyn PruningMethod>]) -> PruningContainer {
    let mut container = PruningContainer::new("encoder.weight");
    for method in methods.iter().filter(|method| !method.is::<PruningContainer>()) {
        container.add("encoder.weight", method.clone()).unwrap();
    }
    container
}

#[test]
fn values_survive() {
    // S21; ±∞ included, which JSON's numbers do not have.
    for norm in norms() {
        assert_eq!(trips(&norm), [norm, norm]);
    }
    for amount in amounts() {
        assert_eq!(trips(&amount), [amount, amount]);
    }
    for mask in masks() {
        assert_eq!(trips(&mask), [mask.clone(), mask]);
    }
    assert_eq!(
        trips(&L1Unstructured::new(0.1).unwrap())[1],
        L1Unstructured::new(0.1).unwrap()
    );
}

#[test]
fn methods_survive_as_trait_objects() {
    for method in methods() {
        let json = serde_json::to_string(&method).unwrap();
        let bytes = to_bincode(&method);
        let boxed: [Box<dyn PruningMethod>; 2] = [
            serde_json::from_str(&json).unwrap(),
            from_bincode(&bytes).unwrap(),
        ];
        let shared: [Arc<dyn PruningMethod>; 2] = [
            serde_json::from_str(&json).unwrap(),
            from_bincode(&bytes).unwrap(),
        ];
        let all: Vec<&dyn PruningMethod> = boxed
            .iter()
            .map(|m| &**m)
            .chain(shared.iter().map(|m| &**m))
            .collect();
        for loaded in all {
            assert_eq!(loaded.pruning_type(), method.pruning_type());
            assert_eq!(loaded.plan(), method.plan());
            assert_eq!(format!("{loaded:?}"), format!("{method:?}"));
            assert_eq!(to_bincode(loaded), bytes);
            assert_eq!(serde_json::to_string(loaded).unwrap(), json);
        }
    }
}

#[test]
fn concrete_types_survive() {
    fn check<M: PruningMethod + PartialEq>(method: M) {
        let loaded: Arc<dyn PruningMethod> =
            from_bincode(&to_bincode(&method as &dyn PruningMethod)).unwrap();
        assert_eq!(loaded.downcast_ref::<M>(), Some(&method));
        let json = serde_json::to_string(&method as &dyn PruningMethod).unwrap();
        let loaded: Box<dyn PruningMethod> = serde_json::from_str(&json).unwrap();
        assert_eq!(loaded.downcast_ref::<M>(), Some(&method));
    }
    let mut data = rng(72);
    check(Identity);
    check(L1Unstructured::new(0.3).unwrap());
    check(ScoreUnstructured::new(12).unwrap());
    check(RandomUnstructured::new(Amount::until(0.9).unwrap(), &mut data).unwrap());
    check(RandomStructured::new(0.5, -1, &mut data).unwrap());
    check(LnStructured::new(0.5, f64::NEG_INFINITY, -1).unwrap());
    check(LnStructured::new(0.5, Norm::NUCLEAR, 0).unwrap());
    masks()
        .into_iter()
        .for_each(|mask| check(CustomFromMask::new(mask)));
    check(Threshold(Part::Channels(1), 0.5));
}

#[test]
fn random_methods_give_the_same_mask_after_loading() {
    let scores = ArrayD::<f32>::ones(vec![8, 9]);
    let mut data = rng(73);
    let methods: [Arc<dyn PruningMethod>; 2] = [
        Arc::new(RandomUnstructured::new(0.5, &mut data).unwrap()),
        Arc::new(RandomStructured::new(0.5, 0, &mut data).unwrap()),
    ];
    for method in methods {
        let expected = mask::compute(&*method, scores.view(), None).unwrap();
        for loaded in trips(&method) {
            assert_eq!(mask::compute(&*loaded, scores.view(), None).unwrap(), expected);
        }
    }
}

#[test]
fn containers_survive() {
    let container = container(&methods());
    for loaded in trips(&container) {
        assert_eq!(
            (loaded.len(), loaded.tensor_name()),
            (container.len(), "encoder.weight")
        );
        for (loaded, method) in loaded.iter().zip(&container) {
            assert_eq!(format!("{loaded:?}"), format!("{method:?}"));
        }
        let ln = loaded
            .iter()
            .find_map(|method| method.downcast_ref::<LnStructured>())
            .unwrap();
        assert_eq!((ln.norm(), ln.dim()), (Norm::L1, -1));
    }
}

#[test]
fn the_form_is_stable() {
    // Later versions must read the files of earlier ones, so these names must not change.
    let json = |method: &dyn PruningMethod| serde_json::to_string(method).unwrap();
    assert_eq!(json(&Identity), r#"{"secateurs::Identity":null}"#);
    assert_eq!(
        json(&L1Unstructured::new(0.5).unwrap()),
        r#"{"secateurs::L1Unstructured":{"amount":"0.5"}}"#
    );
    assert_eq!(
        json(&LnStructured::new(2, f64::INFINITY, -1).unwrap()),
        r#"{"secateurs::LnStructured":{"amount":"2","n":"inf","dim":-1}}"#
    );
    let until = Amount::until(0.9).unwrap();
    assert_eq!(
        json(&ScoreUnstructured::new(until).unwrap()),
        r#"{"secateurs::ScoreUnstructured":{"amount":"until 0.9"}}"#
    );
    let custom = CustomFromMask::new(common::mask(&[2, 2], &[true, false, true, true]));
    assert_eq!(
        json(&custom),
        r#"{"secateurs::CustomFromMask":{"mask":{"shape":[2,2],"words":[13]}}}"#
    );
    let random = r#"{"secateurs::RandomUnstructured":{"amount":"1","seed":18446744073709551615}}"#;
    let loaded: Box<dyn PruningMethod> = serde_json::from_str(random).unwrap();
    assert_eq!(
        loaded.downcast_ref::<RandomUnstructured>().unwrap().seed(),
        u64::MAX
    );
    assert_eq!(json(&*loaded), random);
    let random = r#"{"secateurs::RandomStructured":{"amount":"1","dim":0,"seed":7}}"#;
    assert_eq!(
        json(&*serde_json::from_str::<Box<dyn PruningMethod>>(random).unwrap()),
        random
    );
    let mut container = PruningContainer::new("weight");
    container.add("weight", Identity).unwrap();
    assert_eq!(
        json(&container),
        r#"{"secateurs::PruningContainer":{"tensor_name":"weight","methods":[{"secateurs::Identity":null}]}}"#
    );
}

// ---- what is loaded is checked ----

#[test]
fn json_that_is_no_method() {
    for (json, complaint) in [
        (r#"{"secateurs::L1Unstructured":{"amount":"1.5"}}"#, "1.5"),
        (r#"{"secateurs::L1Unstructured":{"amount":"-0.5"}}"#, "-0.5"),
        (r#"{"secateurs::L1Unstructured":{"amount":"until 2.0"}}"#, "2"),
        (r#"{"secateurs::L1Unstructured":{"amount":"-3"}}"#, "-3"),
        (r#"{"secateurs::L1Unstructured":{"amount":"0.5 units"}}"#, "0.5"),
        (r#"{"secateurs::L1Unstructured":{"amount":"share 0.5"}}"#, "share"),
        (r#"{"secateurs::L1Unstructured":{"amount":null}}"#, "null"),
        (r#"{"secateurs::L1Unstructured":{}}"#, "amount"),
        (
            r#"{"secateurs::LnStructured":{"amount":"2","n":"NaN","dim":0}}"#,
            "NaN",
        ),
        (
            r#"{"secateurs::LnStructured":{"amount":"2","n":"two","dim":0}}"#,
            "two",
        ),
        (
            r#"{"secateurs::CustomFromMask":{"mask":{"shape":[2,2],"words":[16]}}}"#,
            "0 and 1 only",
        ),
        (
            r#"{"secateurs::CustomFromMask":{"mask":{"shape":[2,2],"words":[]}}}"#,
            "words",
        ),
        (
            r#"{"secateurs::CustomFromMask":{"mask":{"shape":[2,2],"words":[1,0]}}}"#,
            "words",
        ),
        (
            r#"{"secateurs::CustomFromMask":{"mask":{"shape":[18446744073709551615,2],"words":[]}}}"#,
            "words",
        ),
        (
            r#"{"secateurs::CustomFromMask":{"mask":{"shape":[-2],"words":[1]}}}"#,
            "-2",
        ),
        (r#"{"secateurs::LongGone":{}}"#, "LongGone"),
        (
            r#"{"secateurs::PruningContainer":{"tensor_name":"w","methods":[{"secateurs::LongGone":{}}]}}"#,
            "LongGone",
        ),
    ] {
        let error = serde_json::from_str::<Box<dyn PruningMethod>>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(complaint), "{json}: {error}");
    }
}

#[test]
fn loaded_containers_keep_their_rules() {
    // A container is never in another, and never holds methods of another tensor, whatever a file says.
    let nested = |name: &str| {
        let inner = format!(
            r#"{{"secateurs::PruningContainer":{{"tensor_name":"{name}","methods":[{{"Ones":"Whole"}}]}}}}"#
        );
        format!(r#"{{"tensor_name":"weight","methods":[{{"secateurs::Identity":null}},{inner}]}}"#)
    };
    let flat: PruningContainer = serde_json::from_str(&nested("weight")).unwrap();
    assert_eq!(flat.len(), 2);
    assert!(flat[0].is::<Identity>() && flat[1].is::<Ones>());
    let error = serde_json::from_str::<PruningContainer>(&nested("bias"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("`bias`") && error.contains("`weight`"), "{error}");
}

/// Asserts what holds of every mask.
fn check_mask(mask: &Mask) {
    let len: usize = mask.shape().iter().product();
    assert_eq!(mask.as_words().len(), len.div_ceil(64));
    assert!(mask.count_kept() <= len);
    assert_eq!(mask.iter().filter(|kept| *kept).count(), mask.count_kept());
    assert_eq!(
        Mask::from_words(mask.shape(), mask.as_words().to_vec()).unwrap(),
        *mask
    );
}

fn check_amount(amount: Amount) {
    assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
    match amount.units(10, 20) {
        Ok(units) => assert!(units <= 10),
        Err(error) => assert!(matches!(
            error,
            Error::Amount(AmountError::TooLarge { remaining: 10, .. })
        )),
    }
}

/// Asserts what holds of every method that could be made by its constructor, and runs it.
fn check_method(method: &dyn PruningMethod) {
    if let Some(m) = method.downcast_ref::<L1Unstructured>() {
        check_amount(m.amount());
    } else if let Some(m) = method.downcast_ref::<RandomStructured>() {
        check_amount(m.amount());
    } else if let Some(m) = method.downcast_ref::<LnStructured>() {
        check_amount(m.amount());
        assert_eq!(m.norm().to_string().parse::<Norm>().unwrap(), m.norm());
    } else if let Some(m) = method.downcast_ref::<CustomFromMask>() {
        check_mask(m.mask());
    } else if let Some(container) = method.downcast_ref::<PruningContainer>() {
        for method in container {
            assert!(!method.is::<PruningContainer>());
            check_method(&**method);
        }
    }
    for shape in [&[3, 4][..], &[2, 2, 2], &[5]] {
        if let Ok(outcome) = mask::compute(method, ArrayD::from_elem(shape, 0.5).view(), None) {
            assert_eq!(outcome.mask.shape(), shape);
            check_mask(&outcome.mask);
        }
    }
}

/// Bytes of something valid, then damaged: some replaced, perhaps cut short, perhaps with others put in.
fn damaged(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0..4_u8, 250..=255_u8];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), byte, 0..6_u8), 1..5);
    (prop::sample::select(valid), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len() + 1);
            match edit {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at.max(1)),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    })
}

/// The settings of methods, without the tags, so that damage hits them more often.
fn untagged() -> Vec<Vec<u8>> {
    masks().iter().map(to_bincode).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    // S21: an error or something valid, never a panic.
    #[test]
    fn damaged_methods(bytes in damaged(methods().iter().map(to_bincode).collect())) {
        if let Ok(method) = from_untrusted::<Arc<dyn PruningMethod>>(&bytes) {
            check_method(&*method);
            let again: Arc<dyn PruningMethod> = from_bincode(&to_bincode(&method)).unwrap();
            prop_assert_eq!(format!("{:?}", again), format!("{:?}", method));
        }
    }

    #[test]
    fn damaged_masks(bytes in damaged(untagged())) {
        if let Ok(mask) = from_untrusted::<Mask>(&bytes) {
            check_mask(&mask);
            prop_assert_eq!(from_bincode::<Mask>(&to_bincode(&mask)).unwrap(), mask);
        }
    }

    #[test]
    fn damaged_amounts_and_norms(bytes in damaged(amounts().iter().map(to_bincode).chain(norms().iter().map(to_bincode)).collect())) {
        if let Ok(amount) = from_untrusted::<Amount>(&bytes) {
            check_amount(amount);
        }
        if let Ok(norm) = from_untrusted::<Norm>(&bytes) {
            prop_assert_eq!(norm.to_string().parse::<Norm>().unwrap(), norm);
        }
    }

    #[test]
    fn damaged_json(bytes in damaged(methods().iter().map(|method| serde_json::to_vec(method).unwrap()).collect())) {
        if let Ok(method) = serde_json::from_slice::<Box<dyn PruningMethod>>(&bytes) {
            check_method(&*method);
        }
    }
}

#[test]
fn damage_is_found_and_survived() {
    // The tests above would show nothing if all damage were fatal, or none.
    let valid = to_bincode(&CustomFromMask::new(Mask::ones(&[3, 4])) as &dyn PruningMethod);
    let (mut refused, mut loaded) = (0, 0);
    for at in 0..valid.len() {
        for bit in 0..8 {
            let mut bytes = valid.clone();
            bytes[at] ^= 1 << bit;
            match from_untrusted::<Arc<dyn PruningMethod>>(&bytes) {
                Ok(method) => {
                    check_method(&*method);
                    loaded += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(from_untrusted::<Arc<dyn PruningMethod>>(&valid[..at]).is_err());
    }
    assert!(refused > 100 && loaded > 10, "{refused} refused, {loaded} loaded");
}
