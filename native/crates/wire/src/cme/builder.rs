//! Encoder of packets of generated channels: incremental books, snapshots, reset, heartbeat.

mod states;

pub use states::{DefinitionOf, TradeReport};

use super::layout::{self, Dimension, layout_of};
use super::{HEADER_LEN, MESSAGE_HEADER_LEN, SCHEMA_ID, SCHEMA_VERSION, template};

/// Entries that the count of a group can say.
const MAX_ENTRIES: usize = 255;

/// Builds packets in one reused buffer.
///
/// `begin`, then messages until one returns false, `finish`; then `begin` again. A message that
/// does not fit leaves the packet as it was.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    max_bytes: usize,
    bytes: Vec<u8>,
}

/// An entry of a book by price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// MDEntryPx; ×10⁻⁷ in template 32, ×10⁻⁹ in 46.
    pub price: i64,
    /// MDEntrySize.
    pub size: i32,
    /// The instrument.
    pub security_id: i32,
    /// Its number among the instrument's updates.
    pub rpt_seq: u32,
    /// NumberOfOrders.
    pub orders: i32,
    /// MDPriceLevel, from 1.
    pub level: u8,
    /// MDUpdateAction: 0 new, 1 change, 2 delete.
    pub action: u8,
    /// MDEntryType: `0` bid, `1` offer.
    pub kind: u8,
}

/// An entry of a book by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// OrderID.
    pub order_id: u64,
    /// MDOrderPriority; lower goes first.
    pub priority: u64,
    /// MDEntryPx. Not sent with a price entry, which has it.
    pub price: i64,
    /// MDDisplayQty.
    pub quantity: i32,
    /// The instrument. Not sent with a price entry, which has it.
    pub security_id: i32,
    /// 0 new, 1 change, 2 delete.
    pub action: u8,
    /// MDEntryType: `0` bid, `1` offer. Not sent with a price entry, which has it.
    pub kind: u8,
}

/// What the root blocks of both kinds of snapshot have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// Number of the last packet of the incremental feed that is in it.
    pub last_msg_seq_num_processed: u32,
    /// Instruments in one loop.
    pub total_reports: u32,
    /// The instrument.
    pub security_id: i32,
}

/// A level of a snapshot by price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLevel {
    /// MDEntryPx.
    pub price: i64,
    /// MDEntrySize.
    pub size: i32,
    /// NumberOfOrders.
    pub orders: i32,
    /// MDPriceLevel, from 1.
    pub level: i8,
    /// MDEntryType: `0` bid, `1` offer.
    pub kind: u8,
}

/// An order of a snapshot by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOrder {
    /// OrderID.
    pub order_id: u64,
    /// MDOrderPriority; lower goes first.
    pub priority: u64,
    /// MDEntryPx.
    pub price: i64,
    /// MDDisplayQty.
    pub quantity: i32,
    /// MDEntryType: `0` bid, `1` offer.
    pub kind: u8,
}

impl PacketBuilder {
    /// A builder of packets of at most `max_bytes`, header included.
    ///
    /// # Panics
    /// When `max_bytes` cannot hold a header.
    pub fn new(max_bytes: usize) -> Self {
        assert!(
            max_bytes >= HEADER_LEN,
            "a packet holds at least its header"
        );
        let mut bytes = Vec::with_capacity(max_bytes);
        bytes.resize(HEADER_LEN, 0);
        Self { max_bytes, bytes }
    }

    /// Starts a packet with this number; forgets the packet before.
    pub fn begin(&mut self, sequence: u32, sending_time_ns: u64) {
        debug_assert!(sequence >= 1, "channels count from 1");
        self.bytes.clear();
        self.bytes.extend_from_slice(&sequence.to_le_bytes());
        self.bytes.extend_from_slice(&sending_time_ns.to_le_bytes());
    }

