//! Properties of the codec over any bytes and any values.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::cme::layout::LAYOUTS;
use tickdeck_wire::cme::{
    HEADER_LEN, MESSAGE_HEADER_LEN, OrderChange, OrderSnapshot, Packet, PacketBuilder, PriceChange,
    PriceSnapshot, SnapshotHead, SnapshotOrder, template,
};

proptest! {
    /// Proves that any bytes are either refused or a packet that accounts for every byte, and that
    /// reading its messages never panics.
    #[test]
    fn a_packet_accounts_for_every_byte(bytes in vec(any::<u8>(), 0..96)) {
        check_packet(&bytes)?;
    }

    /// Proves the same for bytes that look like a packet: known templates, small lengths.
    #[test]
    fn nearly_right_packets_account_for_every_byte(
        messages in vec((0..LAYOUTS.len(), vec(0u8..48, 0..120), -2i8..3, 0u16..70), 0..4),
        extra in vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = vec![1; HEADER_LEN];
        for (row, body, wrong, root_len) in messages {
            let size = MESSAGE_HEADER_LEN + body.len();
            let size = (size as i64 + i64::from(wrong)) as u16;
            for number in [size, root_len, LAYOUTS[row].template_id, 1, 9] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(&body);
        }
        bytes.extend_from_slice(&extra);
        check_packet(&bytes)?;
    }

    /// Proves that a message of any template whose blocks have the template's lengths, or more, is
    /// read as what it is, whatever the bytes of its fields are.
    #[test]
    fn any_values_of_any_template_are_read(
        row in 0..LAYOUTS.len(),
        counts in vec(0usize..5, 6),
        more in vec(0usize..4, 7),
        bytes in vec(any::<u8>(), 64),
    ) {
        let layout = LAYOUTS[row];
        let mut body = Vec::new();
        let fill = |body: &mut Vec<u8>, len: usize| {
            body.extend(bytes.iter().cycle().skip(body.len() % 7).take(len));
        };
        fill(&mut body, layout.root_len + more[6]);
        for ((group, count), more) in layout.groups.iter().zip(&counts).zip(&more) {
            let entry_len = group.entry_len + more;
            body.extend_from_slice(&(entry_len as u16).to_le_bytes());
            body.extend_from_slice(&vec![0; group.dimension.bytes() - 3]);
            body.push(*count as u8);
            fill(&mut body, entry_len * count);
        }
        let mut packet = vec![1; HEADER_LEN];
        let size = (MESSAGE_HEADER_LEN + body.len()) as u16;
        let root_len = (layout.root_len + more[6]) as u16;
        for number in [size, root_len, layout.template_id, 1, 10] {
            packet.extend_from_slice(&number.to_le_bytes());
        }
        packet.extend_from_slice(&body);
        let parsed = Packet::parse(&packet).unwrap();
        let message = parsed.messages().next().unwrap();
        let groups = message.groups().unwrap();
        for (index, _) in layout.groups.iter().enumerate() {
            prop_assert_eq!(groups.get(index).len(), counts[index]);
        }
        prop_assert!(message.view().is_ok());
        check_packet(&packet)?;
    }

    /// Proves that no byte of a good packet can be changed so that a reader panics, and that a cut
    /// packet is refused or has fewer whole messages.
    #[test]
    fn damaged_packets_are_survived(at in 0usize..450, byte: u8, cut in 0usize..450) {
        let mut bytes = sample();
        let cut = cut.min(bytes.len());
        let whole = Packet::parse(&bytes).unwrap().messages().count();
        if let Ok(packet) = Packet::parse(&bytes[..cut]) {
            prop_assert!(packet.messages().count() < whole || cut == bytes.len());
        }
        let at = at % bytes.len();
        bytes[at] = byte;
        check_packet(&bytes)?;
    }

    /// Proves that what the builder wrote of a book is what is read: RptSeqs in order, and the
    /// instrument of every order through its price entry.
    #[test]
    fn books_round_trip(
        sequence in 1u32..,
        sending_time_ns: u64,
        prices in vec((any::<i32>(), any::<u32>()), 1..12),
        references in vec(any::<prop::sample::Index>(), 0..12),
        template_id in prop_oneof![Just(template::BOOK), Just(template::BOOK_9)],
    ) {
        let changes: Vec<_> = prices.iter().map(|(id, seq)| price(*id, *seq)).collect();
        let indices: Vec<_> = references.iter().map(|index| index.index(prices.len())).collect();
        let orders: Vec<_> = indices.iter().map(|index| (*index as u8, order(0))).collect();
        let mut builder = PacketBuilder::new(1_400);
        builder.begin(sequence, sending_time_ns);
        prop_assert!(builder.book(template_id, 1, &changes, &orders));
        let packet = Packet::parse(builder.finish()).unwrap();
        prop_assert_eq!(packet.sequence(), sequence);
        prop_assert_eq!(packet.sending_time_ns(), sending_time_ns);
        let message = packet.messages().next().unwrap();
        let read: Vec<_> = message.rpt_seqs().unwrap().collect();
        let read: Vec<_> = read.iter().map(|update| (update.security_id, update.rpt_seq)).collect();
        prop_assert_eq!(&read, &prices);
        let orders = message.order_updates().unwrap();
        let securities: Vec<_> = orders.map(|order| order.security_id).collect();
        let expected: Vec<_> = indices.iter().map(|index| prices[*index].0).collect();
        prop_assert_eq!(securities, expected);
    }
}

