//! The rules of EOBI books one by one: priorities, market orders, auctions, products, names.

use tickdeck_book::eobi::{AuctionRule, EobiBooks, EobiConfig, KeyRule};
use tickdeck_book::{BookId, BooksConfig, Cause, Fault, Side, Trust};
use tickdeck_wire::eobi::{
    AddComplexInstrument, AuctionBbo, AuctionClearingPrice, Content, Entries, Execution,
    ExecutionSummary, Header, InstrumentStateChange, InstrumentSummary, MassInstrumentStateChange,
    Order, Packet, PacketBuilder, ProductSummary, QuoteRequest, Release, Side as WireSide,
    StateEntry, TesTradeReport, TopOfBook, TradeReport, TradeReversal,
};

use crate::eobi_against_slow_book::{PRODUCT, apply};

const LOT: i64 = 10_000;
pub(crate) const SECURITY: i64 = 5;
const R: Release = Release::V14_1;

/// Books to which contents are given one by one.
pub(crate) struct Given {
    pub(crate) books: EobiBooks,
    number: u32,
}

impl Given {
    pub(crate) fn new(config: EobiConfig) -> Self {
        Self {
            books: EobiBooks::new(config, BooksConfig::EOBI),
            number: 0,
        }
    }

    pub(crate) fn give(&mut self, content: &Content<'_>) -> &mut Self {
        self.number += 1;
        apply(&mut self.books, R, self.number, content);
        self
    }

    pub(crate) fn add(
        &mut self,
        side: WireSide,
        priority: u64,
        price: i64,
        lots: i64,
    ) -> &mut Self {
        let order = order(side, priority, Some(price), lots);
        self.give(&Content::OrderAdd {
            security_id: SECURITY,
            order,
        })
    }

    fn state(&mut self, status: u8) -> &mut Self {
        self.give(&Content::InstrumentStateChange(InstrumentStateChange {
            security_id: SECURITY,
            trading_status: Some(status),
            ..InstrumentStateChange::default()
        }))
    }

    pub(crate) fn id(&self) -> BookId {
        self.books.books().by_instrument(SECURITY).expect("a book")
    }

    /// Price, name and lots of each order of a side.
    fn queue(&self, side: Side) -> Vec<(i64, u64, u64)> {
        let queue = self.books.books().view(self.id()).queue(side);
        queue
            .map(|it| (it.price, it.reference, it.quantity / LOT as u64))
            .collect()
    }

    pub(crate) fn trust(&self) -> Trust {
        self.books.books().view(self.id()).trust()
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        self.trust().doubt().map(|doubt| doubt.cause)
    }
}

pub(crate) fn order(side: WireSide, priority: u64, price: Option<i64>, lots: i64) -> Order {
    Order {
        priority_ns: Some(priority),
        quantity: lots * LOT,
        side,
        is_market: price.is_none(),
        price,
    }
}

fn modify(previous: (u64, i64, i64), order: Order) -> Content<'static> {
    Content::OrderModify {
        security_id: SECURITY,
        previous_priority_ns: Some(previous.0),
        previous_price: Some(previous.1),
        previous_quantity: previous.2 * LOT,
        order,
    }
}

pub(crate) fn execution(priority: Option<u64>, price: Option<i64>, lots: i64) -> Execution {
    Execution {
        security_id: SECURITY,
        side: WireSide::Buy,
        priority_ns: priority,
        price,
        last_quantity: lots * LOT,
        last_price: Some(77),
        match_id: Some(1),
    }
}

/// Proves that a modified order goes to the back with a new priority, also at its own price, and
/// to the place of its priority at another price when it kept it, as out of the main session.
#[test]
fn priorities_decide_the_place() {
    let mut given = Given::new(EobiConfig::default());
    given.add(WireSide::Buy, 1, 100, 1);
    given.add(WireSide::Buy, 3, 100, 3);
    given.add(WireSide::Buy, 2, 90, 2);
    given.give(&modify((1, 100, 1), order(WireSide::Buy, 4, Some(100), 1)));
    assert_eq!(
        given.queue(Side::Bid),
        [(100, 3, 3), (100, 4, 1), (90, 2, 2)]
    );
    given.give(&modify((2, 90, 2), order(WireSide::Buy, 2, Some(100), 2)));
    assert_eq!(
        given.queue(Side::Bid),
        [(100, 2, 2), (100, 3, 3), (100, 4, 1)]
    );
    assert_eq!(given.trust(), Trust::Good);
    assert_eq!(given.books.counters().mismatches, 0);
    given.books.check_invariants().expect("sound");
}

