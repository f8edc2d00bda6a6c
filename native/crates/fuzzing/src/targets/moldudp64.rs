//! A MoldUDP64 packet, a request, and runs of message blocks.

use tickdeck_wire::moldudp64::{
    Blocks, END_OF_SESSION, HEADER_LEN, Packet, PacketBuilder, PacketKind, Request, count_blocks,
    end_of_session, header, skip_blocks,
};

use super::split_blocks;

pub(crate) fn run(bytes: &[u8]) {
    blocks(bytes);
    match Packet::parse(bytes) {
        Ok(packet) => check(bytes, &packet),
        Err(error) => {
            assert!(!is_packet(bytes), "{error}");
            assert!(!error.reason().is_empty());
        }
    }
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(request.encode(), bytes);
        assert!(request.first_sequence > 0 && request.count > 0);
        assert!(request.count < END_OF_SESSION);
    }
}

/// The packet holds its header and its messages and nothing else, and can be built again.
fn check(bytes: &[u8], packet: &Packet<'_>) {
    assert!(is_packet(bytes));
    let messages: Vec<_> = packet.messages().collect();
    assert_eq!(messages, split_blocks(&bytes[HEADER_LEN..]).0);
    assert_eq!(packet.blocks(), &bytes[HEADER_LEN..]);
    assert_eq!(messages.len(), usize::from(packet.count()));
    let sum = packet.first_sequence().checked_add(messages.len() as u64);
    assert_eq!(sum, Some(packet.next_sequence()));
    if packet.kind() == PacketKind::EndOfSession {
        assert_eq!(
            end_of_session(packet.session(), packet.first_sequence()),
            bytes
        );
        return;
    }
    let mut builder = PacketBuilder::new(packet.session(), bytes.len());
    builder.begin(packet.first_sequence());
    assert!(messages.iter().all(|message| builder.push(message)));
    assert!(!builder.push(b""), "the packet is as long as it was");
    assert_eq!(builder.finish(), bytes);
    let head = header(packet.session(), packet.first_sequence(), packet.count());
    assert_eq!(head, bytes[..HEADER_LEN]);
}

/// Whether the bytes are a packet, by the words of the specification.
fn is_packet(bytes: &[u8]) -> bool {
    let Some(body) = bytes.get(HEADER_LEN..) else {
        return false;
    };
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    let sequence = bytes[10..18].iter().fold(0, add);
    let count = match bytes[18..20].iter().fold(0, add) {
        0xFFFF => 0,
        count => count,
    };
    let (blocks, rest) = split_blocks(body);
    let is_filled = rest.is_empty() && blocks.len() as u64 == count;
    is_filled && sequence > 0 && sequence.checked_add(count).is_some()
}

/// Reading, skipping and counting blocks agree.
fn blocks(bytes: &[u8]) {
    let (expected, rest) = split_blocks(bytes);
    let mut blocks = Blocks::new(bytes);
    assert_eq!(blocks.by_ref().collect::<Vec<_>>(), expected);
    assert_eq!(blocks.rest(), rest);
    let count = rest.is_empty().then_some(expected.len());
    assert_eq!(count_blocks(bytes), count);
    assert_eq!(skip_blocks(bytes, expected.len()), Some(rest));
    assert_eq!(skip_blocks(bytes, expected.len() + 1), None);
}
