//! What the fuzz targets run: see `README.md`.

pub mod bytes;
mod expected;
pub mod operations;
pub mod options;

pub use self::expected::let_expected_panics_be;
