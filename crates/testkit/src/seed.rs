//! Randomness that can be repeated.

use std::env;

use rand::{SeedableRng, rngs::StdRng};

/// The seed of this run: `PLATEPAL_SEED`, or a new one. Printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = match env::var("PLATEPAL_SEED") {
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("PLATEPAL_SEED must be a number (it is {text:?})"))
        }
        Err(_) => rand::random(),
    };
    eprintln!("seed: {seed} (repeat this run with PLATEPAL_SEED={seed})");
    seed
}

/// A generator from a seed: the same numbers every time.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
