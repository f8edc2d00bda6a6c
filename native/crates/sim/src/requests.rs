//! The venue's re-request server: a request in, at most one packet out.

use tickdeck_wire::moldudp64::{HEADER_LEN, Request, RequestError, Session};

use crate::lies::{Lie, Order};
use crate::servers::another;
use crate::{History, Planned, Random, write_packet};

/// Answers MoldUDP64 requests from the history.
///
/// As the specification wants it, an answer is one downstream packet with the whole messages that
/// fit it; the requester asks again for the remainder. What was not sent yet is not given out.
#[derive(Clone, Debug)]
pub struct RequestServer {
    session: Session,
    max_payload: usize,
    counters: RequestCounters,
}

/// What was answered: messages `first_sequence .. first_sequence + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Sequence number of the first message.
    pub first_sequence: u64,
    /// Number of messages, at least 1.
    pub count: u16,
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a request.
    Invalid(RequestError),
    /// Another session's messages.
    WrongSession(Session),
    /// The first wanted message was not sent yet.
    BeyondSent {
        /// First wanted sequence number.
        first_sequence: u64,
        /// The next sequence number to be sent.
        next_sequence: u64,
    },
    /// The server was told not to answer.
    Stopped,
    /// The lie is to say nothing.
    Silent,
}

/// What the server did; counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounters {
    /// Datagrams that came in.
    pub requests: u64,
    /// Packets given out.
    pub answers: u64,
    /// Messages given out.
    pub messages: u64,
    /// Datagrams that are no request.
    pub invalid: u64,
    /// Requests for another session.
    pub wrong_session: u64,
    /// Requests for messages not sent yet.
    pub beyond_sent: u64,
    /// Requests that came while the server was told not to answer.
    pub stopped: u64,
    /// Requests answered with a lie, or with silence for one.
    pub lies: u64,
}

/// Messages beside the wanted ones in an answer that is too long.
const OVERSIZE_MESSAGES: u16 = 8;
/// Most bytes of an answer that is too long.
const OVERSIZE_BYTES: usize = 60_000;

impl RequestServer {
    /// A server for one session whose packets have at most `max_payload` bytes, header included.
    pub fn new(session: Session, max_payload: usize) -> Self {
        debug_assert!(
            max_payload > HEADER_LEN,
            "an answer holds at least one message"
        );
        Self {
            session,
            max_payload,
            counters: RequestCounters::default(),
        }
    }

