//! The recvmmsg path between two hosts: VLANs, fragments, foreign traffic, source-specific groups,
//! IPv6. Needs root and iproute2; each test says when it skips.

mod veth;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_net::{
    FrameSender, MulticastSender, Receiver, SocketConfig, Stamp, UdpReceiver, WaitSet,
    find_interface, pin_current_thread,
};
use tickdeck_testbed::{
    FrameBuilder, Malformation, RX_INTERFACE, TX_ADDRESS, TX_ADDRESS_V6, TX_INTERFACE, or_skip,
};
use veth::{GROUP, GROUP_V6, PORT, Second, VLAN, add_second, line, receive};

const SENT: u64 = 1_000_000;
/// Every so many packets, a datagram comes in fragments, with foreign frames around it.
const MIX_EVERY: u64 = 250;
/// Packets under way at most, so that no buffer overflows.
const UNDER_WAY: u64 = 2_048;
const LIMIT: Duration = Duration::from_secs(120);

/// A million packets on two lines of one group and port, one of them on a VLAN interface without an
/// IPv4 address, with fragments, priority tags and foreign frames among them: each line sees
/// exactly its own, each once, in order, and nothing was dropped.
#[test]
fn a_million_packets_arrive_once_and_in_order() {
    let Some(testbed) = or_skip("a_million_packets_arrive_once_and_in_order", 1) else {
        return;
    };
    let second = add_second(&testbed);
    let mut receivers = testbed.in_rx(|| {
        [RX_INTERFACE, second.name].map(|name| {
            let line = line(find_interface(name).unwrap(), GROUP.into(), None);
            UdpReceiver::open(&line, &config(8 << 20)).unwrap()
        })
    });
    let received = AtomicU64::new(0);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            testbed.enter_tx().unwrap();
            let mut mix = Mix::new(&second);
            let begin = Instant::now();
            for number in (0..SENT).step_by(BATCH) {
                while number - received.load(Relaxed) > UNDER_WAY {
                    assert!(begin.elapsed() < LIMIT, "the receiver follows");
                    thread::yield_now();
                }
                mix.send(number);
            }
        });
        let mut next = [0, 1];
        receive_until(&mut receivers, &received, |line, number| {
            assert_eq!(number, next[line], "line {line}: each once, in order");
            next[line] += 2;
        });
        sender.join().unwrap();
        assert_eq!(next, [SENT, SENT + 1]);
    });
    for receiver in &mut receivers {
        assert_eq!(receiver.counters().unwrap().lost(), 0);
        assert_eq!(receiver.receive(&mut |_| panic!("a stranger")).unwrap(), 0);
    }
}

/// When the sender does not wait and the buffer is small, received + counted drops = sent, and what
/// is received is in order.
#[test]
fn received_and_dropped_are_what_was_sent() {
    const BURST: u64 = 100_000;
    let Some(testbed) = or_skip("received_and_dropped_are_what_was_sent", 1) else {
        return;
    };
    let mut receiver = testbed.in_rx(|| {
        let line = line(find_interface(RX_INTERFACE).unwrap(), GROUP.into(), None);
        UdpReceiver::open(&line, &config(64 << 10)).unwrap()
    });
    let is_sent = AtomicBool::new(false);
    let (mut received, mut last) = (0, None);
    thread::scope(|scope| {
        scope.spawn(|| {
            testbed.enter_tx().unwrap();
            let mut sender = FrameSender::open(TX_INTERFACE).unwrap();
            let mut batch = Templates::new(&flow(), BATCH);
            for number in (0..BURST).step_by(BATCH) {
                sender
                    .send_batch(&batch.numbered(|slot| number + slot))
                    .unwrap();
            }
            is_sent.store(true, Relaxed);
        });
        loop {
            let is_last = is_sent.load(Relaxed);
            let count = receiver.receive(&mut |datagram| {
                let number = number_of(datagram.payload);
                assert!(last.is_none_or(|last| number > last), "in order");
                last = Some(number);
            });
            received += count.as_ref().map(|count| *count as u64).unwrap();
            if is_last && count.unwrap() == 0 {
                break;
            }
        }
    });
    let dropped = receiver.counters().unwrap().socket_drops;
    assert_eq!(received + dropped, BURST, "{received} + {dropped}");
    println!("{received} received, {dropped} dropped");
}

