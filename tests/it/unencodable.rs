//! A value that has no form, where an old one is kept.

use std::convert::Infallible;

use hydracache::Bytes;

use crate::stale::*;
use crate::support::*;

#[derive(Debug, serde::Deserialize)]
struct Formless;

impl serde::Serialize for Formless {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

/// An error for everybody, the leader too: whatever is kept, all get the same.
#[test]
fn a_value_that_cannot_be_encoded_is_one_answer_for_everybody() {
    let (cache, clock) = clocked(100);
    let unit = Bytes::new();
    block_on(cache.put_bytes("key", unit, kept(50))).unwrap();
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Formless)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Formless>));
    door.open();
    assert!(leader.ends().is_err_and(|error| error.is_encode()));
    assert!(waiter.ends().is_err_and(|error| error.is_encode()));
}
