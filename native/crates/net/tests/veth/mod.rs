//! Lines between the two hosts of a testbed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tickdeck_net::{Datagram, Interface, LineConfig, Receiver, UdpReceiver, wait_readable};
use tickdeck_testbed::{RX_INTERFACE, TX_INTERFACE, Testbed, TestbedError};

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 77, 0, 1);
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x77, 1);
pub(crate) const PORT: u16 = 32_077;
pub(crate) const VLAN: u16 = 7;

/// A second interface on the receiving end, without an IPv4 address, and how to send to it.
pub(crate) struct Second {
    /// Its name on the receiving end.
    pub(crate) name: &'static str,
    /// The interface on the sending end that leads to it.
    pub(crate) sender: &'static str,
    /// Whether frames for it carry the tag [`VLAN`].
    pub(crate) is_vlan: bool,
}

/// A VLAN on the first veth pair; where the kernel has no such interfaces, says so and makes a
/// second pair.
pub(crate) fn add_second(testbed: &Testbed) -> Second {
    const VLAN_INTERFACE: &str = "rx0.7";
    let add = format!("ip link add link {RX_INTERFACE} name {VLAN_INTERFACE} type vlan id {VLAN}");
    match testbed.command_rx(&add) {
        Ok(_) => {
            let up = format!("ip link set {VLAN_INTERFACE} up");
            testbed.command_rx(&up).unwrap();
            return Second {
                name: VLAN_INTERFACE,
                sender: TX_INTERFACE,
                is_vlan: true,
            };
        }
        Err(TestbedError::Command { stderr, .. }) if stderr.contains("Unknown device type") => {
            println!("this kernel has no VLAN interfaces; a second veth pair takes the place");
        }
        Err(error) => panic!("{error}"),
    }
    let [_, receiving] = testbed.names();
    let add = format!("ip link add tx1 type veth peer name rx1 netns {receiving}");
    testbed.command_tx(&add).unwrap();
    testbed.command_rx("ip link set rx1 up").unwrap();
    testbed.command_tx("ip link set tx1 up").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !testbed
        .command_rx("ip -o link show dev rx1")
        .unwrap()
        .contains("state UP")
    {
        assert!(Instant::now() < deadline, "rx1 comes up");
    }
    Second {
        name: "rx1",
        sender: "tx1",
        is_vlan: false,
    }
}

pub(crate) fn line(interface: Interface, group: IpAddr, source: Option<IpAddr>) -> LineConfig {
    LineConfig {
        line: 1,
        group,
        port: PORT,
        interface,
        source,
    }
}

/// Receives batch by batch until `count` datagrams came, or fails after some seconds.
pub(crate) fn receive(
    receiver: &mut UdpReceiver,
    count: usize,
    handler: &mut impl FnMut(Datagram<'_>),
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut received = 0;
    while received < count {
        assert!(
            Instant::now() < deadline,
            "{received} of {count} datagrams within a minute"
        );
        wait_readable(&[receiver.as_fd()], Duration::from_millis(100)).unwrap();
        received += receiver.receive(handler).unwrap();
    }
    assert_eq!(received, count);
}
