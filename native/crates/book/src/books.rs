//! All books of a channel: the directory of instruments, their orders, and how far each is trusted.

use std::collections::HashMap;

use crate::fault::{Counters, Fault};
use crate::hash::{self, Width};
use crate::price_book::{PriceBook, PriceBooks};
use crate::slab::NONE;
use crate::store::Store;
use crate::ticks::{TickRules, TickTable};
use crate::trust::{Cause, ChannelTrust, Doubt, OpenGap, Phase, Trust};
use crate::types::{BookId, OrderView, Symbol};
use crate::view::BookView;

/// Instrument numbers below this are looked up in an array.
const SMALL_NUMBERS: usize = 1 << 16;

/// What is reserved at the start, and the limit on growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BooksConfig {
    /// Resting orders that fit before anything has to grow.
    pub initial_orders: usize,
    /// Resting orders at most; further ones are refused and counted. 32 bytes and up to 64 of index
    /// each.
    pub max_orders: usize,
    /// Price levels per side of a book that fit before its array has to grow.
    pub levels_per_side: usize,
    /// Within what an order reference names one order.
    pub scope: KeyScope,
    /// Orders queue by a priority that the venue names, not by arrival.
    pub has_priorities: bool,
    /// How wide prices and quantities are in snapshots and hashes.
    pub width: Width,
    /// Decimals of prices and quantities.
    pub scale: Scale,
}

/// Decimals of a venue's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// A price of 1 is 10 to the minus this.
    pub price_decimals: u8,
    /// A quantity of 1 is 10 to the minus this.
    pub quantity_decimals: u8,
}

/// Within what an order reference names one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// Within the channel (ITCH: order reference number).
    #[default]
    Channel,
    /// Within an instrument (CME: OrderID).
    Book,
    /// Within a side of an instrument (EOBI: TrdRegTSTimePriority).
    BookSide,
}

impl BooksConfig {
    /// CME MDP 3.0: the same sizes; orders queue by a priority, prices are in 10⁻⁹ (10⁻⁷ of
    /// messages before version 9).
    pub const CME_MDP3: Self = Self {
        scope: KeyScope::Book,
        has_priorities: true,
        width: Width::Wide,
        scale: Scale {
            price_decimals: 9,
            quantity_decimals: 0,
        },
        ..Self::ITCH50
    };

    /// ITCH 5.0: 65,536 orders at the start, 67 million at most, 64 levels per side.
    pub const ITCH50: Self = Self {
        initial_orders: 65_536,
        max_orders: 1 << 26,
        levels_per_side: 64,
        scope: KeyScope::Channel,
        has_priorities: false,
        width: Width::Narrow,
        scale: Scale {
            price_decimals: 4,
            quantity_decimals: 0,
        },
    };
}

impl BooksConfig {
    /// T7 EOBI: as for ITCH, with orders named by side and priority, prices in units of 10⁻⁸ and
    /// quantities of 10⁻⁴.
    pub const EOBI: Self = Self {
        scope: KeyScope::BookSide,
        width: Width::Wide,
        scale: Scale {
            price_decimals: 8,
            quantity_decimals: 4,
        },
        // Most instruments are options with few orders.
        levels_per_side: 16,
        ..Self::ITCH50
    };
}

impl Default for BooksConfig {
    fn default() -> Self {
        Self::ITCH50
    }
}

/// What a message did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The book whose orders changed.
    pub book: Option<BookId>,
    /// What was wrong with the message.
    pub fault: Option<Fault>,
}

/// All books of a channel.
pub struct Books {
    pub(crate) config: BooksConfig,
    pub(crate) store: Store,
    pub(crate) tick_rules: TickRules,
    /// Ticks by the venue's number, for books by price: looked for once, or named by the venue.
    pub(crate) ticks_by_price: HashMap<i64, Option<TickTable>>,
    /// Price steps that definitions of the venue name, by instrument.
    pub(crate) named_ticks: std::collections::BTreeMap<i64, i64>,
    pub(crate) listings: Vec<Listing>,
    /// Book of each small instrument number (ITCH: stock locate code), or [`NONE`].
    by_locate: Vec<u32>,
    /// Book of each other instrument number.
    by_number: HashMap<i64, BookId>,
    pub(crate) trust: ChannelTrust,
    /// Books by price, where the venue has them.
    pub(crate) prices: PriceBooks,
    pub(crate) counters: Counters,
    pub(crate) system_event: u8,
    doubted_books: usize,
    /// Books that are not known yet may be wrong: a product of which nothing could be applied.
    pub(crate) unnamed_doubt: Option<Doubt>,
}

/// What is known of an instrument beside its orders.
#[derive(Clone, Copy)]
pub(crate) struct Listing {
    /// ITCH: stock locate code; EOBI and CME: SecurityID.
    pub(crate) instrument: i64,
    pub(crate) trading_state: u8,
    pub(crate) symbol: Symbol,
    pub(crate) doubt: Option<Doubt>,
}

