//! S01: a subscriber that is killed at any moment, again and again, has every sequence once.

use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Exporter, Plant};

const KILLS: u64 = 100;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// Kills over a way of getting a peer; the log grows all the while. What was not acknowledged is
/// forgotten with the kill, as by a subscriber that stores before it acknowledges.
fn survives(plant: &mut Plant, connect: impl Fn() -> Peer, seed: u64) -> Copy {
    let mut random = Random(seed);
    let mut copy = Copy::default();
    let mut stored = 0;
    for _ in 0..KILLS {
        plant.append(1 + random.below(200), random.below(300) as usize);
        let mut peer = loop {
            let mut peer = connect();
            match peer.resume(Some("a"), &mut copy) {
                Said::SubOk(_) => break peer,
                // The place of the one before is not free yet, or its connection was the last.
                Said::Err(_) | Said::End => std::thread::yield_now(),
                said => panic!("{said:?}"),
            }
        };
        for _ in 0..random.below(12) {
            if copy.end >= plant.durable() {
                break;
            }
            let said = peer.next();
            assert!(!matches!(said, Said::End | Said::Err(_)), "{said:?}");
            copy.keep(&said);
            if random.below(3) == 0 {
                stored = copy.end;
                peer.ack(stored);
            }
        }
        drop(peer);
        if stored > 0 {
            copy.end = stored;
        }
    }
    let mut peer = loop {
        let mut peer = connect();
        if let Said::SubOk(_) = peer.resume(Some("a"), &mut copy) {
            break peer;
        }
    };
    peer.follow_to(plant.durable(), &mut copy);
    copy
}

fn check(plant: &Plant, copy: &Copy) {
    assert_eq!((copy.first, copy.end), (1, plant.durable()));
    assert_eq!((copy.again, copy.gaps.len()), (0, 0));
}

/// The subscriber dials.
#[test]
fn kills_cost_nothing_when_we_listen() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let (exporter, port) = plant.export_on_tcp(json!({}));
    let host = std::cell::Cell::new(0x0300);
    let connect = || {
        host.set(host.get() + 1);
        Peer::on_tcp(port, 0x0301 + host.get() % 200)
    };
    let copy = survives(&mut plant, connect, 1);
    check(&plant, &copy);
    assert!(exporter.stat("tcp_export_subscriber_accepted_total") > KILLS);
}

/// The exporter dials.
#[test]
fn kills_cost_nothing_when_we_dial() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let socket = plant.path("socket");
    let listener = UnixListener::bind(&socket).expect("binds");
    let place = json!({"mode": "connect", "collectors": [format!("unix:{}", socket.display())],
                       "reconnect_backoff_ms": 1});
    let exporter: Exporter = plant.export(place, json!({}));
    let connect = || Peer::over(listener.accept().expect("is dialled").0);
    let copy = survives(&mut plant, connect, 2);
    check(&plant, &copy);
    assert!(exporter.stat("tcp_export_subscriber_accepted_total") > KILLS);
}
