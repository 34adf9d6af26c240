//! A caller: makes random calls and records them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use futures_lite::future::{or, poll_once, yield_now};
use hydracache::{Bytes, CacheError, CacheOptions, CacheResult, Loaded};

use super::history::{Answer, Call, Event, KEYS, Load, Set, TAGS, UNDECODABLE, Value, names};
use super::world::{Random, World, value_seen};

/// The error of a loader, with the id of the value it did not return.
#[derive(Debug)]
struct LoaderError(u32);

impl fmt::Display for LoaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database is unavailable")
    }
}

impl std::error::Error for LoaderError {}

fn failed_value(error: &CacheError) -> Option<u32> {
    let source = std::error::Error::source(error)?;
    Some(source.downcast_ref::<LoaderError>()?.0)
}

/// A caller that makes one call after another.
pub struct Caller<'a> {
    world: &'a World,
    random: Random,
    /// The number of keys in use: fewer keys mean more conflicts.
    keys: usize,
    /// The id of the last made value.
    last_id: Cell<u32>,
    events: RefCell<Vec<Event>>,
}

impl<'a> Caller<'a> {
    /// Value ids begin after `first_id`.
    pub fn new(world: &'a World, seed: u64, keys: usize, first_id: u32) -> Self {
        Self {
            world,
            random: Random::new(seed),
            keys,
            last_id: Cell::new(first_id),
            events: RefCell::default(),
        }
    }

    /// Makes all calls and returns their record.
    pub async fn run(self) -> Vec<Event> {
        let setup = self.world.setup;
        for _ in 0..setup.calls {
            self.pause().await;
            let from = self.world.stamp();
            let call = if self.random.below(16) < setup.loads {
                self.load().await
            } else {
                self.call().await
            };
            let to = self.world.stamp();
            let event = Event { from, to, call };
            self.events.borrow_mut().push(event);
        }
        self.events.into_inner()
    }

    /// Spins a little, or yields to other callers.
    async fn pause(&self) {
        match self.random.below(8) {
            0 if self.world.setup.callers > 1 => yield_now().await,
            1 => std::thread::yield_now(),
            2 | 3 => self.spin(),
            _ => {}
        }
    }

    fn spin(&self) {
        for _ in 0..self.random.below(64) * 4 {
            std::hint::spin_loop();
        }
    }

    fn some_tags(&self) -> Set {
        Set::try_from(self.random.below(1 << TAGS.len())).unwrap()
    }

    fn value(&self) -> Value {
        self.last_id.set(self.last_id.get() + 1);
        Value {
            id: self.last_id.get(),
            tags: self.some_tags(),
            ttl: match self.random.below(4) {
                ttl @ (1 | 2) if self.world.setup.time => u8::try_from(ttl).unwrap(),
                _ => 0,
            },
            undecodable: false,
        }
    }

    /// The options to store a value with, without the tags that the loader chooses.
    fn options(value: Value, chosen: Set) -> CacheOptions {
        let options = CacheOptions::new().tags(names(value.tags & !chosen));
        match value.ttl {
            0 => options,
            ttl => options.ttl(Duration::from_secs(ttl.into())),
        }
    }

    async fn call(&self) -> Call {
        let (cache, random) = (&self.world.cache, &self.random);
        let key = random.below(self.keys);
        let name = KEYS[key];
        match random.below(if self.world.setup.time { 23 } else { 20 }) {
            3 => {
                let saw = value_seen(cache.peek(name).await);
                Call::Get { key, saw }
            }
            4 if !self.world.setup.is_sharded() => {
                let all: Vec<String> = cache.keys().collect();
                let is_listed = |key: &usize| all.iter().any(|it| it == KEYS[*key]);
                let saw = (0..KEYS.len()).filter(is_listed);
                let saw = saw.fold(0, |set, key| set | 1 << key);
                Call::Keys { saw }
            }
            4 | 5 => {
                let present = cache.contains_key(name).await;
                Call::Contains { key, present }
            }
            6..9 => {
                let (mut value, stored) = (self.value(), !random.one_in(8));
                value.undecodable = self.world.setup.undecodable && random.one_in(2);
                let mut options = Self::options(value, 0);
                if !stored {
                    options = options.ttl(Duration::ZERO);
                }
                if value.undecodable {
                    // No encoded number is so long.
                    let bytes = Bytes::from_static(&[u8::MAX; 16]);
                    cache.put_bytes(name, bytes, options).await.unwrap();
                } else {
                    cache.put(name, value.id, options).await.unwrap();
                }
                Call::Put { key, value, stored }
            }
            9 => {
                let value = self.value();
                let options = Self::options(value, 0);
                let stored = cache.put_if_absent(name, value.id, options).await;
                let stored = stored.unwrap();
                Call::PutIfAbsent { key, value, stored }
            }
            10 => {
                let present = cache.remove(name).await.unwrap();
                Call::Remove { key, present }
            }
            11 => {
                let present = cache.expire(name).await.unwrap();
                Call::Remove { key, present }
            }
            12..15 => self.update(key).await,
            15..18 => self.invalidate().await,
            18 | 20.. if self.world.setup.time => {
                self.world.clock.advance(Duration::from_secs(1));
                Call::Advance
            }
            0..3 | 18 => {
                let saw = value_seen(cache.get(name).await);
                Call::Get { key, saw }
            }
            _ => {
                if random.one_in(3) {
                    let _ = poll_once(cache.flush()).await;
                } else {
                    cache.flush().await.unwrap();
                }
                Call::Flush
            }
        }
    }

