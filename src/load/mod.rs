//! Loading: single flight, timeouts, loads in the background, loads of many keys.

mod background;
mod bulk;
mod call;
mod drive;
mod leader;
mod loaded;
mod loaded_many;
mod permit;
mod serve;
mod timeouts;

pub(crate) use self::background::load_owned;
pub use self::loaded::{Fetched, Loaded, Old, Source};
pub use self::loaded_many::LoadedMany;
pub(crate) use self::serve::{shared_of, value_of};
