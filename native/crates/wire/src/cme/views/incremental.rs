//! Blocks of the messages of an incremental channel.

use std::fmt;

use super::{Block, v6, v9, v9_nine};

view! {
    /// What every incremental message begins with.
    IncrementalRoot([v9::channel_reset4], 9) like [v9_nine::md_incremental_refresh_book46] {
        /// When the event began in the matching engine, ns since the epoch.
        transact_time_ns: TRANSACT_TIME -> u64,
        /// Bits: 0 last trade, 1 last volume, 2 last quote, 3 last statistics, 4 last implied of
        /// the event, 5 recovery, 7 end of the event.
        match_event_indicator: MATCH_EVENT_INDICATOR -> u8,
    }
}

view! {
    /// A change of a price level (32, 46).
    PriceEntry([v9::md_incremental_refresh_book32::no_md_entries], 32)
        like [v9_nine::md_incremental_refresh_book46::no_md_entries] {
        /// Price of the level.
        price: MD_ENTRY_PX -> Option<i64>,
        /// Quantity of the level.
        size: MD_ENTRY_SIZE -> Option<i32>,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// Orders of the level; none for an implied one.
        orders: NUMBER_OF_ORDERS -> Option<i32>,
        /// Its place on its side, from 1.
        level: MD_PRICE_LEVEL -> u8,
        /// 0 new, 1 change, 2 delete, 3 delete thru, 4 delete from, 5 overlay.
        action: MD_UPDATE_ACTION -> u8,
        /// `0` bid, `1` offer, `E` implied bid, `F` implied offer, `J` empties the book.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

view! {
    /// A change of an order behind a price entry of the same message (32, 46).
    LinkedOrder([v9::md_incremental_refresh_book32::no_order_id_entries], 24)
        like [v9_nine::md_incremental_refresh_book46::no_order_id_entries] {
        /// OrderID.
        order_id: ORDER_ID -> u64,
        /// Lower goes first.
        priority: MD_ORDER_PRIORITY -> Option<u64>,
        /// Quantity that is shown.
        quantity: MD_DISPLAY_QTY -> Option<i32>,
        /// Number from 1 of the price entry, which has price, side and instrument.
        reference: REFERENCE_ID -> Option<u8>,
        /// 0 new, 1 update, 2 delete.
        action: ORDER_UPDATE_ACTION -> u8,
    }
}

view! {
    /// A change of an order (43, 47).
    OrderEntry([v9::md_incremental_refresh_order_book43::no_md_entries], 40)
        like [v9_nine::md_incremental_refresh_order_book47::no_md_entries] {
        /// OrderID; none when the whole side or book is meant.
        order_id: ORDER_ID -> Option<u64>,
        /// Lower goes first.
        priority: MD_ORDER_PRIORITY -> Option<u64>,
        /// Price of the order.
        price: MD_ENTRY_PX -> Option<i64>,
        /// Quantity that is shown.
        quantity: MD_DISPLAY_QTY -> Option<i32>,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
        /// `0` bid, `1` offer, `J` empties the book.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

view! {
    /// A trade (42, 48).
    Trade([v9::md_incremental_refresh_trade_summary42::no_md_entries], 32)
        like [v9_nine::md_incremental_refresh_trade_summary48::no_md_entries] {
        /// Price of the trade.
        price: MD_ENTRY_PX -> i64,
        /// Quantity of the trade.
        size: MD_ENTRY_SIZE -> i32,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// Orders that took part.
        orders: NUMBER_OF_ORDERS -> Option<i32>,
        /// 0 nobody, 1 buy, 2 sell.
        aggressor: AGGRESSOR_SIDE -> Option<u8>,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
    }
}

view! {
    /// An order that was matched (42, 48).
    TradeOrder([v9::md_incremental_refresh_trade_summary42::no_order_id_entries], 16)
        like [v9_nine::md_incremental_refresh_trade_summary48::no_order_id_entries] {
        /// OrderID.
        order_id: ORDER_ID -> u64,
        /// Its part of the trade.
        quantity: LAST_QTY -> i32,
    }
}

view! {
    /// A trade up to version 6 (36).
    OldTrade([v6::md_incremental_refresh_trade36::no_md_entries], 32) {
        /// Price of the trade.
        price: MD_ENTRY_PX -> i64,
        /// Quantity of the trade.
        size: MD_ENTRY_SIZE -> i32,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// Orders that took part.
        orders: NUMBER_OF_ORDERS -> Option<i32>,
        /// The trade's own number.
        trade_id: TRADE_ID -> i32,
        /// 0 nobody, 1 buy, 2 sell.
        aggressor: AGGRESSOR_SIDE -> Option<u8>,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
    }
}

view! {
    /// Traded volume of an instrument (37).
    Volume([v9::md_incremental_refresh_volume37::no_md_entries], 16) {
        /// Sum of the day.
        volume: MD_ENTRY_SIZE -> i32,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
    }
}

view! {
    /// A statistic of the day (33, 49).
    DailyStatistic([v9::md_incremental_refresh_daily_statistics33::no_md_entries], 32)
        like [v9_nine::md_incremental_refresh_daily_statistics49::no_md_entries] {
        /// Price, of a settlement or fixing.
        price: MD_ENTRY_PX -> Option<i64>,
        /// Quantity, of cleared volume or open interest.
        size: MD_ENTRY_SIZE -> Option<i32>,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// Days since the epoch that it is of.
        reference_date: TRADING_REFERENCE_DATE -> Option<u16>,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
        /// `6` settlement, `B` cleared volume, `C` open interest, `W` fixing.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

view! {
    /// Price limits of an instrument (34, 50).
    Limits([v9::md_incremental_refresh_limits_banding34::no_md_entries], 32)
        like [v9_nine::md_incremental_refresh_limits_banding50::no_md_entries] {
        /// Highest price that is allowed.
        high: HIGH_LIMIT_PRICE -> Option<i64>,
        /// Lowest price that is allowed.
        low: LOW_LIMIT_PRICE -> Option<i64>,
        /// Width of the band.
        max_variation: MAX_PRICE_VARIATION -> Option<i64>,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
    }
}

view! {
    /// A statistic of the session (35, 51). Its size came with version 8 and is read by
    /// [`SessionStatistic::size`].
    SessionStatistic([v9::md_incremental_refresh_session_statistics35::no_md_entries], 24)
        like [v9_nine::md_incremental_refresh_session_statistics51::no_md_entries] {
        /// Price.
        price: MD_ENTRY_PX -> i64,
        /// The instrument.
        security_id: SECURITY_ID -> i32,
        /// Its number among the instrument's updates.
        rpt_seq: RPT_SEQ -> u32,
        /// 0 daily open, 5 indicative opening, of an opening price.
        open_flag: OPEN_CLOSE_SETTL_FLAG -> Option<u8>,
        /// 0 new, 1 change, 2 delete.
        action: MD_UPDATE_ACTION -> u8,
        /// `4` open, `7` high, `8` low, `N` high bid, `O` low offer.
        kind: MD_ENTRY_TYPE -> u8,
    }
}

impl SessionStatistic<'_> {
    /// Indicative quantity. Messages of a version before 8 have nothing there.
    pub fn size(&self, version: u16) -> Option<i32> {
        let at = v9::md_incremental_refresh_session_statistics35::no_md_entries::MD_ENTRY_SIZE;
        (version >= 8).then(|| at.get(self.bytes())).flatten()
    }
}

impl Trade<'_> {
    /// The trade's own number. Messages of a version before 7 have nothing there.
    pub fn trade_id(&self, version: u16) -> Option<u32> {
        let at = v9::md_incremental_refresh_trade_summary42::no_md_entries::MD_TRADE_ENTRY_ID;
        (version >= 7).then(|| at.get(self.bytes())).flatten()
    }
}
