//! A caller of a writer, as the receive worker is one: what is refused is lost, and said so.

use std::env;
use std::time::{Duration, Instant};

use tickdeck_journal::{JournalError, Record, Writer, kind};

/// Reason of the caller's holes.
pub(crate) const REASON: u8 = 1;

/// As `tickdeck_testbed::promised`, which this crate does not use: a promised time, and on a machine
/// that may be busy a minute more.
pub(crate) fn promised(time: Duration) -> Duration {
    match env::var_os("TICKDECK_TEST_TIMES").is_some_and(|value| value == "promised") {
        true => time,
        false => time + Duration::from_secs(60),
    }
}

/// A writer, its clock, and what was lost meanwhile.
pub(crate) struct Caller {
    pub(crate) writer: Writer,
    begun: Instant,
    /// Sequences that were refused and are not spent yet.
    pub(crate) refused: u64,
    /// All holes that were spent.
    pub(crate) holes: Vec<(u64, u64)>,
    payload_len: usize,
}

impl Caller {
    pub(crate) fn new(writer: Writer, payload_len: usize) -> Self {
        Self {
            writer,
            begun: Instant::now(),
            refused: 0,
            holes: Vec::new(),
            payload_len,
        }
    }

    /// Offers a record; what a full writer refuses is gone.
    pub(crate) fn offer(&mut self) {
        let next_seq = self.writer.next_seq();
        if self.refused > 0 {
            let to = next_seq + self.refused - 1;
            match self.writer.append_hole(next_seq, to, REASON) {
                Ok(_) => {
                    self.holes.push((next_seq, to));
                    self.refused = 0;
                }
                Err(JournalError::Stalled { .. }) => {
                    self.refused += 1;
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let seq = self.writer.next_seq();
        let payload = payload(seq, self.payload_len);
        match self.writer.append(&record(seq, &payload)) {
            Ok(given) => assert_eq!(given, seq),
            Err(JournalError::Stalled { .. }) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn poll(&mut self) {
        let now_ns = u64::try_from(self.begun.elapsed().as_nanos()).expect("small");
        self.writer.poll(now_ns).expect("it is not told to halt");
    }
}

pub(crate) fn payload(seq: u64, len: usize) -> Vec<u8> {
    let mut state = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub(crate) fn record(seq: u64, payload: &[u8]) -> Record<'_> {
    Record {
        kind: kind::DATA,
        stamp: 1,
        line: 0,
        channel: 1,
        venue_seq: seq,
        rx_ns: seq,
        payload,
    }
}