/// A source-specific line takes only its sender's datagrams off the wire, for both families.
#[test]
fn a_source_specific_line_takes_only_its_source() {
    let Some(testbed) = or_skip("a_source_specific_line_takes_only_its_source", 1) else {
        return;
    };
    let stranger_v6 = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9);
    let families: [(IpAddr, IpAddr, IpAddr); 2] = [
        (
            GROUP.into(),
            TX_ADDRESS.into(),
            Ipv4Addr::new(10, 77, 0, 9).into(),
        ),
        (GROUP_V6.into(), TX_ADDRESS_V6.into(), stranger_v6.into()),
    ];
    for (group, ours, stranger) in families {
        let mut receivers = testbed.in_rx(|| {
            let interface = find_interface(RX_INTERFACE).unwrap();
            [None, Some(ours), Some(stranger)].map(|source| {
                let line = line(interface.clone(), group, source);
                UdpReceiver::open(&line, &SocketConfig::default()).unwrap()
            })
        });
        testbed.in_tx(|| {
            let mut sender = FrameSender::open(TX_INTERFACE).unwrap();
            for source in [ours, stranger, ours] {
                let from = SocketAddr::new(source, 4_000);
                let flow = FrameBuilder::udp(from, SocketAddr::new(group, PORT));
                sender.send(&flow.build(b"x")).unwrap();
            }
        });
        let expected = [vec![ours, stranger, ours], vec![ours, ours], vec![stranger]];
        for (receiver, expected) in receivers.iter_mut().zip(expected) {
            let mut sources = Vec::new();
            receive(receiver, expected.len(), &mut |datagram| {
                sources.push(datagram.source.ip());
            });
            assert_eq!(sources, expected);
            assert_eq!(
                receiver.receive(&mut |_| panic!("another source")).unwrap(),
                0
            );
        }
    }
}

/// IPv6 as a sender of ours sends it: groups of the site and of the link, whole, with the sender's
/// address, and labelled by the kernel's time once the host stamps.
#[test]
fn ipv6_groups_are_received() {
    let Some(testbed) = or_skip("ipv6_groups_are_received", 1) else {
        return;
    };
    for group in ["ff15::77:1", "ff12::77:1"] {
        let group: IpAddr = group.parse().unwrap();
        let mut receiver = testbed.in_rx(|| {
            let line = line(find_interface(RX_INTERFACE).unwrap(), group, None);
            UdpReceiver::open(&line, &SocketConfig::default()).unwrap()
        });
        let sender = testbed.in_tx(|| {
            let interface = find_interface(TX_INTERFACE).unwrap();
            MulticastSender::open(group, PORT, &interface, 1).unwrap()
        });
        let mut has_kernel_time = false;
        for _ in 0..10_000 {
            sender.send(&[6; 900]).unwrap();
            receive(&mut receiver, 1, &mut |datagram| {
                assert_eq!(datagram.payload, [6; 900]);
                let source = sender.local_address().unwrap();
                assert_eq!(
                    (datagram.source.ip(), datagram.source.port()),
                    (source.ip(), source.port())
                );
                has_kernel_time = datagram.stamp == Stamp::Kernel;
            });
            if has_kernel_time {
                break;
            }
        }
        assert!(has_kernel_time, "the host stamps");
    }
}

