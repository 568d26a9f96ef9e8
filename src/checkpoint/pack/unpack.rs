//! Unpacking: [`Checkpoint::unpack`].

use std::path::Path;

use super::bits::{self, with_width};
use super::read::{Contents, Parts, Source};
use super::report::UnpackReport;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::stream::chunk::CHUNK_BYTES;
use crate::checkpoint::write::{Copied, NewFile, NewFiles, OutputPlan, plan};
use crate::checkpoint::{Checkpoint, Existing};
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

/// What a worker holds.
#[derive(Default)]
struct Worker {
    values: Vec<u8>,
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
    /// [`PackError::NotPacked`](crate::error::PackError::NotPacked); [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where parts are missing, of other lengths than they should be, or
    /// disagree with each other; [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input, [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn unpack(&self, path: impl AsRef<Path>, existing: Existing) -> Result<UnpackReport> {
        let mut files = NewFiles::stage(self, path.as_ref(), existing, None)?;
        let contents = Contents::of(self)?;
        let mut plan = OutputPlan {
            index: contents.index,
            ..OutputPlan::default()
        };
        let (mut jobs, mut names) = (Vec::new(), Vec::new());
        for (shard, original) in contents.shards.iter().enumerate() {
            plan.files.push(Some(NewFile {
                header: original.header.clone(),
                len: original.len,
            }));
            for tensor in &original.tensors {
                match &tensor.source {
                    Source::Plain(info) => plan.copied.push(Copied {
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
        files.create(&plan)?;
        let jobs = jobs.into_iter().flat_map(|(name, parts, shard, begin)| {
            let step = CHUNK_BYTES / parts.form.width(); // a multiple of 8
            (0..parts.form.entries).step_by(step).map(move |first| Job {
                name,
                parts,
                shard,
                begin,
                first,
                len: step.min(parts.form.entries - first),
            })
        });
        // Values of the current tensor in the chunks so far.
        let mut before = 0;
        files.run(
            &plan,
            jobs,
            Worker::default,
            |job| (job.len * job.parts.form.width()) as u64,
            |job, worker| {
                let at = job.parts.bitmask.begin + (job.first / 8) as u64;
                self.read_bytes(job.shard, at, job.len.div_ceil(8), &mut worker.bits)?;
                worker.kept = bits::count(&worker.bits);
                Ok(())
            },
            |job, worker| {
                if job.first == 0 {
                    before = 0;
                }
                worker.before = before;
                before += worker.kept;
                self.check_bits(job, before, &worker.bits)
            },
            |job, worker| {
                self.check_rows(&job, worker.before, &worker.bits)?;
                let width = job.parts.form.width();
                let at = job.parts.compressed.begin + worker.before * width as u64;
                let len = worker.kept as usize * width;
                self.read_bytes(job.shard, at, len, &mut worker.values)?;
                let unpacked = with_width!(width, N => {
                    bits::unpack::<N>(&worker.bits, &worker.values, job.len)
                });
                files.write(job.shard, job.begin + (job.first * width) as u64, &unpacked)
            },
        )?;
        let copied = files.finish(&plan, None, |_| Ok(()))?;
        Ok(UnpackReport {
            tensors: names,
            bytes_before: plan::bytes(self.shards()),
            bytes_after: plan.bytes(),
            copied,
        })
    }

    /// Checks that there are as many values as bits, `counted` of which are set up to the end of a chunk.
    fn check_bits(&self, job: &Job<'_>, counted: u64, bits: &[u8]) -> Result<()> {
        let is_last = job.first + job.len == job.parts.form.entries;
        let after_the_last = match (bits.last(), job.len % 8) {
            (Some(last), used @ 1..) => last >> used != 0,
            _ => false,
        };
        let values = job.parts.kept;
        if counted <= values && (!is_last || counted == values) && !after_the_last {
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

    /// All bits of a bitmask that are set, those after the last entry included.
    fn all_bits(&self, job: &Job<'_>) -> Result<u64> {
        let bitmask = &job.parts.bitmask;
        let mut bytes = Vec::new();
        let mut all = 0;
        for at in (0..bitmask.bytes()).step_by(CHUNK_BYTES) {
            let len = (bitmask.bytes() - at).min(CHUNK_BYTES as u64) as usize;
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
