//! The stream of look-ups: a recorded trace, or random numbers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

pub(crate) struct Stream {
    pub(crate) title: String,
    /// The number of users. Ids begin at 0.
    pub(crate) users: u32,
    pub(crate) lookups: Vec<Lookup>,
    /// The number of look-ups that come after a write.
    pub(crate) writes: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Lookup {
    pub(crate) id: u32,
    /// Whether the caller writes the row before the look-up.
    pub(crate) after_write: bool,
}

impl Stream {
    /// Reads a trace. Keys get new numbers in the order of their first appearance, so
    /// that the database has exactly one row for each key.
    pub(crate) fn trace(path: &Path) -> Result<Self> {
        let title = path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read {title}"))?;
        ensure!(
            !bytes.is_empty(),
            "{title} is empty: a trace needs at least one key"
        );
        ensure!(
            bytes.len() % 4 == 0,
            "{title} has {} bytes, not a multiple of four: the last key is cut off, copy the file again",
            bytes.len(),
        );
        let mut renumbered = HashMap::new();
        let mut ids = Vec::with_capacity(bytes.len() / 4);
        for key in bytes.chunks_exact(4) {
            let key = u32::from_le_bytes(key.try_into()?);
            let unused = u32::try_from(renumbered.len())?;
            ids.push(*renumbered.entry(key).or_insert(unused));
        }
        let users = u32::try_from(renumbered.len())?;
        Ok(Self::new(title, users, &ids))
    }

    /// Draws a stream with a few popular users, the same in every run.
    pub(crate) fn zipf() -> Result<Self> {
        let (users, lookups, exponent) = (100_000_u32, 500_000, 0.99);
        let mut random = StdRng::seed_from_u64(1);
        // Without the shuffle, the popular rows would be neighbours in the file.
        let mut by_rank: Vec<u32> = (0..users).collect();
        by_rank.shuffle(&mut random);
        let ranks = Zipf::new(f64::from(users), exponent)?;
        let ids: Vec<u32> = (0..lookups)
            .map(|_| by_rank[index(random.sample(ranks))])
            .collect();
        let title = format!("Zipf stream, exponent {exponent}");
        Ok(Self::new(title, users, &ids))
    }

    /// Puts a write before two in a hundred look-ups, the same in every run.
    fn new(title: String, users: u32, ids: &[u32]) -> Self {
        let mut random = StdRng::seed_from_u64(2);
        let lookups: Vec<Lookup> = ids
            .iter()
            .map(|&id| Lookup {
                id,
                after_write: random.random_bool(0.02),
            })
            .collect();
        let writes = lookups.iter().filter(|lookup| lookup.after_write).count() as u64;
        Self {
            title,
            users,
            lookups,
            writes,
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a whole number from 1 to the number of users"
)]
fn index(rank: f64) -> usize {
    rank as usize - 1
}
