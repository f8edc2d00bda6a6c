//! What the recovery hands to the merge, when something else comes between or it is no good.

use tickdeck_net::{Datagram, Stamp};
use tickdeck_ring::{Read, Reader};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};
use tickdeck_wire::record::{SnapshotEvent, kind};

use super::steady_tests::spec_in;
use super::*;
use crate::rx::create_stats;
use crate::rx::link::{Command, Feedback};

/// A merge with a recovery that the test plays.
struct Rig {
    merge: Merge,
    recovery: RecoveryEnd,
    reader: Reader,
    now_ns: u64,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let spec = spec_in(directory.path());
        let (_, metrics) = create_stats(&spec).expect("stats file");
        let queues = Queues::new(&spec).expect("queues").inner;
        let config = RingConfig {
            slot_count: 1_024,
            slot_bytes: 2_048,
            start_seq: 1,
            log_id: [0; 16],
            incarnation: [0; 16],
        };
        let ring = tickdeck_ring::Writer::create(&spec.ring_path, &config).expect("ring");
        let (receive, recovery) = link(8, 1_500).expect("queues");
        let ends = MergeEnds {
            session_wanted: Arc::default(),
            port: Some(RecoveryPort::new(receive)),
            asker: queues.ladder.0,
            orders: queues.merge_orders,
            tap: None,
        };
        let begun = Beginning {
            start: tickdeck_arbiter::Start::SessionStart,
            framing: Wire::MoldUdp64.framing(),
            is_snapshot_cut: false,
        };
        Self {
            merge: make_merge(&spec, begun, ring, ends, metrics.receive).expect("a merge"),
            recovery,
            reader: Reader::open(&spec.ring_path).expect("ring"),
            now_ns: monotonic_ns(),
            _directory: directory,
        }
    }

    /// A packet of line A with one message.
    fn message(&mut self, session: &[u8; 10], sequence: u64) {
        let mut builder = PacketBuilder::new(Session(*session), 100);
        builder.begin(sequence);
        assert!(builder.push(b"x"));
        let datagram = Datagram {
            line: 0,
            payload: builder.finish(),
            rx_ns: 1,
            stamp: Stamp::User,
            source: std::net::SocketAddr::from(([0; 4], 0)),
            truncated: false,
        };
        self.merge.on_datagram(&datagram, self.now_ns);
    }

    /// The recovery says this; the receive thread makes a pass. Returns what it tells.
    fn say(&mut self, feedback: impl IntoIterator<Item = Feedback>) -> Vec<Command> {
        for feedback in feedback {
            self.recovery.feedback.push(feedback).expect("room");
        }
        self.merge.take_feedback(self.now_ns);
        self.merge.poll(self.now_ns);
        std::iter::from_fn(|| self.recovery.commands.pop().ok()).collect()
    }

    fn part(&mut self) -> Feedback {
        Feedback::SnapshotPart(self.recovery.free.pop().expect("a buffer"))
    }

    /// The kinds of the records in the ring.
    fn kinds(&self) -> Vec<u8> {
        let mut buffer = vec![0; self.reader.slot_bytes()];
        let mut kinds = Vec::new();
        while let Read::Record { header, .. } =
            self.reader.read(1 + kinds.len() as u64, &mut buffer)
        {
            kinds.push(header.kind);
        }
        kinds
    }
}

fn snapshot_before(resume_sequence: u64) -> SnapshotEvent {
    SnapshotEvent {
        gap_id: 0,
        scope: SnapshotEvent::WHOLE_CHANNEL,
        resume_sequence,
        records: 1,
        orders: 0,
    }
}

fn has_stopped(told: &[Command], at: u64) -> bool {
    let is_it =
        |command: &Command| matches!(command, Command::Stopped { sequence } if *sequence == at);
    told.iter().any(is_it)
}

/// A snapshot that is ahead of the lines is waited for: what they still bring is not given up.
#[test]
fn output_waits_until_the_lines_have_come_to_the_place() {
    let mut rig = Rig::new();
    rig.message(b"DEMO000001", 1);
    rig.say([Feedback::StopAt { sequence: None }]);
    let told = rig.say([Feedback::StopAt { sequence: Some(5) }]);
    assert!(!has_stopped(&told, 5), "{told:?}");
    for sequence in 2..=4 {
        rig.message(b"DEMO000001", sequence);
    }
    let told = rig.say([]);
    assert!(has_stopped(&told, 5), "{told:?}");
    assert_eq!(
        rig.kinds(),
        [&[kind::SESSION][..], &[kind::DATA; 4]].concat()
    );
}

