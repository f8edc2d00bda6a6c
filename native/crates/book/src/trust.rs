//! How far a book can be believed.
//!
//! A doubt has one of two scopes. Missing messages may concern any instrument, so gaps, losses and
//! holes are doubts about the whole channel. A message that contradicts a book (an unknown order,
//! more executed than rested) is a doubt about that book only. A gap's doubt ends when the gap is
//! filled; every other lasts until the books start again, with a new session or from a snapshot.

/// How far a book can be believed, and why not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Every message from the start of the session was applied, and none contradicted the book.
    Good,
    /// The book may differ from the venue's.
    Suspect(Doubt),
    /// The book is right as far as it goes, and is still catching up.
    Rebuilding,
    /// The book is right as far as it goes, and its source is not there.
    Stale,
}

impl Trust {
    /// The state in capitals, as every answer carries it.
    pub fn name(self) -> &'static str {
        match self {
            Trust::Good => "GOOD",
            Trust::Suspect(_) => "SUSPECT",
            Trust::Rebuilding => "REBUILDING",
            Trust::Stale => "STALE",
        }
    }

    /// The number of the state in metrics: 0 GOOD, 1 SUSPECT, 2 REBUILDING, 3 STALE.
    pub fn code(self) -> u64 {
        match self {
            Trust::Good => 0,
            Trust::Suspect(_) => 1,
            Trust::Rebuilding => 2,
            Trust::Stale => 3,
        }
    }

    /// The doubt, if the book is suspect.
    pub fn doubt(self) -> Option<Doubt> {
        match self {
            Trust::Suspect(doubt) => Some(doubt),
            Trust::Good | Trust::Rebuilding | Trust::Stale => None,
        }
    }
}

/// Why, and from which venue sequence number on, a book may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Venue sequence number of the first message that is missing or contradicts the book.
    pub since: u64,
    /// What happened there.
    pub cause: Cause,
}

/// What made a book suspect. The number is the byte in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// Messages are missing and may still come.
    GapOpen = 1,
    /// Messages were given up.
    MessagesLost = 2,
    /// Records of the channel are in neither ring nor journal.
    JournalHole = 3,
    /// The first message seen was not the first of the session.
    MidSession = 4,
    /// Messages are missing and nothing says why.
    SequenceBreak = 5,
    /// A message named an order that does not rest.
    UnknownReference = 6,
    /// An order was added twice.
    DuplicateReference = 7,
    /// More shares left an order than it had.
    TooManyShares = 8,
    /// An order of no shares was added.
    ZeroShares = 9,
    /// An order was left out because the limit on orders was reached.
    OrderLimit = 10,
    /// A record of the channel could not be read.
    MalformedRecord = 11,
    /// A snapshot of the venue's is being read, or was not whole.
    SnapshotIncomplete = 12,
    /// An entry contradicts the book or cannot be applied.
    BadEntry = 13,
    /// A checkpoint in the journal says that the books were others.
    CheckpointMismatch = 30,
    /// A book breaks its own rules: memory was damaged, or the code is wrong.
    Inconsistent = 31,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 15] = [
        Cause::GapOpen,
        Cause::MessagesLost,
        Cause::JournalHole,
        Cause::MidSession,
        Cause::SequenceBreak,
        Cause::UnknownReference,
        Cause::DuplicateReference,
        Cause::TooManyShares,
        Cause::ZeroShares,
        Cause::OrderLimit,
        Cause::MalformedRecord,
        Cause::SnapshotIncomplete,
        Cause::BadEntry,
        Cause::CheckpointMismatch,
        Cause::Inconsistent,
    ];

    /// The cause in snake_case.
    pub fn name(self) -> &'static str {
        match self {
            Cause::GapOpen => "gap_open",
            Cause::MessagesLost => "messages_lost",
            Cause::JournalHole => "journal_hole",
            Cause::MidSession => "mid_session",
            Cause::SequenceBreak => "sequence_break",
            Cause::UnknownReference => "unknown_reference",
            Cause::DuplicateReference => "duplicate_reference",
            Cause::TooManyShares => "too_many_shares",
            Cause::ZeroShares => "zero_shares",
            Cause::OrderLimit => "order_limit",
            Cause::MalformedRecord => "malformed_record",
            Cause::SnapshotIncomplete => "snapshot_incomplete",
            Cause::BadEntry => "bad_entry",
            Cause::CheckpointMismatch => "checkpoint_mismatch",
            Cause::Inconsistent => "inconsistent",
        }
    }

    /// The cause with this number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| *cause as u8 == code)
    }
}

