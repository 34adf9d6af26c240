//! The check that a codec gives back the written value, and not another value.
//!
//! A format without names, as postcard's, stores the positions of fields and variants. Some serde
//! attributes let `Serialize` and `Deserialize` count positions differently, and then the bytes of
//! one value are good bytes of another value. Nothing in the bytes shows the difference. So a verb
//! that can read as well as write reads its own bytes, writes both values, and compares.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use super::fingerprint::fingerprint;
use super::type_tag::TypeTag;
use crate::error::BoxError;

/// Why a value cannot be stored.
#[derive(Debug)]
pub(crate) enum Unwritable {
    /// The codec refused the value.
    Unencodable(BoxError),
    /// The codec refused the bytes of the value.
    NotReadBack(BoxError),
    /// The codec gave another value back.
    Changed,
}

/// How many values of each type a cache checks; `None` means every value.
///
/// A debug build checks every value, because tests should fail early. A release build checks the
/// first values of each type: most faulty types fail with the first value, and the cost ends.
const fn checks_per_type(debug: bool) -> Option<u32> {
    if debug { None } else { Some(8) }
}

/// The types whose checks a cache counts. A type beyond this number is not checked in a release
/// build, so the table never grows.
const SLOTS: usize = 64;

/// Decides whether a value is checked, and counts the checks of each type.
pub(crate) struct RoundTrips {
    per_type: Option<u32>,
    slots: [Slot; SLOTS],
}

/// The checks of one type. A slot never changes its type.
#[derive(Default)]
struct Slot {
    /// The address of the `TypeTag`; zero for a free slot.
    ty: AtomicUsize,
    checks: AtomicU32,
}

impl RoundTrips {
    pub(crate) fn new(per_type: Option<u32>) -> Self {
        Self {
            per_type,
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }

    /// Returns `true` if the next value of a type is checked, `false` if not. Counts the check.
    pub(crate) fn is_due(&self, ty: TypeTag) -> bool {
        let Some(limit) = self.per_type else {
            return true;
        };
        // `Relaxed`: the counts guard nothing. A read first: after the last check, threads that
        // load values of one type do not write to a shared line of the processor.
        let counts = |slot: &Slot| {
            slot.checks.load(Ordering::Relaxed) < limit
                && slot.checks.fetch_add(1, Ordering::Relaxed) < limit
        };
        self.slot(ty.address()).is_some_and(counts)
    }

    /// Returns the slot of a type, or takes a free slot for the type. `None` if the table is full.
    fn slot(&self, address: usize) -> Option<&Slot> {
        // A `TypeTag` takes 16 bytes, so the lowest bits of the address tell little.
        let start = address >> 4;
        for probe in 0..SLOTS {
            let slot = &self.slots[start.wrapping_add(probe) % SLOTS];
            let held = match slot.ty.load(Ordering::Relaxed) {
                0 => {
                    let (free, order) = (0, Ordering::Relaxed);
                    let taken = slot.ty.compare_exchange(free, address, order, order);
                    // Another thread may have taken the slot, for this type or another.
                    taken.map_or_else(|held| held, |_| address)
                }
                held => held,
            };
            if held == address {
                return Some(slot);
            }
        }
        None
    }
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self::new(checks_per_type(cfg!(debug_assertions)))
    }
}

/// Reads a value back from `bytes`, the encoding of `value`, and compares. With a codec that may
/// change values, the bytes are only read.
///
/// Runs the caller's code: the codec, `Serialize`, `Deserialize`, and `Drop` of the read value.
pub(crate) fn check_round_trip<C, V>(codec: &C, value: &V, bytes: &[u8]) -> Result<(), Unwritable>
where
    C: Codec,
    V: Serialize + DeserializeOwned,
{
    // 1. Read. Here postcard fails for a type that needs a self-describing format.
    let read: V = codec.decode(bytes).map_err(Unwritable::NotReadBack)?;
    if !codec.checks_round_trip() {
        return Ok(());
    }
    // 2. Write both, and compare. A value that refuses to be written here cannot be compared.
    let written = fingerprint(value);
    if written.is_none() || written == fingerprint(&read) {
        return Ok(());
    }
    // 3. A value that is written in another way each time cannot be compared either. Such values
    //    are rare, so this is the last step.
    if written == fingerprint(value) {
        Err(Unwritable::Changed)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number<const N: usize>;

    #[test]
    fn release_checks_eight_values_and_debug_all() {
        assert_eq!(checks_per_type(false), Some(8));
        assert_eq!(checks_per_type(true), None);
        let due = |round_trips: &RoundTrips| {
            let ask = |_: &usize| round_trips.is_due(TypeTag::of::<u8>());
            (0..1_000).filter(ask).count()
        };
        assert_eq!(due(&RoundTrips::new(checks_per_type(false))), 8);
        assert_eq!(due(&RoundTrips::new(checks_per_type(true))), 1_000);
        let built = RoundTrips::default().per_type;
        assert_eq!(built, checks_per_type(cfg!(debug_assertions)));
    }

    #[test]
    fn each_type_has_a_count_of_its_own() {
        let round_trips = RoundTrips::new(Some(2));
        let due = |ty| (0..9).filter(|_| round_trips.is_due(ty)).count();
        assert_eq!(due(TypeTag::of::<Number<1>>()), 2);
        assert_eq!(due(TypeTag::of::<Number<2>>()), 2);
        assert_eq!(due(TypeTag::of::<Number<1>>()), 0);
    }

    #[test]
    fn full_table_checks_no_further_type() {
        let round_trips = RoundTrips::new(Some(1));
        let slots = (1..=2 * SLOTS).filter(|&number| round_trips.slot(number << 4).is_some());
        assert_eq!(slots.count(), SLOTS);
        // Known types keep their slots.
        assert!(round_trips.slot(1 << 4).is_some());
        assert!(round_trips.slot((2 * SLOTS) << 4).is_none());
    }
}
