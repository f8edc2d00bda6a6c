//! Definitions of instruments: futures, options and spreads have the same first fields.

use std::fmt;

use super::super::Groups;
use super::super::layout::{Decimal, OptDecimal, v9_definitions, v9_nine_definitions};
use super::{Block, Entries, Group, price_exponent, template};
use v9_definitions::md_instrument_definition_future27 as future;

/// Place of the group with the depths among the groups of a definition.
const FEED_TYPES: usize = 1;

view! {
    /// The depth of one of the instrument's books.
    FeedType([v9_definitions::md_instrument_definition_future27::no_md_feed_types], 4)
        like [v9_nine_definitions::md_instrument_definition_option55::no_md_feed_types] {
        /// Levels that are sent of a side.
        depth: MARKET_DEPTH -> i8,
    }
}

/// A definition of an instrument (27, 29, 41, 54, 55, 56).
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    template_id: u16,
    root: &'a [u8],
    feed_types: Group<'a>,
    /// Offsets of MinPriceIncrement and of DisplayFactor.
    places: (usize, usize),
}

impl<'a> FeedType<'a> {
    /// `GBX` the real book, `GBI` the implied one.
    pub fn name(&self) -> &'a [u8] {
        future::no_md_feed_types::MD_FEED_TYPE.get(self.bytes())
    }
}

impl<'a> Definition<'a> {
    pub(super) fn of(template_id: u16, root: &'a [u8], groups: Groups<'a>) -> Option<Self> {
        let places = match template_id {
            template::FUTURE | template::FUTURE_9 => FUTURE,
            template::SPREAD | template::SPREAD_9 => SPREAD,
            template::OPTION | template::OPTION_9 => OPTION,
            _ => return None,
        };
        Some(Self {
            template_id,
            root,
            feed_types: groups.get(FEED_TYPES),
            places,
        })
    }

    /// The instrument.
    pub fn security_id(&self) -> i32 {
        future::SECURITY_ID.get(self.root)
    }

    /// Its name.
    pub fn symbol(&self) -> &'a [u8] {
        future::SYMBOL.get(self.root)
    }

    /// The group that trades together.
    pub fn group(&self) -> &'a [u8] {
        future::SECURITY_GROUP.get(self.root)
    }

    /// The product.
    pub fn asset(&self) -> &'a [u8] {
        future::ASSET.get(self.root)
    }

    /// Its class, like `FUT`.
    pub fn security_type(&self) -> &'a [u8] {
        future::SECURITY_TYPE.get(self.root)
    }

    /// `A` added, `M` modified, `D` deleted.
    pub fn update_action(&self) -> u8 {
        future::SECURITY_UPDATE_ACTION.get(self.root)
    }

    /// Its trading status, where the replay feed says it.
    pub fn trading_status(&self) -> Option<u8> {
        future::MD_SECURITY_TRADING_STATUS.get(self.root)
    }

    /// Instruments in one loop of the replay feed; none on the incremental feed.
    pub fn total_reports(&self) -> Option<u32> {
        future::TOT_NUM_REPORTS.get(self.root)
    }

    /// When it changed last, ns since the epoch.
    pub fn last_update_time_ns(&self) -> u64 {
        future::LAST_UPDATE_TIME.get(self.root)
    }

    /// Its tick, as a mantissa of [`Definition::exponent`]; none when ticks vary.
    pub fn min_price_increment(&self) -> Option<i64> {
        OptDecimal::<0>(self.places.0).get(self.root)
    }

    /// What a price is multiplied with for display, as a mantissa of [`Definition::exponent`].
    pub fn display_factor(&self) -> i64 {
        Decimal::<0>(self.places.1).get(self.root)
    }

    /// Power of ten of its decimals.
    pub fn exponent(&self) -> i8 {
        price_exponent(self.template_id)
    }

    /// The depths of its books.
    pub fn feed_types(&self) -> Entries<'a, FeedType<'a>> {
        Entries::of(self.feed_types)
    }

    /// Levels of a side of the book of this name (`GBX` or `GBI`); none when it has no such book.
    pub fn depth(&self, name: &[u8]) -> Option<u8> {
        let feed_types = self.feed_types();
        let found = feed_types.iter().find(|feed| feed.name() == name)?;
        u8::try_from(found.depth()).ok()
    }
}

impl fmt::Debug for Definition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("template_id", &self.template_id)
            .field("security_id", &self.security_id())
            .field("symbol", &self.symbol().escape_ascii().to_string())
            .field("feed_types", &self.feed_types())
            .finish_non_exhaustive()
    }
}

/// Where MinPriceIncrement and DisplayFactor stand, the same in both scales of prices.
macro_rules! places {
    ($name:ident, $seven:ident, $nine:ident) => {
        const $name: (usize, usize) = {
            use v9_definitions::$seven as seven;
            use v9_nine_definitions::$nine as nine;
            // Every definition begins like a future's.
            assert!(seven::SECURITY_ID.0 == future::SECURITY_ID.0);
            assert!(seven::SYMBOL.0 == future::SYMBOL.0);
            assert!(seven::SECURITY_GROUP.0 == future::SECURITY_GROUP.0);
            assert!(seven::ASSET.0 == future::ASSET.0);
            assert!(seven::SECURITY_TYPE.0 == future::SECURITY_TYPE.0);
            assert!(seven::SECURITY_UPDATE_ACTION.0 == future::SECURITY_UPDATE_ACTION.0);
            assert!(seven::MD_SECURITY_TRADING_STATUS.0 == future::MD_SECURITY_TRADING_STATUS.0);
            assert!(seven::TOT_NUM_REPORTS.0 == future::TOT_NUM_REPORTS.0);
            assert!(seven::LAST_UPDATE_TIME.0 == future::LAST_UPDATE_TIME.0);
            assert!(nine::SECURITY_ID.0 == future::SECURITY_ID.0);
            assert!(nine::SYMBOL.0 == future::SYMBOL.0);
            assert!(nine::MIN_PRICE_INCREMENT.0 == seven::MIN_PRICE_INCREMENT.0);
            assert!(nine::DISPLAY_FACTOR.0 == seven::DISPLAY_FACTOR.0);
            (seven::MIN_PRICE_INCREMENT.0, seven::DISPLAY_FACTOR.0)
        };
    };
}

places!(
    FUTURE,
    md_instrument_definition_future27,
    md_instrument_definition_future54
);
places!(
    SPREAD,
    md_instrument_definition_spread29,
    md_instrument_definition_spread56
);
places!(
    OPTION,
    md_instrument_definition_option41,
    md_instrument_definition_option55
);
