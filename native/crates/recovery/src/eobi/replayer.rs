//! From the merged stream and the cycles to what a reader applies, message by message.

use std::collections::BTreeMap;

use tickdeck_wire::eobi::{Content, Message, Packet};

use super::kept::Kept;
use super::{Cycle, Trust};

mod saved;

pub(super) use saved::taken;

/// Limits of a [`Replayer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayerConfig {
    /// Bytes of packets kept for suspect products. A product that needs more loses its oldest ones,
    /// and then only a newer cycle will do.
    pub max_bytes: usize,
    /// Products; packets of more are counted and not applied.
    pub max_products: usize,
}

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayerCounters {
    /// Packets taken.
    pub packets: u64,
    /// Packets that came again or too late.
    pub stale_packets: u64,
    /// Runs of packets that are missing.
    pub gaps: u64,
    /// Packets that are missing.
    pub lost_packets: u64,
    /// MsgSeqNum jumped after a packet was lost.
    pub jumps: u64,
    /// MsgSeqNum jumped or fell although no packet was lost since the product was heard last.
    pub feed_inconsistent: u64,
    /// Losses that only a heartbeat revealed.
    pub revealed_losses: u64,
    /// Messages that a cycle included already.
    pub skipped_messages: u64,
    /// Packets of more products than there is room for.
    pub refused_packets: u64,
    /// Cycles loaded.
    pub cycles: u64,
    /// Of them, those that were ahead of a Good product that was unproven: it lost its last
    /// messages, or the merge is behind the snapshot. Either way the cycle is right.
    pub cycles_ahead: u64,
    /// Cycles of products that need none.
    pub cycles_not_needed: u64,
    /// Cycles older than what is kept, or than a restart; the next one is waited for.
    pub cycles_stale: u64,
    /// Packets dropped because a product's buffer was full.
    pub dropped_packets: u64,
    /// Messages without a number that should have one, and heartbeats that cannot be read.
    pub malformed: u64,
    /// Restarts of the service.
    pub restarts: u64,
}

/// Takes what a [`Replayer`] puts out, in order.
pub trait Output {
    /// All books of the channel are empty from here on.
    fn reset(&mut self);
    /// The product's books are from here on what the cycle says.
    fn load(&mut self, cycle: &Cycle);
    /// The product's next message.
    fn apply(&mut self, market_segment_id: i32, message: &Message<'_>);
    /// The product's books are trusted like this from here on.
    fn trust(&mut self, market_segment_id: i32, trust: Trust);
}

/// Judges every product of a channel and says what to apply; see the module's documentation.
#[derive(Debug)]
pub struct Replayer {
    config: ReplayerConfig,
    /// ApplSeqNum of the last packet taken; 0 before the first.
    last: u32,
    /// Runs of packets that are missing since the numbers began; a start in their middle is one.
    gaps: u64,
    /// The numbers began again and no packet came since.
    is_restarted: bool,
    /// A cycle that was sent before is of the numbers before the last restart.
    began_ns: u64,
    products: BTreeMap<i32, Product>,
    /// Bytes kept for all of them.
    kept_bytes: usize,
    counters: ReplayerCounters,
}

/// What is known of a product.
#[derive(Debug)]
struct Product {
    trust: Trust,
    /// MsgSeqNum of the next message.
    next: u32,
    /// MsgSeqNum of the last message that is in the cycle that was loaded last.
    covered: u32,
    /// [`Replayer::gaps`] when it was heard last.
    gaps: u64,
    /// A cycle that was sent before is of numbers that this product no longer has.
    began_ns: u64,
    kept: Kept,
}

/// What a message's number is to its product.
enum Step {
    Next,
    Covered,
    Ahead,
    Behind,
}

impl Default for ReplayerConfig {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_products: 4_096,
        }
    }
}

impl Replayer {
    /// A replayer that has seen nothing.
    pub fn new(config: ReplayerConfig) -> Self {
        Self {
            config,
            last: 0,
            gaps: 0,
            is_restarted: false,
            began_ns: 0,
            products: BTreeMap::new(),
            kept_bytes: 0,
            counters: ReplayerCounters::default(),
        }
    }

