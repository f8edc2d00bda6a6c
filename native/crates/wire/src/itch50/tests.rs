//! Each layout against bytes laid out by hand from the specification's tables.

use super::*;

const STOCK: Stock = Stock(*b"TEST    ");
const MPID: Mpid = Mpid(*b"NITE");

/// The common prefix with locate 0x0102, tracking 0x0304, about 09:30; then the parts.
fn wire(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![kind, 1, 2, 3, 4];
    bytes.extend_from_slice(&[0x1f, 0x1a, 0xce, 0xd8, 0x10, 0x01]);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

const AT_NS: u64 = 0x1f1a_ced8_1001;

macro_rules! golden {
    ($fields:ident { $($field:ident $(: $value:expr)?),* $(,)? } => $kind:literal, $($part:expr),+) => {{
        let fields = $fields {
            stock_locate: 0x0102,
            tracking_number: 0x0304,
            timestamp_ns: AT_NS,
            $($field $(: $value)?),*
        };
        let bytes = wire($kind, &[$($part),+]);
        assert_eq!(fields.encode()[..], bytes[..], stringify!($fields));
        let message = parse(&bytes).unwrap();
        assert_eq!(message.kind(), $kind);
        assert_eq!((message.stock_locate(), message.timestamp_ns()), (0x0102, AT_NS));
    }};
}

/// Proves the layout of the messages that describe the day and its stocks.
#[test]
fn reference_messages_have_the_layout_of_the_specification() {
    golden!(SystemEventFields { event_code: b'O' } => b'S', b"O");
    golden!(
        StockDirectoryFields {
            stock: STOCK, market_category: b'Q', financial_status: b'N', round_lot_size: 100,
            round_lots_only: b'Y', issue_classification: b'C', issue_subtype: *b"Z ",
            authenticity: b'P', short_sale_threshold: b'1', ipo_flag: b'2', luld_tier: b'3',
            etp_flag: b'4', etp_leverage_factor: 5, inverse_indicator: b'6',
        } => b'R', b"TEST    ", b"QN", b"\x00\x00\x00\x64", b"YCZ P1234", b"\x00\x00\x00\x05", b"6"
    );
    golden!(
        TradingActionFields { stock: STOCK, trading_state: b'T', reserved: b' ', reason: *b"ABCD" }
        => b'H', b"TEST    ", b"T ABCD"
    );
    golden!(RegShoFields { stock: STOCK, reg_sho_action: b'2' } => b'Y', b"TEST    ", b"2");
    golden!(
        ParticipantPositionFields {
            mpid: MPID, stock: STOCK, primary_market_maker: b'Y', market_maker_mode: b'N',
            participant_state: b'A',
        } => b'L', b"NITE", b"TEST    ", b"YNA"
    );
    golden!(
        MwcbLevelsFields { level_1: 1, level_2: 2, level_3: 3 }
        => b'V', &1u64.to_be_bytes(), &2u64.to_be_bytes(), &3u64.to_be_bytes()
    );
    golden!(MwcbStatusFields { breached_level: b'3' } => b'W', b"3");
    golden!(
        IpoQuotingFields { stock: STOCK, release_time_s: 34_200, release_qualifier: b'A', ipo_price: 7 }
        => b'K', b"TEST    ", &34_200u32.to_be_bytes(), b"A", &7u32.to_be_bytes()
    );
    golden!(
        LuldCollarFields {
            stock: STOCK, reference_price: 1, upper_price: 2, lower_price: 3, extension: 4,
        } => b'J', b"TEST    ", b"\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04"
    );
    golden!(
        OperationalHaltFields { stock: STOCK, market_code: b'X', halt_action: b'H' }
        => b'h', b"TEST    ", b"XH"
    );
}

/// Proves the layout of the messages that change a book.
#[test]
fn order_messages_have_the_layout_of_the_specification() {
    let (order, shares, price) = (0x0a0b_0c0d_u64, 300u32, 1_234_500u32);
    let add = [
        order.to_be_bytes().as_slice(),
        b"S",
        &shares.to_be_bytes(),
        b"TEST    ",
    ]
    .concat();
    golden!(
        AddOrderFields { order_reference: order, side: Side::Sell, shares, stock: STOCK, price }
        => b'A', &add, &price.to_be_bytes()
    );
    golden!(
        AddOrderMpidFields {
            order_reference: order, side: Side::Sell, shares, stock: STOCK, price, attribution: MPID,
        } => b'F', &add, &price.to_be_bytes(), b"NITE"
    );
    let executed = [order.to_be_bytes().as_slice(), &shares.to_be_bytes()].concat();
    golden!(
        OrderExecutedFields { order_reference: order, executed_shares: shares, match_number: 9 }
        => b'E', &executed, &9u64.to_be_bytes()
    );
    golden!(
        OrderExecutedWithPriceFields {
            order_reference: order, executed_shares: shares, match_number: 9, printable: b'N',
            execution_price: price,
        } => b'C', &executed, &9u64.to_be_bytes(), b"N", &price.to_be_bytes()
    );
    golden!(
        OrderCancelFields { order_reference: order, cancelled_shares: shares } => b'X', &executed
    );
    golden!(OrderDeleteFields { order_reference: order } => b'D', &order.to_be_bytes());
    golden!(
        OrderReplaceFields {
            original_order_reference: order, new_order_reference: 8, shares, price,
        } => b'U', &order.to_be_bytes(), &8u64.to_be_bytes(), &shares.to_be_bytes(), &price.to_be_bytes()
    );
}

/// Proves the layout of trades, crosses and indicators.
#[test]
fn trade_messages_have_the_layout_of_the_specification() {
    golden!(
        TradeFields {
            order_reference: 0, side: Side::Buy, shares: 5, stock: STOCK, price: 6, match_number: 7,
        } => b'P', &[0; 8], b"B\x00\x00\x00\x05TEST    \x00\x00\x00\x06", &7u64.to_be_bytes()
    );
    golden!(
        CrossTradeFields {
            shares: 1 << 40, stock: STOCK, cross_price: 6, match_number: 7, cross_type: b'O',
        } => b'Q', &(1u64 << 40).to_be_bytes(), b"TEST    \x00\x00\x00\x06", &7u64.to_be_bytes(), b"O"
    );
    golden!(BrokenTradeFields { match_number: 7 } => b'B', &7u64.to_be_bytes());
    golden!(
        ImbalanceFields {
            paired_shares: 1, imbalance_shares: 2, imbalance_direction: b'N', stock: STOCK,
            far_price: 3, near_price: 4, current_reference_price: 5, cross_type: b'C',
            price_variation_indicator: b'L',
        } => b'I', &1u64.to_be_bytes(), &2u64.to_be_bytes(), b"NTEST    ",
            b"\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05CL"
    );
    golden!(RetailInterestFields { stock: STOCK, interest_flag: b'A' } => b'N', b"TEST    A");
    golden!(
        DirectListingFields {
            stock: STOCK, open_eligibility: b'Y', minimum_price: 1, maximum_price: 2,
            near_execution_price: 3, near_execution_time_ns: 4, lower_collar_price: 5,
            upper_collar_price: 6,
        } => b'O', b"TEST    Y\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03", &4u64.to_be_bytes(),
            b"\x00\x00\x00\x05\x00\x00\x00\x06"
    );
}

/// Proves the published length of every type, and that there is no other type.
#[test]
fn the_type_fixes_the_length() {
    let published = [
        (b'S', 12),
        (b'R', 39),
        (b'H', 25),
        (b'Y', 20),
        (b'L', 26),
        (b'V', 35),
        (b'W', 12),
        (b'K', 28),
        (b'J', 35),
        (b'h', 21),
        (b'A', 36),
        (b'F', 40),
        (b'E', 31),
        (b'C', 36),
        (b'X', 23),
        (b'D', 19),
        (b'U', 35),
        (b'P', 44),
        (b'Q', 40),
        (b'B', 19),
        (b'I', 50),
        (b'N', 20),
        (b'O', 48),
    ];
    assert_eq!(LENGTHS, published);
    for kind in 0..=u8::MAX {
        let expected = published.iter().find(|row| row.0 == kind).map(|row| row.1);
        assert_eq!(length_of(kind), expected);
        if expected.is_none() {
            assert_eq!(parse(&[kind; 36]), Err(ItchError::UnknownType(kind)));
        }
    }
}

/// Proves that one byte less or more than the type's length is refused with both lengths.
#[test]
fn another_length_is_refused() {
    for (kind, expected) in LENGTHS {
        for actual in [1, expected - 1, expected + 1] {
            let mut bytes = vec![b'B'; actual];
            bytes[0] = kind;
            assert_eq!(
                parse(&bytes),
                Err(ItchError::WrongLength {
                    kind,
                    expected,
                    actual
                })
            );
        }
    }
    assert_eq!(parse(b""), Err(ItchError::Empty));
}

/// Proves that only `B` and `S` are sides, for each type that has one.
#[test]
fn a_side_is_buy_or_sell() {
    for kind in [AddOrder::KIND, AddOrderMpid::KIND, Trade::KIND] {
        let mut bytes = vec![b' '; length_of(kind).unwrap()];
        bytes[0] = kind;
        for side in 0..=u8::MAX {
            bytes[19] = side;
            match parse(&bytes) {
                Ok(_) => assert!(matches!(side, b'B' | b'S')),
                Err(error) => assert_eq!(error, ItchError::BadSide { kind, side }),
            }
        }
    }
}

/// Proves that an error says what was found, for a person.
#[test]
fn errors_name_type_and_lengths() {
    let short = parse(b"A").unwrap_err();
    assert_eq!(short.to_string(), "ITCH message 'A' has 36 bytes, not 1");
    assert_eq!(
        parse(b"\x00").unwrap_err().to_string(),
        "'\\0' is not an ITCH 5.0 message type"
    );
    let reasons = [ItchError::Empty, ItchError::UnknownType(1), short].map(|error| error.reason());
    assert_eq!(reasons, ["empty", "unknown_type", "wrong_length"]);
}

/// Proves that symbols and participants are shown trimmed and made from short text.
#[test]
fn text_fields_are_padded_with_spaces() {
    assert_eq!("TEST".parse::<Stock>().unwrap(), STOCK);
    assert_eq!(STOCK.to_string(), "TEST");
    assert_eq!(format!("{:?}", Mpid(*b"A\x01  ")), "Mpid(A\\x01)");
    assert!("TOOLONGNAME".parse::<Stock>().is_err());
    assert_eq!(Side::Buy.opposite().code(), b'S');
}

/// Proves that a view names its fields when printed.
#[test]
fn a_view_prints_its_fields() {
    let bytes = wire(b'X', &[&7u64.to_be_bytes(), &2u32.to_be_bytes()]);
    let text = format!("{:?}", parse(&bytes).unwrap());
    assert!(
        text.contains("order_reference: 7") && text.contains("cancelled_shares: 2"),
        "{text}"
    );
}
