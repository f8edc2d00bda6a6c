//! The AF_XDP path allocates nothing once it is open, and touches no page for the first time.

use std::time::{Duration, Instant};

use crate::traffic::{Mix, lines};
use crate::wire::alone;
use tickdeck_net::{AfXdpConfig, AfXdpReceiver, Datagram, Receiver, Rung, WaitSet};

/// Waiting, receiving tagged and plain frames and fragments, refilling, refusing what is foreign.
#[test]
fn receiving_allocates_nothing() {
    let Some((_turn, testbed)) = alone("receiving_allocates_nothing", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let to = [lines[0].destination(), lines[1].destination()];
        let mix = Mix {
            packets: 4_000,
            tagged_every: 10,
            fragmented_every: 1_000,
            foreign_every: 20,
        };
        for rung in [Rung::NativeCopy, Rung::Generic] {
            let mut receiver = AfXdpReceiver::open(&lines, rung, &AfXdpConfig::default()).unwrap();
            // Every frame of the memory was written once by the kernel, and read, before it counts.
            for _ in 0..5 {
                testbed.in_tx(|| mix.send(to, |_| {}));
                take(&mut receiver, mix.packets);
            }
            testbed.in_tx(|| mix.send(to, |_| {}));
            let (mut bytes, faults) = (0, page_faults());
            let taking = || bytes = take(&mut receiver, mix.packets);
            let allocated = allocation_counter::measure(taking).count_total;
            let faults = page_faults() - faults;
            assert_eq!(
                (bytes, allocated),
                (4_000 * 64 + 4 * (2_000 - 64), 0),
                "{rung}"
            );
            assert!(faults < 50, "{rung}: {faults} page faults");
        }
    });
}

/// Takes `count` datagrams; returns their bytes.
fn take(receiver: &mut AfXdpReceiver, count: u64) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut bytes, mut taken) = (0, 0);
    while taken < count {
        assert!(
            Instant::now() < deadline,
            "{taken} of {count} within a minute"
        );
        let mut set = WaitSet::default();
        receiver.register(&mut set).unwrap();
        set.wait(Duration::from_millis(100)).unwrap();
        let mut add = |datagram: Datagram<'_>| {
            bytes += datagram.payload.len();
            taken += 1;
        };
        receiver.receive(&mut add).unwrap();
        receiver.receive_beside(&mut add).unwrap();
    }
    bytes
}

/// Page faults of this thread that needed no disk: the tenth word of its stat file.
fn page_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let behind_name = text.rsplit_once(')').unwrap().1;
    behind_name
        .split_whitespace()
        .nth(7)
        .unwrap()
        .parse()
        .unwrap()
}
