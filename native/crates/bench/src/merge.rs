//! The arbiter against a bare two-queue merge of the same packets.

use std::hint::black_box;

use serde_json::Value;
use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, Output, Run, Source, Start};
use tickdeck_sim::Random;
use tickdeck_wire::moldudp64::{HEADER_LEN, Packet, PacketBuilder, Session};

use crate::rounds::{Contender, WrongResult, compare};

const MESSAGES_PER_PACKET: u64 = 4;
const MESSAGE_BYTES: usize = 36;

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

/// Nanoseconds per packet received, for `packets` packets on each of two lines.
pub(crate) fn run(packets: u64, rounds: usize, lines: Lines) -> Result<Value, WrongResult> {
    let feed = Feed::new(packets, lines);
    let items = feed.order.len() as u64;
    let mut contenders = [
        Contender {
            name: "bare two-queue merge",
            run: Box::new(|| bare_merge(&feed)),
        },
        Contender {
            name: "arbiter",
            run: Box::new(|| arbitrate(&feed)),
        },
    ];
    compare(&mut contenders, items, rounds)
}

/// Packets back to back, and the order in which the lines bring them.
struct Feed {
    bytes: Vec<u8>,
    packet_bytes: usize,
    order: Vec<(u8, u32)>,
    end: u64,
}

impl Feed {
    fn new(packets: u64, lines: Lines) -> Self {
        let mut builder = PacketBuilder::new(Session(*b"BENCH00001"), 1400);
        let mut bytes = Vec::new();
        for packet in 0..packets {
            builder.begin(1 + packet * MESSAGES_PER_PACKET);
            for message in 0..MESSAGES_PER_PACKET {
                assert!(
                    builder.push(&[message as u8; MESSAGE_BYTES]),
                    "four messages fit"
                );
            }
            bytes.extend_from_slice(builder.finish());
        }
        let order = order(packets, lines);
        let packet_bytes = bytes.len() / packets as usize;
        Self {
            bytes,
            packet_bytes,
            order,
            end: 1 + packets * MESSAGES_PER_PACKET,
        }
    }

    fn packets(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.order.iter().map(|(line, index)| {
            let start = *index as usize * self.packet_bytes;
            (*line, &self.bytes[start..start + self.packet_bytes])
        })
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

/// The least that a merge can do: read the header, compare, pass or drop, and put one packet
/// aside where the line has skipped.
fn bare_merge(feed: &Feed) -> u64 {
    let (mut next, mut sum) = (1u64, 0u64);
    let mut aside: Option<(u64, u64, &[u8])> = None;
    for (_, packet) in feed.packets() {
        let first = u64::from_be_bytes(packet[10..18].try_into().expect("eight bytes"));
        let count = u64::from(u16::from_be_bytes([packet[18], packet[19]]));
        if first == next {
            next = first + count;
            sum = checksum(sum, first, &packet[HEADER_LEN..]);
            if let Some((first, count, blocks)) = aside
                && first == next
            {
                next += count;
                sum = checksum(sum, first, blocks);
                aside = None;
            }
        } else if first > next {
            aside = Some((first, count, &packet[HEADER_LEN..]));
        }
    }
    assert_eq!(next, feed.end, "the baseline delivers everything");
    sum
}

fn arbitrate(feed: &Feed) -> u64 {
    struct Sum(u64);
    impl Output for Sum {
        fn deliver(&mut self, run: Run<'_>) {
            self.0 = checksum(self.0, run.first_sequence, run.payload);
        }
        fn event(&mut self, event: Event) {
            black_box(event);
        }
    }
    let config = Config {
        start: Start::SessionStart,
        ..Config::default()
    };
    let mut arbiter = Arbiter::new(config).expect("the default is valid");
    let mut out = Sum(0);
    for (now_ns, (line, bytes)) in (0..).zip(feed.packets()) {
        let packet = Packet::parse(bytes).expect("built by the builder");
        let source = Source::Line(line);
        arbiter.on_packet(
            Arrival {
                source,
                unit: packet.into(),
                rx_ns: now_ns,
                stamp: 1,
                now_ns,
            },
            &mut out,
        );
    }
    assert_eq!(
        arbiter.next_sequence(),
        feed.end,
        "the arbiter delivers everything"
    );
    out.0
}

/// Stands for the copy into the ring: depends on the order, the place and the first bytes.
fn checksum(sum: u64, first: u64, blocks: &[u8]) -> u64 {
    sum.rotate_left(1) ^ first ^ u64::from(blocks[2]) ^ blocks.len() as u64
}
