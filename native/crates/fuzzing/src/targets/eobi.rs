//! An EOBI packet, read as each release: stepped over whole, contents that survive their encoding.

use tickdeck_wire::eobi::{
    Content, ContentError, HEADER_LEN, HEADER_TEMPLATES, Header, MESSAGE_HEADER_LEN, Message,
    Packet, PacketBuilder, PacketError, Release,
};

pub(crate) fn run(bytes: &[u8]) {
    for release in Release::ALL {
        match Packet::parse(bytes, release) {
            Ok(packet) => check(bytes, &packet),
            Err(error) => {
                let is_other = matches!(error, PacketError::WrongRelease { .. });
                assert!(is_other || !is_packet(bytes), "{error}");
                assert!(!error.reason().is_empty());
            }
        }
    }
}

fn check(bytes: &[u8], packet: &Packet<'_>) {
    assert!(is_packet(bytes));
    assert_eq!(packet.bytes(), bytes);
    let mut at = HEADER_LEN;
    for message in packet.messages() {
        let body = message.body();
        assert_eq!(body, &bytes[at..at + body.len()]);
        assert_eq!(body.len(), usize::from(word(body, 0)));
        assert_eq!(message.template_id(), word(body, 2));
        at += body.len();
        check_content(packet, message);
    }
    assert_eq!(at, bytes.len());
}

/// A message is refused by its layout alone, or says the same after it was written again.
fn check_content(packet: &Packet<'_>, message: Message<'_>) {
    let release = packet.release();
    let (layout, length) = (release.layout(message.template_id()), message.body().len());
    match message.content(release) {
        Err(ContentError::UnknownTemplate { .. }) => assert!(layout.is_none()),
        Err(ContentError::WrongLength { .. }) => {
            assert!(layout.is_some_and(|layout| !layout.fits(length)));
        }
        Err(ContentError::NoValue { .. }) => {}
        Ok(Content::Other(other)) => assert_eq!(Some(other), layout),
        Ok(content) => {
            let again = written(packet, message.msg_seq_num(), &content);
            let again = Packet::parse(&again, release).expect("a written packet");
            let message = again.messages().next().expect("its message");
            assert_eq!(message.content(release), Ok(content));
            check_head(packet, &again);
        }
    }
}

fn written(packet: &Packet<'_>, number: Option<u32>, content: &Content) -> Vec<u8> {
    let mut builder = PacketBuilder::new(packet.release());
    builder.begin(Header {
        sequence: packet.sequence(),
        market_segment_id: packet.market_segment_id(),
        partition_id: packet.partition_id(),
        completes: packet.completes(),
        resets: packet.resets(),
        transact_time_ns: packet.transact_time_ns(),
    });
    assert!(builder.push(content, number));
    builder.finish().to_vec()
}

fn check_head(one: &Packet<'_>, other: &Packet<'_>) {
    assert_eq!(one.sequence(), other.sequence());
    assert_eq!(one.market_segment_id(), other.market_segment_id());
    assert_eq!(one.partition_id(), other.partition_id());
    assert_eq!(one.completes(), other.completes());
    assert_eq!(one.resets(), other.resets());
    assert_eq!(one.transact_time_ns(), other.transact_time_ns());
}

/// Whether header and lengths are those of a packet, whatever the release.
fn is_packet(bytes: &[u8]) -> bool {
    if bytes.len() <= HEADER_LEN || usize::from(word(bytes, 0)) != HEADER_LEN {
        return false;
    }
    let sequence = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let is_head = HEADER_TEMPLATES.contains(&word(bytes, 2)) && bytes[4..8] == [0xFF; 4];
    if !is_head || sequence == 0 || sequence == u32::MAX {
        return false;
    }
    let mut at = HEADER_LEN;
    while at + MESSAGE_HEADER_LEN <= bytes.len() {
        let length = usize::from(word(bytes, at));
        if length < MESSAGE_HEADER_LEN {
            return false;
        }
        at += length;
    }
    at == bytes.len()
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