/// Proves that trades, their summary, requests and statistics leave the book alone, each counted.
#[test]
fn what_is_no_order_does_not_touch_the_book() {
    let mut given = Given::new(EobiConfig::default());
    given.add(WireSide::Buy, 1, 100, 5);
    let before = given.books.channel_hash();
    let (security_id, last_quantity) = (SECURITY, Some(2 * LOT));
    given.give(&Content::ExecutionSummary(ExecutionSummary {
        security_id,
        last_quantity,
        aggressor_side: Some(WireSide::Sell),
        last_price: Some(100),
        ..ExecutionSummary::default()
    }));
    given.give(&Content::TradeReport(TradeReport {
        security_id,
        last_quantity,
        ..TradeReport::default()
    }));
    given.give(&Content::TesTradeReport(TesTradeReport {
        security_id,
        last_quantity,
        ..TesTradeReport::default()
    }));
    given.give(&Content::TradeReversal(TradeReversal {
        security_id,
        last_quantity,
        ..TradeReversal::default()
    }));
    given.give(&Content::QuoteRequest(QuoteRequest {
        security_id,
        ..QuoteRequest::default()
    }));
    assert_eq!(given.books.channel_hash(), before);
    let counters = given.books.counters();
    let counted = [
        counters.execution_summaries,
        counters.trade_reports,
        counters.off_book_trades,
        counters.trade_reversals,
        counters.requests,
    ];
    assert_eq!(counted, [1; 5]);
    // The execution behind the summary is what takes the quantity, whatever price it matched at.
    given.give(&Content::PartialOrderExecution(execution(
        Some(1),
        Some(100),
        2,
    )));
    assert_eq!(given.queue(Side::Bid), [(100, 1, 3)]);
}

/// Proves that market orders are kept beside the prices, are modified, matched and deleted there,
/// and move to a price and back.
#[test]
fn market_orders_have_no_price() {
    let mut given = Given::new(EobiConfig::default());
    given.add(WireSide::Buy, 1, 100, 1);
    for (priority, lots) in [(2, 4), (3, 2)] {
        given.give(&Content::OrderAdd {
            security_id: SECURITY,
            order: order(WireSide::Buy, priority, None, lots),
        });
    }
    let of_book = |given: &Given| given.books.market_orders(given.id());
    assert_eq!(of_book(&given), (2, 60_000));
    given.give(&Content::PartialOrderExecution(execution(Some(2), None, 3)));
    assert_eq!(of_book(&given), (2, 30_000));
    given.give(&Content::FullOrderExecution(execution(Some(2), None, 1)));
    assert_eq!(of_book(&given), (1, 20_000));
    let moved = Content::OrderModify {
        security_id: SECURITY,
        previous_priority_ns: Some(3),
        previous_price: None,
        previous_quantity: 2 * LOT,
        order: order(WireSide::Buy, 4, Some(100), 2),
    };
    given.give(&moved);
    assert_eq!(of_book(&given), (0, 0));
    assert_eq!(given.queue(Side::Bid), [(100, 1, 1), (100, 4, 2)]);
    given.give(&modify((4, 100, 2), order(WireSide::Buy, 5, None, 2)));
    assert_eq!(given.queue(Side::Bid), [(100, 1, 1)]);
    let hash = given.books.channel_hash();
    given.give(&Content::OrderMassDelete {
        security_id: SECURITY,
    });
    assert_eq!(of_book(&given), (0, 0));
    assert_ne!(given.books.channel_hash(), hash);
    assert_eq!(
        (given.trust(), given.books.counters().mismatches),
        (Trust::Good, 0)
    );
    given.books.check_invariants().expect("sound");
}

