//! A random call, and the check of its answer.

use std::sync::atomic::Ordering;

use futures_lite::future::FutureExt;
use hydracache::{Bytes, CacheResult};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::World;
use crate::draw::{key_number, load, options, verb};
use crate::drop_after::Call;
use crate::floors::{GROUPS, KEYS, KeyId, PUT, Scope};
use crate::value::{self, Value};

/// Asserts that a value is intact and not older than the floor, and that an error is expected.
fn check(world: &World, floor: u64, answer: CacheResult<Option<&Value>>) {
    match answer {
        Ok(Some(value)) => {
            assert!(value::is_intact(value, world.largest), "a damaged value");
            assert!(
                value.0 >= floor,
                "a value of moment {}, older than the floor {floor}",
                value.0
            );
        }
        Ok(None) => {}
        Err(error) => assert!(
            error.is_load() || error.is_panic() || error.is_timeout() || error.is_dropped(),
            "{error}"
        ),
    }
}

/// A random key of the plain cache.
fn plain_key<'a>(world: &'a World, rng: &mut StdRng) -> (KeyId, &'a str) {
    let number = key_number(rng);
    let id = KeyId {
        typed: false,
        number,
    };
    (id, &world.names[number])
}

/// A random call and the index of its verb.
pub fn draw<'a>(world: &'a World, rng: &mut StdRng) -> (usize, Call<'a>) {
    let mut verb = verb(rng);
    // `flush` and `retain` are made rarer, so that the cache fills up in between.
    if matches!(verb, 13 | 14) && rng.random_bool(0.7) {
        verb = 0;
    }
    let call = match verb {
        0..=6 => reading(world, rng, verb),
        7..=15 => invalidating(world, rng, verb),
        16..=23 => storing(world, rng, verb),
        24..=27 => typed(world, rng, verb),
        _ => putting(world, rng, verb),
    };
    (verb, call)
}

fn reading<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let cache = &world.cache;
    let (id, key) = plain_key(world, rng);
    let (options, load) = load(world, rng, id);
    // A loader of a plain value names no tags: the options have to.
    let group = load.group();
    let tagged = options.clone().tag(&group);
    async move {
        let floor = world.floors.floor(id);
        match verb {
            0 => check(
                world,
                floor,
                cache
                    .get(key)
                    .await
                    .as_ref()
                    .map(Option::as_ref)
                    .map_err(Clone::clone),
            ),
            1 => check(
                world,
                floor,
                cache
                    .peek(key)
                    .await
                    .as_ref()
                    .map(Option::as_ref)
                    .map_err(Clone::clone),
            ),
            2 => drop(cache.contains_key(key).await),
            3 => {
                let answer = cache.get_or_load(key, tagged, || load.plain()).await;
                check(
                    world,
                    floor,
                    answer.as_ref().map(Some).map_err(Clone::clone),
                );
            }
            4 => {
                let options = if load.names_tags { options } else { tagged };
                let answer = cache.fetch(key, options, |old| load.for_fetch(old)).await;
                let answer = answer.map(|fetched| fetched.value);
                check(
                    world,
                    floor,
                    answer.as_ref().map(Some).map_err(Clone::clone),
                );
            }
            5 => {
                let answer = cache.refresh(key, tagged, || load.plain()).await;
                check(
                    world,
                    floor,
                    answer.as_ref().map(Some).map_err(Clone::clone),
                );
            }
            _ => {
                let answer = cache
                    .get_or_refresh(key, tagged, move || load.plain())
                    .await;
                check(
                    world,
                    floor,
                    answer.as_ref().map(Some).map_err(Clone::clone),
                );
            }
        }
    }
    .boxed_local()
}

fn invalidating<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let (cache, floors) = (&world.cache, &world.floors);
    let (id, key) = plain_key(world, rng);
    let group = rng.random_range(0..GROUPS);
    let other = rng.random_range(0..GROUPS);
    let [one, two] = [group, other].map(|group| format!("group:{group}"));
    let unknown = rng.random_range(0..world.tags.load(Ordering::Relaxed) + 1);
    async move {
        let began = floors.moment();
        match verb {
            7 => {
                cache.remove(key).await.unwrap();
                floors.raise(Scope::Key(id), began);
            }
            8 => drop(cache.expire(key).await.unwrap()),
            9 => drop(cache.expire_tag(&one).await.unwrap()),
            10 => {
                cache.invalidate_tag(&one).await.unwrap();
                floors.raise(Scope::Group(group), began);
            }
            11 => {
                cache.invalidate_tags([&one, &two]).await.unwrap();
                floors.raise(Scope::Group(group), began);
                floors.raise(Scope::Group(other), began);
            }
            12 => drop(
                cache
                    .invalidate_tag(&format!("once:{unknown}"))
                    .await
                    .unwrap(),
            ),
            13 => {
                cache.flush().await.unwrap();
                floors.raise(Scope::Everything, began);
            }
            14 => drop(cache.retain(|key| key.len() % 7 != 0).await.unwrap()),
            _ => drop(cache.keys().count()),
        }
    }
    .boxed_local()
}

