//! The gap ledger in the stream: the row of a gap that is closed, and what operators note on gaps.
//!
//! | Record | Payload |
//! |---|---|
//! | [`kind::GAP_ROW`](crate::record::kind::GAP_ROW) | [`LedgerRow`], 280 bytes |
//! | [`kind::GAP_NOTE`](crate::record::kind::GAP_NOTE) | [`LedgerNote`], 24 bytes and two texts |
//!
//! A row stands behind the GAP_FILLED or the GAP_LOST of its gap. What is learned later, such as
//! where the gap was lost, is told by another row of the same gap: the last one holds. Ids are
//! unique within an incarnation of the receiver, which a row names; a note belongs to the
//! incarnation whose records it stands among.
//!
//! All numbers are little-endian. A row is the incarnation (16 bytes), the session (10), the
//! version of the row (u16, 1), four zero bytes, and [`WORDS`] words in the order of the fields,
//! which is that of the gap table in the stats file. A note is the gap's id (u64), the time
//! (u64), the lengths of the two texts (u16 each), four zero bytes, and the texts.

use std::str;

use crate::moldudp64::Session;
use crate::record::PayloadError;

/// Words of a row.
pub const WORDS: usize = 31;

/// The version of rows written here.
pub const ROW_VERSION: u16 = 1;

/// Who can bring a part of a gap, by bit. The lines are named as the configuration names them.
pub const SOURCES: [(u64, &str); 11] = [
    (1, "A"),
    (2, "B"),
    (4, "request"),
    (8, "C"),
    (16, "D"),
    (32, "E"),
    (64, "F"),
    (128, "G"),
    (256, "stream"),
    (512, "peer"),
    (1024, "snapshot"),
];

/// The bit of a snapshot in a set of sources.
pub const SNAPSHOT_BIT: u64 = 1024;

/// How a source of the recovery lies, by code.
pub const FAULTS: [&str; 12] = [
    "none",
    "wrong_session",
    "garbage",
    "truncated",
    "stale",
    "slow",
    "silent",
    "partial",
    "oversize",
    "not_asked",
    "refused",
    "disconnected",
];

/// Where a gap was lost, by code: no verdict, not on this host, a layer could not be read, or the
/// layer of the receiver's host.
pub const DROP_VERDICTS: [&str; 11] = [
    "",
    "upstream",
    "unknown",
    "nic",
    "softnet",
    "xdp_program",
    "xsk",
    "packet_ring",
    "socket",
    "receiver",
    "arbiter",
];

/// The name of a row's state; `None` for a code that this version does not know.
pub fn state_name(code: u64) -> Option<&'static str> {
    const NAMES: [&str; 7] = [
        "detected",
        "waiting",
        "requested",
        "partial",
        "filled",
        "unrecoverable",
        "snapshot",
    ];
    let index = usize::try_from(code.checked_sub(1)?).ok()?;
    NAMES.get(index).copied()
}

/// The names of the sources in a set; bits of a newer version are left out.
pub fn source_names(bits: u64) -> impl Iterator<Item = &'static str> {
    let present = SOURCES.iter().filter(move |(bit, _)| bits & bit != 0);
    present.map(|(_, name)| *name)
}

/// The code of a fault in [`FAULTS`]; `None` for a word that is none.
pub fn fault_code(name: &str) -> Option<u64> {
    let place = FAULTS.iter().position(|fault| *fault == name)?;
    u64::try_from(place).ok()
}

