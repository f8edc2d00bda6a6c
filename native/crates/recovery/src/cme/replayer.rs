//! From the merged stream and the cycles to what a reader applies, entry by entry.

use tickdeck_wire::cme::{Message, OrderUpdate, Packet, Update, template};

use super::instruments::{Instruments, Orders, Prices};
use super::queue::Queue;
use super::{Book, Cycle, Trust};

mod saved;

/// Limits of a [`Replayer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayerConfig {
    /// Bytes of packets kept for suspect books; the oldest go first.
    pub max_bytes: usize,
    /// Instruments of each kind of book; updates of more are counted and not applied.
    pub max_instruments: usize,
}

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayerCounters {
    /// Packets taken.
    pub packets: u64,
    /// Packets that came again or too late.
    pub stale_packets: u64,
    /// Runs of packets that are missing.
    pub gaps: u64,
    /// Packets that are missing.
    pub lost_packets: u64,
    /// RptSeq jumped, or fell, after a packet was lost.
    pub jumps: u64,
    /// RptSeq jumped although no packet was lost since the instrument's last update.
    pub unexplained_jumps: u64,
    /// Losses that only a cycle revealed.
    pub revealed_losses: u64,
    /// Entries that the book had already.
    pub skipped_entries: u64,
    /// Entries of more instruments than there is room for.
    pub refused_entries: u64,
    /// Cycles loaded.
    pub cycles: u64,
    /// Cycles of books that need none.
    pub cycles_not_needed: u64,
    /// Cycles older than what is kept; the next loop is waited for.
    pub cycles_stale: u64,
    /// Packets dropped because the buffer was full.
    pub dropped_packets: u64,
    /// Messages that are not what their template says.
    pub malformed: u64,
    /// Channel resets.
    pub resets: u64,
}

/// An entry to apply.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Number of its packet.
    pub sequence: u32,
    /// The message it stands in, which says its layout.
    pub message: Message<'a>,
    /// The instrument.
    pub security_id: i32,
    /// Which of its books.
    pub book: Book,
    /// Its number among the instrument's updates; by order 0, there is none.
    pub rpt_seq: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// By order, the price entry it belongs to, if any.
    pub price_entry: Option<&'a [u8]>,
}

/// Takes what a [`Replayer`] puts out, in order.
pub trait Output {
    /// Every book and statistic of the channel is empty from here on.
    fn reset(&mut self, sequence: u32);
    /// The book is from here on what the cycle says.
    fn load(&mut self, cycle: &Cycle);
    /// The book's next update.
    fn apply(&mut self, entry: Entry<'_>);
    /// An update of a book that is suspect. It will be applied when a cycle has come; until then it
    /// may be shown, but nothing proves it. By price it follows the one before, unless `trust` says
    /// once more that the book is suspect.
    fn show(&mut self, entry: Entry<'_>) {
        let _ = entry;
    }
    /// All entries of the message have been put out, or it has none.
    fn after(&mut self, message: &Message<'_>) {
        let _ = message;
    }
    /// The book is trusted like this from here on.
    fn trust(&mut self, security_id: i32, book: Book, trust: Trust);
}

/// Judges every book of a channel and says what to apply; see the module's documentation.
///
/// By price, a Good book of which nothing came since the last gap may still lack its last update;
/// [`Replayer::on_cycle`] finds that out.
#[derive(Debug)]
pub struct Replayer {
    config: ReplayerConfig,
    /// The last packet taken; 0 before the first.
    last: u32,
    /// From this packet on none is missing.
    whole_from: u32,
    /// None is missing since the channel was empty.
    is_whole: bool,
    /// The numbers began again and no packet came since.
    is_restarted: bool,
    /// A cycle that was sent before is of the numbers before the last restart.
    began_ns: u64,
    instruments: Instruments,
    suspects: usize,
    queue: Queue,
    counters: ReplayerCounters,
}

impl Default for ReplayerConfig {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_instruments: 65_536,
        }
    }
}

impl Replayer {
    /// A replayer that has seen nothing.
    pub fn new(config: ReplayerConfig) -> Self {
        Self {
            config,
            last: 0,
            whole_from: 0,
            is_whole: false,
            is_restarted: false,
            began_ns: 0,
            instruments: Instruments::new(config.max_instruments),
            suspects: 0,
            queue: Queue::new(config.max_bytes),
            counters: ReplayerCounters::default(),
        }
    }

