//! An MDP 3.0 packet: messages by their sizes, groups by the lengths on the wire, entries that say
//! what stands at their layout's offsets.

use tickdeck_wire::cme::layout::{Layout, SECURITY_BEFORE_RPT_SEQ, layout_of};
use tickdeck_wire::cme::{
    GroupError, HEADER_LEN, MESSAGE_HEADER_LEN, Message, OrderSnapshot, Packet, PriceSnapshot,
    SCHEMA_ID, SCHEMA_VERSION,
};

pub(crate) fn run(bytes: &[u8]) {
    let packet = match Packet::parse(bytes) {
        Ok(packet) => packet,
        Err(error) => {
            assert_eq!(split(bytes), None, "{error}");
            assert!(!error.reason().is_empty());
            return;
        }
    };
    let expected = split(bytes).expect("a packet that was accepted can be split");
    assert_eq!(packet.bytes(), bytes);
    assert_eq!(packet.messages().count(), expected.len());
    for (message, bytes) in packet.messages().zip(expected) {
        check(bytes, &message);
    }
    assert!(!(packet.is_heartbeat() && packet.resets_channel()));
}

fn check(bytes: &[u8], message: &Message<'_>) {
    assert_eq!(message.template_id(), word(bytes, 4));
    assert_eq!(message.version(), word(bytes, 8));
    let root_len = usize::from(word(bytes, 2));
    let behind = &bytes[MESSAGE_HEADER_LEN + root_len..];
    assert_eq!(message.root(), &bytes[MESSAGE_HEADER_LEN..][..root_len]);
    let Some(layout) = layout_of(message.template_id()) else {
        assert!(matches!(
            message.groups(),
            Err(GroupError::UnknownTemplate { .. })
        ));
        assert!(
            message
                .rpt_seqs()
                .is_ok_and(|mut none| none.next().is_none())
        );
        assert!(
            message
                .order_updates()
                .is_ok_and(|mut none| none.next().is_none())
        );
        return;
    };
    check_groups(layout, behind, message);
    check_view(message);
    check_entries(layout, message);
    check_snapshots(message);
}

/// A message whose groups were accepted has a view, and all of it can be read.
fn check_view(message: &Message<'_>) {
    let (groups, view) = (message.groups(), message.view());
    assert_eq!(groups.err(), view.as_ref().err().copied());
    let Ok(view) = view else {
        return;
    };
    assert!(!format!("{view:?}").is_empty());
    assert!(matches!(message.price_exponent(), -7 | -9));
}

/// Groups that were accepted account for every byte behind the root, unless the version is newer.
fn check_groups(layout: &Layout, behind: &[u8], message: &Message<'_>) {
    let Ok(groups) = message.groups() else {
        return;
    };
    assert!(message.root().len() >= layout.root_len);
    let mut used = 0;
    for (index, layout) in layout.groups.iter().enumerate() {
        let group = groups.get(index);
        assert_eq!(group.len(), group.entries().count());
        assert_eq!(group.is_empty(), group.entries().next().is_none());
        for (index, entry) in group.entries().enumerate() {
            assert!(entry.len() >= layout.entry_len);
            assert_eq!(group.get(index), Some(entry));
        }
        assert_eq!(group.get(group.len()), None);
        if used < behind.len() {
            used += layout.dimension.bytes();
            used += group.entries().map(<[u8]>::len).sum::<usize>();
        }
    }
    assert!(used <= behind.len());
    assert!(used == behind.len() || message.version() > SCHEMA_VERSION);
}

/// What updates say is what stands in their entries.
fn check_entries(layout: &Layout, message: &Message<'_>) {
    if let Ok(updates) = message.rpt_seqs() {
        for update in updates {
            let at = layout.rpt_seq.expect("a template that counts");
            assert_eq!(update.rpt_seq, number(update.entry, at));
            let security = number(update.entry, at - SECURITY_BEFORE_RPT_SEQ);
            assert_eq!(update.security_id.cast_unsigned(), security);
        }
    }
    let Ok(orders) = message.order_updates() else {
        return;
    };
    for order in orders {
        let security = match (order.price_entry, layout.order_security) {
            (None, Some(at)) => number(order.entry, at),
            (Some(price), None) => {
                let at = layout.rpt_seq.expect("a template that counts");
                number(price, at - SECURITY_BEFORE_RPT_SEQ)
            }
            _ => panic!("an order has its instrument in itself or in its price entry"),
        };
        assert_eq!(order.security_id.cast_unsigned(), security);
    }
}

fn check_snapshots(message: &Message<'_>) {
    let root = message.root();
    if let Ok(Some(prices)) = PriceSnapshot::read(message) {
        assert_eq!(prices.last_msg_seq_num_processed, number(root, 0));
        assert_eq!(prices.total_reports, number(root, 4));
        assert_eq!(prices.security_id.cast_unsigned(), number(root, 8));
        assert_eq!(prices.rpt_seq, number(root, 12));
        assert!(!matches!(OrderSnapshot::read(message), Ok(Some(_))));
    }
    if let Ok(Some(orders)) = OrderSnapshot::read(message) {
        assert_eq!(orders.security_id.cast_unsigned(), number(root, 8));
        assert!(orders.chunk >= 1 && orders.chunk <= orders.chunks);
    }
}

/// The messages of a packet, the slow way; `None` when it is none.
fn split(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = bytes.get(HEADER_LEN..)?;
    if bytes[..4] == [0; 4] {
        return None;
    }
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let head = rest.get(..MESSAGE_HEADER_LEN)?;
        let (size, root_len) = (usize::from(word(head, 0)), usize::from(word(head, 2)));
        if word(head, 6) != SCHEMA_ID || size < MESSAGE_HEADER_LEN + root_len {
            return None;
        }
        messages.push(rest.get(..size)?);
        rest = &rest[size..];
    }
    Some(messages)
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}
