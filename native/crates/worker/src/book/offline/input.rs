//! What books are made from, as records in order: a journal, a BinaryFILE or a capture.
//!
//! A journal has its own records. The messages of a file are given as runs numbered from 1, a
//! piece of the file at a time, so that everything behind this module sees records alone.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::net::SocketAddr;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tickdeck_book::Record;
use tickdeck_journal::Reader as Journal;
use tickdeck_wire::binaryfile::Messages;
use tickdeck_wire::record::kind;

use super::mender::Mender;
use super::protocol::Protocol;
use super::{OfflineArgs, cannot_read};
use crate::book::venue::VenueKind;
use crate::capture::{self, is_capture};
use crate::exit::{Code, Failure};
use crate::rx::Wire;
use crate::rx::offline::Merged;

/// Read at a time; any message (at most 64 KiB) fits.
const PIECE_BYTES: usize = 1 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Records in order, wherever they come from.
pub(super) enum Input {
    /// A journal directory.
    Journal(Box<Journal>),
    /// Messages without records of their own.
    Messages(Box<Pieces>),
    /// The packets of a capture's lines, merged.
    Packets(Box<Merged>),
}

impl Input {
    /// Opens what lies at `path`, told by its content and not by its name.
    ///
    /// # Errors
    /// What cannot be read, or a choice of packets that the input or the protocol does not allow.
    pub(super) fn open(path: &Path, args: &OfflineArgs) -> Result<Self, Failure> {
        let destination = args.destination;
        if let Some(wire) = args.protocol.packets()
            && !path.is_dir()
        {
            return Ok(Self::Packets(Box::new(packets(path, args, wire)?)));
        }
        if !args.lines.is_empty() {
            let text = "--lines merges the packets of a capture; here are none of a protocol that \
                        numbers packets";
            return Err(Failure::new(Code::Config, text));
        }
        if path.is_dir() {
            refuse_destination(path, destination)?;
            let journal = Journal::open(path).map_err(|error| cannot_read(path, error))?;
            check_schema(path, &journal, args)?;
            return Ok(Self::Journal(Box::new(journal)));
        }
        let file: Box<dyn Read + Send> =
            if is_capture(path).map_err(|error| cannot_read(path, error))? {
                let found = capture::read_messages(path, destination)?;
                found.log(path);
                Box::new(Cursor::new(found.blocks))
            } else {
                refuse_destination(path, destination)?;
                open_file(path).map_err(|error| cannot_read(path, error))?
            };
        Ok(Self::Messages(Box::new(Pieces::new(file))))
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// Says why what was read is not the end of the input.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, String> {
        match self {
            Self::Journal(journal) => {
                let position = journal.position();
                let next = journal.next();
                let entry =
                    next.map_err(|error| format!("record {position} cannot be read: {error}"))?;
                Ok(entry.map(|entry| Record {
                    seq: entry.seq,
                    kind: entry.record.kind,
                    venue_seq: entry.record.venue_seq,
                    rx_ns: entry.record.rx_ns,
                    payload: entry.record.payload,
                }))
            }
            Self::Messages(pieces) => pieces.next(),
            Self::Packets(packets) => Ok(packets.next().map(|record| Record {
                seq: record.seq,
                kind: record.kind,
                venue_seq: record.venue_seq,
                rx_ns: record.rx_ns,
                payload: record.payload,
            })),
        }
    }

    /// The journal, when it is one.
    pub(super) fn journal(&mut self) -> Option<&mut Journal> {
        match self {
            Self::Journal(journal) => Some(journal),
            Self::Messages(_) | Self::Packets(_) => None,
        }
    }

    /// Number of the first record.
    pub(super) fn first_record(&self) -> u64 {
        match self {
            Self::Journal(journal) => journal.first_seq(),
            Self::Messages(_) | Self::Packets(_) => 1,
        }
    }

    /// Messages whose stock field was wider than the specification's and was cut.
    pub(super) fn narrowed(&self) -> u64 {
        match self {
            Self::Journal(_) | Self::Packets(_) => 0,
            Self::Messages(pieces) => pieces.mender.narrowed(),
        }
    }
}

