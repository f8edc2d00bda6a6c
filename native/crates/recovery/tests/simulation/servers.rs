//! Range servers that work, keep silent, or lie.

use tickdeck_recovery::{Fault, RangeSource};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};

use crate::check::{message, wrong};
use crate::random::Random;
use crate::world::MS;

const STRANGER: Session = Session(*b"STRANGER  ");
/// Longer than any source may take.
const SLOW_NS: u64 = 1500 * MS;
/// What a datagram, or a part of a stream, holds at most.
const PACKET_BYTES: usize = 8000;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers, though datagrams get lost; in one or in many parts.
    Working,
    /// Never answers.
    Silent,
    /// Does this wrong, or of `None` anything, in so many of 1,000 answers.
    Lying(Option<Fault>, u64),
}

/// A range that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) session: Session,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// What comes from a server.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// A MoldUDP64 packet, or something that should be one.
    Bytes(Vec<u8>),
    /// These messages, of which those that nobody has asked this server for until it arrives
    /// have wrong bytes.
    More(Ask),
    /// What the caller of the engine sees by itself.
    Fault(Fault),
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: RangeSource,
    pub(crate) manner: Manner,
    pub(crate) loss_permille: u64,
    pub(crate) delay_ns: u64,
    pub(crate) messages_per_packet: u64,
    pub(crate) packets_per_answer: u64,
    /// What it was asked for, also when the question was lost.
    past: Vec<Ask>,
}

impl Server {
    pub(crate) fn new(kind: RangeSource, manner: Manner) -> Self {
        Self {
            kind,
            manner,
            loss_permille: 0,
            delay_ns: MS / 2,
            messages_per_packet: 40,
            packets_per_answer: if kind == RangeSource::Request {
                1
            } else {
                u64::MAX
            },
            past: Vec::new(),
        }
    }

    pub(crate) fn random(random: &mut Random, kind: RangeSource) -> Self {
        let manner = match random.between(0, 9) {
            0..=4 => Manner::Working,
            5 => Manner::Silent,
            6 => Manner::Lying(Some(random.pick(&Fault::ALL[1..])), 1000),
            _ => Manner::Lying(None, random.between(100, 1000)),
        };
        let mut server = Self::new(kind, manner);
        server.delay_ns = random.between(0, 3 * MS);
        server.messages_per_packet = random.between(1, 40);
        if kind == RangeSource::Request {
            server.loss_permille = random.pick(&[0, 0, 100, 300]);
            server.packets_per_answer = random.pick(&[1, 3, 1000]);
        }
        server
    }

    /// What comes for a request made at `now_ns`, each with its time of arrival.
    pub(crate) fn answer(
        &mut self,
        random: &mut Random,
        ask: Ask,
        now_ns: u64,
    ) -> Vec<(u64, Delivery)> {
        self.past.push(ask);
        if self.manner == Manner::Silent || random.chance(self.loss_permille) {
            return Vec::new();
        }
        let lie = match self.manner {
            Manner::Lying(lie, permille) if random.chance(permille) => {
                Some(lie.unwrap_or_else(|| random.pick(&Fault::ALL[1..])))
            }
            _ => None,
        };
        let parts = match lie {
            Some(lie) => self.lie(random, lie, ask),
            None => self.honest(ask),
        };
        let slow_ns = if lie == Some(Fault::Slow) { SLOW_NS } else { 0 };
        let jitter_ns = random.between(0, MS / 10);
        let start_ns = now_ns + self.delay_ns + jitter_ns + slow_ns;
        let arrive = |(index, part): (usize, Delivery)| {
            let lost = random.chance(self.loss_permille);
            (!lost).then_some((start_ns + index as u64 * MS / 100, part))
        };
        parts.into_iter().enumerate().filter_map(arrive).collect()
    }

    /// What a working server sends.
    fn honest(&self, ask: Ask) -> Vec<Delivery> {
        let end = ask.first + ask.count;
        let starts = (ask.first..end).step_by(self.messages_per_packet as usize);
        let starts = starts.take(self.packets_per_answer.min(1 << 20) as usize);
        let part = |first: u64| {
            let count = self.messages_per_packet.min(end - first);
            Delivery::Bytes(packet(ask.session, first, count))
        };
        starts.map(part).collect()
    }

    fn lie(&self, random: &mut Random, lie: Fault, ask: Ask) -> Vec<Delivery> {
        let Ask {
            session,
            first,
            count,
        } = ask;
        let short = count.min(40);
        let is_stream = self.kind != RangeSource::Request;
        match lie {
            Fault::None | Fault::Slow => self.honest(ask),
            Fault::Silent => Vec::new(),
            Fault::Garbage | Fault::Truncated if is_stream => {
                let mut parts = self.honest(ask);
                parts.truncate(random.between(0, 2) as usize);
                parts.push(Delivery::Fault(lie));
                parts
            }
            Fault::Garbage => vec![Delivery::Bytes(vec![0; 30])],
            Fault::Truncated => {
                let mut bytes = packet(session, first, short);
                bytes.truncate(random.between(0, bytes.len() as u64 - 1) as usize);
                vec![Delivery::Bytes(bytes)]
            }
            Fault::WrongSession => vec![forged(STRANGER, first, short)],
            Fault::Stale => match self.past.len() as u64 {
                0 | 1 => Vec::new(),
                past => self.honest(self.past[random.between(0, past - 2) as usize]),
            },
            Fault::Partial if count == 1 => Vec::new(),
            Fault::Partial => self.honest(Ask {
                count: count / 2,
                ..ask
            }),
            Fault::Oversize => {
                let low = first.saturating_sub(random.between(0, 5)).max(1);
                vec![Delivery::More(Ask {
                    session,
                    first: low,
                    count: first - low + short + random.between(1, 50),
                })]
            }
            Fault::NotAsked => vec![forged(session, first + 100_000, 5)],
            Fault::Refused => vec![Delivery::Fault(lie)],
            Fault::Disconnected => {
                let mut parts = self.honest(Ask {
                    count: (count / 2).max(1),
                    ..ask
                });
                parts.push(Delivery::Fault(lie));
                parts
            }
        }
    }

    /// The bytes of [`Delivery::More`].
    pub(crate) fn more(&self, ask: Ask) -> Vec<u8> {
        packet_of(ask.session, ask.first, ask.count, |sequence| {
            if self.was_asked(ask.session, sequence) {
                message(ask.session, sequence)
            } else {
                wrong(ask.session, sequence)
            }
        })
    }

    fn was_asked(&self, session: Session, sequence: u64) -> bool {
        self.past.iter().any(|ask| ask.has(session, sequence))
    }
}

impl Ask {
    fn has(&self, session: Session, sequence: u64) -> bool {
        self.session == session && (self.first..self.first + self.count).contains(&sequence)
    }
}

/// A packet with the venue's messages.
pub(crate) fn packet(session: Session, first: u64, count: u64) -> Vec<u8> {
    packet_of(session, first, count, |sequence| message(session, sequence))
}

/// A packet with texts of one's own.
pub(crate) fn packet_of(
    session: Session,
    first: u64,
    count: u64,
    text: impl Fn(u64) -> Vec<u8>,
) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, PACKET_BYTES);
    builder.begin(first);
    for sequence in first..first + count {
        assert!(builder.push(&text(sequence)), "the packet has room");
    }
    builder.finish().to_vec()
}

fn forged(session: Session, first: u64, count: u64) -> Delivery {
    Delivery::Bytes(packet_of(session, first, count, |sequence| {
        wrong(session, sequence)
    }))
}
