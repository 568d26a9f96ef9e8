//! Packing: [`Checkpoint::pack`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use std::path::Path;

use super::bits::{self, Packed, with_width};
use super::form::{Form, Part};
use super::read::Contents;
use super::record;
use super::report::{PackReport, PackedTensor};
use crate::checkpoint::crew::crew;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::draft::{Draft, Existing};
use crate::checkpoint::extent::{Extent, whole};
use crate::checkpoint::files::{Copied, Desk, Files, Piece, join};
use crate::checkpoint::header::LIMIT;
use crate::checkpoint::index;
use crate::checkpoint::layout::{Layout, Planned};
use crate::checkpoint::work::Phase;
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::error::{CheckpointError, Error, Result};

/// Which zeros count as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Zeros {
    /// +0.0 only, so that unpacking gives every bit back.
    #[default]
    Exact,
    /// Both: a −0.0 of a tensor that is packed becomes +0.0, and comes back as that.
    Canonical,
}

/// Zeros of one tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    positive: usize,
    negative: usize,
}

impl Tally {
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
    /// [`unpack`](Self::unpack) gives back the very bytes that were packed, unless [`Zeros::Canonical`] made +0.0 of
    /// −0.0. Tensors that would not become smaller stay as they are. The layout is told [here](crate::checkpoint::pack).
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
    /// [`CheckpointError::PackedAlready`](crate::error::CheckpointError::PackedAlready); [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where the header would become longer than one can be;
    /// [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists), [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput), [`Error::Io`], and [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn pack(&self, path: impl AsRef<Path>, existing: Existing, zeros: Zeros) -> Result<PackReport> {
        let draft = Draft::begin(self, path.as_ref(), self.is_folder(), existing)?;
        if let Some(shard) = self.shards().iter().find(|shard| record::is_packed(shard)) {
            return Err(Error::Checkpoint(CheckpointError::PackedAlready {
                path: shard.path().to_owned(),
            }));
        }
        let tallies = self.count_zeros()?;
        let targets = self.targets(&tallies, zeros);
        let plan = Plan::new(self, &targets)?;
        let outputs: Vec<_> = plan
            .layouts
            .iter()
            .map(|l| Some((&l.header[..], l.len)))
            .collect();
        let files = Files::begin(self, draft, &outputs)?;
        self.write_packed(&files, &targets, &plan, zeros)?;
        let index = plan.index(self)?;
        // What cannot be unpacked is not given a name.
        let copied = files.finish(index.as_deref(), |packed| {
            Contents::of(&Checkpoint::open(packed)?).map(drop)
        })?;
        let tensors = tallies.iter().map(|(number, tally)| {
            let (info, target) = (&self.tensors()[*number], targets.get(number));
            PackedTensor {
                name: info.name().to_owned(),
                dtype: info.dtype(),
                shape: info.shape().to_vec(),
                entries: info.entries(),
                absent: tally.absent(zeros),
                negative_zeros: tally.negative,
                bytes: info.bytes(),
                packed_bytes: target.map(|target| target.form.packed_bytes(target.kept as usize)),
            }
        });
        Ok(PackReport {
            tensors: tensors.collect(),
            bytes_before: self.shards().iter().map(|shard| shard.bytes()).sum(),
            bytes_after: plan.layouts.iter().map(|layout| layout.len).sum(),
            copied,
        })
    }

    /// Counts the zeros of all tensors of floats.
    fn count_zeros(&self) -> Result<BTreeMap<usize, Tally>> {
        let floats = || {
            let all = self.tensors().iter().enumerate();
            all.filter(|(_, info)| info.is_float())
        };
        let mut tallies: BTreeMap<_, _> = floats().map(|(number, _)| (number, Tally::default())).collect();
        let extents = floats().flat_map(|(number, info)| whole(number, info, 64));
        let mut told = self.meter(Phase::Reading, extents.clone());
        crew(
            &mut self.work.hire(extents.clone(), <(Vec<u8>, Tally)>::default),
            extents,
            |extent, (bytes, tally)| {
                self.read_raw(*extent, bytes)?;
                let width = self.tensors()[extent.tensor].dtype().bitsize() / 8;
                let (positive, negative) = with_width!(width, N => bits::zeros::<N>(bytes));
                *tally = Tally { positive, negative };
                Ok(())
            },
            |extent, (_, tally)| {
                let sum = tallies.entry(extent.tensor).or_default();
                sum.positive += tally.positive;
                sum.negative += tally.negative;
                told(*extent);
                Ok(())
            },
            |_, _| Ok(()),
        )?;
        Ok(tallies)
    }

    /// The tensors that become smaller, and whose parts find their names free.
    fn targets(&self, tallies: &BTreeMap<usize, Tally>, zeros: Zeros) -> BTreeMap<usize, Target> {
        let mut taken: HashSet<String> = self.tensors().iter().map(|info| info.name().to_owned()).collect();
        let mut targets = BTreeMap::new();
        for (&number, tally) in tallies {
            let info = &self.tensors()[number];
            let form = Form::of_tensor(info);
            let kept = info.entries() - tally.absent(zeros);
            let names = Part::ALL.map(|part| part.name(info.name()));
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
        files: &Files<'_>,
        targets: &BTreeMap<usize, Target>,
        plan: &Plan,
        zeros: Zeros,
    ) -> Result<()> {
        let jobs = targets
            .keys()
            .flat_map(|&number| whole(number, &self.tensors()[number], 64));
        let total = self.shards().iter().map(|shard| shard.bytes()).sum();
        // Values of the tensor under way that had their turn.
        let mut before = 0;
        files.run(
            &plan.copied,
            jobs,
            total,
            |extent, desk: &mut Desk<Hands>| {
                desk.bytes = self.bytes_of(*extent);
                self.read_raw(*extent, &mut desk.input)?;
                let form = &targets[&extent.tensor].form;
                with_width!(form.width(), N => {
                    if zeros == Zeros::Canonical {
                        bits::canonical::<N>(&mut desk.input);
                    }
                    let packed = bits::pack::<N>(&desk.input, extent.first, form.columns());
                    if bits::unpack::<N>(&packed.bits, &packed.values, extent.len) != desk.input {
                        return Err(Error::Checkpoint(CheckpointError::NotReproduced {
                            name: self.tensors()[extent.tensor].name().to_owned(),
                            first: extent.first,
                        }));
                    }
                    desk.own.packed = packed;
                });
                Ok(())
            },
            |extent, desk| {
                let Target { form, kept } = &targets[&extent.tensor];
                if extent.first == 0 {
                    before = 0;
                }
                desk.own.before = before;
                before += (desk.own.packed.values.len() / form.width()) as u64;
                let is_last = extent.first + extent.len == form.entries;
                if before > *kept || is_last && before != *kept {
                    // It was counted otherwise.
                    return Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                        path: self.shards()[self.tensors()[extent.tensor].shard]
                            .path()
                            .to_owned(),
                    }));
                }
                Ok(())
            },
            |extent, desk| {
                let form = &targets[&extent.tensor].form;
                let shard = self.tensors()[extent.tensor].shard;
                let pieces = pieces(*extent, form, mem::take(&mut desk.own));
                desk.pieces.extend(pieces.map(|(part, at, bytes)| Piece {
                    shard,
                    position: plan.begins[&extent.tensor][part as usize] + at,
                    bytes,
                }));
                Ok(())
            },
        )
    }
}

