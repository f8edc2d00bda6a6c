//! What the stream of a channel consists of: record kinds and the payloads of its events.
//!
//! The receiver gives each record one sequence number and writes it to the ring and the journal;
//! the numbers below are the same in both. Payloads are little-endian, of fixed sizes but for notes.
//!
//! | Record | Payload |
//! |---|---|
//! | [`kind::DATA`] | a run of contiguous messages as MoldUDP64 message blocks |
//! | [`kind::GAP_OPEN`], [`kind::GAP_FILLED`] | [`GapEvent`], 32 bytes |
//! | [`kind::GAP_LOST`] | [`LostEvent`], 40 bytes |
//! | [`kind::SESSION`] | [`SessionEvent`], 24 bytes |
//! | [`kind::SNAPSHOT_ANCHOR`] | [`Checkpoint`], 40 bytes |
//! | [`kind::JOURNAL_HOLE`] | [`JournalHole`], 24 bytes |
//! | [`kind::SNAPSHOT_BEGIN`], [`kind::SNAPSHOT_END`] | [`SnapshotEvent`], 40 bytes |
//! | [`kind::SNAPSHOT_DATA`] | message blocks, or one whole packet of a snapshot channel |
//! | [`kind::GAP_ROW`], [`kind::GAP_NOTE`] | those of the [ledger](crate::ledger) |

use thiserror::Error;

use crate::moldudp64::Session;

mod checkpoint;

pub use checkpoint::Checkpoint;

/// Record kinds: the journal's record type and the kind in a ring record's header.
pub mod kind {
    /// A run of contiguous messages, accepted in order; of a protocol that numbers packets, one
    /// whole packet.
    pub const DATA: u8 = 1;
    /// Messages are missing; data behind them is held.
    pub const GAP_OPEN: u8 = 2;
    /// The last missing message of a gap was delivered just before.
    pub const GAP_FILLED: u8 = 3;
    /// These messages will never come; stands exactly where they are missing.
    pub const GAP_LOST: u8 = 4;
    /// A session started, ended, changed or was resumed.
    pub const SESSION: u8 = 5;
    /// A checkpoint of the books: their hash at an earlier place of the stream.
    pub const SNAPSHOT_ANCHOR: u8 = 6;
    /// The wall clock jumped.
    pub const CLOCK_STEP: u8 = 7;
    /// An export lost records.
    pub const EXPORT_HOLE: u8 = 8;
    /// Records of the stream that the journal could not keep.
    pub const JOURNAL_HOLE: u8 = 9;
    /// Hash of the configuration that holds from here on.
    pub const CONFIG_HASH: u8 = 10;
    /// A snapshot of the venue's state follows; it takes the place of what was lost.
    pub const SNAPSHOT_BEGIN: u8 = 11;
    /// A part of that snapshot, in order.
    pub const SNAPSHOT_DATA: u8 = 12;
    /// The snapshot is whole.
    pub const SNAPSHOT_END: u8 = 13;
    /// The ledger's row of a gap that is closed.
    pub const GAP_ROW: u8 = 14;
    /// What an operator noted on a gap.
    pub const GAP_NOTE: u8 = 15;

    /// The kind's name in SCREAMING_SNAKE_CASE; `None` for a number that is not a kind.
    pub fn name(kind: u8) -> Option<&'static str> {
        Some(match kind {
            DATA => "DATA",
            GAP_OPEN => "GAP_OPEN",
            GAP_FILLED => "GAP_FILLED",
            GAP_LOST => "GAP_LOST",
            SESSION => "SESSION",
            SNAPSHOT_ANCHOR => "SNAPSHOT_ANCHOR",
            CLOCK_STEP => "CLOCK_STEP",
            EXPORT_HOLE => "EXPORT_HOLE",
            JOURNAL_HOLE => "JOURNAL_HOLE",
            CONFIG_HASH => "CONFIG_HASH",
            SNAPSHOT_BEGIN => "SNAPSHOT_BEGIN",
            SNAPSHOT_DATA => "SNAPSHOT_DATA",
            SNAPSHOT_END => "SNAPSHOT_END",
            GAP_ROW => "GAP_ROW",
            GAP_NOTE => "GAP_NOTE",
            _ => return None,
        })
    }
}

/// Line codes: where the bytes of a record came from.
pub mod line {
    /// Line A.
    pub const A: u8 = 0;
    /// Line B.
    pub const B: u8 = 1;
    /// A re-request server.
    pub const RETRANSMIT: u8 = 2;
    /// A snapshot channel or server.
    pub const SNAPSHOT: u8 = 3;
    /// A stream that was resumed at the missing number.
    pub const STREAM: u8 = 4;
    /// The journal of a peer host.
    pub const PEER: u8 = 5;
    /// No line: events.
    pub const NONE: u8 = 255;

