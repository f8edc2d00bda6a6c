//! The arbiter against a bare two-queue merge of the same packets.
//!
//! The clock covers, for both, stamping the next number into a packet that lies in a small
//! receive buffer of its line (as a receive path leaves packets: lately written), the merge, and
//! the copy of what leaves into a ring. Construction is outside.

use std::hint::black_box;

use serde_json::{Map, Value};
use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, Output, Run, Source, Start};
use tickdeck_sim::Random;
use tickdeck_wire::moldudp64::{HEADER_LEN, Packet, PacketBuilder, Session};

use crate::rounds::{Contender, WrongResult, compare, timed};

const MESSAGES_PER_PACKET: u64 = 4;
const MESSAGE_BYTES: usize = 36;
const SESSION: Session = Session(*b"BENCH00001");
/// Packets in a line's receive buffer.
const SLOTS: usize = 256;
/// Bytes of the ring that takes what leaves.
const RING_BYTES: usize = 1 << 18;
/// Packets between two readings of the clock, as a receive path reads it per batch.
const BATCH: u64 = 64;

/// How the two lines behave.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Lines {
    /// Every packet on A, then on B.
    InOrder,
    /// One packet in a hundred lost on each line, never on both.
    Loss,
    /// Neighbours swapped on each line once in a hundred packets.
    Reorder,
}

const ALL: [(Lines, &str); 3] = [
    (Lines::InOrder, "in_order"),
    (Lines::Loss, "loss"),
    (Lines::Reorder, "reorder"),
];

/// Nanoseconds per packet received, for `packets` packets on each of two lines: of the behaviour
/// asked for, or of each by its name.
pub(crate) fn run(packets: u64, rounds: usize, lines: Option<Lines>) -> Result<Value, WrongResult> {
    if let Some(lines) = lines {
        return run_one(packets, rounds, lines);
    }
    let mut all = Map::new();
    for (lines, name) in ALL {
        all.insert(name.to_owned(), run_one(packets, rounds, lines)?);
    }
    Ok(all.into())
}

fn run_one(packets: u64, rounds: usize, lines: Lines) -> Result<Value, WrongResult> {
    let feed = Feed::new(packets, lines);
    let items = feed.order.len() as u64;
    let mut arbiters: Vec<Arbiter> = (0..=rounds).map(|_| arbiter()).collect();
    let mut contenders = [
        Contender {
            name: "bare two-queue merge",
            is_baseline: true,
            run: Box::new(|| timed(|| bare_merge(&feed, true), same)),
        },
        Contender {
            name: "bare, copies unchecked",
            is_baseline: false,
            run: Box::new(|| timed(|| bare_merge(&feed, false), same)),
        },
        Contender {
            name: "arbiter",
            is_baseline: false,
            run: Box::new(|| {
                let arbiter = arbiters.pop().expect("one for each round");
                timed(|| arbitrate(&feed, arbiter), same)
            }),
        },
    ];
    compare(&mut contenders, items, rounds)
}

fn same(checksum: u64) -> u64 {
    checksum
}

/// The order in which the lines bring packets, and what a packet looks like.
struct Feed {
    template: Vec<u8>,
    order: Vec<(u8, u32)>,
    end: u64,
}

/// The receive buffers of two lines.
struct Buffers {
    bytes: Vec<u8>,
    packet_bytes: usize,
}

impl Feed {
    fn new(packets: u64, lines: Lines) -> Self {
        let mut builder = PacketBuilder::new(SESSION, 1400);
        builder.begin(1);
        for message in 0..MESSAGES_PER_PACKET {
            assert!(
                builder.push(&[message as u8; MESSAGE_BYTES]),
                "four messages fit"
            );
        }
        Self {
            template: builder.finish().to_vec(),
            order: order(packets, lines),
            end: 1 + packets * MESSAGES_PER_PACKET,
        }
    }

    fn buffers(&self) -> Buffers {
        Buffers {
            bytes: self.template.repeat(2 * SLOTS),
            packet_bytes: self.template.len(),
        }
    }
}

impl Buffers {
    /// Packet `index` of a line, as if it had just been received.
    #[inline]
    fn receive(&mut self, line: u8, index: u32) -> &[u8] {
        let slot = usize::from(line) * SLOTS + index as usize % SLOTS;
        let start = slot * self.packet_bytes;
        let packet = &mut self.bytes[start..start + self.packet_bytes];
        let first = 1 + u64::from(index) * MESSAGES_PER_PACKET;
        packet[10..18].copy_from_slice(&first.to_be_bytes());
        packet
    }
}

