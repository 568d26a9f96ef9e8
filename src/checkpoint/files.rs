//! [`Files`]: new files for a checkpoint whose layout differs from that of the old ones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::draft::Draft;
use super::flow::{CHUNK, flow};
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

/// Memory of one job, used again for later ones.
#[derive(Default)]
pub(super) struct Chunk {
    pub input: Vec<u8>,
    /// A second input, of jobs that have one.
    pub bits: Vec<u8>,
    pub pieces: Vec<Piece>,
}

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
                    path: path.clone(),
                    source,
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

    /// Writes what is only copied, and what each job makes: `read` fetches its inputs, `work` leaves the pieces that
    /// come of them. Jobs are worked on in order, one after the other.
    pub fn run<J: Send>(
        &self,
        copied: Vec<Copied>,
        jobs: impl Iterator<Item = J> + Send,
        total: u64,
        mut read: impl FnMut(&J, &mut Chunk) -> Result<()> + Send,
        mut work: impl FnMut(&J, &mut Chunk) -> Result<()>,
    ) -> Result<()> {
        let checkpoint = self.checkpoint;
        let copies = copied.into_iter().flat_map(|Copied { shard, from, to, len }| {
            (0..len).step_by(CHUNK).map(move |at| Copied {
                shard,
                from: from + at,
                to: to + at,
                len: (len - at).min(CHUNK as u64),
            })
        });
        let mut done = 0;
        flow(
            checkpoint.work.in_parallel(),
            copies.map(Job::Copy).chain(jobs.map(Job::Make)),
            |job, chunk: &mut Chunk| match job {
                Job::Copy(part) => {
                    checkpoint.read_bytes(part.shard, part.from, part.len as usize, &mut chunk.input)
                }
                Job::Make(job) => read(job, chunk),
            },
            |job, chunk| {
                chunk.pieces.clear();
                match job {
                    Job::Copy(_) => Ok(()),
                    Job::Make(job) => work(job, chunk),
                }
            },
            |job, chunk| {
                if let Job::Copy(part) = job {
                    self.write(part.shard, part.to, &chunk.input)?;
                }
                for piece in &chunk.pieces {
                    self.write(piece.shard, piece.position, &piece.bytes)?;
                }
                done += chunk.input.len() as u64;
                let phase = Phase::Writing;
                checkpoint.work.tell(Progress { phase, done, total });
                Ok(())
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
            written.map_err(|source| Error::Io { path, source })?;
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

/// What of the shards is only copied, given the places of all that is: runs that stay together are joined.
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