/// Where the books stand in their source, independent of doubts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// At the end of a source that is there.
    #[default]
    Live,
    /// Behind its end and catching up.
    Rebuilding,
    /// The source is not there.
    Stale,
}

/// A gap that is not closed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenGap {
    pub(crate) id: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The doubts about the whole channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelTrust {
    pub(crate) phase: Phase,
    lasting: Option<Doubt>,
    gaps: Vec<OpenGap>,
}

/// More open gaps than this are not told apart: the doubt then lasts.
const MAX_GAPS: usize = 4096;

impl ChannelTrust {
    pub(crate) fn new() -> Self {
        // Sized at the start, so that a storm of gaps allocates nothing until it is out of bounds.
        Self {
            gaps: Vec::with_capacity(256),
            ..Self::default()
        }
    }

    /// The doubt that every book of the channel is under: a lasting one first, else the oldest gap.
    #[inline]
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.lasting.or_else(|| {
            let since = self.gaps.iter().map(|gap| gap.first).min()?;
            Some(Doubt {
                since,
                cause: Cause::GapOpen,
            })
        })
    }

    /// Whether every book of the channel is suspect.
    #[inline]
    pub(crate) fn is_doubtful(&self) -> bool {
        self.lasting.is_some() || !self.gaps.is_empty()
    }

    /// Doubts every book until the next session. The first cause stays, unless only the later one
    /// says that the books are wrong.
    pub(crate) fn doubt_all(&mut self, doubt: Doubt) {
        match self.lasting {
            Some(known) if is_wrong(known.cause) || !is_wrong(doubt.cause) => {}
            _ => self.lasting = Some(doubt),
        }
    }

    pub(crate) fn open_gap(&mut self, gap: OpenGap) {
        if let Some(known) = self.gaps.iter_mut().find(|known| known.id == gap.id) {
            *known = gap;
        } else if self.gaps.len() < MAX_GAPS {
            self.gaps.push(gap);
        } else {
            self.doubt_all(Doubt {
                since: gap.first,
                cause: Cause::GapOpen,
            });
        }
    }

    /// Ends the doubt of this gap; one that is not open is no error.
    pub(crate) fn close_gap(&mut self, id: u64) {
        self.gaps.retain(|gap| gap.id != id);
    }

    /// Ends the doubts of gaps that lie wholly before the next expected message.
    pub(crate) fn close_gaps_before(&mut self, next_sequence: u64) {
        self.gaps.retain(|gap| gap.last >= next_sequence);
    }

    /// Ends the doubts of all gaps: their receiver is gone and finds what is missing anew.
    pub(crate) fn close_all_gaps(&mut self) {
        self.gaps.clear();
    }

    /// Ends every doubt but that of gaps which are not wholly before the next expected message.
    pub(crate) fn restore(&mut self, next_sequence: u64) {
        self.lasting = None;
        self.close_gaps_before(next_sequence);
    }

    /// Every book proves itself by the venue's numbers: ends the doubt that records are missing or
    /// unreadable, and those of gaps that lie wholly before the next expected message.
    pub(crate) fn prove(&mut self, next_sequence: u64) {
        let is_proved = |cause| matches!(cause, Cause::JournalHole | Cause::MalformedRecord);
        self.lasting = self.lasting.filter(|doubt| !is_proved(doubt.cause));
        self.close_gaps_before(next_sequence);
    }

    /// No doubt at all, for a new session. The phase stays.
    pub(crate) fn clear(&mut self) {
        self.lasting = None;
        self.gaps.clear();
    }

    pub(crate) fn lasting(&self) -> Option<Doubt> {
        self.lasting
    }

    pub(crate) fn gaps(&self) -> &[OpenGap] {
        &self.gaps
    }
}

