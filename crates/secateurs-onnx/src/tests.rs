//! Small models, built here: what is coupled, what is held, and that smaller models compute the same.

mod builder;
mod couplings;
mod damage;
mod masked;
mod norms;
mod quantized;
mod random;
mod shared;
mod unused;
