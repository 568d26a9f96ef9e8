//! Unpacking: [`Checkpoint::unpack`].

use std::path::Path;

use super::bits::{self, with_width};
use super::checksum::Checksums;
use super::read::{Contents, Original, Originally, Parts, Source};
use super::report::UnpackReport;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::stream::chunk::CHUNK_BYTES;
use crate::checkpoint::write::{NewFile, NewFiles, OutputPlan, plan};
use crate::checkpoint::{Checkpoint, Existing, TensorInfo};
use crate::error::{CheckpointError, Error, Result};

/// A part of a tensor.
#[derive(Clone)]
struct Job<'a> {
    tensor: &'a Original,
    /// Its number among all tensors.
    number: usize,
    shard: usize,
    /// The first entry, or byte of a tensor that is not packed.
    first: usize,
    /// How many.
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
    checksums: Checksums,
}

impl Job<'_> {
    /// How the tensor is packed, if it is.
    fn parts(&self) -> Option<&Parts> {
        match &self.tensor.source {
            Source::Packed(parts) => Some(parts),
            Source::Plain(_) => None,
        }
    }

    /// Bytes of an entry.
    fn width(&self) -> usize {
        self.parts().map_or(1, |parts| parts.form.width())
    }
}

impl Checkpoint {
    /// Writes the checkpoint that [`pack`](Self::pack) made this one of: the same files, byte for byte. (Where it was
    /// packed with [`Zeros::Canonical`](super::Zeros::Canonical), −0.0 of packed tensors come back as +0.0.)
    ///
    /// # Errors
    ///
    /// [`PackError::NotPacked`](crate::error::PackError::NotPacked); [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where parts are missing, of other lengths than they should be, or
    /// disagree with each other, or where a tensor does not match its checksum; [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input, [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn unpack(&self, path: impl AsRef<Path>, existing: Existing) -> Result<UnpackReport> {
        let mut files = NewFiles::stage(self, path.as_ref(), existing, None)?;
        let contents = Contents::of(self)?;
        let mut plan = OutputPlan {
            index: contents.index,
            ..OutputPlan::default()
        };
        let mut tensors = Vec::new();
        for (shard, original) in contents.shards.iter().enumerate() {
            plan.files.push(Some(NewFile {
                header: original.header.clone(),
                len: original.len,
            }));
            tensors.extend(original.tensors.iter().map(|tensor| (shard, tensor)));
        }
        files.create(&plan)?;
        let jobs = tensors.iter().enumerate().flat_map(|(number, &(shard, tensor))| {
            let (entries, step) = match &tensor.source {
                Source::Plain(_) => (tensor.bytes as usize, CHUNK_BYTES),
                // A multiple of 8.
                Source::Packed(parts) => (parts.form.entries, CHUNK_BYTES / parts.form.width()),
            };
            (0..entries).step_by(step).map(move |first| Job {
                tensor,
                number,
                shard,
                first,
                len: step.min(entries - first),
            })
        });
        // Values of the current tensor in the chunks so far.
        let mut before = 0;
        let workers = files.run(
            &plan,
            jobs,
            Worker::default,
            |job| (job.len * job.width()) as u64,
            |job, worker| {
                let Some(parts) = job.parts() else {
                    return Ok(());
                };
                let at = parts.bitmask.begin + (job.first / 8) as u64;
                self.read_bytes(job.shard, at, job.len.div_ceil(8), &mut worker.bits)?;
                worker.kept = bits::count(&worker.bits);
                Ok(())
            },
            |job, worker| {
                let Some(parts) = job.parts() else {
                    return Ok(());
                };
                if job.first == 0 {
                    before = 0;
                }
                worker.before = before;
                before += worker.kept;
                self.check_bits(job, parts, before, &worker.bits)
            },
            |job, worker| {
                let unpacked = self.unpacked(&job, worker)?;
                worker.checksums.add(job.number, job.first as u64, &unpacked);
                let at = job.tensor.begin + (job.first * job.width()) as u64;
                files.write(job.shard, at, &unpacked)
            },
        )?;
        let checksums = workers.into_iter().map(|worker| worker.checksums);
        let mut checksums = Checksums::of_tensors(checksums, tensors.len()).into_iter();
        for (shard, original) in contents.shards.iter().enumerate() {
            let checksums = checksums.by_ref().take(original.tensors.len());
            self.verify(shard, original, checksums)?;
        }
        let copied = files.finish(&plan, None, |_| Ok(()))?;
        let packed = tensors
            .iter()
            .filter(|(_, tensor)| matches!(tensor.source, Source::Packed(_)));
        let mut names: Vec<_> = packed.map(|(_, tensor)| tensor.name.clone()).collect();
        names.sort();
        Ok(UnpackReport {
            tensors: names,
            bytes_before: plan::bytes(self.shards()),
            bytes_after: plan.bytes(),
            copied,
        })
    }

    /// The bytes of a part of a tensor, as they were before it was packed.
    fn unpacked(&self, job: &Job<'_>, worker: &mut Worker) -> Result<Vec<u8>> {
        let parts = match &job.tensor.source {
            Source::Plain(info) => {
                let at = info.begin + job.first as u64;
                self.read_bytes(job.shard, at, job.len, &mut worker.values)?;
                return Ok(worker.values.clone());
            }
            Source::Packed(parts) => parts,
        };
        if let Some(row_offsets) = &parts.row_offsets {
            self.check_rows(job, parts, row_offsets, worker.before, &worker.bits)?;
        }
        let width = parts.form.width();
        let at = parts.compressed.begin + worker.before * width as u64;
        let len = worker.kept as usize * width;
        self.read_bytes(job.shard, at, len, &mut worker.values)?;
        Ok(with_width!(width, N => {
            bits::unpack::<N>(&worker.bits, &worker.values, job.len)
        }))
    }

    /// Compares the checksums of the tensors of a shard with those that are in the packed file, if any are.
    fn verify(&self, shard: usize, original: &Originally, found: impl Iterator<Item = u32>) -> Result<()> {
        let Some(checksums) = &original.checksums else {
            return Ok(());
        };
        let mut stated = Vec::new();
        self.read_bytes(shard, checksums.begin, checksums.bytes() as usize, &mut stated)?;
        let stated = stated
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes));
        for ((tensor, expected), got) in original.tensors.iter().zip(stated).zip(found) {
            if expected != got {
                return Err(self.damaged(
                    shard,
                    Damage::PackedChecksum {
                        name: tensor.name.clone(),
                        expected,
                        got,
                    },
                ));
            }
        }
        Ok(())
    }

    /// Checks that there are as many values as bits, `counted` of which are set up to the end of a chunk.
    fn check_bits(&self, job: &Job<'_>, parts: &Parts, counted: u64, bits: &[u8]) -> Result<()> {
        let is_last = job.first + job.len == parts.form.entries;
        let after_the_last = match (bits.last(), job.len % 8) {
            (Some(last), used @ 1..) => last >> used != 0,
            _ => false,
        };
        let values = parts.kept;
        if counted <= values && (!is_last || counted == values) && !after_the_last {
            return Ok(());
        }
        let bits = self.all_bits(job.shard, &parts.bitmask)?;
        let name = job.tensor.name.clone();
        Err(self.damaged(job.shard, Damage::PackedBits { name, bits, values }))
    }

    /// Checks the offsets of the rows that begin in a chunk, which version 1 has.
    fn check_rows(
        &self,
        job: &Job<'_>,
        parts: &Parts,
        row_offsets: &TensorInfo,
        before: u64,
        bits: &[u8],
    ) -> Result<()> {
        let columns = parts.form.entries / parts.form.rows.unwrap_or(1).max(1);
        let rows = job.first.div_ceil(columns)..(job.first + job.len).div_ceil(columns);
        let mut bytes = Vec::new();
        let at = row_offsets.begin + rows.start as u64 * 8;
        self.read_bytes(job.shard, at, rows.len() * 8, &mut bytes)?;
        let (mut expected, mut counted) = (before, 0);
        for (row, stated) in rows.zip(bytes.as_chunks().0) {
            // Rows begin with a byte: there is one row, or they are of a multiple of 8 entries.
            let begin = (row * columns - job.first) / 8;
            expected += bits::count(&bits[counted..begin]);
            counted = begin;
            let got = i64::from_le_bytes(*stated);
            if u64::try_from(got) != Ok(expected) {
                let name = job.tensor.name.clone();
                return Err(self.damaged(
                    job.shard,
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
    fn all_bits(&self, shard: usize, bitmask: &TensorInfo) -> Result<u64> {
        let mut bytes = Vec::new();
        let mut all = 0;
        for at in (0..bitmask.bytes()).step_by(CHUNK_BYTES) {
            let len = (bitmask.bytes() - at).min(CHUNK_BYTES as u64) as usize;
            self.read_bytes(shard, bitmask.begin + at, len, &mut bytes)?;
            all += bits::count(&bytes);
        }
        Ok(all)
    }

    fn damaged(&self, shard: usize, damage: Damage) -> Error {
        Error::Checkpoint(CheckpointError::Damaged {
            path: self.shards()[shard].path().to_owned(),
            damage: Box::new(damage),
        })
    }
}
