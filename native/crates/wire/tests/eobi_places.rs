//! Every field of every message of both releases is at the place that the exchange's documents
//! name: golden bytes for the reader, and the same bytes from the builder.
//!
//! Each byte of a golden message is its own offset, so a field at a wrong place, or of a wrong
//! length, has a wrong value. No public capture of release 14.1 is known: its golden messages, like
//! all 14.1 packets of the tests, are our own; those of 6.0 are beside the real packets.

use tickdeck_wire::eobi::{
    Content, HEADER_LEN, Header, Packet, PacketBuilder, QuoteRequest, RelatedInstrument, Release,
    RemainingOrder, Structure,
};

/// What a place holds: its length, what its golden bytes mean, and whether the pattern needs help.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    U8,
    U16,
    U32,
    /// Times too.
    U64,
    I32,
    /// Prices, and quantities of 14.1, too.
    I64,
    /// A whole quantity of 6.0.
    Whole,
    Side,
    /// Counts the entries of a group.
    Count,
    Text,
}
use Kind::*;

/// A value of any field.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Number(i128);

/// A golden message of one release.
struct Golden {
    release: Release,
    body: Vec<u8>,
    /// Which bytes belong to a field.
    covered: Vec<bool>,
}

impl Golden {
    fn new(release: Release, template_id: u16, len: usize, places: &[(usize, Kind)]) -> Self {
        let mut body: Vec<u8> = (0..len).map(|at| at as u8).collect();
        body[..2].copy_from_slice(&(len as u16).to_le_bytes());
        body[2..4].copy_from_slice(&template_id.to_le_bytes());
        let mut covered = vec![false; len];
        covered[..8].fill(true);
        let mut golden = Self {
            release,
            body,
            covered,
        };
        golden.cover(0, places);
        golden
    }

    /// The entries of a group, two of them.
    fn with_group(mut self, at: usize, entry_len: usize, places: &[(usize, Kind)]) -> Self {
        self.cover(at, places);
        self.cover(at + entry_len, places);
        self
    }

    fn cover(&mut self, base: usize, places: &[(usize, Kind)]) {
        for (at, kind) in places {
            let (at, len) = (base + at, kind.len());
            assert!(
                self.covered[at..at + len].iter().all(|covered| !covered),
                "two fields at {at}"
            );
            self.covered[at..at + len].fill(true);
            match kind {
                Side => self.body[at] = 1 + (at / 8 % 2) as u8,
                Count => self.body[at] = 2,
                // A byte that means "none", and a negative sign, would be other cases.
                _ => self.body[at..at + len]
                    .iter_mut()
                    .for_each(|byte| *byte &= 0x7F),
            }
        }
    }

    fn at(&self, at: usize, kind: Kind) -> Option<Number> {
        let raw = self.body[at..at + kind.len().min(8)].iter().rev();
        let value = raw.fold(0_i128, |value, byte| value << 8 | i128::from(*byte));
        Some(Number(if kind == Whole { value * 10_000 } else { value }))
    }

    fn text(&self, at: usize) -> &[u8] {
        &self.body[at..at + 40]
    }

