//! How many bytes ranking is going to read, so that its progress has a total from the start.

use crate::checkpoint::{Checkpoint, Scope, TensorInfo};
use crate::mask::patterns::entries::usual_passes;
use crate::mask::{ChannelRank, EntryRank, GlobalOptions, Plan};

impl Checkpoint {
    /// The bytes that ranking these tensors is going to read, each as often as it is read.
    pub(in crate::checkpoint) fn bytes_to_rank(
        &self,
        tensors: &[usize],
        plan: &Plan<'_>,
        scope: Scope,
        options: &GlobalOptions<'_>,
    ) -> u64 {
        let infos = || tensors.iter().map(|&tensor| &self.tensors()[tensor]);
        let once: u64 = infos().map(TensorInfo::bytes).sum();
        let by = match *plan {
            Plan::Entries { by, .. } => by,
            Plan::Channels {
                by: ChannelRank::Norm(_),
                ..
            }
            | Plan::Blocks { .. } => return once,
            _ => return 0,
        };
        let normalized = scope == Scope::Global && options.is_normalized();
        // Random keys and shares of a norm are ranked as f64.
        let bits = |info: &TensorInfo| match by {
            EntryRank::Random { .. } => 64,
            _ if normalized => 64,
            _ => info.dtype().bitsize(),
        };
        let each = || {
            let each = infos().map(|info| info.bytes() * usual_passes(info.entries(), bits(info)));
            each.sum::<u64>()
        };
        if scope == Scope::Local {
            return each();
        }
        let entries: usize = infos().map(TensorInfo::entries).sum();
        let limits = infos().map(|info| options.prunable(info.name(), info.entries(), info.entries()));
        let capped = limits.sum::<usize>() < entries;
        let norms = if normalized && !matches!(by, EntryRank::Random { .. }) {
            once
        } else {
            0
        };
        let caps = if capped { each() } else { 0 };
        let widest = infos().map(bits).max().unwrap_or(0);
        norms + caps + once * usual_passes(entries, widest)
    }
}
