//! Namespaces and the wire between them.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use tickdeck_testbed::{RX_ADDRESS, TX_ADDRESS, TX_INTERFACE, or_skip};

fn exists(name: &str) -> bool {
    fs::exists(format!("/run/netns/{name}")).unwrap()
}

/// Both namespaces exist while the testbed does and are gone after it.
#[test]
fn namespaces_appear_and_vanish() {
    let Some(testbed) = or_skip("namespaces_appear_and_vanish", 1) else {
        return;
    };
    let names = testbed.names().map(str::to_owned);
    assert!(names.iter().all(|name| exists(name)), "{names:?}");
    drop(testbed);
    assert!(!names.iter().any(|name| exists(name)), "{names:?}");
}

/// A namespace whose process died is removed by the next testbed; that of a live one stays.
#[test]
fn leftovers_of_dead_processes_are_removed() {
    let Some(first) = or_skip("leftovers_of_dead_processes_are_removed", 1) else {
        return;
    };
    let mut child = Command::new("true").spawn().unwrap();
    let dead = format!("tdk-{}-0-rx", child.id());
    child.wait().unwrap();
    let added = Command::new("ip").args(["netns", "add", &dead]).status();
    assert!(added.unwrap().success());
    let second = or_skip("leftovers_of_dead_processes_are_removed", 1).unwrap();
    assert!(!exists(&dead), "{dead}");
    for name in first.names().iter().chain(&second.names()) {
        assert!(exists(name), "{name}");
    }
}

/// A datagram crosses the wire between sockets that were opened in either namespace, and the wanted
/// number of queues is there.
#[test]
fn the_ends_are_connected() {
    let Some(testbed) = or_skip("the_ends_are_connected", 3) else {
        return;
    };
    let receiver = testbed.in_rx(|| UdpSocket::bind((RX_ADDRESS, 0)).unwrap());
    let sender = testbed.in_tx(|| UdpSocket::bind((TX_ADDRESS, 0)).unwrap());
    let timeout = Some(Duration::from_secs(60));
    receiver.set_read_timeout(timeout).unwrap();
    sender
        .send_to(b"across", receiver.local_addr().unwrap())
        .unwrap();
    let mut buffer = [0; 16];
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"across");
    assert_eq!(from, sender.local_addr().unwrap());
    let queues = testbed
        .command_tx(&format!("ls /sys/class/net/{TX_INTERFACE}/queues"))
        .unwrap();
    assert_eq!(queues.lines().count(), 6, "three each way: {queues}");
}

/// A command that fails is an error with its words.
#[test]
fn a_failed_command_is_an_error() {
    let Some(testbed) = or_skip("a_failed_command_is_an_error", 1) else {
        return;
    };
    let error = testbed.command_rx("ip link show dev nowhere").unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}
