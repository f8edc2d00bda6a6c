//! What books are fed with: blocks, operations, records of a channel's life, snapshots.

use tickdeck_book::{Channel, Record};
use tickdeck_wire::eobi::{Packet, Release};
use tickdeck_wire::itch50::{AddOrderFields, Side, Stock};
use tickdeck_wire::record::{
    GapEvent, JournalHole, LossReason, LostEvent, SessionEvent, SessionEventKind, SnapshotEvent,
    kind,
};

use super::itch::{SESSION, day, file};
use crate::targets::book_itch::SMALL;
use crate::targets::snapshot::{RANKED, WIDE};

/// Runs of a generated day, from its opening and from its middle.
pub(crate) fn itch_blocks() -> Vec<Vec<u8>> {
    let day = day(500, 1);
    let stretches = [0, 180, 200, 300, 400];
    let stretch = |first: &usize| file(day.iter().skip(*first).take(70).cloned());
    stretches.iter().map(stretch).collect()
}

/// Operations that add, meet and leave.
pub(crate) fn itch_operations() -> Vec<Vec<u8>> {
    let adds: Vec<u8> = (0..30)
        .flat_map(|n| [0, n, 0, n % 5 + 1, 10, n & 4])
        .collect();
    let changes: Vec<u8> = (0..30)
        .flat_map(|n| [n % 8, n % 7, n % 9, n % 4 + 1, n % 3 * 5, n % 8])
        .collect();
    vec![[adds.clone(), changes.clone()].concat(), changes, adds]
}

/// Records as the target of channels reads them: sessions, runs, gaps, losses, a venue's snapshot.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let session = |kind, next_sequence| {
        let event = SessionEvent {
            kind,
            session: SESSION,
            next_sequence,
        };
        record(kind::SESSION, &event.encode())
    };
    let run = |first, count| {
        let messages = orders(first + count).into_iter().skip(first);
        record(kind::DATA, &file(messages))
    };
    let started = session(SessionEventKind::Started, 1);
    let plain = [started.clone(), run(1, 8), run(205, 10), run(220, 10)].concat();
    let gap = GapEvent {
        gap_id: 1,
        first: 9,
        last: 12,
        detected_ns: 3,
    };
    let filled = [
        started.clone(),
        run(1, 8),
        record(kind::GAP_OPEN, &gap.encode()),
        run(9, 4),
        record(kind::GAP_FILLED, &gap.encode()),
        run(13, 3),
    ];
    let lost = LostEvent {
        gap,
        reason: LossReason::AttemptsExhausted,
    };
    let hole = JournalHole {
        from: 3,
        to: 5,
        reason: 1,
    };
    let lost = [
        started,
        run(1, 8),
        record(kind::GAP_OPEN, &gap.encode()),
        record(kind::GAP_LOST, &lost.encode()),
        venue_snapshot(),
        record(kind::JOURNAL_HOLE, &hole.encode()),
        session(SessionEventKind::Resumed, 40),
        session(SessionEventKind::Ended, 40),
        session(SessionEventKind::Changed, 1),
    ];
    vec![plain, filled.concat(), lost.concat()]
}

/// Snapshots without their digest, which the target makes: of books with orders, narrow and wide;
/// with quantities whose sum exceeds 64 bits; of books with priorities, empty.
pub(crate) fn snapshots() -> Vec<Vec<u8>> {
    let filled = |config, messages: Vec<Vec<u8>>| {
        let mut channel = Channel::new(config);
        channel.apply(Record {
            seq: 1,
            kind: kind::DATA,
            venue_seq: 1,
            rx_ns: 5,
            payload: &file(messages),
        });
        encoded(&channel)
    };
    let mut sums = filled(WIDE, (1..4).map(marked).collect());
    let mark = u64::from(MARK).to_le_bytes();
    let places: Vec<usize> = (0..sums.len() - 8)
        .filter(|at| sums[*at..at + 8] == mark)
        .collect();
    for at in places {
        sums[at..at + 8].fill(0xFF);
    }
    let (narrow, wide) = (filled(SMALL, orders(40)), filled(WIDE, orders(40)));
    vec![narrow, wide, sums, encoded(&Channel::new(RANKED))]
}

/// Shares that are found again in a snapshot.
const MARK: u32 = 0x00AB_CDEF;

/// An add with those shares, all at one price.
fn marked(order_reference: u64) -> Vec<u8> {
    AddOrderFields {
        stock_locate: 1,
        tracking_number: 0,
        timestamp_ns: 0,
        order_reference,
        side: Side::Buy,
        shares: MARK,
        stock: Stock(*b"FUZZ    "),
        price: 100,
    }
    .encode()
    .to_vec()
}

fn encoded(channel: &Channel) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(b"fuzzed journal  ", 7, &mut bytes);
    bytes
}

/// The first messages of a day that concern orders, a directory before them.
fn orders(count: usize) -> Vec<Vec<u8>> {
    let is_of_orders = |message: &Vec<u8>| b"RAFECXDU".contains(&message[0]);
    let day = day(500, 1).into_iter().filter(is_of_orders);
    day.take(count).collect()
}

fn venue_snapshot() -> Vec<u8> {
    let event = SnapshotEvent {
        gap_id: 1,
        scope: SnapshotEvent::WHOLE_CHANNEL,
        resume_sequence: 13,
        records: 1,
        orders: 5,
    };
    let part = file(orders(5));
    [
        record(kind::SNAPSHOT_BEGIN, &event.encode()),
        record(kind::SNAPSHOT_DATA, &part),
        record(kind::SNAPSHOT_END, &event.encode()),
    ]
    .concat()
}

/// The next record, its venue number the expected one; a snapshot of the books is taken behind it.
pub(crate) fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    // Payloads of seeds are far below 64 KiB.
    let [low, high] = (payload.len() as u16).to_le_bytes();
    [&[kind - 1, 4, 0, 0, 0, 0, low, high], payload].concat()
}

/// Packets of EOBI sessions, incremental and snapshot, as the target of EOBI books reads them.
pub(crate) fn eobi_books() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (rules, release) in (0..).zip(Release::ALL) {
        let packets = super::eobi::channel(release);
        for (part, some) in (0_u8..).zip(packets.chunks(12)) {
            let blocks = some.iter().map(|packet| {
                let begins = Packet::parse(packet, release).ok();
                let first = begins.and_then(|packet| packet.messages().next());
                let template_id = first.map_or(0, |message| message.template_id());
                let action = if template_id / 100 == 136 { 2 } else { 7 };
                [&[action], packet.as_slice()].concat()
            });
            // The releases in the lowest bit, the rules in the next two.
            let rules = rules | (part % 4) << 1;
            seeds.push([&[rules], file(blocks).as_slice()].concat());
        }
    }
    seeds
}
