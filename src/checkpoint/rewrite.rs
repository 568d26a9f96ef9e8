//! [`Rewrite`]: a checkpoint written anew with some entries of some tensors changed, and all else byte for byte.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::draft::Draft;
use super::extent::{Extent, whole};
use super::flow::{CHUNK, flow};
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

enum Job {
    /// Bytes that stay as they are.
    Bytes { shard: usize, position: u64, len: usize },
    /// Entries to work on, and their packed mask when that is done.
    Entries { extent: Extent, kept: Vec<u64> },
}

impl Output {
    /// Opens an output that exists already, at its full length.
    pub fn open(path: &Path, len: u64) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
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
            path: self.path.clone(),
            source,
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
                path: path.clone(),
                source,
            })?;
            Output::open(&path, shard.bytes())
        });
        Ok(Rewrite {
            outputs: outputs.collect::<Result<_>>()?,
            checkpoint,
            draft,
        })
    }

    /// Writes everything: the entries of these tensors after `work`, which is given them in order and leaves the mask
    /// of each extent, and all else as it is.
    pub fn run(
        &self,
        tensors: &[usize],
        masks: Option<&MaskFile>,
        mut work: impl FnMut(Extent, &mut Values, &mut Vec<u64>) -> Result<()>,
    ) -> Result<()> {
        let checkpoint = self.checkpoint;
        let entries = tensors
            .iter()
            .flat_map(|&tensor| whole(tensor, &checkpoint.tensors()[tensor], 64))
            .map(|extent| Job::Entries {
                extent,
                kept: Vec::new(),
            });
        let jobs = self.unchanged(tensors).chain(entries);
        let total = checkpoint.shards().iter().map(|shard| shard.bytes()).sum();
        let mut done = 0;
        let (mut read_scratch, mut write_scratch) = (Vec::new(), Vec::new());
        flow(
            checkpoint.work.in_parallel(),
            jobs,
            |job, values: &mut Values| match *job {
                Job::Bytes { shard, position, len } => {
                    checkpoint.read_bytes(shard, position, len, &mut read_scratch)?;
                    values.decode(None, &read_scratch);
                    Ok(())
                }
                Job::Entries { extent, .. } => checkpoint.read_extent(extent, &mut read_scratch, values),
            },
            |job, values| match job {
                Job::Bytes { .. } => Ok(()),
                Job::Entries { extent, kept } => work(*extent, values, kept),
            },
            |job, values| {
                let bytes = values.encode(&mut write_scratch);
                match job {
                    Job::Bytes { shard, position, .. } => self.outputs[shard].write_at(bytes, position)?,
                    Job::Entries { extent, kept } => {
                        let info = &checkpoint.tensors()[extent.tensor];
                        let before = Extent {
                            first: 0,
                            len: extent.first,
                            ..extent
                        };
                        let position = info.begin + checkpoint.bytes_of(before);
                        self.outputs[info.shard].write_at(bytes, position)?;
                        if let Some(masks) = masks {
                            masks.write(extent, &kept)?;
                        }
                    }
                }
                done += bytes.len() as u64;
                checkpoint.work.tell(Progress {
                    phase: Phase::Writing,
                    done,
                    total,
                });
                Ok(())
            },
        )
    }

    /// All bytes that belong to none of these tensors, headers included.
    fn unchanged(&self, tensors: &[usize]) -> impl Iterator<Item = Job> + Send + use<> {
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
