//! Verbs with an iterator compile inside a spawned task, whatever the iterator: the future of the
//! call does not hold the iterator. Most of these tests prove their point by compiling.

#![allow(
    clippy::map_flatten,
    reason = "callers write both forms, and each must compile"
)]

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hydracache::{CacheOptions, HydraCache, Loaded};

use crate::support::*;

/// A spawn function with the bounds of tokio, async-std and smol.
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    block_on(task)
}

struct Row {
    name: String,
    tags: Vec<String>,
}

fn rows() -> Vec<Row> {
    let row = |name: &str, tags: &[&str]| Row {
        name: name.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    vec![row("a", &["x", "y"]), row("b", &[]), row("c", &["z"])]
}

fn dynamic<'a>(
    names: impl Iterator<Item = &'a str> + Send + 'a,
) -> Box<dyn Iterator<Item = &'a str> + Send + 'a> {
    Box::new(names)
}

/// Runs an act with iterators of every kind over text: borrowed and owned, nested, stateful.
/// Each iterator is built in the argument of the call, as in the code of a service.
macro_rules! with_text_iterators {
    ($act:ident, $rows:ident) => {
        let other = |row: &Row| !row.name.is_empty();
        $act!($rows.iter().map(|row| &row.name));
        $act!($rows.iter().map(|row| row.name.as_str()));
        $act!($rows.iter().map(|row| format!("{}!", row.name)));
        $act!(
            $rows
                .iter()
                .filter(|row| other(row))
                .map(|row| row.name.clone())
        );
        $act!($rows.iter().flat_map(|row| &row.tags));
        $act!($rows.iter().flat_map(|row| row.tags.iter()));
        $act!(
            $rows
                .iter()
                .flat_map(|row| row.tags.iter().map(|tag| tag.as_str()))
        );
        $act!(
            $rows
                .iter()
                .flat_map(|row| row.tags.iter().map(|tag| format!("{}{tag}", row.name)))
        );
        $act!($rows.iter().map(|row| row.tags.iter()).flatten());
        $act!($rows.iter().map(|row| &row.tags).flatten());
        $act!($rows.iter().map(|row| row.tags.clone()).flatten());
        $act!($rows.iter().map(|row| row.name.as_str()).peekable());
        $act!(
            $rows
                .iter()
                .map(|row| row.name.as_str())
                .chain(["more"])
                .skip(1)
                .take(9)
        );
        $act!(
            $rows
                .iter()
                .map(|row| &*row.name)
                .zip(1..)
                .map(|(name, _)| name)
        );
        $act!($rows.iter().filter_map(|row| row.tags.first()));
        $act!($rows.iter().map(|row| row.name.as_str()).rev().step_by(2));
        $act!(
            $rows
                .iter()
                .map(|row| row.name.as_str())
                .collect::<HashSet<_>>()
        );
        $act!(
            $rows
                .iter()
                .map(|row| (&row.name, 1))
                .collect::<BTreeMap<_, _>>()
                .into_keys()
        );
        $act!($rows.iter().scan(0, |n, row| {
            *n += 1;
            Some(format!("{n}{}", row.name))
        }));
        $act!(
            $rows
                .iter()
                .map(|row| &row.name)
                .inspect(|_| {})
                .fuse()
                .cycle()
                .take(5)
        );
        $act!("a b c".split(' ').map(str::to_owned));
        $act!("a b c".split_whitespace());
        $act!($rows[0].tags.iter());
        $act!(&$rows[0].tags);
        $act!($rows[0].tags.clone());
        $act!(["a", "b"]);
        $act!(std::iter::once(&$rows[0].name));
        $act!(Some(&$rows[0].name));
        $act!(std::iter::empty::<&String>());
        $act!(dynamic($rows.iter().map(|row| row.name.as_str())));
    };
}

#[test]
fn invalidate_tags_takes_any_iterator_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    spawn(async move {
        let rows = rows();
        macro_rules! act {
            ($tags:expr) => {
                cache.invalidate_tags($tags).await.unwrap()
            };
        }
        put_async(&cache, "key", tagged("z")).await;
        assert_eq!(act!(rows.iter().flat_map(|row| &row.tags)), 1);
        with_text_iterators!(act, rows);
    });
}

async fn put_async(cache: &HydraCache, key: &str, options: CacheOptions) {
    cache.put(key, 1_u32, options).await.unwrap();
}

#[test]
fn tags_of_options_take_any_iterator_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    spawn(async move {
        let rows = rows();
        macro_rules! act {
            ($tags:expr) => {
                cache.put("key", 1, options().tags($tags)).await.unwrap();
                let load = cache.get_or_load("key", options().tags($tags), ready(1));
                assert_eq!(load.await.unwrap(), 1)
            };
        }
        with_text_iterators!(act, rows);
    });
}

#[test]
fn tags_of_loaded_take_any_iterator_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    spawn(async move {
        let rows = rows();
        macro_rules! act {
            ($tags:expr) => {
                let load = cache.fetch("key", lasting(0), |_| async {
                    Ok::<_, &str>(Loaded::new(1_u32).tags($tags))
                });
                assert_eq!(load.await.unwrap().value, 1)
            };
        }
        with_text_iterators!(act, rows);
    });
}

/// The keys of the cache are `String`: borrowed as `&String`, owned as `String`.
#[test]
fn get_many_takes_any_iterator_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    let names = cache.typed::<String, u32>("names");
    spawn(async move {
        let rows = rows();
        macro_rules! act {
            ($keys:expr) => {
                let keys = $keys.into_iter().map(|key| key.to_string());
                names.get_many(keys).await
            };
        }
        with_text_iterators!(act, rows);
        assert_eq!(
            names.get_many(rows.iter().map(|row| &row.name)).await.len(),
            3
        );
        assert_eq!(
            names
                .get_many(rows.iter().flat_map(|row| &row.tags))
                .await
                .len(),
            3
        );
        assert_eq!(
            names
                .get_many(rows.iter().map(|row| &row.tags).flatten())
                .await
                .len(),
            3
        );
        assert_eq!(
            names
                .get_many(rows.iter().map(|row| &row.name).peekable())
                .await
                .len(),
            3
        );
    });
}

