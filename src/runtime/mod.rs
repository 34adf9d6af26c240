//! The services injected by the caller: the clock, the timer, the spawner.

mod clock;
mod manual;
mod spawn;
mod timer;

pub use self::clock::{Clock, SystemClock};
pub(crate) use self::clock::{Moment, Now};
pub use self::manual::ManualClock;
pub use self::spawn::Spawn;
#[cfg(all(feature = "async-io", not(any(loom, target_family = "wasm"))))]
pub use self::timer::AsyncIoTimer;
pub(crate) use self::timer::default_timer;
pub use self::timer::{BoxFuture, Timer};
