//! CME MDP 3.0: one packet a record, books by price and by order, recovered by snapshot loops.
//!
//! The replayer judges each book by its own numbers and says what to apply; what it does not prove
//! is shown as it comes, in a book that stays suspect until a cycle of the snapshot channel is in
//! the stream. So a stream that begins in the middle of a session shows what was said since, and
//! says that this is all it knows.

use tickdeck_book::{
    Books, BooksConfig, Cause, CmeOrderChange, Crossing, Doubt, Run, Taken, Venue,
};
use tickdeck_recovery::cme::{
    Book, Cycle, Entry, Output, Replayer, ReplayerConfig, ReplayerCounters, Trust,
};
use tickdeck_wire::cme::{
    Block, LinkedOrder, Message, OrderEntry, Packet, PriceEntry, SCHEMA_VERSION, View, template,
};
use tickdeck_wire::record::SnapshotEvent;

/// Bytes of one book's snapshot at most.
const MAX_CYCLE_BYTES: usize = 64 << 20;
/// MatchEventIndicator of the last message of an event.
const END_OF_EVENT: u8 = 0x80;

/// SecurityTradingStatus in which books may not be crossed.
const READY_TO_TRADE: u8 = 17;

/// The books of an MDP 3.0 channel.
pub struct CmeVenue {
    books: Books,
    replayer: Replayer,
    /// A snapshot of one book that is not whole yet.
    loading: Option<Loading>,
    /// Records are missing or unreadable, and no packet came since to prove the books.
    is_after_hole: bool,
    /// Books that entries contradicted.
    faulty: Vec<(i32, Book)>,
    /// The last incremental message ended its event.
    is_event_over: bool,
}

/// A snapshot that is being read.
struct Loading {
    event: SnapshotEvent,
    security_id: i32,
    book: Book,
    packets: Vec<Vec<u8>>,
    bytes: usize,
}

/// Takes what the replayer puts out.
struct Applier<'a, F> {
    books: &'a mut Books,
    faulty: &'a mut Vec<(i32, Book)>,
    /// Number of the packet.
    sequence: u64,
    after: F,
}

impl CmeVenue {
    /// Empty books.
    pub fn new(config: BooksConfig) -> Self {
        Self {
            books: Books::new(BooksConfig {
                initial_orders: config.initial_orders,
                max_orders: config.max_orders,
                levels_per_side: config.levels_per_side,
                ..BooksConfig::CME_MDP3
            }),
            replayer: Replayer::new(ReplayerConfig::default()),
            loading: None,
            is_after_hole: false,
            faulty: Vec::new(),
            is_event_over: false,
        }
    }

    /// What the judgement of packets counted.
    pub fn judged(&self) -> &ReplayerCounters {
        self.replayer.counters()
    }

    /// Runs the replayer with these books, then tells it what they found wrong.
    fn with_replayer<R>(
        &mut self,
        sequence: u64,
        after: impl FnMut(&Books, u64, &[u8]),
        run: impl FnOnce(&mut Replayer, &mut Applier<'_, &mut dyn FnMut(&Books, u64, &[u8])>) -> R,
    ) -> R {
        let mut after = after;
        let mut applier = Applier {
            books: &mut self.books,
            faulty: &mut self.faulty,
            sequence,
            after: &mut after as &mut dyn FnMut(&Books, u64, &[u8]),
        };
        let ran = run(&mut self.replayer, &mut applier);
        self.distrust_faulty();
        ran
    }

    #[inline]
    fn distrust_faulty(&mut self) {
        while let Some((security_id, book)) = self.faulty.pop() {
            let mut doubter = Doubter(&mut self.books);
            self.replayer.distrust(security_id, book, &mut doubter);
        }
    }
}

impl Venue for CmeVenue {
    #[inline]
    fn books(&self) -> &Books {
        &self.books
    }

    #[inline]
    fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }

