//! The recvmmsg path on real sockets of the loopback interface.

mod common {
    pub(crate) mod line;
    pub(crate) mod loopback;
}

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use common::line::{LOOPBACK, line, socket};
use common::loopback::{receive, sender};
use tickdeck_net::{
    Interface, LineConfig, MulticastSender, NetError, Receiver, Rung, SocketConfig, Stamp,
    Timestamps, UdpReceiver, WAIT_CAPACITY, clock, find_interface, wait_readable,
};

/// What was sent arrives whole and in order over several batches, each datagram with its sender and
/// a kernel time that lies between sending and receiving.
#[test]
fn datagrams_arrive_with_kernel_times() {
    let line = line();
    let mut receiver = UdpReceiver::open(&line, &batches_of_four()).unwrap();
    let sender = sender(&line);
    settle(&mut receiver, &sender);
    let payloads: Vec<Vec<u8>> = (0..10u8).map(|n| vec![n; usize::from(n) * 100]).collect();
    let before_ns = clock::realtime_ns();
    for payload in &payloads {
        sender.send(payload).unwrap();
    }
    let sent_ns = clock::realtime_ns();
    let (mut received, mut last_ns) = (Vec::new(), before_ns);
    receive(&mut receiver, 10, &mut |datagram| {
        assert_eq!((datagram.stamp, datagram.truncated), (Stamp::Kernel, false));
        assert_eq!(datagram.source, sender.local_address().unwrap());
        assert!(
            (last_ns..=sent_ns).contains(&datagram.rx_ns),
            "a time within the send"
        );
        last_ns = datagram.rx_ns;
        received.push(datagram.payload.to_vec());
    });
    assert_eq!(received, payloads);
    assert_eq!((drops(&mut receiver), receiver.rung()), (0, Rung::Recvmmsg));
}

/// One call takes at most a batch and never waits.
#[test]
fn a_call_takes_one_batch_and_does_not_wait() {
    let line = line();
    let mut receiver = UdpReceiver::open(&line, &batches_of_four()).unwrap();
    assert_eq!(
        receiver
            .receive(&mut |_| panic!("nothing was sent"))
            .unwrap(),
        0
    );
    let sender = sender(&line);
    for _ in 0..6 {
        sender.send(b"x").unwrap();
    }
    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < 6 {
        assert!(wait_readable(&[receiver.as_fd()], Duration::from_secs(60)).unwrap());
        counts.push(receiver.receive(&mut |_| {}).unwrap());
    }
    assert!(counts.iter().all(|count| *count <= 4), "{counts:?}");
    assert_eq!(
        receiver.receive(&mut |_| panic!("all was taken")).unwrap(),
        0
    );
}

/// When the receive buffer overflows, received + dropped = sent: by asking the kernel at once, and
/// by the count that travels with the next datagram.
#[test]
fn drops_are_counted_exactly() {
    const SENT: usize = 3_000;
    let line = line();
    let config = SocketConfig {
        rcvbuf_bytes: 4_096,
        ..socket()
    };
    for asks_kernel in [true, false] {
        let mut receiver = UdpReceiver::open(&line, &config).unwrap();
        let sender = sender(&line);
        for _ in 0..SENT {
            sender.send(&[7; 200]).unwrap();
        }
        let mut received = drain(&mut receiver);
        if !asks_kernel {
            sender.send(&[8; 200]).unwrap();
            receive(&mut receiver, 1, &mut |datagram| {
                assert_eq!(datagram.payload[0], 8)
            });
        }
        assert!(
            received > 0 && received < SENT / 2,
            "the buffer overflowed: {received}"
        );
        received += drops(&mut receiver) as usize;
        assert_eq!(received, SENT, "asks_kernel: {asks_kernel}");
    }
}