#[test]
fn get_or_load_many_takes_any_iterator_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    let names = cache.typed::<String, u32>("names");
    spawn(async move {
        let rows = rows();
        let load = |keys: Vec<String>| async move { Ok::<_, &str>(vec![1; keys.len()]) };
        macro_rules! act {
            ($keys:expr) => {
                let keys = $keys.into_iter().map(|key| key.to_string());
                names.get_or_load_many(keys, options(), load).await
            };
        }
        with_text_iterators!(act, rows);
        let keys = rows.iter().map(|row| &row.name);
        assert_eq!(names.get_or_load_many(keys, options(), load).await.len(), 3);
        let keys = rows.iter().flat_map(|row| &row.tags).peekable();
        assert_eq!(names.get_or_load_many(keys, options(), load).await.len(), 3);
        let keys = rows.iter().map(|row| row.tags.iter()).flatten();
        assert_eq!(names.get_or_load_many(keys, options(), load).await.len(), 3);
    });
}

#[test]
fn numbers_and_borrowed_text_are_keys_in_a_spawned_task() {
    let cache = HydraCache::local().build();
    let numbers = cache.typed::<u64, u32>("numbers");
    let texts = cache.typed::<str, u32>("texts");
    spawn(async move {
        let rows = rows();
        let groups = [vec![1_u64, 2], vec![3]];
        let load = |keys: Vec<u64>| async move { Ok::<_, &str>(vec![1; keys.len()]) };
        assert_eq!(numbers.get_many(groups.iter().flatten()).await.len(), 3);
        assert_eq!(
            numbers
                .get_many(groups.iter().flat_map(|ids| ids.iter().copied()))
                .await
                .len(),
            3
        );
        let keys = groups.iter().map(|ids| ids.iter()).flatten().peekable();
        assert_eq!(
            numbers.get_or_load_many(keys, options(), load).await.len(),
            3
        );
        let keys = groups.iter().flat_map(|ids| ids.iter().map(|id| id + 1));
        assert_eq!(
            numbers.get_or_load_many(keys, options(), load).await.len(),
            3
        );
        let keys = rows
            .iter()
            .flat_map(|row| row.tags.iter().map(String::as_str));
        assert_eq!(texts.get_many(keys).await.len(), 3);
        let load = |keys: Vec<String>| async move { Ok::<_, &str>(vec![1; keys.len()]) };
        let keys = rows.iter().map(|row| row.name.as_str()).peekable();
        assert_eq!(texts.get_or_load_many(keys, options(), load).await.len(), 3);
    });
}

/// The future is `Send` even if the iterator is not.
#[test]
fn iterator_need_not_be_send() {
    let cache = HydraCache::local().build();
    let numbers = cache.typed::<u64, u32>("numbers");
    spawn(async move {
        let count = Arc::new(0_u64);
        let call = {
            let shared = std::rc::Rc::new(Cell::new(0));
            let next = move || {
                shared.set(shared.get() + 1);
                (shared.get() < 4).then(|| shared.get().to_string())
            };
            cache.invalidate_tags(std::iter::from_fn(next))
        };
        assert_eq!(call.await.unwrap(), *count);
        let call = {
            let shared = std::rc::Rc::new([1, 2]);
            let keys: Vec<u64> = shared.to_vec();
            numbers.get_many(keys.into_iter().filter(move |key| shared.contains(key)))
        };
        assert_eq!(call.await.len(), 2);
    });
}

/// The iterator is read by the call; the cache changes at the first poll.
#[test]
fn unpolled_call_reads_the_iterator_and_changes_nothing() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, tagged("tag"));
    let numbers = cache.typed::<u64, u32>("numbers");
    let taken = Cell::new(0);
    let count = |_: &_| taken.set(taken.get() + 1);
    drop(cache.invalidate_tags(["tag"].iter().inspect(count)));
    assert_eq!(taken.replace(0), 1);
    let count = |_: &u64| taken.set(taken.get() + 1);
    drop(numbers.get_many([1, 2].into_iter().inspect(count)));
    assert_eq!(taken.replace(0), 2);
    let load = |_: Vec<u64>| async { panic!("the loader must not run") };
    let keys = [1, 2, 3].into_iter().inspect(count);
    drop(numbers.get_or_load_many::<_, Vec<Result<u32, &str>>, _, _>(keys, options(), load));
    assert_eq!(taken.replace(0), 3);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_stats(cache.stats(), |stats| stats.hits = 1);
}

/// The same under the bounds of tokio itself.
#[test]
fn verbs_with_iterators_compile_in_tokio_spawn() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let cache = HydraCache::local().build();
    let names = cache.typed::<String, u32>("names");
    runtime.block_on(async move {
        let task = tokio::spawn(async move {
            let rows = rows();
            let tags = rows
                .iter()
                .flat_map(|row| row.tags.iter().map(String::as_str));
            cache.invalidate_tags(tags.peekable()).await.unwrap();
            let keys = rows.iter().map(|row| &row.tags).flatten();
            names.get_many(keys).await;
            let load = |keys: Vec<String>| async move { Ok::<_, &str>(vec![1; keys.len()]) };
            let keys = rows.iter().flat_map(|row| &row.tags).peekable();
            names.get_or_load_many(keys, options(), load).await.len()
        });
        assert_eq!(task.await.unwrap(), 3);
    });
}
