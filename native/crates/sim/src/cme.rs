//! A generated CME MDP 3.0 channel: incremental packets, snapshot loops, resets.
//!
//! The same seed gives the same bytes. Books by price are the sums of the orders at ticks below
//! the depth; orders behind it show only in the books by order. Every third instrument has no book
//! by order, as on channels of schema version 6.

use tickdeck_wire::cme::{
    OrderChange, PacketBuilder, PriceChange, SnapshotHead, SnapshotLevel, SnapshotOrder, template,
};

use crate::Random;

mod instrument;
mod turns;

pub use instrument::{Instrument, Level, Order};
pub use turns::{SnapshotFault, SnapshotTurns};

/// What a channel is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Fixes every byte.
    pub seed: u64,
    /// Instruments, at least 1.
    pub instruments: usize,
    /// Orders in a chunk of a snapshot by order, 1 to 255.
    pub orders_per_chunk: usize,
    /// Most bytes of a packet.
    pub max_payload: usize,
    /// SendingTime of the first packet, ns since the epoch.
    pub start_ns: u64,
}

/// A kind of snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// By price (52).
    Prices,
    /// By order in chunks (53).
    Orders,
}

/// A channel that goes on as long as packets are taken from it.
#[derive(Debug)]
pub struct Channel {
    config: ChannelConfig,
    random: Random,
    builder: PacketBuilder,
    sequence: u32,
    now_ns: u64,
    next_order_id: u64,
    instruments: Vec<Instrument>,
    /// The instruments that the last packet touched.
    touched: Vec<usize>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            instruments: 9,
            orders_per_chunk: 5,
            max_payload: 1_400,
            start_ns: 1_700_000_000_000_000_000,
        }
    }
}

impl Channel {
    /// A channel at the beginning of its week: numbers begin with 1, books are empty.
    ///
    /// # Panics
    /// When a limit is out of its range.
    pub fn new(config: ChannelConfig) -> Self {
        assert!(config.instruments > 0, "a channel has an instrument");
        assert!(
            (1..=255).contains(&config.orders_per_chunk),
            "a chunk holds 1 to 255 orders"
        );
        let instruments = (0..config.instruments).map(Instrument::new).collect();
        Self {
            config,
            random: Random::new(config.seed),
            builder: PacketBuilder::new(config.max_payload),
            sequence: 0,
            now_ns: config.start_ns,
            next_order_id: 1,
            instruments,
            touched: Vec::new(),
        }
    }

    /// The next packet of the incremental channel, the same on both lines. One in sixteen is a
    /// heartbeat.
    pub fn next_packet(&mut self) -> &[u8] {
        self.begin();
        if self.random.below(16) == 0 {
            assert!(self.builder.heartbeat(), "an empty packet has room");
        } else {
            for _ in 0..=self.random.below(3) {
                self.change();
            }
        }
        self.builder.finish()
    }

    /// The next packet is sent no earlier than this, ns since the epoch.
    pub fn advance_to(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
    }

    /// A packet that empties the channel's books and starts RptSeq again.
    pub fn channel_reset(&mut self) -> &[u8] {
        self.begin();
        assert!(
            self.builder.channel_reset(self.now_ns),
            "an empty packet has room"
        );
        self.instruments.iter_mut().for_each(Instrument::clear);
        self.builder.finish()
    }

    /// A new week: the next packet is number 1, books are empty.
    pub fn next_week(&mut self) {
        self.sequence = 0;
        self.instruments.iter_mut().for_each(Instrument::clear);
    }

    /// Number of the last packet; 0 before the first of the week.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// SendingTime of the last packet, ns since the epoch.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The instruments as they are behind the last packet.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Indices of the instruments that the last packet touched.
    pub fn touched(&self) -> &[usize] {
        &self.touched
    }

