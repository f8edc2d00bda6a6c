//! T7 EOBI: one packet a record, books by order, recovered product by product from cycles of the
//! snapshot channel that stand in the stream.
//!
//! The replayer judges each product by its own numbers and says what to apply. A product that lacks
//! messages makes its books suspect; nothing is applied to them until a cycle is in the stream.
//! Behind a loss every product is doubted until its next message or heartbeat proves that it lost
//! nothing.

use tickdeck_book::eobi::{EobiBooks, EobiConfig, TradingStatus};
use tickdeck_book::{Books, BooksConfig, Cause, Crossing, Run, Taken, Venue};
use tickdeck_recovery::eobi::{Cycle, Output, Replayer, ReplayerConfig, Trust};
use tickdeck_wire::eobi::{HEADER_LEN, Message, Packet, Release};
use tickdeck_wire::record::SnapshotEvent;

#[cfg(test)]
mod tests;

/// Bytes of one product's cycle at most, as the receiver's.
const MAX_CYCLE_BYTES: usize = 256 << 20;

/// The books of an EOBI channel.
pub struct EobiVenue {
    release: Release,
    books: EobiBooks,
    replayer: Replayer,
    /// A cycle that is not whole yet.
    loading: Option<Loading>,
    /// A packet was read since the numbers began.
    has_begun: bool,
}

/// A cycle that is being read.
struct Loading {
    event: SnapshotEvent,
    product: i32,
    packets: Vec<Vec<u8>>,
    bytes: usize,
}

/// Takes what the replayer puts out.
struct Applier<'a, F> {
    release: Release,
    books: &'a mut EobiBooks,
    /// Number of the packet.
    sequence: u64,
    after: F,
}

impl EobiVenue {
    /// Empty books of a release, by the rules that hold without reference data.
    pub fn new(release: Release, config: BooksConfig) -> Self {
        Self {
            release,
            books: EobiBooks::new(EobiConfig::default(), config),
            replayer: Replayer::new(ReplayerConfig::default()),
            loading: None,
            has_begun: false,
        }
    }

    /// The books with what the venue says beside orders.
    #[cfg(test)]
    pub fn eobi(&self) -> &EobiBooks {
        &self.books
    }
}

impl Venue for EobiVenue {
    #[inline]
    fn books(&self) -> &Books {
        self.books.books()
    }

    #[inline]
    fn books_mut(&mut self) -> &mut Books {
        self.books.books_mut()
    }

    fn apply(&mut self, run: Run<'_>, after: impl FnMut(&Books, u64, &[u8])) -> Taken {
        let sequence = run.first_sequence;
        let next_sequence = sequence.saturating_add(1);
        let Ok(packet) = Packet::parse(run.payload, self.release) else {
            // The replayer finds its number missing.
            return Taken {
                next_sequence,
                is_whole: false,
            };
        };
        self.has_begun = true;
        let product = packet.market_segment_id();
        let mut applier = Applier {
            release: self.release,
            books: &mut self.books,
            sequence,
            after,
        };
        let stale_before = self.replayer.counters().stale_packets;
        self.replayer.on_packet(&packet, &mut applier);
        // A packet of before says nothing of now: what was doubted since, it does not prove.
        let is_stale = self.replayer.counters().stale_packets != stale_before;
        let trust = self.replayer.trust(product).filter(|_| !is_stale);
        if trust.is_some() {
            self.books.on_packet(product, packet.completes());
        }
        // A heartbeat proves a product without a message.
        if trust == Some(Trust::Good) && self.replayer.is_proven(product) {
            self.books.trust_product(product);
        }
        Taken {
            next_sequence,
            is_whole: u64::from(packet.sequence()) == sequence,
        }
    }

    /// The numbers prove each product on its own, at its next message.
    fn doubt_all(&mut self, since: u64, cause: Cause) {
        if cause != Cause::MidSession {
            self.books.doubt_products(since, cause);
        }
    }

    fn clear(&mut self) {
        self.books.clear();
        self.loading = None;
        // Cycles of before are refused from here on; at the very start there are none.
        if std::mem::take(&mut self.has_begun) {
            let mut applier = Applier {
                release: self.release,
                books: &mut self.books,
                sequence: 0,
                after: |_: &Books, _: u64, _: &[u8]| {},
            };
            self.replayer.restart(&mut applier);
        }
    }

