//! Reading messages from a BinaryFILE or a journal, in pieces, or from a capture.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::SocketAddr;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tickdeck_book::{Books, BooksConfig, Channel, Record};
use tickdeck_wire::binaryfile::{self, Conformed, Messages};

use super::{Outcome, Printer, cannot_read};
use crate::capture;
use crate::exit::Failure;

/// Read at a time; any message (at most 64 KiB) fits.
const PIECE_BYTES: usize = 1 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Applies a BinaryFILE, plain or gzip (told by its first bytes, not its name).
pub(super) fn read_file(
    path: &Path,
    config: BooksConfig,
    printer: &mut Printer<'_>,
) -> Result<Outcome, Failure> {
    let mut file = open(path).map_err(|error| cannot_read(path, error))?;
    Ok(apply_file(&mut file, config, printer))
}

/// Applies the messages of a capture in order of their sequence numbers.
pub(super) fn read_capture(
    path: &Path,
    destination: Option<SocketAddr>,
    config: BooksConfig,
    printer: &mut Printer<'_>,
) -> Result<Outcome, Failure> {
    let found = capture::read_messages(path, destination)?;
    found.log(path);
    Ok(apply_file(&mut &found.blocks[..], config, printer))
}

fn apply_file(file: &mut impl Read, config: BooksConfig, printer: &mut Printer<'_>) -> Outcome {
    let mut books = Books::new(config);
    let mut mender = Mender::default();
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut offset = 0_u64;
    let problem = loop {
        let filled = fill(file, &mut piece);
        let used = whole_messages(&piece);
        for message in Messages::new(&mender.mend(&piece[..used])).map_while(Result::ok) {
            let number = books.counters().messages + 1;
            books.apply(number, message);
            printer.after(number, &books);
        }
        offset += used as u64;
        piece.drain(..used);
        match filled {
            Ok(0) if piece.is_empty() => break None,
            Ok(0) => break Some(format!("it ends inside the message at byte {offset}")),
            Ok(_) => {}
            Err(error) => break Some(format!("message at byte {offset}: {error}")),
        }
    };
    Outcome {
        books,
        stream: None,
        narrowed: mender.narrowed,
        problem,
    }
}

/// Cuts the wide stock fields that some converters write, see [`binaryfile::conform`], piece by
/// piece.
#[derive(Default)]
struct Mender {
    width: Width,
    narrowed: u64,
}

/// What the first stock directory message says of the file's stock fields.
#[derive(Default)]
enum Width {
    /// None was seen yet.
    #[default]
    Unknown,
    /// They are as specified.
    Right,
    /// They are wide, as in this message (with its length field).
    Wide(Vec<u8>),
}

impl Mender {
    /// The piece, which holds whole messages, with stock fields of eight bytes.
    fn mend<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.width {
            Width::Right => Cow::Borrowed(piece),
            Width::Unknown => {
                let mended = conform(piece);
                self.narrowed += mended.narrowed;
                if let Some(directory) = first_directory(piece) {
                    let is_wide = mended.narrowed > 0;
                    self.width = if is_wide {
                        Width::Wide(directory)
                    } else {
                        Width::Right
                    };
                }
                mended.bytes
            }
            Width::Wide(directory) => {
                // The message goes in front, so that the piece is measured by it, and comes off
                // again.
                let together = [directory, piece].concat();
                let mended = conform(&together);
                self.narrowed += mended.narrowed - 1;
                let mut messages = Messages::new(&mended.bytes);
                messages.by_ref().next();
                let len = messages.offset();
                Cow::Owned(mended.bytes[len..].to_vec())
            }
        }
    }
}

fn conform(messages: &[u8]) -> Conformed<'_> {
    binaryfile::conform(messages).expect("a piece holds whole messages")
}

/// The first stock directory message with its length field.
fn first_directory(piece: &[u8]) -> Option<Vec<u8>> {
    let mut messages = Messages::new(piece).map_while(Result::ok);
    let directory = messages.find(|message| message.first() == Some(&b'R'))?;
    let mut copy = Vec::new();
    binaryfile::push(&mut copy, directory).expect("it was read from such a file");
    Some(copy)
}

/// Bytes of the whole messages at the beginning.
fn whole_messages(piece: &[u8]) -> usize {
    let mut messages = Messages::new(piece);
    messages.by_ref().map_while(Result::ok).for_each(drop);
    messages.offset()
}

/// Applies the records of a journal, as the live worker does.
pub(super) fn read_journal(
    directory: &Path,
    config: BooksConfig,
    printer: &mut Printer<'_>,
) -> Result<Outcome, Failure> {
    let mut reader =
        tickdeck_journal::Reader::open(directory).map_err(|error| cannot_read(directory, error))?;
    let mut channel = Channel::new(config);
    // A log of which the beginning was pruned: the books start without it, and say so.
    channel.skip_to(reader.first_seq());
    let mut problem = None;
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some(entry)) => {
                let record = Record {
                    seq: entry.seq,
                    kind: entry.record.kind,
                    venue_seq: entry.record.venue_seq,
                    rx_ns: entry.record.rx_ns,
                    payload: entry.record.payload,
                };
                channel.apply_with(record, |books, _, _| {
                    printer.after(books.counters().messages, books);
                });
            }
            Err(error) => {
                problem = Some(format!(
                    "record {} cannot be read: {error}",
                    channel.cursor()
                ));
                break;
            }
        }
    }
    let stream = Some(*channel.counters());
    Ok(Outcome {
        books: channel.into_books(),
        stream,
        narrowed: 0,
        problem,
    })
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
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

/// Reads until the piece is full; returns the bytes read, 0 at the end of the file.
fn fill(file: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<usize> {
    let room = PIECE_BYTES - piece.len();
    file.by_ref().take(room as u64).read_to_end(piece)
}
