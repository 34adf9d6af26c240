//! Applies each step to the cache and to the model.

use std::pin::pin;

use futures_lite::future::poll_once;
use hydracache::{Bytes, CacheResult};
use serde::de::DeserializeOwned;

use super::calls::{Call, StoredBy, is};
use super::entry::{Entry, Reading};
use super::input::{
    Form, LoaderResult, RawExtraOptions, RawOptions, SECOND, Step, TAGS, tag_names,
};
use super::loader::Answer;
use super::model::{Fault, Key};
use super::values::{Value, bytes_of, key_name};
use super::{FIRST_OF_MANY, MAX_CALLS, World, ready};

/// The keys of single calls. Some keys are more frequent, so that calls meet on one key.
const KEYS: [Key; 10] = [0, 0, 0, 0, 1, 1, 2, 3, 4, 5];

/// The largest number of fills in a run: each makes every check of invariants slower.
const MAX_FILLS: u8 = 3;

fn key_of(number: u8) -> Key {
    KEYS[usize::from(number) % KEYS.len()]
}

impl World {
    pub(super) fn run_step(&mut self, step: &Step) {
        match *step {
            Step::Get(key, text) => self.get(key_of(key), text),
            Step::GetBytes(key) => self.get_bytes(key_of(key)),
            Step::Peek(key, text) => self.peek(key_of(key), text),
            Step::Contains(key) => {
                let key = key_of(key);
                let got = ready(self.cache.contains_key(&key_name(key)));
                assert_eq!(got, self.model.find_fresh(key).is_some());
            }
            Step::Put(key, form, ref raw) => self.put(key_of(key), form, raw),
            Step::PutIfAbsent(key, ref raw) => self.put_if_absent(key_of(key), raw),
            Step::Update(key, bits, ref raw) => self.update(key_of(key), bits, raw),
            Step::Remove(key) => {
                let key = key_of(key);
                self.removed.insert(key, self.model.step);
                let got = ready(self.cache.remove(&key_name(key)));
                assert_eq!(got.expect("a remove"), self.model.remove(key));
            }
            Step::Expire(key) => {
                let key = key_of(key);
                let got = ready(self.cache.expire(&key_name(key)));
                assert_eq!(got.expect("an expire"), self.model.expire(key));
            }
            Step::ExpireTag(tag, to_end) => self.expire_tag(tag % TAGS, to_end),
            Step::InvalidateTags(tags, to_end) => self.invalidate(tags % (1 << TAGS), to_end),
            Step::Flush(to_end) => self.flush(to_end),
            Step::Keys => self.keys(),
            Step::Retain(bits) => self.retain(bits),
            Step::Begin {
                verb,
                key,
                text,
                ref raw,
                ref result,
                polled,
            } => {
                if self.calls.len() < MAX_CALLS {
                    let (settings, options) = self.settings(raw);
                    let asked = if text { Form::Text } else { Form::Number };
                    let call = Call::new(&self.cache, verb, key_of(key), asked, settings, options);
                    self.calls.push(call);
                    let at = self.calls.len() - 1;
                    if let Some(result) = result {
                        self.set_answer(at, result);
                    }
                    if polled {
                        self.poll(at);
                    }
                }
            }
            Step::Poll(at) => {
                if let Some(at) = self.chosen(at) {
                    self.poll(at);
                }
            }
            Step::EndLoader(at, ref result) => {
                if let Some(at) = self.chosen(at) {
                    self.set_answer(at, result);
                }
            }
            Step::Drop(at) => {
                if let Some(at) = self.chosen(at) {
                    self.calls.swap_remove(at).cancel(&mut self.model);
                }
            }
            Step::Advance(seconds) => self.advance(u64::from(seconds % 4) * SECOND),
            Step::Fill(count, tag) => self.fill(count % 350, tag % TAGS),
            Step::CheckCounters => self.check_counters(),
        }
        self.check_removals();
    }

    fn chosen(&self, at: u8) -> Option<usize> {
        usize::from(at).checked_rem(self.calls.len())
    }

    fn set_answer(&mut self, at: usize, result: &LoaderResult) {
        let answer = match *result {
            LoaderResult::Value => Answer::Value {
                id: self.value(),
                ttl: None,
                tags: 0,
                unchanged: false,
            },
            LoaderResult::Loaded {
                ttl,
                tags,
                unchanged,
            } => Answer::Value {
                id: self.value(),
                ttl: ttl.map(|ttl| u64::from(ttl % 5) * SECOND),
                tags: tags % (1 << TAGS),
                unchanged,
            },
            LoaderResult::Error => Answer::Error,
            LoaderResult::Panic => Answer::Panic,
        };
        self.calls[at].set_answer(answer);
    }

