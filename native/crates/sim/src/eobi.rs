//! A generated EOBI channel: incremental packets on two lines, and the snapshot channel beside it.
//!
//! The same seed gives the same bytes. A step is one unit of work of one product: orders that are
//! added, modified, deleted, matched; in an auction the touch instead. With each step the snapshot
//! channel sends a packet, cycle after cycle. A product that was quiet sends its heartbeat. Line
//! A sends first when the partition is even, line B when it is odd; TransactTime is stamped at each
//! sending. No public capture of release 14.1 is known: this is where its packets come from.

use std::collections::VecDeque;

use tickdeck_wire::eobi::{Content, Header, PacketBuilder, Release, TECHNICAL_HEARTBEAT};

use crate::Random;

mod product;
mod snapshots;

pub use product::{Key, Product};
pub use snapshots::SnapshotFault;

use snapshots::Snapshots;

/// Packets that carry the reset indicator after a restart.
const RESET_PACKETS: u32 = 8;

/// What a session is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionConfig {
    /// Fixes every byte.
    pub seed: u64,
    /// The release that packets are of.
    pub release: Release,
    /// Products, at least 1.
    pub products: usize,
    /// Instruments of a product, at least 1.
    pub instruments: usize,
    /// The partition: its parity says which line sends first.
    pub partition_id: u8,
    /// Time between two steps, at least 8.
    pub step_ns: u64,
    /// Steps until the end.
    pub steps: u64,
    /// How long the last product stays in its auction, in steps.
    pub auction_steps: u64,
    /// The step before which the service restarts.
    pub restart_at: Option<u64>,
    /// A product that sent nothing for so long sends a heartbeat.
    pub heartbeat_ns: u64,
    /// Messages in a packet of the snapshot channel, at most.
    pub snapshot_messages: usize,
    /// Time of the session's start, ns since the epoch.
    pub start_ns: u64,
}

/// Which channel a packet is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Incremental packets.
    Incremental,
    /// Snapshot cycles.
    Snapshot,
}

/// A packet on a line at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// When it is sent, ns since the session's start.
    pub at_ns: u64,
    /// Its channel.
    pub channel: Channel,
    /// Its line: A is 0, B is 1.
    pub line: u8,
    /// The datagram.
    pub bytes: Vec<u8>,
}

/// A session that goes on as long as packets are taken from it, or to its last step.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    random: Random,
    builder: PacketBuilder,
    step: u64,
    now_ns: u64,
    /// How much later the second line sends, in this step.
    skew_ns: u64,
    sequence: u32,
    resets_left: u32,
    products: Vec<Product>,
    snapshots: Snapshots,
    out: VecDeque<Timed>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            release: Release::V14_1,
            products: 4,
            instruments: 3,
            partition_id: 1,
            step_ns: 20_000,
            steps: 2_000,
            auction_steps: 400,
            restart_at: None,
            heartbeat_ns: 400_000,
            snapshot_messages: 8,
            start_ns: 1_700_000_000_000_000_000,
        }
    }
}

impl Session {
    /// A session at its start: numbers begin with 1, books are empty.
    ///
    /// # Panics
    /// When a limit is out of its range.
    pub fn new(config: SessionConfig) -> Self {
        assert!(
            config.products > 0 && config.instruments > 0,
            "a session has products and instruments"
        );
        assert!(config.step_ns >= 8, "a step holds the skew of the lines");
        let products = (0..config.products).map(|index| Product::new(index, config.instruments));
        Self {
            config,
            random: Random::new(config.seed),
            builder: PacketBuilder::new(config.release),
            step: 0,
            now_ns: 0,
            skew_ns: 1,
            sequence: 0,
            resets_left: 0,
            products: products.collect(),
            snapshots: Snapshots::new(config.snapshot_messages),
            out: VecDeque::new(),
        }
    }

    /// The products as they are behind the last packet.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// What goes wrong on the snapshot channel from now on.
    pub fn set_snapshot_fault(&mut self, fault: SnapshotFault) {
        self.snapshots.fault = fault;
    }

    /// Restarts the service: all numbers begin again, and all orders are sent anew.
    pub fn restart(&mut self) {
        self.sequence = 0;
        self.resets_left = RESET_PACKETS;
        self.snapshots.restart();
        for index in 0..self.products.len() {
            let contents = self.products[index].send_again();
            self.send(index, &contents);
        }
    }

