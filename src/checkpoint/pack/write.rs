//! Packing: [`Checkpoint::pack`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::PackError;
use super::bits::{self, Packed, with_width};
use super::checksum::Checksums;
use super::form::{Form, Part};
use super::read::Contents;
use super::record::{self, Version};
use super::report::{PackReport, PackedTensor};
use crate::checkpoint::damage::Damage;
use crate::checkpoint::format::MAGIC;
use crate::checkpoint::format::header::LIMIT;
use crate::checkpoint::format::index;
use crate::checkpoint::format::layout::{Layout, Planned};
use crate::checkpoint::stream::chunk::whole;
use crate::checkpoint::stream::{Phase, ordered};
use crate::checkpoint::write::{NewFile, NewFiles, OutputPlan, plan};
use crate::checkpoint::{Checkpoint, Existing, TensorInfo};
use crate::error::{CheckpointError, Error, Result};

/// Which zeros count as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Zeros {
    /// +0.0 only, so that unpacking restores every bit.
    #[default]
    Exact,
    /// Both: a −0.0 of a tensor that is packed becomes +0.0, and comes back as that.
    Canonical,
}

/// Zeros of one tensor.
#[derive(Clone, Copy, Debug, Default)]
struct ZeroCounts {
    positive: usize,
    negative: usize,
}

impl ZeroCounts {
    fn absent(self, zeros: Zeros) -> usize {
        match zeros {
            Zeros::Exact => self.positive,
            Zeros::Canonical => self.positive + self.negative,
        }
    }
}

/// A tensor that is to be packed.
struct Target {
    form: Form,
    kept: u64,
}

