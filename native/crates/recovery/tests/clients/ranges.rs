//! Ranges from the stream and from a peer.

use proptest::prelude::*;
use tickdeck_recovery::Fault;
use tickdeck_recovery::replay::{ReplayClient, ReplayConfig};
use tickdeck_recovery::soup::{SoupClient, SoupConfig, Wanted};
use tickdeck_sim::History;
use tickdeck_sim::lies::Lie;
use tickdeck_sim::servers::{PeerServer, Service, SoupServer};
use tickdeck_wire::replay::Request;

use crate::world::{Circumstances, SENT, SESSION, Transcript, history, run};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Stream,
    Peer,
}

const SOURCES: [Source; 2] = [Source::Stream, Source::Peer];

impl Source {
    fn ask(self, history: &History, first: u64, count: u32, how: Circumstances) -> Transcript {
        match self {
            Self::Stream => {
                let mut client = SoupClient::new(SoupConfig::default());
                let wanted = Wanted {
                    session: Some(SESSION),
                    first_sequence: first,
                    count: Some(u64::from(count)),
                };
                client.ask(wanted, 0);
                let accept = |now_ns| SoupServer::new(Service::Stream, None, now_ns);
                run(&mut client, accept, history, how)
            }
            Self::Peer => {
                let mut client = ReplayClient::new(ReplayConfig::default());
                let range = Request {
                    session: SESSION,
                    first_sequence: first,
                    count,
                };
                client.ask(range, 0);
                run(&mut client, PeerServer::new, history, how)
            }
        }
    }
}

/// The word for a lie; the sim and the ledger use the same.
fn fault_of(lie: Lie) -> Fault {
    let same = |fault: &Fault| fault.name() == lie.name();
    Fault::ALL
        .into_iter()
        .find(same)
        .expect("a word for each lie")
}

proptest! {
    /// Proves that any range comes exactly, in whatever chunks, on one connection.
    #[test]
    fn a_range_comes_exactly(
        seed in any::<u64>(),
        first in 1..=SENT,
        count in 1u32..600,
        chunk in prop_oneof![Just(1u64), 1u64..40, 1u64..40_000],
    ) {
        let history = history();
        let count = count.min((SENT + 1 - first) as u32);
        for source in SOURCES {
            let how = Circumstances { chunk, ..Circumstances::fair(seed) };
            let transcript = source.ask(&history, first, count, how);
            transcript.assert_true(&history, first);
            prop_assert_eq!(transcript.end, Ok(first + u64::from(count)), "{:?}", source);
            prop_assert_eq!((transcript.connections, transcript.noticed.len()), (1, 0));
        }
    }

    /// Proves that a connection that breaks at any byte costs nothing: the range goes on at the
    /// next missing number, no message comes twice, none is cut. When it breaks too often in a
    /// row without bringing anything, that is named.
    #[test]
    fn breaks_cost_nothing(
        seed in any::<u64>(),
        first in 1..=SENT,
        count in 1u32..400,
        chunk in 1u64..3_000,
        breaks in 0.0f64..0.6,
    ) {
        let history = history();
        let count = count.min((SENT + 1 - first) as u32);
        for source in SOURCES {
            let how = Circumstances { chunk, breaks, ..Circumstances::fair(seed) };
            let transcript = source.ask(&history, first, count, how);
            transcript.assert_true(&history, first);
            let broken = transcript.noticed.len() as u32;
            match transcript.end {
                Ok(next) => {
                    prop_assert_eq!(next, first + u64::from(count));
                    prop_assert_eq!(transcript.connections, broken + 1);
                }
                Err((fault, _)) => {
                    prop_assert!(matches!(fault, Fault::Disconnected | Fault::Truncated));
                    prop_assert!(broken >= 3);
                }
            }
        }
    }

    /// Proves for each lie, whatever the chunks and with breaks besides: what is delivered is the
    /// truth, the request ends, and without breaks the fault is named by its word.
    #[test]
    fn no_lie_gets_through(
        seed in any::<u64>(),
        first in 1_200..=1_300u64,
        count in 100u32..400,
        chunk in prop_oneof![Just(1u64), 1u64..40_000],
        breaks in prop_oneof![Just(0.0), 0.0f64..0.2],
    ) {
        let history = history();
        for source in SOURCES {
            for lie in Lie::ALL {
                let how = Circumstances {
                    seed,
                    chunk,
                    breaks,
                    lie: Some(lie),
                    delay_ns: 3_000_000_000,
                };
                let transcript = source.ask(&history, first, count, how);
                transcript.assert_true(&history, first);
                if breaks == 0.0 {
                    let named = transcript.names(fault_of(lie));
                    prop_assert!(named, "{:?} {:?}: {:?}", source, lie, transcript.end);
                }
            }
        }
    }
}

/// Proves that a delay within the time is no fault.
#[test]
fn a_short_delay_is_no_fault() {
    let history = history();
    for source in SOURCES {
        let how = Circumstances {
            lie: Some(Lie::Slow),
            delay_ns: 400_000_000,
            ..Circumstances::fair(1)
        };
        let transcript = source.ask(&history, 10, 500, how);
        transcript.assert_true(&history, 10);
        assert_eq!(transcript.end, Ok(510), "{source:?}");
        assert!(transcript.took_ns >= 400_000_000);
    }
}

/// Proves that a range which ends beyond what was sent brings what there is and is then named:
/// a stream waits and is slow, a peer says that this is all.
#[test]
fn what_is_not_there_is_not_waited_for() {
    let history = history();
    for (source, fault) in [
        (Source::Stream, Fault::Slow),
        (Source::Peer, Fault::Partial),
    ] {
        let transcript = source.ask(&history, SENT - 4, 10, Circumstances::fair(2));
        transcript.assert_true(&history, SENT - 4);
        assert_eq!(transcript.end, Err((fault, SENT + 1)));
        let transcript = source.ask(&history, SENT + 5, 10, Circumstances::fair(3));
        assert_eq!(transcript.end, Err((Fault::Refused, SENT + 5)));
    }
}