/// Proves that an auction empties a book once, that the orders sent again behind it join in their
/// order, and that a product whose book stays open keeps it, where an order sent again replaces
/// its twin without a doubt, and one with other terms with one.
#[test]
fn auctions_close_books_but_for_open_ones() {
    let mut given = Given::new(EobiConfig::default());
    given.state(203).add(WireSide::Buy, 1, 100, 1);
    given.add(WireSide::Buy, 2, 100, 2).state(208);
    assert!(given.queue(Side::Bid).is_empty());
    given.state(209);
    assert_eq!(given.books.counters().auction_clears, 1);
    given.state(203).add(WireSide::Buy, 1, 100, 1);
    assert_eq!(
        (given.queue(Side::Bid).len(), given.trust()),
        (1, Trust::Good)
    );

    let mut open = Given::new(EobiConfig {
        other_auction: vec![PRODUCT],
        ..EobiConfig::default()
    });
    open.state(203).add(WireSide::Buy, 1, 100, 1);
    open.add(WireSide::Buy, 2, 100, 2).state(208);
    assert_eq!(open.queue(Side::Bid).len(), 2);
    open.state(203).add(WireSide::Buy, 2, 100, 2);
    open.add(WireSide::Buy, 1, 100, 1);
    assert_eq!(open.queue(Side::Bid), [(100, 2, 2), (100, 1, 1)]);
    assert_eq!(
        (open.trust(), open.books.counters().sent_again),
        (Trust::Good, 2)
    );
    open.add(WireSide::Buy, 1, 90, 1);
    assert_eq!(open.queue(Side::Bid), [(100, 2, 2), (90, 1, 1)]);
    assert_eq!(open.cause(), Some(Cause::DuplicateReference));
    assert_eq!(
        open.books
            .books()
            .counters()
            .fault(Fault::DuplicateReference),
        1
    );
    let all_open = EobiConfig {
        auction: AuctionRule::Open,
        ..EobiConfig::default()
    };
    assert_eq!(all_open.auction_rule(PRODUCT), AuctionRule::Open);
}

/// Proves that a change of state for many is for all instruments of its kind but those it names.
#[test]
fn mass_changes_of_state_spare_the_named() {
    let mut given = Given::new(EobiConfig::default());
    for security_id in [5, 6, 7] {
        let order = order(WireSide::Buy, security_id as u64, Some(100), 1);
        given.give(&Content::OrderAdd { security_id, order });
    }
    given.give(&Content::AddComplexInstrument(AddComplexInstrument {
        security_id: 7,
        product_complex: Some(2),
        ..AddComplexInstrument::default()
    }));
    let named = [StateEntry {
        security_id: 6,
        trading_status: Some(203),
        ..StateEntry::default()
    }];
    given.give(&Content::MassInstrumentStateChange(
        MassInstrumentStateChange {
            product_complex: Some(1),
            trading_status: Some(204),
            entries: Entries::of(&named),
            ..MassInstrumentStateChange::default()
        },
    ));
    let books = given.books.books();
    let found: Vec<_> = books
        .iter()
        .map(|book| (book.instrument(), book.trading_state(), book.orders()))
        .collect();
    assert_eq!(found, [(5, 204, 0), (6, 203, 1), (7, 0, 1)]);
}

/// Proves that what stands in for orders is kept, and is over with the auction or when trading
/// begins.
#[test]
fn touches_are_tracked() {
    let mut given = Given::new(EobiConfig::default());
    given.state(204);
    let bbo = AuctionBbo {
        security_id: SECURITY,
        bid_price: Some(100),
        bid_quantity: Some(LOT),
        ..AuctionBbo::default()
    };
    let clearing = AuctionClearingPrice {
        security_id: SECURITY,
        last_price: Some(101),
        ..AuctionClearingPrice::default()
    };
    let top = TopOfBook {
        security_id: SECURITY,
        offer_price: Some(102),
        ..TopOfBook::default()
    };
    given.give(&Content::AuctionBbo(bbo));
    given.give(&Content::AuctionClearingPrice(clearing));
    given.give(&Content::TopOfBook(top));
    let of = |given: &Given| *given.books.instrument(given.id());
    let found = of(&given);
    assert_eq!(found.auction_bbo.and_then(|it| it.bid()), Some((100, LOT)));
    assert_eq!(
        (found.clearing_price, found.top_of_book),
        (Some(clearing), Some(top))
    );
    given.state(200);
    let found = of(&given);
    assert_eq!((found.auction_bbo, found.clearing_price), (None, None));
    assert_eq!(found.top_of_book, Some(top));
    given.state(203);
    assert_eq!(of(&given).top_of_book, None);
}

