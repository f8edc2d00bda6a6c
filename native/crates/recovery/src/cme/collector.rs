//! The loop of a snapshot channel, put together instrument by instrument.
//!
//! By price a message is a whole book. By order a book comes in NoChunks messages, which belong
//! together when they have the same LastMsgSeqNumProcessed. They may come in any order and twice.
//! A chunk of a newer loop voids what was there of the older one, so a lost chunk costs its
//! instrument one loop; a chunk of an older loop is refused.

use std::collections::{BTreeMap, BTreeSet};

use tickdeck_wire::cme::{GroupError, Message, OrderSnapshot, Packet, PriceSnapshot};

use super::{Book, Cycle};

/// Limits of a [`Collector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorConfig {
    /// Cycles that do not include this packet of the incremental channel are stale: the last one
    /// that was lost. 0: take all.
    pub not_before: u32,
    /// Instruments of which a book by order is incomplete.
    pub max_open: usize,
    /// Chunks that one book may have.
    pub max_chunks: u32,
    /// Bytes kept of incomplete books.
    pub max_bytes: usize,
}

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorCounters {
    /// Packets read.
    pub packets: u64,
    /// Cycles put out.
    pub cycles: u64,
    /// Cycles and chunks too old to be of use.
    pub stale: u64,
    /// Books of which a chunk never came.
    pub voided: u64,
    /// Chunks of an older loop than the one that is being collected.
    pub mixed: u64,
    /// Chunks that came again.
    pub duplicates: u64,
    /// Chunks that contradict the others of their loop, or name more than is allowed.
    pub refused: u64,
    /// Books dropped because a limit was reached.
    pub dropped: u64,
    /// Messages that are not what their template says.
    pub malformed: u64,
}

/// Collects whole books out of the packets of a snapshot channel.
#[derive(Debug)]
pub struct Collector {
    config: CollectorConfig,
    open: BTreeMap<i32, Open>,
    bytes: usize,
    prices: Loop,
    orders: Loop,
    counters: CollectorCounters,
}

/// A message of a snapshot channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) security_id: i32,
    pub(super) book: Book,
    last_msg_seq_num_processed: u32,
    rpt_seq: u32,
    total_reports: u32,
    pub(super) chunk: u32,
    chunks: u32,
    entries: u64,
}

/// A book by order of which chunks are missing.
#[derive(Debug)]
struct Open {
    last_msg_seq_num_processed: u32,
    /// For each chunk the index of its packet.
    chunks: Vec<Option<usize>>,
    missing: u32,
    entries: u64,
    /// The least SendingTime of its packets.
    sent_ns: u64,
    packets: Vec<Vec<u8>>,
    /// Which packet of the channel the last of them was, so that none is kept twice.
    newest: u64,
}

/// How far one kind of book is through its loop.
#[derive(Debug, Default)]
struct Loop {
    total_reports: u32,
    seen: BTreeSet<i32>,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            not_before: 0,
            max_open: 4_096,
            max_chunks: 8_192,
            max_bytes: 256 << 20,
        }
    }
}

impl Collector {
    /// A collector that has seen nothing.
    pub fn new(config: CollectorConfig) -> Self {
        Self {
            config,
            open: BTreeMap::new(),
            bytes: 0,
            prices: Loop::default(),
            orders: Loop::default(),
            counters: CollectorCounters::default(),
        }
    }

    /// Reads a packet of the snapshot channel; hands each book that is whole to `out`.
    pub fn on_packet(&mut self, packet: &Packet<'_>, out: &mut impl FnMut(Cycle)) {
        self.counters.packets += 1;
        for message in packet.messages() {
            match Part::read(&message) {
                Ok(Some(part)) => self.on_part(&part, packet, out),
                Ok(None) => {}
                Err(_) => self.counters.malformed += 1,
            }
        }
    }

    /// From here on only cycles that include this packet of the incremental channel are of use;
    /// what is open and older is voided, and the loop begins anew.
    pub fn not_before(&mut self, sequence: u32) {
        self.config.not_before = sequence;
        let is_old = |open: &Open| open.last_msg_seq_num_processed < sequence;
        let old = self.open.iter().filter(|(_, open)| is_old(open));
        let old: Vec<_> = old.map(|(security_id, _)| *security_id).collect();
        for security_id in old {
            self.void(security_id);
            self.counters.stale += 1;
        }
        self.prices = Loop::default();
        self.orders = Loop::default();
    }

    /// Forgets everything: the numbers of the channel begin again.
    pub fn restart(&mut self) {
        self.open.clear();
        self.bytes = 0;
        self.config.not_before = 0;
        self.prices = Loop::default();
        self.orders = Loop::default();
    }

    /// Whether every instrument of the loop was put out, of each kind of book that was seen. The
    /// snapshot groups may be left.
    pub fn is_complete(&self) -> bool {
        let loops = [&self.prices, &self.orders];
        let is_any = loops.iter().any(|of_kind| of_kind.total_reports > 0);
        is_any && loops.iter().all(|of_kind| of_kind.is_complete())
    }

    /// Instruments of which chunks are missing.
    pub fn open_books(&self) -> usize {
        self.open.len()
    }

    /// Bytes kept of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was counted so far.
    pub fn counters(&self) -> &CollectorCounters {
        &self.counters
    }

