//! The whole state of a channel's books as bytes, version 2, little-endian.
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | magic `TDBOOKS1` |
//! | 8 | u16 version (2) |
//! | 10 | u16 flags: 1 session known, 2 session ended, 4 next sequence known, 8 behind a hole, 16 wide, 32 priorities |
//! | 12 | u32 zero |
//! | 16 | 16 B `log_id` of the journal that the cursor counts in |
//! | 32 | u64 cursor: number of the first record that is *not* in the snapshot |
//! | 40 | u64 next venue sequence number |
//! | 48 | 10 B session, 6 B zero |
//! | 64 | u64 created, UTC ns |
//! | 72 | u64 length of the file |
//! | 80 | stream counters, message counters: u32 count, u64 each |
//! | | last record: u8 kind (0 none), u32 payload length, u64 venue sequence, u64 rx_ns |
//! | | lasting doubt: u8 cause (0 none), u64 since; u8 system event code |
//! | | u32 open gaps: u64 id, u64 first, u64 last each |
//! | | u32 books: see below |
//! | | u32 length, then what the venue keeps beside its books |
//! | end − 32 | SHA-256 of everything before |
//!
//! A book: i64 instrument, u8 trading state, u8 cause of its doubt, u64 since, 24 B symbol, then for
//! bids and asks u32 orders and per order price and shares (u32 each; wide: i64, u64), u64
//! reference and, with priorities, u64 priority; best price first, each level in queue order. Levels and queues follow from that, so a snapshot cannot contradict
//! itself about sums or links; what it could contradict (sorting, twins, no shares) is refused.
//!
//! The digest is checked before anything is believed: a snapshot that was cut, or of which a page
//! did not reach the disk, is refused as damaged. One with the cursor of another journal is the
//! caller's to refuse: it knows the journal ([`Restored::log_id`]).

use sha2::{Digest, Sha256};
use thiserror::Error;
use tickdeck_wire::moldudp64::Session;

use crate::books::{Books, Listing};
use crate::channel::{Channel, RecordMark, StreamCounters};
use crate::fault::Counters;
use crate::hash::Width;
use crate::store::NewOrder;
use crate::trust::{Cause, Doubt, OpenGap};
use crate::types::{BookId, OrderView, Side, Symbol};
use crate::venue::Venue;

mod fields;

use fields::{Fields, put_doubt, put_mark, put_u32};

/// A channel that came back from a snapshot, and where the snapshot came from.
pub struct Restored<V> {
    /// Books, cursor and counters.
    pub channel: Channel<V>,
    /// The journal that the cursor counts in.
    pub log_id: [u8; 16],
    /// When the snapshot was made, UTC ns.
    pub created_ns: u64,
}

/// Why bytes are not a snapshot that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Not even a header.
    #[error("{actual} bytes are too short for a snapshot")]
    TooShort {
        /// Bytes given.
        actual: usize,
    },
    /// Something else than a snapshot.
    #[error("the file does not start with the magic of a snapshot")]
    WrongMagic,
    /// Written by another version.
    #[error("snapshot version {found}; this build reads version {VERSION}")]
    WrongVersion {
        /// The version found.
        found: u16,
    },
    /// Cut, or bytes changed.
    #[error("the snapshot is damaged: its SHA-256 does not match")]
    Damaged,
    /// The digest matches, but the content breaks a rule: written by wrong code.
    #[error("invalid snapshot: {what} at byte {offset}")]
    Invalid {
        /// The rule, worded as what is wrong.
        what: &'static str,
        /// Where, in bytes from the beginning.
        offset: usize,
    },
}

/// The version written, and the only one read.
pub const VERSION: u16 = 2;

const MAGIC: [u8; 8] = *b"TDBOOKS1";
const HEADER_LEN: usize = 80;
const LENGTH_AT: usize = 72;
const DIGEST_LEN: usize = 32;

const SESSION_KNOWN: u16 = 1;
const SESSION_ENDED: u16 = 2;
const NEXT_KNOWN: u16 = 4;
const AFTER_HOLE: u16 = 8;
const WIDE: u16 = 16;
const PRIORITIES: u16 = 32;