/// A packet that was accepted holds exactly its header and its messages.
fn check_packet(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(packet) = Packet::parse(bytes) else {
        return Ok(());
    };
    let mut held = HEADER_LEN;
    for message in packet.messages() {
        held += MESSAGE_HEADER_LEN + message.root().len();
        if let Ok(groups) = message.groups() {
            prop_assert_eq!(groups.first().entries().count(), groups.first().len());
            prop_assert_eq!(groups.second().entries().count(), groups.second().len());
        }
        if let Ok(view) = message.view() {
            // Reads every field of every entry.
            let text = format!("{view:?}");
            prop_assert!(!text.is_empty());
        }
        if let Ok(updates) = message.rpt_seqs() {
            updates.for_each(drop);
        }
        if let Ok(securities) = message.order_updates() {
            securities.for_each(drop);
        }
        if let Ok(Some(book)) = PriceSnapshot::read(&message) {
            prop_assert!(book.entries.len() <= 255);
        }
        if let Ok(Some(chunk)) = OrderSnapshot::read(&message) {
            prop_assert!((1..=chunk.chunks).contains(&chunk.chunk));
        }
    }
    prop_assert!(held <= bytes.len());
    prop_assert!(packet.sequence() >= 1);
    prop_assert_eq!(packet.bytes(), bytes);
    Ok(())
}

/// A packet with a message of each shape.
fn sample() -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 2);
    let head = SnapshotHead {
        last_msg_seq_num_processed: 3,
        total_reports: 1,
        security_id: 4,
    };
    let resting = SnapshotOrder {
        order_id: 1,
        priority: 2,
        price: 3,
        quantity: 4,
        kind: b'0',
    };
    assert!(builder.heartbeat() && builder.channel_reset(1));
    assert!(builder.book(template::BOOK_9, 1, &[price(4, 5)], &[(0, order(4))]));
    assert!(builder.order_book(1, &[order(4)]));
    assert!(builder.order_snapshot(head, (1, 1), 1, &[resting]));
    assert!(builder.security_status(1, b"ES", Some(4), 17));
    assert!(builder.session_statistic(1, 4, 6, (b'4', 3)));
    builder.finish().to_vec()
}

fn price(security_id: i32, rpt_seq: u32) -> PriceChange {
    PriceChange {
        price: -1,
        size: 1,
        security_id,
        rpt_seq,
        orders: 1,
        level: 1,
        action: 0,
        kind: b'0',
    }
}

fn order(security_id: i32) -> OrderChange {
    OrderChange {
        order_id: 1,
        priority: 1,
        price: -1,
        quantity: 1,
        security_id,
        action: 0,
        kind: b'0',
    }
}
