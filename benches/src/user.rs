//! The typed value of `typed` and `load`.

use serde::{Deserialize, Serialize};

/// A row of a table of users: 54 bytes encoded, five allocations decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id, at least [`FIRST`](Self::FIRST).
    pub id: u32,
    /// Takes an allocation.
    pub name: String,
    /// Takes an allocation.
    pub email: String,
    /// Takes three allocations.
    pub roles: Vec<String>,
}

impl User {
    /// The smallest id. From here on postcard writes three bytes, so that every user has the
    /// same length.
    pub const FIRST: u32 = 1_000_000;

    /// The user of an id below a million.
    pub fn new(id: u32) -> Self {
        Self {
            id: Self::FIRST + id,
            name: format!("Ada {id:06}"),
            email: format!("ada{id:06}@example.co.uk"),
            roles: vec!["editor".into(), "owner12".into()],
        }
    }

    /// The postcard encoding, which must be 54 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).expect("a user can be encoded");
        assert_eq!(bytes.len(), 54, "{self:?}");
        bytes
    }
}