fn order(packets: u64, lines: Lines) -> Vec<(u8, u32)> {
    let mut random = Random::new(1);
    let mut order: Vec<(u8, u32)> = Vec::with_capacity(packets as usize * 2);
    for index in 0..packets as u32 {
        let lost = matches!(lines, Lines::Loss) && random.chance(0.02);
        let kept = u8::from(random.chance(0.5));
        order.extend(
            (0..2)
                .filter(|line| !lost || *line == kept)
                .map(|line| (line, index)),
        );
    }
    if matches!(lines, Lines::Reorder) {
        for at in (4..order.len()).step_by(200) {
            order.swap(at - 4, at - 2);
            order.swap(at - 3, at - 1);
        }
    }
    order
}

/// Takes what leaves, like the ring of the receive thread.
struct Ring {
    bytes: Vec<u8>,
    at: usize,
    sum: u64,
}

impl Ring {
    fn new() -> Self {
        Self {
            bytes: vec![1; RING_BYTES],
            at: 0,
            sum: 0,
        }
    }

    #[inline]
    fn publish(&mut self, first: u64, payload: &[u8]) {
        if self.at + payload.len() > self.bytes.len() {
            self.at = 0;
        }
        self.bytes[self.at..self.at + payload.len()].copy_from_slice(payload);
        self.at += payload.len();
        self.sum = self.sum.rotate_left(1) ^ first ^ payload.len() as u64;
    }

    /// Depends on the order and on all bytes of the last round.
    fn checksum(&self) -> u64 {
        let bytes = self.bytes.iter();
        bytes.fold(self.sum, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
    }
}

/// The least that a merge of two lines can do: check the packet, compare session and number, pass
/// or drop, and put one packet aside where the line has skipped. It has no gaps, no limits and no
/// counters, holds one packet, knows no overlap, and takes any bytes for a copy. `checks_copies`:
/// whether the message blocks are walked in every packet, as in the receive thread, or only where
/// they leave.
fn bare_merge(feed: &Feed, checks_copies: bool) -> u64 {
    let (mut buffers, mut ring) = (feed.buffers(), Ring::new());
    let mut next = 1u64;
    let mut aside: Option<(u64, u64)> = None;
    let mut aside_bytes = vec![0; feed.template.len()];
    for (line, index) in &feed.order {
        let bytes = buffers.receive(*line, *index);
        if !checks_copies && number_of(bytes) < next {
            continue;
        }
        let packet = Packet::parse(bytes).expect("built by the builder");
        let (first, end) = (packet.first_sequence(), packet.next_sequence());
        if packet.session() != SESSION {
            continue;
        }
        let blocks = packet.blocks();
        if first == next {
            next = end;
            ring.publish(first, blocks);
            if let Some((first, end)) = aside
                && first == next
            {
                next = end;
                ring.publish(first, &aside_bytes[..blocks.len()]);
                aside = None;
            }
        } else if first > next {
            aside = Some((first, end));
            aside_bytes[..blocks.len()].copy_from_slice(blocks);
        }
    }
    assert_eq!(next, feed.end, "the baseline delivers everything");
    ring.checksum()
}

/// The number in a header, of a packet long enough to have one.
#[inline]
fn number_of(packet: &[u8]) -> u64 {
    let header: &[u8; HEADER_LEN] = packet.first_chunk().expect("built by the builder");
    u64::from_be_bytes(header[10..18].try_into().expect("eight bytes"))
}

fn arbiter() -> Arbiter {
    let config = Config {
        start: Start::SessionStart,
        ..Config::default()
    };
    Arbiter::new(config).expect("the default is valid")
}

impl Output for Ring {
    #[inline]
    fn deliver(&mut self, run: Run<'_>) {
        self.publish(run.first_sequence, run.payload);
    }

    fn event(&mut self, event: Event) {
        black_box(event);
    }
}

fn arbitrate(feed: &Feed, mut arbiter: Arbiter) -> u64 {
    let (mut buffers, mut ring) = (feed.buffers(), Ring::new());
    for (at, (line, index)) in (0u64..).zip(&feed.order) {
        let packet = Packet::parse(buffers.receive(*line, *index)).expect("built by the builder");
        let arrival = Arrival {
            source: Source::Line(*line),
            unit: packet.into(),
            rx_ns: at,
            stamp: 1,
            now_ns: at / BATCH * BATCH,
        };
        arbiter.on_packet(arrival, &mut ring);
    }
    assert_eq!(
        arbiter.next_sequence(),
        feed.end,
        "the arbiter delivers everything"
    );
    let counters = arbiter.counters();
    assert_eq!(
        (counters.conflicts, counters.duplicates_uncompared),
        (0, 0),
        "every copy was compared"
    );
    ring.checksum()
}
