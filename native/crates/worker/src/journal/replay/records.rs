//! Datagrams out of a journal: MoldUDP64 packets made again from DATA records.

use std::path::Path;

use tickdeck_journal::{JournalError, OwnedRecord, Reader};
use tickdeck_wire::moldudp64::{
    Blocks, HEADER_LEN, MAX_REQUEST_COUNT, PacketBuilder, Session, end_of_session,
};
use tickdeck_wire::record::{PayloadError, SessionEvent, SessionEventKind, kind};

use super::{Packet, Source};
use crate::exit::{Code, Failure};
use crate::journal::journal_failure;

/// Packets of a journal in order.
pub(super) struct JournalSource {
    reader: Reader,
    /// The first record and the last one that is known to be there.
    from: u64,
    last: u64,
    to: u64,
    session: Option<Session>,
    builder: PacketBuilder,
    /// Message blocks of the current record that were not sent yet begin at `sent`.
    blocks: Vec<u8>,
    sent: usize,
    sequence: u64,
    at_ns: u64,
    position: u64,
    /// An end of session, when that is what comes next.
    farewell: Option<[u8; HEADER_LEN]>,
    skipped: u64,
}

impl JournalSource {
    /// Opens a journal at `from`, or at its oldest record, under the session in force there.
    pub(super) fn open(dir: &Path, from: Option<u64>, to: u64) -> Result<Self, Failure> {
        let failed = |error: JournalError| journal_failure(&error);
        let mut reader = Reader::open(dir).map_err(failed)?;
        let (first_seq, last_seq) = (reader.first_seq(), reader.last_seq().map_err(failed)?);
        let from = from.unwrap_or(first_seq);
        if from < first_seq || from > last_seq || to < first_seq {
            let asked = if to == u64::MAX {
                format!("{from} on")
            } else {
                format!("{from} to {to}")
            };
            let text = format!(
                "journal {} holds sequences {first_seq} to {last_seq}, not {asked}",
                dir.display()
            );
            return Err(Failure::new(Code::Config, text));
        }
        let before = reader
            .last_record_of_kind_below(kind::SESSION, from)
            .map_err(failed)?;
        let session = before.as_ref().map(session_of).transpose()?;
        reader.seek(from).map_err(failed)?;
        let builder = PacketBuilder::new(session.unwrap_or(Session([b' '; 10])), MAX_DATAGRAM);
        Ok(Self {
            reader,
            from,
            last: last_seq.min(to),
            to,
            session,
            builder,
            blocks: Vec::new(),
            sent: 0,
            sequence: 0,
            at_ns: 0,
            position: 0,
            farewell: None,
            skipped: 0,
        })
    }

    /// Takes the next record; false at the end.
    fn take_record(&mut self) -> Result<bool, Failure> {
        let entry = self
            .reader
            .next()
            .map_err(|error| journal_failure(&error))?;
        let Some(entry) = entry.filter(|entry| entry.seq <= self.to) else {
            return Ok(false);
        };
        let (seq, record) = (entry.seq, entry.record);
        (self.position, self.at_ns) = (seq, record.rx_ns);
        match record.kind {
            kind::DATA if !record.payload.is_empty() => {
                self.blocks.clear();
                self.blocks.extend_from_slice(record.payload);
                (self.sent, self.sequence) = (0, record.venue_seq);
                if self.session.is_none() {
                    let text = format!("no session record comes before the data at sequence {seq}");
                    return Err(Failure::new(Code::Layout, text));
                }
            }
            kind::SESSION => {
                let event =
                    SessionEvent::decode(record.payload).map_err(|error| malformed(seq, &error))?;
                if event.kind == SessionEventKind::Ended {
                    self.farewell = Some(end_of_session(event.session, event.next_sequence));
                } else if self.session != Some(event.session) {
                    self.session = Some(event.session);
                    self.builder = PacketBuilder::new(event.session, MAX_DATAGRAM);
                }
            }
            _ => self.skipped += 1,
        }
        Ok(true)
    }

    /// Builds the next packet of the current record; returns its messages.
    fn build(&mut self) -> Result<u64, Failure> {
        self.builder.begin(self.sequence);
        let mut blocks = Blocks::new(&self.blocks[self.sent..]);
        let mut rest = blocks.rest().len();
        // A run that is longer than a datagram, which no venue sends, goes out in several.
        while self.builder.count() < MAX_REQUEST_COUNT
            && let Some(message) = blocks.next()
            && self.builder.push(message)
        {
            rest = blocks.rest().len();
        }
        let messages = u64::from(self.builder.count());
        if messages == 0 {
            let text = format!("record {} holds no whole message blocks", self.position);
            return Err(Failure::new(Code::Layout, text));
        }
        self.sent = self.blocks.len() - rest;
        self.sequence += messages;
        Ok(messages)
    }
}

impl Source for JournalSource {
    fn next(&mut self) -> Result<Option<Packet<'_>>, Failure> {
        while self.sent == self.blocks.len() {
            if self.farewell.is_some() {
                break;
            }
            if !self.take_record()? {
                if let Some(tail) = self.reader.unfinished_tail() {
                    tracing::warn!("the journal ends in an unfinished block: {tail}");
                }
                return Ok(None);
            }
        }
        let (at_ns, position) = (self.at_ns, self.position);
        if self.sent < self.blocks.len() {
            let messages = self.build()?;
            return Ok(Some(Packet {
                payload: self.builder.finish(),
                at_ns,
                messages,
                position,
            }));
        }
        let farewell = self.farewell.take();
        self.blocks.clear();
        self.blocks
            .extend_from_slice(farewell.as_ref().map_or(&[], |bytes| bytes));
        self.sent = self.blocks.len();
        Ok(Some(Packet {
            payload: &self.blocks,
            at_ns,
            messages: 0,
            position,
        }))
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn span(&self) -> Option<(u64, u64)> {
        Some((self.from, self.last))
    }
}

fn session_of(record: &OwnedRecord) -> Result<Session, Failure> {
    match SessionEvent::decode(&record.payload) {
        Ok(event) => Ok(event.session),
        Err(error) => Err(malformed(record.seq, &error)),
    }
}

fn malformed(seq: u64, error: &PayloadError) -> Failure {
    Failure::new(Code::Layout, format!("record {seq}: {error}"))
}

/// Longest UDP payload over IPv4.
const MAX_DATAGRAM: usize = 65_507;
