//! `tickdeck-book offline --protocol cme_mdp3`: captures of two lines, generated and real.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tickdeck_sim::Random;
use tickdeck_sim::cme::{Channel, ChannelConfig, Instrument};
use tickdeck_worker::capture::{CapturedPacket, Interface, PcapngWriter};

use crate::worker::BOOK;

const A: &str = "239.1.2.3:31001";
const B: &str = "239.1.2.4:31002";

fn offline(input: &Path, extra: &[&str]) -> Output {
    Command::new(BOOK)
        .args(["offline", "--protocol", "cme_mdp3", "--json", "--input"])
        .arg(input)
        .args(extra)
        .output()
        .expect("tickdeck-book starts")
}

fn books(input: &Path, lines: &str, extra: &[&str]) -> Value {
    let output = offline(input, &[&["--lines", lines], extra].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Writes both lines of a channel; each loses every seventh packet, never both the same. Packets of
/// `lost` come on neither.
fn write_capture(path: &Path, packets: u32, lost: &[u32]) -> Channel {
    let interface = Interface {
        name: "A".to_owned(),
        description: String::new(),
    };
    let file = BufWriter::new(File::create(path).expect("creates"));
    let mut writer = PcapngWriter::new(file, &[interface], "").expect("writes");
    let mut channel = Channel::new(ChannelConfig::default());
    let mut random = Random::new(1);
    for sequence in 1..=packets {
        let payload = channel.next_packet().to_vec();
        let times = Channel::race(&mut random, channel.now_ns());
        for (line, (at_ns, to)) in (0..).zip(times.into_iter().zip([A, B])) {
            let is_lost = sequence % 7 == line || lost.contains(&sequence);
            if is_lost && sequence > 1 && sequence < packets {
                continue;
            }
            let packet = CapturedPacket {
                interface: 0,
                at_ns,
                source: "10.0.0.1:4000".parse().expect("an address"),
                destination: to.parse().expect("an address"),
                payload: &payload,
                comment: None,
                is_truncated: false,
            };
            writer.packet(&packet).expect("writes");
        }
    }
    writer.finish().expect("writes");
    channel
}

/// The levels of a generated instrument as they are printed.
fn levels(instrument: &Instrument, kind: u8) -> Value {
    let levels = instrument
        .levels()
        .into_iter()
        .filter(|level| level.kind == kind);
    levels
        .map(|level| json!([level.price, level.size, level.orders]))
        .collect()
}

fn row<'a>(of: &'a Value, book: &str, id: i32) -> Option<&'a Value> {
    let rows = of["final"]["books"].as_array().expect("a list");
    let name = id.to_string();
    let is_it = |row: &&Value| row["book"] == book && row["symbol"] == name.as_str();
    rows.iter().find(is_it)
}

/// Proves that a capture of two lines that lose packets gives, merged, the venue's books by price
/// and by order, all good; and that checkpoints have both kinds.
#[test]
fn a_generated_capture_gives_the_venues_books() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = root.path().join("lines.pcapng");
    let channel = write_capture(&path, 300, &[]);
    let printed = books(&path, &format!("A={A},B={B}"), &["--every", "200"]);
    assert_eq!(printed["final"]["faults"], json!({}));
    assert_eq!(printed["final"]["place"]["sequence"], 300);
    let checkpoints = printed["checkpoints"].as_array().expect("a list");
    assert!(
        checkpoints
            .iter()
            .any(|row| row["book"] == "price" && row["message"] == 200)
    );
    assert!(
        checkpoints
            .iter()
            .any(|row| row["orders"].is_u64() && row["book"].is_null())
    );
    let mut by_order = 0;
    for instrument in channel.instruments() {
        let id = instrument.security_id();
        let price = row(&printed, "price", id).expect("it had an update");
        assert_eq!(price["bids"], levels(instrument, b'0'), "{id}");
        assert_eq!(price["asks"], levels(instrument, b'1'), "{id}");
        assert_eq!(
            (&price["trust"], &price["unknown_levels"]),
            (&json!("GOOD"), &json!(0))
        );
        if let Some(order) = row(&printed, "order", id) {
            by_order += 1;
            assert_eq!(order["orders"], instrument.orders().count());
            assert_eq!(order["trust"], "GOOD");
        }
    }
    assert_eq!(
        by_order,
        channel
            .instruments()
            .iter()
            .filter(|i| i.has_orders())
            .count()
    );
}

