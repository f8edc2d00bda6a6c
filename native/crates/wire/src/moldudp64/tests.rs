//! Golden bytes and the reason for each kind of bad packet.

use super::*;

const DEMO: Session = Session(*b"DEMO000001");

/// Two messages, `abc` and an empty one, from sequence 258 on.
const GOLDEN: &[u8] = b"DEMO000001\x00\x00\x00\x00\x00\x00\x01\x02\x00\x02\x00\x03abc\x00\x00";

fn bytes_of(sequence: u64, count: u16, blocks: &[u8]) -> Vec<u8> {
    let mut bytes = header(DEMO, sequence, count).to_vec();
    bytes.extend_from_slice(blocks);
    bytes
}

/// Proves that a view reads every field at its offset.
#[test]
fn a_golden_packet_is_read() {
    let packet = Packet::parse(GOLDEN).unwrap();
    assert_eq!(packet.session(), DEMO);
    assert_eq!(packet.first_sequence(), 0x0102);
    assert_eq!(packet.kind(), PacketKind::Data { count: 2 });
    assert_eq!((packet.count(), packet.next_sequence()), (2, 0x0104));
    assert_eq!(packet.blocks(), b"\x00\x03abc\x00\x00");
    assert_eq!(packet.messages().collect::<Vec<_>>(), [&b"abc"[..], b""]);
}

/// Proves that the builder writes the golden bytes, and again after another packet.
#[test]
fn the_builder_writes_the_golden_packet() {
    let mut builder = PacketBuilder::new(DEMO, 64);
    builder.begin(9);
    assert!(builder.push(b"forgotten"));
    builder.begin(0x0102);
    assert!(builder.push(b"abc") && builder.push(b""));
    assert_eq!((builder.count(), builder.first_sequence()), (2, 0x0102));
    assert_eq!(builder.finish(), GOLDEN);
}

/// Proves that a message that does not fit is refused and leaves the packet as it was.
#[test]
fn the_builder_refuses_what_does_not_fit() {
    let mut builder = PacketBuilder::new(DEMO, GOLDEN.len());
    builder.begin(0x0102);
    assert!(builder.push(b"abc"));
    assert!(!builder.push(b"x"), "one byte over");
    assert!(builder.push(b""));
    assert_eq!(builder.finish(), GOLDEN);
    let mut wide = PacketBuilder::new(DEMO, 100_000);
    wide.begin(1);
    assert!(
        !wide.push(&vec![0; 65_536]),
        "longer than a block's length field can say"
    );
    assert_eq!(wide.count(), 0);
}

/// Proves that a packet never claims 0xFFFF messages, which would end the session.
#[test]
fn the_builder_stops_before_the_end_of_session_count() {
    let mut builder = PacketBuilder::new(DEMO, HEADER_LEN + 2 * 70_000);
    builder.begin(1);
    let pushed = (0..70_000).take_while(|_| builder.push(b"")).count();
    assert_eq!(pushed, usize::from(MAX_REQUEST_COUNT));
    assert_eq!(
        Packet::parse(builder.finish()).unwrap().count(),
        MAX_REQUEST_COUNT
    );
}

/// Proves that heartbeat and end of session carry the next sequence and no message.
#[test]
fn control_packets_carry_the_next_sequence() {
    let bytes = heartbeat(DEMO, 7);
    assert_eq!(&bytes[10..], b"\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00");
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(
        (packet.kind(), packet.count(), packet.next_sequence()),
        (PacketKind::Heartbeat, 0, 7)
    );
    let bytes = end_of_session(DEMO, u64::MAX);
    assert_eq!(&bytes[18..], b"\xff\xff");
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.kind(), PacketKind::EndOfSession);
    assert_eq!((packet.count(), packet.next_sequence()), (0, u64::MAX));
}

/// Proves that a packet cut at any byte is refused: in the header as truncated, else at its block.
#[test]
fn a_packet_cut_anywhere_is_refused() {
    for end in 0..GOLDEN.len() {
        let error = Packet::parse(&GOLDEN[..end]).unwrap_err();
        let expected = match end {
            0..20 => PacketError::Truncated { actual: end },
            20 | 21 => cut(0, 2, end - 20),
            22..25 => cut(0, 5, end - 20),
            _ => cut(1, 2, end - 25),
        };
        assert_eq!(error, expected, "cut at {end}");
    }
}

