//! The values of most benches: 64 bytes that begin with the id.

use bytes::Bytes;

/// The length of every value.
pub const LENGTH: usize = 64;

/// A new value from a `Vec`, as a decoder or a database driver returns.
pub fn value(id: u32) -> Bytes {
    let mut bytes = vec![b'.'; LENGTH];
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    Bytes::from(bytes)
}

/// Asserts that `bytes` is the value of this id.
pub fn check(id: u32, bytes: &[u8]) {
    assert_eq!(bytes.len(), LENGTH, "a value of another length");
    assert_eq!(bytes[..4], id.to_le_bytes(), "the value of another key");
}