/// The same IPv6 group on two interfaces: each line takes its own.
#[test]
fn ipv6_lines_are_kept_apart_by_interface() {
    let Some(testbed) = or_skip("ipv6_lines_are_kept_apart_by_interface", 1) else {
        return;
    };
    let second = add_second(&testbed);
    let mut receivers = testbed.in_rx(|| {
        [RX_INTERFACE, second.name].map(|name| {
            let line = line(find_interface(name).unwrap(), GROUP_V6.into(), None);
            UdpReceiver::open(&line, &SocketConfig::default()).unwrap()
        })
    });
    testbed.in_tx(|| {
        let mut sender = FrameSender::open(TX_INTERFACE).unwrap();
        let mut to_second = FrameSender::open(second.sender).unwrap();
        let source = SocketAddr::new(TX_ADDRESS_V6.into(), 4_000);
        let flow = FrameBuilder::udp(source, SocketAddr::new(GROUP_V6.into(), PORT));
        let second_flow = tagged_for(&second, flow.clone());
        sender.send(&flow.build(b"first")).unwrap();
        to_second.send(&second_flow.build(b"second")).unwrap();
        sender.send(&flow.build(b"first")).unwrap();
    });
    for (receiver, expected) in receivers.iter_mut().zip([vec!["first"; 2], vec!["second"]]) {
        let mut payloads = Vec::new();
        receive(receiver, expected.len(), &mut |datagram| {
            payloads.push(String::from_utf8_lossy(datagram.payload).into_owned());
        });
        assert_eq!(payloads, expected);
        assert_eq!(
            receiver
                .receive(&mut |_| panic!("the other line's"))
                .unwrap(),
            0
        );
    }
}

/// An interface is found by its IPv6 address as well.
#[test]
fn an_interface_is_found_by_its_ipv6_address() {
    let Some(testbed) = or_skip("an_interface_is_found_by_its_ipv6_address", 1) else {
        return;
    };
    let found = testbed.in_tx(|| find_interface(&TX_ADDRESS_V6.to_string()).unwrap());
    assert_eq!(
        (found.name.as_str(), found.ipv4),
        (TX_INTERFACE, Some(TX_ADDRESS))
    );
}

fn config(rcvbuf_bytes: usize) -> SocketConfig {
    SocketConfig {
        rcvbuf_bytes,
        ..SocketConfig::default()
    }
}

/// Takes batches of both lines until all [`SENT`] packets came, or fails.
fn receive_until(
    receivers: &mut [UdpReceiver; 2],
    received: &AtomicU64,
    mut handler: impl FnMut(usize, u64),
) {
    let begin = Instant::now();
    while received.load(Relaxed) < SENT {
        assert!(begin.elapsed() < LIMIT, "{received:?} of {SENT} packets");
        let mut count = 0;
        for (line, receiver) in receivers.iter_mut().enumerate() {
            let mut handle = |datagram: tickdeck_net::Datagram<'_>| {
                assert!(!datagram.truncated);
                handler(line, number_of(datagram.payload));
            };
            count += receiver.receive(&mut handle).unwrap();
        }
        received.fetch_add(count as u64, Relaxed);
        if count == 0 {
            let mut set = WaitSet::default();
            for receiver in receivers.iter() {
                receiver.register(&mut set).unwrap();
            }
            set.wait(Duration::from_millis(100)).unwrap();
        }
    }
}

const BATCH: usize = 50;
const PAYLOAD_BYTES: usize = 64;
const NUMBER_BYTES: usize = 8;

fn number_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(*payload.first_chunk::<NUMBER_BYTES>().unwrap())
}

fn flow() -> FrameBuilder {
    let source = SocketAddr::new(TX_ADDRESS.into(), 4_000);
    // Without a checksum the number can be changed in the built frame.
    FrameBuilder::udp(source, SocketAddr::new(GROUP.into(), PORT)).without_checksum()
}

/// A batch of built frames whose numbers are filled in.
struct Templates {
    frames: Vec<Vec<u8>>,
}

impl Templates {
    fn new(flow: &FrameBuilder, count: usize) -> Self {
        Self {
            frames: vec![flow.build(&[0; PAYLOAD_BYTES]); count],
        }
    }

