//! The messages beside orders and executions: trades, states, instruments, auctions, summaries.

use super::components::{
    InstrumentEntry, Leg, RelatedInstrument, RemainingOrder, StateEntry, TradeEntry,
};
use super::{Entries, Place, Value, field, structures};
use crate::eobi::{Release, Side};

structures! {
    /// A trade is undone; what the statistics are now.
    TradeReversal<'a> in trade_reversal {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Quantity of the trade, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// Price of the trade, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// When it was made, ns since the epoch.
        execution_time_ns: Option<u64> = TRD_REG_TS_EXECUTION_TIME,
        /// The trade's number.
        match_id: Option<u32> = TRD_MATCH_ID,
        /// Bits of the trade's condition.
        trade_condition: Option<u16> = TRADE_CONDITION,
        /// On the book or off it, by number.
        origin: Option<u8> = MD_ORIGIN_TYPE,
        /// The statistics that changed with it.
        entries: Entries<'a, TradeEntry> = MD_TRADE_ENTRY_GRP,
    }

    /// A trade of an auction, or at its price.
    TradeReport in trade_report {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Quantity, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// Price, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// The trade's number.
        match_id: Option<u32> = TRD_MATCH_ID,
        /// How it was matched, by number.
        match_type: Option<u8> = MATCH_TYPE,
        /// In which auction, by number.
        match_sub_type: Option<u8> = MATCH_SUB_TYPE,
        /// 1 when an algorithm took part.
        algorithmic: Option<u8> = ALGORITHMIC_TRADE_INDICATOR,
        /// Bits of the trade's condition.
        trade_condition: Option<u16> = TRADE_CONDITION,
    }

    /// An incoming order was matched; its executions follow. It does not touch the book.
    ExecutionSummary in execution_summary {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When the gateway had the request, ns since the epoch.
        request_time_ns: Option<u64> = REQUEST_TIME,
        /// When the match was made, ns since the epoch.
        execution_id_ns: Option<u64> = EXEC_ID,
        /// All that was matched, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// Side of the incoming order.
        aggressor_side: Option<Side> = AGGRESSOR_SIDE,
        /// Bits of the trade's condition.
        trade_condition: Option<u16> = TRADE_CONDITION,
        /// Whether and how hidden liquidity took part, by number.
        trading_hhi: Option<u8> = TRADING_HHI_INDICATOR,
        /// The worst price, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// What is left of the incoming order.
        remaining: Option<RemainingOrder> = REMAINING_ORDER_DETAILS,
        /// Hidden quantity that was matched, in units of 10⁻⁴.
        resting_hidden_quantity: Option<i64> = RESTING_HIDDEN_QTY,
        /// Resting quantity that was cancelled, in units of 10⁻⁴.
        resting_cancelled_quantity: Option<i64> = RESTING_CXL_QTY,
        /// When the incoming order entered the matching, ns since the epoch.
        aggressor_time_ns: Option<u64> = AGGRESSOR_TIME,
    }

    /// The product's session changed its state.
    ProductStateChange in product_state_change {
        /// TradingSessionID: day, morning, evening, after hours, holiday, by number.
        session: Option<u8> = TRADING_SESSION_ID,
        /// TradingSessionSubID: pre-trading, continuous, closing, by number.
        sub_session: Option<u8> = TRADING_SESSION_SUB_ID,
        /// TradSesStatus: 1 halted, 2 open, 3 closed.
        session_status: Option<u8> = TRAD_SES_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MARKET_CONDITION,
        /// 1 in a fast market.
        fast_market: Option<u8> = FAST_MARKET_INDICATOR,
        /// TradSesStatus of off-book trading.
        tes_session_status: Option<u8> = TES_TRAD_SES_STATUS,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
    }

    /// An instrument changed its state.
    InstrumentStateChange in instrument_state_change {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// SecurityStatus.
        security_status: Option<u8> = SECURITY_STATUS,
        /// SecurityTradingStatus.
        trading_status: Option<u8> = SECURITY_TRADING_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MARKET_CONDITION,
        /// 1 in a fast market.
        fast_market: Option<u8> = FAST_MARKET_INDICATOR,
        /// Why the state changed, by number.
        trading_event: Option<u8> = SECURITY_TRADING_EVENT,
        /// Whether one side is sold out, by number.
        sold_out: Option<u8> = SOLD_OUT_INDICATOR,
        /// Upper limit of its price, in units of 10⁻⁸.
        high_price: Option<i64> = HIGH_PX,
        /// Lower limit of its price, in units of 10⁻⁸.
        low_price: Option<i64> = LOW_PX,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// SecurityStatus of its off-book trading.
        tes_security_status: Option<u8> = TES_SECURITY_STATUS,
    }

    /// A complex instrument was created during the day.
    AddComplexInstrument<'a> in add_complex_instrument {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Its name; empty in 6.0.
        description: &'a [u8] = SECURITY_DESC,
        /// Which kind of strategy, by number.
        security_sub_type: Option<i32> = SECURITY_SUB_TYPE,
        /// Which kind of complex instrument, by number.
        product_complex: Option<u8> = PRODUCT_COMPLEX,
        /// Whether implied orders take part in its market.
        implied_market: Option<u8> = IMPLIED_MARKET_INDICATOR,
        /// By what its quantities are multiplied.
        quantity_scaling: Option<u16> = QUANTITY_SCALING_FACTOR,
        /// By what its legs' ratios are multiplied.
        leg_ratio_multiplier: Option<u32> = LEG_RATIO_MULTIPLIER,
        /// Whether the last of its legs are here, by number; none in 6.0.
        last_fragment: Option<u8> = LAST_FRAGMENT,
        /// Its legs.
        legs: Entries<'a, Leg> = INSTRMT_LEG_GRP,
    }

    /// The touch during an auction, in place of the orders; also of a side without interest.
    AuctionBbo in auction_bbo {
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// Price of the best bid, in units of 10⁻⁸.
        bid_price: Option<i64> = BID_PX,
        /// Price of the best offer, in units of 10⁻⁸.
        offer_price: Option<i64> = OFFER_PX,
        /// Quantity at the best bid, in units of 10⁻⁴.
        bid_quantity: Option<i64> = BID_SIZE,
        /// Quantity at the best offer, in units of 10⁻⁴.
        offer_quantity: Option<i64> = OFFER_SIZE,
        /// What may happen at the auction's end, by number.
        potential_event: Option<u8> = POTENTIAL_SECURITY_TRADING_EVENT,
        /// OrdType of the best bid: 1 when market orders are best.
        bid_order_type: Option<u8> = BID_ORD_TYPE,
        /// OrdType of the best offer.
        offer_order_type: Option<u8> = OFFER_ORD_TYPE,
    }

    /// The price at which an auction would match now.
    AuctionClearingPrice in auction_clearing_price {
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// The price, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// What would be matched, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// What would be left at the price, in units of 10⁻⁴; negative on the offer side.
        imbalance_quantity: Option<i64> = IMBALANCE_QTY,
        /// SecurityTradingStatus.
        trading_status: Option<u8> = SECURITY_TRADING_STATUS,
        /// What may happen at the auction's end, by number.
        potential_event: Option<u8> = POTENTIAL_SECURITY_TRADING_EVENT,
    }

    /// Somebody announces a cross trade.
    CrossRequest in cross_request {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// Price, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// Quantity, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// The side that is asked for.
        side: Option<Side> = SIDE,
        /// What is announced, by number.
        request_type: Option<u8> = CROSS_REQUEST_TYPE,
        /// Where it comes from, by number.
        input_source: Option<u8> = INPUT_SOURCE,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
    }

    /// Somebody asks for quotes.
    QuoteRequest in quote_request {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// Quantity, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// The side that is asked for; none: both.
        side: Option<Side> = SIDE,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
    }

    /// The touch after trading, in place of the orders.
    TopOfBook in top_of_book {
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// Price of the best bid, in units of 10⁻⁸.
        bid_price: Option<i64> = BID_PX,
        /// Price of the best offer, in units of 10⁻⁸.
        offer_price: Option<i64> = OFFER_PX,
        /// Quantity at the best bid, in units of 10⁻⁴.
        bid_quantity: Option<i64> = BID_SIZE,
        /// Quantity at the best offer, in units of 10⁻⁴.
        offer_quantity: Option<i64> = OFFER_SIZE,
        /// Orders at the best bid.
        bid_orders: Option<u16> = NUMBER_OF_BUY_ORDERS,
        /// Orders at the best offer.
        offer_orders: Option<u16> = NUMBER_OF_SELL_ORDERS,
    }

    /// Snapshot: a product begins.
    ProductSummary in product_summary {
        /// MsgSeqNum of the product's last message that is in the snapshot.
        last_processed: u32 = LAST_MSG_SEQ_NUM_PROCESSED,
        /// TradingSessionID, as in [`ProductStateChange`].
        session: Option<u8> = TRADING_SESSION_ID,
        /// TradingSessionSubID.
        sub_session: Option<u8> = TRADING_SESSION_SUB_ID,
        /// TradSesStatus.
        session_status: Option<u8> = TRAD_SES_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MARKET_CONDITION,
        /// 1 in a fast market.
        fast_market: Option<u8> = FAST_MARKET_INDICATOR,
        /// TradSesStatus of off-book trading.
        tes_session_status: Option<u8> = TES_TRAD_SES_STATUS,
    }

    /// Snapshot: an instrument of the product begins.
    InstrumentSummary<'a> in instrument_summary {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When its book changed last, ns since the epoch.
        last_update_time_ns: Option<u64> = LAST_UPDATE_TIME,
        /// When it was traded last, ns since the epoch.
        execution_time_ns: Option<u64> = TRD_REG_TS_EXECUTION_TIME,
        /// TotNoOrders: how many snapshot orders follow.
        orders: u16 = TOT_NO_ORDERS,
        /// SecurityStatus.
        security_status: Option<u8> = SECURITY_STATUS,
        /// SecurityTradingStatus.
        trading_status: Option<u8> = SECURITY_TRADING_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MARKET_CONDITION,
        /// 1 in a fast market.
        fast_market: Option<u8> = FAST_MARKET_INDICATOR,
        /// Why the state changed, by number.
        trading_event: Option<u8> = SECURITY_TRADING_EVENT,
        /// Whether one side is sold out, by number.
        sold_out: Option<u8> = SOLD_OUT_INDICATOR,
        /// Upper limit of its price, in units of 10⁻⁸.
        high_price: Option<i64> = HIGH_PX,
        /// Lower limit of its price, in units of 10⁻⁸.
        low_price: Option<i64> = LOW_PX,
        /// Which kind of instrument, by number.
        product_complex: Option<u8> = PRODUCT_COMPLEX,
        /// SecurityStatus of its off-book trading.
        tes_security_status: Option<u8> = TES_SECURITY_STATUS,
        /// Its statistics of the day.
        entries: Entries<'a, InstrumentEntry> = MD_INSTRUMENT_ENTRY_GRP,
    }

    ; since 14.1

    /// A trade that was made off the book and reported.
    TesTradeReport in tes_trade_report {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Quantity, in units of 10⁻⁴.
        last_quantity: Option<i64> = LAST_QTY,
        /// Price, in units of 10⁻⁸.
        last_price: Option<i64> = LAST_PX,
        /// The trade's number.
        match_id: Option<u32> = TRD_MATCH_ID,
        /// Type of the trade, by number.
        trade_type: Option<u16> = TRD_TYPE,
        /// Bits of the trade's condition.
        trade_condition: Option<u16> = TRADE_CONDITION,
        /// Whether it is of a single or a complex instrument.
        multi_leg_reporting_type: Option<u8> = MULTI_LEG_REPORTING_TYPE,
        /// How a complex instrument's price came about.
        multi_leg_price_model: Option<u8> = MULTI_LEG_PRICE_MODEL,
        /// Volume not disclosed so far, in units of 10⁻⁴.
        non_disclosed_quantity: Option<i64> = NON_DISCLOSED_TRADE_VOLUME,
        /// When it was agreed, ns since the epoch.
        booked_time_ns: Option<u64> = TRANS_BKD_TIME,
        /// Sides that bought.
        buy_sides: Option<u16> = NUMBER_OF_BUY_SIDES,
        /// Sides that sold.
        sell_sides: Option<u16> = NUMBER_OF_SELL_SIDES,
    }

    /// Many instruments of the product changed their state.
    MassInstrumentStateChange<'a> in mass_instrument_state_change {
        /// Which kind of instruments, by number.
        product_complex: Option<u8> = INSTRUMENT_SCOPE_PRODUCT_COMPLEX,
        /// SecurityStatus of all but the entries.
        security_status: Option<u8> = SECURITY_MASS_STATUS,
        /// SecurityTradingStatus of all but the entries.
        trading_status: Option<u8> = SECURITY_MASS_TRADING_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MASS_MARKET_CONDITION,
        /// 1 in a fast market.
        fast_market: Option<u8> = FAST_MARKET_INDICATOR,
        /// Why the state changed, by number.
        trading_event: Option<u8> = SECURITY_MASS_TRADING_EVENT,
        /// Whether one side is sold out, by number.
        sold_out: Option<u8> = MASS_SOLD_OUT_INDICATOR,
        /// SecurityStatus of off-book trading of all but the entries.
        tes_security_status: Option<u8> = TES_SECURITY_MASS_STATUS,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Whether the last of the entries are here, by number.
        last_fragment: Option<u8> = LAST_FRAGMENT,
        /// Instruments that have another state.
        entries: Entries<'a, StateEntry> = SEC_MASS_STAT_GRP,
    }

    /// A flexible contract was created during the day.
    AddFlexibleInstrument<'a> in add_flexible_instrument {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Its name.
        description: &'a [u8] = SECURITY_DESC,
        /// Future or option, by number.
        security_type: Option<u8> = SECURITY_TYPE,
        /// 0 put, 1 call.
        put_or_call: Option<u8> = PUT_OR_CALL,
        /// How it is exercised, by number.
        exercise_style: Option<u8> = EXERCISE_STYLE,
        /// How it is settled, by number.
        settlement: Option<u8> = SETTL_METHOD,
        /// Its last day as YYYYMMDD.
        maturity_date: Option<u32> = MATURITY_DATE,
        /// Strike price, in units of 10⁻⁸.
        strike_price: Option<i64> = STRIKE_PRICE,
        /// Version of the contract.
        option_attribute: Option<u32> = OPT_ATTRIBUTE,
        /// The contract's day as YYYYMMDD.
        contract_date: Option<u32> = CONTRACT_DATE,
        /// Key of what the reference data says beside.
        reference_data_supplement: Option<u32> = SECURITY_REFERENCE_DATA_SUPPLEMENT,
    }

    /// An instrument that is another one in other quantities was created during the day.
    AddScaledSimpleInstrument<'a> in add_scaled_simple_instrument {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// When, ns since the epoch.
        transact_time_ns: Option<u64> = TRANSACT_TIME,
        /// Its name.
        description: &'a [u8] = SECURITY_DESC,
        /// Future or option, by number.
        security_type: Option<u8> = SECURITY_TYPE,
        /// By what its quantities are multiplied.
        quantity_scaling: Option<u16> = QUANTITY_SCALING_FACTOR,
        /// The instrument that it is made of.
        related: RelatedInstrument = RELATED_INSTRUMENT_GRP,
    }
}

impl AuctionBbo {
    /// Price and quantity of the best bid, when both are said.
    pub fn bid(&self) -> Option<(i64, i64)> {
        self.bid_price.zip(self.bid_quantity)
    }

    /// Price and quantity of the best offer, when both are said.
    pub fn offer(&self) -> Option<(i64, i64)> {
        self.offer_price.zip(self.offer_quantity)
    }
}
