//! Layouts of EOBI 6.0. Written by `native/layouts/eobi.py`: do not edit.
//!
//! Model `Eurex.T7.Eobi.Fbe.v6.0.xml`, build 6.0.402.ga-6000426-50.
//! A field is named as the exchange names it and stands at its offset in the message, or
//! in the component.
#![allow(missing_docs, reason = "the exchange has the fields' meanings")]

use super::*;

/// Every message, by TemplateID.
pub const MESSAGES: [Layout; 23] = [
    heartbeat::LAYOUT,
    packet_header::LAYOUT,
    order_add::LAYOUT,
    order_modify::LAYOUT,
    order_delete::LAYOUT,
    order_mass_delete::LAYOUT,
    full_order_execution::LAYOUT,
    partial_order_execution::LAYOUT,
    order_modify_same_prio::LAYOUT,
    trade_reversal::LAYOUT,
    trade_report::LAYOUT,
    execution_summary::LAYOUT,
    product_state_change::LAYOUT,
    instrument_state_change::LAYOUT,
    add_complex_instrument::LAYOUT,
    auction_bbo::LAYOUT,
    auction_clearing_price::LAYOUT,
    cross_request::LAYOUT,
    quote_request::LAYOUT,
    top_of_book::LAYOUT,
    product_summary::LAYOUT,
    instrument_summary::LAYOUT,
    snapshot_order::LAYOUT,
];

pub mod heartbeat {
    use super::*;

    pub const ID: u16 = 13_001;
    pub const LAYOUT: Layout = Layout::new("Heartbeat", ID, 16, 16);
    pub const LAST_MSG_SEQ_NUM_PROCESSED: U32 = U32(8);
}

pub mod packet_header {
    use super::*;

    pub const ID: u16 = 13_002;
    pub const LAYOUT: Layout = Layout::new("PacketHeader", ID, 32, 32);
    pub const APPL_SEQ_NUM: U32 = U32(8);
    pub const MARKET_SEGMENT_ID: I32 = I32(12);
    pub const PARTITION_ID: U8 = U8(16);
    pub const COMPLETION_INDICATOR: U8 = U8(17);
    pub const APPL_SEQ_RESET_INDICATOR: U8 = U8(18);
    pub const TRANSACT_TIME: Time = Time(24);
}

pub mod order_add {
    use super::*;

    pub const ID: u16 = 13_100;
    pub const LAYOUT: Layout = Layout::new("OrderAdd", ID, 48, 48);
    pub const TRD_REG_TS_TIME_IN: Time = Time(8);
    pub const SECURITY_ID: I64 = I64(16);
    pub const ORDER_DETAILS: usize = 24;
}

pub mod order_modify {
    use super::*;

    pub const ID: u16 = 13_101;
    pub const LAYOUT: Layout = Layout::new("OrderModify", ID, 72, 72);
    pub const TRD_REG_TS_TIME_IN: Time = Time(8);
    pub const TRD_REG_TS_PREV_TIME_PRIORITY: Time = Time(16);
    pub const PREV_PRICE: Price = Price(24);
    pub const PREV_DISPLAY_QTY: WholeQuantity = WholeQuantity(32);
    pub const SECURITY_ID: I64 = I64(40);
    pub const ORDER_DETAILS: usize = 48;
}

pub mod order_delete {
    use super::*;

    pub const ID: u16 = 13_102;
    pub const LAYOUT: Layout = Layout::new("OrderDelete", ID, 56, 56);
    pub const TRD_REG_TS_TIME_IN: Time = Time(8);
    pub const TRANSACT_TIME: Time = Time(16);
    pub const SECURITY_ID: I64 = I64(24);
    pub const ORDER_DETAILS: usize = 32;
}

pub mod order_mass_delete {
    use super::*;

    pub const ID: u16 = 13_103;
    pub const LAYOUT: Layout = Layout::new("OrderMassDelete", ID, 24, 24);
    pub const SECURITY_ID: I64 = I64(8);
    pub const TRANSACT_TIME: Time = Time(16);
}

pub mod full_order_execution {
    use super::*;