/// A datagram that is longer than the buffer is flagged and cut; its neighbours are untouched.
#[test]
fn a_truncated_datagram_is_flagged() {
    let line = line();
    let config = SocketConfig {
        max_packet_bytes: 100,
        ..socket()
    };
    let mut receiver = UdpReceiver::open(&line, &config).unwrap();
    let sender = sender(&line);
    for length in [100u8, 101, 250, 99, 0] {
        sender.send(&vec![length; usize::from(length)]).unwrap();
    }
    let mut seen = Vec::new();
    receive(&mut receiver, 5, &mut |datagram| {
        let length = datagram.payload.len();
        assert!(
            datagram
                .payload
                .iter()
                .all(|byte| *byte == datagram.payload[0])
        );
        seen.push((
            datagram.payload.first().copied(),
            length,
            datagram.truncated,
        ));
    });
    let expected = [
        (Some(100), 100, false),
        (Some(101), 100, true),
        (Some(250), 100, true),
        (Some(99), 99, false),
        (None, 0, false),
    ];
    assert_eq!(seen, expected);
}

/// Two groups on one port do not mix, unicast to the port stays out, and two receivers of one line
/// both get everything.
#[test]
fn groups_do_not_mix_and_receivers_share() {
    let first = line();
    let second = LineConfig {
        group: line().group,
        ..first.clone()
    };
    let mut receivers = [&first, &first, &second].map(open);
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    stranger
        .send_to(b"to the port, not to the group", (LOOPBACK, first.port))
        .unwrap();
    sender(&first).send(b"first").unwrap();
    sender(&second).send(b"second").unwrap();
    for (receiver, expected) in receivers.iter_mut().zip(["first", "first", "second"]) {
        receive(receiver, 1, &mut |d| {
            assert_eq!(d.payload, expected.as_bytes())
        });
    }
    for receiver in &mut receivers {
        assert_eq!(
            receiver
                .receive(&mut |_| panic!("of the other group"))
                .unwrap(),
            0
        );
    }
}

/// The same group on another interface, joined by somebody else on this host, does not reach a line.
#[test]
fn another_interface_does_not_leak_in() {
    let Some(other) = another_interface() else {
        println!("skipped: this host has no second interface with an IPv4 address");
        return;
    };
    let line = line();
    let mut ours = open(&line);
    let mut theirs = open(&LineConfig {
        interface: other.clone(),
        ..line.clone()
    });
    // A TTL of 0 keeps the datagram on this host.
    let sender = MulticastSender::open(line.group, line.port, &other, 0).unwrap();
    sender.send(b"x").unwrap();
    receive(&mut theirs, 1, &mut |_| {});
    assert_eq!(
        ours.receive(&mut |_| panic!("of the other interface"))
            .unwrap(),
        0
    );
}

/// Source-specific membership takes only the named sender.
#[test]
fn a_source_specific_line_takes_only_its_source() {
    let line = line();
    let from = |source: Option<Ipv4Addr>| {
        open(&LineConfig {
            source: source.map(Into::into),
            ..line.clone()
        })
    };
    let mut any = from(None);
    let mut right = from(Some(LOOPBACK));
    let mut wrong = from(Some(Ipv4Addr::new(127, 0, 0, 99)));
    let sender = sender(&line);
    for _ in 0..3 {
        sender.send(b"x").unwrap();
    }
    receive(&mut any, 3, &mut |_| {});
    receive(&mut right, 3, &mut |_| {});
    assert_eq!(
        wrong.receive(&mut |_| panic!("of another source")).unwrap(),
        0
    );
}

/// Who sent a datagram is told where it was asked for, and is nobody where it was not.
#[test]
fn senders_are_told_on_request() {
    for sources in [true, false] {
        let line = line();
        let config = SocketConfig {
            sources,
            ..socket()
        };
        let mut receiver = UdpReceiver::open(&line, &config).unwrap();
        let sender = sender(&line);
        sender.send(b"x").unwrap();
        let mut found = None;
        receive(&mut receiver, 1, &mut |datagram| {
            found = Some((datagram.source, datagram.payload.to_vec()));
        });
        let nobody = "0.0.0.0:0".parse().unwrap();
        let expected = if sources {
            sender.local_address().unwrap()
        } else {
            nobody
        };
        assert_eq!(found, Some((expected, b"x".to_vec())));
    }
}

