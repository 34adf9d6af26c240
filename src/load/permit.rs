//! How many loads run in the background.

use std::sync::atomic::Ordering;

use super::leader::EngineRef;
use crate::engine::{Engine, Handle};
use crate::value::Codec;

/// A place among the loads in the background.
pub(crate) struct Permit<'a, C>(EngineRef<'a, C>);

impl<C> Drop for Permit<'_, C> {
    fn drop(&mut self) {
        self.0.background.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> Permit<'_, C> {
    /// The same place, for a load that keeps the cache.
    pub(crate) fn away(self, engine: &Handle<C>) -> Permit<'static, C> {
        std::mem::forget(self);
        Permit(EngineRef::Owned(Handle::clone(engine)))
    }
}

impl<C: Codec> Engine<C> {
    /// Whether a loader that was handed over may run without its caller.
    pub(crate) fn has_background(&self) -> bool {
        self.settings.spawner.is_some() && self.settings.timer.is_some()
    }

    /// A place in the background, if one is free.
    pub(crate) fn permit(&self) -> Option<Permit<'_, C>> {
        let most = self.settings.max_background_loads;
        let one_more = |loads| (loads < most).then_some(loads + 1);
        let background = &self.background;
        let taken = background.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Permit(EngineRef::Borrowed(self)))
    }
}
