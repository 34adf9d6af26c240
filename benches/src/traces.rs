//! Streams of requests for `ratio`: recorded traces and drawn streams.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::draw;

/// Printed if no folder of traces is given.
pub const HOW_TO: &str = "\
No recorded traces were given, so only drawn streams are measured. Give a folder with
--traces DIR, such as --traces ../shared/traces. Each file NAME.u32 in the folder is a trace:
one little-endian u32 per request, with ids numbered 0, 1, 2 and so on without gaps.";

/// A stream of requests.
#[derive(Debug)]
pub struct Trace {
    /// The name of the file, or of the distribution.
    pub name: String,
    /// The kind of service.
    pub family: String,
    /// The object of each request.
    pub ids: Vec<u32>,
    /// The number of objects: every id is below.
    pub distinct: u32,
}

impl Trace {
    fn new(name: impl Into<String>, family: impl Into<String>, ids: Vec<u32>) -> Self {
        let (name, family) = (name.into(), family.into());
        // Renumber the ids in the order of first appearance: no gaps, and the same hit ratio.
        let mut numbers = std::collections::HashMap::new();
        let ids: Vec<u32> = ids
            .into_iter()
            .map(|id| {
                let next = u32::try_from(numbers.len()).expect("ids are u32");
                *numbers.entry(id).or_insert(next)
            })
            .collect();
        let distinct = u32::try_from(numbers.len()).expect("ids are u32");
        Self {
            name,
            family,
            ids,
            distinct,
        }
    }
}

/// Reads every trace of a folder.
pub fn recorded(folder: &Path) -> Result<Vec<Trace>> {
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut traces = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension() == Some(OsStr::new("u32")) {
            traces.push(read(&path)?);
        }
    }
    ensure!(!traces.is_empty(), "no *.u32 in {}", folder.display());
    traces.sort_by(|one, other| (&one.family, &one.name).cmp(&(&other.family, &other.name)));
    Ok(traces)
}

fn read(path: &Path) -> Result<Trace> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (words, rest) = bytes.as_chunks::<4>();
    ensure!(
        rest.is_empty() && !words.is_empty(),
        "{} is not a sequence of u32",
        path.display()
    );
    let ids = words.iter().copied().map(u32::from_le_bytes).collect();
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let family = family(&name).to_owned();
    Ok(Trace::new(name, family, ids))
}

/// The kind of service, from the beginning of a trace's name.
fn family(name: &str) -> &str {
    const FAMILIES: [(&str, &str); 5] = [
        ("orm", "ORM"),
        ("web", "web"),
        ("scarab", "recommendation"),
        ("arc-oltp", "OLTP"),
        ("lirs", "LIRS"),
    ];
    let mut families = FAMILIES.iter();
    families
        .find(|(start, _)| name.starts_with(start))
        .map_or("other", |(_, family)| family)
}

/// Draws the streams that need no file, over `ids` ids.
pub fn drawn(ids: u32, length: usize) -> Vec<Trace> {
    let zipf = |exponent| {
        let drawn = draw::zipf(ids, exponent, length, 11);
        Trace::new(format!("zipf-{exponent}"), "Zipf", drawn)
    };
    vec![
        zipf(0.8),
        zipf(0.99),
        zipf(1.2),
        Trace::new("zipf-scans", "Zipf + scans", scans(ids, length)),
        Trace::new("hot-spots", "shifting hot spots", hot_spots(ids, length)),
        Trace::new("loop", "loop", (0..ids / 5).cycle().take(length).collect()),
    ]
}

/// Zipf's law over half of the ids, interrupted by scans over the other half, as from a
/// report. One request in five belongs to a scan.
fn scans(ids: u32, length: usize) -> Vec<u32> {
    let half = ids / 2;
    let popular = draw::zipf(half, 0.99, length, 13);
    let mut scanned = (half..ids).cycle();
    let long = half as usize / 5;
    let mut stream = Vec::with_capacity(length + long);
    for piece in popular.chunks(4 * long) {
        stream.extend(piece);
        stream.extend(scanned.by_ref().take(long));
    }
    stream.truncate(length);
    stream
}

/// Zipf's law, with other popular ids in each tenth of the stream.
fn hot_spots(ids: u32, length: usize) -> Vec<u32> {
    let tenth = length.div_ceil(10);
    let mut stream = draw::zipf(ids, 0.99, length, 17);
    for (at, piece) in stream.chunks_mut(tenth).enumerate() {
        let step = u32::try_from(at).expect("ten at most") * (ids / 10);
        for id in piece {
            *id = (*id + step) % ids;
        }
    }
    stream
}
