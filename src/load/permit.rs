//! The bound on the number of background loads.

use std::sync::atomic::Ordering;

use super::leader::EngineRef;
use crate::engine::{Engine, Handle};

/// A place among the `max_background_loads`, given back on drop.
pub(crate) struct Permit<'a, C>(EngineRef<'a, C>);

impl<'a, C> Permit<'a, C> {
    /// Returns `true` if the cache has a spawner and a timer, so that a load can run without a
    /// caller; `false` if the spawner or the timer is missing.
    pub(crate) fn has_background(engine: &Engine<C>) -> bool {
        engine.settings.spawner.is_some() && engine.settings.timer.is_some()
    }

    /// Returns a permit, or `None` if `max_background_loads` are running.
    pub(crate) fn acquire(engine: &'a Engine<C>) -> Option<Self> {
        let most = engine.settings.max_background_loads;
        let one_more = |loads| (loads < most).then_some(loads + 1);
        let loads = &engine.background_loads;
        let taken = loads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Self(EngineRef::Borrowed(engine)))
    }

    /// Moves the permit into a load that keeps the cache.
    pub(crate) fn into_owned(self, engine: &Handle<C>) -> Permit<'static, C> {
        // Not dropped: the count passes to the owned permit.
        std::mem::forget(self);
        Permit(EngineRef::Owned(Handle::clone(engine)))
    }
}

impl<C> Drop for Permit<'_, C> {
    fn drop(&mut self) {
        self.0.background_loads.fetch_sub(1, Ordering::Relaxed);
    }
}
