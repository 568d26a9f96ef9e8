//! Where output goes, and what is never touched.

use super::*;
use crate::checkpoint::{Existing, Scope};
use crate::error::{CheckpointError, Error, OutputError, Result};
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
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Output(OutputError::Exists { .. }))
        ),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    prune(&input, &output, Existing::Replace).unwrap();
    assert_eq!(read(&output).len(), 2);

    let folder = sharded(place.path(), &[&weights()]);
    let output = place.path().join("out");
    prune(&folder, &output, Existing::Refuse).unwrap();
    assert!(prune(&folder, &output, Existing::Refuse).is_err());
    fs::write(output.join("config.json"), "older").unwrap();
    prune(&folder, &output, Existing::Replace).unwrap();
    assert_eq!(fs::read(output.join("config.json")).unwrap(), b"{}");
    // What the output does not contain is not deleted.
    fs::write(output.join("inner/mine"), "").unwrap();
    let error = prune(&folder, &output, Existing::Replace).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Checkpoint(CheckpointError::Output(OutputError::WouldDelete { names, count: 1, .. }))
                if names == &[Path::new("inner/mine")]
        ),
        "{error}"
    );
    assert!(output.join("inner/mine").exists());
    // Nor is a folder that holds no checkpoint.
    let home = place.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("letter"), "").unwrap();
    let error = prune(&folder, &home, Existing::Replace).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Output(OutputError::WouldDelete { .. }))
        ),
        "{error}"
    );
    assert!(home.join("letter").exists());
    // A file is not a folder, and a folder not a file.
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
            matches!(
                error,
                Error::Checkpoint(CheckpointError::Output(OutputError::Refused { .. }))
            ),
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

/// What a killed run leaves of an output: its staging folder, with these files in it.
fn leftover(target: &Path, random: &str, files: &[(&str, &str)]) -> PathBuf {
    let name = target.file_name().unwrap().to_str().unwrap();
    let staging = target.with_file_name(format!(".{name}.{random}.secateurs-partial"));
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("lock"), "").unwrap();
    for (name, text) in files {
        fs::write(staging.join(name), text).unwrap();
    }
    staging
}

#[test]
fn leftovers_of_killed_runs_are_removed() {
    let place = folder();
    let input = single(place.path(), &weights());
    let output = place.path().join("out.safetensors");
    leftover(&output, "abc123", &[("output", "half")]);
    leftover(&place.path().join("other.safetensors"), "abc123", &[]);
    prune(&input, &output, Existing::Refuse).unwrap();
    let other = ".other.safetensors.abc123.secateurs-partial";
    assert_eq!(
        names(place.path()),
        [other, "model.safetensors", "out.safetensors"]
    );

    // Killed between moving the old folder aside and the new one in: the old one comes back.
    let model = sharded(place.path(), &[&weights()]);
    let pruned = place.path().join("pruned");
    let staging = leftover(&pruned, "xyz789", &[]);
    fs::create_dir(staging.join("output")).unwrap();
    fs::create_dir(staging.join("replaced")).unwrap();
    fs::write(staging.join("replaced/mine.safetensors"), "").unwrap();
    let error = prune(&model, &pruned, Existing::Refuse).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Checkpoint(CheckpointError::Output(OutputError::Exists { .. }))
        ),
        "{error}"
    );
    assert_eq!(names(&pruned), ["mine.safetensors"]);
    assert!(!staging.exists());
}

/// Leaves what a run with two outputs leaves when it is killed at some point of giving them their names.
fn killed_between_names(place: &Path, complete: bool, named: bool) {
    let [one, two] = ["out.safetensors", "masks.safetensors"].map(|name| place.join(name));
    let [first, second] = [&one, &two].map(|target| {
        let (output, replaced) = (("output", "new"), ("replaced", "old"));
        leftover(target, "abc123", &[output, replaced])
    });
    let both: String = [&first, &second]
        .map(|staging| format!("{}\n", fs::canonicalize(staging).unwrap().display()))
        .concat();
    for staging in [&first, &second] {
        fs::write(staging.join("together"), &both).unwrap();
    }
    if complete {
        fs::write(first.join("complete"), "").unwrap();
    }
    if named {
        fs::rename(first.join("output"), &one).unwrap();
    }
}

