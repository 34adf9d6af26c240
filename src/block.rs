//! Memory for values.
//!
//! `Bytes` made from a `Vec` keep their count in a block of its own, 24 bytes
//! allocated at the first clone, and a slice keeps all of its buffer alive. What is
//! stored is therefore put into memory of exactly its size: a small value together
//! with its count in one block, so that a read touches one line of memory less.

use bytes::Bytes;

/// Small values take so many bytes more at most than they are long.
const STEP: usize = 16;

/// The value in memory of its own.
pub(crate) fn own(bytes: Bytes) -> Bytes {
    match bytes.len().div_ceil(STEP) {
        0 => Bytes::new(),
        1 => one::<16>(&bytes),
        2 => one::<32>(&bytes),
        3 => one::<48>(&bytes),
        4 => one::<64>(&bytes),
        5 => one::<80>(&bytes),
        6 => one::<96>(&bytes),
        7 => one::<112>(&bytes),
        8 => one::<128>(&bytes),
        9 => one::<144>(&bytes),
        10 => one::<160>(&bytes),
        11 => one::<176>(&bytes),
        12 => one::<192>(&bytes),
        13 => one::<208>(&bytes),
        14 => one::<224>(&bytes),
        15 => one::<240>(&bytes),
        16 => one::<256>(&bytes),
        // Copies only what others share, and moves only what has room to spare.
        _ => Vec::from(bytes).into_boxed_slice().into(),
    }
}

fn one<const N: usize>(bytes: &[u8]) -> Bytes {
    let mut block = [0; N];
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
            assert_eq!(own(value.clone().into()), value);
        }
    }

    #[test]
    fn a_small_value_is_one_block_and_reading_it_allocates_nothing() {
        let value = Bytes::from(vec![1; 256]);
        let stored = allocation_counter::measure(|| std::mem::forget(own(value.clone())));
        assert_eq!(stored.count_total, 2, "one is the clone's of the test");
        let stored = own(value);
        let read = allocation_counter::measure(|| drop(stored.clone()));
        assert_eq!(read.count_total, 0);
    }

    #[test]
    fn a_slice_lets_go_of_its_buffer() {
        let held = |len: usize| {
            let mut stored = Bytes::new();
            let left = allocation_counter::measure(|| {
                let buffer = Bytes::from(vec![1; 1 << 20]);
                stored = own(buffer.slice(1000..1000 + len));
            });
            left.bytes_current
        };
        for len in [1, 64, 256, 257, 5000] {
            assert!(held(len) < 200 + i64::try_from(len).unwrap());
        }
    }

    #[test]
    fn a_large_value_that_nobody_shares_is_not_copied() {
        let value = Bytes::from(vec![1; 4096]);
        let at = value.as_ptr();
        assert_eq!(own(value).as_ptr(), at);
    }
}
