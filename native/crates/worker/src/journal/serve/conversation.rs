//! One client of `serve`: its requests in, the journal's records out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tickdeck_journal::{JournalError, Reader, Record};
use tickdeck_wire::moldudp64::{BLOCK_LEN, Blocks, MAX_REQUEST_COUNT, skip_blocks};
use tickdeck_wire::record::kind;
use tickdeck_wire::replay::{Frame, MAX_PAYLOAD, Refusal, Request, RequestDecoder};

use super::Numbered;
use super::index::{Index, Place, numbers};
use crate::tcp::{Conversation, Next};

/// Most bytes that one `poll` appends, but for its last record.
const BURST_BYTES: usize = 64 * 1024;
/// Requests that wait for their turn, bytes; a client that sends more without reading is cut off.
const INBOX_BYTES: usize = 4_096;
/// A connection on which nothing is asked for so long is closed.
const IDLE_NS: u64 = 60_000_000_000;

/// See the module's documentation.
pub(super) struct JournalConversation {
    dir: PathBuf,
    numbered: Numbered,
    index: Arc<Mutex<Index>>,
    decoder: RequestDecoder,
    inbox: Vec<u8>,
    answering: Option<Answering>,
    is_over: bool,
    last_heard_ns: u64,
}

struct Answering {
    reader: Reader,
    next: u64,
    end: u64,
}

impl JournalConversation {
    pub(super) fn new(
        dir: PathBuf,
        numbered: Numbered,
        index: Arc<Mutex<Index>>,
        now_ns: u64,
    ) -> Self {
        Self {
            dir,
            numbered,
            index,
            decoder: RequestDecoder::new(),
            inbox: Vec::new(),
            answering: None,
            is_over: false,
            last_heard_ns: now_ns,
        }
    }

    /// The next request; an error is one that is none.
    fn next_request(&mut self) -> Result<Option<Request>, Refusal> {
        loop {
            match self.decoder.next() {
                Ok(None) if !self.inbox.is_empty() => {
                    let taken = self.decoder.push(&self.inbox);
                    self.inbox.drain(..taken);
                }
                Ok(request) => return Ok(request),
                Err(error) => {
                    tracing::warn!(%error, "not a request");
                    return Err(Refusal::BadRequest);
                }
            }
        }
    }

    /// Finds the range and appends the beginning of its answer, or the refusal.
    fn begin(&mut self, request: Request, out: &mut Vec<u8>) {
        match self.open(request) {
            Ok(answering) => {
                Frame::Begin(request).encode(out);
                self.answering = Some(answering);
            }
            Err(reason) => refuse(request.first_sequence, reason, out),
        }
    }

    fn open(&self, request: Request) -> Result<Answering, Refusal> {
        let place = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = index.follow() {
                // What is before the damage can be given all the same.
                tracing::warn!(%error, "the journal cannot be followed");
            }
            index.find(request.session, request.first_sequence)
        };
        let (seq, end) = match place {
            Place::Found { seq, end } => (seq, end),
            Place::NoSession => return Err(Refusal::WrongSession),
            Place::NotHere => return Err(Refusal::NotHere),
        };
        let open = || -> Result<Reader, JournalError> {
            let mut reader = Reader::open(&self.dir)?;
            reader.seek(seq)?;
            Ok(reader)
        };
        let reader = open().map_err(|error| match error {
            JournalError::Pruned { .. } => Refusal::NotHere,
            error => failed(&error),
        })?;
        Ok(Answering {
            reader,
            next: request.first_sequence,
            end: request.end_sequence().min(end),
        })
    }
}

