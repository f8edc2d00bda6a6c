//! Lines on the loopback interface, one group and port per test.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tickdeck_net::{LineConfig, SocketConfig, find_interface};

pub(crate) const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A line that nobody else uses: the system chooses a free port, the test a group.
pub(crate) fn line() -> LineConfig {
    static NEXT_GROUP: AtomicU8 = AtomicU8::new(1);
    let probe = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let process = std::process::id().to_be_bytes();
    let group = [
        239,
        process[2],
        process[3],
        NEXT_GROUP.fetch_add(1, Relaxed),
    ];
    LineConfig {
        line: 1,
        group: Ipv4Addr::from(group).into(),
        port: probe.local_addr().unwrap().port(),
        interface: find_interface("lo").unwrap(),
        source: None,
    }
}

/// Small batches, a buffer for a thousand packets.
pub(crate) fn socket() -> SocketConfig {
    SocketConfig {
        rcvbuf_bytes: 1 << 20,
        batch: 8,
        max_packet_bytes: 1_500,
        ..SocketConfig::default()
    }
}