    /// Takes the next packet of the merged stream. An ApplSeqNum that is left out was lost.
    pub fn on_packet(&mut self, packet: &Packet<'_>, out: &mut impl Output) {
        if !self.take_number(packet) {
            return;
        }
        let id = packet.market_segment_id();
        if !self.products.contains_key(&id) {
            if self.products.len() >= self.config.max_products {
                self.counters.refused_packets += 1;
                return;
            }
            self.products.insert(id, Product::new());
        }
        let product = self.products.get_mut(&id).expect("it was just put there");
        let kept_for_others = self.kept_bytes - product.kept.bytes();
        let mut judge = Judge {
            id,
            product,
            packet,
            gaps: self.gaps,
            counters: &mut self.counters,
        };
        for message in packet.messages() {
            judge.on_message(&message, out);
        }
        product.gaps = self.gaps;
        if product.trust != Trust::Good {
            let room = self.config.max_bytes.saturating_sub(kept_for_others);
            self.counters.dropped_packets += product.kept.push(packet, product.next, room);
        }
        self.kept_bytes = kept_for_others + product.kept.bytes();
    }

    /// Takes a product that the snapshot channel brought whole. True when it was loaded.
    pub fn on_cycle(&mut self, cycle: &Cycle, out: &mut impl Output) -> bool {
        if self.last == 0 || cycle.sent_ns < self.began_ns {
            self.counters.cycles_stale += 1;
            return false;
        }
        let (id, last) = (cycle.market_segment_id, cycle.last_msg_seq_num_processed);
        match self.products.get(&id) {
            None if self.products.len() >= self.config.max_products => {
                self.counters.refused_packets += cycle.packets.len() as u64;
                return false;
            }
            None => {
                self.products.insert(id, Product::new());
            }
            Some(product) if product.trust == Trust::Good => {
                // Behind a gap it may have lost its last messages and been silent since.
                if product.gaps == self.gaps || last < product.next {
                    self.counters.cycles_not_needed += 1;
                    return false;
                }
                self.counters.cycles_ahead += 1;
            }
            Some(product) if !product.is_reached_by(cycle) => {
                self.counters.cycles_stale += 1;
                return false;
            }
            Some(_) => {}
        }
        let product = self.products.get_mut(&id).expect("it was just put there");
        self.kept_bytes -= product.kept.bytes();
        product.load(cycle, out);
        self.counters.cycles += 1;
        true
    }

    /// The service restarted: all numbers begin again, and everything is forgotten.
    pub fn restart(&mut self, out: &mut impl Output) {
        self.counters.restarts += 1;
        self.products.clear();
        self.kept_bytes = 0;
        (self.last, self.gaps) = (0, 0);
        self.is_restarted = true;
        out.reset();
    }

    /// How far a product is to be trusted; `None` when it was never seen.
    pub fn trust(&self, market_segment_id: i32) -> Option<Trust> {
        Some(self.products.get(&market_segment_id)?.trust)
    }

    /// MsgSeqNum of the product's last message that was heard, or is in its cycle; 0 before the
    /// first.
    pub fn last_msg_seq_num(&self, market_segment_id: i32) -> Option<u32> {
        Some(self.products.get(&market_segment_id)?.next - 1)
    }

    /// Whether nothing of the product can be missing: it was heard since the last gap. A Good one
    /// that is unproven may lack its last messages.
    pub fn is_proven(&self, market_segment_id: i32) -> bool {
        self.products
            .get(&market_segment_id)
            .is_some_and(|product| product.gaps == self.gaps)
    }

    /// The products that wait for a cycle.
    pub fn suspects(&self) -> impl Iterator<Item = i32> {
        let is_suspect = |product: &Product| product.trust != Trust::Good;
        let suspects = self.products.iter();
        suspects.filter_map(move |(id, product)| is_suspect(product).then_some(*id))
    }

    /// The products of which something may be missing that nothing has shown: not heard since the
    /// last gap.
    pub fn unproven(&self) -> impl Iterator<Item = i32> {
        let products = self.products.iter();
        products.filter_map(|(id, product)| (product.gaps != self.gaps).then_some(*id))
    }

    /// Packets kept for them, and their bytes.
    pub fn buffered(&self) -> (usize, usize) {
        let packets = self.products.values().map(|product| product.kept.len());
        (packets.sum(), self.kept_bytes)
    }

    /// The limits.
    pub fn config(&self) -> &ReplayerConfig {
        &self.config
    }

    /// What was counted so far.
    pub fn counters(&self) -> &ReplayerCounters {
        &self.counters
    }

