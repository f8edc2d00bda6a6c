//! What is open after opening failed. Alone in its process: it counts all descriptors of it.

mod common {
    pub(crate) mod line;
}

use std::fs;

use common::line::{line, socket};
use tickdeck_net::{Interface, LineConfig, MulticastSender, SocketConfig, UdpReceiver};

/// Every way in which opening fails leaves no descriptor behind, and neither does what was closed.
#[test]
fn a_failure_leaves_nothing_open() {
    let good = line();
    let gone = Interface {
        name: "gone0".to_owned(),
        index: 1 << 30,
        ..good.interface.clone()
    };
    let absent = LineConfig {
        interface: gone.clone(),
        ..good.clone()
    };
    let from_one = LineConfig {
        source: good.interface.ipv4.map(Into::into),
        ..absent.clone()
    };
    let ipv6 = LineConfig {
        group: "ff15::1".parse().unwrap(),
        ..absent.clone()
    };
    let no_buffer = SocketConfig {
        rcvbuf_bytes: 1 << 40,
        ..socket()
    };
    let before = open_descriptors();
    for line in [&absent, &from_one, &ipv6] {
        assert!(UdpReceiver::open(line, &socket()).is_err());
        assert!(MulticastSender::open(line.group, line.port, &gone, 1).is_err());
    }
    assert!(UdpReceiver::open(&good, &no_buffer).is_err());
    assert_eq!(open_descriptors(), before);
    let open = UdpReceiver::open(&good, &socket()).unwrap();
    assert_eq!(open_descriptors(), before + 1, "the count sees sockets");
    drop(open);
    assert_eq!(open_descriptors(), before);
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
