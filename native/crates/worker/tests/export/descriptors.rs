//! X19: descriptors run out.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::peer::{Copy, Peer, Said, dial};
use crate::plant::{Exporter, PATIENCE, Plant, wait_until};

/// Time that the exporter has computed.
fn busy(exporter: &Exporter) -> Duration {
    let path = format!("/proc/{}/stat", exporter.pid());
    let text = fs::read_to_string(path).expect("reads");
    let behind_name = text.rsplit_once(')').expect("a name").1;
    let fields: Vec<u64> = behind_name
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = fields[11] + fields[12];
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Strangers take every descriptor. Accepting fails ten times a second and not more, each time with
/// a count; some are taken with the reserve and closed; who is inside goes on, and when the strangers
/// have gone, others come in.
#[test]
fn without_descriptors_nothing_spins() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let place = json!({"addr": "127.0.0.1:0", "auth_token": plant.path("keys")});
    let limit = ["sh", "-c", "ulimit -n 30; exec \"$@\"", "sh"];
    let (mut exporter, ready) = plant.spawn_by(&limit, place, json!({}));
    assert_eq!(ready, "\n", "{}", exporter.log_text());
    let address = exporter.ask("status")["address"].clone();
    let port = address.as_str().expect("an address").rsplit_once(':');
    let port: u16 = port.expect("a port").1.parse().expect("a number");
    let mut peer = Peer::on_tcp(port, 0x0801);
    let mut copy = Copy::default();
    assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
    peer.follow_to(10, &mut copy);

    let strangers: Vec<TcpStream> = (0..60)
        .map(|n| dial(port, 0x3000 + n).expect("connects"))
        .collect();
    let failures = || exporter.stat("tcp_export_accept_failures_total");
    wait_until("accepting fails", || failures() > 0);
    let (begun, failed, computed) = (Instant::now(), failures(), busy(&exporter));
    while begun.elapsed() < Duration::from_millis(1_200) || failures() < failed + 2 {
        assert!(begun.elapsed() < PATIENCE, "accepting is not tried again");
        plant.append(1, 40);
        peer.follow_to(plant.durable(), &mut copy);
        std::thread::sleep(Duration::from_millis(20));
    }
    let (took, failed) = (begun.elapsed(), failures() - failed);
    let computed = busy(&exporter) - computed;
    assert!(
        failed as f64 <= took.as_secs_f64() * 10.0 + 2.0,
        "{failed} in {took:?}"
    );
    assert!(computed < took / 2, "computed {computed:?} of {took:?}");
    let is_closed = |mut stranger: &TcpStream| {
        stranger.set_nonblocking(true).expect("sets");
        let mut bytes = [0; 256];
        loop {
            match stranger.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    };
    assert!(strangers.iter().any(is_closed), "the reserve took nobody");
    drop(strangers);
    wait_until("others come in", || {
        let mut other = Peer::on_tcp(port, 0x0802);
        matches!(
            other.resume(Some("b"), &mut Copy::default()),
            Said::SubOk(_)
        )
    });
}

/// An exporter that may open few files takes as many as it may need for all its subscribers.
#[test]
fn room_is_made_for_all_subscribers() {
    let plant = Plant::new();
    let addr = format!("unix:{}", plant.path("socket").display());
    let limit = ["sh", "-c", "ulimit -Sn 40; exec \"$@\"", "sh"];
    let settings = json!({"max_subscribers": 100});
    let (exporter, ready) = plant.spawn_by(&limit, json!({"addr": addr}), settings);
    assert_eq!(ready, "\n", "{}", exporter.log_text());
    let limits = fs::read_to_string(format!("/proc/{}/limits", exporter.pid())).expect("reads");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.expect("a limit").split_whitespace().nth(3);
    let soft: u64 = soft.expect("a number").parse().expect("a number");
    assert!((300..1_000).contains(&soft), "{soft}");
}
