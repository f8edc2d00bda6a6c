//! Protocols that number packets, with snapshot channels: what both lines lost costs only the books
//! that it concerns, these come back from the next whole cycle, and the journal alone gives them.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tickdeck_journal::Reader;
use tickdeck_net::{MulticastSender, find_interface};
use tickdeck_recovery::{cme, eobi};
use tickdeck_sim::cme::{Channel as CmeChannel, ChannelConfig, Snapshots};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig, Timed};
use tickdeck_stats::GapState;
use tickdeck_wire::eobi::Release;
use tickdeck_wire::record::{SessionEvent, SessionEventKind, SnapshotEvent, kind};
use tickdeck_wire::{cme as cme_wire, eobi as eobi_wire};

use crate::plant::{Plant, Worker};

#[path = "../../../recovery/tests/eobi/books.rs"]
mod eobi_books;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
const RELEASE: Release = Release::V14_1;

/// A plant of this protocol, and the sender of its snapshot channel.
pub(crate) fn plant_of(protocol: &str) -> (Plant, MulticastSender) {
    let mut plant = Plant::new();
    let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = probe.local_addr().expect("address").port();
    let (group, _) = plant.group(0);
    let loopback = find_interface("lo").expect("loopback interface");
    let sender = MulticastSender::open(group, port, &loopback, 0).expect("multicast sender");
    for (key, value) in [
        ("protocol", json!(protocol)),
        ("decoder", json!("none")),
        ("recovery/replay_protocol", json!("none")),
        ("recovery/request_address", json!(null)),
        ("recovery/snapshot/protocol", json!(protocol)),
        ("recovery/snapshot/group", json!(group.to_string())),
        ("recovery/snapshot/port", json!(port)),
        ("recovery/snapshot/interface", json!("127.0.0.1")),
        ("recovery/snapshot/max_bytes", json!(1 << 26)),
    ] {
        plant.set(&format!("/exchange/{key}"), value);
    }
    (plant, sender)
}

/// Waits until every row is closed and something was filled by a snapshot, while `go_on` sends.
fn until_healed(worker: &Worker, mut go_on: impl FnMut()) {
    let start = Instant::now();
    loop {
        let rows = worker.stats().gaps();
        let is_healed = |row: &tickdeck_stats::GapRow| row.state == GapState::Filled;
        if !rows.is_empty() && rows.iter().all(is_healed) {
            assert!(rows.iter().all(|row| row.by_snapshot > 0), "{rows:?}");
            return;
        }
        assert!(start.elapsed() < LIMIT, "not healed: {rows:?}");
        go_on();
    }
}

/// The snapshots of the journal and what lies between, in order.
fn read_journal(
    plant: &Plant,
    mut packet: impl FnMut(&[u8]),
    mut snapshot: impl FnMut(SnapshotEvent, &[Vec<u8>]),
) {
    let mut reader = Reader::open(plant.path("journal")).expect("a journal");
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while let Some(found) = reader.next().expect("a whole journal") {
        let payload = found.record.payload;
        match found.record.kind {
            kind::DATA => packet(payload),
            kind::SNAPSHOT_BEGIN => parts.clear(),
            kind::SNAPSHOT_DATA => parts.push(payload.to_vec()),
            kind::SNAPSHOT_END => {
                let event = SnapshotEvent::decode(payload).expect("a snapshot");
                assert_eq!(event.records, parts.len() as u64, "the snapshot is whole");
                snapshot(event, &parts);
            }
            kind::SESSION => {
                let event = SessionEvent::decode(payload).expect("a session");
                assert_ne!(event.kind, SessionEventKind::Changed, "one epoch");
            }
            kind::JOURNAL_HOLE => panic!("the journal was lapped"),
            _ => {}
        }
    }
}

