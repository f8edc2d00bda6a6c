//! The cycles of the snapshot channel, put together product by product.
//!
//! MsgSeqNum begins with 0 in each cycle and counts over all its products. A product begins with
//! its summary and ends with the packet whose CompletionIndicator is set. A lost packet costs its
//! product one cycle; the others stay whole.

use tickdeck_wire::eobi::{Content, Packet};

use super::Cycle;
use super::open::{Open, Spoiled};
use super::sequence::{Age, Sequence};

/// Limits of a [`Collector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorConfig {
    /// A missing packet is lost once so many behind it have come. With one line nothing brings it
    /// but reordering; with two the other line does.
    pub reorder_packets: usize,
    /// Bytes kept of a product's cycle.
    pub max_bytes: usize,
}

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorCounters {
    /// Packets read in order.
    pub packets: u64,
    /// Packets that came again: the other line's, as a rule.
    pub duplicates: u64,
    /// Packets sent before the last restart.
    pub stragglers: u64,
    /// Packets that no line brought in time.
    pub lost_packets: u64,
    /// Restarts of the snapshot channel that a second packet confirmed.
    pub restarts: u64,
    /// Packets that claimed one and waited for that.
    pub unconfirmed: u64,
    /// Packets of a product whose beginning did not come.
    pub without_beginning: u64,
    /// Cycles put out.
    pub cycles: u64,
    /// Cycles spoiled by a lost packet.
    pub spoiled_lost: u64,
    /// Cycles spoiled by numbers of two cycles.
    pub spoiled_mixed: u64,
    /// Cycles that another product's or another cycle's beginning ended.
    pub spoiled_unfinished: u64,
    /// Cycles with more or fewer orders than TotNoOrders.
    pub orders_mismatched: u64,
    /// Cycles with a message that does not belong there or cannot be read.
    pub malformed: u64,
    /// Cycles of more bytes than allowed.
    pub oversize: u64,
}

/// Collects whole products out of the packets of a snapshot channel.
#[derive(Debug)]
pub struct Collector {
    config: CollectorConfig,
    sequence: Sequence,
    inner: Inner,
}

/// What reads the packets that are in order.
#[derive(Debug, Default)]
struct Inner {
    max_bytes: usize,
    open: Option<Open>,
    next_message: Option<u32>,
    counters: CollectorCounters,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            reorder_packets: 16,
            max_bytes: 256 << 20,
        }
    }
}

impl Collector {
    /// A collector that has seen nothing.
    pub fn new(config: CollectorConfig) -> Self {
        Self {
            config,
            sequence: Sequence::new(config.reorder_packets),
            inner: Inner {
                max_bytes: config.max_bytes,
                ..Inner::default()
            },
        }
    }

    /// Takes a packet that a line of the snapshot channel brought; hands each product that is
    /// whole to `out`.
    pub fn on_packet(&mut self, line: u8, packet: &Packet<'_>, out: &mut impl FnMut(Cycle)) {
        match self.sequence.see(line, packet) {
            Age::Current => {}
            Age::Claim => {
                self.inner.counters.unconfirmed += 1;
                return;
            }
            Age::Restart => {
                self.inner.counters.restarts += 1;
                self.inner.spoil(Spoiled::Unfinished);
                self.inner.next_message = None;
            }
            Age::Straggler => {
                self.inner.counters.stragglers += 1;
                return;
            }
        }
        let inner = &mut self.inner;
        let is_new = self
            .sequence
            .take(packet, &mut |packet, lost| inner.read(packet, lost, out));
        self.inner.counters.duplicates += u64::from(!is_new);
    }

    /// The product that is being collected.
    pub fn open_product(&self) -> Option<i32> {
        self.inner.open.as_ref().map(Open::market_segment_id)
    }

    /// The limits.
    pub fn config(&self) -> &CollectorConfig {
        &self.config
    }

    /// What was counted so far.
    pub fn counters(&self) -> &CollectorCounters {
        &self.inner.counters
    }
}

impl Inner {
    fn read(&mut self, packet: &Packet<'_>, lost: u32, out: &mut impl FnMut(Cycle)) {
        self.counters.packets += 1;
        if lost > 0 {
            self.counters.lost_packets += u64::from(lost);
            self.next_message = None;
            self.spoil(Spoiled::Lost);
        }
        self.follow(packet);
        let begins = self.begin(packet);
        let Some(open) = &mut self.open else {
            self.counters.without_beginning += 1;
            return;
        };
        if open.market_segment_id() != packet.market_segment_id() {
            self.spoil(Spoiled::Unfinished);
        } else if let Err(why) = open.take(packet, begins, self.max_bytes) {
            self.spoil(why);
        } else if packet.completes() {
            self.finish(out);
        }
    }

    /// Checks that the packet's numbers follow the last packet's and one another, or begin a cycle.
    fn follow(&mut self, packet: &Packet<'_>) {
        for message in packet.messages() {
            let number = message.msg_seq_num();
            match (number, self.next_message) {
                (Some(number), Some(next)) if number == next => {}
                (Some(_), None) => {}
                (Some(0), _) => self.spoil(Spoiled::Unfinished),
                _ => self.spoil(Spoiled::Mixed),
            }
            self.next_message = number.map(|number| number.saturating_add(1));
        }
    }

    /// Opens a product if the packet begins with a product summary.
    fn begin(&mut self, packet: &Packet<'_>) -> bool {
        let first = packet.messages().next();
        let content = first.and_then(|message| message.content(packet.release()).ok());
        let Some(Content::ProductSummary(summary)) = content else {
            return false;
        };
        self.spoil(Spoiled::Unfinished);
        self.open = Some(Open::new(packet, summary.last_processed));
        true
    }

    fn finish(&mut self, out: &mut impl FnMut(Cycle)) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.finish() {
            Ok(cycle) => {
                self.counters.cycles += 1;
                out(cycle);
            }
            Err(why) => self.count(why),
        }
    }

    /// Drops the open cycle, if there is one, and says why.
    fn spoil(&mut self, why: Spoiled) {
        if self.open.take().is_some() {
            self.count(why);
        }
    }

    fn count(&mut self, why: Spoiled) {
        let counters = &mut self.counters;
        *match why {
            Spoiled::Lost => &mut counters.spoiled_lost,
            Spoiled::Mixed => &mut counters.spoiled_mixed,
            Spoiled::Unfinished => &mut counters.spoiled_unfinished,
            Spoiled::OrdersMismatch => &mut counters.orders_mismatched,
            Spoiled::Malformed => &mut counters.malformed,
            Spoiled::Oversize => &mut counters.oversize,
        } += 1;
    }
}
