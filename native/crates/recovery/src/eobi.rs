//! Recovery of an EOBI channel: there is no re-request, only the snapshot channel.
//!
//! Two machines, both without I/O:
//!
//! * [`Collector`] reads the packets of the snapshot channel and puts out a [`Cycle`] for each
//!   product whose orders came whole.
//! * [`Replayer`] reads the merged incremental stream and the cycles. It judges each product by its
//!   own numbers, keeps the packets that a suspect one will need, and says what to apply.
//!
//! What holds:
//!
//! * A lost packet makes suspect only those products whose MsgSeqNum jumped. A product that was not
//!   heard since is unproven until its next message or heartbeat; a cycle that is ahead of it is
//!   loaded although it was never suspect.
//! * A product that was never seen is unknown; it is believed when its first message is number 1.
//! * A cycle is believed when every message behind its LastMsgSeqNumProcessed is there: applied, or
//!   in the buffer. An older one is counted, and the next cycle is waited for.
//! * A message is applied once: none that the cycle already includes.
//! * MsgSeqNum that jumps although no packet was lost is the feed's fault, and counted apart.
//! * After a restart of the service all numbers begin at 1, and cycles sent before it are refused.

use tickdeck_wire::eobi::{Message, Packet, Release};

mod collector;
mod kept;
mod open;
mod replayer;
mod sequence;

pub use collector::{Collector, CollectorConfig, CollectorCounters};
pub use replayer::{Output, Replayer, ReplayerConfig, ReplayerCounters};

/// What is known of a product's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// They have every message there was.
    Good,
    /// Messages are missing.
    Suspect {
        /// MsgSeqNum from which on messages are not applied.
        since: u32,
    },
    /// A cycle is being loaded; the messages behind it follow at once.
    Rebuilding,
}

/// A product's orders, whole, from one cycle of the snapshot channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The product.
    pub market_segment_id: i32,
    /// MsgSeqNum of the product's last message that is in it.
    pub last_msg_seq_num_processed: u32,
    /// Orders in it; as many as its instruments announced.
    pub orders: u64,
    /// TransactTime of its first packet, ns since the epoch.
    pub sent_ns: u64,
    /// The packets that hold it, in order. They hold nothing else.
    pub packets: Vec<Vec<u8>>,
    release: Release,
}

impl Cycle {
    /// The cycle in packets that were kept of one, for a reader of the stream. `None` when they do
    /// not hold a product whole.
    pub fn read<'a>(release: Release, packets: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut collector = Collector::new(CollectorConfig::default());
        let mut found = None;
        for packet in packets {
            let packet = Packet::parse(packet, release).ok()?;
            collector.on_packet(0, &packet, &mut |cycle| found = Some(cycle));
        }
        found
    }

    /// MsgSeqNum of the first message that still has to be applied.
    pub fn resume_sequence(&self) -> u32 {
        self.last_msg_seq_num_processed.saturating_add(1)
    }

    /// Bytes of its packets.
    pub fn bytes(&self) -> usize {
        self.packets.iter().map(Vec::len).sum()
    }

    /// Calls `each` with every message, in order: a product summary; then for each instrument its
    /// summary and its orders, or what stands in for them in an auction.
    pub fn messages(&self, mut each: impl FnMut(&Message<'_>)) {
        for packet in &self.packets {
            let packet = Packet::parse(packet, self.release).expect("only parsed packets are kept");
            packet.messages().for_each(|message| each(&message));
        }
    }
}