    /// The whole packet.
    pub fn finish(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a heartbeat (12).
    pub fn heartbeat(&mut self) -> bool {
        self.message(template::HEARTBEAT, &[], &[])
    }

    /// Appends a channel reset (4).
    pub fn channel_reset(&mut self, transact_time_ns: u64) -> bool {
        let root = incremental_root(transact_time_ns);
        let appl_ids = [vec![0; 2]];
        self.message(template::CHANNEL_RESET, &root[..9], &[&appl_ids])
    }

    /// Appends a book by price (32, or 46 as `template_id`) and the orders behind its entries:
    /// each with the index of its price entry, from 0.
    pub fn book(
        &mut self,
        template_id: u16,
        transact_time_ns: u64,
        prices: &[PriceChange],
        orders: &[(u8, OrderChange)],
    ) -> bool {
        debug_assert!(matches!(template_id, template::BOOK | template::BOOK_9));
        let root = incremental_root(transact_time_ns);
        let prices: Vec<_> = prices.iter().map(PriceChange::encode).collect();
        let orders: Vec<_> = orders
            .iter()
            .map(|(index, order)| order.encode_behind(index + 1))
            .collect();
        self.message(template_id, &root, &[&prices, &orders])
    }

    /// Appends a book by order only (47).
    pub fn order_book(&mut self, transact_time_ns: u64, orders: &[OrderChange]) -> bool {
        let root = incremental_root(transact_time_ns);
        let orders: Vec<_> = orders.iter().map(OrderChange::encode).collect();
        self.message(template::ORDER_BOOK_9, &root, &[&orders])
    }

    /// Appends an instrument's traded volume (37), which counts in its RptSeq as a book does.
    pub fn volume(
        &mut self,
        transact_time_ns: u64,
        security_id: i32,
        rpt_seq: u32,
        volume: i32,
    ) -> bool {
        let root = incremental_root(transact_time_ns);
        let mut entry = Vec::with_capacity(16);
        entry.extend_from_slice(&volume.to_le_bytes());
        entry.extend_from_slice(&security_id.to_le_bytes());
        entry.extend_from_slice(&rpt_seq.to_le_bytes());
        entry.resize(16, 0);
        self.message(template::VOLUME, &root, &[&[entry]])
    }

    /// Appends an instrument's whole book by price (52).
    pub fn snapshot(
        &mut self,
        head: SnapshotHead,
        rpt_seq: u32,
        transact_time_ns: u64,
        levels: &[SnapshotLevel],
    ) -> bool {
        let mut root = [0; 59];
        root[..12].copy_from_slice(&head.encode());
        root[12..16].copy_from_slice(&rpt_seq.to_le_bytes());
        root[16..24].copy_from_slice(&transact_time_ns.to_le_bytes());
        let levels: Vec<_> = levels.iter().map(SnapshotLevel::encode).collect();
        self.message(template::SNAPSHOT_9, &root, &[&levels])
    }

    /// Appends a chunk, from 1 to `chunks`, of an instrument's book by order (53).
    pub fn order_snapshot(
        &mut self,
        head: SnapshotHead,
        (chunk, chunks): (u32, u32),
        transact_time_ns: u64,
        orders: &[SnapshotOrder],
    ) -> bool {
        let mut root = [0; 28];
        root[..12].copy_from_slice(&head.encode());
        root[12..16].copy_from_slice(&chunks.to_le_bytes());
        root[16..20].copy_from_slice(&chunk.to_le_bytes());
        root[20..].copy_from_slice(&transact_time_ns.to_le_bytes());
        let orders: Vec<_> = orders.iter().map(SnapshotOrder::encode).collect();
        self.message(template::ORDER_SNAPSHOT_9, &root, &[&orders])
    }

    /// Appends a message of any template from its blocks: the root block and, for each group, its
    /// entries; all as long as the template has them.
    ///
    /// # Panics
    /// When the template is not known.
    pub fn message(&mut self, template_id: u16, root: &[u8], groups: &[&[Vec<u8>]]) -> bool {
        let layout = layout_of(template_id).expect("only known templates are written");
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; MESSAGE_HEADER_LEN]);
        self.bytes.extend_from_slice(root);
        for (group, entries) in layout.groups.iter().zip(groups) {
            self.group(*group, entries);
        }
        let len = self.bytes.len() - begin;
        let fits = self.bytes.len() <= self.max_bytes
            && groups.iter().all(|entries| entries.len() <= MAX_ENTRIES);
        let (true, Ok(len), Ok(root_len)) = (fits, u16::try_from(len), u16::try_from(root.len()))
        else {
            self.bytes.truncate(begin);
            return false;
        };
        let numbers = [len, root_len, template_id, SCHEMA_ID, SCHEMA_VERSION];
        let header = &mut self.bytes[begin..begin + MESSAGE_HEADER_LEN];
        for (field, number) in header.chunks_exact_mut(2).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        true
    }

    fn group(&mut self, layout: layout::Group, entries: &[Vec<u8>]) {
        let entry_len = layout.entry_len as u16;
        self.bytes.extend_from_slice(&entry_len.to_le_bytes());
        if layout.dimension == Dimension::Aligned {
            self.bytes.extend_from_slice(&[0; 5]);
        }
        // `message` takes back a group of more entries than a byte can say.
        self.bytes.push(entries.len() as u8);
        for entry in entries {
            debug_assert_eq!(entry.len(), layout.entry_len, "entries have their layout");
            self.bytes.extend_from_slice(entry);
        }
    }
}