    /// The line's short name: `A`, `B`, `R`, `S`, `T`, `P`; `-` for none or an unknown code.
    pub fn name(line: u8) -> &'static str {
        match line {
            A => "A",
            B => "B",
            RETRANSMIT => "R",
            SNAPSHOT => "S",
            STREAM => "T",
            PEER => "P",
            _ => "-",
        }
    }
}

/// Timestamp sources, from best to worst.
pub mod stamp {
    /// Stamped by the network card.
    pub const HARDWARE: u8 = 0;
    /// Stamped by the kernel on arrival.
    pub const KERNEL: u8 = 1;
    /// Stamped by the worker after it read the packet.
    pub const USER: u8 = 2;

    /// The source's name in lower case; `None` for an unknown code.
    pub fn name(stamp: u8) -> Option<&'static str> {
        match stamp {
            HARDWARE => Some("hardware"),
            KERNEL => Some("kernel"),
            USER => Some("user"),
            _ => None,
        }
    }
}

/// Why messages were given up. The number is the byte in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LossReason {
    /// Every allowed request was made and did not bring them.
    AttemptsExhausted = 1,
    /// Nobody could be asked.
    NoRecoverySource = 2,
    /// The memory for data held behind the gap was full.
    HoldOverflow = 3,
    /// The session ended before they came.
    SessionEnded = 4,
    /// An operator gave them up.
    Operator = 5,
    /// A snapshot of the venue's state stands in for them.
    Snapshot = 6,
}

/// What happened to a session. The number is the byte in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SessionEventKind {
    /// First packet of a session after none.
    Started = 1,
    /// The venue said that the session ended.
    Ended = 2,
    /// Another session took over.
    Changed = 3,
    /// The receiver continued a session from its journal.
    Resumed = 4,
}

/// Payload of GAP_OPEN and GAP_FILLED: messages `first..=last` of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapEvent {
    /// Number of the gap in its worker's incarnation, from 1.
    pub gap_id: u64,
    /// First missing sequence number.
    pub first: u64,
    /// Last missing sequence number, inclusive.
    pub last: u64,
    /// When the gap was seen, UTC ns.
    pub detected_ns: u64,
}

/// Payload of GAP_LOST: messages `gap.first..=gap.last` will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEvent {
    /// The lost range; `gap_id` may name the larger gap it was part of.
    pub gap: GapEvent,
    /// Why it was given up.
    pub reason: LossReason,
}

/// Payload of SESSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// What happened.
    pub kind: SessionEventKind,
    /// The session from here on (for `Ended`: the one that ended).
    pub session: Session,
    /// The sequence number expected next in that session.
    pub next_sequence: u64,
}

/// Payload of SNAPSHOT_BEGIN and SNAPSHOT_END.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEvent {
    /// The gap that it heals; 0: none, an operator wanted it.
    pub gap_id: u64,
    /// What it is of: [`SnapshotEvent::WHOLE_CHANNEL`], else a product (EOBI: MarketSegmentID) or
    /// an instrument's book ([`SnapshotEvent::instrument`]).
    pub scope: i64,
    /// The first number that still has to be applied. GLIMPSE and CME: of the channel; EOBI: the
    /// product's MsgSeqNum, one more than LastMsgSeqNumProcessed.
    pub resume_sequence: u64,
    /// SNAPSHOT_DATA records between begin and end.
    pub records: u64,
    /// Orders in it.
    pub orders: u64,
}

/// Payload of JOURNAL_HOLE: records `from..=to` of the stream are not in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHole {
    /// First missing record sequence number.
    pub from: u64,
    /// Last missing record sequence number, inclusive.
    pub to: u64,
    /// Why, as the writer of the journal numbers it.
    pub reason: u8,
}

/// Why bytes are not the payload of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// Not the fixed size of this payload.
    #[error("a {payload} payload has {expected} bytes, not {actual}")]
    WrongLength {
        /// Name of the payload.
        payload: &'static str,
        /// Its fixed size.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A code that this version does not know.
    #[error("{code} is not a known {field} of a {payload} payload")]
    UnknownCode {
        /// Name of the payload.
        payload: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The byte found.
        code: u8,
    },
}

impl LossReason {
    /// All reasons, by number.
    pub const ALL: [Self; 6] = [
        Self::AttemptsExhausted,
        Self::NoRecoverySource,
        Self::HoldOverflow,
        Self::SessionEnded,
        Self::Operator,
        Self::Snapshot,
    ];