/// Payload of GAP_ROW: everything known of one gap. Times are UTC nanoseconds, 0: not yet.
///
/// Every message of it is accounted for: all `by_*` and `missing` together are its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The incarnation of the receiver that saw it.
    pub incarnation: [u8; 16],
    /// The session of its sequence numbers.
    pub session: Session,
    /// Number of the gap within the incarnation, from 1.
    pub id: u64,
    /// First missing sequence.
    pub first: u64,
    /// Last missing sequence, inclusive.
    pub last: u64,
    /// Where it is in its life; [`state_name`].
    pub state: u64,
    /// Who brought parts of it: bits of [`SOURCES`].
    pub sources: u64,
    /// Why it was given up, as [`LossReason`](crate::record::LossReason) numbers it; 0: it was not.
    pub reason: u64,
    /// When it was seen.
    pub detected_ns: u64,
    /// When the first source was asked.
    pub requested_ns: u64,
    /// When it was filled or given up.
    pub closed_ns: u64,
    /// How often a source was asked.
    pub attempts: u64,
    /// Messages still missing; of an unrecoverable gap: lost.
    pub missing: u64,
    /// Lines that missed it, though they had gone on behind it: bits of [`SOURCES`].
    pub lines_missed: u64,
    /// Whether the recovery took longer than promised.
    pub slo_violated: bool,
    /// Where it was lost: a place in [`DROP_VERDICTS`].
    pub drop_layer: u64,
    /// What that layer lost between the last reading before the gap and the one at the gap.
    pub drop_count: u64,
    /// Number of the channel.
    pub channel: u64,
    /// When the reorder window was over: no line had brought all of it in time.
    pub waited_ns: u64,
    /// When a source was last asked.
    pub requested_last_ns: u64,
    /// When the first part came.
    pub partial_ns: u64,
    /// When a snapshot stood in for the rest.
    pub snapshot_ns: u64,
    /// Messages that line A brought.
    pub by_line_a: u64,
    /// Messages that line B brought.
    pub by_line_b: u64,
    /// Messages that the other lines brought.
    pub by_other_lines: u64,
    /// Messages that a re-request server brought.
    pub by_request: u64,
    /// Messages that a resumed stream brought.
    pub by_stream: u64,
    /// Messages that the journal of a peer brought.
    pub by_peer: u64,
    /// Messages that a snapshot stands in for.
    pub by_snapshot: u64,
    /// Answers to its requests of which nothing was wanted any more.
    pub stale_answers: u64,
    /// Answers to its requests that went into the merge.
    pub injected: u64,
    /// The last lie that a source told while it was open: a place in [`FAULTS`].
    pub fault: u64,
    /// Whether an operator noted something on it; the journal has the text.
    pub noted: bool,
}

/// Payload of GAP_NOTE: what an operator noted on a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerNote<'a> {
    /// The gap.
    pub gap_id: u64,
    /// When it was noted, UTC ns.
    pub at_ns: u64,
    /// Who noted it, at most [`LedgerNote::MAX_ACTOR`] bytes.
    pub actor: &'a str,
    /// The note, at most [`LedgerNote::MAX_NOTE`] bytes.
    pub note: &'a str,
}

impl LedgerRow {
    /// Bytes of the payload.
    pub const LEN: usize = 32 + 8 * WORDS;

    /// A row from its words, in the order of the fields.
    pub fn from_words(incarnation: [u8; 16], session: Session, words: &[u64; WORDS]) -> Self {
        Self {
            incarnation,
            session,
            id: words[0],
            first: words[1],
            last: words[2],
            state: words[3],
            sources: words[4],
            reason: words[5],
            detected_ns: words[6],
            requested_ns: words[7],
            closed_ns: words[8],
            attempts: words[9],
            missing: words[10],
            lines_missed: words[11],
            slo_violated: words[12] != 0,
            drop_layer: words[13],
            drop_count: words[14],
            channel: words[15],
            waited_ns: words[16],
            requested_last_ns: words[17],
            partial_ns: words[18],
            snapshot_ns: words[19],
            by_line_a: words[20],
            by_line_b: words[21],
            by_other_lines: words[22],
            by_request: words[23],
            by_stream: words[24],
            by_peer: words[25],
            by_snapshot: words[26],
            stale_answers: words[27],
            injected: words[28],
            fault: words[29],
            noted: words[30] != 0,
        }
    }

    /// The words of the row, in the order of the fields.
    pub fn words(&self) -> [u64; WORDS] {
        [
            self.id,
            self.first,
            self.last,
            self.state,
            self.sources,
            self.reason,
            self.detected_ns,
            self.requested_ns,
            self.closed_ns,
            self.attempts,
            self.missing,
            self.lines_missed,
            u64::from(self.slo_violated),
            self.drop_layer,
            self.drop_count,
            self.channel,
            self.waited_ns,
            self.requested_last_ns,
            self.partial_ns,
            self.snapshot_ns,
            self.by_line_a,
            self.by_line_b,
            self.by_other_lines,
            self.by_request,
            self.by_stream,
            self.by_peer,
            self.by_snapshot,
            self.stale_answers,
            self.injected,
            self.fault,
            u64::from(self.noted),
        ]
    }

