//! The options of a call, merged with the defaults. A hit needs no options, so the merge waits
//! until a call has to load or to wait.

use std::sync::Arc;

use super::CacheOptions;
use super::extra::ExtraOptions;

/// The options of a call with the defaults still to be merged. Precedence: the call, the typed
/// cache, the builder.
pub(crate) struct CallOptions<'a> {
    options: CacheOptions,
    /// The options of the typed cache, if the call came through such a handle.
    typed: Option<&'a CacheOptions>,
    /// Whether `options` already contains the defaults.
    is_resolved: bool,
}

impl<'a> CallOptions<'a> {
    pub(crate) fn new(options: CacheOptions, typed: Option<&'a CacheOptions>) -> Self {
        Self {
            options,
            typed,
            is_resolved: false,
        }
    }

    /// Returns the merged options. Only the first call merges.
    #[inline]
    pub(crate) fn resolve(&mut self, builder: &CacheOptions) -> &CacheOptions {
        if !self.is_resolved {
            self.is_resolved = true;
            // The order is the precedence: an option set earlier is not overwritten.
            if let Some(typed) = self.typed {
                self.options.fill_in(typed);
            }
            self.options.fill_in(builder);
        }
        &self.options
    }

    /// Returns the rare options. Must follow `resolve`; every call that waits has resolved.
    pub(crate) fn extra(&self) -> Option<&ExtraOptions> {
        debug_assert!(self.is_resolved, "`extra` before `resolve`");
        self.options.extra.as_deref()
    }
}

impl From<CacheOptions> for CallOptions<'_> {
    fn from(options: CacheOptions) -> Self {
        Self::new(options, None)
    }
}

impl CacheOptions {
    /// Returns `true` if nothing but a time to live can be set, `false` if tags or rare options are
    /// set.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.extra.is_none() && self.tags.is_empty()
    }

    /// Takes unset options from `defaults`, and adds the tags of `defaults`.
    #[inline]
    pub(crate) fn fill_in(&mut self, defaults: &Self) {
        self.ttl = self.ttl.or(defaults.ttl);
        if !defaults.is_plain() {
            self.fill_in_extra(defaults);
        }
    }

    // Apart from `fill_in`, so that a call with plain defaults stays small.
    #[cold]
    fn fill_in_extra(&mut self, defaults: &Self) {
        self.tags.extend(defaults.tags.iter().cloned());
        let Some(defaults) = &defaults.extra else {
            return;
        };
        let Some(extra) = &mut self.extra else {
            // Nothing to merge: share the allocation of the defaults.
            self.extra = Some(Arc::clone(defaults));
            return;
        };
        let extra = Arc::make_mut(extra);
        // Field by field: a forgotten field does not compile.
        *extra = ExtraOptions {
            stale_while_revalidate: extra
                .stale_while_revalidate
                .or(defaults.stale_while_revalidate),
            stale_if_error: extra.stale_if_error.or(defaults.stale_if_error),
            refresh_ahead: extra.refresh_ahead.or(defaults.refresh_ahead),
            jitter: extra.jitter.or(defaults.jitter),
            time_to_idle: extra.time_to_idle.or(defaults.time_to_idle),
            load_timeout: extra.load_timeout.or(defaults.load_timeout),
            soft_timeout: extra.soft_timeout.or(defaults.soft_timeout),
            error_backoff: extra.error_backoff.or(defaults.error_backoff),
        };
    }
}