    fn advance(&mut self) {
        self.skew_ns = 1 + self.random.below(self.config.step_ns / 4);
        if self.config.restart_at == Some(self.step) {
            self.restart();
        }
        if self.step == self.config.auction_steps {
            self.products.last_mut().expect("a product").end_auction();
        } else if self.step == 0 && self.config.auction_steps > 0 {
            self.products.last_mut().expect("a product").begin_auction();
        }
        // The first products are busy, the last ones quiet.
        let draw = |random: &mut Random| random.below(self.config.products as u64) as usize;
        let index = draw(&mut self.random).min(draw(&mut self.random));
        let time_ns = self.config.start_ns + self.now_ns;
        let contents = self.products[index].work(time_ns, &mut self.random);
        self.send(index, &contents);
        self.send_heartbeats();
        self.send_snapshot();
        if self.random.below(200) == 0 {
            self.send_technical_heartbeat();
        }
        self.out.make_contiguous().sort_by_key(|timed| timed.at_ns);
        self.step += 1;
        self.now_ns += self.config.step_ns;
    }

    /// Sends a unit of work in one or more packets; the last one completes it.
    fn send(&mut self, index: usize, contents: &[Content<'_>]) {
        // Now and then a unit is spread over packets that would have room for it.
        let most = if self.random.below(4) == 0 {
            1
        } else {
            usize::MAX
        };
        let mut rest = contents;
        while !rest.is_empty() {
            // The header says whether the unit is complete, so what fits is found first.
            let fitting = fitting(self.config.release, rest, most);
            let (packet, after) = rest.split_at(fitting);
            self.begin(index, after.is_empty());
            for content in packet {
                let number = self.products[index].next_number();
                assert!(self.builder.push(content, Some(number)), "it fits");
            }
            rest = after;
            self.emit(Channel::Incremental);
        }
        self.products[index].sent_ns = self.now_ns;
    }

    fn send_heartbeats(&mut self) {
        for index in 0..self.products.len() {
            let product = &mut self.products[index];
            if self.now_ns - product.sent_ns < self.config.heartbeat_ns {
                continue;
            }
            product.sent_ns = self.now_ns;
            let last_processed = product.last_number();
            self.begin(index, true);
            let heartbeat = Content::Heartbeat { last_processed };
            assert!(self.builder.push(&heartbeat, None), "it fits");
            self.emit(Channel::Incremental);
        }
    }

    fn send_snapshot(&mut self) {
        let header = Header {
            partition_id: self.config.partition_id,
            transact_time_ns: self.config.start_ns + self.now_ns,
            ..EMPTY_HEADER
        };
        let (products, random) = (&self.products, &mut self.random);
        let snapshots = &mut self.snapshots;
        if snapshots.next_packet(header, products, &mut self.builder, random) {
            self.emit(Channel::Snapshot);
        }
    }

    /// It has a port of its own; whoever gets one elsewhere must not mind.
    fn send_technical_heartbeat(&mut self) {
        let length = 2 + self.random.below(40) as usize;
        let mut bytes = TECHNICAL_HEARTBEAT.to_vec();
        bytes.resize(length, 0);
        for line in [0, 1] {
            self.out.push_back(Timed {
                at_ns: self.now_ns,
                channel: Channel::Incremental,
                line,
                bytes: bytes.clone(),
            });
        }
    }

    fn begin(&mut self, index: usize, completes: bool) {
        self.sequence += 1;
        self.builder.begin(Header {
            sequence: self.sequence,
            market_segment_id: self.products[index].market_segment_id(),
            partition_id: self.config.partition_id,
            completes,
            resets: self.resets_left > 0,
            transact_time_ns: self.config.start_ns + self.now_ns,
        });
        self.resets_left = self.resets_left.saturating_sub(1);
    }

    /// Puts the packet on both lines, each stamped when it is sent.
    fn emit(&mut self, channel: Channel) {
        let first = self.config.partition_id % 2;
        for (line, at_ns) in [
            (first, self.now_ns),
            (1 - first, self.now_ns + self.skew_ns),
        ] {
            let mut bytes = self.builder.finish().to_vec();
            let sent_ns = self.config.start_ns + at_ns;
            bytes[24..32].copy_from_slice(&sent_ns.to_le_bytes());
            self.out.push_back(Timed {
                at_ns,
                channel,
                line,
                bytes,
            });
        }
        // Packets of one step follow one another.
        self.now_ns += 1;
    }
}

impl Iterator for Session {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        while self.out.is_empty() {
            if self.step >= self.config.steps {
                return None;
            }
            self.advance();
        }
        self.out.pop_front()
    }
}

/// What a packet says before anything is known of it.
const EMPTY_HEADER: Header = Header {
    sequence: 0,
    market_segment_id: 0,
    partition_id: 0,
    completes: false,
    resets: false,
    transact_time_ns: 0,
};

/// How many of the first messages fit one datagram, at most `most`.
fn fitting(release: Release, contents: &[Content<'_>], most: usize) -> usize {
    let mut builder = PacketBuilder::new(release);
    builder.begin(Header {
        sequence: 1,
        ..EMPTY_HEADER
    });
    let fits = |content: &&Content<'_>| builder.push(content, None);
    contents.iter().take(most).take_while(fits).count()
}

#[cfg(test)]
mod tests;
