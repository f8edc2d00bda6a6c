//! A re-request server that may work or lie.

use tickdeck_wire::moldudp64::{PacketBuilder, Request, Session, heartbeat};

use crate::check::message;
use crate::random::Random;
use crate::world::MS;

const STRANGER: Session = Session(*b"STRANGER  ");

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// There is none.
    Absent,
    /// Answers, though requests and answers get lost; in one or in many packets.
    Working,
    /// Answers a part, or later than allowed, or what was asked before, or not at all.
    Careless,
    /// Answers with another session, other messages, more than asked, or bytes that are no packet.
    Lying,
    /// Never answers.
    Silent,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) manner: Manner,
    loss_permille: u64,
    delay_ns: u64,
    messages_per_packet: u64,
    packets_per_answer: u64,
    past: Vec<Request>,
}

impl Server {
    pub(crate) fn new(random: &mut Random) -> Self {
        use Manner::{Absent, Careless, Lying, Silent, Working};
        Self {
            manner: random.pick(&[Absent, Working, Working, Working, Careless, Lying, Silent]),
            loss_permille: random.pick(&[0, 0, 100, 300]),
            delay_ns: random.between(0, 3 * MS),
            messages_per_packet: random.between(1, 40),
            packets_per_answer: random.pick(&[1, 3, 1000]),
            past: Vec::new(),
        }
    }

    /// The answer packets to a request at `now_ns`, each with its time of arrival.
    pub(crate) fn answer(
        &mut self,
        random: &mut Random,
        request: Request,
        now_ns: u64,
    ) -> Vec<(u64, Vec<u8>)> {
        let asked = match self.manner {
            Manner::Absent | Manner::Silent => return Vec::new(),
            Manner::Working | Manner::Lying => request,
            Manner::Careless => match random.between(0, 4) {
                0 => return Vec::new(),
                1 => random.pick(&self.past_or(request)),
                2 => Request {
                    count: random.between(1, u64::from(request.count)) as u16,
                    ..request
                },
                _ => request,
            },
        };
        self.past.push(request);
        if random.chance(self.loss_permille) {
            return Vec::new();
        }
        let packets = match self.manner {
            Manner::Lying => self.lie(random, asked),
            _ => self.packets(asked),
        };
        let arrive = |(index, bytes): (usize, Vec<u8>)| {
            let lost = random.chance(self.loss_permille);
            let slow_ns = if self.manner == Manner::Careless && random.chance(200) {
                500 * MS
            } else {
                0
            };
            let jitter_ns = random.between(0, MS / 10);
            let at_ns = now_ns + self.delay_ns + index as u64 * MS / 100 + jitter_ns + slow_ns;
            (!lost).then_some((at_ns, bytes))
        };
        packets.into_iter().enumerate().filter_map(arrive).collect()
    }

    fn past_or(&self, request: Request) -> Vec<Request> {
        let mut past = self.past.clone();
        past.push(request);
        past
    }

    /// What a working server sends.
    fn packets(&self, request: Request) -> Vec<Vec<u8>> {
        let end = request.first_sequence + u64::from(request.count);
        let starts = (request.first_sequence..end).step_by(self.messages_per_packet as usize);
        let starts = starts.take(self.packets_per_answer as usize);
        let packet = |first: u64| {
            let count = self.messages_per_packet.min(end - first);
            packet(request.session, request.session, first, count)
        };
        starts.map(packet).collect()
    }

    fn lie(&self, random: &mut Random, request: Request) -> Vec<Vec<u8>> {
        let Request {
            session,
            first_sequence: first,
            count,
        } = request;
        let count = u64::from(count);
        match random.between(0, 6) {
            0 => vec![packet(STRANGER, STRANGER, first, count.min(40))],
            1 => vec![packet(session, session, first + 100_000, 5)],
            2 => vec![packet(session, session, first, (count + 50).min(90))],
            3 => vec![heartbeat(session, first).to_vec()],
            4 => {
                let mut bytes = packet(session, session, first, count.min(40));
                bytes.truncate(random.between(0, bytes.len() as u64 - 1) as usize);
                vec![bytes]
            }
            5 => vec![packet(session, session, first.saturating_sub(3).max(1), 2)],
            _ => self.packets(request),
        }
    }
}

/// A packet that claims `session` and carries the messages of `of`.
pub(crate) fn packet(session: Session, of: Session, first: u64, count: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, 8000);
    builder.begin(first);
    for sequence in first..first + count {
        assert!(builder.push(&message(of, sequence)), "the packet has room");
    }
    builder.finish().to_vec()
}
