//! A stream of requests: which keys are asked for, in which order.

/// How keys look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// `user:7`
    Short,
    /// 16 bytes.
    Sixteen,
    /// 48 bytes, the first 41 of which all keys share.
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

    /// What tables call them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "keys user:{id}",
            Self::Sixteen => "16-byte keys",
            Self::Long => "48-byte keys",
        }
    }
}

/// Requests, with the text of their keys one after the other.
///
/// Who handles a request has just put its key together, so the key is in the nearest
/// memory. Texts in the order of the requests give the same: a table of keys by id
/// would add a cache miss to every call.
#[derive(Debug)]
pub struct Requests {
    ids: Vec<u32>,
    text: String,
    /// Where the key of each request ends.
    ends: Vec<usize>,
}

impl Requests {
    /// Writes the keys of these ids down.
    pub fn new(keys: Keys, ids: Vec<u32>) -> Self {
        let mut text = String::new();
        let ends = ids.iter().map(|&id| {
            text.push_str(&keys.text(id));
            text.len()
        });
        let ends = ends.collect();
        Self { ids, text, ends }
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in order.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Each id with its key.
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