    /// Answers one datagram: on success `out` holds the packet. `next_sequence` is the next one to
    /// be sent on the lines; `stopped` is set while the server is told not to answer.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is to be sent then.
    pub fn answer(
        &mut self,
        datagram: &[u8],
        history: &History,
        next_sequence: u64,
        stopped: bool,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Refusal> {
        self.counters.requests += 1;
        let result = self.select(datagram, history, next_sequence, stopped);
        match &result {
            Ok(Answer {
                first_sequence,
                count,
            }) => {
                self.counters.answers += 1;
                self.counters.messages += u64::from(*count);
                write_packet(
                    history,
                    self.session,
                    Planned::data(*first_sequence, *count),
                    out,
                );
            }
            Err(Refusal::Invalid(_)) => self.counters.invalid += 1,
            Err(Refusal::WrongSession(_)) => self.counters.wrong_session += 1,
            Err(Refusal::BeyondSent { .. }) => self.counters.beyond_sent += 1,
            Err(Refusal::Stopped) => self.counters.stopped += 1,
            Err(Refusal::Silent) => {}
        }
        result
    }

    /// As [`RequestServer::answer`], but with a lie; a slow answer is the truth, and the delay is
    /// the caller's. Requests that get no answer get no lie.
    ///
    /// # Errors
    /// [`Refusal::Silent`] where the lie is to say nothing, else as `answer`.
    pub fn lie(
        &mut self,
        order: Order,
        datagram: &[u8],
        history: &History,
        next_sequence: u64,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Refusal> {
        let truth = self.answer(datagram, history, next_sequence, false, out)?;
        self.counters.lies += 1;
        let Answer {
            first_sequence: first,
            count,
        } = truth;
        let sent = next_sequence.min(history.next_sequence());
        let room = self.max_payload - HEADER_LEN;
        let other = match order.lie {
            Lie::Slow => return Ok(truth),
            Lie::Silent | Lie::Disconnected | Lie::Refused => None,
            Lie::WrongSession => {
                let session = another(self.session);
                write_packet(history, session, Planned::data(first, count), out);
                return Ok(truth);
            }
            Lie::Garbage => {
                let mut random = Random::new(order.seed);
                out.iter_mut()
                    .for_each(|byte| *byte = random.next_u64() as u8);
                return Ok(truth);
            }
            Lie::Truncated => {
                out.truncate(out.len() - 1);
                return Ok(truth);
            }
            Lie::Stale => {
                let older = first.saturating_sub(u64::from(count)).max(1);
                (older < first).then_some((older, count.min((first - older) as u16)))
            }
            Lie::Partial => Some((first, count.div_ceil(2))),
            Lie::Oversize => {
                let wanted = Request::parse(datagram).map_or(count, |request| request.count);
                let left = u16::try_from(sent - first).unwrap_or(u16::MAX - 1);
                let most = wanted.saturating_add(OVERSIZE_MESSAGES).min(left);
                Some((first, history.fitting(first, most, OVERSIZE_BYTES)))
            }
            Lie::NotAsked => {
                let wanted = Request::parse(datagram).map_or(count, |request| request.count);
                let behind = first.saturating_add(u64::from(wanted));
                let left = sent.saturating_sub(behind).min(u64::from(count));
                let fits = history.fitting(behind, left as u16, room);
                (fits > 0).then_some((behind, fits))
            }
        };
        let (first_sequence, count) = other.ok_or(Refusal::Silent)?;
        let packet = Planned::data(first_sequence, count);
        write_packet(history, self.session, packet, out);
        Ok(Answer {
            first_sequence,
            count,
        })
    }

    /// What was done so far.
    pub fn counters(&self) -> &RequestCounters {
        &self.counters
    }

    fn select(
        &self,
        datagram: &[u8],
        history: &History,
        next_sequence: u64,
        stopped: bool,
    ) -> Result<Answer, Refusal> {
        let request = Request::parse(datagram).map_err(Refusal::Invalid)?;
        if stopped {
            return Err(Refusal::Stopped);
        }
        if request.session != self.session {
            return Err(Refusal::WrongSession(request.session));
        }
        let first_sequence = request.first_sequence;
        let next_sequence = next_sequence.min(history.next_sequence());
        let beyond = Refusal::BeyondSent {
            first_sequence,
            next_sequence,
        };
        let sent = next_sequence.checked_sub(first_sequence).ok_or(beyond)?;
        let wanted = request.count.min(u16::try_from(sent).unwrap_or(u16::MAX));
        match history.fitting(first_sequence, wanted, self.max_payload - HEADER_LEN) {
            0 => Err(beyond),
            count => Ok(Answer {
                first_sequence,
                count,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickdeck_wire::moldudp64::Packet;

    use super::*;
    use crate::HistoryBuilder;

    const SESSION: Session = Session(*b"DEMO000001");

    /// 200 messages of 30 bytes, each starting with its sequence number.
    fn history() -> History {
        let mut builder = HistoryBuilder::default();
        for sequence in 1..=200u64 {
            let mut message = [0; 30];
            message[..8].copy_from_slice(&sequence.to_be_bytes());
            builder.push(&message).unwrap();
        }
        builder.finish()
    }

    fn request(first_sequence: u64, count: u16) -> [u8; 20] {
        Request {
            session: SESSION,
            first_sequence,
            count,
        }
        .encode()
    }

    proptest! {
        /// Proves that asking again for the remainder brings every wanted message, once, in
        /// order, in packets that keep the size, and never one that was not sent.
        #[test]
        fn asking_for_the_remainder_covers_the_range(
            first in 1u64..=200,
            count in 1u16..=300,
            next_sequence in 1u64..=201,
            max_payload in 52usize..600,
        ) {
            let history = history();
            let mut server = RequestServer::new(SESSION, max_payload);
            let end = (first + u64::from(count)).min(next_sequence);
            let mut next = first;
            let mut out = Vec::new();
            while next < end {
                let left = u16::try_from(first + u64::from(count) - next).unwrap();
                let answer = server
                    .answer(&request(next, left), &history, next_sequence, false, &mut out)
                    .unwrap();
                let packet = Packet::parse(&out).unwrap();
                prop_assert!(out.len() <= max_payload);
                prop_assert_eq!((packet.first_sequence(), packet.count()), (next, answer.count));
                for message in packet.messages() {
                    prop_assert_eq!(Some(message), history.message(next));
                    next += 1;
                }
            }
            prop_assert!(next == end || end < first);
            let more = server.answer(&request(next_sequence, 1), &history, next_sequence, false, &mut out);
            prop_assert_eq!(more, Err(Refusal::BeyondSent { first_sequence: next_sequence, next_sequence }));
        }

        /// Proves that any datagram is answered or refused without a panic, and counted.
        #[test]
        fn any_datagram_is_counted(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let mut server = RequestServer::new(SESSION, 1_400);
            let refused = server.answer(&bytes, &history(), 201, false, &mut Vec::new()).is_err();
            prop_assert!(refused && server.counters().requests == 1);
        }
    }

    /// Proves what each lie is: nothing, no packet, another session or other messages, and that
    /// messages which are sent are the history's all the same.
    #[test]
    fn each_lie_is_what_it_says() {
        let history = history();
        let mut server = RequestServer::new(SESSION, 400);
        let mut out = Vec::new();
        for lie in Lie::ALL {
            let order = Order {
                lie,
                delay_ns: 0,
                seed: 5,
            };
            let answer = server.lie(order, &request(100, 6), &history, 150, &mut out);
            let packet = answer.as_ref().ok().map(|_| Packet::parse(&out));
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
                Lie::WrongSession | Lie::Slow => Some((100, 6)),
                Lie::Stale => Some((94, 6)),
                Lie::Partial => Some((100, 3)),
                Lie::Oversize => Some((100, 14)),
                Lie::NotAsked => Some((106, 6)),
            };
            assert_eq!(range, expected, "{lie:?}");
        }
        assert_eq!(server.counters().lies, Lie::ALL.len() as u64);
    }

    /// Proves that each refusal has its reason and its counter.
    #[test]
    fn refusals_are_counted_by_reason() {
        let history = history();
        let mut server = RequestServer::new(SESSION, 1_400);
        let mut out = Vec::new();
        let mut ask = |bytes: &[u8], stopped| {
            server
                .answer(bytes, &history, 101, stopped, &mut out)
                .unwrap_err()
        };
        assert!(matches!(ask(b"garbage", false), Refusal::Invalid(_)));
        let other = Session(*b"OTHER     ");
        let foreign = Request {
            session: other,
            first_sequence: 1,
            count: 1,
        }
        .encode();
        assert_eq!(ask(&foreign, false), Refusal::WrongSession(other));
        let beyond = Refusal::BeyondSent {
            first_sequence: 101,
            next_sequence: 101,
        };
        assert_eq!(ask(&request(101, 5), false), beyond);
        assert_eq!(ask(&request(1, 5), true), Refusal::Stopped);
        let expected = RequestCounters {
            requests: 4,
            invalid: 1,
            wrong_session: 1,
            beyond_sent: 1,
            stopped: 1,
            ..RequestCounters::default()
        };
        assert_eq!(*server.counters(), expected);
        assert!(
            server
                .answer(&request(99, 5), &history, 101, false, &mut out)
                .is_ok()
        );
        assert_eq!(
            (server.counters().answers, server.counters().messages),
            (1, 2)
        );
    }
}
