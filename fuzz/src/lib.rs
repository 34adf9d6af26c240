//! What the fuzz targets run: see `README.md`.

pub mod operations;