    pub const ID: u16 = 13_104;
    pub const LAYOUT: Layout = Layout::new("FullOrderExecution", ID, 56, 56);
    pub const SIDE: U8 = U8(8);
    pub const ORD_TYPE: U8 = U8(9);
    pub const ALGORITHMIC_TRADE_INDICATOR: U8 = U8(10);
    pub const PRICE: Price = Price(16);
    pub const TRD_REG_TS_TIME_PRIORITY: Time = Time(24);
    pub const SECURITY_ID: I64 = I64(32);
    pub const TRD_MATCH_ID: U32 = U32(40);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(44);
    pub const LAST_PX: Price = Price(48);
}

pub mod partial_order_execution {
    use super::*;

    pub const ID: u16 = 13_105;
    pub const LAYOUT: Layout = Layout::new("PartialOrderExecution", ID, 56, 56);
    pub const SIDE: U8 = U8(8);
    pub const ORD_TYPE: U8 = U8(9);
    pub const ALGORITHMIC_TRADE_INDICATOR: U8 = U8(10);
    pub const PRICE: Price = Price(16);
    pub const TRD_REG_TS_TIME_PRIORITY: Time = Time(24);
    pub const SECURITY_ID: I64 = I64(32);
    pub const TRD_MATCH_ID: U32 = U32(40);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(44);
    pub const LAST_PX: Price = Price(48);
}

pub mod order_modify_same_prio {
    use super::*;

    pub const ID: u16 = 13_106;
    pub const LAYOUT: Layout = Layout::new("OrderModifySamePrio", ID, 64, 64);
    pub const TRD_REG_TS_TIME_IN: Time = Time(8);
    pub const TRANSACT_TIME: Time = Time(16);
    pub const PREV_DISPLAY_QTY: WholeQuantity = WholeQuantity(24);
    pub const SECURITY_ID: I64 = I64(32);
    pub const ORDER_DETAILS: usize = 40;
}

pub mod trade_reversal {
    use super::*;

    pub const ID: u16 = 13_200;
    pub const LAYOUT: Layout = Layout::new("TradeReversal", ID, 56, 296);
    pub const SECURITY_ID: I64 = I64(8);
    pub const TRANSACT_TIME: Time = Time(16);
    pub const TRD_MATCH_ID: U32 = U32(24);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(28);
    pub const LAST_PX: Price = Price(32);
    pub const TRD_REG_TS_EXECUTION_TIME: Time = Time(40);
    pub const TRADE_CONDITION: U8 = U8(48);
    pub const NO_MD_ENTRIES: U8 = U8(55);
    pub const MD_TRADE_ENTRY_GRP: Group = Group {
        at: 56,
        counter: NO_MD_ENTRIES,
        entry_len: 16,
        least: 0,
        most: 15,
    };
}

pub mod trade_report {
    use super::*;

    pub const ID: u16 = 13_201;
    pub const LAYOUT: Layout = Layout::new("TradeReport", ID, 48, 48);
    pub const SECURITY_ID: I64 = I64(8);
    pub const TRANSACT_TIME: Time = Time(16);
    pub const TRD_MATCH_ID: U32 = U32(24);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(28);
    pub const LAST_PX: Price = Price(32);
    pub const MATCH_TYPE: U8 = U8(40);
    pub const MATCH_SUB_TYPE: U8 = U8(41);
    pub const ALGORITHMIC_TRADE_INDICATOR: U8 = U8(42);
    pub const TRADE_CONDITION: U8 = U8(43);
}

pub mod execution_summary {
    use super::*;

    pub const ID: u16 = 13_202;
    pub const LAYOUT: Layout = Layout::new("ExecutionSummary", ID, 64, 64);
    pub const SECURITY_ID: I64 = I64(8);
    pub const AGGRESSOR_TIME: Time = Time(16);
    pub const REQUEST_TIME: Time = Time(24);
    pub const EXEC_ID: Time = Time(32);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(40);
    pub const AGGRESSOR_SIDE: U8 = U8(44);
    pub const TRADE_CONDITION: U8 = U8(45);
    pub const LAST_PX: Price = Price(48);
    pub const RESTING_HIDDEN_QTY: WholeQuantity = WholeQuantity(56);
    pub const RESTING_CXL_QTY: WholeQuantity = WholeQuantity(60);
}

