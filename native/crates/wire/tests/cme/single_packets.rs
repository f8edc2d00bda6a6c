//! Real single packets: the file's name says the message, and its fields are known.

use tickdeck_wire::cme::{Packet, View};

use crate::real_data::capture;

/// The only packet of a file and the views of its messages; nothing when it is not there.
fn packet(name: &str, check: impl FnOnce(&Packet<'_>, &[View<'_>])) {
    let Some(frames) = capture(&format!("packets_v1.9/{name}.pcap")) else {
        return;
    };
    assert_eq!(frames.len(), 1, "{name}");
    let packet = Packet::parse(&frames[0].1).unwrap();
    let views = packet.messages().map(|message| message.view().unwrap());
    check(&packet, &views.collect::<Vec<_>>());
    println!("checked {name}");
}

/// What a price entry says, but for its RptSeq.
type Level = (Option<i64>, Option<i32>, i32, Option<i32>, u8, u8, u8);

/// What a change of an order says.
type Order = (u64, Option<u64>, Option<i32>, Option<u8>, u8);

/// Levels and orders of a book, and the root's indicator.
fn book(view: &View<'_>) -> (u8, Vec<Level>, Vec<u32>, Vec<Order>) {
    let View::Book {
        root,
        prices,
        orders,
    } = view
    else {
        panic!("{view:?} is no book");
    };
    let level = |entry: tickdeck_wire::cme::PriceEntry<'_>| {
        let (price, size) = (entry.price(), entry.size());
        let (id, count) = (entry.security_id(), entry.orders());
        (
            price,
            size,
            id,
            count,
            entry.level(),
            entry.action(),
            entry.kind(),
        )
    };
    let levels = prices.iter().map(level).collect();
    let rpt_seqs = prices.iter().map(|entry| entry.rpt_seq()).collect();
    let order = |entry: tickdeck_wire::cme::LinkedOrder<'_>| {
        let (id, priority) = (entry.order_id(), entry.priority());
        (
            id,
            priority,
            entry.quantity(),
            entry.reference(),
            entry.action(),
        )
    };
    let orders = orders.iter().map(order).collect();
    (root.match_event_indicator(), levels, rpt_seqs, orders)
}

/// Instrument, RptSeq, volume.
fn volume(view: &View<'_>) -> (i32, u32, i32) {
    let View::Volume { root, volumes } = view else {
        panic!("{view:?} is no volume");
    };
    assert_eq!(root.match_event_indicator(), 0x02, "last volume");
    assert_eq!(volumes.len(), 1);
    let only = volumes.get(0).unwrap();
    assert_eq!(only.action(), 0);
    (only.security_id(), only.rpt_seq(), only.volume())
}

/// Proves that `MdIncrementalRefreshBook` is 23 levels and 16 orders behind them.
#[test]
fn a_book_has_its_levels_and_orders() {
    packet("MdIncrementalRefreshBook", |packet, views| {
        assert_eq!(packet.sequence(), 1_028_095);
        assert_eq!(packet.sending_time_ns(), 1_536_760_535_685_381_248);
        let messages: Vec<_> = packet.messages().collect();
        let ids: Vec<_> = messages
            .iter()
            .map(|m| (m.template_id(), m.version()))
            .collect();
        assert_eq!(ids, [(46, 9), (46, 9)]);
        assert_eq!(messages[0].price_exponent(), -9);
        let (indicator, levels, rpt_seqs, orders) = book(&views[0]);
        assert_eq!(indicator, 0x04, "last quote");
        assert_eq!((levels.len(), orders.len()), (23, 16));
        let offer = |price, action| (Some(price), Some(1), 157_660, Some(1), 1, action, b'1');
        assert_eq!(levels[0], offer(15_230_000_000_000, 2));
        assert_eq!(levels[1], offer(15_250_000_000_000, 0));
        assert_eq!(rpt_seqs[..4], [411, 412, 593, 594]);
        let bid = (
            Some(5_150_000_000_000),
            Some(19),
            286_825,
            Some(1),
            1,
            2,
            b'0',
        );
        assert_eq!(levels[4], bid);
        let last = (
            Some(10_370_000_000_000),
            Some(1),
            831_691,
            Some(1),
            1,
            2,
            b'1',
        );
        assert_eq!((levels[22], rpt_seqs[22]), (last, 728));
        let moved = (563_189_401_446, Some(10_623_363_030), Some(1), Some(2), 1);
        assert_eq!(orders[0], moved);
        let gone = (563_189_416_911, Some(10_623_361_228), Some(19), Some(5), 2);
        assert_eq!(orders[2], gone);
        let new = (563_189_423_864, Some(10_623_363_050), Some(1), Some(18), 0);
        assert_eq!(orders[12], new);
        let (indicator, levels, _, orders) = book(&views[1]);
        assert_eq!(
            (indicator, levels.len(), orders.len()),
            (0x80, 0, 0),
            "end of event"
        );
    });
}

