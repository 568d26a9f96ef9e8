//! Where output goes, and what is never touched.

use super::*;
use crate::checkpoint::{Existing, Scope};
use crate::error::{CheckpointError, Error, Result};
use crate::mask::L1Unstructured;

fn weights() -> Vec<Tensor> {
    let one = |name| Tensor::new(name, Dtype::F32, &[20, 30], noise(1));
    vec![one("a.weight"), one("b.weight")]
}

fn prune(input: &Path, output: &Path, existing: Existing) -> Result<()> {
    let checkpoint = Checkpoint::open(input)?;
    let half = L1Unstructured::new(0.5)?;
    checkpoint
        .prune(["a.weight"], &half, Scope::Local)?
        .write(output, existing)?;
    Ok(())
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> = names
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn headers_and_other_files_are_copied_byte_for_byte() {
    let place = folder();
    let all = weights();
    let input = sharded(place.path(), &[&all[..1], &all[1..]]);
    // A header in an order, with spaces and metadata of its own.
    let json = br#"  { "b.weight" :{"shape":[20,30],"dtype":"F32","data_offsets":[0,2400]},"__metadata__":{"x":"y"}}  "#;
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    bytes.extend(&all[1].bytes);
    fs::write(input.join("model-00002-of-00002.safetensors"), &bytes).unwrap();
    let output = place.path().join("out");
    prune(&input, &output, Existing::Refuse).unwrap();
    assert_eq!(names(&input), names(&output));
    for same in [
        "config.json",
        "inner/notes.txt",
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
    ] {
        assert_eq!(
            fs::read(input.join(same)).unwrap(),
            fs::read(output.join(same)).unwrap()
        );
    }
    assert_eq!(names(place.path()), ["model", "out"]);
}

#[test]
fn an_existing_output_is_refused_unless_it_may_be_replaced() {
    let place = folder();
    let input = single(place.path(), &weights());
    let output = place.path().join("out.safetensors");
    fs::write(&output, "mine").unwrap();
    let error = prune(&input, &output, Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::OutputExists { .. })),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    prune(&input, &output, Existing::Replace).unwrap();
    assert_eq!(read(&output).len(), 2);

    let folder = sharded(place.path(), &[&weights()]);
    let output = place.path().join("out");
    prune(&folder, &output, Existing::Refuse).unwrap();
    fs::write(output.join("old"), "").unwrap();
    assert!(prune(&folder, &output, Existing::Refuse).is_err());
    prune(&folder, &output, Existing::Replace).unwrap();
    assert!(!output.join("old").exists());
    // A folder that holds no checkpoint is not one that anyone means to replace.
    let home = place.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("letter"), "").unwrap();
    let error = prune(&folder, &home, Existing::Replace).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::BadOutput { .. })),
        "{error}"
    );
    assert!(home.join("letter").exists());
    // A file is no folder, and a folder no file.
    assert!(prune(&input, &output, Existing::Replace).is_err());
    assert!(prune(&folder, &place.path().join("out.safetensors"), Existing::Replace).is_err());
    assert_eq!(
        names(place.path()),
        ["home", "model", "model.safetensors", "out", "out.safetensors"]
    );
}

#[test]
fn the_input_is_never_the_output() {
    let place = folder();
    let input = single(place.path(), &weights());
    let model = sharded(place.path(), &[&weights()]);
    let shard = model.join("model-00001-of-00001.safetensors");
    let index = model.join("model.safetensors.index.json");
    let mut tries = vec![
        (input.clone(), input.clone()),
        (input.clone(), place.path().join("model/../model.safetensors")),
        (shard.clone(), shard.clone()),
        (model.clone(), model.clone()),
        (index, model.clone()),
        (model.clone(), model.join("out")),
        (model.clone(), place.path().to_owned()),
        (model.clone(), place.path().join("none/out")),
        (model.clone(), PathBuf::from("/")),
    ];
    #[cfg(unix)]
    {
        let link = place.path().join("link.safetensors");
        std::os::unix::fs::symlink(&input, &link).unwrap();
        tries.push((link.clone(), input.clone()));
        tries.push((input.clone(), link));
    }
    let before = (
        fs::read(&input).unwrap(),
        fs::read(&shard).unwrap(),
        names(place.path()),
    );
    for (input, output) in &tries {
        let error = prune(input, output, Existing::Replace).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::BadOutput { .. })),
            "{input:?} {output:?}: {error}"
        );
    }
    assert_eq!(
        before,
        (
            fs::read(&input).unwrap(),
            fs::read(&shard).unwrap(),
            names(place.path())
        )
    );
}

#[test]
fn leftovers_of_killed_runs_are_removed() {
    let place = folder();
    let input = single(place.path(), &weights());
    let output = place.path().join("out.safetensors");
    // No process has such a number.
    let dead = ".out.safetensors.4294967295-1f.secateurs-partial";
    let other = ".other.safetensors.4294967295-1f.secateurs-partial";
    fs::write(place.path().join(dead), "half").unwrap();
    fs::write(place.path().join(other), "half").unwrap();
    prune(&input, &output, Existing::Refuse).unwrap();
    assert_eq!(
        names(place.path()),
        [other, "model.safetensors", "out.safetensors"]
    );

    // Killed between moving the old folder aside and the new one in: the old one comes back.
    let model = sharded(place.path(), &[&weights()]);
    let aside = place.path().join(".pruned.4294967295-2f.secateurs-replaced");
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("mine.safetensors"), "").unwrap();
    let pruned = place.path().join("pruned");
    let error = prune(&model, &pruned, Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::OutputExists { .. })),
        "{error}"
    );
    assert_eq!(names(&pruned), ["mine.safetensors"]);
}

#[cfg(target_os = "linux")]
#[test]
fn drafts_of_running_processes_are_left_alone() {
    let place = folder();
    let input = single(place.path(), &weights());
    let running = ".out.safetensors.1-1f.secateurs-partial";
    fs::write(place.path().join(running), "half").unwrap();
    prune(&input, &place.path().join("out.safetensors"), Existing::Refuse).unwrap();
    assert!(place.path().join(running).exists());
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_refused() {
    use std::os::unix::fs::symlink;
    let place = folder();
    let blobs = place.path().join("blobs");
    fs::create_dir(&blobs).unwrap();
    let model = sharded(place.path(), &[&weights()]);
    // As in a cache of downloads: every file is a link to a blob.
    for name in ["config.json", "model-00001-of-00001.safetensors"] {
        fs::rename(model.join(name), blobs.join(name)).unwrap();
        symlink(blobs.join(name), model.join(name)).unwrap();
    }
    let output = place.path().join("out");
    prune(&model, &output, Existing::Refuse).unwrap();
    assert!(
        !fs::symlink_metadata(output.join("config.json"))
            .unwrap()
            .is_symlink()
    );
    symlink(&model, model.join("inner/again")).unwrap();
    let error = prune(&model, &place.path().join("again"), Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::NotCheckpoint { .. })),
        "{error}"
    );
    assert_eq!(names(place.path()), ["blobs", "model", "out"]);
}
