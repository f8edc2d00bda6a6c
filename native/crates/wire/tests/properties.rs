//! Properties of the codecs over any bytes and any values.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::itch50::{self, Message};
use tickdeck_wire::moldudp64::{
    Blocks, HEADER_LEN, Packet, PacketBuilder, PacketKind, Request, Session, count_blocks,
    end_of_session, heartbeat, skip_blocks,
};
use tickdeck_wire::{binaryfile, record};

proptest! {
    /// Proves that what the builder wrote is what the parser reads, for any messages.
    #[test]
    fn packets_round_trip(
        session: [u8; 10],
        first in 1u64..=u64::MAX - 64,
        messages in vec(vec(any::<u8>(), 0..64), 1..32),
    ) {
        let mut builder = PacketBuilder::new(Session(session), 1_400);
        builder.begin(first);
        let fitted: Vec<_> = messages.iter().take_while(|message| builder.push(message)).collect();
        let packet = Packet::parse(builder.finish()).unwrap();
        prop_assert_eq!(packet.session(), Session(session));
        prop_assert_eq!(packet.first_sequence(), first);
        prop_assert_eq!(packet.next_sequence(), first + fitted.len() as u64);
        prop_assert_eq!(packet.messages().collect::<Vec<_>>(), fitted);
        prop_assert_eq!(count_blocks(packet.blocks()), Some(usize::from(packet.count())));
    }

    /// Proves that any bytes are either refused or a packet that accounts for every byte.
    #[test]
    fn a_packet_accounts_for_every_byte(bytes in vec(any::<u8>(), 0..96)) {
        check_packet(&bytes)?;
    }

    /// Proves the same for bytes that look like a packet: small counts and lengths, bits flipped.
    #[test]
    fn nearly_right_packets_account_for_every_byte(
        first in prop_oneof![0u64..4, u64::MAX - 3..=u64::MAX],
        count in prop_oneof![0u16..5, 0xFFFDu16..=0xFFFF],
        lengths in vec(0u16..6, 0..5),
        extra in vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = heartbeat(Session(*b"SESSION001"), first).to_vec();
        bytes[18..].copy_from_slice(&count.to_be_bytes());
        for length in lengths {
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend(std::iter::repeat_n(b'x', usize::from(length)));
        }
        bytes.extend_from_slice(&extra);
        check_packet(&bytes)?;
    }

    /// Proves that skipping n blocks is the same as reading n messages.
    #[test]
    fn skipping_is_reading(bytes in vec(0u8..4, 0..64), n in 0usize..12) {
        let mut blocks = Blocks::new(&bytes);
        let read = blocks.by_ref().take(n).count();
        let expected = (read == n).then(|| blocks.rest());
        prop_assert_eq!(skip_blocks(&bytes, n), expected);
    }

    /// Proves that requests come back, and that any 20 bytes are refused or come back.
    #[test]
    fn requests_round_trip(bytes: [u8; HEADER_LEN], cut in 0usize..40) {
        if let Ok(request) = Request::parse(&bytes) {
            prop_assert_eq!(request.encode(), bytes);
        }
        let longer = [bytes, bytes].concat();
        prop_assert_eq!(Request::parse(&longer[..cut]).is_ok(), cut == HEADER_LEN && Request::parse(&bytes).is_ok());
    }

    /// Proves that control packets keep session and sequence.
    #[test]
    fn control_packets_round_trip(session: [u8; 10], next in 1u64..) {
        let session = Session(session);
        for (bytes, kind) in [
            (heartbeat(session, next), PacketKind::Heartbeat),
            (end_of_session(session, next), PacketKind::EndOfSession),
        ] {
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert_eq!((packet.session(), packet.kind()), (session, kind));
            prop_assert_eq!(packet.next_sequence(), next);
        }
    }

    /// Proves that parsing any bytes never panics and never accepts a wrong length.
    #[test]
    fn itch_never_panics(bytes in vec(any::<u8>(), 0..64)) {
        if let Ok(message) = itch50::parse(&bytes) {
            prop_assert_eq!(itch50::length_of(bytes[0]), Some(bytes.len()));
            prop_assert_eq!(message.bytes(), &bytes[..]);
        }
    }

    /// Proves for every type that decoding all fields and encoding them gives the same bytes.
    #[test]
    fn itch_messages_round_trip(
        row in 0..itch50::LENGTHS.len(),
        body in vec(any::<u8>(), 50),
        buy: bool,
    ) {
        let (kind, length) = itch50::LENGTHS[row];
        let mut bytes = body[..length].to_vec();
        bytes[0] = kind;
        if matches!(kind, b'A' | b'F' | b'P') {
            bytes[19] = if buy { b'B' } else { b'S' };
        }
        let message = itch50::parse(&bytes).unwrap();
        prop_assert_eq!(reencode(&message), bytes);
    }

    /// Proves that a BinaryFILE gives back what was pushed, and any cut at most loses its tail.
    #[test]
    fn binary_files_round_trip(messages in vec(vec(any::<u8>(), 0..40), 0..12), cut in 0usize..400) {
        let mut file = Vec::new();
        for message in &messages {
            binaryfile::push(&mut file, message).unwrap();
        }
        let read: Result<Vec<_>, _> = binaryfile::Messages::new(&file).collect();
        prop_assert_eq!(read.unwrap(), messages.clone());
        let cut = &file[..cut.min(file.len())];
        let whole: Vec<_> = binaryfile::Messages::new(cut).filter_map(Result::ok).collect();
        prop_assert_eq!(&whole[..], &messages[..whole.len()]);
        let used: usize = whole.iter().map(|message| 2 + message.len()).sum();
        let errors = binaryfile::Messages::new(cut).filter(Result::is_err).count();
        prop_assert_eq!(errors, usize::from(used != cut.len()));
    }

    /// Proves that event payloads never panic and come back when accepted.
    #[test]
    fn event_payloads_round_trip(bytes in vec(any::<u8>(), 0..48), reason in 1u8..=5) {
        if let Ok(event) = record::GapEvent::decode(&bytes) {
            prop_assert_eq!(&event.encode()[..], &bytes[..]);
        }
        if let Ok(hole) = record::JournalHole::decode(&bytes) {
            prop_assert_eq!(&hole.encode()[..17], &bytes[..17]);
        }
        let mut lost = bytes.clone();
        lost.resize(40, 0);
        lost[32] = reason;
        let event = record::LostEvent::decode(&lost).unwrap();
        prop_assert_eq!(&event.encode()[..33], &lost[..33]);
        prop_assert!(record::SessionEvent::decode(&lost).is_err());
    }
}