    fn apply(&mut self, run: Run<'_>, after: impl FnMut(&Books, u64, &[u8])) -> Taken {
        let next_sequence = run.first_sequence.saturating_add(1);
        let Ok(packet) = Packet::parse(run.payload) else {
            // The replayer finds its number missing.
            return Taken {
                next_sequence,
                is_whole: false,
            };
        };
        let sequence = run.first_sequence;
        let mut applier = Applier {
            books: &mut self.books,
            faulty: &mut self.faulty,
            sequence,
            after,
        };
        let stale = self.replayer.counters().stale_packets;
        self.replayer.on_packet(&packet, &mut applier);
        let is_stale = self.replayer.counters().stale_packets > stale;
        if let Some(root) = packet.messages().filter_map(|m| m.incremental()).last() {
            self.is_event_over = root.match_event_indicator() & END_OF_EVENT != 0;
        }
        self.distrust_faulty();
        // A packet that came again proves nothing.
        if !is_stale && std::mem::take(&mut self.is_after_hole) {
            self.books.trust_channel(next_sequence);
        }
        Taken {
            next_sequence,
            is_whole: u64::from(packet.sequence()) == sequence,
        }
    }

    /// The numbers of packets and of updates prove each book on its own. Only behind records that
    /// are missing or unreadable, before the next packet, nothing is known.
    fn doubt_all(&mut self, since: u64, cause: Cause) {
        match cause {
            Cause::JournalHole | Cause::MalformedRecord => {
                self.books.mark_suspect_all(since, cause);
                self.is_after_hole = true;
            }
            Cause::MessagesLost | Cause::SequenceBreak => {
                // At least this packet is missing; the next one tells how many.
                let next = u32::try_from(since.saturating_add(1)).unwrap_or(u32::MAX);
                self.with_replayer(
                    since,
                    |_, _, _| {},
                    |replayer, out| {
                        replayer.skip_to(next, out);
                    },
                );
            }
            // An instrument's first update is number 1, or its books are suspect.
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.replayer.restart(&mut NoDoubts);
        self.books.clear();
        self.loading = None;
        self.is_after_hole = false;
        self.is_event_over = false;
        self.faulty.clear();
    }

    fn begin_snapshot(&mut self, event: SnapshotEvent) -> Option<()> {
        let (security_id, book) = book_of(event.scope)?;
        self.loading = Some(Loading {
            event,
            security_id,
            book,
            packets: Vec::new(),
            bytes: 0,
        });
        Some(())
    }

    fn take_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        let Some(loading) = &mut self.loading else {
            return Some(());
        };
        loading.bytes += payload.len();
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
        let Loading {
            security_id,
            book,
            packets,
            ..
        } = loading;
        if loading.event != event || packets.len() as u64 != event.records {
            return None;
        }
        let cycle = Cycle::read(security_id, book, packets.iter().map(Vec::as_slice))?;
        let sequence = event.resume_sequence.saturating_sub(1);
        self.with_replayer(
            sequence,
            |_, _, _| {},
            |replayer, out| replayer.on_cycle(&cycle, out),
        );
        Some(None)
    }

    fn leave_snapshot(&mut self) {
        self.loading = None;
    }

    fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    fn channel_hash(&self) -> u64 {
        let prices = self.books.price_books().state_hash();
        self.books.channel_hash().wrapping_add(prices)
    }

    /// Within an event of the matching engine, which may span packets, books cross for a moment.
    fn crossing(&self) -> Crossing {
        if self.is_event_over {
            Crossing::ForbiddenIn(READY_TO_TRADE)
        } else {
            Crossing::Allowed
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_after_hole));
        out.push(self.books.config().scale.price_decimals);
        let ticks = self.books.named_ticks();
        // One of each instrument, which are limited to far less than 2^32.
        out.extend_from_slice(&(ticks.len() as u32).to_le_bytes());
        for (instrument, tick) in ticks {
            out.extend_from_slice(&instrument.to_le_bytes());
            out.extend_from_slice(&tick.to_le_bytes());
        }
        self.replayer.save(out);
        self.books.price_books().save(out);
    }

    fn restore(&mut self, mut saved: &[u8]) -> Result<(), &'static str> {
        let saved = &mut saved;
        let ([is_after_hole, decimals], rest) = saved
            .split_first_chunk()
            .ok_or("nothing of a CME channel")?;
        self.is_after_hole = *is_after_hole != 0;
        if !matches!(decimals, 7 | 9) {
            return Err("prices of neither seven nor nine decimals");
        }
        self.books.set_price_decimals(*decimals);
        *saved = rest;
        const CUT: &str = "the ticks of a CME channel are cut";
        let (count, rest) = saved.split_first_chunk().ok_or(CUT)?;
        *saved = rest;
        for _ in 0..u32::from_le_bytes(*count) {
            let (instrument, rest) = saved.split_first_chunk().ok_or(CUT)?;
            let (tick, rest) = rest.split_first_chunk().ok_or(CUT)?;
            let (instrument, tick) = (i64::from_le_bytes(*instrument), i64::from_le_bytes(*tick));
            self.books.set_named_tick(instrument, tick);
            *saved = rest;
        }
        self.replayer = Replayer::restore(*self.replayer.config(), saved)?;
        self.books.price_books_mut().restore(saved)?;
        if saved.is_empty() {
            Ok(())
        } else {
            Err("bytes behind the books by price")
        }
    }
}