/// EOBI: both lines lose one product's packets for a while. No other product was ever suspect, and a
/// snapshot filled each gap; the orders of all, read from the journal, are those of the venue.
#[test]
fn an_eobi_product_comes_back() {
    let (mut plant, snapshots) = plant_of("eobi");
    let worker = plant.start();
    let mut session = Session::new(SessionConfig {
        steps: 3_000,
        release: RELEASE,
        ..SessionConfig::default()
    });
    let victim = session.products()[1].market_segment_id();
    let mut play = Play::new(&plant, &snapshots);
    for timed in session.by_ref() {
        play.send(&timed, |packet| {
            packet.market_segment_id() == victim && (400..900).contains(&packet.sequence())
        });
    }
    until_healed(&worker, || std::thread::sleep(Duration::from_millis(5)));
    // What is still in its sockets would be lost with it.
    worker.wait_for("arbiter_next_sequence", "", play.end);
    worker.stop();
    let books = eobi_books_of(&plant);
    for product in session.products() {
        let id = product.market_segment_id();
        // A cycle between the last lost packet and the product's next one leaves no doubt to a replay.
        assert!(id == victim || !books.was_suspect(id), "product {id}");
        assert_eq!(&books.products[&id], product.orders(), "product {id}");
    }
}

/// A receiver of EOBI that is killed and started again: the same epoch goes on, what it missed costs a
/// snapshot, and the journal of both gives the venue's orders.
#[test]
fn an_eobi_receiver_is_killed() {
    let (mut plant, snapshots) = plant_of("eobi");
    let worker = plant.start();
    let mut session = Session::new(SessionConfig {
        steps: 4_000,
        release: RELEASE,
        ..SessionConfig::default()
    });
    let mut play = Play::new(&plant, &snapshots);
    for timed in session.by_ref().take(6_000) {
        play.send(&timed, |_| false);
    }
    worker.kill();
    // The venue goes on without anybody who listens.
    for timed in session.by_ref().take(1_000) {
        play.send(&timed, |_| false);
    }
    let worker = plant.start();
    let mut play = Play::new(&plant, &snapshots);
    for timed in session.by_ref() {
        play.send(&timed, |_| false);
    }
    until_healed(&worker, || std::thread::sleep(Duration::from_millis(5)));
    // What is still in its sockets would be lost with it.
    worker.wait_for("arbiter_next_sequence", "", play.end);
    worker.stop();
    let books = eobi_books_of(&plant);
    for product in session.products() {
        let id = product.market_segment_id();
        assert_eq!(&books.products[&id], product.orders(), "product {id}");
    }
}

