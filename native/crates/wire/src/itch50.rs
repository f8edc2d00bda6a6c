//! NASDAQ TotalView-ITCH 5.0: views and encoders of every message type.
//!
//! Big-endian. Every message starts with type (char @0), stock locate (`u16` @1), tracking number
//! (`u16` @3) and a timestamp of **six** bytes (`u48` @5, ns since midnight); the type fixes the
//! length. Offsets and names follow the specification's tables.
//!
//! [`parse`] gives a [`Message`]: one view per type, each over an array of exactly that type's
//! length, so accessors neither fail nor check bounds. A side that is neither `B` nor `S` is
//! refused there too, because no book can place such an order; other codes are left to readers,
//! as venues add values over the years. Each view has a twin with public fields (`AddOrder` and
//! `AddOrderFields`) that encodes the same bytes.

use thiserror::Error;

mod fields;
mod layout;
mod messages;

pub use fields::{Mpid, Side, Stock, TextError};
pub use messages::*;

/// One checked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// `S` system event.
    SystemEvent(SystemEvent<'a>),
    /// `R` stock directory.
    StockDirectory(StockDirectory<'a>),
    /// `H` stock trading action.
    TradingAction(TradingAction<'a>),
    /// `Y` Reg SHO restriction.
    RegSho(RegSho<'a>),
    /// `L` market participant position.
    ParticipantPosition(ParticipantPosition<'a>),
    /// `V` MWCB decline levels.
    MwcbLevels(MwcbLevels<'a>),
    /// `W` MWCB status.
    MwcbStatus(MwcbStatus<'a>),
    /// `K` IPO quoting period update.
    IpoQuoting(IpoQuoting<'a>),
    /// `J` LULD auction collar.
    LuldCollar(LuldCollar<'a>),
    /// `h` operational halt.
    OperationalHalt(OperationalHalt<'a>),
    /// `A` add order without attribution.
    AddOrder(AddOrder<'a>),
    /// `F` add order with attribution.
    AddOrderMpid(AddOrderMpid<'a>),
    /// `E` order executed.
    OrderExecuted(OrderExecuted<'a>),
    /// `C` order executed with price.
    OrderExecutedWithPrice(OrderExecutedWithPrice<'a>),
    /// `X` order cancel.
    OrderCancel(OrderCancel<'a>),
    /// `D` order delete.
    OrderDelete(OrderDelete<'a>),
    /// `U` order replace.
    OrderReplace(OrderReplace<'a>),
    /// `P` trade, not against a displayed order.
    Trade(Trade<'a>),
    /// `Q` cross trade.
    CrossTrade(CrossTrade<'a>),
    /// `B` broken trade.
    BrokenTrade(BrokenTrade<'a>),
    /// `I` net order imbalance indicator.
    Imbalance(Imbalance<'a>),
    /// `N` retail price improvement indicator.
    RetailInterest(RetailInterest<'a>),
    /// `O` direct listing with capital raise price discovery.
    DirectListing(DirectListing<'a>),
}

/// Why bytes are not an ITCH 5.0 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ItchError {
    /// No bytes at all.
    #[error("an empty message has no ITCH type")]
    Empty,
    /// The first byte is not a message type.
    #[error("{:?} is not an ITCH 5.0 message type", char::from(*.0))]
    UnknownType(u8),
    /// The type has another length.
    #[error("ITCH message {:?} has {expected} bytes, not {actual}", char::from(*.kind))]
    WrongLength {
        /// Message type.
        kind: u8,
        /// Length of that type.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The side is neither `B` nor `S`.
    #[error("ITCH message {:?} has side {:?}, not B or S", char::from(*.kind), char::from(*.side))]
    BadSide {
        /// Message type.
        kind: u8,
        /// The byte found.
        side: u8,
    },
}

/// Checks one message.
///
/// # Errors
/// [`ItchError`] for an unknown type, another length than the type's, or a bad side.
// Part of the caller, so that its match on the view and the one on the type here become one.
#[inline(always)]
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, ItchError> {
    let kind = *bytes.first().ok_or(ItchError::Empty)?;
    Ok(match kind {
        AddOrder::KIND => Message::AddOrder(AddOrder::parse(bytes)?),
        OrderDelete::KIND => Message::OrderDelete(OrderDelete::parse(bytes)?),
        OrderReplace::KIND => Message::OrderReplace(OrderReplace::parse(bytes)?),
        OrderExecuted::KIND => Message::OrderExecuted(OrderExecuted::parse(bytes)?),
        OrderExecutedWithPrice::KIND => {
            Message::OrderExecutedWithPrice(OrderExecutedWithPrice::parse(bytes)?)
        }
        OrderCancel::KIND => Message::OrderCancel(OrderCancel::parse(bytes)?),
        AddOrderMpid::KIND => Message::AddOrderMpid(AddOrderMpid::parse(bytes)?),
        Trade::KIND => Message::Trade(Trade::parse(bytes)?),
        CrossTrade::KIND => Message::CrossTrade(CrossTrade::parse(bytes)?),
        BrokenTrade::KIND => Message::BrokenTrade(BrokenTrade::parse(bytes)?),
        Imbalance::KIND => Message::Imbalance(Imbalance::parse(bytes)?),
        SystemEvent::KIND => Message::SystemEvent(SystemEvent::parse(bytes)?),
        StockDirectory::KIND => Message::StockDirectory(StockDirectory::parse(bytes)?),
        TradingAction::KIND => Message::TradingAction(TradingAction::parse(bytes)?),
        RegSho::KIND => Message::RegSho(RegSho::parse(bytes)?),
        ParticipantPosition::KIND => {
            Message::ParticipantPosition(ParticipantPosition::parse(bytes)?)
        }
        MwcbLevels::KIND => Message::MwcbLevels(MwcbLevels::parse(bytes)?),
        MwcbStatus::KIND => Message::MwcbStatus(MwcbStatus::parse(bytes)?),
        IpoQuoting::KIND => Message::IpoQuoting(IpoQuoting::parse(bytes)?),
        LuldCollar::KIND => Message::LuldCollar(LuldCollar::parse(bytes)?),
        OperationalHalt::KIND => Message::OperationalHalt(OperationalHalt::parse(bytes)?),
        RetailInterest::KIND => Message::RetailInterest(RetailInterest::parse(bytes)?),
        DirectListing::KIND => Message::DirectListing(DirectListing::parse(bytes)?),
        unknown => return Err(ItchError::UnknownType(unknown)),
    })
}

/// Bytes of a message of this type; `None` for an unknown type.
pub fn length_of(kind: u8) -> Option<usize> {
    LENGTHS
        .iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, length)| *length)
}

/// Every message type with its length.
pub const LENGTHS: [(u8, usize); 23] = [
    (SystemEvent::KIND, SystemEvent::LEN),
    (StockDirectory::KIND, StockDirectory::LEN),
    (TradingAction::KIND, TradingAction::LEN),
    (RegSho::KIND, RegSho::LEN),
    (ParticipantPosition::KIND, ParticipantPosition::LEN),
    (MwcbLevels::KIND, MwcbLevels::LEN),
    (MwcbStatus::KIND, MwcbStatus::LEN),
    (IpoQuoting::KIND, IpoQuoting::LEN),
    (LuldCollar::KIND, LuldCollar::LEN),
    (OperationalHalt::KIND, OperationalHalt::LEN),
    (AddOrder::KIND, AddOrder::LEN),
    (AddOrderMpid::KIND, AddOrderMpid::LEN),
    (OrderExecuted::KIND, OrderExecuted::LEN),
    (OrderExecutedWithPrice::KIND, OrderExecutedWithPrice::LEN),
    (OrderCancel::KIND, OrderCancel::LEN),
    (OrderDelete::KIND, OrderDelete::LEN),
    (OrderReplace::KIND, OrderReplace::LEN),
    (Trade::KIND, Trade::LEN),
    (CrossTrade::KIND, CrossTrade::LEN),
    (BrokenTrade::KIND, BrokenTrade::LEN),
    (Imbalance::KIND, Imbalance::LEN),
    (RetailInterest::KIND, RetailInterest::LEN),
    (DirectListing::KIND, DirectListing::LEN),
];

impl<'a> Message<'a> {
    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::SystemEvent(view) => view.bytes(),
            Self::StockDirectory(view) => view.bytes(),
            Self::TradingAction(view) => view.bytes(),
            Self::RegSho(view) => view.bytes(),
            Self::ParticipantPosition(view) => view.bytes(),
            Self::MwcbLevels(view) => view.bytes(),
            Self::MwcbStatus(view) => view.bytes(),
            Self::IpoQuoting(view) => view.bytes(),
            Self::LuldCollar(view) => view.bytes(),
            Self::OperationalHalt(view) => view.bytes(),
            Self::AddOrder(view) => view.bytes(),
            Self::AddOrderMpid(view) => view.bytes(),
            Self::OrderExecuted(view) => view.bytes(),
            Self::OrderExecutedWithPrice(view) => view.bytes(),
            Self::OrderCancel(view) => view.bytes(),
            Self::OrderDelete(view) => view.bytes(),
            Self::OrderReplace(view) => view.bytes(),
            Self::Trade(view) => view.bytes(),
            Self::CrossTrade(view) => view.bytes(),
            Self::BrokenTrade(view) => view.bytes(),
            Self::Imbalance(view) => view.bytes(),
            Self::RetailInterest(view) => view.bytes(),
            Self::DirectListing(view) => view.bytes(),
        }
    }

    /// Message type, byte 0.
    pub fn kind(&self) -> u8 {
        self.bytes()[0]
    }

    /// Stock locate code: an array index valid for one day; 0 when not about one stock.
    pub fn stock_locate(&self) -> u16 {
        let bytes = self.bytes();
        u16::from_be_bytes([bytes[1], bytes[2]])
    }

    /// Nanoseconds since midnight, exchange time.
    pub fn timestamp_ns(&self) -> u64 {
        fields::timestamp_ns(self.bytes())
    }
}

impl ItchError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownType(_) => "unknown_type",
            Self::WrongLength { .. } => "wrong_length",
            Self::BadSide { .. } => "bad_side",
        }
    }
}

#[cfg(test)]
mod tests;
