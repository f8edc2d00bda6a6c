//! Views over generated packets: the paths of the real single packets, and those that no capture
//! has: definitions, trading status, statistics.

use tickdeck_wire::cme::layout::{v6, v9, v9_definitions};
use tickdeck_wire::cme::{
    Block, DefinitionOf, OrderChange, Packet, PacketBuilder, PriceChange, PriceEntry, TradeReport,
    View, template,
};

const LEVEL: PriceChange = PriceChange {
    price: 12_952_000_000_000,
    size: 3,
    security_id: 170_506,
    rpt_seq: 20_187,
    orders: 2,
    level: 1,
    action: 1,
    kind: b'0',
};

const ORDER: OrderChange = OrderChange {
    order_id: 88_463_940_665,
    priority: 1_423_903_131,
    price: 12_952_000_000_000,
    quantity: 2,
    security_id: 170_506,
    action: 1,
    kind: b'0',
};

/// The bytes of the packet's messages, behind its header.
fn body(write: impl FnOnce(&mut PacketBuilder)) -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 2);
    write(&mut builder);
    builder.finish().to_vec()
}

/// Gives the view of the only message.
fn view(bytes: &[u8], check: impl FnOnce(View<'_>)) {
    let packet = Packet::parse(bytes).unwrap();
    let mut messages = packet.messages();
    check(messages.next().unwrap().view().unwrap());
    assert!(messages.next().is_none());
}

/// Proves that a book by order (47) is exactly these bytes, and that each field is read.
#[test]
fn an_order_book_has_its_golden_bytes() {
    let bytes = body(|builder| assert!(builder.order_book(7, &[ORDER])));
    #[rustfmt::skip]
    let golden = [
        64, 0, 11, 0, 47, 0, 1, 0, 9, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0,
        40, 0, 1,
        0x39, 0x9C, 0xDC, 0x98, 0x14, 0, 0, 0, 0x9B, 9, 0xDF, 0x54, 0, 0, 0, 0,
        0, 0xF0, 0x5B, 0x9F, 0xC7, 0x0B, 0, 0, 2, 0, 0, 0, 0x0A, 0x9A, 2, 0,
        1, b'0', 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(bytes[12..], golden);
    view(&bytes, |view| {
        let View::OrderBook { root, orders } = view else {
            panic!("{view:?}");
        };
        assert_eq!(
            (root.transact_time_ns(), root.match_event_indicator()),
            (7, 0x80)
        );
        let order = orders.get(0).unwrap();
        assert_eq!(
            (order.order_id(), order.priority()),
            (Some(88_463_940_665), Some(1_423_903_131))
        );
        assert_eq!(
            (order.price(), order.quantity()),
            (Some(12_952_000_000_000), Some(2))
        );
        assert_eq!(
            (order.security_id(), order.action(), order.kind()),
            (170_506, 1, b'0')
        );
        assert!(orders.get(1).is_none());
    });
}

/// Proves that a trade (48) is exactly these bytes, and that trade and orders are read.
#[test]
fn a_trade_has_its_golden_bytes() {
    let trade = TradeReport {
        price: 12_952_000_000_000,
        size: 2,
        security_id: 170_506,
        rpt_seq: 20_185,
        aggressor: Some(2),
    };
    let bytes = body(|builder| assert!(builder.trades(7, &[trade], &[(88_463_941_745, 2)])));
    #[rustfmt::skip]
    let golden = [
        80, 0, 11, 0, 48, 0, 1, 0, 9, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0,
        32, 0, 1,
        0, 0xF0, 0x5B, 0x9F, 0xC7, 0x0B, 0, 0, 2, 0, 0, 0, 0x0A, 0x9A, 2, 0,
        0xD9, 0x4E, 0, 0, 2, 0, 0, 0, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0,
        16, 0, 0, 0, 0, 0, 0, 1,
        0x71, 0xA0, 0xDC, 0x98, 0x14, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(bytes[12..], golden);
    view(&bytes, |view| {
        let View::Trades { trades, orders, .. } = view else {
            panic!("{view:?}");
        };
        let trade = trades.get(0).unwrap();
        assert_eq!(
            (trade.price(), trade.size(), trade.rpt_seq()),
            (12_952_000_000_000, 2, 20_185)
        );
        assert_eq!(
            (trade.aggressor(), trade.trade_id(9), trade.trade_id(6)),
            (Some(2), None, None)
        );
        let orders: Vec<_> = orders
            .iter()
            .map(|o| (o.order_id(), o.quantity()))
            .collect();
        assert_eq!(orders, [(88_463_941_745, 2)]);
    });
}

/// Proves that volume, an implied level and a level behind a book's order are read as in the real
/// packets.
#[test]
fn volume_and_implied_levels_are_read() {
    let bytes = body(|builder| assert!(builder.volume(7, 170_506, 20_186, 3_765)));
    view(&bytes, |view| {
        let View::Volume { volumes, .. } = view else {
            panic!("{view:?}");
        };
        let volume = volumes.get(0).unwrap();
        let read = (volume.security_id(), volume.rpt_seq(), volume.volume());
        assert_eq!(read, (170_506, 20_186, 3_765));
    });
    let implied = PriceChange {
        price: i64::MAX,
        orders: i32::MAX,
        kind: b'E',
        ..LEVEL
    };
    let changes = [LEVEL, implied];
    let bytes = body(|builder| assert!(builder.book(template::BOOK_9, 7, &changes, &[(0, ORDER)])));
    view(&bytes, |view| {
        let View::Book { prices, orders, .. } = view else {
            panic!("{view:?}");
        };
        let level = prices.get(1).unwrap();
        assert_eq!(
            (level.price(), level.orders(), level.kind()),
            (None, None, b'E')
        );
        assert_eq!(prices.get(0).unwrap().price(), Some(12_952_000_000_000));
        let order = orders.get(0).unwrap();
        assert_eq!(
            (order.reference(), order.quantity(), order.action()),
            (Some(1), Some(2), 1)
        );
        // An entry on its own is a view only when it is whole.
        let bytes = level.bytes();
        assert_eq!(PriceEntry::read(bytes), Some(level));
        assert_eq!(PriceEntry::read(&bytes[..31]), None);
    });
}

/// Proves that a definition gives name, tick, factor, status and the depths of its books.
#[test]
fn a_definition_is_read() {
    let of = DefinitionOf {
        security_id: 170_506,
        symbol: b"ESZ8",
        group: b"ES",
        tick: 25_000_000_000,
        display_factor: 10_000_000,
        trading_status: Some(17),
        depth: 10,
        implied_depth: Some(2),
    };
    let bytes = body(|builder| assert!(builder.definition(of)));
    view(&bytes, |view| {
        let View::Definition(definition) = view else {
            panic!("{view:?}");
        };
        assert_eq!(
            (definition.security_id(), definition.symbol()),
            (170_506, &b"ESZ8"[..])
        );
        assert_eq!(
            (definition.group(), definition.security_type()),
            (&b"ES"[..], &b"FUT"[..])
        );
        assert_eq!(definition.min_price_increment(), Some(25_000_000_000));
        assert_eq!(
            (definition.display_factor(), definition.exponent()),
            (10_000_000, -9)
        );
        assert_eq!(
            (definition.trading_status(), definition.total_reports()),
            (Some(17), None)
        );
        assert_eq!(definition.update_action(), b'A');
        let depths = [&b"GBX"[..], b"GBI", b"XYZ"].map(|name| definition.depth(name));
        assert_eq!(depths, [Some(10), Some(2), None]);
    });
}

/// Proves that options and spreads of both scales have their tick where their own layout has it.
#[test]
fn options_and_spreads_have_their_own_places() {
    use v9_definitions::{
        md_instrument_definition_option41 as option, md_instrument_definition_spread29 as spread,
    };
    for (id, nine, tick_at, factor_at, groups) in [
        (
            spread::ID,
            56,
            spread::MIN_PRICE_INCREMENT.0,
            spread::DISPLAY_FACTOR.0,
            5,
        ),
        (
            option::ID,
            55,
            option::MIN_PRICE_INCREMENT.0,
            option::DISPLAY_FACTOR.0,
            6,
        ),
    ] {
        for (template_id, exponent) in [(id, -7), (nine, -9)] {
            let root_len = if groups == 5 { 195 } else { 213 };
            let mut root = vec![0; root_len];
            root[tick_at] = 5;
            root[factor_at] = 6;
            let none: &[Vec<u8>] = &[];
            let bytes = body(|b| assert!(b.message(template_id, &root, &vec![none; groups])));
            view(&bytes, |view| {
                let View::Definition(definition) = view else {
                    panic!("{view:?}");
                };
                assert_eq!(definition.min_price_increment(), Some(5), "{template_id}");
                assert_eq!(definition.display_factor(), 6, "{template_id}");
                assert_eq!(definition.exponent(), exponent, "{template_id}");
                assert_eq!(definition.depth(b"GBX"), None);
            });
        }
    }
}

/// Proves that status, statistics, limits, sessions, requests, old trades and the channel reset are
/// told apart and read.
#[test]
fn states_and_statistics_are_read() {
    let bytes = body(|builder| assert!(builder.security_status(7, b"ES", None, 21)));
    view(&bytes, |view| {
        let View::SecurityStatus(status) = view else {
            panic!("{view:?}");
        };
        assert_eq!((status.group(), status.security_id()), (&b"ES"[..], None));
        assert_eq!(
            (status.trading_status(), status.asset()),
            (Some(21), &b""[..])
        );
    });
    let bytes = body(|builder| assert!(builder.session_statistic(7, 4, 9, (b'7', -5))));
    view(&bytes, |view| {
        let View::SessionStatistics { statistics, .. } = view else {
            panic!("{view:?}");
        };
        let only = statistics.get(0).unwrap();
        let read = (
            only.security_id(),
            only.rpt_seq(),
            only.kind(),
            only.price(),
        );
        assert_eq!(read, (4, 9, b'7', -5));
        assert_eq!((only.open_flag(), only.size(9)), (None, None));
        // Version 7 has padding where the size came with version 8.
        assert_eq!(only.size(7), None);
    });
    let bytes = body(|builder| assert!(builder.channel_reset(7)));
    view(&bytes, |view| {
        assert!(matches!(view, View::ChannelReset { .. }))
    });
    let bytes = body(|builder| assert!(builder.heartbeat()));
    view(&bytes, |view| assert!(matches!(view, View::Heartbeat)));
    let bytes = body(|builder| assert!(builder.message(template::LOGIN, &[30], &[])));
    view(&bytes, |view| {
        assert!(matches!(view, View::Login(login) if login.heartbeat_s() == 30));
    });
    let mut text = [0; 180];
    text[..4].copy_from_slice(b"done");
    let bytes = body(|builder| assert!(builder.message(template::LOGOUT, &text, &[])));
    view(&bytes, |view| {
        assert!(matches!(view, View::Logout(logout) if logout.text() == b"done"));
    });
}

/// Proves that requests, limits, daily statistics and the trade of version 6 are read.
#[test]
fn requests_limits_and_old_trades_are_read() {
    use v6::md_incremental_refresh_trade36::no_md_entries as trade;
    use v9::md_incremental_refresh_daily_statistics33::no_md_entries as daily;
    use v9::md_incremental_refresh_limits_banding34::no_md_entries as limits;
    use v9::quote_request39::no_related_sym as symbol;
    let mut entry = vec![0; 32];
    trade::TRADE_ID.put(&mut entry, 77);
    trade::RPT_SEQ.put(&mut entry, 8);
    let bytes = body(|b| assert!(b.message(template::TRADE, &[0; 11], &[&[entry]])));
    view(&bytes, |view| {
        let View::OldTrades { trades, .. } = view else {
            panic!("{view:?}");
        };
        let only = trades.get(0).unwrap();
        assert_eq!((only.trade_id(), only.rpt_seq()), (77, 8));
    });
    let mut entry = vec![0; 32];
    limits::HIGH_LIMIT_PRICE.put(&mut entry, Some(9));
    limits::LOW_LIMIT_PRICE.put(&mut entry, None);
    let bytes = body(|b| assert!(b.message(template::LIMITS_9, &[0; 11], &[&[entry]])));
    view(&bytes, |view| {
        let View::Limits { limits, .. } = view else {
            panic!("{view:?}");
        };
        let only = limits.get(0).unwrap();
        assert_eq!((only.high(), only.low()), (Some(9), None));
    });
    let mut entry = vec![0; 32];
    daily::TRADING_REFERENCE_DATE.put(&mut entry, None);
    daily::MD_ENTRY_TYPE.put(&mut entry, b'6');
    let bytes = body(|b| assert!(b.message(template::DAILY_STATISTICS, &[0; 11], &[&[entry]])));
    view(&bytes, |view| {
        let View::DailyStatistics { statistics, .. } = view else {
            panic!("{view:?}");
        };
        let only = statistics.get(0).unwrap();
        assert_eq!((only.kind(), only.reference_date()), (b'6', None));
    });
    let (mut root, mut entry) = (vec![0; 35], vec![0; 32]);
    v9::quote_request39::QUOTE_REQ_ID.put(&mut root, b"Q1");
    symbol::SYMBOL.put(&mut entry, b"ESZ8");
    symbol::SIDE.put(&mut entry, None);
    let bytes = body(|b| assert!(b.message(template::QUOTE_REQUEST, &root, &[&[entry]])));
    view(&bytes, |view| {
        let View::QuoteRequest { root, symbols } = view else {
            panic!("{view:?}");
        };
        assert_eq!(root.id(), b"Q1");
        let only = symbols.get(0).unwrap();
        assert_eq!((only.symbol(), only.side()), (&b"ESZ8"[..], None));
    });
}
