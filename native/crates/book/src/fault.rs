//! What can be wrong with a message, and what was counted.

/// Why a message was not, or not simply, applied. Each has its own counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The first byte is no message type; skipped.
    UnknownType,
    /// The type has another length; skipped.
    BadLength,
    /// The side is neither `B` nor `S`; skipped.
    BadSide,
    /// The order does not rest here, although nothing is known to be missing; skipped.
    UnknownReference,
    /// An order with this reference rested already; it was taken out, the new one put in.
    DuplicateReference,
    /// More shares executed than were left; the order was taken out.
    ExecutedTooMuch,
    /// More shares cancelled than were left; the order was taken out.
    CancelledTooMuch,
    /// An order, execution or cancel of no shares; no such order rests.
    ZeroShares,
    /// `max_orders` orders rest; the new one was left out.
    OrderLimit,
    /// A price level does not fit what is known of its side, which is unknown now.
    BadLevel,
    /// An action that is not implemented; the side of the book, or the order, is not changed by it.
    UnsupportedAction,
    /// A price or another field that an entry needs has no value; skipped.
    MissingField,
}

impl Fault {
    /// Every fault, in the order of the counters.
    pub const ALL: [Fault; 12] = [
        Fault::UnknownType,
        Fault::BadLength,
        Fault::BadSide,
        Fault::UnknownReference,
        Fault::DuplicateReference,
        Fault::ExecutedTooMuch,
        Fault::CancelledTooMuch,
        Fault::ZeroShares,
        Fault::OrderLimit,
        Fault::BadLevel,
        Fault::UnsupportedAction,
        Fault::MissingField,
    ];

    /// The `reason` label of the error counter, snake_case.
    pub fn reason(self) -> &'static str {
        match self {
            Fault::UnknownType => "unknown_type",
            Fault::BadLength => "bad_length",
            Fault::BadSide => "bad_side",
            Fault::UnknownReference => "unknown_reference",
            Fault::DuplicateReference => "duplicate_reference",
            Fault::ExecutedTooMuch => "executed_too_much",
            Fault::CancelledTooMuch => "cancelled_too_much",
            Fault::ZeroShares => "zero_shares",
            Fault::OrderLimit => "order_limit",
            Fault::BadLevel => "bad_level",
            Fault::UnsupportedAction => "unsupported_action",
            Fault::MissingField => "missing_field",
        }
    }
}

/// What was read since the books were made, restored snapshots included. Only grows.
///
/// Messages are counted by kind as they are read; a fault found in one is counted beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages given to the books, whatever became of them.
    pub messages: u64,
    /// Add messages (A, F).
    pub adds: u64,
    /// Execution messages (E, C).
    pub executions: u64,
    /// Partial cancel messages (X).
    pub cancels: u64,
    /// Delete messages (D).
    pub deletes: u64,
    /// Replace messages (U).
    pub replaces: u64,
    /// Directory messages (R).
    pub directory: u64,
    /// Valid messages that do not touch a displayed book.
    pub other: u64,
    /// References not found while something is known to be missing: doubt, not an error.
    pub excused_references: u64,
    faults: [u64; Fault::ALL.len()],
}

impl Counters {
    /// How many words [`Self::words`] gives.
    pub(crate) const WORDS: usize = 9 + Fault::ALL.len();

    /// How often this fault was seen.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// All faults together.
    pub fn faults_total(&self) -> u64 {
        self.faults.iter().sum()
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Every counter, in the order of a snapshot.
    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        let named = [
            self.messages,
            self.adds,
            self.executions,
            self.cancels,
            self.deletes,
            self.replaces,
            self.directory,
            self.other,
            self.excused_references,
        ];
        words[..named.len()].copy_from_slice(&named);
        words[named.len()..].copy_from_slice(&self.faults);
        words
    }

    pub(crate) fn from_words(words: &[u64; Self::WORDS]) -> Self {
        let mut faults = [0; Fault::ALL.len()];
        faults.copy_from_slice(&words[9..]);
        Self {
            messages: words[0],
            adds: words[1],
            executions: words[2],
            cancels: words[3],
            deletes: words[4],
            replaces: words[5],
            directory: words[6],
            other: words[7],
            excused_references: words[8],
            faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each fault counts in its own place and has its own label.
    #[test]
    fn faults_are_told_apart() {
        let mut counters = Counters::default();
        for (times, fault) in (1..).zip(Fault::ALL) {
            (0..times).for_each(|_| counters.count(fault));
        }
        for (times, fault) in (1..).zip(Fault::ALL) {
            assert_eq!(counters.fault(fault), times);
        }
        let mut reasons: Vec<_> = Fault::ALL.iter().map(|fault| fault.reason()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Fault::ALL.len());
    }

    /// The words of a snapshot give every counter back.
    #[test]
    fn words_round_trip() {
        let mut words = [0; Counters::WORDS];
        words.iter_mut().zip(1..).for_each(|(word, n)| *word = n);
        assert_eq!(Counters::from_words(&words).words(), words);
    }
}
