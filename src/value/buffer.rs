//! Buffers for stored values, exactly as large as the value.
//!
//! `Bytes` made from a `Vec` allocate the reference count separately, 24 bytes at the first
//! clone, and a slice of `Bytes` keeps the whole buffer alive.

use bytes::Bytes;

/// Returns the bytes in a buffer without other owners and without spare capacity.
///
/// Shared, static and foreign bytes are copied, because `Bytes` does not tell the size of the
/// buffer behind. Unshared bytes are moved, and only the spare capacity is given back.
#[inline]
pub(crate) fn into_exact(bytes: Bytes) -> Bytes {
    Vec::from(bytes).into_boxed_slice().into()
}

/// Returns the bytes in a buffer without other owners, with the reference count in the same
/// allocation if there are at most 256 bytes.
///
/// For values read by decoding: a decoding read touches every byte, so a count beside the bytes
/// is already in the processor's cache. A read of `get_bytes` may never touch the bytes; for
/// such entries separate counts are faster, two per line of memory.
pub(crate) fn with_inline_count(bytes: Bytes) -> Bytes {
    // A fixed set of sizes, because `Bytes::from_owner` puts a value of a known size beside the
    // count. Up to 128 bytes a step wastes less than 16 bytes, above less than a third.
    match bytes.len().div_ceil(16) {
        0 => Bytes::new(),
        1 => block::<16>(&bytes),
        2 => block::<32>(&bytes),
        3 => block::<48>(&bytes),
        4 => block::<64>(&bytes),
        5 => block::<80>(&bytes),
        6 => block::<96>(&bytes),
        7 => block::<112>(&bytes),
        8 => block::<128>(&bytes),
        9..=12 => block::<192>(&bytes),
        13..=16 => block::<256>(&bytes),
        _ => {
            let bytes = into_exact(bytes);
            // The first clone allocates the count: here, so that no read has to allocate.
            drop(bytes.clone());
            bytes
        }
    }
}

/// Copies the bytes into a block of `SIZE` bytes, allocated together with the count.
fn block<const SIZE: usize>(bytes: &[u8]) -> Bytes {
    let mut block = [0; SIZE];
    block[..bytes.len()].copy_from_slice(bytes);
    let mut block = Bytes::from_owner(block);
    block.truncate(bytes.len());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_every_length_keep_the_bytes() {
        for len in 0..600 {
            let value: Vec<u8> = (0..=250).cycle().take(len).collect();
            assert_eq!(into_exact(value.clone().into()), value);
            assert_eq!(with_inline_count(value.clone().into()), value);
        }
    }

    #[test]
    fn unshared_bytes_are_not_copied() {
        let value = Bytes::from(vec![1; 64]);
        let at = value.as_ptr();
        assert_eq!(into_exact(value).as_ptr(), at);
    }

    #[test]
    fn stored_slice_does_not_keep_the_buffer_alive() {
        for len in [0, 1, 64, 5000] {
            let mut stored = Bytes::new();
            let left = allocation_counter::measure(|| {
                let buffer = Bytes::from(vec![1; 1 << 20]);
                stored = into_exact(buffer.slice(1000..1000 + len));
            });
            assert_eq!(left.bytes_current, i64::try_from(len).unwrap());
        }
    }

    #[test]
    fn up_to_256_bytes_share_an_allocation_with_the_count() {
        let program = Bytes::from_static(&[1; 257]);
        for len in 0..=257 {
            let mut stored = Bytes::new();
            let made =
                allocation_counter::measure(|| stored = with_inline_count(program.slice(..len)));
            // None for no bytes, one up to 256, and two above: the buffer and the count.
            let blocks = [1, 0, 2][usize::from(len == 0) + 2 * usize::from(len == 257)];
            assert_eq!(made.count_total, blocks, "a value of {len} bytes");
            // The bound: the next multiple of 16, or half of the length more; and the count.
            let most = len.next_multiple_of(16).max(len * 3 / 2) + 64;
            assert!(
                usize::try_from(made.bytes_max).unwrap() <= most,
                "a value of {len} bytes: {made:?}"
            );
        }
    }

    #[test]
    fn clone_of_a_value_with_inline_count_allocates_nothing() {
        for len in [1, 64, 256, 257] {
            let value = with_inline_count(vec![1; len].into());
            let read = allocation_counter::measure(|| drop(value.clone()));
            assert_eq!(read.count_total, 0);
        }
    }
}
