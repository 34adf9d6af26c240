//! The timed loops over a cache.

use std::hint::black_box;
use std::sync::atomic::{Ordering, fence};

use bytes::Bytes;

use super::Peer;
use crate::requests::Requests;
use crate::value;

/// The timed loops over a cache.
///
/// The loops are methods with one implementation for every cache, so that a loop calls the
/// cache directly and the compiler may inline the call, as for a user.
pub trait Loops: Peer {
    /// Reads every key, and returns the total bytes of the answers.
    fn read(&self, requests: &Requests) -> u64;

    /// As `read`, with a full fence after each answer.
    ///
    /// Without the fence a processor begins the next look-up while this look-up waits for
    /// memory. A real request cannot: the next look-up comes much later.
    fn read_fenced(&self, requests: &Requests) -> u64;

    /// Inserts one value for every request.
    fn insert_all(&self, requests: &Requests, values: Vec<Bytes>);

    /// Inserts a clone of one value for every request.
    fn insert_shared(&self, requests: &Requests, value: &Bytes);

    /// Reads nine keys of ten, inserting a missing key; inserts the tenth. Returns the number
    /// of hits.
    fn mix(&self, requests: &Requests) -> u64;

    /// Reads every key and inserts a missing key, like a cache in front of a database. Returns
    /// the number of hits.
    fn read_through(&self, ids: &[u32], keys: &[Box<str>], value: &Bytes) -> u64;
}

impl<P: Peer> Loops for P {
    fn read(&self, requests: &Requests) -> u64 {
        let answers = requests.iter().map(|(_, key)| read(self, key));
        answers.sum()
    }

    fn read_fenced(&self, requests: &Requests) -> u64 {
        let answers = requests.iter().map(|(_, key)| {
            let length = read(self, key);
            fence(Ordering::SeqCst);
            length
        });
        answers.sum()
    }

    fn insert_all(&self, requests: &Requests, values: Vec<Bytes>) {
        for ((id, key), value) in requests.iter().zip(values) {
            self.insert(id, black_box(key), value);
        }
    }

    fn insert_shared(&self, requests: &Requests, value: &Bytes) {
        for (id, key) in requests.iter() {
            self.insert(id, black_box(key), value.clone());
        }
    }

    fn mix(&self, requests: &Requests) -> u64 {
        let mut hits = 0;
        for (at, (id, key)) in requests.iter().enumerate() {
            if at % 10 == 9 {
                self.insert(id, key, value::value(id));
                continue;
            }
            match self.get(black_box(key)) {
                Some(bytes) => {
                    value::check(id, &bytes);
                    hits += 1;
                }
                None => self.insert(id, key, value::value(id)),
            }
        }
        hits
    }

    fn read_through(&self, ids: &[u32], keys: &[Box<str>], value: &Bytes) -> u64 {
        let mut hits = 0;
        for &id in ids {
            let key = &keys[id as usize];
            if self.get(key).is_some() {
                hits += 1;
            } else {
                self.insert(id, key, value.clone());
            }
        }
        hits
    }
}

#[inline]
fn read(peer: &impl Peer, key: &str) -> u64 {
    let answer = black_box(peer.get(black_box(key)));
    answer.map_or(0, |bytes| bytes.len() as u64)
}