    /// A whole loop of the snapshot channel as of the last packet, from packet number 1 on. An
    /// instrument without activity this week has no snapshot.
    pub fn snapshot_loop(&self, kind: Snapshots) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for index in 0..self.instruments.len() {
            packets.extend(self.snapshot(kind, index, packets.len() as u32 + 1));
        }
        packets
    }

    /// One instrument's part of a loop as of the last packet, in packets from this number on.
    pub fn snapshot(&self, kind: Snapshots, index: usize, first_sequence: u32) -> Vec<Vec<u8>> {
        let instrument = &self.instruments[index];
        let is_active = |instrument: &Instrument| match kind {
            Snapshots::Prices => instrument.rpt_seq() > 0,
            Snapshots::Orders => instrument.has_orders() && instrument.is_active(),
        };
        if !is_active(instrument) {
            return Vec::new();
        }
        let active = self.instruments.iter().filter(|found| is_active(found));
        let head = SnapshotHead {
            last_msg_seq_num_processed: self.sequence,
            total_reports: active.count() as u32,
            security_id: instrument.security_id(),
        };
        let mut builder = PacketBuilder::new(self.config.max_payload);
        match kind {
            Snapshots::Prices => {
                builder.begin(first_sequence, self.now_ns);
                let levels = levels_of(instrument);
                assert!(builder.snapshot(head, instrument.rpt_seq(), self.now_ns, &levels));
                vec![builder.finish().to_vec()]
            }
            Snapshots::Orders => self.chunks(head, instrument, first_sequence, &mut builder),
        }
    }

    /// When a packet arrives on lines A and B, ns since the epoch: A is first four times of five.
    pub fn race(random: &mut Random, sent_ns: u64) -> [u64; 2] {
        let flight_ns = sent_ns + 20_000;
        let lead_ns = 1 + random.below(900);
        if random.below(5) == 0 {
            [flight_ns + lead_ns, flight_ns]
        } else {
            [flight_ns, flight_ns + lead_ns]
        }
    }

    fn begin(&mut self) {
        self.sequence += 1;
        self.now_ns += 1_000 + self.random.below(100_000);
        self.touched.clear();
        self.builder.begin(self.sequence, self.now_ns);
    }

    /// Changes an instrument: one to three of its orders, or its volume.
    fn change(&mut self) {
        let index = self.random.below(self.instruments.len() as u64) as usize;
        if !self.touched.contains(&index) {
            self.touched.push(index);
        }
        let instrument = &mut self.instruments[index];
        let security_id = instrument.security_id();
        if self.random.below(8) == 0 {
            let rpt_seq = instrument.count_update();
            let volume = self.random.below(1_000) as i32;
            let fits = self
                .builder
                .volume(self.now_ns, security_id, rpt_seq, volume);
            assert!(fits, "three messages fit a packet");
            return;
        }
        let (mut prices, mut linked, mut deep) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=self.random.below(3) {
            let (order, action) = instrument.change(&mut self.random, &mut self.next_order_id);
            let change = order_change(security_id, &order, action);
            if let Some((level, action)) = instrument.level_change(&order, action) {
                let rpt_seq = instrument.count_update();
                linked.push((prices.len() as u8, change));
                prices.push(price_change(security_id, rpt_seq, &order, level, action));
            } else {
                deep.push(change);
            }
        }
        let has_orders = instrument.has_orders();
        let linked = if has_orders { &linked[..] } else { &[] };
        let book = template::BOOK_9;
        let fits = (prices.is_empty() || self.builder.book(book, self.now_ns, &prices, linked))
            && (deep.is_empty() || self.builder.order_book(self.now_ns, &deep));
        assert!(fits, "three messages fit a packet");
    }

    fn chunks(
        &self,
        head: SnapshotHead,
        instrument: &Instrument,
        first_sequence: u32,
        builder: &mut PacketBuilder,
    ) -> Vec<Vec<u8>> {
        let orders: Vec<_> = instrument.orders().map(snapshot_order).collect();
        let mut chunks: Vec<_> = orders.chunks(self.config.orders_per_chunk).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let count = chunks.len() as u32;
        let packet = |(index, orders): (u32, &&[SnapshotOrder])| {
            builder.begin(first_sequence + index, self.now_ns);
            assert!(builder.order_snapshot(head, (index + 1, count), self.now_ns, orders));
            builder.finish().to_vec()
        };
        (0..).zip(&chunks).map(packet).collect()
    }
}

fn levels_of(instrument: &Instrument) -> Vec<SnapshotLevel> {
    let levels = instrument.levels();
    let level = |level: Level| SnapshotLevel {
        price: level.price,
        size: level.size,
        orders: level.orders,
        level: level.rank as i8,
        kind: level.kind,
    };
    levels.into_iter().map(level).collect()
}

fn snapshot_order(order: &Order) -> SnapshotOrder {
    SnapshotOrder {
        order_id: order.id,
        priority: order.priority,
        price: order.price(),
        quantity: order.quantity,
        kind: order.kind,
    }
}

fn order_change(security_id: i32, order: &Order, action: u8) -> OrderChange {
    OrderChange {
        order_id: order.id,
        priority: order.priority,
        price: order.price(),
        quantity: order.quantity,
        security_id,
        action,
        kind: order.kind,
    }
}

fn price_change(
    security_id: i32,
    rpt_seq: u32,
    order: &Order,
    level: Level,
    action: u8,
) -> PriceChange {
    PriceChange {
        price: order.price(),
        size: level.size,
        security_id,
        rpt_seq,
        orders: level.orders,
        level: level.rank,
        action,
        kind: order.kind,
    }
}

#[cfg(test)]
mod tests;
