//! How arrays are numbered, and how they grow.
//!
//! Doubling, the habit of `Vec`, leaves a quarter of the room unused on average, and
//! half of it at an unlucky size. Here a large array grows by an eighth.

/// What numbers entries, tags and pairs of the two: half a word, since there are many. In the
/// tests beside the code it is a quarter of one, so that they come to its end.
#[cfg(not(test))]
pub(crate) type Index = u32;
#[cfg(test)]
pub(crate) type Index = u16;

/// The number of a place. Whoever adds places bounds how many there are: the last number is
/// that of none.
#[inline]
pub(crate) fn narrow(place: usize) -> Index {
    debug_assert!(place < Index::MAX as usize, "more places than numbers");
    #[allow(clippy::cast_possible_truncation, reason = "see above")]
    let index = place as Index;
    index
}

/// From this length on an array grows by an eighth, and before by a quarter.
const LARGE: usize = 4096;

/// How many more places to reserve for an array that is full.
pub(crate) fn more(len: usize) -> usize {
    let part = if len < LARGE { 4 } else { 8 };
    len / part + 8
}

/// Makes `index` one of the indices of an array that is kept beside others: it grows
/// when they do, to `capacity`.
#[inline]
pub(crate) fn reach<T: Clone>(vec: &mut Vec<T>, index: Index, capacity: usize, fill: T) {
    reach_with(vec, index, capacity, || fill.clone());
}

/// As `reach`, for what cannot be cloned.
#[inline]
pub(crate) fn reach_with<T>(
    vec: &mut Vec<T>,
    index: Index,
    capacity: usize,
    fill: impl FnMut() -> T,
) {
    let needed = index as usize + 1;
    if vec.len() < needed {
        vec.reserve_exact(capacity.max(needed) - vec.len());
        vec.resize_with(needed, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_grows_in_few_steps() {
        let (mut len, mut steps) = (0, 0);
        while len < 1_000_000 {
            len += more(len);
            steps += 1;
        }
        assert!(steps < 75, "{steps}");
    }

    #[test]
    fn a_large_array_has_little_unused_room() {
        let mut vec = vec![0; LARGE];
        while vec.len() < 50_000 {
            let needed = vec.len() + more(vec.len());
            reach(&mut vec, Index::try_from(needed).unwrap(), needed, 0);
            assert!(vec.capacity() <= vec.len() * 9 / 8 + 8);
        }
    }
}
