//! The packet ring allocates nothing once it is open.

use std::time::{Duration, Instant};

use crate::ring::{GROUP, flow, frame_sender, line, open};
use tickdeck_net::{PacketMmapConfig, Receiver, WaitSet};
use tickdeck_testbed::or_skip;

/// Waiting, receiving, refusing, handing back blocks, reading counters: no allocation, and no page
/// is touched for the first time.
#[test]
fn receiving_allocates_nothing() {
    let Some(testbed) = or_skip("receiving_allocates_nothing", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut receiver = open(&testbed, &line, &PacketMmapConfig::default());
    let mut sender = frame_sender(&testbed);
    let frame = flow().build(&[1; 1_400]);
    let (mut bytes, mut taken) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    for _ in 0..1_000 {
        sender.send(&frame).unwrap();
    }
    let faults = page_faults();
    let allocated = allocation_counter::measure(|| {
        while taken < 1_000 {
            assert!(Instant::now() < deadline, "{taken} of 1000 within a minute");
            let mut set = WaitSet::default();
            receiver.register(&mut set).unwrap();
            set.wait(Duration::from_millis(100)).unwrap();
            let mut add = |datagram: tickdeck_net::Datagram<'_>| bytes += datagram.payload.len();
            taken += receiver.receive(&mut add).unwrap();
        }
        receiver.receive_beside(&mut |_| {}).unwrap();
        receiver.counters().unwrap();
    });
    let faults = page_faults() - faults;
    assert_eq!((bytes, allocated.count_total), (1_400_000, 0));
    // 1.4 MB are 350 pages; a handful may be the stack's and the code's.
    assert!(faults < 50, "{faults} page faults");
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
