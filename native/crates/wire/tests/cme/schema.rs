//! Our layouts against the exchange's own SBE schemas, when they lie beside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tickdeck_wire::cme::layout::{Dimension, LAYOUTS, Layout, SECURITY_BEFORE_RPT_SEQ};
use tickdeck_wire::cme::{
    OrderChange, Packet, PacketBuilder, PriceChange, SCHEMA_ID, SCHEMA_VERSION, SnapshotHead,
    SnapshotLevel, SnapshotOrder, template,
};

/// A message of a schema.
#[derive(Debug, Default)]
struct Message {
    root_len: usize,
    fields: BTreeMap<String, usize>,
    groups: Vec<Group>,
}

/// A group of a message.
#[derive(Debug, Default)]
struct Group {
    dimension: String,
    entry_len: usize,
    fields: BTreeMap<String, usize>,
}

/// Proves that every length and offset of ours is the exchange's in both versions of its schema,
/// and that no template is missing here.
#[test]
fn layouts_are_those_of_the_exchange() {
    let (Some(six), Some(nine)) = (schema("1.6"), schema("1.9")) else {
        return;
    };
    let mut checked = 0;
    for (version, messages) in [(6, &six), (9, &nine)] {
        for (id, message) in messages {
            let layout = LAYOUTS.iter().find(|layout| layout.template_id == *id);
            let Some(layout) = layout else {
                panic!("template {id} has no layout");
            };
            check(layout, message, version);
            checked += 1;
        }
    }
    for layout in LAYOUTS {
        let id = layout.template_id;
        assert!(six.contains_key(&id) || nine.contains_key(&id), "{id}");
    }
    assert_eq!(checked, 17 + 29, "templates of version 6 and of version 9");
}

/// Proves that our encoder writes each field where the exchange's schema has it.
#[test]
fn the_builder_writes_where_the_exchange_does() {
    let Some(messages) = schema("1.9") else {
        return;
    };
    let mut builder = PacketBuilder::new(1_400);
    for (template_id, group, fields) in written(&mut builder) {
        let packet = Packet::parse(builder.finish()).unwrap();
        let mut found = packet.messages().filter(|m| m.template_id() == template_id);
        let message = found.next().unwrap();
        let groups = message.groups().unwrap();
        let theirs = &messages[&template_id];
        let (block, offsets) = match group {
            None => (message.root(), &theirs.fields),
            Some(0) => (groups.first().get(0).unwrap(), &theirs.groups[0].fields),
            Some(_) => (groups.second().get(0).unwrap(), &theirs.groups[1].fields),
        };
        for (name, value) in fields {
            let value = value.to_le_bytes();
            // Values are small and positive, so that their low bytes tell them apart.
            let at = offsets[*name];
            assert_eq!(block[at], value[0], "{template_id} {name}");
        }
    }
}

/// A block with the values that were written to it: template, group (`None`: root), fields.
type Written = (u16, Option<usize>, &'static [(&'static str, u64)]);

/// Writes a message of each kind, and says what.
fn written(builder: &mut PacketBuilder) -> [Written; 9] {
    let price = PriceChange {
        price: 1,
        size: 2,
        security_id: 3,
        rpt_seq: 4,
        orders: 5,
        level: 6,
        action: 7,
        kind: 8,
    };
    let order = OrderChange {
        order_id: 11,
        priority: 12,
        price: 13,
        quantity: 14,
        security_id: 15,
        action: 16,
        kind: 17,
    };
    let head = SnapshotHead {
        last_msg_seq_num_processed: 21,
        total_reports: 22,
        security_id: 23,
    };
    let level = SnapshotLevel {
        price: 31,
        size: 32,
        orders: 33,
        level: 34,
        kind: 35,
    };
    let resting = SnapshotOrder {
        order_id: 41,
        priority: 42,
        price: 43,
        quantity: 44,
        kind: 45,
    };
    builder.begin(1, 1);
    assert!(builder.volume(51, 52, 53, 54));
    assert!(builder.book(template::BOOK_9, 55, &[price], &[(0, order)]));
    assert!(builder.order_book(56, &[order]));
    assert!(builder.snapshot(head, 57, 58, &[level]));
    assert!(builder.order_snapshot(head, (59, 60), 61, &[resting]));
    WRITTEN
}

#[rustfmt::skip]
const WRITTEN: [Written; 9] = [
    (37, Some(0), &[("MDEntrySize", 54), ("SecurityID", 52), ("RptSeq", 53)]),
    (46, None, &[("TransactTime", 55), ("MatchEventIndicator", 0x80)]),
    (46, Some(0), &[
        ("MDEntryPx", 1), ("MDEntrySize", 2), ("SecurityID", 3), ("RptSeq", 4),
        ("NumberOfOrders", 5), ("MDPriceLevel", 6), ("MDUpdateAction", 7), ("MDEntryType", 8),
    ]),
    (46, Some(1), &[
        ("OrderID", 11), ("MDOrderPriority", 12), ("MDDisplayQty", 14), ("ReferenceID", 1),
        ("OrderUpdateAction", 16),
    ]),
    (47, Some(0), &[
        ("OrderID", 11), ("MDOrderPriority", 12), ("MDEntryPx", 13), ("MDDisplayQty", 14),
        ("SecurityID", 15), ("MDUpdateAction", 16), ("MDEntryType", 17),
    ]),
    (52, None, &[
        ("LastMsgSeqNumProcessed", 21), ("TotNumReports", 22), ("SecurityID", 23), ("RptSeq", 57),
        ("TransactTime", 58),
    ]),
    (52, Some(0), &[
        ("MDEntryPx", 31), ("MDEntrySize", 32), ("NumberOfOrders", 33), ("MDPriceLevel", 34),
        ("MDEntryType", 35),
    ]),
    (53, None, &[
        ("LastMsgSeqNumProcessed", 21), ("TotNumReports", 22), ("SecurityID", 23),
        ("NoChunks", 60), ("CurrentChunk", 59), ("TransactTime", 61),
    ]),
    (53, Some(0), &[
        ("OrderID", 41), ("MDOrderPriority", 42), ("MDEntryPx", 43), ("MDDisplayQty", 44),
        ("MDEntryType", 45),
    ]),
];

