//! What taking a datagram costs. A measurement, not a check, so it runs only when asked:
//! `cargo test --release -p tickdeck-net --test drain -- --ignored --nocapture`.

#[allow(dead_code, reason = "only two of the helpers are needed")]
mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{line, sender, socket};
use tickdeck_net::{Receiver, SocketConfig, UdpReceiver, wait_readable};

const ROUNDS: usize = 200;
const PACKETS: usize = 2_000;

/// Nanoseconds per datagram for emptying a full socket buffer in batches of 64.
#[test]
#[ignore = "a measurement"]
fn drain() {
    let config = SocketConfig {
        rcvbuf_bytes: 8 << 20,
        batch: 64,
        ..socket()
    };
    let line = line();
    let mut receiver = UdpReceiver::open(&line, &config).unwrap();
    let sender = sender(&line);
    let mut nanoseconds: Vec<f64> = (0..ROUNDS).map(|_| round(&mut receiver, &sender)).collect();
    nanoseconds.sort_by(f64::total_cmp);
    let at = |part: f64| nanoseconds[((ROUNDS - 1) as f64 * part) as usize];
    println!(
        "ns per datagram: best {:.0}, quartile {:.0}, median {:.0}",
        at(0.0),
        at(0.25),
        at(0.5)
    );
}

fn round(receiver: &mut UdpReceiver, sender: &tickdeck_net::MulticastSender) -> f64 {
    for _ in 0..PACKETS {
        sender.send(&[7; 200]).unwrap();
    }
    assert!(wait_readable(&[receiver.as_fd()], Duration::from_secs(1)).unwrap());
    let (begin, mut received, mut check) = (Instant::now(), 0, 0);
    while received < PACKETS {
        received += receiver
            .receive(&mut |datagram| {
                check ^= datagram.rx_ns ^ u64::from(datagram.source.port());
            })
            .unwrap();
    }
    std::hint::black_box(check);
    begin.elapsed().as_nanos() as f64 / PACKETS as f64
}
