//! A reader's books, as plain maps, and packets to feed it.

use std::collections::BTreeMap;

use tickdeck_recovery::cme::{Book, Cycle, Entry, Output, Trust};
use tickdeck_sim::cme::Instrument;
use tickdeck_wire::cme::{
    Message, OrderSnapshot, PacketBuilder, PriceChange, PriceSnapshot, SnapshotHead, SnapshotLevel,
    SnapshotOrder, template,
};

/// Price levels: type and price to size and orders.
pub(crate) type Prices = BTreeMap<(u8, i64), (i32, i32)>;

/// Orders: OrderID to type, price, quantity and priority.
pub(crate) type Orders = BTreeMap<u64, (u8, i64, i32, u64)>;

/// The books of a channel. Panics on what cannot be: an update of a book that is not trusted, a
/// new level or order that is there, a change or delete of one that is not, a RptSeq that jumps.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) prices: BTreeMap<i32, (u32, Prices)>,
    pub(crate) orders: BTreeMap<i32, Orders>,
    pub(crate) trust: BTreeMap<(i32, Book), Trust>,
    pub(crate) resets: usize,
    pub(crate) loaded: Vec<(i32, Book)>,
}

impl Books {
    /// Asserts that these are the instruments' books.
    pub(crate) fn assert_equal(&self, instruments: &[Instrument], context: &str) {
        for instrument in instruments {
            let id = instrument.security_id();
            if instrument.rpt_seq() > 0 {
                let levels = instrument.levels().into_iter();
                let levels = levels.map(|l| ((l.kind, l.price), (l.size, l.orders)));
                let expected = (instrument.rpt_seq(), levels.collect::<Prices>());
                assert_eq!(self.prices.get(&id), Some(&expected), "{context}: {id}");
                assert_eq!(self.trust[&(id, Book::Prices)], Trust::Good, "{context}");
            }
            if instrument.has_orders() && instrument.is_active() {
                let orders = instrument.orders();
                let orders = orders.map(|o| (o.id, (o.kind, o.price(), o.quantity, o.priority)));
                let expected = orders.collect::<Orders>();
                assert_eq!(self.orders.get(&id), Some(&expected), "{context}: {id}");
                assert_eq!(self.trust[&(id, Book::Orders)], Trust::Good, "{context}");
            }
        }
    }

    fn assert_trusted(&self, security_id: i32, book: Book) {
        let trust = self.trust.get(&(security_id, book));
        assert!(
            matches!(trust, Some(Trust::Good | Trust::Rebuilding)),
            "{security_id} {book:?} is {trust:?}"
        );
    }

    fn apply_price(&mut self, entry: &Entry<'_>) {
        let (rpt_seq, levels) = self.prices.entry(entry.security_id).or_default();
        assert_eq!(entry.rpt_seq, *rpt_seq + 1, "{}", entry.security_id);
        *rpt_seq = entry.rpt_seq;
        let template_id = entry.message.template_id();
        if !matches!(template_id, template::BOOK | template::BOOK_9) {
            return;
        }
        let bytes = entry.bytes;
        let key = (bytes[26], i64_at(bytes, 0));
        let level = (i32_at(bytes, 8), i32_at(bytes, 20));
        let before = match bytes[25] {
            2 => levels.remove(&key),
            _ => levels.insert(key, level),
        };
        assert_eq!(before.is_none(), bytes[25] == 0, "{key:?}");
    }

    fn apply_order(&mut self, entry: &Entry<'_>) {
        let bytes = entry.bytes;
        let (id, priority) = (i64_at(bytes, 0) as u64, i64_at(bytes, 8) as u64);
        let (order, action) = match entry.price_entry {
            Some(price) => {
                let quantity = i32_at(bytes, 16);
                let order = (price[26], i64_at(price, 0), quantity, priority);
                (order, bytes[21])
            }
            None => {
                let quantity = i32_at(bytes, 24);
                let order = (bytes[33], i64_at(bytes, 16), quantity, priority);
                (order, bytes[32])
            }
        };
        let orders = self.orders.entry(entry.security_id).or_default();
        let before = match action {
            2 => orders.remove(&id),
            _ => orders.insert(id, order),
        };
        assert_eq!(before.is_none(), action == 0, "order {id}");
    }

