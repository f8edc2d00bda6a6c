//! Recovery of a CME MDP 3.0 channel: there is no re-request, only the snapshot loop.
//!
//! Two machines, both without I/O:
//!
//! * [`Collector`] reads the packets of a snapshot channel and puts out a [`Cycle`] for each
//!   instrument whose book came whole, by price (templates 38, 52) or by order (44, 53).
//! * [`Replayer`] reads the merged incremental stream and the cycles. It judges each instrument by
//!   its own numbers, keeps the packets that a suspect one will need, and says what to apply.
//!
//! What holds:
//!
//! * By price, a lost packet makes suspect only those instruments whose RptSeq jumped. An
//!   instrument that was never seen is unknown; its first update is believed when it is number 1.
//! * By order there is no RptSeq, so every book by order is suspect once a packet is lost.
//! * A cycle is believed when every packet behind its LastMsgSeqNumProcessed is there: applied,
//!   or in the buffer. An older one is counted, and the next loop is waited for.
//! * An entry is applied once: by price none with a RptSeq that the book has already, by order none
//!   of a packet that the cycle already includes.
//! * An instrument of which an update was lost and that then stayed silent is found by its next
//!   cycle, which has a higher RptSeq than the book.
//! * A channel reset empties everything and makes nothing suspect. One that was lost shows by a
//!   RptSeq that falls, of an update or of a cycle: that instrument is suspect.

use std::collections::BTreeMap;

use tickdeck_wire::cme::{Message, Packet};

mod collector;
mod instruments;
mod queue;
mod replayer;

use collector::Part;
pub use collector::{Collector, CollectorConfig, CollectorCounters};
pub use replayer::{Entry, Output, Replayer, ReplayerConfig, ReplayerCounters};

/// The two books that an instrument has in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Book {
    /// By price, and everything else that RptSeq counts: trades, volume, statistics, limits.
    Prices,
    /// By order.
    Orders,
}

/// What is known of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// It has every update there was.
    Good,
    /// Updates are missing.
    Suspect {
        /// From this packet on its updates are not applied.
        since: u32,
    },
    /// A cycle is being loaded; the updates behind it follow at once.
    Rebuilding,
}

/// An instrument's book, whole, from one loop of the snapshot channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The instrument.
    pub security_id: i32,
    /// Which of its books.
    pub book: Book,
    /// Number of the last packet of the incremental channel that is in it.
    pub last_msg_seq_num_processed: u32,
    /// RptSeq of the last update that is in it; by order 0, there is none.
    pub rpt_seq: u32,
    /// Price levels or orders.
    pub entries: u64,
    /// SendingTime of its first packet, ns since the epoch.
    pub sent_ns: u64,
    /// The packets that hold it, in order. They may hold other instruments' messages too.
    pub packets: Vec<Vec<u8>>,
}

impl Cycle {
    /// The cycle in packets that were kept of one, for a reader of the stream. `None` when they do
    /// not hold this book of the instrument whole.
    pub fn read<'a>(
        security_id: i32,
        book: Book,
        packets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let mut collector = Collector::new(CollectorConfig::default());
        let mut found = None;
        for packet in packets {
            let packet = Packet::parse(packet).ok()?;
            collector.on_packet(&packet, &mut |cycle| {
                if (cycle.security_id, cycle.book) == (security_id, book) {
                    found = Some(cycle);
                }
            });
        }
        found
    }

    /// Number of the first packet of the incremental channel that still has to be applied.
    pub fn resume_sequence(&self) -> u64 {
        u64::from(self.last_msg_seq_num_processed) + 1
    }

    /// Bytes of its packets.
    pub fn bytes(&self) -> usize {
        self.packets.iter().map(Vec::len).sum()
    }

    /// Calls `each` with every message of the book, once and in order.
    pub fn messages(&self, mut each: impl FnMut(&Message<'_>)) {
        let mut parts = BTreeMap::new();
        let packets = self
            .packets
            .iter()
            .map(|packet| Packet::parse(packet).expect("only parsed packets are kept"));
        for message in packets.flat_map(|packet| packet.messages()) {
            if let Ok(Some(part)) = Part::read(&message)
                && part.is_of(self)
            {
                parts.entry(part.chunk).or_insert(message);
            }
        }
        parts.values().for_each(&mut each);
    }
}
