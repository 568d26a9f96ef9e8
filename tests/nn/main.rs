//! Modules as values and as trees: clones, boxes, containers, walks, loading and optimiser states.

#[path = "../fixtures/mod.rs"]
mod fixtures;

mod boxed;
mod clones;
mod identity;
mod layers;
mod loading;
mod lstm_gradients;
mod lstm_masks;
mod masked_steps;
mod modes;
mod optimisers;
mod sequential;
mod sizes;
#[cfg(feature = "rayon")]
mod threads;
mod trees;