impl<F: FnMut(&Books, u64, &[u8])> Applier<'_, F> {
    /// Applies an entry and returns whether it contradicted its book.
    #[inline]
    fn enter(&mut self, entry: &Entry<'_>) -> bool {
        match entry.book {
            Book::Prices => self.enter_price(entry),
            Book::Orders => {
                let change = match (entry.price_entry.and_then(PriceEntry::read), entry.bytes) {
                    (Some(price), bytes) => {
                        LinkedOrder::read(bytes).map(|order| CmeOrderChange::linked(order, price))
                    }
                    (None, bytes) => OrderEntry::read(bytes).map(CmeOrderChange::of),
                };
                // The replayer has checked the groups that entries are of.
                change.is_some_and(|change| {
                    self.books.cme_order(self.sequence, change).fault.is_some()
                })
            }
        }
    }

    /// Why a book becomes suspect: it was met in the middle of the session, or lost something.
    fn cause(&self, security_id: i32, book: Book) -> Cause {
        let is_new = match book {
            Book::Prices => self.books.is_new_by_price(security_id),
            Book::Orders => self.books.by_instrument(i64::from(security_id)).is_none(),
        };
        if is_new {
            Cause::MidSession
        } else {
            Cause::MessagesLost
        }
    }

    #[inline]
    fn enter_price(&mut self, entry: &Entry<'_>) -> bool {
        let template_id = entry.message.template_id();
        if matches!(template_id, template::BOOK | template::BOOK_9) {
            let price = PriceEntry::read(entry.bytes);
            return price.is_some_and(|price| self.books.cme_price(self.sequence, price).is_some());
        }
        false
    }
}

impl<F: FnMut(&Books, u64, &[u8])> Output for Applier<'_, F> {
    fn reset(&mut self, _: u32) {
        self.books.cme_reset();
    }

    fn load(&mut self, cycle: &Cycle) {
        let id = cycle.security_id;
        let sequence = u64::from(cycle.last_msg_seq_num_processed);
        let mut is_faulty = false;
        if cycle.book == Book::Orders {
            self.books.cme_begin_orders(id);
        }
        cycle.messages(|message| match message.view() {
            Ok(View::Snapshot { entries, .. }) => {
                let fault = self.books.cme_load_prices(sequence, id, entries.iter());
                is_faulty |= fault.is_some();
            }
            Ok(View::OrderSnapshot { entries, .. }) => {
                for order in entries.iter() {
                    let applied = self.books.cme_load_order(sequence, id, order);
                    is_faulty |= applied.fault.is_some();
                }
            }
            _ => is_faulty = true,
        });
        if is_faulty {
            self.faulty.push((id, cycle.book));
        }
    }

    #[inline]
    fn apply(&mut self, entry: Entry<'_>) {
        if self.enter(&entry) {
            self.faulty.push((entry.security_id, entry.book));
        }
    }

    #[inline]
    fn show(&mut self, entry: Entry<'_>) {
        self.enter(&entry);
    }

    fn after(&mut self, message: &Message<'_>) {
        note(self.books, message);
        (self.after)(self.books, self.sequence, message.bytes());
    }

    fn trust(&mut self, security_id: i32, book: Book, trust: Trust) {
        let doubt = match trust {
            Trust::Good => None,
            Trust::Suspect { since } => Some(Doubt {
                since: u64::from(since),
                cause: self.cause(security_id, book),
            }),
            Trust::Rebuilding => Some(Doubt {
                since: self.sequence,
                cause: Cause::SnapshotIncomplete,
            }),
        };
        match book {
            Book::Prices => self.books.cme_trust_prices(security_id, doubt),
            Book::Orders => self.books.cme_trust_orders(security_id, doubt),
        }
    }
}

