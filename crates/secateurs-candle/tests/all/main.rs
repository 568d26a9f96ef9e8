//! Tests of candle models: one binary, so that candle is linked once.

mod errors;
mod files;
mod masks;
mod prunable;
mod schedules;
mod training;
