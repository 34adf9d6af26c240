//! Keys and tags that no text can be: those of typed caches.
//!
//! UTF-8 has no byte of 255, so what begins with one is never a caller's own key or tag.
//! The key of a typed cache is that byte, the cache's name, the byte again, and the key as
//! postcard writes it: where the name ends is beyond doubt, whatever is in either.

use std::borrow::Cow;
use std::fmt::Write;

/// In no text.
const MARKER: u8 = 0xFF;

/// How the keys of a typed cache begin. It is the name of the tag that all of its entries
/// carry, too.
pub(crate) fn prefix(name: &str) -> Box<[u8]> {
    [&[MARKER], name.as_bytes(), &[MARKER]].concat().into()
}

/// The name of the typed cache that a key belongs to, and its key there.
#[inline]
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = key.strip_prefix(&[MARKER])?;
    let end = rest.iter().position(|&byte| byte == MARKER)?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// Whether a key is a caller's own text.
pub(crate) fn is_text(key: &[u8]) -> bool {
    key.first() != Some(&MARKER)
}

/// A key as messages and listeners have it: a text as it is; of a typed cache its name, a
/// colon, and the key's encoded form, in which what is no text is in hexadecimal. Of a longer
/// key, and a longer name, no more than `most` bytes are looked at.
pub(crate) fn display(key: &[u8], most: usize) -> Cow<'_, str> {
    let start = |bytes: &'_ [u8]| bytes.len().min(most);
    let Some((name, key)) = split(key) else {
        return String::from_utf8_lossy(&key[..start(key)]);
    };
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
    // A `String` is always written to.
    let _ = write!(display, "<{number:02x}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, key: &[u8]) -> Vec<u8> {
        [&prefix(name), key].concat()
    }

    #[test]
    fn names_and_keys_are_told_apart_whatever_is_in_them() {
        let names = ["", "a", "a:b", "a\0", "\u{ff}", "aa"];
        let keys = ["", "a", ":b", "b:c", "\u{ff}a\u{ff}", "\0"].map(str::as_bytes);
        let mut all = Vec::new();
        for name in names {
            for it in keys
                .into_iter()
                .chain([&[MARKER][..], &[MARKER, b'a', MARKER]])
            {
                let whole = key(name, it);
                assert_eq!(split(&whole), Some((name.as_bytes(), it)));
                assert!(!is_text(&whole));
                all.push(whole);
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(split(b"a"), None);
    }

    #[test]
    fn keys_are_shown_with_their_name() {
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
