//! What stands behind the receiver in the plant: the merge of the lines and the ring.

use std::path::PathBuf;

use tempfile::TempDir;
use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, LossReason, Output, Run, Source};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_ring::{RecordHeader, RingConfig, RingError, Writer};
use tickdeck_wire::moldudp64::Packet;
use tickdeck_wire::record::{kind, stamp};

use super::Error;
use super::path::Sink;

/// A ring of the plant's default size in a file system in memory, used by all runs.
pub(crate) struct BenchRing {
    writer: Writer,
    directory: TempDir,
}

impl BenchRing {
    pub(crate) fn create() -> Result<Self, Error> {
        let failed = |error: &dyn std::error::Error| Error::Ring(error.to_string());
        let directory = tempfile::tempdir_in(MEMORY_DIRECTORY)
            .or_else(|_| tempfile::tempdir())
            .map_err(|error| failed(&error))?;
        let config = RingConfig {
            slot_count: 32_768,
            slot_bytes: 2_048,
            start_seq: 1,
            log_id: [0; 16],
            incarnation: [0; 16],
        };
        let path = directory.path().join(RING_FILE);
        Ok(Self {
            writer: Writer::create(&path, &config).map_err(|error| failed(&error))?,
            directory,
        })
    }

    /// Where a reader finds it.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join(RING_FILE)
    }

    /// What the next record's sequence is.
    pub(crate) fn next_seq(&self) -> u64 {
        self.writer.next_seq()
    }

    /// Publishes a record as it is.
    pub(crate) fn publish(
        &mut self,
        header: &RecordHeader,
        payload: &[u8],
    ) -> Result<u64, RingError> {
        self.writer.publish(header, payload)
    }
}

/// Merges and publishes. Nothing recovers: what is missing on both lines is given up when the
/// reorder window is over.
pub(crate) struct Merged<'a> {
    arbiter: Arbiter,
    output: Publisher<'a>,
    now_ns: u64,
    refused: u64,
}

impl<'a> Merged<'a> {
    pub(crate) fn new(ring: &'a mut BenchRing) -> Self {
        let arbiter = Arbiter::new(Config::default()).expect("the default is within its limits");
        Self {
            arbiter,
            output: Publisher {
                writer: &mut ring.writer,
                hopeless: Vec::with_capacity(64),
                failed: 0,
            },
            now_ns: monotonic_ns(),
            refused: 0,
        }
    }

    /// Whether the merge has dealt with all sequence numbers; what is wrong, else. `lost` packets
    /// were dropped before it.
    pub(crate) fn check(&mut self, first: u64, count: u64, lost: u64) -> Result<(), String> {
        // The holes at the end of the traffic have waited long enough.
        self.now_ns = monotonic_ns() + WINDOW_PASSED_NS;
        self.settle();
        let counters = self.arbiter.counters();
        let (refused, failed) = (self.refused, self.output.failed);
        if refused + failed > 0 {
            return Err(format!("{refused} packets refused, {failed} not published"));
        }
        let dealt_with = counters.delivered + counters.messages_lost;
        // The first and last messages may be lost without being missed.
        let is_complete = dealt_with <= count && dealt_with + lost >= count;
        let is_at_end = lost > 0 || self.arbiter.next_sequence() == first + count;
        if !is_complete || !is_at_end || counters.messages_lost > lost {
            return Err(format!(
                "of {count} messages {} were delivered and {} lost, with {lost} packets dropped",
                counters.delivered, counters.messages_lost
            ));
        }
        Ok(())
    }

    /// What time asks for.
    fn settle(&mut self) {
        self.arbiter.poll(self.now_ns, &mut self.output);
        while let Some(id) = self.output.hopeless.pop() {
            let reason = LossReason::NoRecoverySource;
            self.arbiter
                .give_up(id, reason, self.now_ns, &mut self.output);
        }
    }
}

impl Sink for Merged<'_> {
    fn begin(&mut self) {
        self.now_ns = monotonic_ns();
    }

    #[inline]
    fn take(&mut self, line: u8, payload: &[u8], rx_ns: u64) {
        let Ok(packet) = Packet::parse(payload) else {
            self.refused += 1;
            return;
        };
        let arrival = Arrival {
            source: Source::Line(line),
            unit: packet.into(),
            rx_ns,
            stamp: stamp::KERNEL,
            now_ns: self.now_ns,
        };
        self.arbiter.on_packet(arrival, &mut self.output);
    }

    fn end(&mut self) {
        self.settle();
    }
}

struct Publisher<'a> {
    writer: &'a mut Writer,
    /// Gaps that have waited long enough.
    hopeless: Vec<u64>,
    failed: u64,
}

impl Output for Publisher<'_> {
    #[inline]
    fn deliver(&mut self, run: Run<'_>) {
        let header = RecordHeader {
            kind: kind::DATA,
            line: match run.source {
                Source::Line(line) => line,
                _ => u8::MAX,
            },
            stamp: run.stamp,
            channel: 0,
            count: run.count,
            venue_seq: run.first_sequence,
            rx_ns: run.rx_ns,
        };
        self.failed += u64::from(self.writer.publish(&header, run.payload).is_err());
    }

    fn event(&mut self, event: Event) {
        if let Event::GapWaitOver { gap } = event {
            self.hopeless.push(gap.id);
        }
    }
}

const RING_FILE: &str = "ring";
/// Where files are memory.
const MEMORY_DIRECTORY: &str = "/dev/shm";
/// Beyond any reorder window.
const WINDOW_PASSED_NS: u64 = 1_000_000_000;