/// The membership exists while the receiver does and ends with it.
#[test]
fn the_group_is_left_on_drop() {
    let line = line();
    assert!(!is_joined(&line));
    let receiver = open(&line);
    assert!(is_joined(&line));
    drop(receiver);
    assert!(!is_joined(&line));
}

fn is_joined(line: &LineConfig) -> bool {
    let IpAddr::V4(group) = line.group else {
        panic!("a group of IPv4");
    };
    // The kernel prints the group as a number of the machine's byte order.
    let group = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let joined = std::fs::read_to_string("/proc/net/igmp").unwrap();
    joined.contains(&group)
}

/// Values out of range are refused by name before a socket exists.
#[test]
fn wrong_values_are_refused_by_name() {
    let wrong_lines = [
        (
            "group",
            LineConfig {
                group: LOOPBACK.into(),
                ..line()
            },
        ),
        ("port", LineConfig { port: 0, ..line() }),
        (
            "source",
            LineConfig {
                source: Some("::1".parse().unwrap()),
                ..line()
            },
        ),
    ];
    for (name, line) in wrong_lines {
        refused(name, UdpReceiver::open(&line, &socket()));
    }
    let with = |change: fn(&mut SocketConfig)| {
        let mut config = socket();
        change(&mut config);
        config
    };
    let wrong_sockets = [
        ("batch", with(|config| config.batch = 0)),
        ("batch", with(|config| config.batch = 1_025)),
        (
            "max_packet_bytes",
            with(|config| config.max_packet_bytes = 0),
        ),
        (
            "max_packet_bytes",
            with(|config| config.max_packet_bytes = 65_508),
        ),
        (
            "busy_poll_us",
            with(|config| config.busy_poll_us = 1_000_001),
        ),
        (
            "busy_poll_budget",
            with(|config| config.busy_poll_budget = 0),
        ),
        ("rcvbuf_bytes", with(|config| config.rcvbuf_bytes = 0)),
        ("rcvbuf_bytes", with(|config| config.rcvbuf_bytes = 1 << 40)),
    ];
    for (name, config) in wrong_sockets {
        refused(name, UdpReceiver::open(&line(), &config));
    }
    let lo = line().interface;
    refused("group", MulticastSender::open(LOOPBACK.into(), 1, &lo, 1));
}

fn refused<T>(name: &str, result: Result<T, NetError>) {
    let error = result.err().unwrap();
    assert!(
        matches!(error, NetError::Config { field, .. } if field == name),
        "{error}"
    );
}

