//! Blocks of snapshots, states, sessions and requests.

use std::fmt;

use super::{Block, v9, v9_nine};

view! {
    /// A channel that is emptied (4).
    ResetEntry([v9::channel_reset4::no_md_entries], 2) {
        /// The channel.
        channel_id: APPL_ID -> i16,
    }
}

view! {
    /// A session begins (15).
    Login([v9::admin_login15], 1) {
        /// Seconds between heartbeats.
        heartbeat_s: HEART_BT_INT -> i8,
    }
}

/// A session ends (16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Logout<'a>(&'a [u8]);

impl<'a> Logout<'a> {
    pub(super) fn of(root: &'a [u8]) -> Self {
        Self(root)
    }

    /// Why.
    pub fn text(&self) -> &'a [u8] {
        v9::admin_logout16::TEXT.get(self.0)
    }
}

view! {
    /// A trading status of an instrument, or of a group of them (30).
    SecurityStatus([v9::security_status30], 30) {
        /// When, ns since the epoch.
        transact_time_ns: TRANSACT_TIME -> u64,
        /// The instrument; none when the whole group, or product, is meant.
        security_id: SECURITY_ID -> Option<i32>,
        /// Days since the epoch of the session.
        trade_date: TRADE_DATE -> Option<u16>,
        /// As of incremental messages.
        match_event_indicator: MATCH_EVENT_INDICATOR -> u8,
        /// 2 halt, 4 close, 15 new price indication, 17 ready to trade, 18 not available, 20
        /// unknown, 21 pre-open, 24 pre-cross, 25 cross, 26 post-close, 103 no change.
        trading_status: SECURITY_TRADING_STATUS -> Option<u8>,
        /// Why it is halted.
        halt_reason: HALT_REASON -> u8,
        /// 0 none, 1 no cancel, 4 statistics begin again, 5 and 6 implied matching on and off.
        event: SECURITY_TRADING_EVENT -> u8,
    }
}

impl<'a> SecurityStatus<'a> {
    /// The group that is meant.
    pub fn group(&self) -> &'a [u8] {
        v9::security_status30::SECURITY_GROUP.get(self.bytes())
    }

    /// The product that is meant; empty when the whole group is.
    pub fn asset(&self) -> &'a [u8] {
        v9::security_status30::ASSET.get(self.bytes())
    }
}

view! {
    /// What a snapshot by price begins with (38, 52).
    SnapshotRoot([v9::snapshot_full_refresh38], 59) like [v9_nine::snapshot_full_refresh52] {
        /// Number of the last packet of the incremental feed that is in it.
        last_msg_seq_num_processed: LAST_MSG_SEQ_NUM_PROCESSED -> u32,
        /// Instruments in one loop.
        total_reports: TOT_NUM_REPORTS -> u32,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// RptSeq of the last update that is in it.
        rpt_seq: RPT_SEQ -> u32,
        /// When it was made, ns since the epoch.
        transact_time_ns: TRANSACT_TIME -> u64,
        /// When the instrument's definition changed last, ns since the epoch.
        last_update_time_ns: LAST_UPDATE_TIME -> u64,
        /// Days since the epoch of the session.
        trade_date: TRADE_DATE -> Option<u16>,
        /// As of a [`SecurityStatus`].
        trading_status: MD_SECURITY_TRADING_STATUS -> Option<u8>,
        /// Highest price that is allowed.
        high_limit: HIGH_LIMIT_PRICE -> Option<i64>,
        /// Lowest price that is allowed.
        low_limit: LOW_LIMIT_PRICE -> Option<i64>,
        /// Width of the band.
        max_variation: MAX_PRICE_VARIATION -> Option<i64>,
    }
}

view! {
    /// A level or a statistic of a snapshot by price (38, 52).
    SnapshotEntry([v9::snapshot_full_refresh38::no_md_entries], 22)
        like [v9_nine::snapshot_full_refresh52::no_md_entries] {
        /// Price.
        price: MD_ENTRY_PX -> Option<i64>,
        /// Quantity.
        size: MD_ENTRY_SIZE -> Option<i32>,
        /// Orders of a level.
        orders: NUMBER_OF_ORDERS -> Option<i32>,
        /// Place of a level on its side, from 1; none for a statistic.
        level: MD_PRICE_LEVEL -> Option<i8>,
        /// `0` bid, `1` offer, `E`, `F` implied, `J` no level; others are statistics.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

view! {
    /// What a part of a snapshot by order begins with (44, 53).
    OrderSnapshotRoot([v9::snapshot_full_refresh_order_book44], 28)
        like [v9_nine::snapshot_full_refresh_order_book53] {
        /// Number of the last packet of the incremental feed that is in it.
        last_msg_seq_num_processed: LAST_MSG_SEQ_NUM_PROCESSED -> u32,
        /// Instruments in one loop.
        total_reports: TOT_NUM_REPORTS -> u32,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Parts of the instrument's book.
        chunks: NO_CHUNKS -> u32,
        /// Which one this is, from 1.
        chunk: CURRENT_CHUNK -> u32,
        /// When it was made, ns since the epoch.
        transact_time_ns: TRANSACT_TIME -> u64,
    }
}

view! {
    /// An order of a snapshot by order (44, 53).
    OrderSnapshotEntry([v9::snapshot_full_refresh_order_book44::no_md_entries], 29)
        like [v9_nine::snapshot_full_refresh_order_book53::no_md_entries] {
        /// OrderID.
        order_id: ORDER_ID -> u64,
        /// Lower goes first.
        priority: MD_ORDER_PRIORITY -> Option<u64>,
        /// Price.
        price: MD_ENTRY_PX -> i64,
        /// Quantity that is shown.
        quantity: MD_DISPLAY_QTY -> i32,
        /// `0` bid, `1` offer.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

view! {
    /// A request for quotes (39).
    QuoteRequest([v9::quote_request39], 35) {
        /// When, ns since the epoch.
        transact_time_ns: TRANSACT_TIME -> u64,
        /// As of incremental messages.
        match_event_indicator: MATCH_EVENT_INDICATOR -> u8,
    }
}

impl<'a> QuoteRequest<'a> {
    /// The request's own name.
    pub fn id(&self) -> &'a [u8] {
        v9::quote_request39::QUOTE_REQ_ID.get(self.bytes())
    }
}

view! {
    /// An instrument that a quote is asked of (39).
    RelatedSymbol([v9::quote_request39::no_related_sym], 32) {
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Quantity that is asked for.
        quantity: ORDER_QTY -> Option<i32>,
        /// 1: tradeable.
        quote_type: QUOTE_TYPE -> i8,
        /// 1 buy, 2 sell, 8 cross.
        side: SIDE -> Option<i8>,
    }
}

impl<'a> RelatedSymbol<'a> {
    /// Its name.
    pub fn symbol(&self) -> &'a [u8] {
        v9::quote_request39::no_related_sym::SYMBOL.get(self.bytes())
    }
}
