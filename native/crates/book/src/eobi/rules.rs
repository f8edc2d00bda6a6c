//! What differs by venue and product of the interface: names of orders, books in auctions.

/// How orders are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// By TrdRegTSTimePriority, unique within the product (Eurex, Xetra). An order without one is
    /// counted as nameless and left out.
    #[default]
    Priority,
    /// By its terms: the venue leaves priorities unused. A message means the first order of its
    /// price with its quantity, an execution the first order of its price. Where several orders have
    /// the same terms the choice may be wrong in its place, never in its sums; it is counted.
    Terms,
}

/// What becomes of a displayed book when an auction begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuctionRule {
    /// It is closed: nothing says so, the book is emptied. All orders are sent again behind the
    /// auction (derivatives; the default).
    #[default]
    Closed,
    /// It stays open and goes on (cash products with ClosedBookIndicator 0 in the reference data).
    Open,
}

/// The rules of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EobiConfig {
    /// How orders are named.
    pub keys: KeyRule,
    /// What holds for products that are not named below. Without reference data: closed, since an
    /// order that is sent again replaces its twin, while one that was never deleted would stay.
    pub auction: AuctionRule,
    /// Products (MarketSegmentID) for which the other rule holds.
    pub other_auction: Vec<i32>,
}

/// SecurityTradingStatus, as far as books depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradingStatus(pub u8);

impl EobiConfig {
    /// What becomes of the books of a product in an auction.
    pub fn auction_rule(&self, product: i32) -> AuctionRule {
        match (self.auction, self.other_auction.contains(&product)) {
            (AuctionRule::Closed, false) | (AuctionRule::Open, true) => AuctionRule::Closed,
            _ => AuctionRule::Open,
        }
    }
}

impl TradingStatus {
    /// Trading with a book that must not be crossed.
    pub const BOOK: Self = Self(202);
    /// Continuous trading.
    pub const CONTINUOUS: Self = Self(203);

    /// Whether it is an auction, frozen or not: opening, intraday, after a circuit breaker, closing,
    /// subscription, call, retail call, static limits.
    pub fn is_auction(self) -> bool {
        matches!(self.0, 204..=213 | 215 | 216 | 219..=221)
    }

    /// Whether bids below offers is a promise of the venue.
    pub fn forbids_crossing(self) -> bool {
        matches!(self, Self::BOOK | Self::CONTINUOUS)
    }
}
