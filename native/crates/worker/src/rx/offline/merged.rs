//! The merged stream of a capture's channel as records, for who makes books of it.

use std::path::Path;

use tickdeck_arbiter::{ConfigError, Run};
use tickdeck_wire::record::kind;

use super::arguments::{Drops, Pair};
use super::arrivals::Arrivals;
use super::{bad_argument, merge};
use crate::exit::Failure;
use crate::rx::Wire;

/// The records of a merged channel, in order. All of them are held in memory.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    bytes: Vec<u8>,
    records: Vec<Place>,
    next: usize,
}

/// Where the payload of a record is, and what it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: u8,
    venue_seq: u64,
    rx_ns: u64,
    begin: usize,
    end: usize,
}

/// A record of a merged channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MergedRecord<'a> {
    /// Number of the record, from 1.
    pub(crate) seq: u64,
    /// [`kind::DATA`] or an event of the stream.
    pub(crate) kind: u8,
    /// Number of the packet.
    pub(crate) venue_seq: u64,
    /// When it was captured, UTC ns.
    pub(crate) rx_ns: u64,
    /// The packet, or the event.
    pub(crate) payload: &'a [u8],
}

impl Merged {
    /// Merges the lines `A=GROUP:PORT,B=GROUP:PORT` of a capture, as `tickdeck-rx offline` does.
    ///
    /// # Errors
    /// A capture that cannot be read or has nothing of the lines, or lines that are none.
    pub(crate) fn read(path: &Path, lines: &[String], wire: Wire) -> Result<Self, Failure> {
        let pairs = Pair::parse_all(lines).map_err(bad_argument)?;
        let [pair] = &pairs[..] else {
            let text = "--lines: books are made of one channel; write A=GROUP:PORT,B=GROUP:PORT";
            return Err(bad_argument(text.to_owned()));
        };
        let arrivals = Arrivals::read(path, std::slice::from_ref(pair))?;
        let merged = merge::records(&arrivals, wire, &Drops::default());
        merged.map_err(|error: ConfigError| Failure::failed(error))
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<MergedRecord<'_>> {
        let place = self.records.get(self.next)?;
        self.next += 1;
        Some(MergedRecord {
            seq: self.next as u64,
            kind: place.kind,
            venue_seq: place.venue_seq,
            rx_ns: place.rx_ns,
            payload: &self.bytes[place.begin..place.end],
        })
    }

    pub(super) fn push_run(&mut self, run: &Run<'_>) {
        self.push(kind::DATA, run.first_sequence, run.rx_ns, run.payload);
    }

    pub(super) fn push(&mut self, kind: u8, venue_seq: u64, rx_ns: u64, payload: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.records.push(Place {
            kind,
            venue_seq,
            rx_ns,
            begin,
            end: self.bytes.len(),
        });
    }
}
