//! What a recovery source did wrong: the words that the gap ledger names.

/// What was last wrong with a source while a gap was open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    /// Nothing.
    #[default]
    None = 0,
    /// It answered for another session.
    WrongSession = 1,
    /// Bytes that the protocol does not allow, or that the merge does not take.
    Garbage = 2,
    /// An answer, or a part of one, that ends too early.
    Truncated = 3,
    /// What it brought is no longer missing, or its snapshot is too old.
    Stale = 4,
    /// It answered, and later than it may.
    Slow = 5,
    /// It did not answer.
    Silent = 6,
    /// It brought a part and calls that all.
    Partial = 7,
    /// It brought more than was asked for.
    Oversize = 8,
    /// It brought something that nobody asked for.
    NotAsked = 9,
    /// It said no.
    Refused = 10,
    /// It could not be reached, or the connection broke.
    Disconnected = 11,
}

impl Fault {
    /// Every fault, by number.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::WrongSession,
        Self::Garbage,
        Self::Truncated,
        Self::Stale,
        Self::Slow,
        Self::Silent,
        Self::Partial,
        Self::Oversize,
        Self::NotAsked,
        Self::Refused,
        Self::Disconnected,
    ];

    /// The fault as a stable snake_case word, for metrics and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WrongSession => "wrong_session",
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
            Self::Stale => "stale",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Partial => "partial",
            Self::Oversize => "oversize",
            Self::NotAsked => "not_asked",
            Self::Refused => "refused",
            Self::Disconnected => "disconnected",
        }
    }

    /// The fault with this number; `None` for an unknown one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that numbers and words are the ledger's, and that each number finds its fault.
    #[test]
    fn every_number_has_one_word() {
        for (code, fault) in (0..).zip(Fault::ALL) {
            assert_eq!((fault as u8, Fault::from_code(code)), (code, Some(fault)));
        }
        assert_eq!(Fault::from_code(12), None);
        let words = Fault::ALL.map(Fault::name).join(" ");
        assert_eq!(
            words,
            "none wrong_session garbage truncated stale slow silent partial oversize not_asked \
             refused disconnected"
        );
    }
}