impl Books {
    /// Empty books with the configured reserves.
    pub fn new(config: BooksConfig) -> Self {
        Self {
            config,
            store: Store::new(config),
            tick_rules: TickRules::default(),
            ticks_by_price: HashMap::new(),
            named_ticks: std::collections::BTreeMap::new(),
            listings: Vec::new(),
            by_locate: vec![NONE; SMALL_NUMBERS],
            by_number: HashMap::new(),
            trust: ChannelTrust::new(),
            prices: PriceBooks::default(),
            counters: Counters::default(),
            system_event: 0,
            doubted_books: 0,
            unnamed_doubt: None,
        }
    }

    /// What the books were made with.
    pub fn config(&self) -> &BooksConfig {
        &self.config
    }

    /// Empties everything for a new session: orders, directory, doubts. Counters go on.
    pub fn clear(&mut self) {
        self.store.clear();
        self.listings.clear();
        self.by_locate.fill(NONE);
        self.by_number.clear();
        self.trust.clear();
        self.prices.clear();
        self.ticks_by_price.clear();
        self.named_ticks.clear();
        self.system_event = 0;
        self.doubted_books = 0;
        self.unnamed_doubt = None;
    }

    /// Empties orders and directory for a snapshot of the venue's. Open gaps stay open.
    pub(crate) fn begin_anew(&mut self) {
        self.store.clear();
        self.listings.clear();
        self.by_locate.fill(NONE);
        self.by_number.clear();
        self.trust.restore(0);
        self.doubted_books = 0;
    }

    /// Doubts every book of the channel until the next session. The first cause stays,
    /// unless only the later one says that the books are wrong.
    pub fn mark_suspect_all(&mut self, since: u64, cause: Cause) {
        self.trust.doubt_all(Doubt { since, cause });
    }

    /// Doubts every book while messages `first..=last` are missing.
    pub fn open_gap(&mut self, id: u64, first: u64, last: u64) {
        self.trust.open_gap(OpenGap { id, first, last });
    }

    /// Ends the doubt of a gap that was filled.
    pub fn close_gap(&mut self, id: u64) {
        self.trust.close_gap(id);
    }

    /// Says where the books stand in their source.
    pub fn set_phase(&mut self, phase: Phase) {
        self.trust.phase = phase;
    }

    /// Where the books stand in their source.
    pub fn phase(&self) -> Phase {
        self.trust.phase
    }

    /// How many books there are.
    pub fn len(&self) -> usize {
        self.listings.len()
    }

    /// Whether there is no book yet.
    pub fn is_empty(&self) -> bool {
        self.listings.is_empty()
    }

    /// Resting orders of all books.
    pub fn order_count(&self) -> usize {
        self.store.orders.len()
    }

