//! Whole frames across a veth pair. Needs root; says so when it skips.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tickdeck_net::{FrameSender, NetError};
use tickdeck_testbed::{
    FrameBuilder, Malformation, RX_ADDRESS, RX_INTERFACE, TX_ADDRESS, TX_ADDRESS_V6, TX_INTERFACE,
    Testbed, or_skip,
};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 77, 0, 1);
const PORT: u16 = 17_001;

/// Frames arrive at an ordinary UDP multicast socket byte for byte, with options, padding and
/// without a checksum too, and a batch beyond one system call arrives whole and in order.
#[test]
fn frames_arrive_at_a_multicast_socket() {
    let Some(testbed) = or_skip("frames_arrive_at_a_multicast_socket", 1) else {
        return;
    };
    let receiver = joined(&testbed, RX_ADDRESS);
    let mut sender = testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap());
    let plain = FrameBuilder::udp(from(), to());
    let builders = [
        plain.clone(),
        plain.clone().dont_fragment().ttl(7).padded_to(60),
        plain.clone().ipv4_options(&[0x94, 0x04, 0, 0]),
        plain.clone().without_checksum(),
    ];
    for (number, builder) in (1u8..).zip(&builders) {
        let payload = vec![number; usize::from(number)];
        sender.send(&builder.build(&payload)).unwrap();
        assert_eq!(receive(&receiver), payload);
    }
    let frames: Vec<_> = (0..200u8).map(|n| plain.build(&[n, 1])).collect();
    let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
    sender.send_batch(&frames).unwrap();
    for number in 0..200u8 {
        assert_eq!(receive(&receiver), [number, 1]);
    }
    assert_eq!(sender.sent(), 204);
}

/// IPv6 frames arrive too: their checksum is right and the group's MAC is theirs.
#[test]
fn ipv6_frames_arrive() {
    let Some(testbed) = or_skip("ipv6_frames_arrive", 1) else {
        return;
    };
    let group: Ipv6Addr = "ff15::77:1".parse().unwrap();
    let receiver = testbed.in_rx(|| {
        let socket = UdpSocket::bind((group, PORT)).unwrap();
        // The kernel's number of rx0; lo is 1.
        let index: u32 = std::fs::read_to_string("/proc/thread-self/net/dev_mcast")
            .unwrap()
            .lines()
            .find(|line| line.contains(RX_INTERFACE))
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap();
        socket.join_multicast_v6(&group, index).unwrap();
        socket
    });
    let timeout = Some(Duration::from_secs(60));
    receiver.set_read_timeout(timeout).unwrap();
    let mut sender = testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap());
    let from = (TX_ADDRESS_V6, 40_000).into();
    let builder = FrameBuilder::udp(from, (group, PORT).into());
    for payload in [&b"even"[..], b"odd"] {
        sender.send(&builder.build(payload)).unwrap();
        assert_eq!(receive(&receiver), payload);
    }
}

/// The kernel puts the fragments of one datagram together, in whatever order they come.
#[test]
fn fragments_are_put_together_by_the_kernel() {
    let Some(testbed) = or_skip("fragments_are_put_together_by_the_kernel", 1) else {
        return;
    };
    let receiver = joined(&testbed, RX_ADDRESS);
    let mut sender = testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap());
    let payload: Vec<u8> = (0..3_000u32).map(|n| (n * 7) as u8).collect();
    let builder = FrameBuilder::udp(from(), to()).identification(77);
    let mut fragments = builder.fragments(&payload, 1_024);
    assert_eq!(fragments.len(), 3);
    fragments.reverse();
    for fragment in &fragments {
        sender.send(fragment).unwrap();
    }
    assert_eq!(receive(&receiver), payload);
}

/// A tagged frame never reaches a socket on the untagged interface; it arrives on the interface of
/// its VLAN, where the kernel has such.
#[test]
fn a_tagged_frame_arrives_on_its_vlan_only() {
    let name = "a_tagged_frame_arrives_on_its_vlan_only";
    let Some(testbed) = or_skip(name, 1) else {
        return;
    };
    let untagged = joined(&testbed, RX_ADDRESS);
    let mut sender = testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap());
    let plain = FrameBuilder::udp(from(), to());
    let tagged = plain.clone().vlan(7).build(b"tagged");
    sender.send(&tagged).unwrap();
    sender.send(&plain.build(b"plain")).unwrap();
    assert_eq!(receive(&untagged), b"plain");

    if let Err(error) = testbed.command_rx("ip link add link rx0 name rx0.7 type vlan id 7") {
        println!("SKIPPED: {name}, second half: the kernel has no VLAN interfaces: {error}");
        return;
    }
    testbed
        .command_rx("ip address add 10.78.0.2/24 dev rx0.7")
        .unwrap();
    testbed.command_rx("ip link set rx0.7 up").unwrap();
    let on_vlan = joined(&testbed, Ipv4Addr::new(10, 78, 0, 2));
    sender.send(&tagged).unwrap();
    assert_eq!(receive(&on_vlan), b"tagged");
}

/// The kernel refuses every malformed frame: only the good one behind them arrives.
#[test]
fn malformed_frames_are_malformed_to_the_kernel_too() {
    let Some(testbed) = or_skip("malformed_frames_are_malformed_to_the_kernel_too", 1) else {
        return;
    };
    let receiver = joined(&testbed, RX_ADDRESS);
    let mut sender = testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap());
    let builder = FrameBuilder::udp(from(), to());
    for malformation in [
        Malformation::ShortHeaderLength,
        Malformation::LongHeaderLength,
        Malformation::IpLengthBeyond(1),
        Malformation::UdpLengthBeyond(1),
        Malformation::UdpLengthShort,
        Malformation::WrongVersion,
        Malformation::UdpChecksum,
        Malformation::HeaderChecksum,
        Malformation::Truncated(30),
        Malformation::Truncated(45),
    ] {
        let frame = builder.malformed(b"wrong", malformation);
        sender.send(&frame).unwrap();
        let right = format!("{malformation:?}");
        sender.send(&builder.build(right.as_bytes())).unwrap();
        assert_eq!(receive(&receiver), right.as_bytes());
    }
}

/// An interface that does not exist is named in the error.
#[test]
fn an_unknown_interface_is_an_error() {
    let Some(_testbed) = or_skip("an_unknown_interface_is_an_error", 1) else {
        return;
    };
    let error = FrameSender::open("nowhere0").err().unwrap();
    assert!(matches!(error, NetError::Option { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere0"), "{error}");
}

fn from() -> SocketAddr {
    (TX_ADDRESS, 40_000).into()
}

fn to() -> SocketAddr {
    (GROUP, PORT).into()
}

fn joined(testbed: &Testbed, interface: Ipv4Addr) -> UdpSocket {
    let socket = testbed.in_rx(|| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&to().into()).unwrap();
        socket.set_multicast_all_v4(false).unwrap();
        socket.join_multicast_v4(&GROUP, &interface).unwrap();
        UdpSocket::from(socket)
    });
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = socket
        .recv(&mut buffer)
        .expect("a datagram within a minute");
    buffer.truncate(length);
    buffer
}
