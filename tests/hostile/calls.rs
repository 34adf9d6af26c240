//! One call that checks its own answer.

use std::sync::atomic::Ordering;

use futures_lite::future::FutureExt;
use hydracache::{Bytes, CacheResult};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::World;
use crate::cut::Call;
use crate::draw::{load, number, options, verb};
use crate::truth::{GROUPS, KEYS, PUT, Place, Reach};
use crate::value::{self, Value};

/// An answer is whole and no older than it may be; an error is one that was to be expected.
fn check(world: &World, floor: u64, answer: CacheResult<Option<&Value>>) {
    match answer {
        Ok(Some(value)) => {
            assert!(value::is_whole(value, world.largest), "a value in pieces");
            assert!(value.0 >= floor, "of {}, and must be of {floor}", value.0);
        }
        Ok(None) => {}
        Err(error) => assert!(
            error.is_load() || error.is_panic() || error.is_timeout() || error.is_dropped(),
            "{error}"
        ),
    }
}

/// A key that is loaded.
fn loaded<'a>(world: &'a World, rng: &mut StdRng) -> (Place, &'a str) {
    let number = number(rng);
    let place = Place {
        typed: false,
        number,
    };
    (place, &world.names[number])
}

/// A call and its verb.
pub fn draw<'a>(world: &'a World, rng: &mut StdRng) -> (usize, Call<'a>) {
    let mut verb = verb(rng);
    // What empties the cache comes now and then, or nothing would ever be full.
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
    let (place, key) = loaded(world, rng);
    let (options, load) = load(world, rng, place);
    // Who loads a plain value cannot name tags beside it.
    let group = load.group();
    let tagged = options.clone().tag(&group);
    async move {
        let floor = world.truth.floor(place);
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
                let answer = cache.fetch(key, options, |old| load.full(old)).await;
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
    let (cache, truth) = (&world.cache, &world.truth);
    let (place, key) = loaded(world, rng);
    let group = rng.random_range(0..GROUPS);
    let other = rng.random_range(0..GROUPS);
    let [one, two] = [group, other].map(|group| format!("group:{group}"));
    let unknown = rng.random_range(0..world.tags.load(Ordering::Relaxed) + 1);
    async move {
        let began = truth.moment();
        match verb {
            7 => {
                cache.remove(key).await.unwrap();
                truth.returned(Reach::Key(place), began);
            }
            8 => drop(cache.expire(key).await.unwrap()),
            9 => drop(cache.expire_tag(&one).await.unwrap()),
            10 => {
                cache.invalidate_tag(&one).await.unwrap();
                truth.returned(Reach::Group(group), began);
            }
            11 => {
                cache.invalidate_tags([&one, &two]).await.unwrap();
                truth.returned(Reach::Group(group), began);
                truth.returned(Reach::Group(other), began);
            }
            12 => drop(
                cache
                    .invalidate_tag(&format!("once:{unknown}"))
                    .await
                    .unwrap(),
            ),
            13 => {
                cache.flush().await.unwrap();
                truth.returned(Reach::Everything, began);
            }
            14 => drop(cache.retain(|key| key.len() % 7 != 0).await.unwrap()),
            _ => drop(cache.keys().count()),
        }
    }
    .boxed_local()
}

fn storing<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let cache = &world.cache;
    let number = number(rng);
    let options = options(world, rng).tag(format!("group:{}", number % GROUPS));
    let family = if verb < 19 { "bytes" } else { "number" };
    let key = format!("{family} {}", world.names[number]);
    async move {
        let moment = world.truth.moment();
        match verb {
            16 => {
                let bytes = Bytes::from(value::bytes(moment, world.largest));
                cache.put_bytes(&key, bytes, options).await.unwrap();
            }
            17 => {
                let bytes = cache.get_bytes(&key).await.unwrap();
                assert!(bytes.is_none_or(|bytes| value::are_whole(&bytes)));
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

/// Puts what others load.
fn putting<'a>(world: &'a World, rng: &mut StdRng, verb: usize) -> Call<'a> {
    let (cache, truth) = (&world.cache, &world.truth);
    let (place, key) = loaded(world, rng);
    let options = options(world, rng).tag(format!("group:{}", place.group()));
    async move {
        let floor = truth.floor(place);
        let began = truth.moment();
        let value = || value::value(PUT + began, world.largest);
        match verb {
            28 => {
                cache.put(key, value(), options).await.unwrap();
                truth.returned(Reach::Key(place), began);
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
    // All of one group, so that one tag does for them.
    let first = number(rng);
    let numbers = (0..rng.random_range(1..12)).map(|n| (first + n * GROUPS) % KEYS);
    let mut places: Vec<Place> = numbers
        .map(|number| Place {
            typed: true,
            number,
        })
        .collect();
    places.push(places[0]);
    let (options, load) = load(world, rng, places[0]);
    let options = options.tag(load.group());
    async move {
        let key = |place: &Place| u32::try_from(place.number).unwrap_or_default();
        let floors: Vec<u64> = places
            .iter()
            .map(|&place| world.truth.floor(place))
            .collect();
        let keys: Vec<u32> = places.iter().map(key).collect();
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
                let began = world.truth.moment();
                // Now and then all of them.
                if keys[0] % 64 == 63 {
                    cache.invalidate_all().await.unwrap();
                    world.truth.returned(Reach::Typed, began);
                } else {
                    cache.remove(&keys[0]).await.unwrap();
                    world.truth.returned(Reach::Key(places[0]), began);
                }
            }
        }
    }
    .boxed_local()
}