fn storing<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let cache = &world.cache;
    let number = key_number(rng);
    let options = options(world, rng).tag(format!("group:{}", number % GROUPS));
    let family = if verb < 19 { "bytes" } else { "number" };
    let key = format!("{family} {}", world.names[number]);
    async move {
        let moment = world.floors.moment();
        match verb {
            16 => {
                let bytes = Bytes::from(value::bytes(moment, world.largest));
                cache.put_bytes(&key, bytes, options).await.unwrap();
            }
            17 => {
                let bytes = cache.get_bytes(&key).await.unwrap();
                assert!(bytes.is_none_or(|bytes| value::bytes_are_intact(&bytes)));
            }
            18 => drop(cache.remove(&key).await.unwrap()),
            19 => cache.put(&key, moment, options).await.unwrap(),
            20 => drop(cache.put_if_absent(&key, moment, options).await.unwrap()),
            21 => {
                let change = |old: Option<u64>| match old {
                    Some(old) if old % 5 == 0 => None,
                    old => Some(old.unwrap_or(moment) + 1),
                };
                let _: Option<u64> = cache.update(&key, options, change).await.unwrap();
            }
            22 => drop(cache.get::<u64>(&key).await.unwrap()),
            _ => {
                let answer = cache.get::<String>(&key).await;
                assert!(answer.map_or_else(|error| error.is_wrong_type(), |value| value.is_none()));
            }
        }
    }
    .boxed_local()
}

/// Puts values under keys that other calls load.
fn putting<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let (cache, floors) = (&world.cache, &world.floors);
    let (id, key) = plain_key(world, rng);
    let options = options(world, rng).tag(format!("group:{}", id.group()));
    async move {
        let floor = floors.floor(id);
        let began = floors.moment();
        let value = || value::value(PUT + began, world.largest);
        match verb {
            28 => {
                cache.put(key, value(), options).await.unwrap();
                floors.raise(Scope::Key(id), began);
            }
            29 => drop(cache.put_if_absent(key, value(), options).await.unwrap()),
            _ => {
                let change = |old: Option<Value>| {
                    check(world, floor, Ok(old.as_ref()));
                    Some(value())
                };
                drop(cache.update(key, options, change).await.unwrap());
            }
        }
    }
    .boxed_local()
}

fn typed<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let cache = &world.typed;
    // All keys are of one group, so that one tag is right for all.
    let first = key_number(rng);
    let numbers = (0..rng.random_range(1..12)).map(|n| (first + n * GROUPS) % KEYS);
    let mut ids: Vec<KeyId> = numbers
        .map(|number| KeyId {
            typed: true,
            number,
        })
        .collect();
    ids.push(ids[0]);
    let (options, load) = load(world, rng, ids[0]);
    let options = options.tag(load.group());
    async move {
        let key = |id: &KeyId| u32::try_from(id.number).unwrap_or_default();
        let floors: Vec<u64> = ids.iter().map(|&id| world.floors.floor(id)).collect();
        let keys: Vec<u32> = ids.iter().map(key).collect();
        match verb {
            24 => {
                let answer = cache.get_or_load(&keys[0], options, || load.plain()).await;
                check(
                    world,
                    floors[0],
                    answer.as_deref().map(Some).map_err(Clone::clone),
                );
            }
            25 => {
                let loader = |keys: Vec<u32>| {
                    let load = load.clone();
                    async move {
                        let mut values = Vec::new();
                        for _ in keys {
                            values.push(load.clone().plain().await?);
                        }
                        Ok::<_, std::io::Error>(values)
                    }
                };
                let answers = cache.get_or_load_many(&keys, options, loader).await;
                for (answer, floor) in answers.iter().zip(floors) {
                    check(
                        world,
                        floor,
                        answer.as_deref().map(Some).map_err(Clone::clone),
                    );
                }
            }
            26 => {
                for (answer, floor) in cache.get_many(&keys).await.iter().zip(floors) {
                    let answer = answer.as_ref().map(Option::as_deref);
                    check(world, floor, answer.map_err(Clone::clone));
                }
            }
            _ => {
                let began = world.floors.moment();
                // Now and then the whole namespace.
                if keys[0] % 64 == 63 {
                    cache.invalidate_all().await.unwrap();
                    world.floors.raise(Scope::Typed, began);
                } else {
                    cache.remove(&keys[0]).await.unwrap();
                    world.floors.raise(Scope::Key(ids[0]), began);
                }
            }
        }
    }
    .boxed_local()
}
