//! Progress on a terminal, and silence anywhere else.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use secateurs::checkpoint::{Checkpoint, Phase};

use crate::args::How;
use crate::failure::Failure;

/// Opens a checkpoint that shows its progress, if there is anyone to see it.
pub fn open(path: &Path, how: &How) -> Result<Checkpoint, Failure> {
    let mut checkpoint = Checkpoint::open(path)?;
    if let Some(threads) = how.threads {
        checkpoint = checkpoint.with_threads(threads);
    }
    if !std::io::stderr().is_terminal() {
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

/// A bar that is gone when its phase is over: there is another one then, or the checkpoint is closed.
fn new_bar(phase: Phase) -> ProgressBar {
    let what = match phase {
        Phase::Ranking => "Ranking",
        Phase::Writing => "Writing",
        _ => "Reading",
    };
    let style =
        ProgressStyle::with_template("{msg:8} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}");
    let bar = ProgressBar::no_length()
        .with_message(what)
        .with_finish(ProgressFinish::AndClear);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
