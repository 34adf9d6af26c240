//! Keys and tags that no text can be: those of typed caches.
//!
//! UTF-8 has no byte of 255, so what begins with one is never a caller's own key or tag.
//! The key of a typed cache is that byte, the cache's name, the byte again, and the key as
//! postcard writes it: where the name ends is beyond doubt, whatever is in either.

use std::borrow::Cow;
use std::fmt::Write;

use postcard::ser_flavors::Flavor;
use postcard::{Error, serialize_with_flavor};
use serde::Serialize;
use smallvec::SmallVec;

/// In no text.
const MARK: u8 = 0xFF;

/// How many bytes of a key need no memory of their own.
const INLINE: usize = 64;

/// The name of a typed cache, as its keys begin. It is the name of the tag that all of its
/// entries carry, too.
#[derive(Debug)]
pub(crate) struct Space {
    name: Box<[u8]>,
    /// How a key begins, and room for the rest of it. Empty if the name fills it.
    begun: Option<[u8; INLINE]>,
}

impl Space {
    pub(crate) fn new(name: &str) -> Self {
        let name: Box<[u8]> = [&[MARK], name.as_bytes(), &[MARK]].concat().into();
        let mut begun = [0; INLINE];
        let start = begun.get_mut(..name.len());
        let fits = start.map(|start| start.copy_from_slice(&name));
        Self {
            begun: fits.map(|()| begun),
            name,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Gives the cache's key of a caller's key, in place.
    #[inline]
    pub(crate) fn with_key<K: Serialize + ?Sized, R>(
        &self,
        key: &K,
        act: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let mut whole = Whole(match self.begun {
            Some(begun) => SmallVec::from_buf_and_len(begun, self.name.len()),
            None => SmallVec::from_slice(&self.name),
        });
        serialize_with_flavor(key, &mut whole)?;
        Ok(act(&whole.0))
    }
}

/// A key that is being written. It never lacks room: what a key type makes of an error is
/// not to matter.
struct Whole(SmallVec<[u8; INLINE]>);

impl Flavor for &mut Whole {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<(), Error> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> Result<(), Error> {
        Ok(())
    }
}

/// The name of the typed cache that a key belongs to, and its key there.
fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = key.strip_prefix(&[MARK])?;
    let end = rest.iter().position(|&byte| byte == MARK)?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// Whether a key is a caller's own text.
pub(crate) fn is_text(key: &[u8]) -> bool {
    key.first() != Some(&MARK)
}

/// A key as messages and listeners have it: a text as it is; of a typed cache its name, a
/// colon, and the key's encoded form, in which what is no text is in hexadecimal. Of a longer
/// key, and a longer name, no more than `most` bytes are looked at.
pub(crate) fn shown(key: &[u8], most: usize) -> Cow<'_, str> {
    let start = |bytes: &'_ [u8]| bytes.len().min(most);
    let Some((name, key)) = split(key) else {
        return String::from_utf8_lossy(&key[..start(key)]);
    };
    let mut shown = String::from_utf8_lossy(&name[..start(name)]).into_owned() + ":";
    for chunk in key[..start(key)].utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                letter if letter.is_control() => push_hex(&mut shown, letter as u32),
                letter => shown.push(letter),
            }
        }
        for byte in chunk.invalid() {
            push_hex(&mut shown, u32::from(*byte));
        }
    }
    shown.into()
}

fn push_hex(shown: &mut String, number: u32) {
    // A `String` is always written to.
    let _ = write!(shown, "<{number:02x}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<K: Serialize + ?Sized>(name: &str, key: &K) -> Vec<u8> {
        Space::new(name).with_key(key, <[u8]>::to_vec).unwrap()
    }

    #[test]
    fn names_and_keys_are_told_apart_whatever_is_in_them() {
        let names = ["", "a", "a:b", "a\0", "\u{ff}", "aa"];
        let keys = ["", "a", ":b", "b:c", "\u{ff}a\u{ff}", "\0"];
        let mut all: Vec<_> = names
            .iter()
            .flat_map(|name| keys.iter().map(|it| key(name, *it)))
            .collect();
        assert!(all.iter().all(|it| !is_text(it)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), names.len() * keys.len());
    }

    #[test]
    fn a_key_of_any_length_is_whole() {
        for len in 0..200 {
            let text = "x".repeat(len);
            let written = postcard::to_allocvec(&text).unwrap();
            let whole = key("users", text.as_str());
            assert_eq!(split(&whole), Some((&b"users"[..], &written[..])));
            let name = "n".repeat(len);
            assert_eq!(split(&key(&name, &7_u8)), Some((name.as_bytes(), &[7][..])));
        }
    }

    #[test]
    fn a_short_key_allocates_nothing() {
        let space = Space::new("users");
        let count = |len| {
            let text = "x".repeat(len);
            allocation_counter::measure(|| drop(space.with_key(&text, <[u8]>::len))).count_total
        };
        assert_eq!((count(56), count(57) > 0), (0, true));
    }

    #[test]
    fn keys_are_shown_with_their_name() {
        assert_eq!(shown(b"user:7", 9), "user:7");
        assert_eq!(shown(&key("users", "Ada"), 9), "users:<03>Ada");
        assert_eq!(shown(&key("users", &300_u16), 9), "users:<ac><02>");
        assert_eq!(shown(&key("users", "Ada Lovelace"), 4), "user:<0c>Ada");
        assert_eq!(shown("user:7".as_bytes(), 4), "user");
    }
}
