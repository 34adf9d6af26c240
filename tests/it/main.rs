//! Tests of the contract through the public API. Each module proves a promise.

#![allow(clippy::unwrap_used, reason = "an unexpected error fails the test")]
#![allow(
    unreachable_pub,
    reason = "the modules of one test binary have no public items"
)]
#![allow(
    clippy::similar_names,
    reason = "leader, loader, load and loaded stand side by side"
)]

mod ahead;
mod autotraits;
mod background;
mod background_bounds;
mod backoff;
mod backoff_tags;
mod bad_input;
mod builder;
mod bulk;
mod bulk_again;
mod bulk_ends;
mod bulk_overlaps;
mod cancellation;
mod clock;
mod codec;
mod errors;
mod expiring;
mod expiry;
mod fetching;
mod foreign_code;
mod invalidation;
mod iterators;
mod jitter_and_idle;
mod leaps;
mod loader_ends;
mod loading_cache;
mod long_loads;
mod many_tags;
mod max_bytes;
mod memory;
mod one_moment;
mod overdue;
mod own_tags;
mod parts;
mod pool;
mod postcard_table;
mod refreshing;
mod removal;
mod round_trip;
mod round_trip_values;
mod single_flight;
mod stale;
mod stats;
mod support;
mod tag_costs;
mod tags;
mod tidying;
mod timeouts;
mod typed;
mod typed_invalidation;
mod typed_keys;
mod typed_names;
mod types;
mod unencodable;
mod unswept;
mod update_keeps;
mod updating;
mod weak;
mod windows;
mod zero_ttl;