#[test]
fn outputs_of_one_run_become_new_together_or_stay_old_together() {
    for (complete, named, text) in [(false, false, "old"), (true, false, "new"), (true, true, "new")] {
        // Whichever output is written next, both become what they should be.
        for next in ["out.safetensors", "masks.safetensors"] {
            let place = folder();
            let input = single(place.path(), &weights());
            killed_between_names(place.path(), complete, named);
            prune(&input, &place.path().join(next), Existing::Refuse).unwrap_err();
            for name in ["out.safetensors", "masks.safetensors"] {
                assert_eq!(fs::read_to_string(place.path().join(name)).unwrap(), text);
            }
            assert_eq!(
                names(place.path()),
                ["masks.safetensors", "model.safetensors", "out.safetensors"]
            );
        }
    }
}

#[test]
fn a_name_that_cannot_be_given_leaves_the_other_outputs_as_they_were() {
    let place = folder();
    let input = single(place.path(), &weights());
    let [output, masks] = ["out.safetensors", "masks.safetensors"].map(|name| place.path().join(name));
    fs::write(&output, "old").unwrap();
    let checkpoint = Checkpoint::open(&input).unwrap();
    let in_the_way = masks.clone();
    // A folder comes where the masks should go, when all checks before the work are done.
    let checkpoint = checkpoint.with_observer(move |_| drop(fs::create_dir(&in_the_way)));
    let half = L1Unstructured::new(0.5).unwrap();
    let pruning = checkpoint.prune(["a.weight"], &half, Scope::Local).unwrap();
    let result = pruning.with_masks(&masks).write(&output, Existing::Replace);
    assert!(result.is_err());
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    assert_eq!(
        names(place.path()),
        ["masks.safetensors", "model.safetensors", "out.safetensors"]
    );
}

#[test]
fn staged_outputs_of_running_processes_are_left_alone() {
    let place = folder();
    let input = single(place.path(), &weights());
    let output = place.path().join("out.safetensors");
    // One whose lock is held, and one that is about to get its lock.
    let locked = leftover(&output, "abc123", &[("output", "half")]);
    let lock = fs::File::open(locked.join("lock")).unwrap();
    fs4::FileExt::try_lock(&lock).unwrap();
    let young = leftover(&output, "xyz789", &[]);
    fs::remove_file(young.join("lock")).unwrap();
    prune(&input, &output, Existing::Refuse).unwrap();
    assert!(locked.join("output").exists() && young.exists());
    drop(lock);
    prune(&input, &output, Existing::Replace).unwrap();
    assert!(!locked.exists() && young.exists());
}

#[test]
fn no_output_lies_in_an_input_or_in_another_output() {
    let place = folder();
    let model = sharded(place.path(), &[&weights()]);
    let output = place.path().join("out");
    prune(&model, &output, Existing::Refuse).unwrap();
    let half = L1Unstructured::new(0.5).unwrap();
    let before = (files(&model), files(&output));
    let mut tries = vec![
        model.join("config.json"),
        model.join("masks.safetensors"),
        model.join("inner/masks.safetensors"),
        output.join("masks.safetensors"),
        output.join("config.json"),
        output.clone(),
        place.path().join("model/../out"),
    ];
    #[cfg(unix)]
    {
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&model, &link).unwrap();
        tries.push(link.join("config.json"));
        tries.push(link.join("masks.safetensors"));
    }
    for masks in tries {
        let checkpoint = Checkpoint::open(&model).unwrap();
        let error = checkpoint.prune(["a.weight"], &half, Scope::Local).unwrap();
        let error = error.with_masks(&masks).write(&output, Existing::Replace);
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Checkpoint(CheckpointError::Output(OutputError::Refused { .. }))
            ),
            "{masks:?}: {error}"
        );
        let error = checkpoint.write_masks(["a.weight"], &masks, Existing::Replace);
        assert_eq!(
            error.is_err(),
            !masks.starts_with(&output) || masks == output,
            "{masks:?}"
        );
        if error.is_ok() {
            fs::remove_file(&masks).unwrap();
            prune(&model, &output, Existing::Replace).unwrap();
        }
    }
    assert_eq!(before, (files(&model), files(&output)));
}

