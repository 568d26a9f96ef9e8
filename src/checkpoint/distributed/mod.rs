//! Global pruning of a checkpoint whose files lie on several machines, exactly as one machine does it.
//!
//! A global selection is found by counting, and counts can be added up. So each machine counts in the files that it
//! has, one process merges the counts, and each machine prunes its files by what was found:
//!
//! | | where | |
//! |---|---|---|
//! | [`Checkpoint::summarize`](super::Checkpoint::summarize) | on a machine, for each of its files | the tensors, from the header |
//! | [`Search::new`] | in one process | what is to be pruned |
//! | [`Checkpoint::count`](super::Checkpoint::count) | on a machine, for each of its files | counts for a [`Pass`] |
//! | [`Counts::merge`] | anywhere, in any order | adds counts |
//! | [`Search::end_pass`] | in one process | a [`GlobalSelection`], or the next pass |
//! | [`Checkpoint::apply_selection`](super::Checkpoint::apply_selection) | on a machine, for each of its files | the pruned file |
//!
//! ```
//! use secateurs::checkpoint::distributed::Search;
//! use secateurs::checkpoint::{Checkpoint, Dtype, Existing};
//! use secateurs::mask::{GlobalOptions, L1Unstructured};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let (one, other) = (folder.path().join("1.safetensors"), folder.path().join("2.safetensors"));
//! # for (path, name, values) in [(&one, "a.weight", [0.5_f32, -0.1, 0.1, 0.2]), (&other, "b.weight", [9.0, 0.1, 7.0, -8.0])] {
//! #     let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
//! #     let weight = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
//! #     safetensors::serialize_to_file([(name, weight)], None, path).unwrap();
//! # }
//! // Two files, which may be on two machines. All that is sent between them can be serialised.
//! let files = [Checkpoint::open(&one)?, Checkpoint::open(&other)?];
//! let tensors = files.iter().flat_map(Checkpoint::summarize);
//! let half = L1Unstructured::new(0.5)?;
//! let mut search = Search::new(tensors, ["a.weight", "b.weight"], &half, &GlobalOptions::new())?;
//! let selection = loop {
//!     let counts = files[0].count(search.pass())?.merge(files[1].count(search.pass())?)?;
//!     if let Some(selection) = search.end_pass(counts)? {
//!         break selection;
//!     }
//! };
//! // Of the three entries ±0.1, all are pruned, and 0.2.
//! let pruned: Vec<_> = selection.tensors().map(|(tensor, pruned)| (tensor.name(), pruned)).collect();
//! assert_eq!(pruned, [("a.weight", 3), ("b.weight", 1)]);
//! for (file, name) in files.iter().zip(["1", "2"]) {
//!     file.apply_selection(&selection)?.write(folder.path().join(name), Existing::Replace)?;
//! }
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # What is equal
//!
//! The pruned files hold the bytes that [`Checkpoint::prune`](super::Checkpoint::prune) with
//! [`Scope::Global`](super::Scope) writes, whatever the number of machines, and whichever file is on which: ties at the
//! cut are pruned in the order of the whole checkpoint. For that, the last pass counts the ties of each tensor.
//!
//! # When a machine fails
//!
//! [`count`](super::Checkpoint::count) and [`apply_selection`](super::Checkpoint::apply_selection) depend on the file and
//! on what they are given, and on nothing else. They can be repeated anywhere where the file can be read, as often as
//! needed. Counts of a tensor that come twice, that are missing, or that are of an earlier pass are errors. With
//! [`Existing::Replace`](super::Existing), a repeated [`write`](ShardJob::write) replaces a file by an equal one.
//!
//! # What it costs
//!
//! A pass reads each file once, as selection in one process does, and takes the same memory. There is one pass for
//! tensors of 16 bits, two for f32, up to four for f64 and for scores that are quotients; then one that counts ties.
//! Norms and caps take passes of their own, of each tensor by itself, within the first call of
//! [`count`](super::Checkpoint::count). A pass sends the list of tensors and a few numbers to each machine. Back come
//! counts of those keys that occur, whose number depends on the spread of the weights and not on how many there are:
//! usually some 10,000 counts, and at most 32 MB. The last pass sends two numbers for each tensor.

mod counts;
mod error;
mod pass;
mod search;
mod selection;
mod summary;

pub use counts::Counts;
pub use error::DistributedError;
pub use pass::Pass;
pub use search::Search;
pub use selection::{GlobalSelection, ShardJob};
pub use summary::TensorSummary;
