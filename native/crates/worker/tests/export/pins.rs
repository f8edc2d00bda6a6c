//! The pin of a subscriber that the log is retained for.

use std::fs;

use rustix::fs::OFlags;
use serde_json::{Value, json};
use tickdeck_journal::{Pin, read_pins, write_pin};
use tickdeck_stats::layout::AT_HEARTBEAT_MONO_NS;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Exporter, Plant, wait_until};

/// What is kept for `name`: acknowledged sequence, and whether it was given up.
fn pin(plant: &Plant, name: &str) -> Option<(u64, bool)> {
    let pins = read_pins(plant.journal()).expect("reads");
    let mine = pins.iter().find(|pin| pin.client == name);
    mine.map(|pin| (pin.acked_seq, pin.lost))
}

fn set_pin(plant: &Plant, acked_seq: u64, lost: bool) {
    let pin = Pin {
        client: "a".to_owned(),
        acked_seq,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 1,
        lost,
    };
    write_pin(plant.journal(), &pin).expect("writes");
}

/// The log is retained from the subscription on, before anything is acknowledged; a subscription
/// lowers a pin, revives a lost one, and never raises one.
#[test]
fn a_subscription_is_a_pin() {
    let mut plant = Plant::new();
    plant.append(20, 40);
    let table = |id: &str| {
        json!({"id": id, "slow_policy": "retain", "retain_max_bytes": 0, "retain_max_age_s": 0,
               "allow_written": false, "max_connections": 1})
    };
    let names = ["a", "b", "c", "d"].map(table);
    let mut exporter = plant.export_on_unix(json!({ "subscribers": names }));
    // Behind `end`, without an acknowledgement.
    let mut subscribe = |name: &str, end: u64| {
        wait_until("the place is free", || {
            let rows = exporter.rows();
            let is_there = |row: &serde_json::Value| row["id"] == name && row["reason"] == "";
            !rows.iter().any(is_there)
        });
        let mut copy = Copy {
            first: 1,
            end,
            ..Copy::default()
        };
        let mut peer = Peer::on_unix(&plant.path("socket"));
        let said = peer.resume(Some(name), &mut copy);
        assert!(matches!(said, Said::SubOk(_)), "{said:?}");
    };
    subscribe("a", 7);
    wait_until("the first pin", || pin(&plant, "a") == Some((7, false)));
    subscribe("a", 9);
    // Written in the order of names, so that of `a` was looked at before.
    subscribe("b", 3);
    wait_until("another pin", || pin(&plant, "b") == Some((3, false)));
    assert_eq!(pin(&plant, "a"), Some((7, false)), "raised without an ACK");
    subscribe("a", 5);
    wait_until("a lower pin", || pin(&plant, "a") == Some((5, false)));
    set_pin(&plant, 2, true);
    subscribe("a", 11);
    wait_until("a lost pin lives", || pin(&plant, "a") == Some((11, false)));
}

/// A disk that hangs under a pin stops nothing but pins: the heart beats, everybody is served, and
/// how long pins wait is told. What was acknowledged is called kept when the disk has taken it.
#[test]
fn a_hung_disk_stops_nothing_but_pins() {
    let mut plant = Plant::new();
    plant.append(20, 40);
    let table = json!({"id": "a", "slow_policy": "retain", "retain_max_bytes": 0,
                       "retain_max_age_s": 0, "allow_written": false, "max_connections": 1});
    let mut exporter = plant.export_on_unix(json!({"subscribers": [table]}));
    // Opening a FIFO that nobody reads waits for a reader: the pin is written under this name first.
    let pins = plant.journal().join("pins");
    fs::create_dir_all(&pins).expect("creates");
    let fifo = pins.join(format!(".a.{}.tmp", exporter.pid()));
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).expect("makes a FIFO");

    let (mut retained, mut copy) = (Peer::on_unix(&plant.path("socket")), Copy::default());
    retained.resume(Some("a"), &mut copy);
    let row = |exporter: &mut Exporter| {
        let rows = exporter.rows();
        rows.into_iter()
            .find(|row| row["id"] == "a")
            .expect("is there")
    };
    let heartbeat = |exporter: &Exporter| exporter.stats().header_word(AT_HEARTBEAT_MONO_NS);
    let (mut beat, mut beats) = (heartbeat(&exporter), 0);
    wait_until("the pin is late", || {
        plant.append(1, 40);
        retained.follow_to(plant.durable(), &mut copy);
        let (before, now) = (beat, heartbeat(&exporter));
        beats += u64::from(now > before);
        beat = now;
        exporter.stat("tcp_export_pin_lag_ms") > 2_000
    });
    assert!(beats >= 10, "{beats} heartbeats");
    let (mut other, mut others) = (Peer::on_unix(&plant.path("socket")), Copy::default());
    other.resume(None, &mut others);
    other.follow_to(plant.durable(), &mut others);
    let end = plant.durable();
    wait_until("the last ACK is seen", || {
        row(&mut exporter)["acked_seq"] == end
    });
    assert_eq!(row(&mut exporter)["kept_seq"], Value::Null);
    assert_eq!(pin(&plant, "a"), None);

    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let _reader = rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty()).expect("opens");
    fs::remove_file(&fifo).expect("removes");
    wait_until("the pin is durable", || {
        pin(&plant, "a") == Some((end, false))
    });
    wait_until("it is called kept", || {
        row(&mut exporter)["kept_seq"] == end
    });
    // A FIFO cannot be synced.
    assert!(exporter.stat("tcp_export_pin_failures_total") > 0);
    wait_until("pins are in time", || {
        exporter.stat("tcp_export_pin_lag_ms") < 1_500
    });
}
