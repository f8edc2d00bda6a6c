//! Books checked against their own rules while they are at work.

use serde_json::json;
use tickdeck_wire::itch50::{AddOrderFields, Side, Stock, TradingActionFields};
use tickdeck_wire::record::SessionEventKind;

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE};
use crate::worker::{Worker, wait_for};

/// Books at work are checked in turn, and all or one of them when somebody asks; what is asked for
/// by a wrong name is refused.
#[test]
fn consistent_books_pass() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    let mut book = Worker::ready(root.path());
    let mut sent = 0;
    wait_for("checks in turn", || {
        let next = (sent + 20).min(flow.last());
        receiver.data(&flow, sent + 1, next);
        sent = next;
        book.value("book_integrity_checks_total") >= 5
    });
    receiver.data(&flow, sent + 1, flow.last());
    book.wait_status("messages", flow.last());
    let all = book.call("book.check", json!({})).expect("a check");
    assert_eq!((&all["checked"], &all["faults"]), (&json!(3), &json!([])));
    assert_eq!(all["orders"], book.status()["orders"]);
    assert_eq!(all["messages"], flow.last());
    let one = book.call("book.check", json!({"symbol": "S0001"}));
    assert_eq!(one.expect("a check")["checked"], 1);
    assert_eq!(
        book.call("book.check", json!({"symbol": "NOPE"})),
        Err("NOT_FOUND".to_owned())
    );
    assert_eq!(book.value("book_integrity_errors_total"), 0);
    assert_eq!(book.status()["trust"], "GOOD");
}

/// A book that is crossed while it trades is told to who asks, and is no doubt: real order flow
/// crosses for a moment. While it is halted it may be.
#[test]
fn a_crossed_book_is_told() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow {
        messages: vec![
            trading(b'H'),
            add(1, Side::Buy, 101),
            add(2, Side::Sell, 100),
            trading(b'T'),
        ],
    };
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 3);
    let mut book = Worker::start_set(root.path(), &json!({"check_interval_ms": 0}));
    book.wait_status("messages", 3);
    book.wait_ready();
    let halted = book.call("book.check", json!({})).expect("a check");
    assert_eq!(halted["faults_total"], 0, "{halted}");
    receiver.data(&flow, 4, 4);
    book.wait_status("messages", 4);
    let trading = book.call("book.check", json!({})).expect("a check");
    assert_eq!(trading["faults"][0]["symbol"], "TEST", "{trading}");
    let text = trading["faults"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("best bid is not below"), "{text}");
    assert_eq!(book.status()["trust"], "GOOD");
    assert_eq!(book.value("book_integrity_errors_total"), 0);
}

fn trading(trading_state: u8) -> Vec<u8> {
    let action = TradingActionFields {
        stock_locate: 1,
        tracking_number: 0,
        timestamp_ns: 1,
        stock: Stock(*b"TEST    "),
        trading_state,
        reserved: b' ',
        reason: *b"    ",
    };
    action.encode().to_vec()
}

fn add(order_reference: u64, side: Side, price: u32) -> Vec<u8> {
    let order = AddOrderFields {
        stock_locate: 1,
        tracking_number: 0,
        timestamp_ns: 1,
        order_reference,
        side,
        shares: 10,
        stock: Stock(*b"TEST    "),
        price,
    };
    order.encode().to_vec()
}