impl<V: Venue> Channel<V> {
    /// Writes the state to `out`, replacing its content, without the digest: see [`seal`].
    ///
    /// The two steps are apart so that the thread that applies messages pays for the copy only.
    pub fn encode_snapshot(&self, log_id: &[u8; 16], created_ns: u64, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(self.snapshot_len());
        self.put_header(log_id, created_ns, out);
        put_words(&self.counters.words(), out);
        let books = self.venue.books();
        put_words(&books.counters.words(), out);
        put_mark(self.last_record, out);
        put_doubt(books.trust.lasting(), out);
        out.push(books.system_event);
        put_u32(books.trust.gaps().len(), out);
        for gap in books.trust.gaps() {
            for word in [gap.id, gap.first, gap.last] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        put_u32(books.listings.len(), out);
        for id in (0..books.listings.len() as u32).map(BookId) {
            put_book(books, id, out);
        }
        let part_at = out.len();
        put_u32(0, out);
        self.venue.save(out);
        let part_len = u32::try_from(out.len() - part_at - 4).expect("far below 4 GiB");
        out[part_at..part_at + 4].copy_from_slice(&part_len.to_le_bytes());
        let length = (out.len() + DIGEST_LEN) as u64;
        out[LENGTH_AT..LENGTH_AT + 8].copy_from_slice(&length.to_le_bytes());
    }

    /// Room that a snapshot needs about, digest included; the venue's own part is not counted.
    fn snapshot_len(&self) -> usize {
        let fixed = HEADER_LEN + 8 + 8 * (StreamCounters::WORDS + Counters::WORDS) + 64;
        let books = self.venue.books();
        let gaps = books.trust.gaps().len() * 24;
        let (heads, orders) = (books.len() * 56, books.order_count() * order_len(books));
        fixed + gaps + heads + orders + DIGEST_LEN
    }

    fn put_header(&self, log_id: &[u8; 16], created_ns: u64, out: &mut Vec<u8>) {
        let mut flags = 0;
        for (set, flag) in [
            (self.session.is_some(), SESSION_KNOWN),
            (self.session_ended, SESSION_ENDED),
            (self.next_sequence.is_some(), NEXT_KNOWN),
            (self.after_hole, AFTER_HOLE),
            (self.books().config().width == Width::Wide, WIDE),
            (self.books().config().has_priorities, PRIORITIES),
        ] {
            flags |= if set { flag } else { 0 };
        }
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(log_id);
        out.extend_from_slice(&self.cursor.to_le_bytes());
        out.extend_from_slice(&self.next_sequence.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.session.map_or([0; 10], |session| session.0));
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&created_ns.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
    }
}

/// Completes an encoded snapshot with its digest.
pub fn seal(encoded: &mut Vec<u8>) {
    let digest = Sha256::digest(&*encoded);
    encoded.extend_from_slice(&digest);
}

/// Restores a channel from a sealed snapshot; `venue` is one that has seen nothing.
///
/// # Errors
/// [`SnapshotError`] for anything but a whole snapshot of this version and venue.
pub fn decode<V: Venue>(bytes: &[u8], venue: V) -> Result<Restored<V>, SnapshotError> {
    let content = check(bytes)?;
    let mut fields = Fields::new(content, MAGIC.len() + 2);
    let mut channel = Channel::with(venue);
    let flags = u16::from_le_bytes(fields.take()?);
    let config = channel.books().config();
    if (flags & WIDE != 0) != (config.width == Width::Wide)
        || (flags & PRIORITIES != 0) != config.has_priorities
    {
        return Err(fields.invalid("the orders of another venue"));
    }
    fields.skip(4)?;
    let log_id = fields.take()?;
    channel.cursor = fields.u64()?;
    let next_sequence = fields.u64()?;
    let session = fields.take()?;
    fields.skip(6)?;
    let created_ns = fields.u64()?;
    fields.skip(8)?;
    channel.next_sequence = (flags & NEXT_KNOWN != 0).then_some(next_sequence);
    channel.session = (flags & SESSION_KNOWN != 0).then_some(Session(session));
    channel.session_ended = flags & SESSION_ENDED != 0;
    channel.after_hole = flags & AFTER_HOLE != 0;
    channel.counters = StreamCounters::from_words(&fields.words()?);
    channel.books_mut().counters = Counters::from_words(&fields.words()?);
    channel.last_record = fields.mark()?;
    let books = channel.books_mut();
    if let Some(doubt) = fields.doubt()? {
        books.trust.doubt_all(doubt);
    }
    books.system_event = fields.u8()?;
    for _ in 0..fields.u32()? {
        let (id, first, last) = (fields.u64()?, fields.u64()?, fields.u64()?);
        books.trust.open_gap(OpenGap { id, first, last });
    }
    for _ in 0..fields.u32()? {
        read_book(&mut fields, books)?;
    }
    let part_len = fields.u32()? as usize;
    let part = fields.slice(part_len)?;
    channel
        .venue
        .restore(part)
        .map_err(|what| fields.invalid(what))?;
    fields.end()?;
    Ok(Restored {
        channel,
        log_id,
        created_ns,
    })
}

/// Checks magic, version, length and digest, and returns what the digest covers.
fn check(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let actual = bytes.len();
    if actual < HEADER_LEN + DIGEST_LEN {
        return Err(SnapshotError::TooShort { actual });
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(SnapshotError::WrongMagic);
    }
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    if found != VERSION {
        return Err(SnapshotError::WrongVersion { found });
    }
    let (content, digest) = bytes.split_at(actual - DIGEST_LEN);
    let mut length = [0; 8];
    length.copy_from_slice(&content[LENGTH_AT..LENGTH_AT + 8]);
    let whole = u64::from_le_bytes(length) == actual as u64;
    if !whole || Sha256::digest(content)[..] != *digest {
        return Err(SnapshotError::Damaged);
    }
    Ok(content)
}

/// Bytes of an order.
fn order_len(books: &Books) -> usize {
    let terms = match books.config().width {
        Width::Narrow => 8,
        Width::Wide => 16,
    };
    terms + 8 + if books.config().has_priorities { 8 } else { 0 }
}

fn put_book(books: &Books, id: BookId, out: &mut Vec<u8>) {
    let listing = &books.listings[id.0 as usize];
    out.extend_from_slice(&listing.instrument.to_le_bytes());
    out.push(listing.trading_state);
    put_doubt(listing.doubt, out);
    out.extend_from_slice(listing.symbol.padded());
    for side in Side::BOTH {
        let count_at = out.len();
        put_u32(0, out);
        let mut count = 0_u32;
        for (address, order) in books.store.queue(id, side) {
            put_order(books, address, order, out);
            count += 1;
        }
        out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }
}

fn put_order(books: &Books, address: u32, order: OrderView, out: &mut Vec<u8>) {
    match books.config().width {
        // A narrow venue's numbers came as 32 bits.
        Width::Narrow => {
            out.extend_from_slice(&(order.price as u32).to_le_bytes());
            out.extend_from_slice(&(order.quantity as u32).to_le_bytes());
        }
        Width::Wide => {
            out.extend_from_slice(&order.price.to_le_bytes());
            out.extend_from_slice(&order.quantity.to_le_bytes());
        }
    }
    out.extend_from_slice(&order.reference.to_le_bytes());
    if books.config().has_priorities {
        out.extend_from_slice(&books.store.priority(address).to_le_bytes());
    }
}

fn read_book(fields: &mut Fields<'_>, books: &mut Books) -> Result<(), SnapshotError> {
    let instrument = i64::from_le_bytes(fields.take()?);
    if books.by_instrument(instrument).is_some() {
        return Err(fields.invalid("an instrument stands twice"));
    }
    let trading_state = fields.u8()?;
    let doubt = fields.doubt()?;
    let symbol = Symbol::from_padded(&fields.take::<{ Symbol::MAX_LEN }>()?);
    let book = books.add_listing(Listing {
        instrument,
        trading_state,
        symbol,
        doubt,
    });
    for side in Side::BOTH {
        let mut last_key = i64::MAX;
        for _ in 0..fields.u32()? {
            let new = read_order(fields, books, book, side)?;
            if side.key(new.price) > last_key {
                return Err(fields.invalid("an order at a better price than the one before"));
            }
            last_key = side.key(new.price);
        }
    }
    Ok(())
}

/// Reads one order and puts it behind those before.
fn read_order(
    fields: &mut Fields<'_>,
    books: &mut Books,
    book: BookId,
    side: Side,
) -> Result<NewOrder, SnapshotError> {
    let config = *books.config();
    let (price, quantity) = match config.width {
        Width::Narrow => (i64::from(fields.u32()?), u64::from(fields.u32()?)),
        Width::Wide => (i64::from_le_bytes(fields.take()?), fields.u64()?),
    };
    let reference = fields.u64()?;
    if quantity == 0 {
        return Err(fields.invalid("an order of no shares"));
    }
    if books.store.find_in(book, side, reference).is_some() {
        return Err(fields.invalid("an order reference stands twice"));
    }
    let new = NewOrder {
        book,
        side,
        price,
        quantity,
        reference,
    };
    let added = if config.has_priorities {
        books.store.add_by_priority(new, fields.u64()?)
    } else {
        books.store.add(new)
    };
    added.map_err(|_| fields.invalid("more orders than this worker may hold"))?;
    Ok(new)
}

fn put_words<const N: usize>(words: &[u64; N], out: &mut Vec<u8>) {
    put_u32(N, out);
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}
