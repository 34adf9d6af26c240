//! What may still be read: for each key, each group and all, how old a value may be.

use std::sync::atomic::{AtomicU64, Ordering};

/// Loaded keys, and as many of a typed cache.
pub const KEYS: usize = 4096;
pub const GROUPS: usize = 64;

/// The moments of values that were put begin here.
pub const PUT: u64 = 1 << 63;

/// A number a moment, and of each thing that can be invalidated the last moment before an
/// invalidation that has returned.
///
/// A put takes the place of what was loaded before, and overtakes what is being loaded, as an
/// invalidation does. When it did so between its beginning and its end nobody knows, so that a
/// value that was put is of no moment, but [`PUT`].
#[derive(Debug)]
pub struct Truth {
    moments: AtomicU64,
    keys: Vec<AtomicU64>,
    groups: Vec<AtomicU64>,
    every: [AtomicU64; 2],
}

/// A key: of the plain cache, or of the typed one.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub typed: bool,
    pub number: usize,
}

impl Place {
    pub fn group(self) -> usize {
        self.number % GROUPS
    }

    fn index(self) -> usize {
        self.number + if self.typed { KEYS } else { 0 }
    }
}

/// What an invalidation reaches.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    Key(Place),
    Group(usize),
    Typed,
    Everything,
}

impl Truth {
    pub fn new() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            moments: AtomicU64::new(0),
            keys: zeros(2 * KEYS),
            groups: zeros(GROUPS),
            every: Default::default(),
        }
    }

    /// A moment after all before it.
    pub fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// An invalidation, or a put, that began at a moment has returned.
    pub fn returned(&self, reach: Reach, began: u64) {
        let floor = match reach {
            Reach::Key(place) => &self.keys[place.index()],
            Reach::Group(group) => &self.groups[group],
            Reach::Typed => &self.every[1],
            Reach::Everything => &self.every[0],
        };
        floor.fetch_max(began, Ordering::SeqCst);
    }

    /// A call that begins now must read nothing that was loaded before this moment.
    pub fn floor(&self, place: Place) -> u64 {
        let all = [
            &self.keys[place.index()],
            &self.groups[place.group()],
            &self.every[0],
            &self.every[usize::from(place.typed)],
        ];
        let floors = all.map(|floor| floor.load(Ordering::SeqCst));
        floors.into_iter().max().unwrap_or(0)
    }
}