impl Conversation for JournalConversation {
    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.last_heard_ns = now_ns;
        self.is_over |= self.inbox.len() + bytes.len() > INBOX_BYTES;
        if !self.is_over {
            self.inbox.extend_from_slice(bytes);
        }
    }

    fn poll(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next {
        while !self.is_over && out.len() < BURST_BYTES {
            if let Some(answering) = &mut self.answering {
                match answering.push(self.numbered, out) {
                    Ok(true) => {}
                    Ok(false) => self.answering = None,
                    Err(reason) => {
                        refuse(answering.next, reason, out);
                        self.answering = None;
                    }
                }
                continue;
            }
            match self.next_request() {
                Ok(None) => {
                    let until_ns = self.last_heard_ns + IDLE_NS;
                    if now_ns < until_ns {
                        return Next::Wait { until_ns };
                    }
                    self.is_over = true;
                }
                Ok(Some(request)) => self.begin(request, out),
                Err(reason) => {
                    refuse(1, reason, out);
                    self.is_over = true;
                }
            }
        }
        if self.is_over {
            Next::Close
        } else {
            Next::More
        }
    }
}

impl Answering {
    /// Appends what is wanted of the next record; false with the end of the answer.
    fn push(&mut self, numbered: Numbered, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        if self.next >= self.end {
            let next_sequence = self.next;
            Frame::End { next_sequence }.encode(out);
            return Ok(false);
        }
        let entry = self.reader.next().map_err(|error| failed(&error))?;
        let Some(record) = entry.map(|entry| entry.record) else {
            // The index has seen it, so it must be there.
            tracing::error!(next = self.next, "the journal ends before its index does");
            return Err(Refusal::Failed);
        };
        if record.kind != kind::DATA {
            return Ok(true);
        }
        let count = numbers(&record, numbered).ok_or(Refusal::Failed)?;
        if record.venue_seq + count <= self.next {
            return Ok(true);
        }
        if record.venue_seq > self.next {
            tracing::error!(next = self.next, "the journal is not what its index says");
            return Err(Refusal::Failed);
        }
        let next = self.next;
        self.next = match numbered {
            Numbered::Packets => push_packet(&record, out)?,
            Numbered::Messages => push_messages(&record, next, self.end, out)?,
        };
        Ok(true)
    }
}

/// Appends a whole packet and returns the next number.
fn push_packet(record: &Record<'_>, out: &mut Vec<u8>) -> Result<u64, Refusal> {
    let (sequence, packet) = (record.venue_seq, record.payload);
    if packet.len() > MAX_PAYLOAD {
        tracing::error!(
            sequence,
            bytes = packet.len(),
            "a packet that no frame holds"
        );
        return Err(Refusal::Failed);
    }
    Frame::Packet { sequence, packet }.encode(out);
    Ok(sequence + 1)
}

/// Appends the messages `next..end` of a record, in as many frames as they need, and returns the
/// next number.
fn push_messages(
    record: &Record<'_>,
    mut next: u64,
    end: u64,
    out: &mut Vec<u8>,
) -> Result<u64, Refusal> {
    let before = usize::try_from(next - record.venue_seq).map_err(|_| Refusal::Failed)?;
    let mut rest = skip_blocks(record.payload, before).ok_or(Refusal::Failed)?;
    while next < end && !rest.is_empty() {
        let (mut count, mut length) = (0u16, 0);
        for message in Blocks::new(rest) {
            let block = BLOCK_LEN + message.len();
            let is_full = count == MAX_REQUEST_COUNT || length + block > MAX_PAYLOAD;
            if is_full || next + u64::from(count) >= end {
                break;
            }
            count += 1;
            length += block;
        }
        if count == 0 {
            tracing::error!(next, "a record that holds no whole message blocks");
            return Err(Refusal::Failed);
        }
        let (blocks, behind) = rest.split_at(length);
        Frame::Messages {
            first_sequence: next,
            count,
            blocks,
        }
        .encode(out);
        next += u64::from(count);
        rest = behind;
    }
    Ok(next)
}

fn failed(error: &JournalError) -> Refusal {
    tracing::error!(%error, "the journal cannot be read");
    Refusal::Failed
}

fn refuse(first_sequence: u64, reason: Refusal, out: &mut Vec<u8>) {
    Frame::Refused {
        first_sequence,
        reason,
    }
    .encode(out);
}