    /// A packet of the message alone.
    fn packet(&self) -> Vec<u8> {
        let mut bytes = header(self.release).finish().to_vec();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Calls `check` with what the reader finds, then requires that the builder writes the golden
    /// bytes, and zeros where no field is.
    fn check(&self, check: impl FnOnce(Content<'_>)) {
        let bytes = self.packet();
        let packet = Packet::parse(&bytes, self.release).expect("a packet");
        let message = packet.messages().next().expect("a message");
        let content = message.content(self.release).expect("a content");
        check(content);
        let mut builder = header(self.release);
        assert!(builder.push(&content, message.msg_seq_num()));
        let mut expected = self.body.clone();
        for (byte, covered) in expected.iter_mut().zip(&self.covered) {
            *byte = if *covered { *byte } else { 0 };
        }
        assert_eq!(builder.finish()[HEADER_LEN..], expected, "{content:?}");
    }
}

impl Kind {
    fn len(self) -> usize {
        match self {
            U8 | Side | Count => 1,
            U16 => 2,
            U32 | I32 | Whole => 4,
            U64 | I64 => 8,
            Text => 40,
        }
    }
}

/// Values of fields as numbers, so that one table serves all.
trait Said {
    fn said(self) -> Option<Number>;
}

macro_rules! said {
    ($($value:ty),*) => {
        $(impl Said for $value {
            fn said(self) -> Option<Number> {
                Some(Number(self.into()))
            }
        })*
    };
}

said!(u8, u16, u32, u64, i32, i64);

impl Said for tickdeck_wire::eobi::Side {
    fn said(self) -> Option<Number> {
        Some(Number(self as i128))
    }
}

impl<T: Said> Said for Option<T> {
    fn said(self) -> Option<Number> {
        self.and_then(Said::said)
    }
}

fn header(release: Release) -> PacketBuilder {
    let mut builder = PacketBuilder::new(release);
    builder.begin(Header {
        sequence: 1,
        market_segment_id: 7,
        partition_id: 0,
        completes: true,
        resets: false,
        transact_time_ns: 5,
    });
    builder
}

/// A message by its fields' places; then those it has not in this release; then its text, and its
/// group with the places within an entry.
macro_rules! golden {
    (
        $release:ident $name:ident $id:literal $len:literal:
        $($field:ident $at:literal $kind:ident),*
        $(; lacks $($absent:ident),*)?
        $(; text $text:ident $text_at:literal)?
        $(; part $part:ident $part_at:literal: $($part_field:ident $part_place:literal $part_kind:ident),*)?
        $(; counted $count_at:literal group $group:ident $group_at:literal $entry_len:literal:
            $($entry_field:ident $entry_at:literal $entry_kind:ident),*
            $(; lacks $($entry_absent:ident),*)?)?
    ) => {{
        let places = [
            &[$(($at, $kind)),*][..],
            $(&[($text_at, Text)],)?
            $(&[$(($part_at + $part_place, $part_kind)),*],)?
            $(&[($count_at, Count)],)?
        ]
        .concat();
        let golden = Golden::new(Release::$release, $id, $len, &places);
        $(let golden = golden.with_group($group_at, $entry_len, &[$(($entry_at, $entry_kind)),*]);)?
        golden.check(|content| {
            let Content::$name(it) = content else {
                panic!("{content:?} is no {}", stringify!($name));
            };
            $(assert_eq!(it.$field.said(), golden.at($at, $kind), stringify!($name.$field));)*
            $($(assert!(it.$absent.said().is_none(), stringify!($name.$absent));)*)?
            $(assert_eq!(it.$text, golden.text($text_at));)?
            $($(assert_eq!(
                it.$part.part().$part_field.said(),
                golden.at($part_at + $part_place, $part_kind),
                stringify!($name.$part_field)
            );)*)?
            $(
                assert_eq!(it.$group.len(), 2);
                for (number, entry) in it.$group.iter().enumerate() {
                    let base = $group_at + number * $entry_len;
                    $(assert_eq!(
                        entry.$entry_field.said(),
                        golden.at(base + $entry_at, $entry_kind),
                        stringify!($name.$entry_field)
                    );)*
                    $($(assert!(entry.$entry_absent.said().is_none());)*)?
                }
            )?
        });
    }};
}

/// A component that is there in 14.1.
trait Part {
    type Of;
    fn part(self) -> Self::Of;
}

impl Part for Option<RemainingOrder> {
    type Of = RemainingOrder;

    fn part(self) -> RemainingOrder {
        self.expect("it is there")
    }
}

impl Part for RelatedInstrument {
    type Of = Self;

    fn part(self) -> Self {
        self
    }
}

/// Proves every place of release 14.1, by the table of the exchange's document.
#[test]
fn every_place_of_14_1() {
    golden!(V14_1 TradeReversal 13_200 488:
        security_id 8 I64, transact_time_ns 16 U64, last_quantity 24 I64, last_price 32 I64,
        execution_time_ns 40 U64, match_id 48 U32, trade_condition 52 U16, origin 54 U8;
        counted 55 group entries 56 24: price 0 I64, quantity 8 I64, entry_type 16 U8);
    golden!(V14_1 TradeReport 13_201 56:
        security_id 8 I64, transact_time_ns 16 U64, last_quantity 24 I64, last_price 32 I64,
        match_id 40 U32, match_type 44 U8, match_sub_type 45 U8, algorithmic 46 U8,
        trade_condition 48 U16);
    golden!(V14_1 ExecutionSummary 13_202 104:
        security_id 8 I64, request_time_ns 16 U64, execution_id_ns 24 U64, last_quantity 32 I64,
        aggressor_side 40 Side, trade_condition 42 U16, trading_hhi 44 U8, last_price 48 I64,
        resting_hidden_quantity 80 I64, resting_cancelled_quantity 88 I64,
        aggressor_time_ns 96 U64;
        part remaining 56: previous_priority_ns 0 U64, quantity 8 I64, price 16 I64);
    golden!(V14_1 TesTradeReport 13_203 80:
        security_id 8 I64, transact_time_ns 16 U64, last_quantity 24 I64, last_price 32 I64,
        match_id 40 U32, trade_type 44 U16, trade_condition 46 U16,
        multi_leg_reporting_type 48 U8, multi_leg_price_model 49 U8,
        non_disclosed_quantity 56 I64, booked_time_ns 64 U64, buy_sides 72 U16,
        sell_sides 74 U16);
    golden!(V14_1 ProductStateChange 13_300 24:
        session 8 U8, sub_session 9 U8, session_status 10 U8, market_condition 11 U8,
        fast_market 12 U8, tes_session_status 13 U8, transact_time_ns 16 U64);
    golden!(V14_1 InstrumentStateChange 13_301 56:
        security_id 8 I64, security_status 16 U8, trading_status 17 U8, market_condition 18 U8,
        fast_market 19 U8, trading_event 20 U8, sold_out 21 U8, high_price 24 I64,
        low_price 32 I64, transact_time_ns 40 U64, tes_security_status 48 U8);
    golden!(V14_1 MassInstrumentStateChange 13_302 800:
        product_complex 8 U8, security_status 9 U8, trading_status 10 U8, market_condition 11 U8,
        fast_market 12 U8, trading_event 13 U8, sold_out 14 U8, tes_security_status 15 U8,
        transact_time_ns 16 U64, last_fragment 24 U8;
        counted 25 group entries 32 32:
        security_id 0 I64, high_price 8 I64, low_price 16 I64, security_status 24 U8,
        trading_status 25 U8, market_condition 26 U8, trading_event 27 U8, sold_out 28 U8,
        tes_security_status 29 U8);
    golden!(V14_1 AddComplexInstrument 13_400 880:
        security_id 8 I64, transact_time_ns 16 U64, security_sub_type 64 I32,
        product_complex 68 U8, implied_market 69 U8, quantity_scaling 70 U16,
        leg_ratio_multiplier 72 U32, last_fragment 79 U8;
        text description 24;
        counted 76 group legs 80 40:
        symbol 0 I32, security_id 8 I64, price 16 I64, ratio 24 I32, security_type 28 U8,
        side 29 Side, related_price_type 30 U8, trading_style 31 U8, related_price 32 I64);
    golden!(V14_1 AddFlexibleInstrument 13_401 96:
        security_id 8 I64, transact_time_ns 16 U64, security_type 64 U8, put_or_call 65 U8,
        exercise_style 66 U8, settlement 67 U8, maturity_date 68 U32, strike_price 72 I64,
        option_attribute 80 U32, contract_date 84 U32, reference_data_supplement 88 U32;
        text description 24);
    golden!(V14_1 AddScaledSimpleInstrument 13_402 80:
        security_id 8 I64, transact_time_ns 16 U64, security_type 64 U8, quantity_scaling 66 U16;
        text description 24;
        part related 72: security_id 0 I64);
    golden!(V14_1 AuctionBbo 13_500 64:
        transact_time_ns 8 U64, security_id 16 I64, bid_price 24 I64, offer_price 32 I64,
        bid_quantity 40 I64, offer_quantity 48 I64, potential_event 56 U8, bid_order_type 57 U8,
        offer_order_type 58 U8);
    golden!(V14_1 AuctionClearingPrice 13_501 56:
        transact_time_ns 8 U64, security_id 16 I64, last_price 24 I64, last_quantity 32 I64,
        imbalance_quantity 40 I64, trading_status 48 U8, potential_event 49 U8);
    golden!(V14_1 CrossRequest 13_502 48:
        security_id 8 I64, last_price 16 I64, last_quantity 24 I64, side 32 Side,
        request_type 33 U8, input_source 34 U8, transact_time_ns 40 U64);
    golden!(V14_1 QuoteRequest 13_503 40:
        security_id 8 I64, last_quantity 16 I64, side 24 Side, transact_time_ns 32 U64);
    golden!(V14_1 TopOfBook 13_504 64:
        transact_time_ns 8 U64, security_id 16 I64, bid_price 24 I64, offer_price 32 I64,
        bid_quantity 40 I64, offer_quantity 48 I64, bid_orders 56 U16, offer_orders 58 U16);
    golden!(V14_1 ProductSummary 13_600 24:
        last_processed 8 U32, session 12 U8, sub_session 13 U8, session_status 14 U8,
        market_condition 15 U8, fast_market 16 U8, tes_session_status 17 U8);
    golden!(V14_1 InstrumentSummary 13_601 640:
        security_id 8 I64, last_update_time_ns 16 U64, execution_time_ns 24 U64, orders 32 U16,
        security_status 34 U8, trading_status 35 U8, market_condition 36 U8, fast_market 37 U8,
        trading_event 38 U8, sold_out 39 U8, high_price 40 I64, low_price 48 I64,
        product_complex 56 U8, tes_security_status 58 U8;
        counted 57 group entries 64 32:
        price 0 I64, quantity 8 I64, origin 16 U8, entry_type 17 U8, trade_condition 18 U16,
        trade_type 20 U16, multi_leg_reporting_type 22 U8, multi_leg_price_model 23 U8,
        non_disclosed_quantity 24 I64);
}

/// Proves every place of release 6.0, and that what it lacks is none.
#[test]
fn every_place_of_6_0() {
    golden!(V6_0 TradeReversal 13_200 296:
        security_id 8 I64, transact_time_ns 16 U64, match_id 24 U32, last_quantity 28 Whole,
        last_price 32 I64, execution_time_ns 40 U64, trade_condition 48 U8;
        lacks origin;
        counted 55 group entries 56 16: price 0 I64, quantity 8 Whole, entry_type 12 U8);
    golden!(V6_0 TradeReport 13_201 48:
        security_id 8 I64, transact_time_ns 16 U64, match_id 24 U32, last_quantity 28 Whole,
        last_price 32 I64, match_type 40 U8, match_sub_type 41 U8, algorithmic 42 U8,
        trade_condition 43 U8);
    golden!(V6_0 ExecutionSummary 13_202 64:
        security_id 8 I64, aggressor_time_ns 16 U64, request_time_ns 24 U64,
        execution_id_ns 32 U64, last_quantity 40 Whole, aggressor_side 44 Side,
        trade_condition 45 U8, last_price 48 I64, resting_hidden_quantity 56 Whole,
        resting_cancelled_quantity 60 Whole; lacks trading_hhi);
    golden!(V6_0 ProductStateChange 13_300 24:
        session 8 U8, sub_session 9 U8, session_status 10 U8, market_condition 11 U8,
        fast_market 12 U8, transact_time_ns 16 U64; lacks tes_session_status);
    golden!(V6_0 InstrumentStateChange 13_301 32:
        security_id 8 I64, security_status 16 U8, trading_status 17 U8, market_condition 18 U8,
        fast_market 19 U8, trading_event 20 U8, transact_time_ns 24 U64;
        lacks sold_out, high_price, low_price, tes_security_status);
    golden!(V6_0 AddComplexInstrument 13_400 512:
        security_id 8 I64, transact_time_ns 16 U64, security_sub_type 24 I32,
        product_complex 28 U8, implied_market 29 U8;
        lacks quantity_scaling, leg_ratio_multiplier, last_fragment;
        counted 30 group legs 32 24:
        symbol 0 I32, security_id 8 I64, ratio 16 I32, side 20 Side;
        lacks price, security_type, related_price_type, trading_style, related_price);
    golden!(V6_0 AuctionBbo 13_500 56:
        transact_time_ns 8 U64, security_id 16 I64, bid_price 24 I64, offer_price 32 I64,
        bid_quantity 40 Whole, offer_quantity 44 Whole, potential_event 48 U8;
        lacks bid_order_type, offer_order_type);
    golden!(V6_0 AuctionClearingPrice 13_501 48:
        transact_time_ns 8 U64, security_id 16 I64, last_price 24 I64, last_quantity 32 Whole,
        imbalance_quantity 36 Whole, trading_status 40 U8, potential_event 41 U8);
    golden!(V6_0 CrossRequest 13_502 32:
        security_id 8 I64, last_quantity 16 Whole, transact_time_ns 24 U64;
        lacks last_price, side, request_type, input_source);
    golden!(V6_0 QuoteRequest 13_503 32:
        security_id 8 I64, last_quantity 16 Whole, side 20 Side, transact_time_ns 24 U64);
    golden!(V6_0 TopOfBook 13_504 40:
        transact_time_ns 8 U64, security_id 16 I64, bid_price 24 I64, offer_price 32 I64;
        lacks bid_quantity, offer_quantity, bid_orders, offer_orders);
    golden!(V6_0 ProductSummary 13_600 24:
        last_processed 8 U32, session 12 U8, sub_session 13 U8, session_status 14 U8,
        market_condition 15 U8, fast_market 16 U8; lacks tes_session_status);
    golden!(V6_0 InstrumentSummary 13_601 280:
        security_id 8 I64, last_update_time_ns 16 U64, execution_time_ns 24 U64, orders 32 U16,
        security_status 34 U8, trading_status 35 U8, market_condition 36 U8, fast_market 37 U8,
        trading_event 38 U8;
        lacks sold_out, high_price, low_price, product_complex, tes_security_status;
        counted 39 group entries 40 16:
        price 0 I64, quantity 8 Whole, entry_type 12 U8, trade_condition 13 U8;
        lacks origin, trade_type, multi_leg_reporting_type, multi_leg_price_model,
        non_disclosed_quantity);
}

/// Proves the places of the messages of orders in both releases: instrument, order details, and what
/// the order had before. Times of requests are the layouts' own and are written as none.
#[test]
fn every_place_of_orders() {
    // Release; TemplateID, BodyLen, SecurityID, OrderDetails, then of a modify: priority, price,
    // quantity before.
    let rows = [
        (Release::V14_1, 13_100, 56, 16, 24, None),
        (
            Release::V14_1,
            13_101,
            88,
            40,
            48,
            Some((Some((16, 24)), 32)),
        ),
        (Release::V14_1, 13_102, 64, 24, 32, None),
        (Release::V14_1, 13_106, 72, 32, 40, Some((None, 24))),
        (Release::V6_0, 13_100, 48, 16, 24, None),
        (
            Release::V6_0,
            13_101,
            72,
            40,
            48,
            Some((Some((16, 24)), 32)),
        ),
        (Release::V6_0, 13_102, 56, 24, 32, None),
        (Release::V6_0, 13_106, 64, 32, 40, Some((None, 24))),
    ];
    for (release, template_id, len, security, details, before) in rows {
        let is_new = release == Release::V14_1;
        let (quantity, side, price) = if is_new {
            (I64, 16, 24)
        } else {
            (Whole, 12, 16)
        };
        let mut places = vec![(security, I64), (details, U64), (details + 8, quantity)];
        places.extend([(details + side, Side), (details + price, I64)]);
        if let Some((moved, at)) = before {
            places.push((at, quantity));
            places.extend(
                moved
                    .iter()
                    .flat_map(|(at, price)| [(*at, U64), (*price, I64)]),
            );
        }
        let golden = Golden::new(release, template_id, len, &places);
        let bytes = golden.packet();
        let packet = Packet::parse(&bytes, release).expect("a packet");
        let content = packet
            .messages()
            .next()
            .expect("a message")
            .content(release);
        let (order, found) = match content.expect("a content") {
            Content::OrderAdd { security_id, order } => {
                (order, [security_id.said(), None, None, None])
            }
            Content::OrderDelete { security_id, order } => {
                (order, [security_id.said(), None, None, None])
            }
            Content::OrderModifySamePriority {
                security_id,
                previous_quantity,
                order,
            } => (
                order,
                [security_id.said(), None, None, previous_quantity.said()],
            ),
            Content::OrderModify {
                security_id,
                previous_priority_ns,
                previous_price,
                previous_quantity,
                order,
            } => {
                let priority = previous_priority_ns.said();
                (
                    order,
                    [
                        security_id.said(),
                        priority,
                        previous_price.said(),
                        previous_quantity.said(),
                    ],
                )
            }
            other => panic!("{other:?}"),
        };
        let moved = before.and_then(|(moved, _)| moved);
        let expected = [
            golden.at(security, I64),
            moved.and_then(|(at, _)| golden.at(at, U64)),
            moved.and_then(|(_, at)| golden.at(at, I64)),
            before.and_then(|(_, at)| golden.at(at, quantity)),
        ];
        assert_eq!(found, expected, "{release} {template_id}");
        assert_eq!(order.priority_ns.said(), golden.at(details, U64));
        assert_eq!(order.quantity.said(), golden.at(details + 8, quantity));
        assert_eq!(order.side.said(), golden.at(details + side, U8));
        assert_eq!(order.price.said(), golden.at(details + price, I64));
    }
    for template_id in [13_104, 13_105] {
        let rows = [
            (Release::V14_1, 12, (40, I64)),
            (Release::V6_0, 40, (44, Whole)),
        ];
        for (release, match_id, (quantity, kind)) in rows {
            let places = [
                (8, Side),
                (16, I64),
                (24, U64),
                (32, I64),
                (match_id, U32),
                (quantity, kind),
                (48, I64),
            ];
            let golden = Golden::new(release, template_id, 56, &places);
            let bytes = golden.packet();
            let packet = Packet::parse(&bytes, release).expect("a packet");
            let content = packet
                .messages()
                .next()
                .expect("a message")
                .content(release);
            let (Content::FullOrderExecution(it) | Content::PartialOrderExecution(it)) =
                content.expect("a content")
            else {
                panic!("{content:?}");
            };
            assert_eq!(it.side.said(), golden.at(8, U8));
            assert_eq!(it.price.said(), golden.at(16, I64));
            assert_eq!(it.priority_ns.said(), golden.at(24, U64));
            assert_eq!(it.security_id.said(), golden.at(32, I64));
            assert_eq!(it.match_id.said(), golden.at(match_id, U32));
            assert_eq!(it.last_quantity.said(), golden.at(quantity, kind));
            assert_eq!(it.last_price.said(), golden.at(48, I64));
        }
    }
}

/// Proves that a field without a value is none in every type, that a side that is neither is an
/// error which names the field, and that a mandatory field cannot lack.
#[test]
fn values_that_are_none() {
    let body = [
        &[40, 0, 0xBF, 0x34, 1, 0, 0, 0][..],
        &5_i64.to_le_bytes(),
        &i64::MIN.to_le_bytes(),
        &[0xFF; 8],
        &[0xFF; 8],
    ]
    .concat();
    let read = QuoteRequest::read(Release::V14_1, &body).expect("a quote request");
    let expected = QuoteRequest {
        security_id: 5,
        ..QuoteRequest::default()
    };
    assert_eq!(read, expected);
    for (at, bytes, field) in [
        (24, &[3][..], "SIDE"),
        (8, &i64::MIN.to_le_bytes(), "SECURITY_ID"),
    ] {
        let mut body = body.clone();
        body[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(QuoteRequest::read(Release::V14_1, &body), Err(field));
    }
}
