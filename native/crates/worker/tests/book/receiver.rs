//! The receiver's side: journal, ring and stats file as `tickdeck-rx` leaves them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tickdeck_journal::{Record, SyncPolicy, Writer as Journal, WriterConfig};
use tickdeck_net::clock;
use tickdeck_ring::{Read, Reader as RingReader, RecordHeader, RingConfig, Writer as Ring};
use tickdeck_stats::{Builder, Header, Identity};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, LossReason, LostEvent, SessionEvent, SessionEventKind, SnapshotEvent, kind, line,
    stamp,
};

use crate::flow::Flow;

pub(crate) const SESSION: Session = Session(*b"BOOKTEST01");

/// Slots of a ring that no test laps by accident.
pub(crate) const WIDE: u32 = 4096;

/// A living receiver. Dropped without [`Receiver::close`] it died as by kill -9: what it had not
/// written is lost, its files stay.
pub(crate) struct Receiver {
    journal: Journal,
    ring: Ring,
    header: Header,
    /// Records in the ring that the journal does not have yet.
    behind: Vec<(RecordHeader, Vec<u8>)>,
    /// Whether the journal keeps up with the ring.
    pub(crate) journals: bool,
}

/// Where the receiver keeps its files below a test's directory.
pub(crate) fn ring_path(root: &Path) -> PathBuf {
    root.join("rx/ring")
}

/// The journal's directory below a test's directory.
pub(crate) fn journal_dir(root: &Path) -> PathBuf {
    root.join("journal")
}

impl Receiver {
    /// Starts as after a boot, a crash or an orderly end: opens the journal, saves what the ring of
    /// a predecessor still holds, makes a new ring.
    pub(crate) fn start(root: &Path, slot_count: u32) -> Self {
        let mut journal = open_journal(root);
        drain_old_ring(root, &mut journal);
        Self::with_new_ring(root, slot_count, journal)
    }

    /// As [`Receiver::start`], with segments of so many bytes.
    pub(crate) fn start_with_segments(root: &Path, slot_count: u32, bytes: u64) -> Self {
        let config = WriterConfig::new(journal_dir(root), bytes, SyncPolicy::Os, 1);
        let journal = Journal::open(config).expect("journal").0;
        Self::with_new_ring(root, slot_count, journal)
    }

    /// Starts after a power cut: the old ring is gone with the memory it was in.
    pub(crate) fn start_without_old_ring(root: &Path, slot_count: u32) -> Self {
        Self::with_new_ring(root, slot_count, open_journal(root))
    }

    fn with_new_ring(root: &Path, slot_count: u32, journal: Journal) -> Self {
        std::fs::create_dir_all(root.join("rx")).expect("directory of the receiver");
        let incarnation = u128::from(clock::monotonic_ns()).to_be_bytes();
        let identity = Identity {
            worker_id: "T-rx".to_owned(),
            resource: "T".to_owned(),
            build_id: "test".to_owned(),
            incarnation,
            generation: 1,
        };
        let stats = Builder::new(identity)
            .create(&root.join("rx"))
            .expect("stats file");
        let header = stats.header();
        header.heartbeat(u64::MAX / 2);
        let config = RingConfig {
            slot_count,
            slot_bytes: 2048,
            start_seq: journal.next_seq(),
            log_id: journal.log_id(),
            incarnation,
        };
        let ring = Ring::create(&ring_path(root), &config).expect("ring");
        Self {
            journal,
            ring,
            header,
            behind: Vec::new(),
            journals: true,
        }
    }

    /// The pulse stops, as when the process died.
    pub(crate) fn stop_beating(&self) {
        self.header.heartbeat(0);
    }

    pub(crate) fn session(&mut self, kind: SessionEventKind, session: Session, next: u64) {
        let event = SessionEvent {
            kind,
            session,
            next_sequence: next,
        };
        self.publish(kind::SESSION, next, &event.encode());
    }

    /// Messages `first..=last` in several records.
    pub(crate) fn data(&mut self, flow: &Flow, first: u64, last: u64) {
        for (start, payload) in flow.runs(first, last) {
            self.publish(kind::DATA, start, &payload);
        }
    }

