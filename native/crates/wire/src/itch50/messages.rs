//! Layouts of all ITCH 5.0 messages, in the order of the specification.
//!
//! Price(4) is a `u32` in 1/10,000 dollar; Price(8) is a `u64` in 1/100,000,000 dollar.

use super::ItchError;
use super::fields::{self, Field, Mpid, Side, Stock};
use super::layout::message;

message! {
    /// `S`: the day's frame. Events: O, S, Q, M, E, C.
    SystemEvent, SystemEventFields, b'S', 12 {
        /// `O` start of messages, `S` system hours, `Q` market hours, `M` market closed,
        /// `E` end of system hours, `C` end of messages.
        event_code: u8 = 11,
    }
}

message! {
    /// `R`: one stock of the day and its locate code.
    StockDirectory, StockDirectoryFields, b'R', 39 {
        /// Symbol.
        stock: Stock = 11,
        /// Listing market and tier.
        market_category: u8 = 19,
        /// Financial status.
        financial_status: u8 = 20,
        /// Shares of a round lot.
        round_lot_size: u32 = 21,
        /// `Y` when only round lots are accepted.
        round_lots_only: u8 = 25,
        /// Security class.
        issue_classification: u8 = 26,
        /// Security sub-type.
        issue_subtype: [u8; 2] = 27,
        /// `P` live, `T` test.
        authenticity: u8 = 29,
        /// Short sale threshold indicator.
        short_sale_threshold: u8 = 30,
        /// `Y` for a new listing by IPO.
        ipo_flag: u8 = 31,
        /// LULD reference price tier.
        luld_tier: u8 = 32,
        /// `Y` for an exchange-traded product.
        etp_flag: u8 = 33,
        /// Leverage of an ETP.
        etp_leverage_factor: u32 = 34,
        /// `Y` for an inverse ETP.
        inverse_indicator: u8 = 38,
    }
}

message! {
    /// `H`: trading state of a stock. A book persists through halts.
    TradingAction, TradingActionFields, b'H', 25 {
        /// Symbol.
        stock: Stock = 11,
        /// `T` trading, `H` halted, `P` paused, `Q` quotation only.
        trading_state: u8 = 19,
        /// Reserved.
        reserved: u8 = 20,
        /// Reason code.
        reason: [u8; 4] = 21,
    }
}

message! {
    /// `Y`: short sale price test restriction.
    RegSho, RegShoFields, b'Y', 20 {
        /// Symbol.
        stock: Stock = 11,
        /// `0` none, `1` from an intraday drop, `2` remains in effect.
        reg_sho_action: u8 = 19,
    }
}

message! {
    /// `L`: status of a market participant in a stock.
    ParticipantPosition, ParticipantPositionFields, b'L', 26 {
        /// Participant.
        mpid: Mpid = 11,
        /// Symbol.
        stock: Stock = 15,
        /// `Y` for a primary market maker.
        primary_market_maker: u8 = 23,
        /// Quoting mode.
        market_maker_mode: u8 = 24,
        /// State of the registration.
        participant_state: u8 = 25,
    }
}

message! {
    /// `V`: market-wide circuit breaker levels.
    MwcbLevels, MwcbLevelsFields, b'V', 35 {
        /// Level 1, Price(8).
        level_1: u64 = 11,
        /// Level 2, Price(8).
        level_2: u64 = 19,
        /// Level 3, Price(8).
        level_3: u64 = 27,
    }
}

message! {
    /// `W`: a market-wide circuit breaker level was breached.
    MwcbStatus, MwcbStatusFields, b'W', 12 {
        /// `1`, `2` or `3`.
        breached_level: u8 = 11,
    }
}

message! {
    /// `K`: quotation period of a new issue.
    IpoQuoting, IpoQuotingFields, b'K', 28 {
        /// Symbol.
        stock: Stock = 11,
        /// Release of quotation, seconds since midnight.
        release_time_s: u32 = 19,
        /// `A` anticipated, `C` cancelled or postponed.
        release_qualifier: u8 = 23,
        /// Price of the issue, Price(4).
        ipo_price: u32 = 24,
    }
}

message! {
    /// `J`: auction collar after a LULD pause.
    LuldCollar, LuldCollarFields, b'J', 35 {
        /// Symbol.
        stock: Stock = 11,
        /// Reference price, Price(4).
        reference_price: u32 = 19,
        /// Upper collar, Price(4).
        upper_price: u32 = 23,
        /// Lower collar, Price(4).
        lower_price: u32 = 27,
        /// Number of extensions.
        extension: u32 = 31,
    }
}

message! {
    /// `h`: interruption of one market center.
    OperationalHalt, OperationalHaltFields, b'h', 21 {
        /// Symbol.
        stock: Stock = 11,
        /// `Q` NASDAQ, `B` BX, `X` PSX.
        market_code: u8 = 19,
        /// `H` halted, `T` resumed.
        halt_action: u8 = 20,
    }
}

message! {
    /// `A`: a new order at the back of its level's queue.
    AddOrder, AddOrderFields, b'A', 36 {
        /// Reference of the order, unique in the day.
        order_reference: u64 = 11,
        /// Side.
        side: Side = 19,
        /// Displayed shares.
        shares: u32 = 20,
        /// Symbol.
        stock: Stock = 24,
        /// Price(4).
        price: u32 = 32,
    }
}