/// What a worker has of its own.
#[derive(Default)]
struct Hands {
    packed: Packed,
    /// Values of the tensor before those of the chunk.
    before: u64,
}

/// What a chunk gives to each part of a tensor, and where in the part.
fn pieces(extent: Extent, form: &Form, hands: Hands) -> impl Iterator<Item = (Part, u64, Vec<u8>)> {
    let Hands { packed, before } = hands;
    let shape = if extent.first == 0 {
        form.shape
            .iter()
            .flat_map(|&n| (n as i64).to_le_bytes())
            .collect()
    } else {
        Vec::new()
    };
    let offsets = packed.offsets.iter();
    let offsets = offsets.flat_map(|offset| (before + offset).to_le_bytes());
    let row = extent.first.div_ceil(form.columns()) as u64;
    [
        (Part::Shape, 0, shape),
        (Part::RowOffsets, row * 8, offsets.collect()),
        (Part::Compressed, before * form.width() as u64, packed.values),
        (Part::Bitmask, (extent.first / 8) as u64, packed.bits),
    ]
    .into_iter()
}

/// Where everything goes.
struct Plan {
    layouts: Vec<Layout>,
    /// By packed tensor: where each of its parts begins.
    begins: BTreeMap<usize, [u64; 4]>,
    copied: Vec<Copied>,
    /// The names of the new tensors, by shard.
    names: Vec<Vec<String>>,
    /// Bytes of all new tensors.
    size: u64,
}

impl Plan {
    fn new(checkpoint: &Checkpoint, targets: &BTreeMap<usize, Target>) -> Result<Self> {
        let mut plan = Plan {
            layouts: Vec::new(),
            begins: BTreeMap::new(),
            copied: Vec::new(),
            names: Vec::new(),
            size: 0,
        };
        for (number, shard) in checkpoint.shards().iter().enumerate() {
            // Of each new tensor: what it is, and what tensor it comes from, in whole or as a part.
            let mut planned: Vec<(Planned, usize, Option<Part>)> = Vec::new();
            for entry in &shard.header.entries {
                let Ok(tensor) = checkpoint.number(&entry.name) else {
                    continue;
                };
                match targets.get(&tensor) {
                    Some(Target { form, kept }) => {
                        let parts = form.parts(&entry.name, *kept as usize).into_iter().zip(Part::ALL);
                        planned.extend(parts.map(|(planned, part)| (planned, tensor, Some(part))));
                    }
                    None => planned.push((
                        Planned {
                            name: entry.name.clone(),
                            dtype: entry.dtype,
                            shape: entry.shape.clone(),
                        },
                        tensor,
                        None,
                    )),
                }
            }
            // Wide types first, so that every tensor lies where all readers can take it. The original's order is in
            // its header.
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
            for ((_, tensor, part), begin) in planned.iter().zip(&layout.begins) {
                let info = &checkpoint.tensors()[*tensor];
                match part {
                    Some(part) => plan.begins.entry(*tensor).or_default()[*part as usize] = *begin,
                    None => plan.copied.push(Copied {
                        shard: number,
                        from: info.begin,
                        to: *begin,
                        len: info.bytes(),
                    }),
                }
            }
            plan.names
                .push(tensors.into_iter().map(|tensor| tensor.name).collect());
            plan.layouts.push(layout);
        }
        plan.copied = join(plan.copied);
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
        let note = Some((record::INDEX_KEY, &old[..]));
        index::replaced(path, &placed.collect(), self.size, note).map(Some)
    }
}