    /// The expected answer of a read without a loader.
    fn expected(&self, key: Key, asked: Form) -> Result<Option<u32>, Fault> {
        match self.model.find_fresh(key) {
            None => Ok(None),
            Some(entry) => match entry.reading(asked) {
                Reading::Value => Ok(Some(entry.id)),
                Reading::WrongType => Err(Fault::WrongType),
                Reading::Undecodable => Err(Fault::Undecodable),
            },
        }
    }

    fn assert_read<V: Value>(
        &self,
        got: CacheResult<Option<V>>,
        expected: Result<Option<u32>, Fault>,
    ) {
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                let got = got.map(|value| value.id());
                assert_eq!(got, expected);
                if let Some(id) = got {
                    self.assert_not_older(id, self.model.step);
                }
            }
            (Err(error), Err(fault)) => assert!(is(&error, fault), "{error}"),
            (got, expected) => panic!("{:?} for {expected:?}", got.map(|it| it.map(|it| it.id()))),
        }
    }

    fn get(&mut self, key: Key, text: bool) {
        if text {
            self.get_as::<String>(key, Form::Text);
        } else {
            self.get_as::<u32>(key, Form::Number);
        }
    }

    fn get_as<V: Value + DeserializeOwned>(&mut self, key: Key, asked: Form) {
        let expected = self.expected(key, asked);
        let got = ready(self.cache.get::<V>(&key_name(key)));
        self.model.read(key);
        self.assert_read(got, expected);
    }

    fn get_bytes(&mut self, key: Key) {
        let got = ready(self.cache.get_bytes(&key_name(key))).expect("bytes");
        let expected = self.model.read(key);
        let expected = expected.map(|entry| bytes_of(entry.id, entry.form));
        assert_eq!(got.as_deref(), expected.as_deref());
    }

    fn peek(&mut self, key: Key, text: bool) {
        let name = key_name(key);
        if text {
            let got = ready(self.cache.peek::<String>(&name));
            self.assert_read(got, self.expected(key, Form::Text));
        } else {
            let got = ready(self.cache.peek::<u32>(&name));
            self.assert_read(got, self.expected(key, Form::Number));
        }
    }

    /// Puts a value in the model.
    fn put_in_model(&mut self, key: Key, (id, form): (u32, Form), raw: &RawOptions) {
        let (settings, _) = self.settings(raw);
        self.record_origin(id, form, key, settings.tags, self.model.step);
        self.model.fence(key);
        self.store(
            key,
            (id, form),
            settings.ttl,
            settings.tags,
            &settings,
            StoredBy::default(),
        );
    }

    fn put(&mut self, key: Key, form: Form, raw: &RawOptions) {
        let (id, name) = (self.value(), key_name(key));
        let (_, options) = self.settings(raw);
        let put = match form {
            Form::Number => ready(self.cache.put(&name, id, options)),
            Form::Text => ready(self.cache.put(&name, String::from_id(id), options)),
            Form::Raw | Form::Garbage => {
                let bytes = Bytes::from(bytes_of(id, form));
                ready(self.cache.put_bytes(&name, bytes, options))
            }
        };
        put.expect("a put");
        self.put_in_model(key, (id, form), raw);
    }

    fn put_if_absent(&mut self, key: Key, raw: &RawOptions) {
        let id = self.value();
        let (_, options) = self.settings(raw);
        let put = ready(self.cache.put_if_absent(&key_name(key), id, options));
        let stored = self.model.stored;
        if self.model.find_fresh(key).is_none() {
            self.put_in_model(key, (id, Form::Number), raw);
        }
        // `true` only if the value was stored.
        assert_eq!(put.expect("a put"), self.model.stored > stored);
    }

    fn update(&mut self, key: Key, bits: u8, raw: &RawOptions) {
        let id = self.value();
        let expected = self.expected(key, Form::Number);
        let mut seen = Vec::new();
        // Over a fresh entry the options set tags alone: the times of the entry stay.
        let fresh = self.model.find_fresh(key).cloned();
        let raw = &if fresh.is_some() {
            RawOptions {
                tags: raw.tags,
                ..RawOptions::default()
            }
        } else {
            raw.clone()
        };
        let (_, options) = self.settings(raw);
        let change = |old: Option<u32>| {
            seen.push(old);
            let bit = if old.is_some() { 1 } else { 2 };
            (bits & bit != 0).then_some(id)
        };
        let got = ready(self.cache.update(&key_name(key), options, change));
        let old = match expected {
            Ok(old) => old,
            Err(fault) => {
                assert!(is(&got.expect_err("the value cannot be read"), fault));
                assert_eq!(seen, []);
                return;
            }
        };
        assert_eq!(seen, [old]);
        let bit = if old.is_some() { 1 } else { 2 };
        let new = (bits & bit != 0).then_some(id);
        assert_eq!(got.expect("an update"), new);
        if let (Some(_), Some(fresh)) = (new, &fresh) {
            self.update_in_model(key, id, fresh, raw);
        } else if new.is_some() {
            self.put_in_model(key, (id, Form::Number), raw);
        } else {
            self.removed.insert(key, self.model.step);
            self.model.remove(key);
        }
    }

    /// Stores the result of an update over a fresh entry.
    fn update_in_model(&mut self, key: Key, id: u32, fresh: &Entry, raw: &RawOptions) {
        let form = Form::Number;
        let (size, name) = (bytes_of(id, form).len(), key_name(key).len());
        let tags = raw.settings().tags;
        let entry = fresh.updated((id, form, size), name, tags, self.model.now);
        self.record_origin(id, form, key, entry.tags, self.model.step);
        self.model.fence(key);
        self.model.store(key, entry, size, true);
    }

    fn expire_tag(&mut self, tag: u8, to_end: bool) {
        let name = format!("tag {tag}");
        let cache = self.cache.clone();
        let got = drive(cache.expire_tag(&name), to_end);
        let expected = self.model.expire_tags(1 << tag);
        assert_eq!(got.map_or(expected, |got| got.expect("a count")), expected);
    }

    fn invalidate(&mut self, tags: u8, to_end: bool) {
        for tag in (0..TAGS).filter(|tag| tags & (1 << tag) != 0) {
            self.invalidated[usize::from(tag)] = self.model.step;
        }
        let cache = self.cache.clone();
        let got = drive(cache.invalidate_tags(tag_names(tags)), to_end);
        let expected = self.model.invalidate(tags);
        assert_eq!(got.map_or(expected, |got| got.expect("a count")), expected);
    }

    fn flush(&mut self, to_end: bool) {
        self.flushed = self.model.step;
        let cache = self.cache.clone();
        if let Some(flushed) = drive(cache.flush(), to_end) {
            flushed.expect("a flush");
        }
        self.model.flush();
    }

    fn keys(&mut self) {
        let mut keys: Vec<String> = self.cache.keys().collect();
        keys.sort_unstable();
        let fresh = |key: &Key| self.model.find_fresh(*key).is_some();
        let expected = self.model.entries.keys().copied().filter(fresh);
        let mut expected: Vec<String> = expected.map(key_name).collect();
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }

    fn retain(&mut self, bits: u8) {
        let keeps = |key: Key| bits & (1 << (key % 8)) != 0;
        let mut asked = Vec::new();
        let retain = self.cache.retain(|name| {
            let key: Key = name.parse().expect("a key");
            asked.push(key);
            keeps(key)
        });
        let got = ready(retain).expect("a retain");
        asked.sort_unstable();
        let known = self.model.known_keys();
        for key in &known {
            assert!(asked.binary_search(key).is_ok(), "retain skipped {key}");
        }
        for &key in &asked {
            let is_known = known.binary_search(&key).is_ok() || self.model.is_loading(key);
            assert!(is_known, "retain asked about the unknown key {key}");
        }
        let mut expected = 0;
        for key in asked.into_iter().filter(|&key| !keeps(key)) {
            self.removed.insert(key, self.model.step);
            expected += u64::from(self.model.remove(key));
        }
        assert_eq!(got, expected);
    }

    fn fill(&mut self, count: u16, tag: u8) {
        let raw = RawOptions {
            tags: 1 << tag,
            extra: Some(RawExtraOptions {
                jitter: Some(0),
                ..RawExtraOptions::default()
            }),
            ..RawOptions::default()
        };
        if self.model.bounds.entries < 100 || self.fills == MAX_FILLS {
            return;
        }
        self.fills += 1;
        for key in FIRST_OF_MANY..FIRST_OF_MANY + count {
            self.put(key, Form::Number, &raw);
            self.check_removals();
        }
    }
}

/// Drives a future to its end, or polls it once and drops it.
fn drive<T>(future: impl Future<Output = T>, to_end: bool) -> Option<T> {
    if to_end {
        return Some(ready(future));
    }
    let mut future = pin!(future);
    ready(poll_once(&mut future))
}