/// A packet that was accepted holds exactly its header, its messages and their lengths.
fn check_packet(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(packet) = Packet::parse(bytes) else {
        return Ok(());
    };
    let held: usize = packet.messages().map(|message| 2 + message.len()).sum();
    prop_assert_eq!(HEADER_LEN + held, bytes.len());
    prop_assert_eq!(packet.messages().count(), usize::from(packet.count()));
    prop_assert!(packet.first_sequence() >= 1);
    prop_assert_eq!(
        packet.next_sequence() - packet.first_sequence(),
        u64::from(packet.count())
    );
    Ok(())
}

fn reencode(message: &Message<'_>) -> Vec<u8> {
    match message {
        Message::SystemEvent(view) => view.fields().encode().to_vec(),
        Message::StockDirectory(view) => view.fields().encode().to_vec(),
        Message::TradingAction(view) => view.fields().encode().to_vec(),
        Message::RegSho(view) => view.fields().encode().to_vec(),
        Message::ParticipantPosition(view) => view.fields().encode().to_vec(),
        Message::MwcbLevels(view) => view.fields().encode().to_vec(),
        Message::MwcbStatus(view) => view.fields().encode().to_vec(),
        Message::IpoQuoting(view) => view.fields().encode().to_vec(),
        Message::LuldCollar(view) => view.fields().encode().to_vec(),
        Message::OperationalHalt(view) => view.fields().encode().to_vec(),
        Message::AddOrder(view) => view.fields().encode().to_vec(),
        Message::AddOrderMpid(view) => view.fields().encode().to_vec(),
        Message::OrderExecuted(view) => view.fields().encode().to_vec(),
        Message::OrderExecutedWithPrice(view) => view.fields().encode().to_vec(),
        Message::OrderCancel(view) => view.fields().encode().to_vec(),
        Message::OrderDelete(view) => view.fields().encode().to_vec(),
        Message::OrderReplace(view) => view.fields().encode().to_vec(),
        Message::Trade(view) => view.fields().encode().to_vec(),
        Message::CrossTrade(view) => view.fields().encode().to_vec(),
        Message::BrokenTrade(view) => view.fields().encode().to_vec(),
        Message::Imbalance(view) => view.fields().encode().to_vec(),
        Message::RetailInterest(view) => view.fields().encode().to_vec(),
        Message::DirectListing(view) => view.fields().encode().to_vec(),
    }
}