    fn on_part(&mut self, part: &Part, packet: &Packet<'_>, out: &mut impl FnMut(Cycle)) {
        if part.last_msg_seq_num_processed < self.config.not_before {
            self.counters.stale += 1;
            return;
        }
        self.loop_of(part.book).total_reports = part.total_reports;
        if part.book == Book::Prices {
            let cycle = Cycle {
                packets: vec![packet.bytes().to_vec()],
                ..part.cycle(packet.sending_time_ns())
            };
            self.put_out(cycle, out);
            return;
        }
        if part.chunks > self.config.max_chunks {
            self.counters.refused += 1;
            return;
        }
        if !self.find_room(part) || !self.take(part, packet) {
            return;
        }
        if self.open[&part.security_id].missing == 0 {
            let open = self.void(part.security_id).expect("it is open");
            let cycle = Cycle {
                entries: open.entries,
                ..part.cycle(open.sent_ns)
            };
            let packets = open.in_order();
            let cycle = Cycle { packets, ..cycle };
            self.put_out(cycle, out);
        } else if self.bytes > self.config.max_bytes {
            self.void(part.security_id);
            self.counters.dropped += 1;
        }
    }

    /// Settles what the part means to an older loop of its instrument; false when it is refused.
    fn find_room(&mut self, part: &Part) -> bool {
        let Some(open) = self.open.get(&part.security_id) else {
            let has_room = self.open.len() < self.config.max_open;
            self.counters.dropped += u64::from(!has_room);
            return has_room;
        };
        let (theirs, ours) = (
            part.last_msg_seq_num_processed,
            open.last_msg_seq_num_processed,
        );
        if theirs < ours {
            self.counters.mixed += 1;
            return false;
        }
        if theirs > ours {
            self.void(part.security_id);
            self.counters.voided += 1;
        } else if open.chunks.len() != part.chunks as usize {
            self.void(part.security_id);
            self.counters.refused += 1;
            return false;
        }
        true
    }

    /// Keeps a chunk; false when it was there.
    fn take(&mut self, part: &Part, packet: &Packet<'_>) -> bool {
        let open = self.open.entry(part.security_id).or_insert_with(|| {
            let open = Open::new(part);
            self.bytes += open.bytes();
            open
        });
        let chunk = &mut open.chunks[part.chunk as usize - 1];
        if chunk.is_some() {
            self.counters.duplicates += 1;
            return false;
        }
        if open.newest != self.counters.packets {
            open.newest = self.counters.packets;
            open.sent_ns = open.sent_ns.min(packet.sending_time_ns());
            open.packets.push(packet.bytes().to_vec());
            self.bytes += packet.bytes().len();
        }
        *chunk = Some(open.packets.len() - 1);
        open.missing -= 1;
        open.entries += part.entries;
        true
    }

    /// Takes an open book out.
    fn void(&mut self, security_id: i32) -> Option<Open> {
        let open = self.open.remove(&security_id)?;
        self.bytes -= open.bytes();
        Some(open)
    }

    fn put_out(&mut self, cycle: Cycle, out: &mut impl FnMut(Cycle)) {
        self.counters.cycles += 1;
        self.loop_of(cycle.book).seen.insert(cycle.security_id);
        out(cycle);
    }

    fn loop_of(&mut self, book: Book) -> &mut Loop {
        match book {
            Book::Prices => &mut self.prices,
            Book::Orders => &mut self.orders,
        }
    }
}

impl Part {
    /// Reads a message; `None` when it is no snapshot.
    pub(super) fn read(message: &Message<'_>) -> Result<Option<Self>, GroupError> {
        if let Some(whole) = PriceSnapshot::read(message)? {
            return Ok(Some(Self {
                security_id: whole.security_id,
                book: Book::Prices,
                last_msg_seq_num_processed: whole.last_msg_seq_num_processed,
                rpt_seq: whole.rpt_seq,
                total_reports: whole.total_reports,
                chunk: 1,
                chunks: 1,
                entries: whole.entries.len() as u64,
            }));
        }
        let part = OrderSnapshot::read(message)?;
        Ok(part.map(|part| Self {
            security_id: part.security_id,
            book: Book::Orders,
            last_msg_seq_num_processed: part.last_msg_seq_num_processed,
            rpt_seq: 0,
            total_reports: part.total_reports,
            chunk: part.chunk,
            chunks: part.chunks,
            entries: part.entries.len() as u64,
        }))
    }

    /// Whether it belongs to this cycle.
    pub(super) fn is_of(&self, cycle: &Cycle) -> bool {
        let ours = (self.security_id, self.book, self.last_msg_seq_num_processed);
        ours == (
            cycle.security_id,
            cycle.book,
            cycle.last_msg_seq_num_processed,
        )
    }

    fn cycle(&self, sent_ns: u64) -> Cycle {
        Cycle {
            security_id: self.security_id,
            book: self.book,
            last_msg_seq_num_processed: self.last_msg_seq_num_processed,
            rpt_seq: self.rpt_seq,
            entries: self.entries,
            sent_ns,
            packets: Vec::new(),
        }
    }
}

impl Open {
    fn new(part: &Part) -> Self {
        Self {
            last_msg_seq_num_processed: part.last_msg_seq_num_processed,
            chunks: vec![None; part.chunks as usize],
            missing: part.chunks,
            entries: 0,
            sent_ns: u64::MAX,
            packets: Vec::new(),
            newest: 0,
        }
    }

    fn bytes(&self) -> usize {
        let slots = self.chunks.len() * size_of::<Option<usize>>();
        slots + self.packets.iter().map(Vec::len).sum::<usize>()
    }

    /// Takes the packets, in the order of the chunks that they brought.
    fn in_order(self) -> Vec<Vec<u8>> {
        let mut packets: Vec<_> = self.packets.into_iter().map(Some).collect();
        let indices = self.chunks.into_iter().flatten();
        indices.filter_map(|index| packets[index].take()).collect()
    }
}

impl Loop {
    fn is_complete(&self) -> bool {
        self.seen.len() >= self.total_reports as usize
    }
}
