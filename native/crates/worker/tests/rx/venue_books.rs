//! Books of exchanges that number packets, by a receiver and a book worker as processes: what both
//! lines lost makes exactly the books suspect that it concerns, the snapshot channel makes them good
//! again, and at the end every book is the venue's, also in a book worker that was killed meanwhile.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_net::MulticastSender;
use tickdeck_sim::cme::{Channel as CmeChannel, ChannelConfig, Instrument, Snapshots};
use tickdeck_sim::eobi::{Channel, Product, Session, SessionConfig, Timed};
use tickdeck_wire::eobi as eobi_wire;
use tickdeck_wire::eobi::Release;

use crate::channels::plant_of;
use crate::plant::{Plant, Worker};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Levels of a book, bids and asks, each best first: price, quantity, orders.
type Levels = [Vec<(i64, u64, u32)>; 2];

/// Every book by its symbol and its kind.
type Truth = BTreeMap<(String, &'static str), Levels>;

/// A plant with books of this protocol, and the sender of its snapshot channel.
fn plant_with_books(protocol: &str) -> (Plant, MulticastSender) {
    let (mut plant, snapshots) = plant_of(protocol);
    plant.set("/exchange/decoder", json!(protocol));
    plant.set("/exchange/book/enabled", json!(true));
    (plant, snapshots)
}

/// EOBI: both lines lose packets of one product. Its instruments are suspect and nobody else's, also
/// in a book worker that was killed and came back; a cycle of the snapshot channel makes them good.
#[test]
fn eobi_books_of_one_product_come_back() {
    let (mut plant, snapshots) = plant_with_books("eobi");
    let receiver = plant.start();
    let books = plant.start_book();
    let mut session = Session::new(SessionConfig {
        steps: 3_000,
        ..SessionConfig::default()
    });
    let victim = session.products()[1].market_segment_id();
    let is_lost = |packet: &eobi_wire::Packet<'_>| {
        packet.market_segment_id() == victim && (400..900).contains(&packet.sequence())
    };
    let mut venue = Venue::new(&plant, &snapshots);
    // No snapshot is sent yet: what is lost stays lost.
    while venue.last_sequence < 1_000 {
        let timed = session.next().expect("a long session");
        if timed.channel == Channel::Incremental {
            venue.send(&timed, is_lost);
        }
    }
    let of_victim = |symbol: &str| symbol.starts_with(&victim.to_string());
    let only_victim_is_suspect = |list: &Value| {
        let suspects = suspects(list);
        let known = list["total"].as_u64().expect("a number") as usize;
        known == 12 && suspects.len() == 3 && suspects.iter().all(|symbol| of_victim(symbol))
    };
    until(
        &books,
        "the product's books are suspect",
        only_victim_is_suspect,
    );
    for row in rows(&list(&books)) {
        let decimals = (&row["price_decimals"], &row["quantity_decimals"]);
        assert_eq!(decimals, (&json!(8), &json!(4)));
    }
    books.call("book.snapshot", &json!({}));
    books.kill();
    let books = plant.start_book();
    until(&books, "they still are", only_victim_is_suspect);
    for timed in session.by_ref() {
        venue.send(&timed, is_lost);
    }
    let truth = eobi_truth(session.products());
    until(&books, "every book is good", |list| {
        suspects(list).is_empty()
    });
    until_equal(&books, &truth);
    let live = hashes(&books);
    books.stop();
    receiver.stop();
    assert_eq!(hashes_of_journal(&plant, "eobi"), live);
}

/// CME: both lines lose packets while nobody hears the snapshot loop. Books are suspect by price and
/// by order, also behind a kill of the book worker; the loop makes them good and the venue's.
#[test]
fn cme_books_come_back_by_price_and_by_order() {
    let (mut plant, snapshots) = plant_with_books("cme_mdp3");
    let receiver = plant.start();
    let books = plant.start_book();
    let mut channel = CmeChannel::new(ChannelConfig::default());
    let step = |channel: &mut CmeChannel, is_lost: bool| {
        let packet = channel.next_packet().to_vec();
        if !is_lost {
            plant.send_bytes(0, &packet);
            plant.send_bytes(1, &packet);
        }
        std::thread::sleep(Duration::from_micros(100));
    };
    for number in 1..=600 {
        step(&mut channel, (300..320).contains(&number));
    }
    let kinds = |list: &Value| {
        let suspects: Vec<&Value> = rows(list).filter(|row| row["trust"] == "SUSPECT").collect();
        ["price", "order"].map(|kind| suspects.iter().any(|row| kind_of(row) == kind))
    };
    until(&books, "books of both kinds are suspect", |list| {
        kinds(list) == [true; 2]
    });
    books.call("book.snapshot", &json!({}));
    books.kill();
    let books = plant.start_book();
    until(&books, "they still are", |list| kinds(list) == [true; 2]);
    let mut turn = 0;
    let start = Instant::now();
    while !suspects(&list(&books)).is_empty() {
        assert!(
            start.elapsed() < LIMIT,
            "not good: {:?}",
            suspects(&list(&books))
        );
        for _ in 0..4 {
            let packet = channel.next_packet().to_vec();
            plant.send_bytes(0, &packet);
            plant.send_bytes(1, &packet);
        }
        let index = turn % channel.instruments().len();
        for kind in [Snapshots::Prices, Snapshots::Orders] {
            for packet in channel.snapshot(kind, index, 1) {
                snapshots.send(&packet).expect("sent");
            }
        }
        turn += 1;
    }
    let truth = cme_truth(channel.instruments());
    until_equal(&books, &truth);
    let live = hashes(&books);
    books.stop();
    receiver.stop();
    assert_eq!(hashes_of_journal(&plant, "cme_mdp3"), live);
}