/// Takes nothing: what is said was known, or is forgotten.
struct NoDoubts;

impl Output for NoDoubts {
    fn reset(&mut self, _: u32) {}

    fn load(&mut self, _: &Cycle) {}

    fn apply(&mut self, _: Entry<'_>) {}

    fn trust(&mut self, _: i32, _: Book, _: Trust) {}
}

/// Doubts books that entries contradicted, as they are.
struct Doubter<'a>(&'a mut Books);

impl Output for Doubter<'_> {
    fn reset(&mut self, _: u32) {}

    fn load(&mut self, _: &Cycle) {}

    fn apply(&mut self, _: Entry<'_>) {}

    fn trust(&mut self, security_id: i32, book: Book, trust: Trust) {
        let Trust::Suspect { since } = trust else {
            return;
        };
        let (since, cause) = (u64::from(since), Cause::BadEntry);
        let id = self.0.by_instrument(i64::from(security_id));
        match (book, id) {
            (Book::Prices, _) => {
                let doubt = Doubt { since, cause };
                self.0.cme_suspect_prices(security_id, doubt);
            }
            (Book::Orders, Some(id)) => self.0.suspect_book(id, since, cause),
            (Book::Orders, None) => {}
        }
    }
}

/// Takes the scale of prices from the messages that books are made of; before the first of them,
/// from definitions.
fn note_scale(books: &mut Books, message: &Message<'_>) {
    let has_scale = match message.template_id() {
        template::BOOK
        | template::BOOK_9
        | template::ORDER_BOOK
        | template::ORDER_BOOK_9
        | template::SNAPSHOT
        | template::SNAPSHOT_9
        | template::ORDER_SNAPSHOT
        | template::ORDER_SNAPSHOT_9 => true,
        template::FUTURE
        | template::FUTURE_9
        | template::SPREAD
        | template::SPREAD_9
        | template::OPTION
        | template::OPTION_9 => books.price_books().counters().events == 0,
        _ => false,
    };
    if has_scale {
        books.set_price_decimals(message.price_exponent().unsigned_abs());
    }
}

/// Counts a message, and takes what it says of instruments.
fn note(books: &mut Books, message: &Message<'_>) {
    books.count_message();
    note_scale(books, message);
    let view = message.view();
    let counters = books.price_books_mut().counters_mut();
    counters.newer_versions += u64::from(message.version() > SCHEMA_VERSION);
    match view {
        Ok(View::Book { .. } | View::OrderBook { .. }) => {}
        Ok(View::Trades { trades, .. }) => counters.trades += trades.len() as u64,
        Ok(View::OldTrades { trades, .. }) => counters.trades += trades.len() as u64,
        Ok(View::Volume { volumes, .. }) => counters.volumes += volumes.len() as u64,
        Ok(View::DailyStatistics { statistics, .. }) => {
            counters.statistics += statistics.len() as u64;
        }
        Ok(View::SessionStatistics { statistics, .. }) => {
            counters.statistics += statistics.len() as u64;
        }
        Ok(View::Limits { limits, .. }) => counters.statistics += limits.len() as u64,
        Ok(View::Definition(definition)) => books.cme_define(&definition),
        Ok(View::SecurityStatus(status)) => books.cme_status(&status),
        Ok(_) => counters.other += 1,
        Err(error) if error.reason() == "unknown_template" => counters.unknown_templates += 1,
        Err(_) => counters.malformed += 1,
    }
    let root = message.incremental();
    if root.is_some_and(|root| root.match_event_indicator() & END_OF_EVENT != 0) {
        books.price_books_mut().counters_mut().events += 1;
    }
}

/// The instrument and the book that a snapshot is of; the other way round of
/// [`SnapshotEvent::instrument`].
fn book_of(scope: i64) -> Option<(i32, Book)> {
    let book = match scope >> 32 {
        0 => Book::Prices,
        1 => Book::Orders,
        _ => return None,
    };
    // The low half is the instrument.
    Some((scope as u32 as i32, book))
}

#[cfg(test)]
mod tests;
