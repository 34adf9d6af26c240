//! Loading: single flight, timeouts, background loads, loads of many keys.
//!
//! [`call`] is the protocol; begin there.

#![allow(
    clippy::manual_async_fn,
    reason = "the future of an `async fn` holds its arguments twice"
)]
#![allow(
    clippy::similar_names,
    reason = "a leader runs a loader: the two words of the field"
)]

mod background;
mod bulk;
mod call;
mod drive;
mod handover;
mod join;
mod leader;
mod leader_group;
mod loaded;
mod loaded_many;
mod loader;
mod overdue;
mod permit;
mod reply;
mod served;
mod step;
mod timeouts;

pub(crate) use self::background::Owned;
pub(crate) use self::bulk::load_many;
pub(crate) use self::call::{load, refresh};
pub use self::loaded::{Fetched, Loaded, Old, Source};
pub use self::loaded_many::LoadedMany;
pub(crate) use self::loader::{Full, Loader, Plain};
pub(crate) use self::reply::{SharedValue, Value, WithSource};
