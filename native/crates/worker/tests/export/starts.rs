//! What has to be right before anybody is served.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use serde_json::json;
use tickdeck_testbed::promised;

use crate::plant::{Plant, wait_until};

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

/// X17: a collector that never answers holds no stop: the dial under way is left.
#[test]
fn a_stop_does_not_wait_for_a_dial() {
    let plant = Plant::new();
    // Its queue of one is taken, so that nobody else is answered.
    let stream = || socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let deaf = stream();
    bind(&deaf, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("binds");
    listen(&deaf, 0).expect("listens");
    let deaf = TcpListener::from(deaf);
    let port = deaf.local_addr().expect("has one").port();
    let _first = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    let place = json!({"mode": "connect", "collectors": [format!("127.0.0.1:{port}")],
                       "auth_token": plant.path("keys"), "connect_timeout_ms": 600_000});
    let mut exporter = plant.export(place, json!({}));
    let remote = format!(":{port:04X} 02 ");
    let path = format!("/proc/{}/net/tcp", exporter.pid());
    wait_until("it dials", || {
        fs::read_to_string(&path).expect("reads").contains(&remote)
    });
    let begun = Instant::now();
    exporter.signal("TERM");
    assert_eq!(exporter.wait().code(), Some(0), "{}", exporter.log_text());
    let took = begun.elapsed();
    assert!(took < promised(Duration::from_secs(1)), "{took:?}");
}