/// A receiver of EOBI without a snapshot channel, and a peer that lost nothing: the packets come from
/// the peer's journal, and the journals of both have the same packets.
#[test]
fn eobi_packets_come_from_a_peer() {
    let (mut peer, _) = plant_of("eobi");
    let (mut plant, snapshots) = plant_of("eobi");
    for plant in [&mut peer, &mut plant] {
        without_snapshots(plant);
    }
    let peer_worker = peer.start();
    let mut served = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .args([
            "serve",
            "--numbered",
            "packets",
            "--listen",
            "127.0.0.1:0",
            "--dir",
        ])
        .arg(peer.path("journal"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("tickdeck-journal starts");
    let mut line = String::new();
    let stdout = served.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the ready line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    plant.set("/exchange/recovery/peer_address", ready["listen"].clone());
    let worker = plant.start();
    let mut session = Session::new(SessionConfig {
        steps: 1_000,
        release: RELEASE,
        ..SessionConfig::default()
    });
    let is_increment = |timed: &Timed| timed.channel == Channel::Incremental;
    let day: Vec<Timed> = session.by_ref().filter(is_increment).collect();
    let mut whole = Play::new(&peer, &snapshots);
    day.iter().for_each(|timed| whole.send(timed, |_| false));
    let end = whole.end;
    peer_worker.wait_for("arbiter_next_sequence", "", end);
    // What the peer has not synced it does not serve.
    let published = peer_worker.value("ring_next_seq", "") - 1;
    peer_worker.wait_until("journal_durable_seq", "", |durable| durable >= published);
    let mut cut = Play::new(&plant, &snapshots);
    for timed in &day {
        cut.send(timed, |packet| (400..450).contains(&packet.sequence()));
    }
    worker.wait_for_gap(|row| row.state == GapState::Filled);
    let rows = worker.stats().gaps();
    assert_eq!(
        rows.iter().map(|row| row.by_peer).sum::<u64>(),
        50,
        "{rows:?}"
    );
    worker.wait_for("arbiter_next_sequence", "", end);
    worker.stop();
    peer_worker.stop();
    served.kill().expect("it serves until it is ended");
    served.wait().expect("ended");
    let packets = |plant: &Plant| {
        let mut packets = Vec::new();
        // Each line stamps its own header: what lies behind it is the packet.
        let keep = |bytes: &[u8]| packets.push(bytes[eobi_wire::HEADER_LEN..].to_vec());
        read_journal(plant, keep, |_, _| panic!("there are no snapshots"));
        packets
    };
    let brought = packets(&plant);
    assert_eq!(brought.len() as u64, end - 1);
    assert!(brought == packets(&peer), "the same packets");
}

fn without_snapshots(plant: &mut Plant) {
    plant.set("/exchange/recovery/snapshot/protocol", json!("none"));
    for key in ["group", "port", "interface"] {
        plant.set(&format!("/exchange/recovery/snapshot/{key}"), json!(null));
    }
}

/// Sends a session, slowly enough for a busy machine.
struct Play<'a> {
    plant: &'a Plant,
    snapshots: &'a MulticastSender,
    count: u64,
    /// Behind the newest packet of the increments, sent or lost.
    end: u64,
}

impl<'a> Play<'a> {
    fn new(plant: &'a Plant, snapshots: &'a MulticastSender) -> Self {
        Self {
            plant,
            snapshots,
            count: 0,
            end: 0,
        }
    }

    fn send(&mut self, timed: &Timed, is_lost: impl Fn(&eobi_wire::Packet<'_>) -> bool) {
        self.count += 1;
        if self.count.is_multiple_of(64) {
            std::thread::sleep(Duration::from_millis(1));
        }
        match timed.channel {
            Channel::Snapshot if timed.line == 0 => {
                self.snapshots.send(&timed.bytes).expect("sent");
            }
            Channel::Snapshot => {}
            Channel::Incremental => {
                let packet = eobi_wire::Packet::parse(&timed.bytes, RELEASE);
                if let Ok(packet) = &packet {
                    self.end = self.end.max(u64::from(packet.sequence()) + 1);
                }
                if !packet.is_ok_and(|packet| is_lost(&packet)) {
                    self.plant.send_bytes(usize::from(timed.line), &timed.bytes);
                }
            }
        }
    }
}

/// The books that the journal gives; each product is good.
fn eobi_books_of(plant: &Plant) -> eobi_books::Books {
    let replayer = eobi::Replayer::new(eobi::ReplayerConfig::default());
    let reader = RefCell::new((eobi_books::Books::new(RELEASE), replayer));
    read_journal(
        plant,
        |bytes| {
            let (books, replayer) = &mut *reader.borrow_mut();
            let packet = eobi_wire::Packet::parse(bytes, RELEASE).expect("a packet");
            replayer.on_packet(&packet, books);
        },
        |event, packets| {
            let (books, replayer) = &mut *reader.borrow_mut();
            let packets = packets.iter().map(Vec::as_slice);
            let cycle = eobi::Cycle::read(RELEASE, packets).expect("a whole cycle");
            assert_eq!(i64::from(cycle.market_segment_id), event.scope);
            replayer.on_cycle(&cycle, books);
        },
    );
    let (books, replayer) = reader.into_inner();
    assert_eq!(replayer.suspects().count(), 0);
    books
}

/// CME: both lines lose a range of packets. The books by price and by order come back from the
/// snapshot loop, and the journal gives them: every one is good and complete.
#[test]
fn cme_books_come_back() {
    let (mut plant, snapshots) = plant_of("cme_mdp3");
    let worker = plant.start();
    let mut channel = CmeChannel::new(ChannelConfig::default());
    let mut turn = 0;
    let mut step = |channel: &mut CmeChannel, is_lost: bool| {
        let packet = channel.next_packet().to_vec();
        if !is_lost {
            plant.send_bytes(0, &packet);
            plant.send_bytes(1, &packet);
        }
        turn += 1;
        if turn % 4 == 0 {
            let index = turn / 4 % channel.instruments().len();
            for kind in [Snapshots::Prices, Snapshots::Orders] {
                for packet in channel.snapshot(kind, index, 1) {
                    snapshots.send(&packet).expect("sent");
                }
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    };
    for number in 1..=600 {
        step(&mut channel, (300..320).contains(&number));
    }
    until_healed(&worker, || step(&mut channel, false));
    for _ in 0..50 {
        step(&mut channel, false);
    }
    let end = u64::from(channel.sequence()) + 1;
    worker.wait_for("arbiter_next_sequence", "", end);
    worker.stop();
    let (trust, replayer) = cme_books_of(&plant);
    assert!(trust.loaded > 0, "snapshots were needed");
    for instrument in channel.instruments() {
        let id = instrument.security_id();
        let known = replayer.trust(id, cme::Book::Prices);
        assert_eq!(known, Some(cme::Trust::Good), "instrument {id}");
    }
}

/// The simulator's channel, whose snapshots lie for a while: nothing of a lie is loaded, and once it
/// ends every book is good again, by the ledger and from the journal.
#[test]
fn cme_books_come_back_behind_lying_snapshots() {
    for fault in [
        "silent",
        "drop=0.5",
        "stale",
        "partial",
        "mixed",
        "garbage",
        "truncated",
    ] {
        let (mut plant, snapshots) = plant_of("cme_mdp3");
        let worker = plant.start();
        let lost = r#"{"fault":"drop","args":{"line":"AB","ranges":[[500,520]]},"lease_ms":60000}"#;
        let mut sim = Command::new(env!("CARGO_BIN_EXE_tickdeck-sim"))
            .args([
                "play-cme", "--rate", "4000", "--steps", "4000", "--fault", lost,
            ])
            .args(["--snapshot-fault", fault, "--snapshot-fault-ms", "300"])
            .arg(format!("--line=A={}", plant.destination(0)))
            .arg(format!("--line=B={}", plant.destination(1)))
            .arg(format!(
                "--snapshot-line=A={}",
                plant.snapshot_destination()
            ))
            .stdout(Stdio::null())
            .spawn()
            .expect("tickdeck-sim starts");
        drop(snapshots);
        until_healed(&worker, || std::thread::sleep(Duration::from_millis(5)));
        assert!(sim.wait().expect("ends").success(), "{fault}");
        worker.wait_for("arbiter_next_sequence", "", 4_001);
        worker.stop();
        let (trust, replayer) = cme_books_of(&plant);
        assert!(trust.loaded > 0, "{fault}");
        assert_eq!(replayer.suspects().count(), 0, "{fault}");
    }
}

/// What the journal gives: every snapshot in it is whole, and no book is suspect at the end.
fn cme_books_of(plant: &Plant) -> (CmeTrust, cme::Replayer) {
    let replayer = cme::Replayer::new(cme::ReplayerConfig::default());
    let reader = RefCell::new((CmeTrust::default(), replayer));
    read_journal(
        plant,
        |bytes| {
            let (trust, replayer) = &mut *reader.borrow_mut();
            let packet = cme_wire::Packet::parse(bytes).expect("a packet");
            replayer.on_packet(&packet, trust);
        },
        |event, packets| {
            let (trust, replayer) = &mut *reader.borrow_mut();
            let book = match event.scope >> 32 {
                0 => cme::Book::Prices,
                _ => cme::Book::Orders,
            };
            let packets = packets.iter().map(Vec::as_slice);
            let cycle = cme::Cycle::read(event.scope as i32, book, packets);
            replayer.on_cycle(&cycle.expect("a whole cycle"), trust);
        },
    );
    let (trust, replayer) = reader.into_inner();
    assert_eq!(replayer.suspects().count(), 0);
    (trust, replayer)
}

#[derive(Default)]
struct CmeTrust {
    loaded: u64,
}

impl cme::Output for CmeTrust {
    fn reset(&mut self, _: u32) {}
    fn load(&mut self, _: &cme::Cycle) {
        self.loaded += 1;
    }
    fn apply(&mut self, _: cme::Entry<'_>) {}
    fn trust(&mut self, _: i32, _: cme::Book, _: cme::Trust) {}
}