/// Proves that `MdIncrementalRefreshOrderBook` is one new order behind the book by price.
#[test]
fn an_order_book_has_its_order() {
    packet("MdIncrementalRefreshOrderBook", |packet, views| {
        assert_eq!((packet.sequence(), views.len()), (911_525, 1));
        assert_eq!(packet.messages().next().unwrap().template_id(), 47);
        let View::OrderBook { root, orders } = views[0] else {
            panic!("{:?} is no book by order", views[0]);
        };
        assert_eq!(root.match_event_indicator(), 0x84);
        assert_eq!(root.transact_time_ns(), 1_536_760_536_853_618_175);
        assert_eq!(orders.len(), 1);
        let order = orders.get(0).unwrap();
        assert_eq!(order.order_id(), Some(76_662_054_355));
        assert_eq!(order.priority(), Some(641_463_012));
        assert_eq!(order.price(), Some(12_068_000_000_000));
        assert_eq!(order.quantity(), Some(4));
        assert_eq!(
            (order.security_id(), order.action(), order.kind()),
            (532_259, 0, b'1')
        );
    });
}

/// Proves that `MdIncrementalRefreshTradeSummary` is a trade of 2 with its three orders, and what
/// followed from it: volume, two orders, their level, an implied bid.
#[test]
fn a_trade_summary_has_its_trade_and_what_followed() {
    packet("MdIncrementalRefreshTradeSummary", |packet, views| {
        assert_eq!((packet.sequence(), views.len()), (884_140, 5));
        let View::Trades {
            root,
            trades,
            orders,
        } = views[0]
        else {
            panic!("{:?} is no trade", views[0]);
        };
        assert_eq!(root.match_event_indicator(), 0x01, "last trade");
        assert_eq!(trades.len(), 1);
        let trade = trades.get(0).unwrap();
        assert_eq!((trade.price(), trade.size()), (12_952_000_000_000, 2));
        assert_eq!((trade.security_id(), trade.rpt_seq()), (170_506, 20_185));
        let counts = (trade.orders(), trade.aggressor(), trade.action());
        assert_eq!(counts, (Some(3), Some(2), 0));
        let orders: Vec<_> = orders
            .iter()
            .map(|o| (o.order_id(), o.quantity()))
            .collect();
        let expected = [
            (88_463_941_745, 2),
            (88_463_939_692, 1),
            (88_463_940_665, 1),
        ];
        assert_eq!(orders, expected);
        assert_eq!(volume(&views[1]), (170_506, 20_186, 3_765));
        let View::OrderBook { orders, .. } = views[2] else {
            panic!("{:?} is no book by order", views[2]);
        };
        let changes = orders
            .iter()
            .map(|o| (o.order_id(), o.quantity(), o.action(), o.kind()));
        let gone = (Some(88_463_939_692), Some(1), 2, b'0');
        let less = (Some(88_463_940_665), Some(2), 1, b'0');
        assert_eq!(changes.collect::<Vec<_>>(), [gone, less]);
        let (indicator, levels, rpt_seqs, orders) = book(&views[3]);
        let level = (
            Some(12_952_000_000_000),
            Some(3),
            170_506,
            Some(2),
            1,
            1,
            b'0',
        );
        assert_eq!(
            (indicator, levels, rpt_seqs),
            (0x04, vec![level], vec![20_187])
        );
        assert_eq!(orders, []);
        let (indicator, levels, ..) = book(&views[4]);
        let implied = (Some(13_003_000_000_000), Some(3), 5_893, None, 1, 1, b'E');
        assert_eq!(
            (indicator, levels),
            (0x90, vec![implied]),
            "no orders of an implied level"
        );
    });
}

/// Proves that `MdIncrementalRefreshVolume` is two volumes, with a trade and the books between.
#[test]
fn a_volume_has_its_sum() {
    packet("MdIncrementalRefreshVolume", |packet, views| {
        assert_eq!(packet.sequence(), 1_160_087);
        let ids: Vec<_> = packet.messages().map(|m| m.template_id()).collect();
        assert_eq!(ids, [37, 46, 46, 48, 37, 46, 46]);
        assert_eq!(volume(&views[0]), (121_933, 3_072, 9_541));
        assert_eq!(volume(&views[4]), (121_933, 3_075, 9_550));
        let (_, levels, rpt_seqs, orders) = book(&views[1]);
        let level = (Some(1_000_000_000), Some(9), 121_933, Some(1), 1, 1, b'0');
        assert_eq!((levels, rpt_seqs), (vec![level], vec![3_073]));
        let order = (88_463_941_759, Some(1_423_908_467), Some(9), Some(1), 1);
        assert_eq!(orders, [order]);
        let View::Trades { trades, .. } = views[3] else {
            panic!("{:?} is no trade", views[3]);
        };
        assert_eq!(trades.get(0).unwrap().rpt_seq(), 3_074);
        let (_, levels, rpt_seqs, orders) = book(&views[5]);
        assert_eq!((levels[0].5, rpt_seqs[0]), (2, 3_076));
        assert_eq!((orders[0].0, orders[0].4), (88_463_941_759, 2));
    });
}