    async fn update(&self, key: usize) -> Call {
        let value = (!self.random.one_in(4)).then(|| self.value());
        let options = value.map_or_else(CacheOptions::new, |value| Self::options(value, 0));
        let mut saw = None;
        let change = |old: Option<u32>| {
            saw = old;
            self.spin();
            value.map(|value| value.id)
        };
        let new = self.world.cache.update(KEYS[key], options, change).await;
        if new.as_ref().is_err_and(CacheError::is_decode) {
            let saw = Some(UNDECODABLE);
            return Call::Get { key, saw };
        }
        assert_eq!(new.unwrap(), value.map(|value| value.id));
        Call::Update {
            key,
            saw,
            new: value,
        }
    }

    async fn invalidate(&self) -> Call {
        let (cache, random) = (&self.world.cache, &self.random);
        let first = random.below(TAGS.len());
        let mut tags = 1 << first;
        let count = match random.below(6) {
            0 => {
                tags |= 1 << random.below(TAGS.len());
                Some(cache.invalidate_tags(names(tags)).await)
            }
            1 => Some(cache.expire_tag(TAGS[first]).await),
            // The first poll does all of the work; only the count is lost with the drop.
            2 => poll_once(cache.invalidate_tag(TAGS[first])).await,
            _ => Some(cache.invalidate_tag(TAGS[first]).await),
        };
        let count = count.map(CacheResult::unwrap);
        Call::Invalidate { tags, count }
    }

    async fn load(&self) -> Call {
        let (world, random) = (self.world, &self.random);
        let key = random.below(self.keys);
        let value = self.value();
        let full = world.setup.loader_tags && random.one_in(2);
        let refresh = !full && random.one_in(5);
        let chosen = if full {
            self.some_tags() & value.tags
        } else {
            0
        };
        // Some loaders read another key through the cache.
        let parent_key = random.one_in(3).then(|| KEYS[random.below(self.keys)]);
        let (led, parent) = (Cell::new(None), Cell::new(None));
        let (fails, waits) = (random.one_in(8), random.below(3));
        let loader = || {
            let begun = world.stamp();
            led.set(Some((begun, None)));
            let (led, parent) = (&led, &parent);
            async move {
                if let Some(key) = parent_key {
                    let read = value_seen(world.cache.get(key).await);
                    parent.set(read.filter(|&id| id != UNDECODABLE));
                }
                // Wait as for the answer of a database.
                for _ in 0..waits {
                    self.pause().await;
                    yield_now().await;
                }
                self.spin();
                led.set(Some((begun, Some(world.stamp()))));
                if fails {
                    Err(LoaderError(value.id))
                } else {
                    Ok(value.id)
                }
            }
        };
        let (cache, name) = (&world.cache, KEYS[key]);
        let options = Self::options(value, chosen);
        let answer = async {
            let answer = if full {
                let full = async move |_| {
                    Ok::<_, LoaderError>(Loaded::new(loader().await?).tags(names(chosen)))
                };
                let fetched = cache.fetch(name, options, full).await;
                fetched.map(|fetched| fetched.value)
            } else if refresh {
                cache.refresh(name, options, loader).await
            } else {
                cache.get_or_load(name, options, loader).await
            };
            match answer {
                Ok(id) => Answer::Value(id),
                Err(error) => Answer::Error(failed_value(&error).unwrap()),
            }
        };
        let polls_before_drop = if random.one_in(5) {
            random.below(3)
        } else {
            usize::MAX
        };
        let dropped = async {
            for _ in 0..polls_before_drop {
                yield_now().await;
            }
            Answer::Dropped
        };
        let answer = if polls_before_drop == usize::MAX {
            answer.await
        } else {
            or(answer, dropped).await
        };
        Call::Load(Load {
            key,
            refresh,
            value,
            chosen,
            led: led.get(),
            parent: parent.get(),
            answer,
        })
    }
}