    /// Takes the next packet of the merged stream. A number that is left out was lost.
    pub fn on_packet(&mut self, packet: &Packet<'_>, out: &mut impl Output) {
        let sequence = packet.sequence();
        if sequence <= self.last {
            self.counters.stale_packets += 1;
            return;
        }
        self.counters.packets += 1;
        if self.last == 0 {
            self.whole_from = sequence;
            self.is_whole = sequence == 1;
            if std::mem::take(&mut self.is_restarted) {
                self.began_ns = packet.sending_time_ns();
            }
        } else if sequence > self.last + 1 {
            self.on_gap(sequence, out);
        }
        self.last = sequence;
        for message in packet.messages() {
            self.on_message(&message, out);
            out.after(&message);
        }
        if self.suspects > 0 {
            self.counters.dropped_packets += self.queue.push(sequence, packet.bytes());
        }
    }

    /// Takes a book that the snapshot channel brought whole. True when it was loaded.
    pub fn on_cycle(&mut self, cycle: &Cycle, out: &mut impl Output) -> bool {
        if self.last == 0 || cycle.sent_ns < self.began_ns {
            self.counters.cycles_stale += 1;
            return false;
        }
        let Some(since) = self.needs(cycle, out) else {
            self.counters.cycles_not_needed += 1;
            return false;
        };
        if !self.reaches(cycle, since) {
            self.counters.cycles_stale += 1;
            return false;
        }
        if !self.load(cycle, out) {
            return false;
        }
        self.counters.cycles += 1;
        self.catch_up(cycle, out);
        if self.suspects == 0 {
            self.queue.clear();
        }
        true
    }

    /// No packet before this one will come: what is missing is lost, although none behind it came
    /// yet.
    pub fn skip_to(&mut self, sequence: u32, out: &mut impl Output) {
        if self.last > 0 && sequence > self.last + 1 {
            self.on_gap(sequence, out);
            self.last = sequence - 1;
        }
    }

    /// What was applied to the book contradicts it: its next cycle is waited for.
    pub fn distrust(&mut self, security_id: i32, book: Book, out: &mut impl Output) {
        // Only a cycle that reaches the packets kept, or includes the entry, will do.
        let first = self.queue.first();
        let since = first.map_or(self.last, |first| first.saturating_sub(1));
        let trust = match book {
            Book::Prices => self.instruments.prices(security_id).map(|b| &mut b.trust),
            Book::Orders => self.instruments.orders(security_id).map(|b| &mut b.trust),
        };
        if let Some(trust) = trust.filter(|trust| **trust == Trust::Good) {
            *trust = Trust::Suspect { since };
            let trust = *trust;
            self.suspects += 1;
            out.trust(security_id, book, trust);
        }
    }

    /// The numbers of the channel begin again, as each week: everything is forgotten.
    pub fn restart(&mut self, out: &mut impl Output) {
        self.empty(out);
        self.instruments.forget();
        (self.last, self.whole_from, self.is_whole) = (0, 0, false);
        self.is_restarted = true;
    }

    /// How far a book is to be trusted; `None` when it was never seen.
    pub fn trust(&self, security_id: i32, book: Book) -> Option<Trust> {
        self.instruments.trust(security_id, book)
    }

    /// The books that wait for a cycle.
    pub fn suspects(&self) -> impl Iterator<Item = (i32, Book)> {
        self.instruments.suspects()
    }

    /// Packets kept for them, and their bytes.
    pub fn buffered(&self) -> (usize, usize) {
        (self.queue.len(), self.queue.bytes())
    }

    /// The limits.
    pub fn config(&self) -> &ReplayerConfig {
        &self.config
    }

    /// What was counted so far.
    pub fn counters(&self) -> &ReplayerCounters {
        &self.counters
    }

    /// Packets are missing before `sequence`: by order nothing but the packets' numbers guards a
    /// book, so all are suspect but those whose cycle includes what is missing.
    fn on_gap(&mut self, sequence: u32, out: &mut impl Output) {
        self.counters.gaps += 1;
        self.counters.lost_packets += u64::from(sequence - self.last - 1);
        self.break_after(sequence - 1, out);
    }

    fn on_message(&mut self, message: &Message<'_>, out: &mut impl Output) {
        if message.template_id() == template::CHANNEL_RESET {
            self.counters.resets += 1;
            self.empty(out);
            (self.whole_from, self.is_whole) = (self.last.saturating_add(1), true);
            return;
        }
        let (Ok(updates), Ok(orders)) = (message.rpt_seqs(), message.order_updates()) else {
            self.counters.malformed += 1;
            self.on_unreadable(message, out);
            return;
        };
        for update in updates {
            self.on_update(&update, message, out);
        }
        for order in orders {
            self.on_order(&order, message, out);
        }
    }

    /// Changes of books are in a message that cannot be read, as if its packet were missing: by price
    /// the RptSeqs tell, by order nothing else does.
    fn on_unreadable(&mut self, message: &Message<'_>, out: &mut impl Output) {
        let changes_books = matches!(
            message.template_id(),
            template::BOOK | template::BOOK_9 | template::ORDER_BOOK | template::ORDER_BOOK_9
        );
        if changes_books {
            self.break_after(self.last, out);
        }
    }

