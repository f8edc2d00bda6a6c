//! `tickdeck-book offline` with captures of EOBI lines, in both releases. No capture of release 14.1
//! is public: these are generated.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tickdeck_book::hash::{self, Width};
use tickdeck_book::{OrderView, Side};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig};
use tickdeck_wire::eobi::{Packet, Release, Side as WireSide};

use crate::worker::BOOK;

const LINES: [&str; 2] = ["239.1.2.3:14310", "239.1.2.4:14310"];

/// Plays a session into a capture of both lines; `lost` says of a packet's number and line whether
/// it is not there. Returns what the venue has at the end, by instrument: orders at prices and
/// their hash.
fn play(path: &Path, release: Release, lost: fn(u32, u8) -> bool) -> BTreeMap<i64, (u64, String)> {
    let mut session = Session::new(SessionConfig {
        release,
        products: 3,
        instruments: 2,
        steps: 500,
        auction_steps: 50,
        ..SessionConfig::default()
    });
    let mut file = Vec::new();
    for number in [0xA1B2_3C4D_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(number.to_le_bytes());
    }
    for timed in session.by_ref() {
        let packet = Packet::parse(&timed.bytes, release);
        let is_lost = packet.is_ok_and(|packet| lost(packet.sequence(), timed.line));
        if timed.channel == Channel::Snapshot || is_lost {
            continue;
        }
        let frame = frame(LINES[usize::from(timed.line)], &timed.bytes);
        let len = frame.len() as u32;
        for number in [1_700_000_000, timed.at_ns as u32, len, len] {
            file.extend(number.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).expect("a file");
    expected(&session)
}

fn expected(session: &Session) -> BTreeMap<i64, (u64, String)> {
    let mut books: BTreeMap<i64, Vec<OrderView>> = BTreeMap::new();
    for product in session.products() {
        for (key, order) in product.orders() {
            let side = match key.1 {
                WireSide::Buy => Side::Bid,
                WireSide::Sell => Side::Ask,
            };
            let orders = books.entry(key.0).or_default();
            // Market orders have no price and are not in the queues.
            orders.extend(order.price.map(|price| OrderView {
                side,
                price,
                reference: key.2,
                quantity: order.quantity as u64,
            }));
        }
    }
    let hashed = books.into_iter().map(|(security, mut orders)| {
        orders.sort_by_key(|order| {
            let away = match order.side {
                Side::Bid => -order.price,
                Side::Ask => order.price,
            };
            (order.side, away, order.reference)
        });
        let count = orders.len() as u64;
        let hash = hash::queue_sha256(orders.into_iter(), Width::Wide);
        (security, (count, hash::hex(&hash)))
    });
    hashed.collect()
}

/// An Ethernet frame without a VLAN tag.
fn frame(destination: &str, payload: &[u8]) -> Vec<u8> {
    let destination: SocketAddrV4 = destination.parse().expect("an address");
    let length = (8 + payload.len()) as u16;
    let mut frame = vec![0xAA; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((20 + length).to_be_bytes());
    frame.extend([0, 0, 0, 0, 16, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend(destination.ip().octets());
    frame.extend(4_000_u16.to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

fn books(path: &Path, protocol: &str) -> Value {
    let lines = format!("A={},B={}", LINES[0], LINES[1]);
    let output = Command::new(BOOK)
        .args(["offline", "--json", "--protocol", protocol])
        .args(["--lines", &lines, "--input"])
        .arg(path)
        .output()
        .expect("tickdeck-book starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Proves that two lines of which each lost other packets give the venue's books, queue by queue,
/// in both releases.
#[test]
fn merged_lines_give_the_venues_books() {
    let root = tempfile::tempdir().expect("temporary directory");
    for (protocol, release) in [("eobi", Release::V14_1), ("eobi-6.0", Release::V6_0)] {
        let path = root.path().join(protocol);
        let expected = play(&path, release, |number, line| {
            number % 7 == u32::from(line) * 3 + 1 && number > 1
        });
        let found = books(&path, protocol);
        assert_eq!(found["final"]["faults"], json!({}), "{protocol}");
        for (security, (orders, sha256)) in &expected {
            let book = book_of(&found, *security);
            assert_eq!(book["orders"], *orders, "{protocol} {security}");
            assert_eq!(book["queue_sha256"], *sha256, "{protocol} {security}");
            assert_eq!(book["trust"], "GOOD", "{protocol} {security}");
        }
    }
}

/// Proves that packets which both lines lost make those books suspect whose product lost messages,
/// and that the books which are good are the venue's.
#[test]
fn what_both_lines_lost_makes_products_suspect() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = root.path().join("capture");
    let expected = play(&path, Release::V14_1, |number, _| number == 300);
    let found = books(&path, "eobi");
    let mut trusts = BTreeMap::<String, usize>::new();
    for (security, (orders, sha256)) in &expected {
        let book = book_of(&found, *security);
        let trust = book["trust"].as_str().expect("a trust");
        *trusts.entry(trust.to_owned()).or_default() += 1;
        if trust == "GOOD" {
            assert_eq!(
                (&book["orders"], &book["queue_sha256"]),
                (&json!(orders), &json!(sha256))
            );
        }
    }
    // One packet is of one product, which has two instruments; there are three products.
    assert_eq!(
        trusts,
        BTreeMap::from([("GOOD".to_owned(), 4), ("SUSPECT".to_owned(), 2)])
    );
}

fn book_of(found: &Value, security: i64) -> &Value {
    let books = found["final"]["books"].as_array().expect("a list");
    let name = security.to_string();
    let book = books.iter().find(|book| book["symbol"] == name.as_str());
    book.unwrap_or_else(|| panic!("no book of {security}"))
}
