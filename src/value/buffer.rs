//! Memory for values, of exactly their size.
//!
//! `Bytes` made from a `Vec` keep their count in a block of its own, 24 bytes allocated
//! at the first clone, and a slice keeps all of its buffer alive.

use bytes::Bytes;

/// Bytes as they are put, in memory of their own.
///
/// What others share, and what belongs to a foreign owner or to the program, is copied:
/// no more can be found out about it. What nobody shares is moved, and only its spare
/// room is given back.
#[inline]
pub(crate) fn into_exact(bytes: Bytes) -> Bytes {
    Vec::from(bytes).into_boxed_slice().into()
}

/// A value's bytes, in memory of their own together with their count if they are few.
///
/// Who reads a value reads all of its bytes: so its count is best beside them, and is
/// there already. Who hands bytes on may never look at them, and finds counts faster
/// where they are apart, two a line of memory.
pub(crate) fn with_inline_count(bytes: Bytes) -> Bytes {
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
            drop(bytes.clone());
            bytes
        }
    }
}

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
    fn every_length_is_kept() {
        for len in 0..600 {
            let value: Vec<u8> = (0..=250).cycle().take(len).collect();
            assert_eq!(into_exact(value.clone().into()), value);
            assert_eq!(with_inline_count(value.clone().into()), value);
        }
    }

    #[test]
    fn what_nobody_shares_is_not_copied() {
        let value = Bytes::from(vec![1; 64]);
        let at = value.as_ptr();
        assert_eq!(into_exact(value).as_ptr(), at);
    }

    #[test]
    fn a_slice_lets_go_of_its_buffer() {
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
    fn few_bytes_and_their_count_are_allocated_together() {
        let program = Bytes::from_static(&[1; 257]);
        for len in 0..=257 {
            let mut stored = Bytes::new();
            let made =
                allocation_counter::measure(|| stored = with_inline_count(program.slice(..len)));
            let blocks = [1, 0, 2][usize::from(len == 0) + 2 * usize::from(len == 257)];
            assert_eq!(made.count_total, blocks, "{len}");
            // The most that is wasted is a quarter, or less than a step, beside the count.
            let most = len.next_multiple_of(16).max(len * 3 / 2) + 64;
            assert!(
                usize::try_from(made.bytes_max).unwrap() <= most,
                "{len}: {made:?}"
            );
        }
    }

    #[test]
    fn a_value_with_its_count_is_read_without_allocating() {
        for len in [1, 64, 256, 257] {
            let value = with_inline_count(vec![1; len].into());
            let read = allocation_counter::measure(|| drop(value.clone()));
            assert_eq!(read.count_total, 0);
        }
    }
}