/// The EOBI simulator as a process, see [`follow`].
#[test]
fn a_simulated_eobi_exchange_is_followed() {
    follow("eobi", "play-eobi", || {
        let mut session = Session::new(SessionConfig {
            steps: STEPS,
            step_ns: 1_000_000_000 / RATE,
            heartbeat_ns: 100_000_000,
            snapshot_messages: usize::MAX,
            ..SessionConfig::default()
        });
        let lines = session
            .by_ref()
            .filter(|one| one.channel == Channel::Incremental);
        let packets = lines.map(|one| {
            let packet = eobi_wire::Packet::parse(&one.bytes, Release::V14_1);
            packet.map_or(0, |packet| packet.sequence())
        });
        let last = packets.max().expect("a session");
        (eobi_truth(session.products()), last)
    });
}

/// The CME simulator as a process, see [`follow`].
#[test]
fn a_simulated_cme_exchange_is_followed() {
    follow("cme_mdp3", "play-cme", || {
        let mut channel = CmeChannel::new(ChannelConfig::default());
        for _ in 0..STEPS {
            channel.next_packet();
        }
        (cme_truth(channel.instruments()), channel.sequence())
    });
}

/// Packets are lost on both lines while the book worker is killed: at the end every book is good
/// and the simulator's, and the journal alone gives the same.
fn follow(protocol: &str, play: &str, venue: impl FnOnce() -> (Truth, u32)) {
    let (mut plant, sender) = plant_with_books(protocol);
    let receiver = plant.start();
    let books = plant.start_book();
    drop(sender);
    let mut simulator = simulate(&plant, play);
    until(&books, "books come", |list| {
        list["messages"].as_u64() > Some(1_000)
    });
    books.call("book.snapshot", &json!({}));
    until(&books, "more messages come", |list| {
        list["messages"].as_u64() > Some(1_500)
    });
    books.kill();
    let books = plant.start_book();
    assert!(simulator.wait().expect("it ends").success());
    let (truth, last) = venue();
    receiver.wait_for("arbiter_next_sequence", "", u64::from(last) + 1);
    until(&books, "every book is good", |list| {
        suspects(list).is_empty()
    });
    until_equal(&books, &truth);
    let rows = receiver.stats().gaps();
    assert!(rows.iter().any(|row| row.by_snapshot > 0), "{rows:?}");
    let live = hashes(&books);
    books.stop();
    receiver.stop();
    assert_eq!(hashes_of_journal(&plant, protocol), live);
}

/// What the simulator plays: units of work, and how many a second.
const STEPS: u64 = 6_000;
const RATE: u64 = 2_000;

fn simulate(plant: &Plant, play: &str) -> Child {
    let lost = r#"{"fault":"drop","args":{"line":"AB","ranges":[[500,540]]},"lease_ms":60000}"#;
    Command::new(env!("CARGO_BIN_EXE_tickdeck-sim"))
        .args([
            play,
            "--steps",
            &STEPS.to_string(),
            "--rate",
            &RATE.to_string(),
        ])
        .args(["--fault", lost])
        .arg(format!("--line=A={}", plant.destination(0)))
        .arg(format!("--line=B={}", plant.destination(1)))
        .arg(format!(
            "--snapshot-line=A={}",
            plant.snapshot_destination()
        ))
        .stdout(Stdio::null())
        .spawn()
        .expect("tickdeck-sim starts")
}

/// Sends an EOBI session, slowly enough for a busy machine.
struct Venue<'a> {
    plant: &'a Plant,
    snapshots: &'a MulticastSender,
    count: u64,
    last_sequence: u32,
}

impl<'a> Venue<'a> {
    fn new(plant: &'a Plant, snapshots: &'a MulticastSender) -> Self {
        Self {
            plant,
            snapshots,
            count: 0,
            last_sequence: 0,
        }
    }