impl Checkpoint {
    /// Writes a packed checkpoint: of pruned tensors only a bit for each entry and the entries that are not +0.0.
    ///
    /// [`unpack`](Self::unpack) restores the very bytes that were packed, unless [`Zeros::Canonical`] made +0.0 of
    /// −0.0. Tensors that would not become smaller are copied as they are. [`pack`](crate::checkpoint::pack) documents the layout.
    ///
    /// ```
    /// use secateurs::checkpoint::{Checkpoint, Dtype, Existing, Zeros};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let [path, packed, back] = ["model", "packed", "back"].map(|name| folder.path().join(name));
    /// # let bytes: Vec<u8> = (0..10_000).flat_map(|i| f32::from(u8::from(i % 10 == 0)).to_le_bytes()).collect();
    /// # let weight = safetensors::tensor::TensorView::new(Dtype::F32, vec![100, 100], &bytes).unwrap();
    /// # safetensors::serialize_to_file([("fc.weight", weight)], None, &path).unwrap();
    /// let report = Checkpoint::open(&path)?.pack(&packed, Existing::Refuse, Zeros::Exact)?;
    /// assert!(report.bytes_after * 5 < report.bytes_before);
    ///
    /// Checkpoint::open(&packed)?.unpack(&back, Existing::Refuse)?;
    /// assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&back).unwrap());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// Tensors are read twice: once to count, once to write. Every chunk is unpacked again from the bytes that are
    /// about to be written, and compared. Memory does not grow with the checkpoint.
    ///
    /// # Errors
    ///
    /// [`PackError::PackedAlready`](crate::error::PackError::PackedAlready); [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where the header would become longer than one can be;
    /// [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input, [`Error::Io`], and [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn pack(&self, path: impl AsRef<Path>, existing: Existing, zeros: Zeros) -> Result<PackReport> {
        let mut files = NewFiles::stage(self, path.as_ref(), existing, None)?;
        self.check_unpacked()?;
        let mut names = self.tensors().iter().map(TensorInfo::name);
        if let Some(name) = names.find(|name| name.starts_with(record::CHECKSUMS)) {
            let name = name.to_owned();
            return Err(PackError::NameTaken { name }.into());
        }
        let zero_counts = self.count_zeros()?;
        let targets = self.targets(&zero_counts, zeros);
        let plan = Plan::new(self, &targets)?;
        files.create(&plan.output)?;
        self.write_packed(&files, &targets, &plan, zeros)?;
        // What cannot be unpacked does not get its name.
        let copied = files.finish(&plan.output, None, |packed| {
            Contents::of(&Checkpoint::open(packed)?).map(drop)
        })?;
        let tensors = zero_counts.iter().map(|(number, counts)| {
            let (info, target) = (&self.tensors()[*number], targets.get(number));
            PackedTensor {
                name: info.name().to_owned(),
                dtype: info.dtype(),
                shape: info.shape().to_vec(),
                entries: info.entries(),
                absent: counts.absent(zeros),
                negative_zeros: counts.negative,
                bytes: info.bytes(),
                packed_bytes: target.map(|target| target.form.packed_bytes(target.kept as usize)),
            }
        });
        Ok(PackReport {
            tensors: tensors.collect(),
            bytes_before: plan::bytes(self.shards()),
            bytes_after: plan.output.bytes(),
            copied,
        })
    }

    /// Counts the zeros of all tensors of floats.
    fn count_zeros(&self) -> Result<BTreeMap<usize, ZeroCounts>> {
        let floats = || {
            let all = self.tensors().iter().enumerate();
            all.filter(|(_, info)| info.is_float())
        };
        let mut zero_counts: BTreeMap<_, _> = floats()
            .map(|(number, _)| (number, ZeroCounts::default()))
            .collect();
        let chunks = floats().flat_map(|(number, info)| whole(number, info, 64));
        let mut report = self.meter(Phase::Reading, chunks.clone());
        ordered(
            &mut self
                .work
                .workers_for(chunks.clone(), <(Vec<u8>, ZeroCounts)>::default),
            chunks,
            |chunk, (bytes, counts)| {
                self.read_raw(*chunk, bytes)?;
                let width = self.tensors()[chunk.tensor].dtype().bitsize() / 8;
                let (positive, negative) = with_width!(width, N => bits::zeros::<N>(bytes));
                *counts = ZeroCounts { positive, negative };
                Ok(())
            },
            |chunk, (_, counts)| {
                let sum = zero_counts.entry(chunk.tensor).or_default();
                sum.positive += counts.positive;
                sum.negative += counts.negative;
                report(*chunk);
                Ok(())
            },
            |_, _| Ok(()),
        )?;
        Ok(zero_counts)
    }

    /// The tensors that become smaller, and for whose parts no name is taken.
    fn targets(&self, zero_counts: &BTreeMap<usize, ZeroCounts>, zeros: Zeros) -> BTreeMap<usize, Target> {
        let mut taken: HashSet<String> = self.tensors().iter().map(|info| info.name().to_owned()).collect();
        let mut targets = BTreeMap::new();
        for (&number, counts) in zero_counts {
            let info = &self.tensors()[number];
            let form = Form::of(Version::Two, info.dtype(), info.shape());
            let kept = info.entries() - counts.absent(zeros);
            let names = Part::WRITTEN.map(|part| part.name(info.name()));
            let packed = form.packed_bytes(kept) + form.header_bytes(info.name());
            if packed < info.bytes() && !names.iter().any(|name| taken.contains(name)) {
                taken.extend(names);
                let kept = kept as u64;
                targets.insert(number, Target { form, kept });
            }
        }
        targets
    }

    fn write_packed(
        &self,
        files: &NewFiles<'_>,
        targets: &BTreeMap<usize, Target>,
        plan: &Plan,
        zeros: Zeros,
    ) -> Result<()> {
        let tensors = self.tensors().iter().enumerate();
        let jobs = tensors.flat_map(|(number, info)| whole(number, info, 64));
        // Values of the current tensor in the chunks so far.
        let mut before = 0;
        let workers = files.run(
            &plan.output,
            jobs,
            Worker::default,
            |chunk| self.bytes_of(*chunk),
            |chunk, worker| {
                self.read_raw(*chunk, &mut worker.input)?;
                if let Some(Target { form, .. }) = targets.get(&chunk.tensor) {
                    with_width!(form.width(), N => {
                        if zeros == Zeros::Canonical {
                            bits::canonical::<N>(&mut worker.input);
                        }
                        let packed = bits::pack::<N>(&worker.input);
                        if bits::unpack::<N>(&packed.bits, &packed.values, chunk.len) != worker.input {
                            return Err(PackError::NotReproduced {
                                name: self.tensors()[chunk.tensor].name().to_owned(),
                                first: chunk.first,
                            }
                            .into());
                        }
                        worker.packed = packed;
                    });
                }
                worker
                    .checksums
                    .add(chunk.tensor, chunk.first as u64, &worker.input);
                Ok(())
            },
            |chunk, worker| {
                let Some(Target { form, kept }) = targets.get(&chunk.tensor) else {
                    return Ok(());
                };
                if chunk.first == 0 {
                    before = 0;
                }
                worker.before = before;
                before += (worker.packed.values.len() / form.width()) as u64;
                let is_last = chunk.first + chunk.len == form.entries;
                if before > *kept || is_last && before != *kept {
                    // The first pass counted something else.
                    return Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                        path: self.shards()[self.tensors()[chunk.tensor].shard]
                            .path()
                            .to_owned(),
                    }));
                }
                Ok(())
            },
            |chunk, worker| {
                let shard = self.tensors()[chunk.tensor].shard;
                let [begin, bitmask] = plan.begins[&chunk.tensor];
                let Some(Target { form, .. }) = targets.get(&chunk.tensor) else {
                    let at = self.position(chunk) - self.tensors()[chunk.tensor].begin;
                    return files.write(shard, begin + at, &worker.input);
                };
                let at = worker.before * form.width() as u64;
                files.write(shard, begin + at, &worker.packed.values)?;
                files.write(shard, bitmask + (chunk.first / 8) as u64, &worker.packed.bits)
            },
        )?;
        let checksums = workers.into_iter().map(|worker| worker.checksums);
        let checksums = Checksums::of_tensors(checksums, self.tensors().len());
        for (number, shard) in self.shards().iter().enumerate() {
            let tensors = shard
                .header
                .entries
                .iter()
                .filter_map(|entry| self.lookup(&entry.name));
            let bytes: Vec<u8> = tensors
                .flat_map(|tensor| checksums[tensor].to_le_bytes())
                .collect();
            files.write(number, plan.checksums[number], &bytes)?;
        }
        Ok(())
    }
}