/// Proves that a difference has the levels of the books by price at both points, nearest the touch
/// first, cut where it was asked for, and counts no orders in them; a book by order of the same
/// instrument stands before.
#[test]
fn books_by_price_differ_too() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = root.path().join("lines.pcapng");
    let channel = write_capture(&path, 300, &[]);
    let lines = format!("A={A},B={B}");
    let printed = books(&path, &lines, &["--diff", "150,300", "--levels", "1000"]);
    let at = books(&path, &lines, &["--at", "150", "--levels", "1000"]);
    let rows = printed["books"].as_array().expect("a list");
    let old = |name: &Value| {
        let rows = at["checkpoints"].as_array().expect("a list").iter();
        let mut rows = rows.filter(|row| row["book"] == "price" && row["symbol"] == *name);
        rows.next()
            .cloned()
            .unwrap_or_else(|| json!({"bids": [], "asks": []}))
    };
    let mut changed = 0;
    for instrument in channel.instruments() {
        let name = json!(instrument.security_id().to_string());
        let of_it: Vec<_> = rows.iter().filter(|row| row["symbol"] == name).collect();
        let kinds: Vec<_> = of_it.iter().map(|row| row["book"].as_str()).collect();
        let wanted = [Some("order"), Some("price")];
        let skipped = usize::from(!instrument.has_orders());
        assert_eq!(kinds, wanted[skipped..], "{name}");
        let row = of_it.last().expect("by price");
        assert_eq!(row["to"]["price_decimals"], 9);
        for key in ["orders_entered", "orders_left", "orders_changed"] {
            assert_eq!(row[key], 0);
        }
        let before = old(&name);
        for (side, kind, key) in [("bid", b'0', "bids"), ("ask", b'1', "asks")] {
            let mut past = before[key].as_array().expect("a list").clone();
            for change in row["levels"].as_array().expect("a list") {
                if change["side"] != side {
                    continue;
                }
                changed += 1;
                let pair = |key: &str| {
                    change[key]
                        .as_array()
                        .map(|of| json!([change["price"], of[0], of[1]]))
                };
                let place = past.iter().position(|level| level[0] == change["price"]);
                assert_eq!(place.map(|place| past.remove(place)), pair("before"));
                past.extend(pair("after"));
            }
            let price = |level: &Value| level[0].as_i64().expect("a price");
            past.sort_by_key(price);
            if side == "bid" {
                past.reverse();
            }
            assert_eq!(
                Value::Array(past),
                levels(instrument, kind),
                "{name} {side}"
            );
        }
    }
    assert!(changed > 0);
    let cut = books(&path, &lines, &["--diff", "150,300", "--levels", "0"]);
    let (cut, whole) = (&cut["books"], &printed["books"]);
    assert_eq!(cut[0]["levels"], json!([]));
    assert_eq!(cut[0]["levels_changed"], whole[0]["levels_changed"]);
}

/// Proves that packets that neither line brought leave suspect every book by order, and by price
/// those that they concerned, without a fault.
#[test]
fn what_no_line_brought_is_told() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = root.path().join("lines.pcapng");
    let channel = write_capture(&path, 300, &[150, 151]);
    let printed = books(&path, &format!("A={A},B={B}"), &[]);
    assert_eq!(printed["final"]["faults"], json!({}));
    let suspects = |book: &str| {
        let rows = printed["final"]["books"].as_array().expect("a list");
        let of_kind: Vec<_> = rows.iter().filter(|row| row["book"] == book).collect();
        let suspects = of_kind
            .iter()
            .filter(|row| row["trust"] == "SUSPECT")
            .count();
        (suspects, of_kind.len())
    };
    let (by_order, all_by_order) = suspects("order");
    assert_eq!(by_order, all_by_order);
    let (by_price, all_by_price) = suspects("price");
    assert!(
        by_price > 0 && by_price < all_by_price,
        "{by_price} of {all_by_price}"
    );
    assert_eq!(all_by_price, channel.instruments().len());
}

/// Proves that what cannot be meant is refused with what to write instead.
#[test]
fn wrong_arguments_are_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = root.path().join("lines.pcapng");
    write_capture(&path, 10, &[]);
    for (extra, expected) in [
        (&[][..], "--lines A=GROUP:PORT,B=GROUP:PORT"),
        (
            &["--lines", "A=239.1.2.3:31001"],
            "A=GROUP:PORT,B=GROUP:PORT",
        ),
        (
            &["--lines", "A=239.9.9.9:1,B=239.9.9.9:2"],
            "239.1.2.3:31001",
        ),
    ] {
        let output = offline(&path, extra);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains(expected),
            "{error}"
        );
    }
    let output = Command::new(BOOK)
        .args([
            "offline",
            "--lines",
            "A=239.1.2.3:1,B=239.1.2.3:2",
            "--input",
        ])
        .arg(&path)
        .output()
        .expect("tickdeck-book starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--lines merges"));
}

/// Proves on a real channel that all 127 books by price come out, without a fault, none called
/// good: the capture begins in the middle of the session.
#[test]
fn a_real_channel_of_127_instruments_has_no_fault() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/cme");
    let path = folder.join("Cme.Mdp3.Sbe.v6.1.pcap");
    if !path.is_file() {
        println!("skipped: no real market data at {}", folder.display());
        return;
    }
    let printed = books(&path, "A=224.0.31.64:14340,B=224.0.32.64:15340", &[]);
    let last = &printed["final"];
    assert_eq!(
        (&last["faults"], &last["messages"]),
        (&json!({}), &json!(10_273))
    );
    let books = last["books"].as_array().expect("a list");
    assert_eq!(books.len(), 127);
    for book in books {
        assert_eq!(
            (&book["book"], &book["trust"]),
            (&json!("price"), &json!("SUSPECT"))
        );
        assert_eq!(book["suspect_cause"], "mid_session");
        assert_eq!(book["crossed"], false);
    }
    let entries = &last["entries"];
    assert_eq!(
        (&entries["levels"], &entries["implied_levels"]),
        (&json!(5_467), &json!(9_107))
    );
}