    fn send(&mut self, timed: &Timed, is_lost: impl Fn(&eobi_wire::Packet<'_>) -> bool) {
        self.count += 1;
        if self.count.is_multiple_of(64) {
            std::thread::sleep(Duration::from_millis(1));
        }
        match (timed.channel, timed.line) {
            (Channel::Snapshot, 0) => self.snapshots.send(&timed.bytes).expect("sent"),
            (Channel::Snapshot, _) => {}
            (Channel::Incremental, line) => {
                if let Ok(packet) = eobi_wire::Packet::parse(&timed.bytes, Release::V14_1) {
                    self.last_sequence = packet.sequence();
                    if is_lost(&packet) {
                        return;
                    }
                }
                self.plant.send_bytes(usize::from(line), &timed.bytes);
            }
        }
    }
}

/// What `book.list` says.
fn list(books: &Worker) -> Value {
    books.call("book.list", &json!({"hashes": true}))["result"].clone()
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list["books"].as_array().expect("a list").iter()
}

/// Symbols of the books that are suspect.
fn suspects(list: &Value) -> Vec<String> {
    let suspect = rows(list).filter(|row| row["trust"] == "SUSPECT");
    suspect.map(|row| text(row, "symbol")).collect()
}

fn kind_of(row: &Value) -> &str {
    row["book"].as_str().unwrap_or("order")
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// Waits until the list of books is as wanted.
fn until(books: &Worker, what: &str, is_wanted: impl Fn(&Value) -> bool) {
    let start = Instant::now();
    loop {
        let list = list(books);
        if is_wanted(&list) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{what}: {list}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until every book has the levels of the venue's.
fn until_equal(books: &Worker, truth: &Truth) {
    let start = Instant::now();
    for ((symbol, kind), levels) in truth {
        loop {
            let found = depth(books, symbol, kind);
            if found.as_ref() == Some(levels) {
                break;
            }
            assert!(
                start.elapsed() < LIMIT,
                "{kind} of {symbol}: {found:?}, the venue's {levels:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn depth(books: &Worker, symbol: &str, kind: &str) -> Option<Levels> {
    let arguments = json!({"symbol": symbol, "kind": kind, "levels": 5_000});
    let answer = books.call("book.depth", &arguments)["result"].clone();
    let side = |key: &str| {
        let levels = answer[key].as_array()?.iter().map(|level| {
            let (price, quantity) = (level[0].as_i64()?, level[1].as_u64()?);
            Some((price, quantity, level[2].as_u64()?.try_into().ok()?))
        });
        levels.collect::<Option<Vec<_>>>()
    };
    Some([side("bids")?, side("asks")?])
}

/// The state hash of each book.
fn hashes(books: &Worker) -> BTreeMap<(String, String), String> {
    hashes_in(&list(books)["books"])
}

fn hashes_in(books: &Value) -> BTreeMap<(String, String), String> {
    let rows = books.as_array().expect("a list").iter();
    rows.map(|row| {
        (
            (text(row, "symbol"), kind_of(row).to_owned()),
            text(row, "state_hash"),
        )
    })
    .collect()
}

/// The same of the books that the journal gives.
fn hashes_of_journal(plant: &Plant, protocol: &str) -> BTreeMap<(String, String), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tickdeck-book"))
        .args(["offline", "--protocol", protocol, "--json", "--input"])
        .arg(plant.path("journal"))
        .output()
        .expect("tickdeck-book runs");
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    hashes_in(&told["final"]["books"])
}

/// The priced orders of each instrument, as levels.
fn eobi_truth(products: &[Product]) -> Truth {
    let mut truth = Truth::new();
    for product in products {
        for ((security, side, _), order) in product.orders() {
            let Some(price) = order.price else { continue };
            let levels = truth.entry((security.to_string(), "order")).or_default();
            let side = match side {
                eobi_wire::Side::Buy => &mut levels[0],
                eobi_wire::Side::Sell => &mut levels[1],
            };
            join(side, price, order.quantity.try_into().expect("a quantity"));
        }
    }
    sorted(truth)
}

/// Each instrument's levels, and its orders as levels where orders are shown.
fn cme_truth(instruments: &[Instrument]) -> Truth {
    let mut truth = Truth::new();
    for instrument in instruments.iter().filter(|one| one.is_active()) {
        let symbol = instrument.security_id().to_string();
        let shown = truth.entry((symbol.clone(), "price")).or_default();
        for level in instrument.levels() {
            let side = usize::from(level.kind - b'0');
            let quantity = level.size.try_into().expect("a size");
            shown[side].push((
                level.price,
                quantity,
                level.orders.try_into().expect("order"),
            ));
        }
        if instrument.has_orders() {
            let levels = truth.entry((symbol, "order")).or_default();
            for order in instrument.orders() {
                let side = &mut levels[usize::from(order.kind - b'0')];
                join(
                    side,
                    order.price(),
                    order.quantity.try_into().expect("a quantity"),
                );
            }
        }
    }
    sorted(truth)
}

fn join(levels: &mut Vec<(i64, u64, u32)>, price: i64, quantity: u64) {
    match levels.iter_mut().find(|level| level.0 == price) {
        Some(level) => (level.1, level.2) = (level.1 + quantity, level.2 + 1),
        None => levels.push((price, quantity, 1)),
    }
}

fn sorted(mut truth: Truth) -> Truth {
    for [bids, asks] in truth.values_mut() {
        bids.sort_by_key(|level| std::cmp::Reverse(level.0));
        asks.sort_by_key(|level| level.0);
    }
    truth
}