/// Whether the cause says that the books are wrong, not only that they may be.
fn is_wrong(cause: Cause) -> bool {
    matches!(cause, Cause::CheckpointMismatch | Cause::Inconsistent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With several gaps open the channel stays suspect until the last one closes.
    #[test]
    fn gaps_are_doubts_until_the_last_closes() {
        let mut trust = ChannelTrust::new();
        trust.open_gap(OpenGap {
            id: 1,
            first: 10,
            last: 12,
        });
        trust.open_gap(OpenGap {
            id: 2,
            first: 20,
            last: 29,
        });
        assert_eq!(
            trust.doubt(),
            Some(Doubt {
                since: 10,
                cause: Cause::GapOpen
            })
        );
        trust.close_gap(1);
        assert_eq!(
            trust.doubt(),
            Some(Doubt {
                since: 20,
                cause: Cause::GapOpen
            })
        );
        trust.close_gap(9);
        assert!(trust.is_doubtful());
        trust.close_gap(2);
        assert_eq!(trust.doubt(), None);
    }

    /// A lasting doubt outlives gaps, keeps its first cause and ends with the session.
    #[test]
    fn a_lasting_doubt_ends_only_with_the_session() {
        let mut trust = ChannelTrust::new();
        let lost = Doubt {
            since: 7,
            cause: Cause::MessagesLost,
        };
        trust.doubt_all(lost);
        trust.doubt_all(Doubt {
            since: 9,
            cause: Cause::JournalHole,
        });
        trust.open_gap(OpenGap {
            id: 1,
            first: 3,
            last: 3,
        });
        trust.close_gap(1);
        trust.close_all_gaps();
        assert_eq!(trust.doubt(), Some(lost));
        trust.clear();
        assert!(!trust.is_doubtful());
    }

    /// Numbers that prove each book end the doubt about missing records, but not the knowledge that
    /// the books are wrong, which goes before any other cause.
    #[test]
    fn a_proof_ends_only_what_it_disproves() {
        let doubt = |since, cause| Doubt { since, cause };
        for hole in [Cause::JournalHole, Cause::MalformedRecord] {
            let mut trust = ChannelTrust::new();
            trust.doubt_all(doubt(7, hole));
            trust.open_gap(OpenGap {
                id: 1,
                first: 3,
                last: 4,
            });
            trust.prove(5);
            assert_eq!(trust.doubt(), None, "{hole:?}");
        }
        for wrong in [Cause::CheckpointMismatch, Cause::Inconsistent] {
            let mut trust = ChannelTrust::new();
            trust.doubt_all(doubt(7, Cause::JournalHole));
            trust.doubt_all(doubt(9, wrong));
            trust.doubt_all(doubt(11, Cause::Inconsistent));
            trust.doubt_all(doubt(12, Cause::JournalHole));
            trust.prove(20);
            assert_eq!(trust.doubt(), Some(doubt(9, wrong)));
        }
    }

    /// More gaps than are told apart leave a doubt that closing them does not end.
    #[test]
    fn a_storm_beyond_the_limit_leaves_a_lasting_doubt() {
        let mut trust = ChannelTrust::new();
        for id in 0..=MAX_GAPS as u64 {
            trust.open_gap(OpenGap {
                id,
                first: id + 1,
                last: id + 1,
            });
        }
        trust.close_all_gaps();
        assert!(trust.is_doubtful());
    }

    /// Numbers and names of causes are unique, so that snapshots and answers tell them apart.
    #[test]
    fn causes_have_their_own_number_and_name() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_code(cause as u8), Some(cause));
            assert_eq!(
                Cause::ALL
                    .iter()
                    .filter(|other| other.name() == cause.name())
                    .count(),
                1
            );
        }
        assert_eq!(Cause::from_code(0), None);
    }
}
