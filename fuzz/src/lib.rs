//! The functions that the fuzz targets run: see `README.md`.

pub mod bytes;
mod expected;
pub mod operations;
pub mod options;

pub use self::expected::silence_expected_panics;