#[cfg(unix)]
#[test]
fn outputs_have_the_permissions_of_the_input() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let place = folder();
    let model = sharded(place.path(), &[&weights()]);
    let (shard, index) = ("model-00001-of-00001.safetensors", "model.safetensors.index.json");
    set(&model.join(shard), 0o600);
    set(&model.join(index), 0o640);
    set(&model.join("config.json"), 0o400);
    set(&model, 0o750);
    let output = place.path().join("out");
    let checkpoint = Checkpoint::open(&model).unwrap();
    let masks = place.path().join("masks.safetensors");
    let half = L1Unstructured::new(0.5).unwrap();
    let pruning = checkpoint.prune(["a.weight"], &half, Scope::Local).unwrap();
    pruning
        .with_masks(&masks)
        .write(&output, Existing::Refuse)
        .unwrap();
    assert_eq!(mode(&output), 0o750);
    assert_eq!(mode(&output.join(shard)), 0o600);
    assert_eq!(mode(&output.join(index)), 0o640);
    assert_eq!(mode(&output.join("config.json")), 0o400);
    assert_eq!(mode(&masks), 0o600);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_replaced() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    let place = folder();
    let input = single(place.path(), &weights());
    let path = |name: &str| place.path().join(name);
    let _socket = UnixListener::bind(path("socket")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    symlink("/dev/null", path("link")).unwrap();
    for name in ["socket", "dangling", "link"] {
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = prune(&input, &path(name), existing).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Checkpoint(CheckpointError::Output(OutputError::Refused { .. }))
                ),
                "{name}: {error}"
            );
        }
    }
    assert!(prune(&input, Path::new("/dev/null"), Existing::Replace).is_err());
}

#[cfg(unix)]
#[test]
fn extra_files_are_found_before_any_work_and_caches_are_left_out() {
    let place = folder();
    let model = sharded(place.path(), &[&weights()]);
    for name in [".git/HEAD", "inner/.cache/blob", "__pycache__/a.pyc"] {
        fs::create_dir_all(model.join(name).parent().unwrap()).unwrap();
        fs::write(model.join(name), "").unwrap();
    }
    fs::write(model.join(".gitattributes"), "").unwrap();
    let output = place.path().join("out");
    prune(&model, &output, Existing::Refuse).unwrap();
    assert!(output.join(".gitattributes").exists() && output.join("inner/notes.txt").exists());
    for name in [".git", "inner/.cache", "__pycache__"] {
        assert!(!output.join(name).exists(), "{name}");
    }
    std::os::unix::fs::symlink("nowhere", model.join("inner/dangling")).unwrap();
    let called = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let checkpoint = Checkpoint::open(&model).unwrap();
    let checkpoint = checkpoint.with_observer({
        let called = called.clone();
        move |_| called.store(true, std::sync::atomic::Ordering::Relaxed)
    });
    let half = L1Unstructured::new(0.5).unwrap();
    let pruning = checkpoint.prune(["a.weight"], &half, Scope::Local).unwrap();
    let error = pruning
        .write(place.path().join("again"), Existing::Refuse)
        .unwrap_err();
    assert!(error.to_string().contains("dangling"), "{error}");
    assert!(!called.load(std::sync::atomic::Ordering::Relaxed));
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
