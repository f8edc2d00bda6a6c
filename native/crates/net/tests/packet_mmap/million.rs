//! A million packets through the packet ring.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::ring::{GROUP, PORT, frame_sender, line, open, wait};
use tickdeck_net::{
    FrameSender, PacketMmapConfig, PacketMmapReceiver, PathCounters, Receiver, WaitSet,
};
use tickdeck_testbed::{FrameBuilder, TX_ADDRESS, Testbed, or_skip};

/// Packets of both lines together.
const PACKETS: u64 = 1_000_000;
const GROUPS: [Ipv4Addr; 2] = [GROUP, Ipv4Addr::new(239, 9, 1, 200)];
/// Packets that may be under way: fewer than the kernel's queue in front of a veth (1,000) holds,
/// with the fragments and foreign frames between them.
const WINDOW: u64 = 400;
/// Two fragments follow on one packet of so many.
const FRAGMENTS_EVERY: u64 = 50;

/// A million packets on two lines, some tagged, fragments and foreign traffic between them: each
/// line gets each of its packets once, in order, and counts exactly the fragments.
#[test]
fn a_million_packets_come_once_and_in_order() {
    let Some(testbed) = or_skip("a_million_packets_come_once_and_in_order", 1) else {
        return;
    };
    let config = PacketMmapConfig {
        block_bytes: 64 << 10,
        block_count: 16,
        ..PacketMmapConfig::default()
    };
    let mut receivers = GROUPS.map(|group| open(&testbed, &line(&testbed, group.into()), &config));
    let (taken, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sender = frame_sender(&testbed);
    thread::scope(|scope| {
        scope.spawn(|| send_all(sender, &taken, &stop));
        let _stop = StopOnDrop(&stop);
        receive_all(&testbed, &mut receivers, &taken);
    });
}

/// Ends the sender when the receiver is done or has failed.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn receive_all(testbed: &Testbed, receivers: &mut [PacketMmapReceiver; 2], taken: &AtomicU64) {
    let mut next = [0u64; 2];
    let mut progress = Instant::now();
    while next[0] + next[1] < PACKETS {
        let mut count = 0;
        for (receiver, next) in receivers.iter_mut().zip(&mut next) {
            let mut check = |datagram: tickdeck_net::Datagram<'_>| {
                let payload = datagram.payload;
                let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
                assert_eq!(number, *next, "each packet once and in order");
                assert_eq!(payload.len(), length_of(number));
                assert!(payload[8..].iter().all(|byte| *byte == number as u8));
                *next += 1;
            };
            count += receiver.receive(&mut check).unwrap();
        }
        taken.store(next[0] + next[1], Relaxed);
        if count > 0 {
            progress = Instant::now();
        } else if progress.elapsed() > Duration::from_secs(60) {
            let dropped = "cat /sys/class/net/tx0/statistics/tx_dropped";
            let dropped = testbed.command_tx(dropped).unwrap();
            let counters = receivers.each_mut().map(|receiver| receiver.counters());
            panic!("{next:?} came; the wire lost {dropped}, {counters:?}");
        } else {
            let mut set = WaitSet::default();
            for receiver in &*receivers {
                receiver.register(&mut set).unwrap();
            }
            set.wait(Duration::from_millis(100)).unwrap();
        }
    }
    assert_eq!(next, [PACKETS / 2; 2]);
    for receiver in receivers {
        assert!(!wait(receiver), "nothing came twice");
        let wanted = PathCounters {
            fragments: 2 * PACKETS / 2 / FRAGMENTS_EVERY,
            ..PathCounters::default()
        };
        assert_eq!(receiver.counters().unwrap(), wanted);
    }
}

fn send_all(mut sender: FrameSender, taken: &AtomicU64, stop: &AtomicBool) {
    // A thread that changes cores can overtake its own packets in the kernel's queues.
    tickdeck_net::pin_current_thread(0).unwrap();
    let flow = |group, port| {
        let from: SocketAddr = (TX_ADDRESS, 40_000).into();
        FrameBuilder::udp(from, (group, port).into()).without_checksum()
    };
    let builders = GROUPS.map(|group| (flow(group, PORT), flow(group, PORT).vlan(9)));
    let foreign = [
        flow(GROUP, PORT + 1).build(&[0xFF; 64]),
        flow(Ipv4Addr::new(239, 9, 1, 3), PORT).build(&[0xFF; 64]),
        flow(GROUP, PORT + 1).vlan(9).build(&[0xFF; 64]),
    ];
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for number in 0..PACKETS / 2 {
        for (plain, tagged) in &builders {
            let mut payload = vec![number as u8; length_of(number)];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let builder = if number % 7 == 3 { tagged } else { plain };
            frames.push(builder.build(&payload));
            if number % FRAGMENTS_EVERY == 3 {
                let builder = builder.clone().identification(number as u16);
                frames.extend(builder.fragments(&[0xFF; 56], 32));
            }
        }
        if number % 5 == 0 {
            frames.push(foreign[number as usize % 3].clone());
        }
        if number % 32 == 31 {
            let batch: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            sender.send_batch(&batch).unwrap();
            frames.clear();
            while 2 * number > taken.load(Relaxed) + WINDOW {
                if stop.load(Relaxed) {
                    return;
                }
                thread::yield_now();
            }
        }
    }
    let batch: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    sender.send_batch(&batch).unwrap();
}

/// Payloads of 16 to 79 bytes.
fn length_of(number: u64) -> usize {
    16 + (number % 64) as usize
}
