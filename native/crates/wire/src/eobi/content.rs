//! What messages say, equal for all releases: orders, executions, and what recovery reads.
//!
//! A message whose template or length the release does not know is an error of its own and costs
//! only itself: the next one is found by BodyLen.

use thiserror::Error;

use super::layout::{self, Layout};
use super::structure::{
    AddComplexInstrument, AddFlexibleInstrument, AddScaledSimpleInstrument, AuctionBbo,
    AuctionClearingPrice, CrossRequest, ExecutionSummary, InstrumentStateChange, InstrumentSummary,
    MassInstrumentStateChange, ProductStateChange, ProductSummary, QuoteRequest, Structure,
    TesTradeReport, TopOfBook, TradeReport, TradeReversal,
};
use super::{Message, Release, codec};

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Bids.
    Buy = 1,
    /// Offers.
    Sell = 2,
}

/// A visible order as the book has it. There is no order id: instrument, side and priority name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// TrdRegTSTimePriority, ns since the epoch; some venues leave it unused.
    pub priority_ns: Option<u64>,
    /// DisplayQty, in units of 10⁻⁴.
    pub quantity: i64,
    /// Its side.
    pub side: Side,
    /// Whether it is a market order; these have no price.
    pub is_market: bool,
    /// Its price in units of 10⁻⁸.
    pub price: Option<i64>,
}

/// An order that was matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The instrument.
    pub security_id: i64,
    /// The resting order's side.
    pub side: Side,
    /// The resting order's priority.
    pub priority_ns: Option<u64>,
    /// The resting order's price in units of 10⁻⁸.
    pub price: Option<i64>,
    /// What was matched, in units of 10⁻⁴.
    pub last_quantity: i64,
    /// The price of the match in units of 10⁻⁸; it may differ from the order's.
    pub last_price: Option<i64>,
    /// The trade's number.
    pub match_id: Option<u32>,
}

