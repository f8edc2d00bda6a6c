//! The whole state of a channel's books as bytes, version 1, little-endian.
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | magic `TDBOOKS1` |
//! | 8 | u16 version (1) |
//! | 10 | u16 flags: 1 session known, 2 session ended, 4 next sequence known, 8 behind a hole |
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
//! | end − 32 | SHA-256 of everything before |
//!
//! A book: u16 locate, u8 trading state, u8 cause of its doubt, u64 since, 16 B symbol, then for
//! bids and asks u32 orders and per order u32 price, u32 shares, u64 reference, best price first,
//! each level in queue order. Levels and queues follow from that, so a snapshot cannot contradict
//! itself about sums or links; what it could contradict (sorting, twins, no shares) is refused.
//!
//! The digest is checked before anything is believed: a snapshot that was cut, or of which a page
//! did not reach the disk, is refused as damaged. One with the cursor of another journal is the
//! caller's to refuse: it knows the journal ([`Restored::log_id`]).

use sha2::{Digest, Sha256};
use thiserror::Error;
use tickdeck_wire::moldudp64::Session;

use crate::books::{BooksConfig, Listing};
use crate::channel::{Channel, RecordMark, StreamCounters};
use crate::fault::Counters;
use crate::store::NewOrder;
use crate::trust::{Cause, Doubt, OpenGap};
use crate::types::{Side, Symbol};

mod fields;

use fields::{Fields, put_doubt, put_mark, put_u32};

/// A channel that came back from a snapshot, and where the snapshot came from.
pub struct Restored {
    /// Books, cursor and counters.
    pub channel: Channel,
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
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"TDBOOKS1";
const HEADER_LEN: usize = 80;
const LENGTH_AT: usize = 72;
const DIGEST_LEN: usize = 32;
const ORDER_LEN: usize = 16;

const SESSION_KNOWN: u16 = 1;
const SESSION_ENDED: u16 = 2;
const NEXT_KNOWN: u16 = 4;
const AFTER_HOLE: u16 = 8;

impl Channel {
    /// Writes the state to `out`, replacing its content, without the digest: see [`seal`].
    ///
    /// The two steps are apart so that the thread that applies messages pays for the copy only.
    pub fn encode_snapshot(&self, log_id: &[u8; 16], created_ns: u64, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(self.snapshot_len());
        self.put_header(log_id, created_ns, out);
        put_words(&self.counters.words(), out);
        put_words(&self.books.counters.words(), out);
        put_mark(self.last_record, out);
        put_doubt(self.books.trust.lasting(), out);
        out.push(self.books.system_event);
        put_u32(self.books.trust.gaps().len(), out);
        for gap in self.books.trust.gaps() {
            for word in [gap.id, gap.first, gap.last] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        put_u32(self.books.listings.len(), out);
        for book in self.books.iter() {
            let listing = &self.books.listings[book.id().0 as usize];
            out.extend_from_slice(&listing.locate.to_le_bytes());
            out.push(listing.trading_state);
            put_doubt(listing.doubt, out);
            out.extend_from_slice(listing.symbol.padded());
            for side in Side::BOTH {
                let count_at = out.len();
                put_u32(0, out);
                let mut count = 0_u32;
                for order in book.queue(side) {
                    out.extend_from_slice(&order.price.to_le_bytes());
                    out.extend_from_slice(&order.quantity.to_le_bytes());
                    out.extend_from_slice(&order.reference.to_le_bytes());
                    count += 1;
                }
                out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
            }
        }
        let length = (out.len() + DIGEST_LEN) as u64;
        out[LENGTH_AT..LENGTH_AT + 8].copy_from_slice(&length.to_le_bytes());
    }

    /// Room that a snapshot needs at most, digest included.
    fn snapshot_len(&self) -> usize {
        let fixed = HEADER_LEN + 8 + 8 * (StreamCounters::WORDS + Counters::WORDS) + 64;
        let gaps = self.books.trust.gaps().len() * 24;
        let books = self.books.len() * 40;
        fixed + gaps + books + self.books.order_count() * ORDER_LEN + DIGEST_LEN
    }

    fn put_header(&self, log_id: &[u8; 16], created_ns: u64, out: &mut Vec<u8>) {
        let mut flags = 0;
        for (set, flag) in [
            (self.session.is_some(), SESSION_KNOWN),
            (self.session_ended, SESSION_ENDED),
            (self.next_sequence.is_some(), NEXT_KNOWN),
            (self.after_hole, AFTER_HOLE),
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

/// Restores a channel from a sealed snapshot.
///
/// # Errors
/// [`SnapshotError`] for anything but a whole snapshot of this version.
pub fn decode(bytes: &[u8], config: BooksConfig) -> Result<Restored, SnapshotError> {
    let content = check(bytes)?;
    let mut fields = Fields::new(content, MAGIC.len() + 2);
    let mut channel = Channel::new(config);
    let flags = u16::from_le_bytes(fields.take()?);
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
    channel.books.counters = Counters::from_words(&fields.words()?);
    channel.last_record = fields.mark()?;
    if let Some(doubt) = fields.doubt()? {
        channel.books.trust.doubt_all(doubt);
    }
    channel.books.system_event = fields.u8()?;
    for _ in 0..fields.u32()? {
        let (id, first, last) = (fields.u64()?, fields.u64()?, fields.u64()?);
        channel.books.trust.open_gap(OpenGap { id, first, last });
    }
    for _ in 0..fields.u32()? {
        read_book(&mut fields, &mut channel)?;
    }
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

fn read_book(fields: &mut Fields<'_>, channel: &mut Channel) -> Result<(), SnapshotError> {
    let locate = u16::from_le_bytes(fields.take()?);
    if channel.books.by_locate(locate).is_some() {
        return Err(fields.invalid("a locate code stands twice"));
    }
    let trading_state = fields.u8()?;
    let doubt = fields.doubt()?;
    let symbol = Symbol::from_padded(&fields.take::<{ Symbol::MAX_LEN }>()?);
    let book = channel.books.add_listing(Listing {
        locate,
        trading_state,
        symbol,
        doubt,
    });
    for side in Side::BOTH {
        let mut last_key = u32::MAX;
        for _ in 0..fields.u32()? {
            let (price, quantity, reference) = (fields.u32()?, fields.u32()?, fields.u64()?);
            if quantity == 0 {
                return Err(fields.invalid("an order of no shares"));
            }
            if side.key(price) > last_key {
                return Err(fields.invalid("an order at a better price than the one before"));
            }
            last_key = side.key(price);
            if channel.books.store.find(reference).is_some() {
                return Err(fields.invalid("an order reference stands twice"));
            }
            let order = NewOrder {
                book,
                side,
                price,
                quantity,
                reference,
            };
            let added = channel.books.store.add(order);
            added.map_err(|_| fields.invalid("more orders than this worker may hold"))?;
        }
    }
    Ok(())
}

fn put_words<const N: usize>(words: &[u64; N], out: &mut Vec<u8>) {
    put_u32(N, out);
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}
