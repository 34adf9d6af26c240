//! Memory for values.

use bytes::Bytes;

/// The value in memory of its own, of exactly its size.
///
/// What others share, and what belongs to a foreign owner or to the program, is copied:
/// a slice would keep all of its buffer alive, and no more can be found out about it.
/// What nobody shares is moved, and only its spare room is given back.
#[inline]
pub(crate) fn own(bytes: Bytes) -> Bytes {
    Vec::from(bytes).into_boxed_slice().into()
}

/// Allocates the count that `Bytes` made from a `Vec` have once they are shared, so that
/// no read has to.
pub(crate) fn share(bytes: Bytes) -> Bytes {
    drop(bytes.clone());
    bytes
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
    fn what_nobody_shares_is_not_copied() {
        let value = Bytes::from(vec![1; 64]);
        let at = value.as_ptr();
        assert_eq!(own(value).as_ptr(), at);
    }

    #[test]
    fn a_slice_lets_go_of_its_buffer() {
        for len in [0, 1, 64, 5000] {
            let mut stored = Bytes::new();
            let left = allocation_counter::measure(|| {
                let buffer = Bytes::from(vec![1; 1 << 20]);
                stored = own(buffer.slice(1000..1000 + len));
            });
            assert_eq!(left.bytes_current, i64::try_from(len).unwrap());
        }
    }

    #[test]
    fn a_shared_value_is_read_without_allocating() {
        let value = share(own(vec![1; 64].into()));
        let read = allocation_counter::measure(|| drop(value.clone()));
        assert_eq!(read.count_total, 0);
    }
}
