//! Sizes that overflow or do not fit in memory are errors in every constructor.

use secateurs::Error;
use secateurs::error::NnError;
use secateurs::nn::{Conv1d, Conv2d, Conv3d, ConvConfig, Linear, Lstm, LstmConfig};

use crate::fixtures::rng;

const MAX: usize = usize::MAX;
/// Entries of a petabyte, which is not too many for a number.
const VAST: usize = 1 << 48;

#[track_caller]
fn too_large<T>(layer: &str, result: secateurs::Result<T>) {
    match result {
        Ok(_) => panic!("a {layer} of this size was made"),
        Err(Error::Nn(NnError::InvalidSetting {
            what,
            setting: "size",
            ..
        })) => assert_eq!(what, layer),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn linear_layers() {
    for (inputs, outputs) in [
        (MAX, 2),
        (2, MAX),
        (MAX, MAX),
        (MAX / 4, 1),
        (MAX, 0),
        (0, MAX),
        (VAST, 1),
        (1, VAST),
    ] {
        too_large("Linear", Linear::without_bias(inputs, outputs, &mut rng(0)));
        too_large("Linear", Linear::new(inputs, outputs, &mut rng(0)));
    }
    let error = Linear::new(MAX, 2, &mut rng(0)).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Linear: size = [2, {MAX}]: parameters of this size do not fit in memory; use smaller sizes")
    );
    assert!(Linear::new(0, 0, &mut rng(0)).is_ok());
}

#[test]
fn convolutions() {
    for (inputs, outputs, kernel) in [
        (MAX, 1, 1),
        (1, MAX, 1),
        (1, 1, MAX),
        (1 << 32, 1 << 32, 1),
        (VAST, 1, 1),
    ] {
        too_large(
            "Conv",
            Conv1d::new(ConvConfig::new(inputs, outputs, kernel), &mut rng(0)),
        );
        too_large(
            "Conv",
            Conv2d::new(ConvConfig::new(inputs, outputs, kernel), &mut rng(0)),
        );
        too_large(
            "Conv",
            Conv3d::new(ConvConfig::new(inputs, outputs, kernel), &mut rng(0)),
        );
    }
    too_large("Conv", Conv3d::new(ConvConfig::new(1, 1, 1 << 22), &mut rng(0)));
}

#[test]
fn lstms() {
    for (inputs, hidden, layers) in [
        (MAX, 1, 1),
        (1, MAX, 1),
        (1, MAX / 2, 1),
        (1, 1 << 31, 1 << 31),
        (1, 1, MAX),
        (VAST, 1, 1),
        (1, 1, VAST),
    ] {
        too_large(
            "Lstm",
            Lstm::new(LstmConfig::new(inputs, hidden).layers(layers), &mut rng(0)),
        );
    }
}