message! {
    /// `F`: as [`AddOrder`], with the participant's name.
    AddOrderMpid, AddOrderMpidFields, b'F', 40 {
        /// Reference of the order, unique in the day.
        order_reference: u64 = 11,
        /// Side.
        side: Side = 19,
        /// Displayed shares.
        shares: u32 = 20,
        /// Symbol.
        stock: Stock = 24,
        /// Price(4).
        price: u32 = 32,
        /// Participant.
        attribution: Mpid = 36,
    }
}

message! {
    /// `E`: an order was executed at its price, in whole or in part.
    OrderExecuted, OrderExecutedFields, b'E', 31 {
        /// The order.
        order_reference: u64 = 11,
        /// Shares executed.
        executed_shares: u32 = 19,
        /// Number of the match.
        match_number: u64 = 23,
    }
}

message! {
    /// `C`: an order was executed at another price than its own.
    OrderExecutedWithPrice, OrderExecutedWithPriceFields, b'C', 36 {
        /// The order.
        order_reference: u64 = 11,
        /// Shares executed.
        executed_shares: u32 = 19,
        /// Number of the match.
        match_number: u64 = 23,
        /// `N`: leave it out of volume statistics.
        printable: u8 = 31,
        /// Execution price, Price(4).
        execution_price: u32 = 32,
    }
}

message! {
    /// `X`: an order lost some of its shares and keeps its place.
    OrderCancel, OrderCancelFields, b'X', 23 {
        /// The order.
        order_reference: u64 = 11,
        /// Shares taken away.
        cancelled_shares: u32 = 19,
    }
}

message! {
    /// `D`: an order is gone.
    OrderDelete, OrderDeleteFields, b'D', 19 {
        /// The order.
        order_reference: u64 = 11,
    }
}

message! {
    /// `U`: an order is replaced by a new one at the back of its queue; side, stock and
    /// attribution carry over.
    OrderReplace, OrderReplaceFields, b'U', 35 {
        /// The order that is removed.
        original_order_reference: u64 = 11,
        /// The order that takes its place.
        new_order_reference: u64 = 19,
        /// Displayed shares of the new order.
        shares: u32 = 27,
        /// Price(4) of the new order.
        price: u32 = 31,
    }
}

message! {
    /// `P`: a trade against an order that was not displayed; does not touch the book.
    Trade, TradeFields, b'P', 44 {
        /// 0 since 2010.
        order_reference: u64 = 11,
        /// Always buy since 2014.
        side: Side = 19,
        /// Shares.
        shares: u32 = 20,
        /// Symbol.
        stock: Stock = 24,
        /// Price(4).
        price: u32 = 32,
        /// Number of the match.
        match_number: u64 = 36,
    }
}

message! {
    /// `Q`: the result of a cross.
    CrossTrade, CrossTradeFields, b'Q', 40 {
        /// Shares; 64 bits here.
        shares: u64 = 11,
        /// Symbol.
        stock: Stock = 19,
        /// Price(4).
        cross_price: u32 = 27,
        /// Number of the match.
        match_number: u64 = 31,
        /// `O` opening, `C` closing, `H` halted or IPO, `A` extended trading close.
        cross_type: u8 = 39,
    }
}

message! {
    /// `B`: a trade was broken; the book is not restored.
    BrokenTrade, BrokenTradeFields, b'B', 19 {
        /// The match that no longer holds.
        match_number: u64 = 11,
    }
}

message! {
    /// `I`: net order imbalance before a cross.
    Imbalance, ImbalanceFields, b'I', 50 {
        /// Shares paired at the reference price.
        paired_shares: u64 = 11,
        /// Shares not paired.
        imbalance_shares: u64 = 19,
        /// `B`, `S`, `N` none, `O` insufficient orders, `P` paused.
        imbalance_direction: u8 = 27,
        /// Symbol.
        stock: Stock = 28,
        /// Hypothetical clearing price of the cross orders, Price(4).
        far_price: u32 = 36,
        /// Hypothetical clearing price with continuous orders, Price(4).
        near_price: u32 = 40,
        /// Price at which the imbalance is calculated, Price(4).
        current_reference_price: u32 = 44,
        /// As in [`CrossTrade`].
        cross_type: u8 = 48,
        /// Deviation of the near price from the touch.
        price_variation_indicator: u8 = 49,
    }
}

message! {
    /// `N`: retail interest at a price improvement.
    RetailInterest, RetailInterestFields, b'N', 20 {
        /// Symbol.
        stock: Stock = 11,
        /// `B`, `S`, `A` both, `N` none.
        interest_flag: u8 = 19,
    }
}

message! {
    /// `O`: price discovery of a direct listing with a capital raise (since 2023).
    DirectListing, DirectListingFields, b'O', 48 {
        /// Symbol.
        stock: Stock = 11,
        /// `Y` when it may be released for trading.
        open_eligibility: u8 = 19,
        /// Lowest price at which it may open, Price(4).
        minimum_price: u32 = 20,
        /// Highest price at which it may open, Price(4).
        maximum_price: u32 = 24,
        /// Near execution price, Price(4).
        near_execution_price: u32 = 28,
        /// When that price was set, ns since midnight.
        near_execution_time_ns: u64 = 32,
        /// Lower edge of the price range collar, Price(4).
        lower_collar_price: u32 = 40,
        /// Upper edge of the price range collar, Price(4).
        upper_collar_price: u32 = 44,
    }
}

impl OrderExecutedWithPrice<'_> {
    /// Whether the execution counts as volume: printable is not `N`.
    #[inline]
    pub fn is_printable(&self) -> bool {
        self.printable() != b'N'
    }
}
