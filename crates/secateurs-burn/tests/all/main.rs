//! All tests of the adapter, in one program.

mod common;
mod errors;
mod masks;
mod prunable;
mod records;
mod reparameterizations;
mod schedules;
mod training;