pub mod product_state_change {
    use super::*;

    pub const ID: u16 = 13_300;
    pub const LAYOUT: Layout = Layout::new("ProductStateChange", ID, 24, 24);
    pub const TRADING_SESSION_ID: U8 = U8(8);
    pub const TRADING_SESSION_SUB_ID: U8 = U8(9);
    pub const TRAD_SES_STATUS: U8 = U8(10);
    pub const MARKET_CONDITION: U8 = U8(11);
    pub const FAST_MARKET_INDICATOR: U8 = U8(12);
    pub const TRANSACT_TIME: Time = Time(16);
}

pub mod instrument_state_change {
    use super::*;

    pub const ID: u16 = 13_301;
    pub const LAYOUT: Layout = Layout::new("InstrumentStateChange", ID, 32, 32);
    pub const SECURITY_ID: I64 = I64(8);
    pub const SECURITY_STATUS: U8 = U8(16);
    pub const SECURITY_TRADING_STATUS: U8 = U8(17);
    pub const MARKET_CONDITION: U8 = U8(18);
    pub const FAST_MARKET_INDICATOR: U8 = U8(19);
    pub const SECURITY_TRADING_EVENT: U8 = U8(20);
    pub const TRANSACT_TIME: Time = Time(24);
}

pub mod add_complex_instrument {
    use super::*;

    pub const ID: u16 = 13_400;
    pub const LAYOUT: Layout = Layout::new("AddComplexInstrument", ID, 32, 512);
    pub const SECURITY_ID: I64 = I64(8);
    pub const TRANSACT_TIME: Time = Time(16);
    pub const SECURITY_SUB_TYPE: I32 = I32(24);
    pub const PRODUCT_COMPLEX: U8 = U8(28);
    pub const IMPLIED_MARKET_INDICATOR: U8 = U8(29);
    pub const NO_LEGS: U8 = U8(30);
    pub const INSTRMT_LEG_GRP: Group = Group {
        at: 32,
        counter: NO_LEGS,
        entry_len: 24,
        least: 2,
        most: 20,
    };
}

pub mod auction_bbo {
    use super::*;

    pub const ID: u16 = 13_500;
    pub const LAYOUT: Layout = Layout::new("AuctionBBO", ID, 56, 56);
    pub const TRANSACT_TIME: Time = Time(8);
    pub const SECURITY_ID: I64 = I64(16);
    pub const BID_PX: Price = Price(24);
    pub const OFFER_PX: Price = Price(32);
    pub const BID_SIZE: WholeQuantity = WholeQuantity(40);
    pub const OFFER_SIZE: WholeQuantity = WholeQuantity(44);
    pub const POTENTIAL_SECURITY_TRADING_EVENT: U8 = U8(48);
}

pub mod auction_clearing_price {
    use super::*;

    pub const ID: u16 = 13_501;
    pub const LAYOUT: Layout = Layout::new("AuctionClearingPrice", ID, 48, 48);
    pub const TRANSACT_TIME: Time = Time(8);
    pub const SECURITY_ID: I64 = I64(16);
    pub const LAST_PX: Price = Price(24);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(32);
    pub const IMBALANCE_QTY: WholeQuantity = WholeQuantity(36);
    pub const SECURITY_TRADING_STATUS: U8 = U8(40);
    pub const POTENTIAL_SECURITY_TRADING_EVENT: U8 = U8(41);
}

pub mod cross_request {
    use super::*;

    pub const ID: u16 = 13_502;
    pub const LAYOUT: Layout = Layout::new("CrossRequest", ID, 32, 32);
    pub const SECURITY_ID: I64 = I64(8);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(16);
    pub const TRANSACT_TIME: Time = Time(24);
}

pub mod quote_request {
    use super::*;

