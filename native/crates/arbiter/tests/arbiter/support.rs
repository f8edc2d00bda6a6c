//! A venue whose messages tell their own sequence number, and an output that checks all it gets.

use tickdeck_arbiter::{
    Arbiter, Arrival, Config, Conflict, Disposition, Event, LossReason, Output, Run,
    SessionEventKind, Source, Start, Unit,
};
use tickdeck_wire::moldudp64::{Blocks, Packet, PacketBuilder, Session, end_of_session, heartbeat};

pub(crate) const A: Source = Source::Line(0);
pub(crate) const B: Source = Source::Line(1);
pub(crate) const R: Source = Source::Retransmit;
pub(crate) const MS: u64 = 1_000_000;

pub(crate) fn session(name: u8) -> Session {
    Session([b'S', b'E', b'S', b'S', b'I', b'O', b'N', b' ', b' ', name])
}

/// The text of a message: sequence number and session, with a length that varies.
pub(crate) fn message(session: Session, sequence: u64) -> Vec<u8> {
    let mut text = sequence.to_be_bytes().to_vec();
    text.extend(session.0);
    text.resize(text.len() + (sequence % 7) as usize, b'.');
    text
}

pub(crate) fn data(session: Session, first: u64, count: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, 60_000);
    builder.begin(first);
    for sequence in first..first + count {
        assert!(builder.push(&message(session, sequence)));
    }
    builder.finish().to_vec()
}

/// What came out, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// First and last sequence number of a run, and whose copy it is.
    Run(u64, u64, Source),
    Event(Event),
}

/// Keeps everything and fails at once when the order or the content is wrong.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) out: Vec<Out>,
    pub(crate) conflicts: Vec<Conflict>,
    /// First line, second line, lead.
    pub(crate) races: Vec<(u8, u8, u64)>,
    session: Option<Session>,
    next: u64,
}

impl Output for Checked {
    fn deliver(&mut self, run: Run<'_>) {
        let session = self.session.expect("a session is told before its data");
        assert_eq!(
            run.first_sequence, self.next,
            "output is strictly in sequence"
        );
        assert!(run.count > 0, "a run has messages");
        let mut blocks = Blocks::new(run.payload);
        for sequence in self.next..self.next + u64::from(run.count) {
            assert_eq!(
                blocks.next(),
                Some(&message(session, sequence)[..]),
                "message {sequence}"
            );
        }
        assert!(
            blocks.rest().is_empty(),
            "a run holds as many messages as it says"
        );
        self.next += u64::from(run.count);
        self.out
            .push(Out::Run(run.first_sequence, self.next - 1, run.source));
    }

    fn conflict(&mut self, conflict: Conflict) {
        self.conflicts.push(conflict);
    }

    fn race(&mut self, first_line: u8, second_line: u8, lead_ns: u64) {
        self.races.push((first_line, second_line, lead_ns));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Session {
                kind,
                session,
                next_sequence,
                ..
            } => {
                if kind != SessionEventKind::Ended {
                    self.session = Some(session);
                    self.next = next_sequence;
                }
                assert_eq!(next_sequence, self.next, "an end is told at the end");
            }
            Event::GapLost { gap, .. } => {
                assert_eq!(gap.first, self.next, "a loss is told where the hole is");
                self.next = gap.last + 1;
            }
            Event::GapFilled { gap, .. } | Event::GapUnrecovered { gap, .. } => {
                assert!(
                    gap.last < self.next,
                    "a gap is closed behind its last message"
                );
            }
            Event::Stopped { sequence } => assert_eq!(sequence, self.next, "it stands there"),
            Event::GapOpened { .. } | Event::GapWaitOver { .. } | Event::GapProgress { .. } => {}
        }
        self.out.push(Out::Event(event));
    }
}

/// An arbiter with a clock and a checked output.
pub(crate) struct Rig {
    pub(crate) arbiter: Arbiter,
    pub(crate) checked: Checked,
    pub(crate) session: Session,
    pub(crate) now_ns: u64,
    /// By how much packets were received before the arbiter sees them.
    pub(crate) waited_ns: u64,
    /// Messages of the packets that were not refused.
    pub(crate) fed: u64,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            arbiter: Arbiter::new(config).expect("a valid configuration"),
            checked: Checked::default(),
            session: session(b'1'),
            now_ns: 0,
            waited_ns: 0,
            fed: 0,
        }
    }

    /// With a reorder window of 2 ms, whatever the lines do.
    pub(crate) fn starting(start: Start) -> Self {
        Self::new(Config {
            start,
            reorder_window_min_ns: 2 * MS,
            reorder_window_packets: 0,
            ..Config::default()
        })
    }

    pub(crate) fn packet(&mut self, source: Source, bytes: &[u8]) -> Disposition {
        let packet = Packet::parse(bytes).expect("a well-formed packet");
        self.unit(source, packet.into())
    }

    pub(crate) fn unit(&mut self, source: Source, unit: Unit<'_>) -> Disposition {
        let arrival = Arrival {
            source,
            unit,
            rx_ns: 1_000_000 + self.now_ns - self.waited_ns,
            stamp: 1,
            now_ns: self.now_ns,
        };
        let disposition = self.arbiter.on_packet(arrival, &mut self.checked);
        let refused = matches!(
            disposition,
            Disposition::WrongSession
                | Disposition::ImplausibleJump
                | Disposition::SequenceOverflow
        );
        if !refused {
            self.fed += u64::from(unit.count());
        }
        disposition
    }

    /// Messages `first..=last` from `source`.
    pub(crate) fn data(&mut self, source: Source, first: u64, last: u64) -> Disposition {
        let bytes = data(self.session, first, last - first + 1);
        self.packet(source, &bytes)
    }

    pub(crate) fn heartbeat(&mut self, source: Source, next: u64) -> Disposition {
        let bytes = heartbeat(self.session, next);
        self.packet(source, &bytes)
    }

    pub(crate) fn end(&mut self, source: Source, next: u64) -> Disposition {
        let bytes = end_of_session(self.session, next);
        self.packet(source, &bytes)
    }

    pub(crate) fn advance(&mut self, ns: u64) {
        self.now_ns += ns;
        self.arbiter.poll(self.now_ns, &mut self.checked);
    }

    pub(crate) fn give_up(&mut self, id: u64) -> bool {
        self.arbiter.give_up(
            id,
            LossReason::AttemptsExhausted,
            self.now_ns,
            &mut self.checked,
        )
    }

    /// First and last number of each run so far.
    pub(crate) fn runs(&self) -> Vec<(u64, u64)> {
        let run = |out: &Out| match out {
            Out::Run(first, last, _) => Some((*first, *last)),
            Out::Event(_) => None,
        };
        self.checked.out.iter().filter_map(run).collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let event = |out: &Out| match out {
            Out::Event(event) => Some(*event),
            Out::Run(..) => None,
        };
        self.checked.out.iter().filter_map(event).collect()
    }

    /// What came out since the last call.
    pub(crate) fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.checked.out)
    }

    pub(crate) fn holes(&self, id: u64) -> Vec<(u64, u64)> {
        self.arbiter.holes(id).collect()
    }
}