    pub(crate) fn gap(&mut self, kind: u8, gap_id: u64, first: u64, last: u64) {
        let gap = GapEvent {
            gap_id,
            first,
            last,
            detected_ns: 1,
        };
        self.publish(kind, first, &gap.encode());
    }

    pub(crate) fn lost(&mut self, gap_id: u64, first: u64, last: u64) {
        let gap = GapEvent {
            gap_id,
            first,
            last,
            detected_ns: 1,
        };
        let event = LostEvent {
            gap,
            reason: LossReason::AttemptsExhausted,
        };
        self.publish(kind::GAP_LOST, first, &event.encode());
    }

    /// A snapshot of the whole channel: the messages `1..resume`, and the stream goes on there.
    pub(crate) fn snapshot(&mut self, flow: &Flow, resume: u64) {
        let parts: Vec<_> = flow.runs(1, resume - 1).collect();
        let event = SnapshotEvent {
            gap_id: 1,
            scope: SnapshotEvent::WHOLE_CHANNEL,
            resume_sequence: resume,
            records: parts.len() as u64,
            orders: 0,
        };
        self.publish(kind::SNAPSHOT_BEGIN, resume, &event.encode());
        for (_, payload) in &parts {
            self.publish(kind::SNAPSHOT_DATA, resume, payload);
        }
        self.publish(kind::SNAPSHOT_END, resume, &event.encode());
    }

    fn publish(&mut self, kind: u8, venue_seq: u64, payload: &[u8]) {
        let header = RecordHeader {
            kind,
            line: line::A,
            stamp: stamp::KERNEL,
            channel: 1,
            count: 0,
            venue_seq,
            rx_ns: clock::realtime_ns(),
        };
        self.ring
            .publish(&header, payload)
            .expect("the payload fits a slot");
        self.behind.push((header, payload.to_vec()));
        if self.journals {
            self.catch_up();
        }
    }

    /// Brings the journal up to the ring.
    pub(crate) fn catch_up(&mut self) {
        for (header, payload) in self.behind.drain(..) {
            append(&mut self.journal, &header, &payload);
        }
        self.journal.flush().expect("flush");
    }

    /// The journal could not keep what is behind: it records a hole.
    pub(crate) fn lose_behind(&mut self) {
        let from = self.journal.next_seq();
        let to = from + self.behind.len() as u64 - 1;
        self.behind.clear();
        self.journal.append_hole(from, to, 1).expect("hole");
        self.journal.flush().expect("flush");
    }

    /// Changes one byte in the middle of what the journal has written.
    pub(crate) fn damage_journal(root: &Path) {
        let files = std::fs::read_dir(journal_dir(root)).expect("journal");
        let mut segments = files
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
        let path = segments.next().expect("a segment");
        let bytes = std::fs::read(&path).expect("segment");
        let written = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .expect("something was written");
        let damaged = [bytes[written / 2] ^ 1];
        let file = File::options().write(true).open(&path).expect("segment");
        file.write_all_at(&damaged, written as u64 / 2)
            .expect("damage");
    }

    /// Number of the next record.
    pub(crate) fn next_seq(&self) -> u64 {
        self.ring.next_seq()
    }

    /// An orderly end.
    pub(crate) fn close(mut self) {
        self.catch_up();
        self.journal.close().expect("close");
    }
}

fn open_journal(root: &Path) -> Journal {
    let config = WriterConfig::new(journal_dir(root), 1 << 20, SyncPolicy::Os, 1);
    Journal::open(config).expect("journal").0
}

fn append(journal: &mut Journal, header: &RecordHeader, payload: &[u8]) {
    let record = Record {
        kind: header.kind,
        stamp: header.stamp,
        line: header.line,
        channel: header.channel,
        venue_seq: header.venue_seq,
        rx_ns: header.rx_ns,
        payload,
    };
    journal.append(&record).expect("append");
}

fn drain_old_ring(root: &Path, journal: &mut Journal) {
    let Ok(old) = RingReader::open(&ring_path(root)) else {
        return;
    };
    if old.log_id() != journal.log_id() {
        return;
    }
    let mut buffer = vec![0; old.slot_bytes()];
    while let Read::Record { header, len } = old.read(journal.next_seq(), &mut buffer) {
        append(journal, &header, &buffer[..len]);
    }
    journal.flush().expect("flush");
}
