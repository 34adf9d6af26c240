//! The options of a call, filled in when they are needed: a hit needs none.

use std::sync::Arc;

use super::CacheOptions;
use super::extra::ExtraOptions;

/// What a call sets goes before what its typed cache sets, and that before the builder.
pub(crate) struct CallOptions<'a> {
    options: CacheOptions,
    typed: Option<&'a CacheOptions>,
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

    /// The options, filled in.
    #[inline]
    pub(crate) fn resolve(&mut self, builder: &CacheOptions) -> &CacheOptions {
        if !self.is_resolved {
            self.is_resolved = true;
            if let Some(typed) = self.typed {
                self.options.fill_in(typed);
            }
            self.options.fill_in(builder);
        }
        &self.options
    }

    /// The rare ones, of options that are filled in: whoever waits has done it.
    pub(crate) fn extra(&self) -> Option<&ExtraOptions> {
        debug_assert!(self.is_resolved, "options that are not filled in");
        self.options.extra.as_deref()
    }
}

impl From<CacheOptions> for CallOptions<'_> {
    fn from(options: CacheOptions) -> Self {
        Self::new(options, None)
    }
}

impl CacheOptions {
    /// Whether they have nothing but a time to live, if that.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.extra.is_none() && self.tags.is_empty()
    }

    /// Fills in what is not set, and adds the tags.
    #[inline]
    pub(crate) fn fill_in(&mut self, defaults: &Self) {
        self.ttl = self.ttl.or(defaults.ttl);
        if !defaults.is_plain() {
            self.fill_in_extra(defaults);
        }
    }

    #[cold]
    fn fill_in_extra(&mut self, defaults: &Self) {
        self.tags.extend(defaults.tags.iter().cloned());
        let Some(defaults) = &defaults.extra else {
            return;
        };
        let Some(extra) = &mut self.extra else {
            self.extra = Some(Arc::clone(defaults));
            return;
        };
        let extra = Arc::make_mut(extra);
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
