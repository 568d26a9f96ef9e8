//! [`Files`]: new files for a checkpoint whose layout differs from that of the old ones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::crew::crew;
use super::draft::Draft;
use super::extent::CHUNK;
use super::rewrite::Output;
use super::work::{Phase, Progress};
use crate::error::{Error, Result};

/// A new file for each shard, under the name of the old one.
pub(super) struct Files<'a> {
    checkpoint: &'a Checkpoint,
    draft: Draft,
    /// By shard; `None` for a shard of which nothing is left.
    outputs: Vec<Option<Output>>,
}

/// Bytes that go from an old file into the new one as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    pub shard: usize,
    pub from: u64,
    pub to: u64,
    pub len: u64,
}

/// Bytes to be written to a new file.
#[derive(Debug)]
pub(super) struct Piece {
    pub shard: usize,
    pub position: u64,
    pub bytes: Vec<u8>,
}

/// What a worker has in its hands.
#[derive(Default)]
pub(super) struct Desk<W> {
    pub input: Vec<u8>,
    /// How many bytes of the total the job counts for.
    pub bytes: u64,
    /// What came of it.
    pub pieces: Vec<Piece>,
    pub own: W,
}

#[derive(Clone)]
enum Job<J> {
    Copy(Copied),
    Make(J),
}

impl<'a> Files<'a> {
    /// Begins a file for each shard that has one: it begins with this header, and is this long.
    pub fn begin(checkpoint: &'a Checkpoint, draft: Draft, files: &[Option<(&[u8], u64)>]) -> Result<Self> {
        let shards = checkpoint.shards().iter().zip(files);
        let outputs = shards.map(|(shard, file)| {
            let Some((header, len)) = file else {
                return Ok(None);
            };
            let path = if checkpoint.is_folder() {
                let path = draft.path().join(shard.file_name());
                File::create_new(&path).map_err(|source| Error::Io {
                    action: "read or write",
                    path: path.clone(),
                    error: source,
                })?;
                path
            } else {
                draft.path().to_owned()
            };
            let output = Output::open(&path, *len)?;
            output.write_at(header, 0)?;
            Ok(Some(output))
        });
        Ok(Files {
            outputs: outputs.collect::<Result<_>>()?,
            checkpoint,
            draft,
        })
    }

    /// Writes what is only copied, and the pieces that come of each job, by as many workers as are allowed. What is
    /// done `before`, in and `after` the turn of a job: see [`crew`].
    pub fn run<J: Clone + Send, W: Default + Send>(
        &self,
        copied: &[Copied],
        jobs: impl Iterator<Item = J> + Clone + Send,
        total: u64,
        before: impl Fn(&mut J, &mut Desk<W>) -> Result<()> + Sync,
        mut turn: impl FnMut(&mut J, &mut Desk<W>) -> Result<()> + Send,
        after: impl Fn(&J, &mut Desk<W>) -> Result<()> + Sync,
    ) -> Result<()> {
        let checkpoint = self.checkpoint;
        let copies = copied.iter().flat_map(|&Copied { shard, from, to, len }| {
            (0..len).step_by(CHUNK).map(move |at| Copied {
                shard,
                from: from + at,
                to: to + at,
                len: (len - at).min(CHUNK as u64),
            })
        });
        let jobs = copies.map(Job::Copy).chain(jobs.map(Job::Make));
        let mut done = 0;
        crew(
            &mut checkpoint.work.hire(jobs.clone(), Desk::default),
            jobs,
            |job, desk| {
                desk.pieces.clear();
                match job {
                    Job::Copy(part) => {
                        desk.bytes = part.len;
                        checkpoint.read_bytes(part.shard, part.from, part.len as usize, &mut desk.input)
                    }
                    Job::Make(job) => before(job, desk),
                }
            },
            |job, desk| {
                if let Job::Make(job) = job {
                    turn(job, desk)?;
                }
                done += desk.bytes;
                let phase = Phase::Writing;
                checkpoint.work.tell(Progress { phase, done, total });
                Ok(())
            },
            |job, desk| {
                match job {
                    Job::Copy(part) => self.write(part.shard, part.to, &desk.input)?,
                    Job::Make(job) => after(&job, desk)?,
                }
                desk.pieces
                    .iter()
                    .try_for_each(|piece| self.write(piece.shard, piece.position, &piece.bytes))
            },
        )
    }

    fn write(&self, shard: usize, position: u64, bytes: &[u8]) -> Result<()> {
        match &self.outputs[shard] {
            Some(output) => output.write_at(bytes, position),
            None => Ok(()),
        }
    }

    /// Writes the new index, if there is one, copies the other files, makes sure that all is on the disk and that the
    /// input was the same all the time, has the new checkpoint checked, and gives it its name.
    pub fn finish(
        self,
        index: Option<&str>,
        check: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Vec<PathBuf>> {
        let checkpoint = self.checkpoint;
        let of_index = checkpoint.index.as_deref().filter(|_| index.is_some());
        let of_index = of_index.and_then(|path| path.file_name());
        let is_written = |name: &std::ffi::OsStr| {
            let mut shards = checkpoint.shards().iter().map(|shard| shard.path().file_name());
            shards.any(|shard| shard == Some(name)) || of_index == Some(name)
        };
        let copied = checkpoint.copy_others(self.draft.path(), is_written)?;
        if let (Some(name), Some(text)) = (of_index, index) {
            let path = self.draft.path().join(name);
            let written = fs::write(&path, text).and_then(|()| File::open(&path)?.sync_all());
            written.map_err(|source| Error::Io {
                action: "read or write",
                path,
                error: source,
            })?;
        }
        self.outputs.iter().flatten().try_for_each(Output::sync)?;
        for shard in checkpoint.shards() {
            shard.check_unchanged()?;
        }
        match of_index {
            Some(name) => check(&self.draft.path().join(name))?,
            None => check(self.draft.path())?,
        }
        drop(self.outputs); // some systems rename no open files
        self.draft.commit()?;
        Ok(copied)
    }
}

/// Joins what is copied and stays together.
pub(super) fn join(mut parts: Vec<Copied>) -> Vec<Copied> {
    parts.sort_by_key(|part| (part.shard, part.from));
    let mut joined: Vec<Copied> = Vec::with_capacity(parts.len());
    for part in parts {
        match joined.last_mut() {
            Some(last)
                if last.shard == part.shard
                    && last.from + last.len == part.from
                    && last.to + last.len == part.to =>
            {
                last.len += part.len;
            }
            _ => joined.push(part),
        }
    }
    joined
}
