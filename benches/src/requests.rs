//! A stream of requests: keys in the order of the requests.

/// The format of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// `user:7`
    Short,
    /// 16 bytes.
    Sixteen,
    /// 48 bytes, with the same first 41 bytes for all keys.
    Long,
}

impl Keys {
    /// The key of an id.
    pub fn text(self, id: u32) -> String {
        match self {
            Self::Short => format!("user:{id}"),
            Self::Sixteen => format!("object:{id:09}"),
            Self::Long => format!("session:v2:eu-central-1:tenant-0042:user:{id:07}"),
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "keys user:{id}",
            Self::Sixteen => "16-byte keys",
            Self::Long => "48-byte keys",
        }
    }
}

/// Requests, with the keys stored one after another in one text.
///
/// A request handler has just built its key, so the key is in the CPU cache. Keys stored in
/// the order of the requests behave the same; a table of keys by id would add a CPU cache miss
/// to every call.
#[derive(Debug)]
pub struct Requests {
    ids: Vec<u32>,
    text: String,
    /// The end of each key in `text`.
    ends: Vec<usize>,
}

impl Requests {
    /// Builds the keys of these ids.
    pub fn new(keys: Keys, ids: Vec<u32>) -> Self {
        let mut text = String::new();
        let ends = ids.iter().map(|&id| {
            text.push_str(&keys.text(id));
            text.len()
        });
        let ends = ends.collect();
        Self { ids, text, ends }
    }

    /// The number of requests.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in order.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Every id with its key.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        let mut start = 0;
        self.ids.iter().zip(&self.ends).map(move |(&id, &end)| {
            let key = &self.text[start..end];
            start = end;
            (id, key)
        })
    }
}
