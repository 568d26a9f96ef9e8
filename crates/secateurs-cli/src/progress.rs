//! Progress bars, shown only on a terminal.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use secateurs::checkpoint::{Checkpoint, Phase};

use crate::args::How;
use crate::failure::Failure;
use crate::text;

/// Opens a checkpoint that shows its progress on a terminal.
pub fn open(path: &Path, how: &How) -> Result<Checkpoint, Failure> {
    let mut checkpoint = Checkpoint::open(path)?;
    warn_of_unlisted(&checkpoint);
    if let Some(threads) = how.threads {
        checkpoint = checkpoint.with_threads(threads);
    }
    if how.quiet || !std::io::stderr().is_terminal() {
        return Ok(checkpoint);
    }
    let bar = Mutex::new(None::<(Phase, ProgressBar)>);
    Ok(checkpoint.with_observer(move |progress| {
        let Ok(mut bar) = bar.lock() else { return };
        if !matches!(&*bar, Some((phase, _)) if *phase == progress.phase) {
            *bar = Some((progress.phase, new_bar(progress.phase)));
        }
        if let Some((_, bar)) = &*bar {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }
    }))
}

/// Says which is used where an index does not list a model file beside it.
fn warn_of_unlisted(checkpoint: &Checkpoint) {
    let Ok(files) = std::fs::read_dir(checkpoint.path()) else {
        return; // a file
    };
    let mut names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
    names.sort();
    for name in names {
        let is_shard = checkpoint
            .shards()
            .iter()
            .any(|shard| shard.path().file_name() == Some(&name));
        if Path::new(&name)
            .extension()
            .is_some_and(|end| end == "safetensors")
            && !is_shard
        {
            let name = text::path(Path::new(&name));
            eprintln!("warning: the index does not list {name}; the files that it lists are used");
        }
    }
}

/// Opens a checkpoint of which the tensors are used, so that it may not be packed.
pub fn open_unpacked(path: &Path, how: &How) -> Result<Checkpoint, Failure> {
    let checkpoint = open(path, how)?;
    checkpoint.check_unpacked()?;
    Ok(checkpoint)
}

/// A bar that disappears when its phase is over.
fn new_bar(phase: Phase) -> ProgressBar {
    let what = match phase {
        Phase::Ranking => "Ranking",
        Phase::Writing => "Writing",
        _ => "Reading",
    };
    let style = ProgressStyle::with_template(
        "{msg:8} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
    );
    let bar = ProgressBar::no_length()
        .with_message(what)
        .with_finish(ProgressFinish::AndClear);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