/// Proves which unreadable messages make books suspect: those of orders and of the state of
/// instruments, which may begin an auction, and no others.
#[test]
fn unreadable_messages_are_counted() {
    for (template_id, is_doubted) in [
        (13_202_u16, false),
        (13_300, false),
        (13_999, false),
        (13_102, true),
        (13_301, true),
        (13_302, true),
    ] {
        let mut given = Given::new(EobiConfig::default());
        given.add(WireSide::Buy, 1, 100, 1);
        let mut builder = PacketBuilder::new(R);
        builder.begin(Header {
            sequence: 1,
            market_segment_id: PRODUCT,
            partition_id: 0,
            completes: true,
            resets: false,
            transact_time_ns: 0,
        });
        let mut bytes = builder.finish().to_vec();
        let mut body = [0_u8; 816];
        body[..2].copy_from_slice(&816_u16.to_le_bytes());
        body[2..4].copy_from_slice(&template_id.to_le_bytes());
        body[4] = 2;
        bytes.extend_from_slice(&body);
        let packet = Packet::parse(&bytes, R).expect("a packet");
        for message in packet.messages() {
            given.books.apply(PRODUCT, R, &message);
        }
        assert_eq!(given.cause().is_some(), is_doubted, "{template_id}");
        assert_eq!(given.books.books().counters().faults_total(), 1);
    }
}

/// Proves that a product's doubt is that of its books until it ends, that what contradicted a book
/// outlives it, that loading the product ends both, and that a product without books makes the
/// channel suspect.
#[test]
fn doubts_are_of_products_or_of_books() {
    let mut given = Given::new(EobiConfig::default());
    given.books.doubt_product(PRODUCT, 9, Cause::MidSession);
    assert_eq!(given.books.books().channel_trust().name(), "SUSPECT");
    given.books.trust_product(PRODUCT);
    assert_eq!(given.books.books().channel_trust(), Trust::Good);
    given.add(WireSide::Buy, 1, 100, 1);
    given.books.doubt_products(4, Cause::MessagesLost);
    assert_eq!(given.cause(), Some(Cause::MessagesLost));
    given.books.trust_product(PRODUCT);
    assert_eq!(given.trust(), Trust::Good);
    given.give(&Content::FullOrderExecution(execution(
        Some(8),
        Some(100),
        1,
    )));
    given.books.doubt_products(5, Cause::MessagesLost);
    given.books.trust_product(PRODUCT);
    assert_eq!(given.cause(), Some(Cause::UnknownReference));
    load(
        &mut given.books,
        &[
            Content::ProductSummary(ProductSummary {
                last_processed: 40,
                ..ProductSummary::default()
            }),
            Content::InstrumentSummary(InstrumentSummary {
                security_id: SECURITY,
                orders: 2,
                trading_status: Some(203),
                ..InstrumentSummary::default()
            }),
            Content::SnapshotOrder(order(WireSide::Sell, 3, Some(110), 2)),
            Content::SnapshotOrder(order(WireSide::Buy, 2, None, 1)),
        ],
    );
    assert_eq!(given.trust(), Trust::Good);
    assert!(given.queue(Side::Bid).is_empty());
    assert_eq!(given.queue(Side::Ask), [(110, 3, 2)]);
    assert_eq!(given.books.market_orders(given.id()), (1, 10_000));
    assert_eq!(given.books.books().view(given.id()).trading_state(), 203);
}