fn cut(index: u16, needed: usize, available: usize) -> PacketError {
    PacketError::BlockBeyondEnd {
        index,
        count: 2,
        needed,
        available,
    }
}

/// Proves that each broken rule gives its own reason, with the numbers that broke it.
#[test]
fn each_broken_rule_has_its_reason() {
    let cases = [
        (
            bytes_of(0, 0, b""),
            PacketError::ZeroSequence,
            "zero_sequence",
        ),
        (
            bytes_of(1, 0, b"x"),
            PacketError::TrailingBytes { count: 0, extra: 1 },
            "trailing_bytes",
        ),
        (
            bytes_of(1, END_OF_SESSION, b"\x00\x00"),
            PacketError::TrailingBytes { count: 0, extra: 2 },
            "trailing_bytes",
        ),
        (
            bytes_of(1, 1, b"\x00\x01a\x00"),
            PacketError::TrailingBytes { count: 1, extra: 1 },
            "trailing_bytes",
        ),
        (
            bytes_of(1, 1, b"\xff\xffa"),
            PacketError::BlockBeyondEnd {
                index: 0,
                count: 1,
                needed: 65_537,
                available: 3,
            },
            "block_beyond_end",
        ),
        (
            bytes_of(u64::MAX, 1, b"\x00\x00"),
            PacketError::SequenceOverflow {
                first_sequence: u64::MAX,
                count: 1,
            },
            "sequence_overflow",
        ),
        (
            b"short".to_vec(),
            PacketError::Truncated { actual: 5 },
            "truncated",
        ),
    ];
    for (bytes, error, reason) in cases {
        assert_eq!(Packet::parse(&bytes).unwrap_err(), error);
        assert_eq!(error.reason(), reason);
    }
    assert!(
        Packet::parse(&bytes_of(u64::MAX - 1, 1, b"\x00\x00")).is_ok(),
        "just below overflow"
    );
}

/// Proves that block helpers agree with each other and stop at a block that is not whole.
#[test]
fn block_helpers_stop_at_the_first_incomplete_block() {
    let blocks = b"\x00\x01a\x00\x00\x00\x02bc";
    assert_eq!(count_blocks(blocks), Some(3));
    assert_eq!(skip_blocks(blocks, 0), Some(&blocks[..]));
    assert_eq!(skip_blocks(blocks, 2), Some(&blocks[5..]));
    assert_eq!(skip_blocks(blocks, 3), Some(&[][..]));
    assert_eq!(skip_blocks(blocks, 4), None);
    let cut = &blocks[..blocks.len() - 1];
    assert_eq!(count_blocks(cut), None);
    let mut messages = Blocks::new(cut);
    assert_eq!(messages.by_ref().collect::<Vec<_>>(), [&b"a"[..], b""]);
    assert_eq!(messages.rest(), &cut[5..]);
}

/// Proves the request's bytes and that each bad request has its reason.
#[test]
fn requests_are_checked() {
    let request = Request {
        session: DEMO,
        first_sequence: 5,
        count: 1_000,
    };
    let bytes = request.encode();
    assert_eq!(
        &bytes,
        b"DEMO000001\x00\x00\x00\x00\x00\x00\x00\x05\x03\xe8"
    );
    assert_eq!(Request::parse(&bytes), Ok(request));
    let reason = |bytes: &[u8]| Request::parse(bytes).unwrap_err().reason();
    assert_eq!(reason(&bytes[..19]), "wrong_length");
    assert_eq!(reason(&bytes_of(5, 1, b"x")), "wrong_length");
    assert_eq!(reason(&bytes_of(0, 1, b"")), "zero_sequence");
    assert_eq!(reason(&bytes_of(5, 0, b"")), "bad_count");
    assert_eq!(reason(&bytes_of(5, END_OF_SESSION, b"")), "bad_count");
    assert_eq!(reason(&bytes_of(u64::MAX, 1, b"")), "sequence_overflow");
}

/// Proves that a session is shown without padding and with strange bytes made visible.
#[test]
fn sessions_are_text_of_ten_bytes() {
    assert_eq!("DEMO".parse::<Session>().unwrap(), Session(*b"DEMO      "));
    assert_eq!(Session(*b"DEMO      ").to_string(), "DEMO");
    assert_eq!(
        Session(*b"   007\x00\xff  ").to_string(),
        "   007\\x00\\xff"
    );
    for bad in ["", "12345678901", "caf\u{e9}", "a\nb"] {
        assert!(bad.parse::<Session>().is_err(), "{bad:?}");
    }
}
