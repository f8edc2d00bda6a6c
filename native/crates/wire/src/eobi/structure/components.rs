//! What messages consist of beside their own fields.

use super::{Place, Value, field, structures};
use crate::eobi::{Release, Side};

structures! {
    /// A leg of a complex instrument (InstrmtLegGrp).
    Leg in instrmt_leg_grp {
        /// Product of the leg.
        symbol: Option<i32> = LEG_SYMBOL,
        /// Instrument of the leg.
        security_id: i64 = LEG_SECURITY_ID,
        /// Price of the leg, in units of 10⁻⁸.
        price: Option<i64> = LEG_PRICE,
        /// Its share of the whole.
        ratio: Option<i32> = LEG_RATIO_QTY,
        /// Multileg, underlying or repurchase leg, by number.
        security_type: Option<u8> = LEG_SECURITY_TYPE,
        /// Its side when the whole is bought.
        side: Option<Side> = LEG_SIDE,
        /// What the related price is of.
        related_price_type: Option<u8> = RELATED_PRICE_TYPE,
        /// Style of the leg's contract.
        trading_style: Option<u8> = TRADING_STYLE,
        /// Price of what the leg relates to, in units of 10⁻⁸.
        related_price: Option<i64> = RELATED_PRICE,
    }

    /// A statistic or a price of a trade in an instrument's summary (MDInstrumentEntryGrp).
    InstrumentEntry in md_instrument_entry_grp {
        /// Price in units of 10⁻⁸.
        price: Option<i64> = MD_ENTRY_PX,
        /// Quantity in units of 10⁻⁴.
        quantity: Option<i64> = MD_ENTRY_SIZE,
        /// On the book or off it, by number.
        origin: Option<u8> = MD_ORIGIN_TYPE,
        /// What it is: trade, opening price, closing price, high, low, and more, by number.
        entry_type: Option<u8> = MD_ENTRY_TYPE,
        /// Bits of the trade's condition.
        trade_condition: Option<u16> = TRADE_CONDITION,
        /// Type of an off-book trade.
        trade_type: Option<u16> = TRD_TYPE,
        /// Whether it is of a single or a complex instrument.
        multi_leg_reporting_type: Option<u8> = MULTI_LEG_REPORTING_TYPE,
        /// How a complex instrument's price came about.
        multi_leg_price_model: Option<u8> = MULTI_LEG_PRICE_MODEL,
        /// Volume not disclosed so far, in units of 10⁻⁴.
        non_disclosed_quantity: Option<i64> = NON_DISCLOSED_TRADE_VOLUME,
    }

    /// A statistic that holds after a reversal (MDTradeEntryGrp).
    TradeEntry in md_trade_entry_grp {
        /// Price in units of 10⁻⁸.
        price: Option<i64> = MD_ENTRY_PX,
        /// Quantity in units of 10⁻⁴.
        quantity: Option<i64> = MD_ENTRY_SIZE,
        /// What it is, by number.
        entry_type: Option<u8> = MD_ENTRY_TYPE,
    }

    ; since 14.1

    /// What is left of an incoming order that was matched in part (RemainingOrderDetails).
    RemainingOrder in remaining_order_details {
        /// Its priority before, ns since the epoch.
        previous_priority_ns: Option<u64> = TRD_REG_TS_PREV_TIME_PRIORITY,
        /// What is left, in units of 10⁻⁴.
        quantity: Option<i64> = DISPLAY_QTY,
        /// Its price in units of 10⁻⁸.
        price: Option<i64> = PRICE,
    }

    /// The instrument that a scaled one is made of (RelatedInstrumentGrp).
    RelatedInstrument in related_instrument_grp {
        /// The instrument.
        security_id: i64 = RELATED_SECURITY_ID,
    }

    /// An instrument that a change of state for many is not true of (SecMassStatGrp).
    StateEntry in sec_mass_stat_grp {
        /// The instrument.
        security_id: i64 = SECURITY_ID,
        /// Upper limit of its price, in units of 10⁻⁸.
        high_price: Option<i64> = HIGH_PX,
        /// Lower limit of its price, in units of 10⁻⁸.
        low_price: Option<i64> = LOW_PX,
        /// SecurityStatus.
        security_status: Option<u8> = SECURITY_STATUS,
        /// SecurityTradingStatus.
        trading_status: Option<u8> = SECURITY_TRADING_STATUS,
        /// Normal or stressed market, by number.
        market_condition: Option<u8> = MARKET_CONDITION,
        /// Why the state changed, by number.
        trading_event: Option<u8> = SECURITY_TRADING_EVENT,
        /// Whether one side is sold out, by number.
        sold_out: Option<u8> = SOLD_OUT_INDICATOR,
        /// SecurityStatus of its off-book trading.
        tes_security_status: Option<u8> = TES_SECURITY_STATUS,
    }
}