/// Refuses a journal of another protocol than the one that was named, or of none with books.
fn check_schema(path: &Path, journal: &Journal, args: &OfflineArgs) -> Result<(), Failure> {
    let schema = journal.schema_id();
    let Some(venue) = VenueKind::of_schema(schema) else {
        let text = format!("{}: no books are made of schema {schema}", path.display());
        return Err(Failure::new(Code::Layout, text));
    };
    if venue == args.protocol.venue() {
        return Ok(());
    }
    let name = Protocol::of(venue).name();
    let text = format!(
        "{} is a journal of {name}; say so with --protocol {name}",
        path.display()
    );
    Err(Failure::new(Code::Config, text))
}

/// The merged packets of a capture.
fn packets(path: &Path, args: &OfflineArgs, wire: Wire) -> Result<Merged, Failure> {
    let is_capture = is_capture(path).map_err(|error| cannot_read(path, error))?;
    if !is_capture || args.lines.is_empty() {
        let text = format!(
            "books of {} are made of a journal, or of a capture with --lines \
             A=GROUP:PORT,B=GROUP:PORT: {}",
            args.protocol.name(),
            path.display()
        );
        return Err(Failure::new(Code::Config, text));
    }
    refuse_destination(path, args.destination)?;
    Merged::read(path, &args.lines, wire)
}

/// A file of message blocks, given in pieces of whole messages.
pub(super) struct Pieces {
    file: Box<dyn Read + Send>,
    piece: Vec<u8>,
    /// Bytes of the piece that were given already.
    given: usize,
    /// Bytes of the file before the piece.
    offset: u64,
    /// The file has ended, or cannot be read further.
    end: Option<Result<(), io::Error>>,
    mender: Mender,
    mended: Vec<u8>,
    next_record: u64,
    next_message: u64,
}

impl Pieces {
    fn new(file: Box<dyn Read + Send>) -> Self {
        Self {
            file,
            piece: Vec::with_capacity(PIECE_BYTES),
            given: 0,
            offset: 0,
            end: None,
            mender: Mender::default(),
            mended: Vec::new(),
            next_record: 1,
            next_message: 1,
        }
    }

    fn next(&mut self) -> Result<Option<Record<'_>>, String> {
        self.piece.drain(..self.given);
        self.offset += self.given as u64;
        self.given = 0;
        let mut count = 0;
        while count == 0 {
            if self.end.is_none() {
                self.fill();
            }
            (self.given, count) = whole_messages(&self.piece);
            let offset = self.offset;
            match &self.end {
                _ if count > 0 => {}
                None => {}
                Some(Ok(())) if self.piece.is_empty() => return Ok(None),
                Some(Ok(())) => {
                    return Err(format!("it ends inside the message at byte {offset}"));
                }
                Some(Err(error)) => return Err(format!("message at byte {offset}: {error}")),
            }
        }
        let whole = &self.piece[..self.given];
        let payload = match self.mender.mend(whole) {
            None => whole,
            Some(mended) => {
                self.mended = mended;
                &self.mended
            }
        };
        let (seq, venue_seq) = (self.next_record, self.next_message);
        self.next_record += 1;
        self.next_message += count;
        Ok(Some(Record {
            seq,
            kind: kind::DATA,
            venue_seq,
            rx_ns: 0,
            payload,
        }))
    }

    /// Reads until the piece is full or the file ends.
    fn fill(&mut self) {
        let room = PIECE_BYTES - self.piece.len();
        let filled = self
            .file
            .by_ref()
            .take(room as u64)
            .read_to_end(&mut self.piece);
        match filled {
            Ok(0) => self.end = Some(Ok(())),
            Ok(_) => {}
            Err(error) => self.end = Some(Err(error)),
        }
    }
}

/// Bytes and number of the whole messages at the beginning.
fn whole_messages(piece: &[u8]) -> (usize, u64) {
    let mut messages = Messages::new(piece);
    let count = messages.by_ref().map_while(Result::ok).count();
    (messages.offset(), count as u64)
}

fn refuse_destination(path: &Path, destination: Option<SocketAddr>) -> Result<(), Failure> {
    if destination.is_none() {
        return Ok(());
    }
    let text = format!(
        "--destination chooses from a capture; {} is no pcap or pcapng",
        path.display()
    );
    Err(Failure::new(Code::Config, text))
}

fn open_file(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(if magic == GZIP_MAGIC {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}
