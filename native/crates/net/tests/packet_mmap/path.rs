//! The packet ring on a wire: what gets in, what it is, and what is left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::ring::{GROUP, PORT, flow, flow_from, frame_sender, line, line_on, open, take, wait};
use tickdeck_net::{
    Datagram, LineConfig, MulticastSender, NetError, PacketMmapConfig, PacketMmapReceiver,
    Receiver, Rung, Stamp, clock,
};
use tickdeck_testbed::{
    FrameBuilder, Malformation, RX_INTERFACE, TX_ADDRESS, TX_ADDRESS_V6, Testbed, or_skip,
};

/// Only the line's frames come, each once, by the lengths of its headers: behind padding, IP options
/// and any one VLAN tag.
#[test]
fn the_lines_datagrams_come() {
    let Some(testbed) = or_skip("the_lines_datagrams_come", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut receiver = open(&testbed, &line, &PacketMmapConfig::default());
    assert_eq!(receiver.rung(), Rung::PacketMmap);
    let mut sender = frame_sender(&testbed);
    let other_port = FrameBuilder::udp((TX_ADDRESS, 1).into(), (GROUP, PORT + 1).into());
    let other_group = Ipv4Addr::new(239, 9, 1, 2);
    let other_group = FrameBuilder::udp((TX_ADDRESS, 1).into(), (other_group, PORT).into());
    for frame in [
        flow().build(b"plain"),
        other_port.build(b"foreign"),
        flow().padded_to(60).build(b"padded"),
        other_group.build(b"foreign"),
        flow().vlan(7).build(b"tagged"),
        flow().vlan(4_095).padded_to(64).build(b"another tag"),
        flow().provider_vlan(9).vlan(7).build(b"two tags"),
        flow().ipv4_options(&[1; 12]).build(b"options"),
        flow().build(b""),
    ] {
        sender.send(&frame).unwrap();
    }
    let found = take(&mut receiver, 6);
    let payloads: Vec<&[u8]> = found.iter().map(|taken| &taken.payload[..]).collect();
    let wanted: [&[u8]; 6] = [
        b"plain",
        b"padded",
        b"tagged",
        b"another tag",
        b"options",
        b"",
    ];
    assert_eq!(payloads, wanted);
    for taken in &found {
        assert_eq!(
            (taken.truncated, taken.source),
            (false, (TX_ADDRESS, 40_000).into())
        );
    }
    assert_eq!(receiver.counters().unwrap(), Default::default());
}

/// A ring counts fragments, each; what the kernel puts together from them comes through its socket
/// beside, but what a frame could have held comes through the ring alone.
#[test]
fn fragments_come_through_the_kernel() {
    let Some(testbed) = or_skip("fragments_come_through_the_kernel", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let config = PacketMmapConfig {
        max_packet_bytes: 4_096,
        ..PacketMmapConfig::default()
    };
    let mut receiver = open(&testbed, &line, &config);
    let mut sender = frame_sender(&testbed);
    // Nobody has VLAN 7, so the kernel puts the second one together for nobody.
    for builder in [flow(), flow().vlan(7)] {
        for fragment in builder.fragments(&[1; 3_000], 1_024) {
            sender.send(&fragment).unwrap();
        }
    }
    sender.send(&flow().build(b"whole")).unwrap();
    sender.send(&flow().build(&[2; 1_472])).unwrap();
    let whole = take(&mut receiver, 8);
    assert_eq!((whole.len(), &whole[0].payload[..]), (2, &b"whole"[..]));
    let (mut beside, start) = (Vec::new(), Instant::now());
    while beside.is_empty() && start.elapsed() < Duration::from_secs(60) {
        let mut keep = |datagram: Datagram<'_>| beside.push(datagram.payload.to_vec());
        receiver.receive_beside(&mut keep).unwrap();
    }
    assert_eq!(beside, [vec![1; 3_000]]);
    let counters = receiver.counters().unwrap();
    assert_eq!(
        (counters.fragments, counters.beside, counters.lost()),
        (6, 1, 0)
    );
}

/// What is longer than the limit is cut and flagged; headers that lie are counted, not delivered.
#[test]
fn long_and_lying_frames_are_told_apart() {
    let Some(testbed) = or_skip("long_and_lying_frames_are_told_apart", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let config = PacketMmapConfig {
        max_packet_bytes: 100,
        block_bytes: 4_096,
        ..PacketMmapConfig::default()
    };
    let mut receiver = open(&testbed, &line, &config);
    let mut sender = frame_sender(&testbed);
    let bytes = [7; 1_400];
    // Cut in the kernel, cut here (without options more than the limit is captured), not cut.
    for length in [1_400, 101, 100] {
        sender.send(&flow().build(&bytes[..length])).unwrap();
    }
    for malformation in [
        Malformation::IpLengthBeyond(1),
        Malformation::UdpLengthBeyond(1),
        Malformation::UdpLengthShort,
    ] {
        // Once whole, once cut.
        sender
            .send(&flow().malformed(b"wrong", malformation))
            .unwrap();
        sender
            .send(&flow().malformed(&bytes, malformation))
            .unwrap();
    }
    let found = take(&mut receiver, 9);
    let lengths: Vec<_> = found
        .iter()
        .map(|taken| (taken.payload.len(), taken.truncated))
        .collect();
    assert_eq!(lengths, [(100, true), (100, true), (100, false)]);
    assert_eq!(receiver.counters().unwrap().malformed, 6);
}

/// A line of one sender takes only that one; IPv6 comes as IPv4 does, its fragments are counted.
#[test]
fn sources_and_ipv6_are_told_apart() {
    let Some(testbed) = or_skip("sources_and_ipv6_are_told_apart", 1) else {
        return;
    };
    let mut sender = frame_sender(&testbed);
    let config = PacketMmapConfig::default();
    let of_one = LineConfig {
        source: Some(TX_ADDRESS.into()),
        ..line(&testbed, GROUP.into())
    };
    let mut receiver = open(&testbed, &of_one, &config);
    let other = (Ipv4Addr::new(10, 77, 0, 9), 40_000).into();
    let other = FrameBuilder::udp(other, (GROUP, PORT).into());
    sender.send(&other.build(b"other")).unwrap();
    sender.send(&flow().build(b"wanted")).unwrap();
    assert_eq!(take(&mut receiver, 1)[0].payload, b"wanted");

    let group: Ipv6Addr = "ff15::9:1".parse().unwrap();
    let mut receiver = open(&testbed, &line(&testbed, group.into()), &config);
    let builder = FrameBuilder::udp((TX_ADDRESS_V6, 40_000).into(), (group, PORT).into());
    sender.send(&builder.build(b"six")).unwrap();
    let mut fragment = builder.build(b"part");
    fragment[20] = 44;
    sender.send(&fragment).unwrap();
    let found = take(&mut receiver, 2);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].payload, b"six");
    assert_eq!(receiver.counters().unwrap().fragments, 1);
}

/// On the loopback interface, where each frame leaves and arrives, it comes once; stamps are the
/// kernel's, of now.
#[test]
fn a_looped_frame_comes_once() {
    let Some(testbed) = or_skip("a_looped_frame_comes_once", 1) else {
        return;
    };
    let line = line_on(&testbed, "lo", GROUP.into());
    let mut receiver = open(&testbed, &line, &PacketMmapConfig::default());
    let sender = testbed
        .in_rx(|| MulticastSender::open(GROUP.into(), PORT, &line.interface, 1))
        .unwrap();
    let before = clock::realtime_ns();
    for number in 0..100u8 {
        sender.send(&[number]).unwrap();
    }
    let mut found = Vec::new();
    crate::ring::take_with(&mut receiver, 100, &mut |datagram| {
        let now = before..=clock::realtime_ns();
        assert!(
            now.contains(&datagram.rx_ns),
            "{} in {now:?}",
            datagram.rx_ns
        );
        assert_eq!(datagram.stamp, Stamp::Kernel);
        found.push(datagram.payload[0]);
    });
    assert!(found.into_iter().eq(0..100));
    assert!(!wait(&receiver), "nothing came twice");
}

/// What does not fit into the ring is counted exactly, what fitted comes in order, and the ring goes
/// on afterwards; twice, since the kernel's counters start again at each reading.
#[test]
fn an_overflow_is_counted_exactly() {
    let Some(testbed) = or_skip("an_overflow_is_counted_exactly", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut receiver = open(&testbed, &line, &tiny(1));
    let mut sender = frame_sender(&testbed);
    let mut numbers = Vec::new();
    for sent in [400u64, 800] {
        for number in sent - 400..sent {
            sender.send(&flow().build(&number.to_be_bytes())).unwrap();
        }
        let mut drops = 0;
        let deadline = deadline();
        while numbers.len() as u64 + drops < sent {
            assert!(Instant::now() < deadline, "{} and {drops}", numbers.len());
            let found = take_available(&mut receiver);
            numbers.extend(found.iter().map(|payload| number_of(payload)));
            drops = receiver.counters().unwrap().packet_ring_drops;
        }
        assert_eq!(numbers.len() as u64 + drops, sent);
        assert!(numbers.is_sorted_by(|a, b| a < b), "in order, each once");
    }
    let counters = receiver.counters().unwrap();
    assert!(counters.packet_ring_drops > 400 && counters.packet_ring_freezes >= 2);
    assert_eq!(counters.lost(), counters.packet_ring_drops);
    assert!(numbers.iter().any(|number| *number >= 400), "it went on");
}

/// Two rings share the flows of a line: more fits than into one, each datagram comes once, and each
/// flow keeps its order.
#[test]
fn two_rings_share_the_flows() {
    let Some(testbed) = or_skip("two_rings_share_the_flows", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut sender = frame_sender(&testbed);
    let mut send = |count: u64| {
        for number in 0..count {
            let frame = flow_from(40_000 + (number % 16) as u16).build(&number.to_be_bytes());
            sender.send(&frame).unwrap();
        }
    };
    let mut fitted = |queues| {
        // Long enough that blocks are handed over full.
        let config = PacketMmapConfig {
            retire_ms: 500,
            ..tiny(queues)
        };
        let mut receiver = open(&testbed, &line, &config);
        send(400);
        let mut taken = 0;
        let deadline = deadline();
        loop {
            assert!(Instant::now() < deadline, "{taken} came");
            taken += take_available(&mut receiver).len() as u64;
            let drops = receiver.counters().unwrap().packet_ring_drops;
            if taken + drops == 400 {
                return taken;
            }
        }
    };
    let (one, two) = (fitted(1), fitted(2));
    assert!(two > one, "{one} in one ring, {two} in two");

    let config = PacketMmapConfig {
        queues: 2,
        ..PacketMmapConfig::default()
    };
    let mut receiver = open(&testbed, &line, &config);
    send(800);
    let found = take(&mut receiver, 800);
    for port in 40_000..40_016 {
        let of_flow = found.iter().filter(|taken| taken.source.port() == port);
        let numbers = of_flow.map(|taken| number_of(&taken.payload));
        let wanted = (0..800u64).filter(|number| number % 16 == u64::from(port - 40_000));
        assert!(numbers.eq(wanted), "flow {port} in order");
    }
    assert!(!wait(&receiver), "nothing came twice");
}

/// A fanout group belongs to one receiver: a second with the same number is an error; with numbers
/// that the line chooses both get everything.
#[test]
fn a_foreign_fanout_group_is_never_shared() {
    let Some(testbed) = or_skip("a_foreign_fanout_group_is_never_shared", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let free = PacketMmapConfig {
        queues: 2,
        ..PacketMmapConfig::default()
    };
    let fixed = PacketMmapConfig {
        fanout_group: Some(7),
        ..free.clone()
    };
    let mut first = open(&testbed, &line, &fixed);
    let error = testbed.in_rx(|| PacketMmapReceiver::open(&line, &fixed).err().unwrap());
    let text = error.to_string();
    assert!(
        matches!(
            error,
            NetError::Option {
                option: "PACKET_FANOUT",
                ..
            }
        ),
        "{text}"
    );
    assert!(text.contains("to 7: another program"), "{text}");
    let mut second = open(&testbed, &line, &free);
    let mut third = open(&testbed, &line, &free);
    let mut sender = frame_sender(&testbed);
    for number in 0..50u64 {
        sender.send(&flow().build(&number.to_be_bytes())).unwrap();
    }
    for receiver in [&mut first, &mut second, &mut third] {
        assert_eq!(take(receiver, 50).len(), 50);
    }
}

/// Dropped, a receiver leaves nothing: no packet socket, mapping, descriptor or membership. So does
/// a failed open.
#[test]
fn nothing_is_left_behind() {
    let Some(testbed) = or_skip("nothing_is_left_behind", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let config = PacketMmapConfig {
        queues: 2,
        ..PacketMmapConfig::default()
    };
    for _ in 0..3 {
        let receiver = open(&testbed, &line, &config);
        let inodes = packet_sockets(&testbed);
        assert_eq!(inodes.len(), 2);
        assert!(
            inodes
                .iter()
                .all(|inode| is_mapped(inode) && is_open(inode))
        );
        assert!(is_joined(&testbed));
        drop(receiver);
        wait_until_closed(&testbed);
        assert!(
            !inodes
                .iter()
                .any(|inode| is_mapped(inode) || is_open(inode))
        );
        assert!(!is_joined(&testbed));
    }
    let gone = LineConfig {
        interface: tickdeck_net::Interface {
            index: 9_999,
            ..line.interface.clone()
        },
        ..line
    };
    let error = testbed.in_rx(|| PacketMmapReceiver::open(&gone, &config).err());
    assert!(error.is_some());
    wait_until_closed(&testbed);
}

/// A killed process leaves nothing either: its fanout group can be had at once.
#[test]
fn a_killed_process_leaves_nothing() {
    const HOLD: &str = "TICKDECK_TEST_HOLD_A_RING";
    let config = PacketMmapConfig {
        queues: 2,
        fanout_group: Some(77),
        ..PacketMmapConfig::default()
    };
    if std::env::var_os(HOLD).is_some() {
        let line = LineConfig {
            line: 0,
            group: GROUP.into(),
            port: PORT,
            interface: tickdeck_net::find_interface(RX_INTERFACE).unwrap(),
            source: None,
        };
        let _receiver = PacketMmapReceiver::open(&line, &config).unwrap();
        println!("\nholding");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let Some(testbed) = or_skip("a_killed_process_leaves_nothing", 1) else {
        return;
    };
    let program = std::env::current_exe().unwrap();
    let mut holder = testbed
        .process_rx(program.to_str().unwrap())
        .args([
            "--exact",
            "path::a_killed_process_leaves_nothing",
            "--nocapture",
        ])
        .env(HOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(output.any(|text| text.unwrap() == "holding"));
    let line = line(&testbed, GROUP.into());
    assert!(testbed.in_rx(|| PacketMmapReceiver::open(&line, &config).is_err()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until_closed(&testbed);
    let mut receiver = open(&testbed, &line, &config);
    frame_sender(&testbed).send(&flow().build(b"on")).unwrap();
    assert_eq!(take(&mut receiver, 1)[0].payload, b"on");
}

/// An interface that goes down and up again costs nothing but its absence; one that is removed is an
/// error.
#[test]
fn a_lost_interface_is_an_error() {
    let Some(testbed) = or_skip("a_lost_interface_is_an_error", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut receiver = open(&testbed, &line, &PacketMmapConfig::default());
    let beside = |receiver: &mut PacketMmapReceiver| receiver.receive_beside(&mut |_| {});
    testbed.command_rx("ip link set rx0 down").unwrap();
    assert!(wait(&receiver), "the loss wakes");
    assert_eq!(beside(&mut receiver).unwrap(), 0);
    assert!(!wait(&receiver), "once");
    testbed.command_rx("ip link set rx0 up").unwrap();
    let mut sender = frame_sender(&testbed);
    let deadline = deadline();
    while !wait(&receiver) {
        assert!(Instant::now() < deadline, "nothing comes again");
        sender.send(&flow().build(b"again")).unwrap();
    }
    testbed.command_rx("ip link del rx0").unwrap();
    let error = beside(&mut receiver).err().unwrap();
    assert!(error.to_string().contains("was removed"), "{error}");
}

/// Each value out of its range is an error that names the field; nothing was opened.
#[test]
fn values_out_of_range_are_named() {
    let line = LineConfig {
        line: 0,
        group: GROUP.into(),
        port: PORT,
        interface: tickdeck_net::find_interface("lo").unwrap(),
        source: None,
    };
    let good = PacketMmapConfig::default();
    let with = |change: fn(&mut PacketMmapConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    for (field, config) in [
        ("packet_mmap.queues", with(|config| config.queues = 0)),
        ("packet_mmap.queues", with(|config| config.queues = 5)),
        (
            "packet_mmap.block_bytes",
            with(|config| config.block_bytes = 2_048),
        ),
        (
            "packet_mmap.block_bytes",
            with(|config| config.block_bytes = 12_288),
        ),
        (
            "packet_mmap.block_bytes",
            with(|config| config.block_bytes = 1 << 25),
        ),
        (
            "packet_mmap.block_bytes",
            with(|config| {
                config.block_bytes = 4_096;
                config.max_packet_bytes = 4_096 - 225;
            }),
        ),
        (
            "packet_mmap.block_count",
            with(|config| config.block_count = 1),
        ),
        (
            "packet_mmap.block_count",
            with(|config| config.block_count = 4_097),
        ),
        ("packet_mmap.retire_ms", with(|config| config.retire_ms = 0)),
        (
            "packet_mmap.retire_ms",
            with(|config| config.retire_ms = 1_001),
        ),
        ("batch", with(|config| config.batch = 0)),
        (
            "max_packet_bytes",
            with(|config| config.max_packet_bytes = 65_508),
        ),
    ] {
        let error = PacketMmapReceiver::open(&line, &config).err().unwrap();
        match error {
            NetError::Config { field: named, .. } => assert_eq!(named, field, "{config:?}"),
            other => panic!("{field}: {other}"),
        }
    }
}

/// Two blocks of a page: some tens of packets.
fn tiny(queues: usize) -> PacketMmapConfig {
    PacketMmapConfig {
        queues,
        block_bytes: 4_096,
        block_count: 2,
        max_packet_bytes: 256,
        ..PacketMmapConfig::default()
    }
}

/// The payloads that are there now.
fn take_available(receiver: &mut PacketMmapReceiver) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    wait(receiver);
    let mut keep = |datagram: tickdeck_net::Datagram<'_>| found.push(datagram.payload.to_vec());
    let deadline = deadline();
    while receiver.receive(&mut keep).unwrap() > 0 {
        assert!(Instant::now() < deadline, "there is no end of it");
    }
    found
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn number_of(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

/// Inodes of the packet sockets on the receiving host.
fn packet_sockets(testbed: &Testbed) -> Vec<String> {
    let table = testbed.in_rx(|| fs::read_to_string("/proc/thread-self/net/packet").unwrap());
    let inodes = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().last());
    inodes.map(|inode| inode.unwrap().to_owned()).collect()
}

/// Another test's thread that starts a command has all descriptors for a moment, until the command
/// runs.
fn wait_until_closed(testbed: &Testbed) {
    let deadline = deadline();
    // A child that another test starts holds every descriptor until it runs its own program.
    while !packet_sockets(testbed).is_empty() || is_joined(testbed) {
        assert!(Instant::now() < deadline, "a socket stayed open");
        std::thread::yield_now();
    }
}

fn is_mapped(inode: &str) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains(&format!("socket:[{inode}]"))
}

fn is_open(inode: &str) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let mut links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.any(|link| link.to_string_lossy() == format!("socket:[{inode}]"))
}

fn is_joined(testbed: &Testbed) -> bool {
    let table = testbed.in_rx(|| fs::read_to_string("/proc/thread-self/net/igmp").unwrap());
    let [a, b, c, d] = GROUP.octets();
    table.contains(&format!("{d:02X}{c:02X}{b:02X}{a:02X}"))
}
