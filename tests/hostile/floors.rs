//! The oldest value that a read may return, for each key, each group and the whole cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of plain keys, and of keys of the typed cache.
pub const KEYS: usize = 4096;
pub const GROUPS: usize = 64;

/// Values stored by a put carry moments from here on.
pub const PUT: u64 = 1 << 63;

/// A logical clock, and a floor for each key, each group and the whole cache: the latest
/// moment at which a since returned invalidation or put began.
///
/// A put replaces the loaded value and fences running loads, as an invalidation does. The
/// exact moment of the store, between the beginning and the end of the put, is unknown, so a
/// put value carries a moment above [`PUT`] and passes every floor.
#[derive(Debug)]
pub struct Floors {
    moments: AtomicU64,
    keys: Vec<AtomicU64>,
    groups: Vec<AtomicU64>,
    every: [AtomicU64; 2],
}

/// A key of the plain or of the typed cache.
#[derive(Clone, Copy, Debug)]
pub struct KeyId {
    pub typed: bool,
    pub number: usize,
}

impl KeyId {
    pub fn group(self) -> usize {
        self.number % GROUPS
    }

    fn index(self) -> usize {
        self.number + if self.typed { KEYS } else { 0 }
    }
}

/// The entries that an invalidation affects.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    Key(KeyId),
    Group(usize),
    Typed,
    Everything,
}

impl Floors {
    pub fn new() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            moments: AtomicU64::new(0),
            keys: zeros(2 * KEYS),
            groups: zeros(GROUPS),
            every: Default::default(),
        }
    }

    /// The next moment, later than every earlier one.
    pub fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Records that an invalidation or a put, which began at `began`, has returned.
    pub fn raise(&self, scope: Scope, began: u64) {
        let floor = match scope {
            Scope::Key(key) => &self.keys[key.index()],
            Scope::Group(group) => &self.groups[group],
            Scope::Typed => &self.every[1],
            Scope::Everything => &self.every[0],
        };
        floor.fetch_max(began, Ordering::SeqCst);
    }

    /// A call that begins now must not return a value loaded before this moment.
    pub fn floor(&self, key: KeyId) -> u64 {
        let all = [
            &self.keys[key.index()],
            &self.groups[key.group()],
            &self.every[0],
            &self.every[usize::from(key.typed)],
        ];
        let floors = all.map(|floor| floor.load(Ordering::SeqCst));
        floors.into_iter().max().unwrap_or(0)
    }
}
