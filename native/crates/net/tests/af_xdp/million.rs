//! A million packets through the AF_XDP path, on a veth pair between two network namespaces.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::traffic::{Mix, Tally, lines};
use crate::wire::{COPY_RUNGS, LIMIT, alone, destinations, receive};
use tickdeck_net::{AfXdpConfig, AfXdpReceiver, Receiver};

/// A million packets on two lines, one in ten tagged, one in a thousand in fragments, with foreign
/// frames between: in native and in generic mode each arrives once, in order on its line, or is in
/// a counter of the layer that dropped it.
#[test]
fn a_million_packets_arrive_once_or_are_counted() {
    let Some((_turn, testbed)) = alone("a_million_packets_arrive_once_or_are_counted", 1) else {
        return;
    };
    for rung in COPY_RUNGS {
        let mix = Mix {
            packets: 1_000_000,
            tagged_every: 10,
            fragmented_every: 1_000,
            foreign_every: 20,
        };
        let sent = AtomicU64::new(0);
        let is_sent = AtomicBool::new(false);
        let (tally, counters) = thread::scope(|scope| {
            let receiving = scope.spawn(|| {
                testbed.enter_rx().unwrap();
                let lines = lines();
                let config = AfXdpConfig {
                    max_packet_bytes: 2_048,
                    ..AfXdpConfig::default()
                };
                let mut receiver = AfXdpReceiver::open(&lines, rung, &config).unwrap();
                let mut tally = Tally::new(mix);
                let (to, sent, is_sent, testbed) =
                    (destinations(&lines), &sent, &is_sent, &testbed);
                let sending = scope.spawn(move || {
                    testbed.enter_tx().unwrap();
                    mix.send(to, |count| sent.store(count, Relaxed));
                    is_sent.store(true, Relaxed);
                });
                let start = Instant::now();
                while !is_sent.load(Relaxed) && start.elapsed() < LIMIT {
                    receive(
                        &mut receiver,
                        &mut tally,
                        u64::MAX,
                        Duration::from_millis(20),
                    );
                }
                receive(
                    &mut receiver,
                    &mut tally,
                    u64::MAX,
                    Duration::from_millis(200),
                );
                sending.join().unwrap();
                assert_eq!(receiver.rung(), rung);
                (tally, receiver.counters().unwrap())
            });
            receiving.join().unwrap()
        });
        println!("{rung}: received {}, {counters:?}", tally.received);
        assert_eq!(
            tally.received + counters.lost(),
            mix.packets,
            "{rung}: received + dropped = sent"
        );
        assert!(
            tally.missing() < mix.packets / 2,
            "{rung}: most of it arrives"
        );
        // Fragments come through the kernel; tagged ones do not.
        assert!(counters.beside <= mix.fragmented(), "{rung}");
        assert_eq!(counters.program_fragments, 3 * mix.fragmented(), "{rung}");
        assert_eq!(tally.stamps[0], 0, "{rung}: veth has no hardware time");
        assert_eq!(counters.xsk_invalid_descs, 0, "{rung}");
        let redirected = counters.program_redirected + mix.fragmented();
        // Frames that lie about their lengths beyond what the program checks are refused here.
        assert_eq!(redirected, mix.packets + counters.malformed, "{rung}");
    }
}
