//! The options of a call, filled in when they are needed: a hit needs none.

use super::CacheOptions;
use super::extra::Rare;

/// What a call sets goes before what its typed cache sets, and that before the builder.
pub(crate) struct Terms<'a> {
    options: CacheOptions,
    typed: Option<&'a CacheOptions>,
    are_settled: bool,
}

impl<'a> Terms<'a> {
    pub(crate) fn new(options: CacheOptions, typed: Option<&'a CacheOptions>) -> Self {
        Self {
            options,
            typed,
            are_settled: false,
        }
    }

    /// The options, filled in.
    #[inline]
    pub(crate) fn settle(&mut self, builder: &CacheOptions) -> &CacheOptions {
        if !self.are_settled {
            self.are_settled = true;
            if let Some(typed) = self.typed {
                self.options.fill_in(typed);
            }
            self.options.fill_in(builder);
        }
        &self.options
    }

    /// The rare ones, of options that are filled in: whoever waits has done it.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        debug_assert!(self.are_settled, "options that are not filled in");
        self.options.rare.as_deref()
    }
}

impl From<CacheOptions> for Terms<'_> {
    fn from(options: CacheOptions) -> Self {
        Self::new(options, None)
    }
}