    /// Whose loss it is: "all": some of it no line brought; "one": a line missed it, but together
    /// the lines brought all of it; "none": it only came late. Empty while that is open.
    pub fn lost_on(&self) -> &'static str {
        let size = self.last.saturating_sub(self.first).saturating_add(1);
        let brought = self.by_line_a.saturating_add(self.by_line_b);
        let is_closed = self.closed_ns != 0;
        match brought.saturating_add(self.by_other_lines) >= size {
            true if self.lines_missed == 0 => "none",
            true => "one",
            false if is_closed || self.waited_ns != 0 => "all",
            false => "",
        }
    }

    /// The payload of GAP_ROW.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..16].copy_from_slice(&self.incarnation);
        out[16..26].copy_from_slice(&self.session.0);
        out[26..28].copy_from_slice(&ROW_VERSION.to_le_bytes());
        for (place, word) in out[32..].chunks_exact_mut(8).zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for another size or an unknown version.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] =
            payload.try_into().map_err(|_| PayloadError::WrongLength {
                payload: "gap row",
                expected: Self::LEN,
                actual: payload.len(),
            })?;
        if u16::from_le_bytes([bytes[26], bytes[27]]) != ROW_VERSION {
            return Err(PayloadError::UnknownCode {
                payload: "gap row",
                field: "version",
                code: bytes[26],
            });
        }
        let (mut incarnation, mut session) = ([0; 16], [0; 10]);
        incarnation.copy_from_slice(&bytes[..16]);
        session.copy_from_slice(&bytes[16..26]);
        let words = std::array::from_fn(|index| word_at(bytes, 32 + 8 * index));
        Ok(Self::from_words(incarnation, Session(session), &words))
    }
}

impl<'a> LedgerNote<'a> {
    /// Bytes in front of the texts.
    pub const HEAD_LEN: usize = 24;
    /// Most bytes of the actor.
    pub const MAX_ACTOR: usize = 64;
    /// Most bytes of the note.
    pub const MAX_NOTE: usize = 512;
    /// Bytes of the longest payload.
    pub const MAX_LEN: usize = Self::HEAD_LEN + Self::MAX_ACTOR + Self::MAX_NOTE;

    /// Writes the payload of GAP_NOTE to the start of `out` and returns it. Texts that are too
    /// long are cut between two characters.
    pub fn encode<'o>(&self, out: &'o mut [u8; LedgerNote::MAX_LEN]) -> &'o [u8] {
        let (actor, note) = (
            cut(self.actor, Self::MAX_ACTOR),
            cut(self.note, Self::MAX_NOTE),
        );
        out[..8].copy_from_slice(&self.gap_id.to_le_bytes());
        out[8..16].copy_from_slice(&self.at_ns.to_le_bytes());
        // Both are far below 65,536.
        out[16..18].copy_from_slice(&(actor.len() as u16).to_le_bytes());
        out[18..20].copy_from_slice(&(note.len() as u16).to_le_bytes());
        out[20..24].fill(0);
        let (middle, end) = (
            Self::HEAD_LEN + actor.len(),
            Self::HEAD_LEN + actor.len() + note.len(),
        );
        out[Self::HEAD_LEN..middle].copy_from_slice(actor.as_bytes());
        out[middle..end].copy_from_slice(note.as_bytes());
        &out[..end]
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] when the lengths in it do not fit its size, or a text is not UTF-8.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        let wrong_length = |expected| PayloadError::WrongLength {
            payload: "gap note",
            expected,
            actual: payload.len(),
        };
        let Some((head, texts)) = payload.split_first_chunk::<{ LedgerNote::HEAD_LEN }>() else {
            return Err(wrong_length(Self::HEAD_LEN));
        };
        let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (actor_len, note_len) = (length(16), length(18));
        if texts.len() != actor_len + note_len {
            return Err(wrong_length(Self::HEAD_LEN + actor_len + note_len));
        }
        let (actor, note) = texts.split_at(actor_len);
        Ok(Self {
            gap_id: word_at(head, 0),
            at_ns: word_at(head, 8),
            actor: text("actor", actor)?,
            note: text("note", note)?,
        })
    }
}

/// The longest start of `text` that has at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, PayloadError> {
    str::from_utf8(bytes).map_err(|error| PayloadError::UnknownCode {
        payload: "gap note",
        field,
        code: bytes.get(error.valid_up_to()).copied().unwrap_or_default(),
    })
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
