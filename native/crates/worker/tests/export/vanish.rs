//! X21: a peer whose packets vanish.

use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_testbed::{Testbed, or_skip, promised, skip};

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Exporter, PATIENCE, Plant, wait_until};

const NAME: &str = "a_vanished_peer_frees_its_place";

fn is_seated(exporter: &mut Exporter, name: &str) -> bool {
    let rows = exporter.rows();
    rows.iter()
        .any(|row| row["id"] == name && row["reason"] == "")
}

/// A plant on the other host, with a subscriber `a` that vanishes and one `b` that does not; how long
/// the place of `a` was taken after it had vanished.
fn time_to_free(testbed: &Testbed, settings: Value, vanish: impl FnOnce() -> Instant) -> Duration {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let namespace = testbed.names()[1].to_owned();
    let place = json!({"addr": "127.0.0.1:0", "auth_token": plant.path("keys")});
    let inside = ["ip", "netns", "exec", &namespace];
    let (mut exporter, ready) = plant.spawn_by(&inside, place, settings);
    assert_eq!(ready, "\n", "{}", exporter.log_text());
    let address = exporter.ask("status")["address"].clone();
    let port = address.as_str().expect("an address").rsplit_once(':');
    let port: u16 = port.expect("a port").1.parse().expect("a number");
    let subscribe = |name: &str, host| {
        let mut peer = testbed.in_rx(|| Peer::on_tcp(port, host));
        let mut copy = Copy::default();
        let said = peer.resume(Some(name), &mut copy);
        assert!(matches!(said, Said::SubOk(_)), "{said:?}");
        peer.follow_to(10, &mut copy);
        (peer, copy)
    };
    let (_vanishing, _) = subscribe("a", 0x0501);
    let (mut healthy, mut copy) = subscribe("b", 0x0401);
    wait_until("both are seated", || {
        is_seated(&mut exporter, "a") && is_seated(&mut exporter, "b")
    });
    let vanished = vanish();
    while is_seated(&mut exporter, "a") {
        assert!(
            vanished.elapsed() < 2 * PATIENCE,
            "its place is taken for ever"
        );
        plant.append(1, 40);
        healthy.follow_to(plant.durable(), &mut copy);
        thread::sleep(Duration::from_millis(20));
    }
    let took = vanished.elapsed();
    assert!(is_seated(&mut exporter, "b"));
    // The place is there for the same name, which may have one only.
    subscribe("a", 0x0402);
    took
}

/// The place is free within ten seconds: because nothing is heard, or, where silence is allowed for
/// long, because nothing is acknowledged by the peer's host.
#[test]
fn a_vanished_peer_frees_its_place() {
    if Command::new("nft").arg("--version").output().is_err() {
        return skip(NAME, "needs nft: requirements/test-packages.sh");
    }
    let Some(testbed) = or_skip(NAME, 1) else {
        return;
    };
    let vanish = || {
        let rules = "add table ip t; add chain ip t i { type filter hook input priority 0; }; \
                     add rule ip t i ip saddr 127.0.5.0/24 drop";
        let mut nft = testbed.process_rx("nft");
        assert!(nft.arg(rules).status().expect("runs").success());
        Instant::now()
    };
    let ready = Arc::new(std::sync::Barrier::new(2));
    thread::scope(|scope| {
        let theirs = Arc::clone(&ready);
        let bed = &testbed;
        let by_silence = scope.spawn(move || {
            time_to_free(bed, json!({}), || {
                theirs.wait();
                let at = vanish();
                theirs.wait();
                at
            })
        });
        let patient = json!({"heartbeat_timeout_ms": 600_000, "write_timeout_ms": 600_000});
        let by_kernel = time_to_free(&testbed, patient, || {
            ready.wait();
            ready.wait();
            Instant::now()
        });
        let by_silence = by_silence.join().expect("is served");
        for took in [by_silence, by_kernel] {
            assert!(
                took < promised(Duration::from_secs(10)),
                "{by_silence:?}, {by_kernel:?}"
            );
        }
        assert!(by_kernel > Duration::from_secs(5), "{by_kernel:?}");
    });
}