    fn numbered(&mut self, number: impl Fn(u64) -> u64) -> Vec<&[u8]> {
        for (slot, frame) in self.frames.iter_mut().enumerate() {
            let at = frame.len() - PAYLOAD_BYTES;
            frame[at..at + NUMBER_BYTES].copy_from_slice(&number(slot as u64).to_le_bytes());
        }
        self.frames.iter().map(Vec::as_slice).collect()
    }
}

/// Numbered packets, the even ones on the first line and the odd ones on the second; among them
/// fragments, and frames that no line may see.
struct Mix {
    senders: [FrameSender; 2],
    templates: [Templates; 2],
    foreign: Vec<Vec<u8>>,
}

impl Mix {
    fn new(second: &Second) -> Self {
        // Another core has another backlog: moving there would change the order on the wire.
        pin_current_thread(0).unwrap();
        let mut first = Templates::new(&flow(), BATCH / 2);
        // A tag of VLAN 0 is a priority and belongs to no VLAN.
        first.frames[7] = flow().vlan(0).build(&[0; PAYLOAD_BYTES]);
        let to_second = Templates::new(&tagged_for(second, flow()), BATCH / 2);
        Self {
            senders: [TX_INTERFACE, second.sender].map(|name| FrameSender::open(name).unwrap()),
            templates: [first, to_second],
            foreign: foreign(),
        }
    }

    /// Sends the batch that begins with `number`.
    fn send(&mut self, number: u64) {
        let is_mixed = number.is_multiple_of(MIX_EVERY);
        if is_mixed {
            self.send_fragments(number);
        }
        for (line, templates) in self.templates.iter_mut().enumerate() {
            let frames = templates.numbered(|slot| number + 2 * slot + line as u64);
            let is_first_sent = is_mixed && line == 0;
            let frames = &frames[usize::from(is_first_sent)..];
            self.senders[line].send_batch(frames).unwrap();
        }
    }

    /// Sends the first packet of a batch in fragments, with foreign frames around them.
    fn send_fragments(&mut self, number: u64) {
        let mut payload = vec![0; 1_000];
        payload[..NUMBER_BYTES].copy_from_slice(&number.to_le_bytes());
        let identification = (number / MIX_EVERY) as u16;
        let fragments = flow()
            .identification(identification)
            .fragments(&payload, 400);
        for frame in self.foreign.iter().chain(&fragments).chain(&self.foreign) {
            self.senders[0].send(frame).unwrap();
        }
    }
}

fn tagged_for(second: &Second, flow: FrameBuilder) -> FrameBuilder {
    if second.is_vlan {
        flow.vlan(VLAN)
    } else {
        flow
    }
}

/// Another port, another group, a VLAN that nobody has, a fragment without its rest, and frames that
/// are damaged.
fn foreign() -> Vec<Vec<u8>> {
    let source = SocketAddr::new(TX_ADDRESS.into(), 4_000);
    let to = |group: Ipv4Addr, port| FrameBuilder::udp(source, SocketAddr::new(group.into(), port));
    let ours = to(GROUP, PORT);
    let mut frames = vec![
        to(GROUP, PORT + 1).build(&[0xEE; 64]),
        to(Ipv4Addr::new(239, 77, 0, 99), PORT).build(&[0xEE; 64]),
        flow().vlan(VLAN + 1).build(&[0xEE; 64]),
        flow().vlan(VLAN).vlan(VLAN).build(&[0xEE; 64]),
        ours.malformed(&[0xEE; 64], Malformation::UdpChecksum),
        ours.malformed(&[0xEE; 64], Malformation::HeaderChecksum),
        ours.malformed(&[0xEE; 64], Malformation::IpLengthBeyond(100)),
        ours.malformed(&[0xEE; 64], Malformation::UdpLengthBeyond(100)),
    ];
    let lost_rest = ours.identification(0xFFFF).fragments(&[0xEE; 1_000], 400);
    frames.extend(lost_rest.into_iter().take(1));
    frames
}
