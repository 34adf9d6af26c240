//! Keys and tags of typed caches, distinct from every text.
//!
//! UTF-8 never contains the byte 255, so no key or tag of a caller begins with this byte. A
//! stored key of a typed cache is the byte 255, the name of the cache, the byte 255, and the key
//! in postcard's encoding. The name is UTF-8, so the second 255 marks the end of the name,
//! whatever bytes the encoded key contains.

use std::borrow::Cow;
use std::fmt::Write;

/// The byte before and after the name. Absent from every text.
const MARKER: u8 = 0xFF;

/// Returns the prefix of the keys of a typed cache. The prefix is also the name of the tag on
/// all entries of this cache.
pub(crate) fn prefix(name: &str) -> Box<[u8]> {
    [&[MARKER], name.as_bytes(), &[MARKER]].concat().into()
}

/// Splits a stored key into the name of the typed cache and the encoded key; `None` for a
/// text.
#[inline]
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = key.strip_prefix(&[MARKER])?;
    let end = rest.iter().position(|&byte| byte == MARKER)?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// Returns `true` if a stored key is a text of a caller, `false` if the key belongs to a typed
/// cache.
pub(crate) fn is_text(key: &[u8]) -> bool {
    // The first byte is enough: `split` looks for the end of the name.
    key.first() != Some(&MARKER)
}

/// Returns a key for messages and listeners: a text unchanged; for a typed cache the name, a
/// colon, and the encoded key, with control characters and invalid UTF-8 in hexadecimal. At most
/// `most` bytes of the key, and of the name, are read.
pub(crate) fn display(key: &[u8], most: usize) -> Cow<'_, str> {
    // A huge key must not cost time for each message: cut before the conversion.
    let start = |bytes: &'_ [u8]| bytes.len().min(most);
    let Some((name, key)) = split(key) else {
        return String::from_utf8_lossy(&key[..start(key)]);
    };
    // Encoded keys mix text with lengths and numbers. The text stays readable.
    let mut display = String::from_utf8_lossy(&name[..start(name)]).into_owned() + ":";
    for chunk in key[..start(key)].utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                letter if letter.is_control() => push_hex(&mut display, letter as u32),
                letter => display.push(letter),
            }
        }
        for byte in chunk.invalid() {
            push_hex(&mut display, u32::from(*byte));
        }
    }
    display.into()
}

fn push_hex(display: &mut String, number: u32) {
    // Writing to a `String` never fails.
    let _ = write!(display, "<{number:02x}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, key: &[u8]) -> Vec<u8> {
        [&prefix(name), key].concat()
    }

    #[test]
    fn split_returns_the_name_and_the_key_for_any_bytes() {
        let names = ["", "a", "a:b", "a\0", "\u{ff}", "aa"];
        let keys = ["", "a", ":b", "b:c", "\u{ff}a\u{ff}", "\0"].map(str::as_bytes);
        let mut all = Vec::new();
        for name in names {
            for body in keys
                .into_iter()
                .chain([&[MARKER][..], &[MARKER, b'a', MARKER]])
            {
                let whole = key(name, body);
                assert_eq!(split(&whole), Some((name.as_bytes(), body)));
                assert!(!is_text(&whole));
                all.push(whole);
            }
        }
        // No two pairs of name and key share a stored key.
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(split(b"a"), None);
    }

    #[test]
    fn display_of_a_typed_key_begins_with_the_name() {
        assert_eq!(display(b"user:7", 9), "user:7");
        assert_eq!(display(&key("users", b"\x03Ada"), 9), "users:<03>Ada");
        assert_eq!(display(&key("users", b"\xAC\x02"), 9), "users:<ac><02>");
        assert_eq!(
            display(&key("users", b"\x0CAda Lovelace"), 4),
            "user:<0c>Ada"
        );
        assert_eq!(display("user:7".as_bytes(), 4), "user");
    }
}
