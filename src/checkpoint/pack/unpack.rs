//! Unpacking: [`Checkpoint::unpack`].

use std::path::Path;

use super::bits::{self, with_width};
use super::read::{Contents, Parts, Source};
use super::report::UnpackReport;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::draft::{Draft, Existing};
use crate::checkpoint::extent::CHUNK;
use crate::checkpoint::files::{Copied, Desk, Files, Piece, join};
use crate::error::{CheckpointError, Error, Result};

/// A part of a packed tensor.
#[derive(Clone)]
struct Job<'a> {
    name: &'a str,
    parts: &'a Parts,
    shard: usize,
    /// Where the tensor begins in the new file.
    begin: u64,
    first: usize,
    len: usize,
}

/// What a worker has of its own.
#[derive(Default)]
struct Hands {
    bits: Vec<u8>,
    /// How many of them are set.
    kept: u64,
    /// Values of the tensor before those of the chunk.
    before: u64,
}

impl Checkpoint {
    /// Writes the checkpoint that [`pack`](Self::pack) made this one of: the same files, byte for byte. (Where it was
    /// packed with [`Zeros::Canonical`](super::Zeros::Canonical), −0.0 of packed tensors come back as +0.0.)
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotPacked`](crate::error::CheckpointError::NotPacked); [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where parts are missing, of other lengths than they should be, or
    /// disagree with each other; [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists), [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput), [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn unpack(&self, path: impl AsRef<Path>, existing: Existing) -> Result<UnpackReport> {
        let draft = Draft::begin(self, path.as_ref(), self.is_folder(), existing)?;
        let contents = Contents::of(self)?;
        let outputs: Vec<_> = contents
            .shards
            .iter()
            .map(|shard| Some((&shard.header[..], shard.len)))
            .collect();
        let files = Files::begin(self, draft, &outputs)?;
        let (mut copied, mut jobs, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (shard, original) in contents.shards.iter().enumerate() {
            for tensor in &original.tensors {
                match &tensor.source {
                    Source::Plain(info) => copied.push(Copied {
                        shard,
                        from: info.begin,
                        to: tensor.begin,
                        len: tensor.bytes,
                    }),
                    Source::Packed(parts) => {
                        names.push(tensor.name.clone());
                        jobs.push((&tensor.name[..], &**parts, shard, tensor.begin));
                    }
                }
            }
        }
        names.sort();
        let jobs = jobs.into_iter().flat_map(|(name, parts, shard, begin)| {
            let step = CHUNK / parts.form.width(); // a multiple of 8
            (0..parts.form.entries).step_by(step).map(move |first| Job {
                name,
                parts,
                shard,
                begin,
                first,
                len: step.min(parts.form.entries - first),
            })
        });
        let bytes_after = contents.shards.iter().map(|shard| shard.len).sum();
        // Values of the tensor under way that had their turn.
        let mut before = 0;
        files.run(
            &join(copied),
            jobs,
            bytes_after,
            |job, desk: &mut Desk<Hands>| {
                desk.bytes = (job.len * job.parts.form.width()) as u64;
                let at = job.parts.bitmask.begin + (job.first / 8) as u64;
                self.read_bytes(job.shard, at, job.len.div_ceil(8), &mut desk.own.bits)?;
                desk.own.kept = bits::count(&desk.own.bits);
                Ok(())
            },
            |job, desk| {
                if job.first == 0 {
                    before = 0;
                }
                desk.own.before = before;
                before += desk.own.kept;
                self.check_bits(job, before, &desk.own.bits)
            },
            |job, desk| {
                let Hands { bits, before, kept } = &desk.own;
                self.check_rows(job, *before, bits)?;
                let width = job.parts.form.width();
                let at = job.parts.compressed.begin + before * width as u64;
                self.read_bytes(job.shard, at, *kept as usize * width, &mut desk.input)?;
                desk.pieces.push(Piece {
                    shard: job.shard,
                    position: job.begin + (job.first * width) as u64,
                    bytes: with_width!(width, N => bits::unpack::<N>(bits, &desk.input, job.len)),
                });
                Ok(())
            },
        )?;
        let copied = files.finish(contents.index.as_deref(), |_| Ok(()))?;
        Ok(UnpackReport {
            tensors: names,
            bytes_before: self.shards().iter().map(|shard| shard.bytes()).sum(),
            bytes_after,
            copied,
        })
    }

    /// Checks that there are as many values as bits, `counted` of which are set up to the end of a chunk.
    fn check_bits(&self, job: &Job<'_>, counted: u64, bits: &[u8]) -> Result<()> {
        let is_last = job.first + job.len == job.parts.form.entries;
        let behind_the_last = match (bits.last(), job.len % 8) {
            (Some(last), used @ 1..) => last >> used != 0,
            _ => false,
        };
        let values = job.parts.kept;
        if counted <= values && (!is_last || counted == values) && !behind_the_last {
            return Ok(());
        }
        let bits = self.all_bits(job)?;
        let name = job.name.to_owned();
        Err(self.damaged(job, Damage::PackedBits { name, bits, values }))
    }

    /// Checks the offsets of the rows that begin in a chunk.
    fn check_rows(&self, job: &Job<'_>, before: u64, bits: &[u8]) -> Result<()> {
        let columns = job.parts.form.columns();
        let rows = job.first.div_ceil(columns)..(job.first + job.len).div_ceil(columns);
        let mut bytes = Vec::new();
        let at = job.parts.row_offsets.begin + rows.start as u64 * 8;
        self.read_bytes(job.shard, at, rows.len() * 8, &mut bytes)?;
        let (mut expected, mut counted) = (before, 0);
        for (row, stated) in rows.zip(bytes.as_chunks().0) {
            // Rows begin with a byte: there is one row, or they are of a multiple of 8 entries.
            let begin = (row * columns - job.first) / 8;
            expected += bits::count(&bits[counted..begin]);
            counted = begin;
            let got = i64::from_le_bytes(*stated);
            if u64::try_from(got) != Ok(expected) {
                let name = job.name.to_owned();
                return Err(self.damaged(
                    job,
                    Damage::PackedRow {
                        name,
                        row,
                        expected,
                        got,
                    },
                ));
            }
        }
        Ok(())
    }

    /// All bits of a bitmask that are set, those behind the last entry included.
    fn all_bits(&self, job: &Job<'_>) -> Result<u64> {
        let bitmask = &job.parts.bitmask;
        let mut bytes = Vec::new();
        let mut all = 0;
        for at in (0..bitmask.bytes()).step_by(CHUNK) {
            let len = (bitmask.bytes() - at).min(CHUNK as u64) as usize;
            self.read_bytes(job.shard, bitmask.begin + at, len, &mut bytes)?;
            all += bits::count(&bytes);
        }
        Ok(all)
    }

    fn damaged(&self, job: &Job<'_>, damage: Damage) -> Error {
        Error::Checkpoint(CheckpointError::Damaged {
            path: self.shards()[job.shard].path().to_owned(),
            damage: Box::new(damage),
        })
    }
}
