//! ITCH messages, files and MoldUDP64 packets of a generated day.

use tickdeck_sim::SimError;
use tickdeck_sim::day::{DayConfig, generate};
use tickdeck_wire::binaryfile;
use tickdeck_wire::itch50::LENGTHS;
use tickdeck_wire::moldudp64::{PacketBuilder, Request, Session, end_of_session, heartbeat};

/// The session of all packets here.
pub(crate) const SESSION: Session = Session(*b"FUZZ000001");

/// A message of every type, and those of a generated morning.
pub(crate) fn itch_messages() -> Vec<Vec<u8>> {
    let mut messages: Vec<_> = LENGTHS
        .iter()
        .map(|(kind, length)| of(*kind, *length))
        .collect();
    // The opening book of few instruments is adds only; what follows has every kind of change.
    messages.extend(day(400, 1).into_iter().skip(200));
    messages
}

/// Files as venues and converters write them: right, cut, and with longer names.
pub(crate) fn binary_files() -> Vec<Vec<u8>> {
    let opening = file(LENGTHS.iter().map(|(kind, length)| of(*kind, *length)));
    let wide = file(LENGTHS.iter().map(|(kind, length)| {
        let mut message = of(*kind, *length);
        if *kind == b'R' || *kind == b'H' {
            message.splice(19..19, *b"LONG");
        }
        message
    }));
    let cut = opening[..opening.len() - 15].to_vec();
    let changes = file(day(260, 1).into_iter().skip(200));
    vec![opening, wide, cut, changes, Vec::new()]
}

/// Packets with one message, with many, with none, and requests.
pub(crate) fn mold_packets() -> Vec<Vec<u8>> {
    let messages = day(300, 1);
    let mut packets = Vec::new();
    for (first, count) in [(1, 1), (19_000_000, 38), (250, 7), (u64::MAX - 50, 3)] {
        let mut builder = PacketBuilder::new(SESSION, 1_500);
        builder.begin(first);
        for message in messages.iter().skip(200).take(count) {
            builder.push(message);
        }
        packets.push(builder.finish().to_vec());
    }
    packets.push(heartbeat(SESSION, 4_711).to_vec());
    packets.push(end_of_session(SESSION, 4_711).to_vec());
    let request = Request {
        session: SESSION,
        first_sequence: 100,
        count: 1_000,
    };
    packets.push(request.encode().to_vec());
    packets
}

/// The first messages of a generated day.
pub(crate) fn day(messages: u64, instruments: u32) -> Vec<Vec<u8>> {
    let config = DayConfig {
        messages,
        instruments,
        seed: 5,
    };
    let mut day = Vec::new();
    let sink = |message: &[u8]| {
        day.push(message.to_vec());
        Ok::<(), SimError>(())
    };
    generate(config, sink).expect("the number of instruments is allowed");
    day
}

/// Messages as a BinaryFILE, which is also a run of message blocks.
pub(crate) fn file(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    for message in messages {
        binaryfile::push(&mut file, &message).expect("a short message");
    }
    file
}

/// A message of this type with each byte telling its place, and a side where one has to be.
fn of(kind: u8, length: usize) -> Vec<u8> {
    // No type is longer than 50 bytes.
    let mut message: Vec<u8> = (0..length as u8).collect();
    message[0] = kind;
    if b"AFP".contains(&kind) {
        message[19] = b'S';
    }
    message
}
