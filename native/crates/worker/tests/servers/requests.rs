//! Lies of the re-request server, over UDP.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use tickdeck_sim::lies::Lie;
use tickdeck_wire::moldudp64::{Packet, Request};

use crate::support::{SESSION, Sim, day};

/// Proves what each lie is on the wire: nothing, no packet, another session, or other messages,
/// which are the day's all the same; a slow answer is true and late.
#[test]
fn each_lie_is_told() {
    let (mut sim, history) = (Sim::played(9), day());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let request = Request {
        session: SESSION,
        first_sequence: 1_000,
        count: 6,
    };
    let mut datagram = vec![0; 65_536];
    for lie in Lie::ALL {
        sim.arm("request", lie.name(), 100);
        let is_silent = matches!(lie, Lie::Silent | Lie::Disconnected | Lie::Refused);
        // An answer may take its time on a busy machine; silence is looked at for a moment.
        let wait = Duration::from_millis(if is_silent { 400 } else { 60_000 });
        socket.set_read_timeout(Some(wait)).expect("timeout");
        let started = Instant::now();
        socket
            .send_to(&request.encode(), sim.address("request"))
            .expect("ask");
        let answer = match socket.recv(&mut datagram) {
            Ok(length) => Some(length),
            // The time to wait is over: the lie is silence.
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{lie:?}: {error}"),
        };
        let packet = answer.map(|length| Packet::parse(&datagram[..length]));
        let range = match packet {
            None => None,
            Some(Err(_)) => Some((0, 0)),
            Some(Ok(packet)) => {
                assert_eq!(packet.session() == SESSION, lie != Lie::WrongSession);
                let numbers = packet.first_sequence()..packet.next_sequence();
                let sent = numbers.map(|number| history.message(number));
                assert!(packet.messages().map(Some).eq(sent), "{lie:?}");
                Some((packet.first_sequence(), packet.count()))
            }
        };
        let expected = match lie {
            Lie::Silent | Lie::Disconnected | Lie::Refused => None,
            Lie::Garbage | Lie::Truncated => Some((0, 0)),
            Lie::WrongSession | Lie::Slow => Some((1_000, 6)),
            Lie::Stale => Some((994, 6)),
            Lie::Partial => Some((1_000, 3)),
            Lie::Oversize => Some((1_000, 14)),
            Lie::NotAsked => Some((1_006, 6)),
        };
        assert_eq!(range, expected, "{lie:?}");
        let is_late = started.elapsed() >= Duration::from_millis(100);
        assert!(is_late || lie != Lie::Slow);
        assert_eq!(sim.clear(), 1, "{lie:?}");
    }
}
