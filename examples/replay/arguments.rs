//! The arguments of the command line.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::stream::Stream;

pub(crate) const USAGE: &str = "\
usage: cargo run --release --example replay -- [--record FILE] [TRACE]

TRACE is a file of little-endian u32 keys, one for each read, such as a file of
../shared/traces/*.u32. Without TRACE, a Zipf stream is drawn from a fixed seed.

--record FILE writes the time series of the slow database to FILE, as tab-separated values.
`cargo run --release --manifest-path benches/Cargo.toml -- draw FILE` draws it.";

pub(crate) struct Arguments {
    pub(crate) stream: Stream,
    pub(crate) record: Option<File>,
}

impl Arguments {
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Self> {
        let (mut trace, mut record) = (None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--record" {
                let path = arguments.next().context("--record needs a file")?;
                ensure!(record.is_none(), "--record is there twice");
                record = Some(PathBuf::from(path));
            } else if argument.as_encoded_bytes().starts_with(b"--") {
                bail!("unknown option {}", argument.to_string_lossy());
            } else {
                ensure!(trace.is_none(), "several traces: give one trace, or none");
                trace = Some(argument);
            }
        }
        let stream = match trace {
            Some(path) => Stream::trace(Path::new(&path))?,
            None => Stream::zipf()?,
        };
        // Now, so that a wrong path is an error at once and not after the run.
        let create = |path: PathBuf| {
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))
        };
        let record = record.map(create).transpose()?;
        Ok(Self { stream, record })
    }
}