    /// The reason as a stable snake_case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::NoRecoverySource => "no_recovery_source",
            Self::HoldOverflow => "hold_overflow",
            Self::SessionEnded => "session_ended",
            Self::Operator => "operator",
            Self::Snapshot => "snapshot",
        }
    }

    /// The reason with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

impl SessionEventKind {
    /// All kinds, by number.
    pub const ALL: [Self; 4] = [Self::Started, Self::Ended, Self::Changed, Self::Resumed];

    /// The kind as a stable snake_case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ended => "ended",
            Self::Changed => "changed",
            Self::Resumed => "resumed",
        }
    }

    /// The kind with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

impl GapEvent {
    /// Bytes of the payload.
    pub const LEN: usize = 32;

    /// The payload of GAP_OPEN and GAP_FILLED.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u64(&mut out, 0, self.gap_id);
        put_u64(&mut out, 8, self.first);
        put_u64(&mut out, 16, self.last);
        put_u64(&mut out, 24, self.detected_ns);
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError::WrongLength`] unless it has exactly [`Self::LEN`] bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("gap", payload)?;
        Ok(Self {
            gap_id: u64_at(bytes, 0),
            first: u64_at(bytes, 8),
            last: u64_at(bytes, 16),
            detected_ns: u64_at(bytes, 24),
        })
    }
}

impl LostEvent {
    /// Bytes of the payload.
    pub const LEN: usize = GapEvent::LEN + 8;

    /// The payload of GAP_LOST: the gap, the reason, seven zero bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..GapEvent::LEN].copy_from_slice(&self.gap.encode());
        out[GapEvent::LEN] = self.reason as u8;
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for another size or an unknown reason.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("lost", payload)?;
        let gap = GapEvent::decode(&bytes[..GapEvent::LEN])?;
        let code = bytes[GapEvent::LEN];
        let reason = LossReason::from_code(code).ok_or(PayloadError::UnknownCode {
            payload: "lost",
            field: "reason",
            code,
        })?;
        Ok(Self { gap, reason })
    }
}

impl SessionEvent {
    /// Bytes of the payload.
    pub const LEN: usize = 24;

    /// The payload of SESSION: event, five zero bytes, session, next sequence number.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = self.kind as u8;
        out[6..16].copy_from_slice(&self.session.0);
        put_u64(&mut out, 16, self.next_sequence);
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for another size or an unknown event.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("session", payload)?;
        let code = bytes[0];
        let kind = SessionEventKind::from_code(code).ok_or(PayloadError::UnknownCode {
            payload: "session",
            field: "event",
            code,
        })?;
        let mut session = [0; 10];
        session.copy_from_slice(&bytes[6..16]);
        Ok(Self {
            kind,
            session: Session(session),
            next_sequence: u64_at(bytes, 16),
        })
    }
}

impl SnapshotEvent {
    /// Bytes of the payload.
    pub const LEN: usize = 40;
    /// The scope of a snapshot of everything.
    pub const WHOLE_CHANNEL: i64 = i64::MIN;

    /// The scope of an instrument's book: by order, else by price.
    pub fn instrument(security_id: i32, is_by_order: bool) -> i64 {
        i64::from(security_id.cast_unsigned()) | i64::from(is_by_order) << 32
    }

    /// The payload of SNAPSHOT_BEGIN and SNAPSHOT_END: five little-endian words.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u64(&mut out, 0, self.gap_id);
        put_u64(&mut out, 8, self.scope.cast_unsigned());
        put_u64(&mut out, 16, self.resume_sequence);
        put_u64(&mut out, 24, self.records);
        put_u64(&mut out, 32, self.orders);
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError::WrongLength`] unless it has exactly [`Self::LEN`] bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("snapshot", payload)?;
        Ok(Self {
            gap_id: u64_at(bytes, 0),
            scope: u64_at(bytes, 8).cast_signed(),
            resume_sequence: u64_at(bytes, 16),
            records: u64_at(bytes, 24),
            orders: u64_at(bytes, 32),
        })
    }
}

impl JournalHole {
    /// Bytes of the payload.
    pub const LEN: usize = 24;

