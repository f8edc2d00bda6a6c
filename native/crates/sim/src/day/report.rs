//! The day's table: what was generated, to compare with a measured day and to check books against.

use tickdeck_wire::itch50::LENGTHS;

use super::book::Books;

/// Groups of busiest instruments in the table.
const BUSIEST: [usize; 5] = [1, 10, 50, 100, 250];

/// What a generated day consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct DayReport {
    /// Messages.
    pub messages: u64,
    /// Bytes of the messages with their length fields.
    pub bytes: u64,
    /// Messages by type, in the order of the specification; types that do not occur are left out.
    pub types: Vec<TypeCount>,
    /// Orders resting at the end.
    pub live_orders: u64,
    /// Most orders resting at a time.
    pub live_orders_most: u64,
    /// Price levels in use at the end, both sides of all instruments.
    pub price_levels: u64,
    /// Orders that were added: A, F and U.
    pub adds: u64,
    /// Highest order reference; 0 when there is none.
    pub highest_reference: u64,
    /// Share of all messages that the busiest 1, 10, 50, 100 and 250 instruments have; only groups
    /// smaller than the number of instruments.
    pub busiest: Vec<(usize, f64)>,
}

/// Messages of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TypeCount {
    /// Message type.
    pub kind: u8,
    /// How many.
    pub count: u64,
    /// Share of all messages, 0 to 1.
    pub share: f64,
}

impl DayReport {
    /// Mean distance between consecutive order references; 0 below two orders.
    pub fn mean_reference_step(&self) -> f64 {
        let steps = self.adds.saturating_sub(1);
        if steps == 0 {
            return 0.0;
        }
        (self.highest_reference - super::writer::FIRST_REFERENCE) as f64 / steps as f64
    }

    /// How many messages of this type there are.
    pub fn count_of(&self, kind: u8) -> u64 {
        self.types
            .iter()
            .find(|row| row.kind == kind)
            .map_or(0, |row| row.count)
    }
}

/// Counts while the day is written.
pub(super) struct Counts {
    messages: u64,
    bytes: u64,
    by_type: [u64; 256],
    by_instrument: Vec<u64>,
    adds: u64,
    highest_reference: u64,
}

impl Counts {
    pub(super) fn new(instruments: usize) -> Self {
        Self {
            messages: 0,
            bytes: 0,
            by_type: [0; 256],
            by_instrument: vec![0; instruments],
            adds: 0,
            highest_reference: 0,
        }
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn note_reference(&mut self, reference: u64) {
        self.adds += 1;
        self.highest_reference = reference;
    }

    pub(super) fn note(&mut self, instrument: Option<usize>, message: &[u8]) {
        self.messages += 1;
        self.bytes += 2 + message.len() as u64;
        self.by_type[usize::from(message[0])] += 1;
        if let Some(instrument) = instrument {
            self.by_instrument[instrument] += 1;
        }
    }

    pub(super) fn into_report(mut self, books: &Books) -> DayReport {
        let share = |count: u64| count as f64 / self.messages as f64;
        let types = LENGTHS
            .iter()
            .map(|(kind, _)| (*kind, self.by_type[usize::from(*kind)]))
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| TypeCount {
                kind,
                count,
                share: share(count),
            })
            .collect();
        self.by_instrument.sort_unstable_by(|a, b| b.cmp(a));
        let busiest = BUSIEST
            .into_iter()
            .filter(|group| *group < self.by_instrument.len())
            .map(|group| (group, share(self.by_instrument[..group].iter().sum())))
            .collect();
        let (live_orders, live_orders_most) = books.live_counts();
        DayReport {
            messages: self.messages,
            bytes: self.bytes,
            types,
            live_orders,
            live_orders_most,
            price_levels: books.level_count(),
            adds: self.adds,
            highest_reference: self.highest_reference,
            busiest,
        }
    }
}