/// A decoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The product has nothing to say; its last MsgSeqNum so far, 0 before Start-of-Day.
    Heartbeat {
        /// LastMsgSeqNumProcessed.
        last_processed: u32,
    },
    /// A new order at the tail of its price.
    OrderAdd {
        /// The instrument.
        security_id: i64,
        /// The order.
        order: Order,
    },
    /// An order left its place: remove the previous one, add at the tail.
    OrderModify {
        /// The instrument.
        security_id: i64,
        /// The priority it had.
        previous_priority_ns: Option<u64>,
        /// The price it had, in units of 10⁻⁸.
        previous_price: Option<i64>,
        /// The quantity it had, in units of 10⁻⁴.
        previous_quantity: i64,
        /// The order as it is now.
        order: Order,
    },
    /// An order changed in its place.
    OrderModifySamePriority {
        /// The instrument.
        security_id: i64,
        /// The quantity it had, in units of 10⁻⁴.
        previous_quantity: i64,
        /// The order as it is now.
        order: Order,
    },
    /// An order is gone.
    OrderDelete {
        /// The instrument.
        security_id: i64,
        /// The order as it was.
        order: Order,
    },
    /// All orders of an instrument are gone.
    OrderMassDelete {
        /// The instrument.
        security_id: i64,
    },
    /// An order was matched whole and is gone.
    FullOrderExecution(Execution),
    /// A part of an order was matched; the rest keeps its place.
    PartialOrderExecution(Execution),
    /// A trade is undone.
    TradeReversal(TradeReversal<'a>),
    /// A trade of an auction, or at its price.
    TradeReport(TradeReport),
    /// An incoming order was matched; the book is not touched.
    ExecutionSummary(ExecutionSummary),
    /// A trade that was made off the book.
    TesTradeReport(TesTradeReport),
    /// The product's session changed its state.
    ProductStateChange(ProductStateChange),
    /// An instrument changed its state.
    InstrumentStateChange(InstrumentStateChange),
    /// Many instruments changed their state.
    MassInstrumentStateChange(MassInstrumentStateChange<'a>),
    /// A complex instrument was created.
    AddComplexInstrument(AddComplexInstrument<'a>),
    /// A flexible contract was created.
    AddFlexibleInstrument(AddFlexibleInstrument<'a>),
    /// A scaled instrument was created.
    AddScaledSimpleInstrument(AddScaledSimpleInstrument<'a>),
    /// The touch during an auction, in place of the orders.
    AuctionBbo(AuctionBbo),
    /// The price at which an auction would match now.
    AuctionClearingPrice(AuctionClearingPrice),
    /// Somebody announces a cross trade.
    CrossRequest(CrossRequest),
    /// Somebody asks for quotes.
    QuoteRequest(QuoteRequest),
    /// The touch after trading, in place of the orders.
    TopOfBook(TopOfBook),
    /// Snapshot: a product begins.
    ProductSummary(ProductSummary),
    /// Snapshot: an instrument of the product begins.
    InstrumentSummary(InstrumentSummary<'a>),
    /// Snapshot: an order of the instrument.
    SnapshotOrder(Order),
    /// A message that has no place behind a PacketHeader: another one.
    Other(&'static Layout),
}

/// Why a message is not read. It is skipped by its BodyLen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ContentError {
    /// The release has no such template.
    #[error("EOBI {release} has no template {template_id}")]
    UnknownTemplate {
        /// TemplateID.
        template_id: u16,
        /// The release.
        release: Release,
    },
    /// Not the template's length.
    #[error("a {name} of EOBI {release} has {expected} bytes, not {actual}")]
    WrongLength {
        /// The template's name.
        name: &'static str,
        /// Bytes of it in this release.
        expected: usize,
        /// BodyLen.
        actual: usize,
        /// The release.
        release: Release,
    },
    /// A mandatory field without a value, or a side that is neither.
    #[error("{field} of a {name} has no value that it may have")]
    NoValue {
        /// The template's name.
        name: &'static str,
        /// The field's name.
        field: &'static str,
    },
}

impl<'a> Message<'a> {
    /// What the message says.
    ///
    /// # Errors
    /// [`ContentError`]; the messages around it are not concerned.
    pub fn content(&self, release: Release) -> Result<Content<'a>, ContentError> {
        let (template_id, body) = (self.template_id(), self.body());
        let layout = release.layout(template_id).ok_or({
            ContentError::UnknownTemplate {
                template_id,
                release,
            }
        })?;
        if !layout.fits(body.len()) {
            return Err(ContentError::WrongLength {
                name: layout.name,
                expected: layout.body_len,
                actual: body.len(),
                release,
            });
        }
        let of_orders = match release {
            Release::V6_0 => codec::v6_0::read,
            Release::V14_1 => codec::v14_1::read,
        };
        let read = match of_orders(template_id, body) {
            Ok(None) => Content::of_others(release, template_id, body),
            read => read,
        };
        let name = layout.name;
        let read = read.map_err(|field| ContentError::NoValue { name, field })?;
        Ok(read.unwrap_or(Content::Other(layout)))
    }
}

impl<'a> Content<'a> {
    /// The instrument that the message is about; `None` for one about a product, and for a snapshot
    /// order, which stands behind its instrument.
    pub fn security_id(&self) -> Option<i64> {
        Some(match self {
            Self::OrderAdd { security_id, .. }
            | Self::OrderModify { security_id, .. }
            | Self::OrderModifySamePriority { security_id, .. }
            | Self::OrderDelete { security_id, .. }
            | Self::OrderMassDelete { security_id } => *security_id,
            Self::FullOrderExecution(it) | Self::PartialOrderExecution(it) => it.security_id,
            Self::TradeReversal(it) => it.security_id,
            Self::TradeReport(it) => it.security_id,
            Self::ExecutionSummary(it) => it.security_id,
            Self::TesTradeReport(it) => it.security_id,
            Self::InstrumentStateChange(it) => it.security_id,
            Self::AddComplexInstrument(it) => it.security_id,
            Self::AddFlexibleInstrument(it) => it.security_id,
            Self::AddScaledSimpleInstrument(it) => it.security_id,
            Self::AuctionBbo(it) => it.security_id,
            Self::AuctionClearingPrice(it) => it.security_id,
            Self::CrossRequest(it) => it.security_id,
            Self::QuoteRequest(it) => it.security_id,
            Self::TopOfBook(it) => it.security_id,
            Self::InstrumentSummary(it) => it.security_id,
            _ => return None,
        })
    }

    /// Messages beside those of orders; `None` for one that is not decoded.
    fn of_others(
        release: Release,
        template_id: u16,
        body: &'a [u8],
    ) -> Result<Option<Self>, &'static str> {
        // A template has one id in all releases that have it.
        use layout::v14_1::*;
        Ok(Some(match template_id {
            trade_reversal::ID => Self::TradeReversal(TradeReversal::read(release, body)?),
            trade_report::ID => Self::TradeReport(TradeReport::read(release, body)?),
            execution_summary::ID => Self::ExecutionSummary(ExecutionSummary::read(release, body)?),
            tes_trade_report::ID => Self::TesTradeReport(TesTradeReport::read(release, body)?),
            product_state_change::ID => {
                Self::ProductStateChange(ProductStateChange::read(release, body)?)
            }
            instrument_state_change::ID => {
                Self::InstrumentStateChange(InstrumentStateChange::read(release, body)?)
            }
            mass_instrument_state_change::ID => {
                Self::MassInstrumentStateChange(MassInstrumentStateChange::read(release, body)?)
            }
            add_complex_instrument::ID => {
                Self::AddComplexInstrument(AddComplexInstrument::read(release, body)?)
            }
            add_flexible_instrument::ID => {
                Self::AddFlexibleInstrument(AddFlexibleInstrument::read(release, body)?)
            }
            add_scaled_simple_instrument::ID => {
                Self::AddScaledSimpleInstrument(AddScaledSimpleInstrument::read(release, body)?)
            }
            auction_bbo::ID => Self::AuctionBbo(AuctionBbo::read(release, body)?),
            auction_clearing_price::ID => {
                Self::AuctionClearingPrice(AuctionClearingPrice::read(release, body)?)
            }
            cross_request::ID => Self::CrossRequest(CrossRequest::read(release, body)?),
            quote_request::ID => Self::QuoteRequest(QuoteRequest::read(release, body)?),
            top_of_book::ID => Self::TopOfBook(TopOfBook::read(release, body)?),
            product_summary::ID => Self::ProductSummary(ProductSummary::read(release, body)?),
            instrument_summary::ID => {
                Self::InstrumentSummary(InstrumentSummary::read(release, body)?)
            }
            _ => return Ok(None),
        }))
    }

    /// Writes what [`Self::of_others`] reads.
    pub(super) fn write_others(&self, release: Release, body: &mut [u8]) {
        match self {
            Self::TradeReversal(it) => it.write(release, body),
            Self::TradeReport(it) => it.write(release, body),
            Self::ExecutionSummary(it) => it.write(release, body),
            Self::TesTradeReport(it) => it.write(release, body),
            Self::ProductStateChange(it) => it.write(release, body),
            Self::InstrumentStateChange(it) => it.write(release, body),
            Self::MassInstrumentStateChange(it) => it.write(release, body),
            Self::AddComplexInstrument(it) => it.write(release, body),
            Self::AddFlexibleInstrument(it) => it.write(release, body),
            Self::AddScaledSimpleInstrument(it) => it.write(release, body),
            Self::AuctionBbo(it) => it.write(release, body),
            Self::AuctionClearingPrice(it) => it.write(release, body),
            Self::CrossRequest(it) => it.write(release, body),
            Self::QuoteRequest(it) => it.write(release, body),
            Self::TopOfBook(it) => it.write(release, body),
            Self::ProductSummary(it) => it.write(release, body),
            Self::InstrumentSummary(it) => it.write(release, body),
            _ => {}
        }
    }
}

impl ContentError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownTemplate { .. } => "unknown_template",
            Self::WrongLength { .. } => "wrong_length",
            Self::NoValue { .. } => "no_value",
        }
    }
}

impl Release {
    /// What the release says of a template; `None` when it has no such message.
    pub fn layout(self, template_id: u16) -> Option<&'static Layout> {
        let messages: &[Layout] = match self {
            Self::V6_0 => &layout::v6_0::MESSAGES,
            Self::V14_1 => &layout::v14_1::MESSAGES,
        };
        let at = messages.binary_search_by_key(&template_id, |layout| layout.template_id);
        Some(&messages[at.ok()?])
    }
}

impl Side {
    pub(super) fn from_code(code: Option<u8>) -> Option<Self> {
        match code? {
            1 => Some(Self::Buy),
            2 => Some(Self::Sell),
            _ => None,
        }
    }
}