    /// Notes the packet's ApplSeqNum and what is missing before it; false when it is old.
    fn take_number(&mut self, packet: &Packet<'_>) -> bool {
        let sequence = packet.sequence();
        if sequence <= self.last {
            self.counters.stale_packets += 1;
            return false;
        }
        self.counters.packets += 1;
        let lost = sequence - self.last - 1;
        if lost > 0 {
            self.gaps += 1;
            // Before the first packet of all nothing is missed.
            let is_known = self.last > 0 || self.is_restarted;
            self.counters.gaps += u64::from(is_known);
            self.counters.lost_packets += if is_known { u64::from(lost) } else { 0 };
        }
        if std::mem::take(&mut self.is_restarted) {
            self.began_ns = packet.transact_time_ns();
        }
        self.last = sequence;
        true
    }
}

/// A product while a packet of it is read.
struct Judge<'a> {
    id: i32,
    product: &'a mut Product,
    packet: &'a Packet<'a>,
    gaps: u64,
    counters: &'a mut ReplayerCounters,
}

impl Judge<'_> {
    fn on_message(&mut self, message: &Message<'_>, out: &mut impl Output) {
        let Some(number) = message.msg_seq_num() else {
            match message.content(self.packet.release()) {
                Ok(Content::Heartbeat { last_processed }) => self.on_heartbeat(last_processed, out),
                _ => self.counters.malformed += 1,
            }
            return;
        };
        match self.product.step(number) {
            Step::Next => {}
            Step::Covered => {
                self.counters.skipped_messages += 1;
                return;
            }
            Step::Ahead => self.on_break(self.product.next, number, false, out),
            Step::Behind => self.on_break(number, number, true, out),
        }
        self.product.next = number.saturating_add(1);
        if self.product.trust == Trust::Good {
            out.apply(self.id, message);
        }
    }

    /// The product says how far it is: that is the proof on a quiet one.
    fn on_heartbeat(&mut self, last_processed: u32, out: &mut impl Output) {
        let next = last_processed.saturating_add(1);
        match self.product.step(next) {
            Step::Next | Step::Covered => {}
            Step::Ahead => {
                self.counters.revealed_losses += 1;
                self.on_break(self.product.next, next, false, out);
            }
            // Numbers never fall but by a restart; the next message will show it.
            Step::Behind => self.counters.feed_inconsistent += 1,
        }
        self.product.next = self.product.next.max(next);
    }

    /// Messages from `since` on are missing or doubtful; the next whole stretch begins at `from`.
    fn on_break(&mut self, since: u32, from: u32, falls: bool, out: &mut impl Output) {
        if falls || self.product.gaps == self.gaps {
            self.counters.feed_inconsistent += 1;
        } else {
            self.counters.jumps += 1;
        }
        self.product.kept.begin(from);
        if falls {
            self.product.covered = 0;
            self.product.began_ns = self.packet.transact_time_ns();
        }
        if self.product.trust == Trust::Good {
            self.product.trust = Trust::Suspect { since };
            out.trust(self.id, self.product.trust);
        }
    }
}

impl Product {
    /// A product before its first message; it is believed if that is number 1.
    fn new() -> Self {
        Self {
            trust: Trust::Good,
            next: 1,
            covered: 0,
            gaps: 0,
            began_ns: 0,
            kept: Kept::default(),
        }
    }

    fn step(&self, number: u32) -> Step {
        match number {
            _ if number == self.next => Step::Next,
            _ if number > self.next => Step::Ahead,
            _ if number <= self.covered => Step::Covered,
            _ => Step::Behind,
        }
    }

    /// Whether every message behind the cycle is kept.
    fn is_reached_by(&self, cycle: &Cycle) -> bool {
        cycle.sent_ns >= self.began_ns && cycle.resume_sequence() >= self.kept.from()
    }

    /// Hands the cycle over, then what came behind it; the product is Good then.
    fn load(&mut self, cycle: &Cycle, out: &mut impl Output) {
        let (id, last) = (cycle.market_segment_id, cycle.last_msg_seq_num_processed);
        out.trust(id, Trust::Rebuilding);
        out.load(cycle);
        self.kept.behind(last, |message| out.apply(id, message));
        self.kept.begin(0);
        self.covered = last;
        self.next = self.next.max(cycle.resume_sequence());
        self.trust = Trust::Good;
        out.trust(id, Trust::Good);
    }
}
