//! An unencodable value is an error for every caller, even while a stale value is stored.

use std::convert::Infallible;

use hydracache::Bytes;

use crate::stale::*;
use crate::support::*;

#[derive(Debug, serde::Deserialize)]
struct Unencodable;

impl serde::Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not encodable"))
    }
}

/// The stale value is not served: leader and waiter get the same error.
#[test]
fn unencodable_value_fails_all_callers_despite_a_stale_value() {
    let (cache, clock) = clocked(100);
    let unit = Bytes::new();
    block_on(cache.put_bytes("key", unit, kept(50))).unwrap();
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Unencodable)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Unencodable>));
    door.open();
    assert!(leader.ends().is_err_and(|error| error.is_encode()));
    assert!(waiter.ends().is_err_and(|error| error.is_encode()));
}
