//! Reading one book: touch, depth, queues, hashes, trust.

use crate::books::{Books, Listing, Scale};
use crate::hash;
use crate::ladder::Ladder;
use crate::ticks::TickTable;
use crate::trust::Trust;
use crate::types::{BookId, LevelView, OrderView, Side, Symbol};

/// One book, borrowed for reading.
#[derive(Clone, Copy)]
pub struct BookView<'a> {
    books: &'a Books,
    id: BookId,
}

impl<'a> BookView<'a> {
    pub(crate) fn new(books: &'a Books, id: BookId) -> Self {
        Self { books, id }
    }

    /// The handle of this book.
    pub fn id(&self) -> BookId {
        self.id
    }

    /// The instrument's name.
    pub fn symbol(&self) -> Symbol {
        self.listing().symbol
    }

    /// The venue's number for the instrument (ITCH: stock locate code of this day).
    pub fn instrument(&self) -> i64 {
        self.listing().instrument
    }

    /// Last trading state (H message: `T`, `H`, `P`, `Q`), 0 before the first.
    pub fn trading_state(&self) -> u8 {
        self.listing().trading_state
    }

    /// How far this book can be believed.
    pub fn trust(&self) -> Trust {
        self.books.trust_of(self.id)
    }

    /// Resting orders on both sides.
    pub fn orders(&self) -> u32 {
        self.books.store.order_counts[self.id.0 as usize]
    }

    /// Price levels of one side.
    pub fn levels(&self, side: Side) -> usize {
        self.ladder(side).len()
    }

    /// The best level of one side.
    pub fn best(&self, side: Side) -> Option<LevelView> {
        self.ladder(side)
            .best()
            .map(|rung| self.books.store.level_view(rung.level))
    }

    /// The best `count` levels of one side, best first.
    pub fn top_n(&self, side: Side, count: usize) -> impl Iterator<Item = LevelView> + use<'a> {
        let books = self.books;
        self.ladder(side)
            .best_first()
            .take(count)
            .map(|rung| books.store.level_view(rung.level))
    }

    /// Every order of one side: best price first, each level in queue order.
    pub fn queue(&self, side: Side) -> impl Iterator<Item = OrderView> + use<'a> {
        let orders = self.books.store.queue(self.id, side);
        orders.map(|(_, order)| order)
    }

    /// How its prices and quantities are read.
    pub fn scale(&self) -> Scale {
        self.books.config().scale
    }

    /// The steps in which it is priced, where they are known.
    pub fn ticks(&self) -> Option<&'a TickTable> {
        self.books.store.ticks.of(self.id)
    }

    /// The tick at the best bid, or else at the best ask; at a price of 0 in an empty book.
    pub fn tick(&self) -> Option<i64> {
        let best = Side::BOTH.into_iter().find_map(|side| self.best(side));
        let price = best.map_or(0, |level| level.price);
        Some(self.ticks()?.at(price))
    }

    /// Ticks from the best bid up to the best ask; `None` when a side is empty, the book crossed,
    /// or one of them off the tick.
    pub fn spread_ticks(&self) -> Option<u64> {
        let (bid, ask) = (self.best(Side::Bid)?, self.best(Side::Ask)?);
        self.ticks()?.steps(bid.price, ask.price)
    }

    /// Whether the best bid is at or above the best ask: locked or crossed.
    pub fn is_crossed(&self) -> bool {
        match (self.best(Side::Bid), self.best(Side::Ask)) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// SHA-256 over every order in price-time order: see [`hash::queue_sha256`].
    pub fn queue_sha256(&self) -> [u8; 32] {
        let orders = Side::BOTH.into_iter().flat_map(|side| self.queue(side));
        hash::queue_sha256(orders, self.books.config().width)
    }

    /// A hash of the resting orders that does not depend on the way to them:
    /// see [`hash::state_hash`].
    pub fn state_hash(&self) -> u64 {
        hash::state_hash(Side::BOTH.into_iter().flat_map(|side| self.queue(side)))
    }

    fn listing(&self) -> &'a Listing {
        &self.books.listings[self.id.0 as usize]
    }

    fn ladder(&self, side: Side) -> &'a Ladder {
        self.books.store.books[self.id.0 as usize].side(side)
    }
}
