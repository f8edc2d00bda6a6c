//! Receivers of the AF_XDP path on a wire of their own, and what is sent to them.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::traffic::{Mix, Tally};
use tickdeck_net::{LineConfig, Receiver, Rung, WaitSet};
use tickdeck_testbed::{Testbed, or_skip};

pub(crate) const COPY_RUNGS: [Rung; 2] = [Rung::NativeCopy, Rung::Generic];
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Packets of the lines and nothing else.
pub(crate) const PLAIN: Mix = Mix {
    packets: 0,
    tagged_every: 0,
    fragmented_every: 0,
    foreign_every: 0,
};

/// A testbed, while no other test of this file runs: a child that another test starts holds every
/// descriptor until it runs its own program, also the link of a program that was just given up.
pub(crate) fn alone(test_name: &str, queues: u32) -> Option<(MutexGuard<'static, ()>, Testbed)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some((turn, or_skip(test_name, queues)?))
}

pub(crate) fn destinations(lines: &[LineConfig; 2]) -> [SocketAddr; 2] {
    [lines[0].destination(), lines[1].destination()]
}

pub(crate) fn send(testbed: &Testbed, mix: Mix, to: [SocketAddr; 2]) {
    testbed.in_tx(|| mix.send(to, |_| {}));
}

/// Receives until `count` datagrams came or nothing more comes for `quiet`; returns how many came.
pub(crate) fn receive(
    receiver: &mut impl Receiver,
    tally: &mut Tally,
    count: u64,
    quiet: Duration,
) -> u64 {
    let (start, mut last) = (Instant::now(), Instant::now());
    let before = tally.received;
    while tally.received - before < count && last.elapsed() < quiet {
        assert!(
            start.elapsed() < LIMIT,
            "{} of {count}",
            tally.received - before
        );
        let had = tally.received;
        let mut handler = |datagram: tickdeck_net::Datagram<'_>| tally.take(&datagram, false);
        let taken = receiver.receive(&mut handler).unwrap();
        if taken == 0 {
            receiver.receive_beside(&mut handler).unwrap();
        }
        if tally.received > had {
            last = Instant::now();
        } else if taken == 0 {
            let mut set = WaitSet::default();
            receiver.register(&mut set).unwrap();
            set.wait(Duration::from_millis(20)).unwrap();
        }
    }
    tally.received - before
}