    /// What came up to this packet is not whole: only cycles that include it will do.
    fn break_after(&mut self, sequence: u32, out: &mut impl Output) {
        let since = sequence.saturating_add(1);
        self.whole_from = since;
        self.is_whole = false;
        self.queue.clear();
        for (security_id, orders) in self.instruments.all_orders() {
            if orders.trust == Trust::Good && orders.includes < sequence {
                orders.trust = Trust::Suspect { since };
                self.suspects += 1;
                out.trust(security_id, Book::Orders, orders.trust);
            }
        }
    }

    fn on_update(&mut self, update: &Update<'_>, message: &Message<'_>, out: &mut impl Output) {
        let (security_id, rpt_seq) = (update.security_id, update.rpt_seq);
        let sequence = self.last;
        let Some(prices) = self.instruments.prices(security_id) else {
            self.on_first_update(update, message, out);
            return;
        };
        let before = std::mem::replace(&mut prices.touched, sequence);
        // The numbers only fall by a channel reset: it was among the packets that are missing.
        let falls = before < self.whole_from && sequence > prices.includes;
        match prices.trust {
            Trust::Good if rpt_seq == prices.rpt_seq.wrapping_add(1) => {
                prices.rpt_seq = rpt_seq;
                out.apply(entry_of(update, message, sequence));
            }
            Trust::Good if rpt_seq <= prices.rpt_seq && !falls => {
                self.counters.skipped_entries += 1;
            }
            Trust::Good => {
                prices.trust = Trust::Suspect { since: sequence };
                let trust = prices.trust;
                if before < self.whole_from {
                    self.counters.jumps += 1;
                } else {
                    self.counters.unexplained_jumps += 1;
                }
                prices.rpt_seq = rpt_seq;
                self.suspects += 1;
                out.trust(security_id, Book::Prices, trust);
                out.show(entry_of(update, message, sequence));
            }
            // It stays in the queue until a cycle comes. What was shown before a jump is of no use.
            trust @ (Trust::Suspect { .. } | Trust::Rebuilding) => {
                let goes_on = rpt_seq == prices.rpt_seq.wrapping_add(1);
                prices.rpt_seq = rpt_seq;
                if !goes_on {
                    out.trust(security_id, Book::Prices, trust);
                }
                out.show(entry_of(update, message, sequence));
            }
        }
    }

    /// An instrument is believed from its first update on when that is number 1.
    fn on_first_update(
        &mut self,
        update: &Update<'_>,
        message: &Message<'_>,
        out: &mut impl Output,
    ) {
        let sequence = self.last;
        let trust = match update.rpt_seq {
            1 => Trust::Good,
            _ => Trust::Suspect { since: sequence },
        };
        let prices = Prices {
            trust,
            rpt_seq: update.rpt_seq,
            touched: sequence,
            includes: 0,
        };
        if !self.instruments.set_prices(update.security_id, prices) {
            self.counters.refused_entries += 1;
            return;
        }
        out.trust(update.security_id, Book::Prices, trust);
        if trust == Trust::Good {
            out.apply(entry_of(update, message, sequence));
        } else {
            self.suspects += 1;
            out.show(entry_of(update, message, sequence));
        }
    }

    fn on_order(&mut self, order: &OrderUpdate<'_>, message: &Message<'_>, out: &mut impl Output) {
        let sequence = self.last;
        let security_id = order.security_id;
        let orders = match self.instruments.orders(security_id) {
            Some(orders) => *orders,
            None => {
                let trust = if self.is_whole {
                    Trust::Good
                } else {
                    Trust::Suspect { since: sequence }
                };
                let orders = Orders { trust, includes: 0 };
                if !self.instruments.set_orders(security_id, orders) {
                    self.counters.refused_entries += 1;
                    return;
                }
                self.suspects += usize::from(!self.is_whole);
                out.trust(security_id, Book::Orders, trust);
                orders
            }
        };
        if orders.trust != Trust::Good {
            out.show(order_entry_of(order, message, sequence));
            return;
        }
        if sequence <= orders.includes {
            self.counters.skipped_entries += 1;
        } else {
            out.apply(order_entry_of(order, message, sequence));
        }
    }

