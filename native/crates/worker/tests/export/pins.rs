//! The pin of a subscriber that the log is retained for.

use serde_json::json;
use tickdeck_journal::{Pin, read_pins, write_pin};

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Plant, wait_until};

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
