//! The snapshot channel: cycle after cycle over all products, a packet at a time.

use std::collections::{BTreeMap, VecDeque};

use tickdeck_wire::eobi::{Content, Header, PacketBuilder};

use super::{Product, RESET_PACKETS};
use crate::Random;

/// What goes wrong on the snapshot channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum SnapshotFault {
    /// Nothing.
    #[default]
    None,
    /// Nothing is sent.
    Silent,
    /// This share of packets is lost on both lines.
    Drop {
        /// 0 to 1.
        probability: f64,
    },
    /// TotNoOrders is one too many.
    WrongOrders,
    /// Products stay as they were in the last cycle, LastMsgSeqNumProcessed too.
    Stale,
    /// The last packet of each product is never sent.
    Partial,
}

/// The sender of the snapshot channel.
#[derive(Debug)]
pub(super) struct Snapshots {
    pub(super) fault: SnapshotFault,
    messages: usize,
    sequence: u32,
    resets_left: u32,
    /// MsgSeqNum of the next message of the cycle.
    number: u32,
    /// Index of the product whose packets are pending.
    product: usize,
    pending: VecDeque<Vec<Content<'static>>>,
    /// Each product as it was sent last.
    sent: BTreeMap<usize, Vec<Content<'static>>>,
}

impl Snapshots {
    /// Packets of at most so many messages.
    pub(super) fn new(messages: usize) -> Self {
        assert!(messages > 0, "a packet has a message");
        Self {
            fault: SnapshotFault::None,
            messages,
            sequence: 0,
            resets_left: 0,
            number: 0,
            product: 0,
            pending: VecDeque::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Numbers and cycle begin again.
    pub(super) fn restart(&mut self) {
        *self = Self {
            fault: self.fault,
            resets_left: RESET_PACKETS,
            ..Self::new(self.messages)
        };
    }

    /// Builds the next packet; false when none is sent.
    pub(super) fn next_packet(
        &mut self,
        header: Header,
        products: &[Product],
        builder: &mut PacketBuilder,
        random: &mut Random,
    ) -> bool {
        if self.fault == SnapshotFault::Silent {
            return false;
        }
        if self.pending.is_empty() {
            self.take_product(products, builder);
        }
        let contents = self.pending.pop_front().expect("a product has a packet");
        self.sequence += 1;
        let header = Header {
            sequence: self.sequence,
            market_segment_id: products[self.product].market_segment_id(),
            completes: self.pending.is_empty(),
            resets: self.resets_left > 0,
            ..header
        };
        self.resets_left = self.resets_left.saturating_sub(1);
        builder.begin(header);
        for content in &contents {
            assert!(builder.push(content, Some(self.number)), "it fits");
            self.number += 1;
        }
        let is_last = self.pending.is_empty();
        if is_last {
            self.product += 1;
            if self.product == products.len() {
                (self.product, self.number) = (0, 0);
            }
        }
        match self.fault {
            SnapshotFault::Drop { probability } => !random.chance(probability),
            SnapshotFault::Partial => !is_last,
            _ => true,
        }
    }

    /// Cuts the next product, as it is now, into packets.
    fn take_product(&mut self, products: &[Product], builder: &mut PacketBuilder) {
        let before = self.sent.get(&self.product);
        let mut contents = match (self.fault, before) {
            (SnapshotFault::Stale, Some(before)) => before.clone(),
            _ => products[self.product].snapshot(),
        };
        self.sent.insert(self.product, contents.clone());
        if self.fault == SnapshotFault::WrongOrders {
            for content in &mut contents {
                if let Content::InstrumentSummary(summary) = content {
                    summary.orders += 1;
                }
            }
        }
        let mut rest = &contents[..];
        while !rest.is_empty() {
            let fitting = super::fitting(builder.release(), rest, self.messages);
            let (packet, after) = rest.split_at(fitting);
            self.pending.push_back(packet.to_vec());
            rest = after;
        }
    }
}
