//! Builds packets of either release, for generated channels.

use super::layout;
use super::{Content, HEADER_LEN, MAX_DATAGRAM_LEN, Release, codec};

/// What a PacketHeader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// ApplSeqNum.
    pub sequence: u32,
    /// The product.
    pub market_segment_id: i32,
    /// The partition.
    pub partition_id: u8,
    /// CompletionIndicator.
    pub completes: bool,
    /// ApplSeqResetIndicator.
    pub resets: bool,
    /// TransactTime, ns since the epoch.
    pub transact_time_ns: u64,
}

/// A packet in the making. It owns its buffer and is used again and again.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    release: Release,
    bytes: Vec<u8>,
}

impl PacketBuilder {
    /// A builder of packets of a release.
    pub fn new(release: Release) -> Self {
        Self {
            release,
            bytes: Vec::with_capacity(MAX_DATAGRAM_LEN),
        }
    }

    /// The release that packets are of.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Starts a packet; what was in the making is dropped.
    pub fn begin(&mut self, header: Header) {
        use layout::v14_1::packet_header as field;
        let head = &mut self.bytes;
        head.clear();
        head.resize(HEADER_LEN, 0);
        head[..2].copy_from_slice(&(HEADER_LEN as u16).to_le_bytes());
        head[2..4].copy_from_slice(&field::ID.to_le_bytes());
        head[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        field::APPL_SEQ_NUM.put(head, Some(header.sequence));
        field::MARKET_SEGMENT_ID.put(head, Some(header.market_segment_id));
        field::PARTITION_ID.put(head, Some(header.partition_id));
        field::COMPLETION_INDICATOR.put(head, Some(header.completes.into()));
        field::APPL_SEQ_RESET_INDICATOR.put(head, Some(header.resets.into()));
        field::TRANSACT_TIME.put(head, Some(header.transact_time_ns));
    }

    /// Appends a message with its number within the product; `false`, and nothing appended, when
    /// it does not fit the datagram.
    ///
    /// # Panics
    /// When no packet was begun, the release has no such message, or a value is beyond its field.
    pub fn push(&mut self, content: &Content<'_>, msg_seq_num: Option<u32>) -> bool {
        assert!(self.bytes.len() >= HEADER_LEN, "no packet was begun");
        let template_id = content.template_id();
        let layout = self.release.layout(template_id);
        let layout = layout.expect("a message that the release has");
        let start = self.bytes.len();
        if start + layout.body_len > MAX_DATAGRAM_LEN {
            return false;
        }
        self.bytes.resize(start + layout.body_len, 0);
        let body = &mut self.bytes[start..];
        body[..2].copy_from_slice(&(layout.body_len as u16).to_le_bytes());
        body[2..4].copy_from_slice(&template_id.to_le_bytes());
        body[4..8].copy_from_slice(&msg_seq_num.unwrap_or(u32::MAX).to_le_bytes());
        match self.release {
            Release::V6_0 => codec::v6_0::write(content, body),
            Release::V14_1 => codec::v14_1::write(content, body),
        }
        true
    }

    /// The packet.
    pub fn finish(&self) -> &[u8] {
        &self.bytes
    }
}

impl Content<'_> {
    /// The TemplateID of the message that says this.
    pub fn template_id(&self) -> u16 {
        use layout::v14_1::*;
        match self {
            Self::Heartbeat { .. } => heartbeat::ID,
            Self::OrderAdd { .. } => order_add::ID,
            Self::OrderModify { .. } => order_modify::ID,
            Self::OrderModifySamePriority { .. } => order_modify_same_prio::ID,
            Self::OrderDelete { .. } => order_delete::ID,
            Self::OrderMassDelete { .. } => order_mass_delete::ID,
            Self::FullOrderExecution(_) => full_order_execution::ID,
            Self::PartialOrderExecution(_) => partial_order_execution::ID,
            Self::TradeReversal(_) => trade_reversal::ID,
            Self::TradeReport(_) => trade_report::ID,
            Self::ExecutionSummary(_) => execution_summary::ID,
            Self::TesTradeReport(_) => tes_trade_report::ID,
            Self::ProductStateChange(_) => product_state_change::ID,
            Self::InstrumentStateChange(_) => instrument_state_change::ID,
            Self::MassInstrumentStateChange(_) => mass_instrument_state_change::ID,
            Self::AddComplexInstrument(_) => add_complex_instrument::ID,
            Self::AddFlexibleInstrument(_) => add_flexible_instrument::ID,
            Self::AddScaledSimpleInstrument(_) => add_scaled_simple_instrument::ID,
            Self::AuctionBbo(_) => auction_bbo::ID,
            Self::AuctionClearingPrice(_) => auction_clearing_price::ID,
            Self::CrossRequest(_) => cross_request::ID,
            Self::QuoteRequest(_) => quote_request::ID,
            Self::TopOfBook(_) => top_of_book::ID,
            Self::ProductSummary(_) => product_summary::ID,
            Self::InstrumentSummary(_) => instrument_summary::ID,
            Self::SnapshotOrder(_) => snapshot_order::ID,
            Self::Other(layout) => layout.template_id,
        }
    }
}
