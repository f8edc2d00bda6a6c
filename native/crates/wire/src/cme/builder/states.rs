//! Encoder of definitions, trading statuses, trades and statistics: fields at the generated places.

use super::super::layout::{template, v9, v9_definitions, v9_nine};
use super::{PacketBuilder, incremental_root};

/// A future to define; its prices are in 10⁻⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionOf<'a> {
    /// The instrument.
    pub security_id: i32,
    /// Its name, at most 20 bytes.
    pub symbol: &'a [u8],
    /// The group that trades together, at most 6 bytes.
    pub group: &'a [u8],
    /// MinPriceIncrement.
    pub tick: i64,
    /// DisplayFactor.
    pub display_factor: i64,
    /// SecurityTradingStatus.
    pub trading_status: Option<u8>,
    /// Levels of the real book.
    pub depth: i8,
    /// Levels of the implied book, if it has one.
    pub implied_depth: Option<i8>,
}

/// A trade of a trade summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeReport {
    /// MDEntryPx, in 10⁻⁹.
    pub price: i64,
    /// MDEntrySize.
    pub size: i32,
    /// The instrument.
    pub security_id: i32,
    /// Its number among the instrument's updates.
    pub rpt_seq: u32,
    /// 1 buy, 2 sell; none: nobody.
    pub aggressor: Option<u8>,
}

impl PacketBuilder {
    /// Appends the definition of a future (54).
    pub fn definition(&mut self, of: DefinitionOf<'_>) -> bool {
        use super::super::layout::v9_nine_definitions::md_instrument_definition_future54 as at;
        let mut root = vec![0; at::LAYOUT.root_len];
        at::MATCH_EVENT_INDICATOR.put(&mut root, 0x80);
        at::TOT_NUM_REPORTS.put(&mut root, None);
        at::SECURITY_UPDATE_ACTION.put(&mut root, b'A');
        at::MD_SECURITY_TRADING_STATUS.put(&mut root, of.trading_status);
        at::SECURITY_GROUP.put(&mut root, of.group);
        at::SYMBOL.put(&mut root, of.symbol);
        at::SECURITY_ID.put(&mut root, of.security_id);
        at::SECURITY_TYPE.put(&mut root, b"FUT");
        at::MIN_PRICE_INCREMENT.put(&mut root, of.tick);
        at::DISPLAY_FACTOR.put(&mut root, of.display_factor);
        let feed_type = |name: &[u8], depth| {
            use v9_definitions::md_instrument_definition_future27::no_md_feed_types as at;
            let mut entry = vec![0; at::GROUP.entry_len];
            at::MD_FEED_TYPE.put(&mut entry, name);
            at::MARKET_DEPTH.put(&mut entry, depth);
            entry
        };
        let implied = of.implied_depth.map(|depth| feed_type(b"GBI", depth));
        let mut feed_types = vec![feed_type(b"GBX", of.depth)];
        feed_types.extend(implied);
        self.message(at::ID, &root, &[&[], &feed_types, &[], &[]])
    }

    /// Appends a trading status (30) of an instrument, or of its whole group.
    pub fn security_status(
        &mut self,
        transact_time_ns: u64,
        group: &[u8],
        security_id: Option<i32>,
        trading_status: u8,
    ) -> bool {
        use v9::security_status30 as at;
        let mut root = vec![0; at::LAYOUT.root_len];
        at::TRANSACT_TIME.put(&mut root, transact_time_ns);
        at::SECURITY_GROUP.put(&mut root, group);
        at::SECURITY_ID.put(&mut root, security_id);
        at::TRADE_DATE.put(&mut root, None);
        at::MATCH_EVENT_INDICATOR.put(&mut root, 0x80);
        at::SECURITY_TRADING_STATUS.put(&mut root, Some(trading_status));
        self.message(at::ID, &root, &[])
    }

    /// Appends trades (48) and the orders that were matched: OrderID and quantity.
    pub fn trades(
        &mut self,
        transact_time_ns: u64,
        trades: &[TradeReport],
        orders: &[(u64, i32)],
    ) -> bool {
        use v9_nine::md_incremental_refresh_trade_summary48::{
            no_md_entries as at, no_order_id_entries as of,
        };
        let trade = |trade: &TradeReport| {
            let mut entry = vec![0; at::GROUP.entry_len];
            at::MD_ENTRY_PX.put(&mut entry, trade.price);
            at::MD_ENTRY_SIZE.put(&mut entry, trade.size);
            at::SECURITY_ID.put(&mut entry, trade.security_id);
            at::RPT_SEQ.put(&mut entry, trade.rpt_seq);
            at::NUMBER_OF_ORDERS.put(&mut entry, 2);
            at::AGGRESSOR_SIDE.put(&mut entry, trade.aggressor);
            at::MD_TRADE_ENTRY_ID.put(&mut entry, None);
            entry
        };
        let order = |(order_id, quantity): &(u64, i32)| {
            let mut entry = vec![0; of::GROUP.entry_len];
            of::ORDER_ID.put(&mut entry, *order_id);
            of::LAST_QTY.put(&mut entry, *quantity);
            entry
        };
        let trades: Vec<_> = trades.iter().map(trade).collect();
        let orders: Vec<_> = orders.iter().map(order).collect();
        let root = incremental_root(transact_time_ns);
        self.message(template::TRADE_SUMMARY_9, &root, &[&trades, &orders])
    }

    /// Appends a statistic of the session (51): `4` open, `7` high, `8` low.
    pub fn session_statistic(
        &mut self,
        transact_time_ns: u64,
        security_id: i32,
        rpt_seq: u32,
        (kind, price): (u8, i64),
    ) -> bool {
        use v9_nine::md_incremental_refresh_session_statistics51::no_md_entries as at;
        let mut entry = vec![0; at::GROUP.entry_len];
        at::MD_ENTRY_PX.put(&mut entry, price);
        at::SECURITY_ID.put(&mut entry, security_id);
        at::RPT_SEQ.put(&mut entry, rpt_seq);
        at::OPEN_CLOSE_SETTL_FLAG.put(&mut entry, None);
        at::MD_ENTRY_TYPE.put(&mut entry, kind);
        at::MD_ENTRY_SIZE.put(&mut entry, None);
        let root = incremental_root(transact_time_ns);
        self.message(template::SESSION_STATISTICS_9, &root, &[&[entry]])
    }
}
