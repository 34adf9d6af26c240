//! Settings from the command line, for every bench.

use std::path::PathBuf;

/// The settings of a run.
#[derive(Debug)]
pub struct Settings {
    /// A run of a few seconds that only checks that everything works: the figures mean nothing.
    pub quick: bool,
    /// Draws plots into `docs/img/`.
    pub plots: bool,
    /// The folder of recorded traces for `ratio`.
    pub traces: Option<PathBuf>,
}

impl Settings {
    /// Returns the size for a full or for a quick run.
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The number of counted rounds.
    pub fn rounds(&self) -> usize {
        self.size(15, 3)
    }
}