impl PriceChange {
    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(32);
        entry.extend_from_slice(&self.price.to_le_bytes());
        entry.extend_from_slice(&self.size.to_le_bytes());
        entry.extend_from_slice(&self.security_id.to_le_bytes());
        entry.extend_from_slice(&self.rpt_seq.to_le_bytes());
        entry.extend_from_slice(&self.orders.to_le_bytes());
        entry.extend_from_slice(&[self.level, self.action, self.kind]);
        entry.resize(32, 0);
        entry
    }
}

impl OrderChange {
    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(40);
        entry.extend_from_slice(&self.order_id.to_le_bytes());
        entry.extend_from_slice(&self.priority.to_le_bytes());
        entry.extend_from_slice(&self.price.to_le_bytes());
        entry.extend_from_slice(&self.quantity.to_le_bytes());
        entry.extend_from_slice(&self.security_id.to_le_bytes());
        entry.extend_from_slice(&[self.action, self.kind]);
        entry.resize(40, 0);
        entry
    }

    /// As an entry that refers to the price entry with this number, from 1.
    fn encode_behind(&self, reference: u8) -> Vec<u8> {
        let mut entry = Vec::with_capacity(24);
        entry.extend_from_slice(&self.order_id.to_le_bytes());
        entry.extend_from_slice(&self.priority.to_le_bytes());
        entry.extend_from_slice(&self.quantity.to_le_bytes());
        entry.extend_from_slice(&[reference, self.action]);
        entry.resize(24, 0);
        entry
    }
}

impl SnapshotHead {
    fn encode(&self) -> [u8; 12] {
        let mut head = [0; 12];
        head[..4].copy_from_slice(&self.last_msg_seq_num_processed.to_le_bytes());
        head[4..8].copy_from_slice(&self.total_reports.to_le_bytes());
        head[8..].copy_from_slice(&self.security_id.to_le_bytes());
        head
    }
}

impl SnapshotLevel {
    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(22);
        entry.extend_from_slice(&self.price.to_le_bytes());
        entry.extend_from_slice(&self.size.to_le_bytes());
        entry.extend_from_slice(&self.orders.to_le_bytes());
        entry.extend_from_slice(&self.level.to_le_bytes());
        // TradingReferenceDate, OpenCloseSettlFlag and SettlPriceType stand between.
        entry.resize(21, 0);
        entry.push(self.kind);
        entry
    }
}

impl SnapshotOrder {
    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(29);
        entry.extend_from_slice(&self.order_id.to_le_bytes());
        entry.extend_from_slice(&self.priority.to_le_bytes());
        entry.extend_from_slice(&self.price.to_le_bytes());
        entry.extend_from_slice(&self.quantity.to_le_bytes());
        entry.push(self.kind);
        entry
    }
}

/// TransactTime, MatchEventIndicator "end of event", padding.
fn incremental_root(transact_time_ns: u64) -> [u8; 11] {
    let mut root = [0; 11];
    root[..8].copy_from_slice(&transact_time_ns.to_le_bytes());
    root[8] = 0x80;
    root
}
