//! What the command line asks of every bench.

use std::path::PathBuf;

/// Set once, for all benches of a run.
#[derive(Debug)]
pub struct Settings {
    /// A run of seconds, which checks that everything works. Its figures say nothing.
    pub quick: bool,
    /// Draw the plots into `docs/img/`.
    pub plots: bool,
    /// Where the recorded traces of `ratio` are.
    pub traces: Option<PathBuf>,
}

impl Settings {
    /// One of two sizes: that of a full run, or that of a quick one.
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many rounds are counted.
    pub fn rounds(&self) -> usize {
        self.size(15, 3)
    }
}