    /// One book. The id must come from these books and from after the last [`Self::clear`].
    pub fn view(&self, id: BookId) -> BookView<'_> {
        BookView::new(self, id)
    }

    /// Every book, in the order in which they were first named.
    pub fn iter(&self) -> impl Iterator<Item = BookView<'_>> {
        (0..self.listings.len() as u32).map(|id| self.view(BookId(id)))
    }

    /// The book of a symbol; the first one, should the venue have named two alike.
    pub fn by_symbol(&self, symbol: &[u8]) -> Option<BookView<'_>> {
        self.iter().find(|book| book.symbol().as_bytes() == symbol)
    }

    /// The book of an instrument by the venue's number (ITCH: stock locate code).
    #[inline]
    pub fn by_instrument(&self, instrument: i64) -> Option<BookId> {
        match usize::try_from(instrument) {
            Ok(small) if small < SMALL_NUMBERS => {
                let id = self.by_locate[small];
                (id != NONE).then_some(BookId(id))
            }
            _ => self.by_number.get(&instrument).copied(),
        }
    }

    /// The number of the book of a stock locate code, or [`NONE`].
    #[inline]
    pub(crate) fn book_of_locate(&self, locate: u16) -> u32 {
        self.by_locate[usize::from(locate)]
    }

    /// The books by price beside; none where the venue has orders only.
    pub fn price_books(&self) -> &PriceBooks {
        &self.prices
    }

    /// The same, to save or restore them, and to count what was read.
    pub fn price_books_mut(&mut self) -> &mut PriceBooks {
        &mut self.prices
    }

    /// How far an instrument's book by price can be believed.
    pub fn price_trust(&self, book: &PriceBook) -> Trust {
        self.trust
            .doubt()
            .or(book.doubt())
            .map_or_else(|| self.phase_trust(), Trust::Suspect)
    }

    /// Ends the doubt that records of the channel are missing or unreadable: the venue's numbers
    /// prove its books, each on its own. Books known to be wrong stay so.
    pub fn trust_channel(&mut self, next_sequence: u64) {
        self.trust.prove(next_sequence);
    }

    /// How many books are suspect, by order and by price.
    pub fn suspect_count(&self) -> usize {
        if self.trust.is_doubtful() {
            self.listings.len() + self.prices.len()
        } else {
            self.doubted_books + self.prices.suspect_count()
        }
    }

    /// How far the channel as a whole can be believed: the worst that holds for any of its books.
    pub fn channel_trust(&self) -> Trust {
        let of_orders = || self.listings.iter().find_map(|listing| listing.doubt);
        let of_a_book = || match self.doubted_books {
            0 => self.prices.first_doubt(),
            _ => of_orders(),
        };
        match self.trust.doubt() {
            Some(doubt) => Trust::Suspect(doubt),
            None => {
                let doubt = of_a_book().or(self.unnamed_doubt);
                doubt.map_or_else(|| self.phase_trust(), Trust::Suspect)
            }
        }
    }

    /// A hash of every resting order and of the instrument it belongs to. As
    /// [`BookView::state_hash`] it depends neither on the way to the orders nor on where they lie;
    /// it is what a checkpoint in the journal carries.
    ///
    /// Walks the pool from end to end, not the queues: 10 to 40 ns an order, which is the look at
    /// its level's price.
    pub fn channel_hash(&self) -> u64 {
        hash::channel_hash(self.store.orders.iter().map(|(_, order)| {
            let (book, side) = (order.place.book(), order.place.side());
            let (reference, quantity) = (order.reference, order.quantity);
            let price = self.store.levels[order.level].price;
            let view = OrderView {
                side,
                price,
                reference,
                quantity,
            };
            (self.listings[book.0 as usize].instrument, view)
        }))
    }

    /// What was applied, and what was wrong.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Last system event code of the venue (S message), 0 before the first.
    pub fn system_event(&self) -> u8 {
        self.system_event
    }

    /// How often a pool or the order index outgrew its reserve (`orderbook_slab_grows_total`).
    pub fn slab_grows(&self) -> u64 {
        self.store.slab_grows()
    }

    /// How often an array of levels outgrew its reserve (`orderbook_depth_vec_grows_total`).
    pub fn depth_vec_grows(&self) -> u64 {
        self.store.depth_grows()
    }

    /// How far one book can be believed.
    pub(crate) fn trust_of(&self, id: BookId) -> Trust {
        let own = self.listings[id.0 as usize].doubt;
        self.trust
            .doubt()
            .or(own)
            .map_or_else(|| self.phase_trust(), Trust::Suspect)
    }

    /// The book of an instrument, made when there is none yet.
    #[inline]
    pub(crate) fn book_for(&mut self, instrument: i64, symbol: impl FnOnce() -> Symbol) -> BookId {
        self.by_instrument(instrument).unwrap_or_else(|| {
            self.add_listing(Listing {
                instrument,
                trading_state: 0,
                symbol: symbol(),
                doubt: None,
            })
        })
    }

    pub(crate) fn add_listing(&mut self, listing: Listing) -> BookId {
        let id = self.store.add_book();
        match usize::try_from(listing.instrument) {
            Ok(small) if small < SMALL_NUMBERS => self.by_locate[small] = id.0,
            _ => {
                self.by_number.insert(listing.instrument, id);
            }
        }
        self.doubted_books += usize::from(listing.doubt.is_some());
        self.listings.push(listing);
        self.find_ticks(id);
        id
    }

    /// Doubts one book until the next session, or until [`Self::trust_book`]. The first cause
    /// stays.
    pub fn suspect_book(&mut self, id: BookId, since: u64, cause: Cause) {
        self.doubt_book(id, Doubt { since, cause });
    }

    /// Ends the doubt about one book: the venue's snapshot has made it whole again.
    pub fn trust_book(&mut self, id: BookId) {
        let own = self.listings[id.0 as usize].doubt.take();
        self.doubted_books -= usize::from(own.is_some());
    }

    /// The doubt about one book alone, whatever holds for its channel.
    pub fn doubt_of(&self, id: BookId) -> Option<Doubt> {
        self.listings[id.0 as usize].doubt
    }

    /// Doubts one book until the next session. The first cause stays.
    pub(crate) fn doubt_book(&mut self, id: BookId, doubt: Doubt) {
        let own = &mut self.listings[id.0 as usize].doubt;
        if own.is_none() {
            *own = Some(doubt);
            self.doubted_books += 1;
        }
    }

    fn phase_trust(&self) -> Trust {
        match self.trust.phase {
            Phase::Live => Trust::Good,
            Phase::Rebuilding => Trust::Rebuilding,
            Phase::Stale => Trust::Stale,
        }
    }
}