    pub const ID: u16 = 13_503;
    pub const LAYOUT: Layout = Layout::new("QuoteRequest", ID, 32, 32);
    pub const SECURITY_ID: I64 = I64(8);
    pub const LAST_QTY: WholeQuantity = WholeQuantity(16);
    pub const SIDE: U8 = U8(20);
    pub const TRANSACT_TIME: Time = Time(24);
}

pub mod top_of_book {
    use super::*;

    pub const ID: u16 = 13_504;
    pub const LAYOUT: Layout = Layout::new("TopOfBook", ID, 40, 40);
    pub const TRANSACT_TIME: Time = Time(8);
    pub const SECURITY_ID: I64 = I64(16);
    pub const BID_PX: Price = Price(24);
    pub const OFFER_PX: Price = Price(32);
}

pub mod product_summary {
    use super::*;

    pub const ID: u16 = 13_600;
    pub const LAYOUT: Layout = Layout::new("ProductSummary", ID, 24, 24);
    pub const LAST_MSG_SEQ_NUM_PROCESSED: U32 = U32(8);
    pub const TRADING_SESSION_ID: U8 = U8(12);
    pub const TRADING_SESSION_SUB_ID: U8 = U8(13);
    pub const TRAD_SES_STATUS: U8 = U8(14);
    pub const MARKET_CONDITION: U8 = U8(15);
    pub const FAST_MARKET_INDICATOR: U8 = U8(16);
}

pub mod instrument_summary {
    use super::*;

    pub const ID: u16 = 13_601;
    pub const LAYOUT: Layout = Layout::new("InstrumentSummary", ID, 40, 280);
    pub const SECURITY_ID: I64 = I64(8);
    pub const LAST_UPDATE_TIME: Time = Time(16);
    pub const TRD_REG_TS_EXECUTION_TIME: Time = Time(24);
    pub const TOT_NO_ORDERS: U16 = U16(32);
    pub const SECURITY_STATUS: U8 = U8(34);
    pub const SECURITY_TRADING_STATUS: U8 = U8(35);
    pub const MARKET_CONDITION: U8 = U8(36);
    pub const FAST_MARKET_INDICATOR: U8 = U8(37);
    pub const SECURITY_TRADING_EVENT: U8 = U8(38);
    pub const NO_MD_ENTRIES: U8 = U8(39);
    pub const MD_INSTRUMENT_ENTRY_GRP: Group = Group {
        at: 40,
        counter: NO_MD_ENTRIES,
        entry_len: 16,
        least: 0,
        most: 15,
    };
}

pub mod snapshot_order {
    use super::*;

    pub const ID: u16 = 13_602;
    pub const LAYOUT: Layout = Layout::new("SnapshotOrder", ID, 32, 32);
    pub const ORDER_DETAILS: usize = 8;
}

pub mod instrmt_leg_grp {
    use super::*;

    pub const LEN: usize = 24;
    pub const LEG_SYMBOL: I32 = I32(0);
    pub const LEG_SECURITY_ID: I64 = I64(8);
    pub const LEG_RATIO_QTY: I32 = I32(16);
    pub const LEG_SIDE: U8 = U8(20);
}

pub mod md_instrument_entry_grp {
    use super::*;

    pub const LEN: usize = 16;
    pub const MD_ENTRY_PX: Price = Price(0);
    pub const MD_ENTRY_SIZE: WholeQuantity = WholeQuantity(8);
    pub const MD_ENTRY_TYPE: U8 = U8(12);
    pub const TRADE_CONDITION: U8 = U8(13);
}

pub mod md_trade_entry_grp {
    use super::*;

    pub const LEN: usize = 16;
    pub const MD_ENTRY_PX: Price = Price(0);
    pub const MD_ENTRY_SIZE: WholeQuantity = WholeQuantity(8);
    pub const MD_ENTRY_TYPE: U8 = U8(12);
}

pub mod order_details {
    use super::*;

    pub const LEN: usize = 24;
    pub const TRD_REG_TS_TIME_PRIORITY: Time = Time(0);
    pub const DISPLAY_QTY: WholeQuantity = WholeQuantity(8);
    pub const SIDE: U8 = U8(12);
    pub const ORD_TYPE: U8 = U8(13);
    pub const PRICE: Price = Price(16);
}