fn load(books: &mut EobiBooks, contents: &[Content<'_>]) {
    let mut builder = PacketBuilder::new(R);
    builder.begin(Header {
        sequence: 1,
        market_segment_id: PRODUCT,
        partition_id: 0,
        completes: true,
        resets: false,
        transact_time_ns: 0,
    });
    for content in contents {
        assert!(builder.push(content, Some(1)));
    }
    let packet = Packet::parse(builder.finish(), R).expect("a packet");
    books.begin_load(PRODUCT);
    for message in packet.messages() {
        books.load(PRODUCT, R, &message);
    }
}

/// Proves that an instrument is called by its number until it is named, and that a name which is
/// too long, or another's, is none.
#[test]
fn instruments_have_names() {
    let mut given = Given::new(EobiConfig::default());
    let long = b"a name that is longer than any symbol";
    for (security_id, name, expected) in [
        (21, &b"FDAX MAR JUN"[..], "FDAX MAR JUN"),
        (22, b"FDAX MAR JUN", "22"),
        (23, long, "23"),
        (24, b"", "24"),
    ] {
        given.give(&Content::AddComplexInstrument(AddComplexInstrument {
            security_id,
            description: name,
            ..AddComplexInstrument::default()
        }));
        let books = given.books.books();
        let id = books.by_instrument(security_id).expect("a book");
        assert_eq!(books.view(id).symbol().to_string(), expected);
    }
}

/// Proves that a crossed book is a broken rule in trading between units of work, and nowhere else.
#[test]
fn crossed_books_are_allowed_outside_of_trading() {
    for (state, is_allowed) in [
        (203, false),
        (202, false),
        (204, true),
        (200, true),
        (0, true),
    ] {
        let mut given = Given::new(EobiConfig {
            auction: AuctionRule::Open,
            ..EobiConfig::default()
        });
        given.state(state).add(WireSide::Buy, 1, 100, 1);
        given.add(WireSide::Sell, 2, 100, 1);
        assert_eq!(
            given.books.check_invariants().is_ok(),
            is_allowed,
            "{state}"
        );
        assert!(given.books.is_complete(given.id()));
        given.books.on_packet(PRODUCT, false);
        assert!(!given.books.is_complete(given.id()) && !given.books.is_all_complete());
        given
            .books
            .check_invariants()
            .expect("within a unit of work");
        given.books.on_packet(PRODUCT, true);
        assert!(given.books.is_all_complete());
    }
}

/// Proves that a venue without priorities has its orders found by their terms: the first of the
/// price with the quantity, for an execution the first of the price; equal ones are counted.
#[test]
fn orders_without_priorities_are_found_by_their_terms() {
    let mut given = Given::new(EobiConfig {
        keys: KeyRule::Terms,
        ..EobiConfig::default()
    });
    let without = |price, lots| Order {
        priority_ns: None,
        ..order(WireSide::Buy, 0, price, lots)
    };
    for lots in [3, 5, 3] {
        given.give(&Content::OrderAdd {
            security_id: SECURITY,
            order: without(Some(100), lots),
        });
    }
    given.give(&Content::OrderDelete {
        security_id: SECURITY,
        order: without(Some(100), 5),
    });
    assert_eq!(given.books.counters().ambiguous, 0);
    given.give(&Content::PartialOrderExecution(execution(
        None,
        Some(100),
        1,
    )));
    let lots = |given: &Given| -> Vec<_> {
        let queue = given.queue(Side::Bid);
        queue.iter().map(|(_, _, lots)| *lots).collect()
    };
    assert_eq!(lots(&given), [2, 3]);
    given.give(&Content::OrderModify {
        security_id: SECURITY,
        previous_priority_ns: None,
        previous_price: Some(100),
        previous_quantity: 2 * LOT,
        order: without(Some(100), 3),
    });
    assert_eq!(lots(&given), [3, 3]);
    given.give(&Content::OrderModifySamePriority {
        security_id: SECURITY,
        previous_quantity: 3 * LOT,
        order: without(Some(100), 7),
    });
    assert_eq!(lots(&given), [7, 3]);
    assert_eq!(
        (given.books.counters().ambiguous, given.trust()),
        (1, Trust::Good)
    );
    let mut strict = Given::new(EobiConfig::default());
    strict.give(&Content::OrderAdd {
        security_id: SECURITY,
        order: without(Some(100), 1),
    });
    assert_eq!(strict.books.counters().nameless, 1);
    assert!(strict.cause().is_some() && strict.queue(Side::Bid).is_empty());
}

/// Proves that no quantity overflows the sum of a price: what does not fit is refused, and told.
#[test]
fn quantities_do_not_overflow() {
    let mut given = Given::new(EobiConfig::default());
    for priority in 1..=3 {
        given.give(&Content::OrderAdd {
            security_id: SECURITY,
            order: Order {
                quantity: i64::MAX - 5,
                ..order(WireSide::Buy, priority, Some(100), 0)
            },
        });
    }
    assert_eq!(given.books.books().counters().fault(Fault::OrderLimit), 2);
    given.give(&Content::OrderModifySamePriority {
        security_id: SECURITY,
        previous_quantity: i64::MAX - 5,
        order: Order {
            quantity: i64::MAX,
            ..order(WireSide::Buy, 1, Some(100), 0)
        },
    });
    given.books.check_invariants().expect("sound");
    assert_eq!(given.cause(), Some(Cause::OrderLimit));
}