    /// The payload of JOURNAL_HOLE: from, to, reason, seven zero bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u64(&mut out, 0, self.from);
        put_u64(&mut out, 8, self.to);
        out[16] = self.reason;
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError::WrongLength`] unless it has exactly [`Self::LEN`] bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("journal hole", payload)?;
        Ok(Self {
            from: u64_at(bytes, 0),
            to: u64_at(bytes, 8),
            reason: bytes[16],
        })
    }
}

fn sized<'a, const N: usize>(
    payload: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8; N], PayloadError> {
    bytes.try_into().map_err(|_| PayloadError::WrongLength {
        payload,
        expected: N,
        actual: bytes.len(),
    })
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn put_u64<const N: usize>(bytes: &mut [u8; N], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: GapEvent = GapEvent {
        gap_id: 7,
        first: 0x0102,
        last: 0x0304,
        detected_ns: 9,
    };

    /// Proves the byte layout of a gap: four little-endian words in this order.
    #[test]
    fn the_gap_layout_is_four_words() {
        let mut expected = [0; 32];
        expected[0] = 7;
        expected[8..10].copy_from_slice(&[0x02, 0x01]);
        expected[16..18].copy_from_slice(&[0x04, 0x03]);
        expected[24] = 9;
        assert_eq!(GAP.encode(), expected);
        assert_eq!(GapEvent::decode(&expected), Ok(GAP));
    }

    /// Proves that each reason keeps its number in the byte after the gap and comes back.
    #[test]
    fn a_loss_carries_its_reason() {
        for (code, reason) in (1..).zip(LossReason::ALL) {
            let event = LostEvent { gap: GAP, reason };
            let bytes = event.encode();
            assert_eq!(bytes[32], code);
            assert_eq!(bytes[33..], [0; 7]);
            assert_eq!(LostEvent::decode(&bytes), Ok(event));
        }
    }

    /// Proves the byte layout of a session event and that each event keeps its number.
    #[test]
    fn a_session_event_is_24_bytes() {
        for (code, kind) in (1..).zip(SessionEventKind::ALL) {
            let event = SessionEvent {
                kind,
                session: Session(*b"DEMO000001"),
                next_sequence: 5,
            };
            let bytes = event.encode();
            assert_eq!(&bytes[..6], [code, 0, 0, 0, 0, 0]);
            assert_eq!(&bytes[6..16], b"DEMO000001");
            assert_eq!(&bytes[16..], 5u64.to_le_bytes());
            assert_eq!(SessionEvent::decode(&bytes), Ok(event));
        }
    }

    /// Proves the byte layout of a snapshot event: five little-endian words, the scope signed.
    #[test]
    fn a_snapshot_event_is_five_words() {
        let event = SnapshotEvent {
            gap_id: 3,
            scope: -2,
            resume_sequence: 0x0102,
            records: 4,
            orders: 5,
        };
        let bytes = event.encode();
        assert_eq!(bytes[..8], 3u64.to_le_bytes());
        assert_eq!(bytes[8..16], (-2i64).to_le_bytes());
        assert_eq!(bytes[16..18], [0x02, 0x01]);
        assert_eq!((bytes[24], bytes[32]), (4, 5));
        assert_eq!(SnapshotEvent::decode(&bytes), Ok(event));
        assert!(SnapshotEvent::decode(&bytes[1..]).is_err());
    }

    /// Proves that a journal hole survives the round trip with its reason.
    #[test]
    fn a_journal_hole_comes_back() {
        let hole = JournalHole {
            from: 10,
            to: 12,
            reason: 3,
        };
        assert_eq!(hole.encode()[16], 3);
        assert_eq!(JournalHole::decode(&hole.encode()), Ok(hole));
    }

    /// Proves that another size or an unknown code is refused with the field's name.
    #[test]
    fn bad_payloads_name_what_is_wrong() {
        let short = GapEvent::decode(&[0; 31]).unwrap_err();
        assert_eq!(short.to_string(), "a gap payload has 32 bytes, not 31");
        let mut lost = LostEvent {
            gap: GAP,
            reason: LossReason::Operator,
        }
        .encode();
        lost[32] = 99;
        let unknown = LostEvent::decode(&lost).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "99 is not a known reason of a lost payload"
        );
        assert!(SessionEvent::decode(&[0; 24]).is_err());
        assert!(JournalHole::decode(&[0; 25]).is_err());
    }

    /// Proves that names exist for exactly the numbers of the format.
    #[test]
    fn every_number_has_one_name() {
        assert_eq!((1..=15).filter_map(kind::name).count(), 15);
        assert_eq!((kind::name(0), kind::name(16)), (None, None));
        let names = [0, 1, 2, 3, 4, 5, 255].map(line::name);
        assert_eq!(names, ["A", "B", "R", "S", "T", "P", "-"]);
        assert_eq!(stamp::name(stamp::KERNEL), Some("kernel"));
        assert_eq!(stamp::name(3), None);
    }
}
