//! The receive path allocates nothing once it is open.

mod common {
    pub(crate) mod line;
    pub(crate) mod loopback;
}

use common::line::{line, socket};
use common::loopback::{receive, sender};
use tickdeck_net::{Receiver, UdpReceiver};

/// Waiting, receiving, reading stamps and drop counts: a thousand datagrams, no allocation.
#[test]
fn receiving_allocates_nothing() {
    let line = line();
    let mut receiver = UdpReceiver::open(&line, &socket()).unwrap();
    let sender = sender(&line);
    for _ in 0..1_000 {
        sender.send(&[1; 64]).unwrap();
    }
    let mut bytes = 0;
    let taken = allocation_counter::measure(|| {
        receive(&mut receiver, 1_000, &mut |datagram| {
            bytes += datagram.payload.len()
        });
        receiver.counters().unwrap();
    });
    assert_eq!((bytes, taken.count_total), (64_000, 0));
}