fn check(layout: &Layout, message: &Message, version: u16) {
    let id = layout.template_id;
    assert_eq!(layout.root_len, message.root_len, "{id}");
    // A later version appended groups.
    let groups = layout.groups.iter().filter(|group| group.since <= version);
    assert_eq!(groups.count(), message.groups.len(), "{id}");
    for (ours, theirs) in layout.groups.iter().zip(&message.groups) {
        assert_eq!(ours.entry_len, theirs.entry_len, "{id}");
        let aligned = theirs.dimension == "groupSize8Byte";
        assert_eq!(ours.dimension == Dimension::Aligned, aligned, "{id}");
    }
    let first = message.groups.first();
    let of_first = |name: &str| first.and_then(|group| group.fields.get(name).copied());
    assert_eq!(layout.rpt_seq, of_first("RptSeq"), "{id}");
    if !message
        .groups
        .iter()
        .any(|group| group.fields.contains_key("RptSeq") || group.fields.contains_key("OrderID"))
        || root_has(message, "SecurityID")
    {
        assert_eq!(layout.order_security, None, "{id}");
    } else if let Some(rpt_seq) = layout.rpt_seq {
        let security = Some(rpt_seq - SECURITY_BEFORE_RPT_SEQ);
        assert_eq!(security, of_first("SecurityID"), "{id}");
    } else {
        assert_eq!(layout.order_security, of_first("SecurityID"), "{id}");
    }
    if let (Some(reference), Some(group)) = (layout.order_reference, message.groups.get(1)) {
        assert_eq!(Some(&reference), group.fields.get("ReferenceID"), "{id}");
    }
    let root = |name: &str| message.fields.get(name).copied();
    if matches!(id, template::SNAPSHOT | template::SNAPSHOT_9) {
        assert_eq!(root("RptSeq"), Some(12), "{id}");
    }
    if matches!(id, template::ORDER_SNAPSHOT | template::ORDER_SNAPSHOT_9) {
        let chunks = (root("NoChunks"), root("CurrentChunk"));
        assert_eq!(chunks, (Some(12), Some(16)), "{id}");
    }
    if root("LastMsgSeqNumProcessed").is_some() {
        assert_eq!(root("LastMsgSeqNumProcessed"), Some(0), "{id}");
        let of_instrument = (root("TotNumReports"), root("SecurityID"));
        assert_eq!(of_instrument, (Some(4), Some(8)), "{id}");
    }
}

fn root_has(message: &Message, name: &str) -> bool {
    message.fields.contains_key(name)
}

/// The messages of a schema by template id; `None`, with the reason printed, when it is not there.
fn schema(version: &str) -> Option<BTreeMap<u16, Message>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!(
        "../../../../shared/data/cme/Cme.Futures.Mdp3.Sbe.v{version}.xml"
    ));
    if !path.is_file() {
        println!("skipped: no schema at {}", path.display());
        return None;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let mut messages = BTreeMap::<u16, Message>::new();
    let (mut message, mut in_group) = (None, false);
    for tag in text.split('<').skip(1) {
        let name = tag.split([' ', '>']).next().unwrap();
        let offset = || attribute(tag, "offset").map(|text| text.parse().unwrap());
        let length = || attribute(tag, "blockLength").unwrap().parse().unwrap();
        match name {
            "ns2:messageSchema" => {
                let id = attribute(tag, "id").unwrap();
                let version = attribute(tag, "version").unwrap().parse::<u16>().unwrap();
                assert_eq!(id, SCHEMA_ID.to_string());
                assert!(version <= SCHEMA_VERSION);
            }
            "ns2:message" => {
                let id: u16 = attribute(tag, "id").unwrap().parse().unwrap();
                let entry = messages.entry(id).or_default();
                entry.root_len = length();
                message = Some(id);
            }
            "/ns2:message" => message = None,
            "group" => {
                let message = messages.get_mut(&message.unwrap()).unwrap();
                message.groups.push(Group {
                    dimension: attribute(tag, "dimensionType").unwrap().to_owned(),
                    entry_len: length(),
                    fields: BTreeMap::new(),
                });
                in_group = true;
            }
            "/group" => in_group = false,
            "field" => {
                let Some(offset) = offset() else { continue };
                let message = messages.get_mut(&message.unwrap()).unwrap();
                let fields = match message.groups.last_mut() {
                    Some(group) if in_group => &mut group.fields,
                    _ => &mut message.fields,
                };
                fields.insert(attribute(tag, "name").unwrap().to_owned(), offset);
            }
            _ => {}
        }
    }
    Some(messages)
}

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = tag.split_once(&format!(" {name}=\""))?;
    after.split_once('"').map(|(value, _)| value)
}