/// An interface that this host does not have is an error that names option, place and remedy, for
/// receiving of both families, from any and from one source, and for sending.
#[test]
fn an_absent_interface_is_named() {
    let interface = Interface {
        name: "gone0".to_owned(),
        index: 1 << 30,
        ipv4: Some(Ipv4Addr::new(203, 0, 113, 9)),
    };
    let ipv4 = LineConfig {
        interface: interface.clone(),
        ..line()
    };
    let from_one = LineConfig {
        source: Some(LOOPBACK.into()),
        ..ipv4.clone()
    };
    let ipv6 = LineConfig {
        group: "ff15::1".parse().unwrap(),
        ..ipv4.clone()
    };
    let receiving = |line: &LineConfig| UdpReceiver::open(line, &socket()).err().unwrap();
    let sending = |line: &LineConfig| {
        let sender = MulticastSender::open(line.group, line.port, &interface, 1);
        sender.err().unwrap()
    };
    let errors = [
        (receiving(&ipv4), "IP_ADD_MEMBERSHIP"),
        (receiving(&from_one), "MCAST_JOIN_SOURCE_GROUP"),
        (receiving(&ipv6), "IPV6_JOIN_GROUP"),
        (sending(&ipv4), "IP_MULTICAST_IF"),
        (sending(&ipv6), "IPV6_MULTICAST_IF"),
    ];
    for (error, option) in errors {
        let text = error.to_string();
        for part in [option, "gone0", "1073741824", "(`ip "] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// Without timestamps every datagram has the time of the call that took it, and says so.
#[test]
fn without_timestamps_the_time_is_the_calls() {
    let line = line();
    let config = SocketConfig {
        timestamps: Timestamps::Off,
        ..socket()
    };
    let mut receiver = UdpReceiver::open(&line, &config).unwrap();
    sender(&line).send(b"x").unwrap();
    assert!(wait_readable(&[receiver.as_fd()], Duration::from_secs(60)).unwrap());
    let before_ns = clock::realtime_ns();
    receive(&mut receiver, 1, &mut |datagram| {
        assert_eq!(datagram.stamp, Stamp::User);
        assert!(datagram.rx_ns >= before_ns);
    });
}

/// Busy polling is granted in full to who may ask for it, and datagrams come as without it.
#[test]
fn busy_polling_changes_nothing_but_the_wait() {
    let line = line();
    let config = SocketConfig {
        busy_poll_us: 50,
        ..socket()
    };
    let mut receiver = match UdpReceiver::open(&line, &config) {
        Ok(receiver) => receiver,
        Err(NetError::Option { source, .. }) if source.raw_os_error() == Some(libc::EPERM) => {
            println!("skipped: busy polling needs CAP_NET_ADMIN");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let sender = sender(&line);
    for _ in 0..20 {
        sender.send(b"x").unwrap();
    }
    receive(&mut receiver, 20, &mut |_| {});
}

/// Waiting ends with data, or with the time; any of several sockets counts.
#[test]
fn waiting_ends_with_data_or_time() {
    let (quiet, busy) = (line(), line());
    let receivers = [&quiet, &busy].map(open);
    let both = [receivers[0].as_fd(), receivers[1].as_fd()];
    assert!(!wait_readable(&both, Duration::from_millis(1)).unwrap());
    assert!(!wait_readable(&[], Duration::from_millis(1)).unwrap());
    sender(&busy).send(b"x").unwrap();
    assert!(wait_readable(&both, Duration::from_secs(60)).unwrap());
    assert!(!wait_readable(&both[..1], Duration::ZERO).unwrap());
    let many = vec![both[0]; WAIT_CAPACITY + 1];
    assert!(wait_readable(&many, Duration::ZERO).is_err());
}

/// The kernel switches timestamps on in the background: until then datagrams have none.
/// Sends and takes datagrams until one is stamped.
fn settle(receiver: &mut UdpReceiver, sender: &MulticastSender) {
    let mut is_settled = false;
    for _ in 0..SETTLE_ATTEMPTS {
        sender.send(b"settle").unwrap();
        receive(receiver, 1, &mut |datagram| {
            is_settled = datagram.stamp == Stamp::Kernel;
        });
        if is_settled {
            return;
        }
    }
    panic!("no datagram was stamped by the kernel");
}

const SETTLE_ATTEMPTS: usize = 100_000;

fn open(line: &LineConfig) -> UdpReceiver {
    UdpReceiver::open(line, &socket()).unwrap()
}

fn batches_of_four() -> SocketConfig {
    SocketConfig {
        batch: 4,
        ..socket()
    }
}

fn drops(receiver: &mut UdpReceiver) -> u64 {
    receiver.counters().unwrap().socket_drops
}

fn another_interface() -> Option<Interface> {
    let names = std::fs::read_dir("/sys/class/net").unwrap();
    let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter_map(|name| find_interface(&name).ok())
        .find(|other| other.ipv4.is_some_and(|address| !address.is_loopback()))
}

fn drain(receiver: &mut UdpReceiver) -> usize {
    let mut received = 0;
    while wait_readable(&[receiver.as_fd()], Duration::ZERO).unwrap() {
        received += receiver.receive(&mut |_| {}).unwrap();
    }
    received
}
