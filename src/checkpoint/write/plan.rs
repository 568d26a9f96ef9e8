//! [`OutputPlan`]: what the files of a new checkpoint consist of, apart from the tensors that are written anew.

use crate::checkpoint::{Checkpoint, Shard, TensorInfo};

/// What the files of a new checkpoint consist of.
#[derive(Clone, Debug, Default)]
pub(in crate::checkpoint) struct OutputPlan {
    /// By shard of the input; `None` for one of which nothing remains.
    pub files: Vec<Option<NewFile>>,
    /// What is copied as it is.
    pub copied: Vec<Copied>,
    /// The new index, where it differs from the old one.
    pub index: Option<String>,
}

/// A new file, under the name of the shard that it comes from.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct NewFile {
    /// What it begins with, unless that is copied.
    pub header: Vec<u8>,
    /// Its length.
    pub len: u64,
}

/// Bytes that go from a file of the input into the new one as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Copied {
    pub shard: usize,
    pub from: u64,
    pub to: u64,
    pub len: u64,
}

impl OutputPlan {
    /// The same layout: every byte at its place, headers included, except those of some tensors, which are written
    /// anew.
    pub fn same_layout(checkpoint: &Checkpoint, except: &[usize]) -> Self {
        let mut plan = OutputPlan::default();
        for (number, shard) in checkpoint.shards().iter().enumerate() {
            let infos = except.iter().map(|&tensor| &checkpoint.tensors()[tensor]);
            let mut anew: Vec<_> = infos
                .filter(|info| info.shard == number)
                .map(|info| (info.begin, info.begin + info.bytes()))
                .collect();
            anew.sort_unstable();
            anew.push((shard.bytes(), shard.bytes()));
            let mut position = 0;
            for (begin, end) in anew {
                plan.copied.push(Copied {
                    shard: number,
                    from: position,
                    to: position,
                    len: begin - position,
                });
                position = end;
            }
            plan.files.push(Some(NewFile {
                header: Vec::new(),
                len: shard.bytes(),
            }));
        }
        plan
    }

    /// Copies a tensor to a position of the file that comes from its shard.
    pub fn copy(&mut self, info: &TensorInfo, to: u64) {
        let (shard, from, len) = (info.shard, info.begin, info.bytes());
        self.copied.push(Copied { shard, from, to, len });
    }

    /// Bytes of all new files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().flatten().map(|file| file.len).sum()
    }

    /// What is copied, in the order of the input, neighbours together.
    pub(super) fn joined(&self) -> Vec<Copied> {
        let mut parts = self.copied.clone();
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
}

/// Bytes of all files of a checkpoint.
pub(in crate::checkpoint) fn bytes(shards: &[Shard]) -> u64 {
    shards.iter().map(Shard::bytes).sum()
}
