//! Small quantized models, as ONNX Runtime's tools write them (`scripts/tiny_quantized.py`): as many channels are removed as of
//! the models that they were made of, and the smaller model computes the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayD;
use secateurs_onnx::{
    Importance, Options, Outputs, Report, Resource, plan, shrink, shrink_file, weight_names,
};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn path(name: &str) -> PathBuf {
    data().join("quantized").join(name).with_extension("onnx")
}

/// All models, and the way in which they are quantized at the end of their names.
fn names() -> Vec<String> {
    let files = fs::read_dir(data().join("quantized")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = files.map(|file| stem(file.unwrap().path())).collect();
    names.sort();
    assert_eq!(names.len(), 11);
    names
}

fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

#[test]
fn as_many_channels_are_removed_exactly_as_of_floats() {
    let counts = |report: &Report| {
        let held: usize = report.held().values().sum();
        [report.channels(), report.removed(), held]
    };
    for name in names() {
        let model = fs::read(path(&name)).unwrap();
        let smaller = shrink(&model, &half()).unwrap();
        assert!(smaller.report.deviation.unwrap() <= 1e-12, "{name}");
        assert!(smaller.bytes.len() < model.len(), "{name}");
        let (of, _) = name.split_once('_').unwrap();
        let floats = plan(
            &fs::read(data().join(of).with_extension("onnx")).unwrap(),
            &half(),
        )
        .unwrap();
        assert_eq!(counts(&smaller.report), counts(&floats), "{name}");
        // All multiply-adds were found.
        assert_eq!(smaller.report.before.macs, floats.before.macs, "{name}");
    }
}

#[test]
fn masked_weights_stand_for_zero_and_can_be_removed_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (smaller, masked) = (
        folder.path().join("smaller.onnx"),
        folder.path().join("masked.onnx"),
    );
    let mut tried = 0;
    for name in names() {
        let mut outputs = Outputs::new(&smaller);
        outputs.masked = Some(&masked);
        outputs.existing = secateurs::checkpoint::Existing::Replace;
        shrink_file(&path(&name), &outputs, &half()).unwrap();
        let again = shrink(&fs::read(&masked).unwrap(), &Options::masked()).unwrap();
        // The same but for the order of initializers.
        let (mut again, mut smaller) = (again.bytes, fs::read(&smaller).unwrap());
        again.sort_unstable();
        smaller.sort_unstable();
        // In the U-Net, a further channel became zero when it was quantized.
        assert_eq!(again == smaller, name != "unet_operators", "{name}");
        tried += 1;
    }
    assert_eq!(tried, 11);
}

#[test]
fn budgets_count_bytes_of_integers_and_scores_go_by_the_names_of_the_file() {
    let model = fs::read(path("resnet_pairs")).unwrap();
    let options = Options::budget(Resource::Bytes, 0.85).unwrap().round_to(1);
    let report = shrink(&model, &options).unwrap().report;
    assert!(report.after.bytes as f64 <= 0.85 * report.before.bytes as f64);
    let names = weight_names(&path("resnet_pairs")).unwrap();
    let name = names.iter().find(|name| name.ends_with("_quantized")).unwrap();
    // The first of eight channels is worth most.
    let scores = ArrayD::from_shape_fn(vec![8, 3, 3, 3], |at| (8 - at[0]) as f32);
    let scores = Importance::Scores(Arc::new(BTreeMap::from([(name.clone(), scores)])));
    let report = shrink(&model, &half().importance(scores)).unwrap().report;
    assert_eq!(report.removed(), 4);
    assert!(
        report.groups[0].parameters.contains(name),
        "{:?}",
        report.groups[0].parameters
    );
}