    /// Since which packet the cycle's book is suspect; `None` when it needs no cycle. A book that
    /// was never seen needs one, and nothing since.
    fn needs(&mut self, cycle: &Cycle, out: &mut impl Output) -> Option<u32> {
        let trust = self.instruments.trust(cycle.security_id, cycle.book);
        match trust {
            None => Some(u32::MAX),
            Some(Trust::Suspect { since }) => Some(since),
            Some(_) if cycle.book == Book::Orders => None,
            Some(_) => {
                let prices = self.instruments.prices(cycle.security_id)?;
                let of = cycle.last_msg_seq_num_processed;
                let is_silent = prices.touched < self.whole_from;
                let is_newer = of >= prices.touched && of > prices.includes;
                let falls = cycle.rpt_seq < prices.rpt_seq && is_silent && is_newer;
                if of > self.last || (cycle.rpt_seq <= prices.rpt_seq && !falls) {
                    return None;
                }
                // Its last update, or a channel reset, was lost and none came since.
                let since = self.last.saturating_add(1);
                prices.trust = Trust::Suspect { since };
                self.suspects += 1;
                self.counters.revealed_losses += 1;
                out.trust(cycle.security_id, Book::Prices, prices.trust);
                Some(since)
            }
        }
    }

    /// Whether every packet behind the cycle that may concern a book suspect since then was
    /// applied or is in the queue.
    fn reaches(&self, cycle: &Cycle, since: u32) -> bool {
        let next = cycle.last_msg_seq_num_processed.saturating_add(1);
        let queued = self.queue.first().unwrap_or(self.last.saturating_add(1));
        next >= self.whole_from && (queued <= since || next >= queued)
    }

    /// Hands the cycle over; false when there is no room for one more instrument.
    fn load(&mut self, cycle: &Cycle, out: &mut impl Output) -> bool {
        let was = self.instruments.trust(cycle.security_id, cycle.book);
        let has_room = match cycle.book {
            Book::Prices => {
                let prices = Prices {
                    trust: Trust::Good,
                    rpt_seq: cycle.rpt_seq,
                    touched: self.last,
                    includes: cycle.last_msg_seq_num_processed,
                };
                self.instruments.set_prices(cycle.security_id, prices)
            }
            Book::Orders => {
                let orders = Orders {
                    trust: Trust::Good,
                    includes: cycle.last_msg_seq_num_processed,
                };
                self.instruments.set_orders(cycle.security_id, orders)
            }
        };
        if !has_room {
            self.counters.refused_entries += cycle.entries;
            return false;
        }
        self.suspects -= usize::from(matches!(was, Some(Trust::Suspect { .. })));
        out.trust(cycle.security_id, cycle.book, Trust::Rebuilding);
        out.load(cycle);
        true
    }

    /// Applies what came behind the cycle; the book is Good then, unless by price an update is
    /// still missing.
    fn catch_up(&mut self, cycle: &Cycle, out: &mut impl Output) {
        let last = self.last;
        let queue = std::mem::replace(&mut self.queue, Queue::new(0));
        for packet in queue.behind(cycle.last_msg_seq_num_processed) {
            let packet = Packet::parse(packet).expect("only parsed packets are kept");
            // Entries are judged as of their packet.
            self.last = packet.sequence();
            for message in packet.messages() {
                self.catch_up_with(&message, cycle, out);
            }
        }
        (self.queue, self.last) = (queue, last);
        if self.trust(cycle.security_id, cycle.book) == Some(Trust::Good) {
            out.trust(cycle.security_id, cycle.book, Trust::Good);
        }
    }

    fn catch_up_with(&mut self, message: &Message<'_>, cycle: &Cycle, out: &mut impl Output) {
        let is_of = |security_id| security_id == cycle.security_id;
        match cycle.book {
            Book::Prices => {
                let updates = message.rpt_seqs().into_iter().flatten();
                for update in updates.filter(|update| is_of(update.security_id)) {
                    self.on_update(&update, message, out);
                }
            }
            Book::Orders => {
                let orders = message.order_updates().into_iter().flatten();
                for order in orders.filter(|order| is_of(order.security_id)) {
                    self.on_order(&order, message, out);
                }
            }
        }
    }

    fn empty(&mut self, out: &mut impl Output) {
        self.instruments.clear();
        self.suspects = 0;
        self.queue.clear();
        out.reset(self.last);
    }
}

fn entry_of<'a>(update: &Update<'a>, message: &Message<'a>, sequence: u32) -> Entry<'a> {
    Entry {
        sequence,
        message: *message,
        security_id: update.security_id,
        book: Book::Prices,
        rpt_seq: update.rpt_seq,
        bytes: update.entry,
        price_entry: None,
    }
}

fn order_entry_of<'a>(order: &OrderUpdate<'a>, message: &Message<'a>, sequence: u32) -> Entry<'a> {
    Entry {
        sequence,
        message: *message,
        security_id: order.security_id,
        book: Book::Orders,
        rpt_seq: 0,
        bytes: order.entry,
        price_entry: order.price_entry,
    }
}