    fn begin_snapshot(&mut self, event: SnapshotEvent) -> Option<()> {
        self.loading = None;
        let product = i32::try_from(event.scope).ok()?;
        self.loading = Some(Loading {
            event,
            product,
            packets: Vec::new(),
            bytes: 0,
        });
        Some(())
    }

    fn take_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        let Some(loading) = &mut self.loading else {
            return Some(());
        };
        // What is shorter than any packet takes its place all the same.
        loading.bytes += payload.len().max(HEADER_LEN);
        let is_whole = loading.packets.len() as u64 == loading.event.records;
        if is_whole || loading.bytes > MAX_CYCLE_BYTES {
            self.loading = None;
            return None;
        }
        loading.packets.push(payload.to_vec());
        Some(())
    }

    fn end_snapshot(&mut self, event: SnapshotEvent) -> Option<Option<u64>> {
        let Some(loading) = self.loading.take() else {
            return Some(None);
        };
        if loading.event != event || loading.packets.len() as u64 != event.records {
            return None;
        }
        let packets = loading.packets.iter().map(Vec::as_slice);
        let cycle = Cycle::read(self.release, packets)?;
        if (cycle.market_segment_id, cycle.orders) != (loading.product, event.orders) {
            return None;
        }
        let mut applier = Applier {
            release: self.release,
            books: &mut self.books,
            sequence: event.resume_sequence.saturating_sub(1),
            after: |_: &Books, _: u64, _: &[u8]| {},
        };
        let is_loaded = self.replayer.on_cycle(&cycle, &mut applier);
        // What was lost may reach further than the cycle: only the next message tells.
        if is_loaded && !self.replayer.is_proven(loading.product) {
            let last = self.replayer.last_msg_seq_num(loading.product);
            let since = u64::from(last.unwrap_or(0)) + 1;
            self.books
                .doubt_product(loading.product, since, Cause::MessagesLost);
        }
        Some(None)
    }

    fn leave_snapshot(&mut self) {
        self.loading = None;
    }

    fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    fn channel_hash(&self) -> u64 {
        self.books.channel_hash()
    }

    /// Only between units of work the touch is what the venue's was.
    fn crossing(&self) -> Crossing {
        if self.books.is_all_complete() {
            let (book, continuous) = (TradingStatus::BOOK, TradingStatus::CONTINUOUS);
            Crossing::ForbiddenInEither(book.0, continuous.0)
        } else {
            Crossing::Allowed
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.push(self.has_begun.into());
        self.replayer.save(out);
        self.books.save(out);
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), &'static str> {
        let (has_begun, mut saved) = saved.split_first().ok_or("nothing of an EOBI channel")?;
        self.has_begun = *has_begun != 0;
        self.replayer = Replayer::restore(*self.replayer.config(), &mut saved)?;
        self.books.restore(&mut saved)?;
        if saved.is_empty() {
            Ok(())
        } else {
            Err("bytes behind the books of an EOBI channel")
        }
    }
}

impl<F: FnMut(&Books, u64, &[u8])> Output for Applier<'_, F> {
    fn reset(&mut self) {
        self.books.clear();
    }

    fn load(&mut self, cycle: &Cycle) {
        let (product, release) = (cycle.market_segment_id, self.release);
        self.books.begin_load(product);
        cycle.messages(|message| self.books.load(product, release, message));
    }

    fn apply(&mut self, market_segment_id: i32, message: &Message<'_>) {
        // It is the next one, so nothing was missing.
        self.books.trust_product(market_segment_id);
        self.books.apply(market_segment_id, self.release, message);
        (self.after)(self.books.books(), self.sequence, message.body());
    }

    fn trust(&mut self, market_segment_id: i32, trust: Trust) {
        match trust {
            Trust::Good => self.books.trust_product(market_segment_id),
            Trust::Suspect { since } => {
                let is_new = self.books.product(market_segment_id).is_none();
                let cause = if is_new {
                    Cause::MidSession
                } else {
                    Cause::MessagesLost
                };
                let since = u64::from(since);
                self.books.doubt_product(market_segment_id, since, cause);
            }
            // The load follows at once.
            Trust::Rebuilding => {}
        }
    }
}