    fn load_message(&mut self, message: &Message<'_>) {
        if let Some(whole) = PriceSnapshot::read(message).unwrap() {
            let (_, levels) = self.prices.entry(whole.security_id).or_default();
            for entry in whole.entries.entries() {
                let level = (i32_at(entry, 8), i32_at(entry, 12));
                levels.insert((entry[21], i64_at(entry, 0)), level);
            }
        }
        if let Some(part) = OrderSnapshot::read(message).unwrap() {
            let orders = self.orders.entry(part.security_id).or_default();
            for entry in part.entries.entries() {
                let (id, priority) = (i64_at(entry, 0) as u64, i64_at(entry, 8) as u64);
                let order = (entry[28], i64_at(entry, 16), i32_at(entry, 24), priority);
                assert_eq!(orders.insert(id, order), None, "order {id} came twice");
            }
        }
    }
}

impl Output for Books {
    fn reset(&mut self, _: u32) {
        self.prices.clear();
        self.orders.clear();
        self.trust.clear();
        self.resets += 1;
    }

    fn load(&mut self, cycle: &Cycle) {
        let key = (cycle.security_id, cycle.book);
        assert_eq!(self.trust[&key], Trust::Rebuilding);
        self.loaded.push(key);
        match cycle.book {
            Book::Prices => {
                let empty = (cycle.rpt_seq, Prices::new());
                self.prices.insert(cycle.security_id, empty);
            }
            Book::Orders => {
                self.orders.insert(cycle.security_id, Orders::new());
            }
        }
        cycle.messages(|message| self.load_message(message));
    }

    fn apply(&mut self, entry: Entry<'_>) {
        self.assert_trusted(entry.security_id, entry.book);
        match entry.book {
            Book::Prices => self.apply_price(&entry),
            Book::Orders => self.apply_order(&entry),
        }
    }

    fn trust(&mut self, security_id: i32, book: Book, trust: Trust) {
        self.trust.insert((security_id, book), trust);
    }
}

/// A packet of new price levels: instrument, RptSeq.
pub(crate) fn prices(sequence: u32, entries: &[(i32, u32)]) -> Vec<u8> {
    let change = |(security_id, rpt_seq): &(i32, u32)| PriceChange {
        price: i64::from(*rpt_seq),
        size: 1,
        security_id: *security_id,
        rpt_seq: *rpt_seq,
        orders: 1,
        level: 1,
        action: 0,
        kind: b'0',
    };
    let changes: Vec<_> = entries.iter().map(change).collect();
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(sequence, u64::from(sequence));
    assert!(builder.book(template::BOOK_9, 1, &changes, &[]));
    builder.finish().to_vec()
}

/// A snapshot by price with one level for each RptSeq up to this one.
pub(crate) fn price_snapshot(security_id: i32, last: u32, rpt_seq: u32) -> Vec<u8> {
    let level = |rpt_seq| SnapshotLevel {
        price: i64::from(rpt_seq),
        size: 1,
        orders: 1,
        level: 1,
        kind: b'0',
    };
    let levels: Vec<_> = (1..=rpt_seq).map(level).collect();
    let mut builder = PacketBuilder::new(9_000);
    builder.begin(1, u64::from(last));
    assert!(builder.snapshot(head(security_id, last), rpt_seq, 1, &levels));
    builder.finish().to_vec()
}

/// One chunk of a snapshot by order, with one order.
pub(crate) fn chunk(security_id: i32, last: u32, chunk: u32, chunks: u32) -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(chunk, u64::from(last));
    push_chunk(&mut builder, security_id, last, (chunk, chunks));
    builder.finish().to_vec()
}

/// Appends such a chunk to a packet.
pub(crate) fn push_chunk(
    builder: &mut PacketBuilder,
    security_id: i32,
    last: u32,
    (chunk, chunks): (u32, u32),
) {
    let order = SnapshotOrder {
        order_id: u64::from(chunk),
        priority: 1,
        price: 1,
        quantity: 1,
        kind: b'0',
    };
    assert!(builder.order_snapshot(head(security_id, last), (chunk, chunks), 1, &[order]));
}

fn head(security_id: i32, last_msg_seq_num_processed: u32) -> SnapshotHead {
    SnapshotHead {
        last_msg_seq_num_processed,
        total_reports: 2,
        security_id,
    }
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
