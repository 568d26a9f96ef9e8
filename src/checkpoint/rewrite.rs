//! [`Rewrite`]: a checkpoint written anew with some entries of some tensors changed, and all else byte for byte.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::crew::crew;
use super::draft::Draft;
use super::erase::{Cuts, Desk, Eraser, Tally};
use super::extent::{CHUNK, Extent};
use super::masks::MaskFile;
use super::positional::Positional;
use super::values::Values;
use super::work::{Phase, Progress};
use crate::error::{Error, Result};

/// New files for all shards of a checkpoint.
pub(super) struct Rewrite<'a> {
    checkpoint: &'a Checkpoint,
    draft: Draft,
    outputs: Vec<Output>,
}

/// A file that is written by position.
pub(super) struct Output {
    path: PathBuf,
    file: Positional,
}

#[derive(Clone, Copy)]
enum Job {
    /// Bytes that stay as they are.
    Bytes { shard: usize, position: u64, len: usize },
    /// Entries to work on.
    Entries(Extent),
}

impl Output {
    /// Opens an output that exists already, at its full length.
    pub fn open(path: &Path, len: u64) -> Result<Self> {
        let io = |source| Error::Io {
            action: "read or write",
            path: path.to_owned(),
            error: source,
        };
        let file = OpenOptions::new().write(true).open(path).map_err(io)?;
        file.set_len(len).map_err(io)?;
        Ok(Output {
            path: path.to_owned(),
            file: Positional::new(file),
        })
    }

    pub fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, position)
            .map_err(|source| self.io(source))
    }

    /// Waits until the file is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.file().sync_all().map_err(|source| self.io(source))
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io {
            action: "read or write",
            path: self.path.clone(),
            error: source,
        }
    }
}

impl<'a> Rewrite<'a> {
    pub fn begin(checkpoint: &'a Checkpoint, draft: Draft) -> Result<Self> {
        let outputs = checkpoint.shards().iter().map(|shard| {
            if !checkpoint.is_folder() {
                return Output::open(draft.path(), shard.bytes());
            }
            let path = draft.path().join(shard.file_name());
            File::create_new(&path).map_err(|source| Error::Io {
                action: "read or write",
                path: path.clone(),
                error: source,
            })?;
            Output::open(&path, shard.bytes())
        });
        Ok(Rewrite {
            outputs: outputs.collect::<Result<_>>()?,
            checkpoint,
            draft,
        })
    }

    /// Writes everything, the tensors of the eraser after its work, all else as it is, and says what it counted.
    pub fn run(&self, eraser: &Eraser<'_>, masks: Option<&MaskFile>) -> Result<Vec<Tally>> {
        let checkpoint = self.checkpoint;
        let entries = eraser.extents().map(Job::Entries);
        let jobs = self.unchanged(eraser.tensors()).chain(entries);
        let total = checkpoint.shards().iter().map(|shard| shard.bytes()).sum();
        let mut done = 0;
        let mut cuts = Cuts::default();
        let mut desks = checkpoint.work.hire(jobs.clone(), Desk::default);
        crew(
            &mut desks,
            jobs,
            |job, desk| match *job {
                Job::Bytes { shard, position, len } => {
                    checkpoint.read_bytes(shard, position, len, &mut desk.bytes)
                }
                Job::Entries(extent) => eraser.read(extent, desk),
            },
            |job, desk| {
                done += match *job {
                    Job::Bytes { len, .. } => len as u64,
                    Job::Entries(extent) => {
                        eraser.cut(extent, &mut cuts, desk);
                        checkpoint.bytes_of(extent)
                    }
                };
                checkpoint.work.tell(Progress {
                    phase: Phase::Writing,
                    done,
                    total,
                });
                Ok(())
            },
            |job, desk| match job {
                Job::Bytes { shard, position, .. } => self.outputs[shard].write_at(&desk.bytes, position),
                Job::Entries(extent) => {
                    eraser.erase(extent, desk);
                    self.write(extent, &mut desk.values)?;
                    masks.map_or(Ok(()), |masks| masks.write(extent, &desk.kept))
                }
            },
        )?;
        Ok(eraser.tally(desks))
    }

    /// Writes an extent to where it was read from.
    fn write(&self, extent: Extent, values: &mut Values) -> Result<()> {
        let bytes = values.stored();
        let info = &self.checkpoint.tensors()[extent.tensor];
        let size = info.dtype().bitsize() / 8; // of a float
        extent.each_run().try_for_each(|(at, run)| {
            let bytes = &bytes[at * size..(at + run.len) * size];
            self.outputs[info.shard].write_at(bytes, self.checkpoint.position(run))
        })
    }

    /// All bytes that belong to none of these tensors, headers included.
    fn unchanged(&self, tensors: &[usize]) -> impl Iterator<Item = Job> + Clone + Send + use<> {
        let mut jobs = Vec::new();
        for (shard, file) in self.checkpoint.shards().iter().enumerate() {
            let infos = tensors.iter().map(|&tensor| &self.checkpoint.tensors()[tensor]);
            let mut changed: Vec<_> = infos
                .filter(|info| info.shard == shard)
                .map(|info| (info.begin, info.begin + info.bytes()))
                .collect();
            changed.sort_unstable();
            changed.push((file.bytes(), file.bytes()));
            let mut position = 0;
            for (begin, end) in changed {
                jobs.push((shard, position..begin));
                position = end;
            }
        }
        jobs.into_iter().flat_map(|(shard, range)| {
            let end = range.end;
            range.step_by(CHUNK).map(move |position| Job::Bytes {
                shard,
                position,
                len: (end - position).min(CHUNK as u64) as usize,
            })
        })
    }

    /// Copies the other files, makes sure that all is on the disk and that the input was the same all the time, and
    /// gives the output its name.
    pub fn finish(self, masks: Option<MaskFile>) -> Result<Vec<PathBuf>> {
        let checkpoint = self.checkpoint;
        let is_shard = |name: &std::ffi::OsStr| {
            checkpoint
                .shards()
                .iter()
                .any(|shard| shard.path().file_name() == Some(name))
        };
        let copied = checkpoint.copy_others(self.draft.path(), is_shard)?;
        self.outputs.iter().try_for_each(Output::sync)?;
        for shard in checkpoint.shards() {
            shard.check_unchanged()?;
        }
        drop(self.outputs); // some systems rename no open files
        if let Some(masks) = masks {
            masks.commit()?;
        }
        self.draft.commit()?;
        Ok(copied)
    }
}
