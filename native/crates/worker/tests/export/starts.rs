//! What has to be right before anybody is served.

use std::net::TcpListener;

use serde_json::json;

use crate::plant::Plant;

/// X6: an address that others reach, without TLS or without a proof, is a configuration error: no
/// listener, never ready.
#[test]
fn no_way_in_without_proof() {
    let plant = Plant::new();
    for place in [
        json!({"addr": "0.0.0.0:0"}),
        json!({"addr": "0.0.0.0:0", "auth_token": plant.path("keys")}),
        json!({"addr": "127.0.0.1:0"}),
        json!({"mode": "connect", "collectors": ["192.0.2.1:7000"], "auth_token": plant.path("keys")}),
        json!({"mode": "connect", "collectors": []}),
        json!({"addr": "127.0.0.1:0", "auth_token": plant.path("absent")}),
    ] {
        let (mut exporter, said) = plant.spawn(place.clone(), json!({}));
        assert_eq!(
            exporter.wait().code(),
            Some(78),
            "{place}: {}",
            exporter.log_text()
        );
        assert_eq!(said, "", "{place}");
    }
}

/// X18: a port that is taken fails the start, and ready was never said.
#[test]
fn a_taken_port_fails_the_start() {
    let plant = Plant::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = taken.local_addr().expect("has one").to_string();
    let place = json!({"addr": addr, "auth_token": plant.path("keys")});
    let (mut exporter, said) = plant.spawn(place, json!({}));
    assert_eq!(exporter.wait().code(), Some(69));
    assert_eq!(said, "");
}

/// Without a journal there is nothing to export.
#[test]
fn no_journal_no_exporter() {
    let plant = Plant::new();
    std::fs::rename(plant.journal(), plant.path("elsewhere")).expect("renames");
    let addr = format!("unix:{}", plant.path("socket").display());
    let (mut exporter, said) = plant.spawn(json!({"addr": addr}), json!({}));
    assert_eq!((exporter.wait().code(), said.as_str()), (Some(1), ""));
    assert!(!plant.path("socket").exists());
}