/// What a worker holds.
#[derive(Default)]
struct Worker {
    input: Vec<u8>,
    packed: Packed,
    /// Values of the tensor before those of the chunk.
    before: u64,
    checksums: Checksums,
}

/// What goes where.
struct Plan {
    output: OutputPlan,
    /// By tensor: where its values and its bitmask begin; of one that is not packed, where it begins.
    begins: BTreeMap<usize, [u64; 2]>,
    /// By shard: where its checksums begin.
    checksums: Vec<u64>,
    /// The names of the new tensors, by shard.
    names: Vec<Vec<String>>,
    /// Bytes of all new tensors.
    size: u64,
}

impl Plan {
    fn new(checkpoint: &Checkpoint, targets: &BTreeMap<usize, Target>) -> Result<Self> {
        let mut plan = Plan {
            output: OutputPlan::default(),
            begins: BTreeMap::new(),
            checksums: Vec::new(),
            names: Vec::new(),
            size: 0,
        };
        for (number, shard) in checkpoint.shards().iter().enumerate() {
            // Of each new tensor: what it is, what tensor it comes from, and whether it is the bitmask of it.
            let name = format!("{}{number}", record::CHECKSUMS);
            let checksums = record::checksums(name, shard.header.entries.len());
            let mut planned: Vec<(Planned, Option<usize>, bool)> = vec![(checksums, None, false)];
            for entry in &shard.header.entries {
                let Some(tensor) = checkpoint.lookup(&entry.name) else {
                    continue;
                };
                match targets.get(&tensor) {
                    Some(Target { form, kept }) => {
                        planned.extend(Part::WRITTEN.map(|part| {
                            let planned = form.part(part, &entry.name, *kept as usize);
                            (planned, Some(tensor), part == Part::Bitmask)
                        }));
                    }
                    None => planned.push((
                        Planned {
                            name: entry.name.clone(),
                            dtype: entry.dtype,
                            shape: entry.shape.clone(),
                        },
                        Some(tensor),
                        false,
                    )),
                }
            }
            // Wide types first, so that every tensor is aligned for all readers. The original's order is in its
            // header.
            planned.sort_by_key(|(planned, ..)| std::cmp::Reverse(planned.dtype.bitsize()));
            let tensors: Vec<_> = planned.iter().map(|(planned, ..)| planned.clone()).collect();
            let metadata = record::metadata(shard.metadata(), shard.header_text()?);
            let layout = Layout::new(&tensors, &metadata)?;
            let claimed = layout.header.len() as u64;
            if claimed > LIMIT {
                return Err(Error::Checkpoint(CheckpointError::Damaged {
                    path: shard.path().to_owned(),
                    damage: Box::new(Damage::HeaderTooLarge {
                        claimed,
                        limit: LIMIT,
                    }),
                }));
            }
            plan.size += layout.len - layout.header.len() as u64;
            for ((_, tensor, is_bitmask), begin) in planned.iter().zip(&layout.begins) {
                let begin = begin + MAGIC.len() as u64;
                match tensor {
                    Some(tensor) => plan.begins.entry(*tensor).or_default()[usize::from(*is_bitmask)] = begin,
                    None => plan.checksums.push(begin),
                }
            }
            plan.names
                .push(tensors.into_iter().map(|tensor| tensor.name).collect());
            plan.output.files.push(Some(NewFile {
                header: [&MAGIC[..], &layout.header].concat(),
                len: layout.len + MAGIC.len() as u64,
            }));
        }
        plan.output.index = plan.index(checkpoint)?;
        Ok(plan)
    }

    /// The text of the new index, where there is one; the old one is a note in it.
    fn index(&self, checkpoint: &Checkpoint) -> Result<Option<String>> {
        let Some(path) = &checkpoint.index else {
            return Ok(None);
        };
        let changed = || Error::Checkpoint(CheckpointError::ChangedMeanwhile { path: path.clone() });
        let old = index::text(path)?;
        let placed: BTreeSet<String> = index::placed(&old).map_err(|_| changed())?.into_keys().collect();
        if !placed
            .iter()
            .eq(checkpoint.tensors().iter().map(TensorInfo::name))
        {
            return Err(changed());
        }
        let old = String::from_utf8(old).map_err(|_| changed())?;
        let shards = checkpoint.shards().iter().zip(&self.names);
        let placed =
            shards.flat_map(|(shard, names)| names.iter().map(|name| (&name[..], shard.file_name())));
        let checksum = record::checksum(&old);
        let notes = [
            (record::INDEX_KEY, &old[..]),
            (record::INDEX_CRC_KEY, &checksum[..]),
        ];
        index::replaced(path, &placed.collect(), self.size, &notes).map(Some)
    }
}