/// The output stands, is carried to the snapshot's place although more has come, and goes on behind
/// the snapshot.
#[test]
fn snapshot_stands_at_its_place() {
    let mut rig = Rig::new();
    rig.message(b"DEMO000001", 1);
    let told = rig.say([Feedback::StopAt { sequence: None }]);
    assert!(has_stopped(&told, 2), "{told:?}");
    for sequence in 2..=5 {
        rig.message(b"DEMO000001", sequence);
    }
    let sequence = Some(4);
    let told = rig.say([Feedback::StopAt { sequence }]);
    assert!(has_stopped(&told, 4), "{told:?}");
    let event = snapshot_before(4);
    let part = rig.part();
    rig.say([
        Feedback::SnapshotBegin(event),
        part,
        Feedback::SnapshotEnd(event),
        Feedback::GoOn,
    ]);
    use kind::{DATA, SESSION, SNAPSHOT_BEGIN, SNAPSHOT_DATA, SNAPSHOT_END};
    let snapshot = [SNAPSHOT_BEGIN, SNAPSHOT_DATA, SNAPSHOT_END];
    let expected = [&[SESSION, DATA, DATA, DATA][..], &snapshot, &[DATA, DATA]].concat();
    assert_eq!(rig.kinds(), expected);
}

/// A session that takes over while a snapshot of the one before is on its way: nothing more of that
/// snapshot gets into the stream, wherever it was, and the recovery is told.
#[test]
fn snapshot_of_a_session_that_was_left_is_left_out() {
    for begun in [false, true] {
        let mut rig = Rig::new();
        rig.message(b"DEMO000001", 1);
        rig.say([Feedback::StopAt { sequence: None }]);
        let event = snapshot_before(2);
        if begun {
            rig.say([Feedback::SnapshotBegin(event)]);
        }
        rig.now_ns += 60_000_000_000;
        rig.message(b"DEMO000002", 1);
        let part = rig.part();
        let rest = [part, Feedback::SnapshotEnd(event), Feedback::GoOn];
        let begin = (!begun).then_some(Feedback::SnapshotBegin(event));
        let told = rig.say(begin.into_iter().chain(rest));
        assert!(told.iter().any(|it| matches!(it, Command::NotStopped)));
        let kinds = rig.kinds();
        let left = [kind::SNAPSHOT_DATA, kind::SNAPSHOT_END];
        assert!(!kinds.iter().any(|kind| left.contains(kind)), "{kinds:?}");
        assert_eq!(kinds.contains(&kind::SNAPSHOT_BEGIN), begun);
        assert!(rig.recovery.returns.pop().is_ok(), "the buffer comes back");
    }
}

/// An answer that is not what it was taken for is told, and its buffer comes back.
#[test]
fn refused_answer_is_told() {
    let mut rig = Rig::new();
    rig.message(b"DEMO000001", 1);
    let mut answer = rig.recovery.free.pop().expect("a buffer");
    (answer.about.first, answer.about.count) = (2, 1);
    let told = rig.say([Feedback::Answer(answer)]);
    let is_it =
        |command: &Command| matches!(command, Command::Refused { about } if about.first == 2);
    assert!(told.iter().any(is_it), "{told:?}");
    assert!(rig.recovery.returns.pop().is_ok());
}

/// The recovery knows the session as soon as it begins, not a quarter of a second later.
#[test]
fn position_is_told_with_the_session() {
    let mut rig = Rig::new();
    assert!(rig.say([]).is_empty(), "there is no session yet");
    for session in [b"DEMO000001", b"DEMO000002"] {
        rig.message(session, 1);
        let told = rig.say([]);
        let is_it = |command: &Command| matches!(command, Command::Position { session: it, .. } if it.0 == *session);
        assert!(told.iter().any(is_it), "{told:?}");
        rig.now_ns += 60_000_000_000;
    }
}
