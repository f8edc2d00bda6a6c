//! Whether a line may really be as far ahead as a packet says.
//!
//! One packet with a corrupt or forged number must not decide what exists: it would open a gap
//! that nobody can fill. So a packet far ahead of everything known is kept only as a number, and
//! believed when a second one agrees: another line near it, or the same line going on behind it
//! without having gone on where it was.

use crate::config::MAX_LINES;
use crate::ranges::Span;

/// Sequence numbers from here on are refused: no session gets there, and sums of them stay far
/// from overflow.
pub(crate) const SEQUENCE_LIMIT: u64 = 1 << 62;

#[derive(Debug)]
pub(crate) struct Jumps {
    max_messages: u64,
    /// What each line has claimed and nobody has confirmed.
    claims: [Option<Span>; MAX_LINES],
    any: bool,
}

impl Jumps {
    pub(crate) fn new(max_messages: u64) -> Self {
        Self {
            max_messages,
            claims: [None; MAX_LINES],
            any: false,
        }
    }

    /// Whether a packet of a line is to be believed; `shown` is the end of what is known.
    #[inline]
    pub(crate) fn believes(&mut self, line: usize, span: Span, shown: u64) -> bool {
        if span.first <= shown.saturating_add(self.max_messages) {
            if self.any {
                self.forget(line);
            }
            return true;
        }
        self.confirms(line, span)
    }

    pub(crate) fn max_messages(&self) -> u64 {
        self.max_messages
    }

    pub(crate) fn clear(&mut self) {
        self.claims = [None; MAX_LINES];
        self.any = false;
    }

    /// The line goes on where it was.
    #[cold]
    fn forget(&mut self, line: usize) {
        self.claims[line] = None;
        self.any = self.claims.iter().any(Option::is_some);
    }

    #[cold]
    fn confirms(&mut self, line: usize, span: Span) -> bool {
        let near = |claim: &Span| span.first.abs_diff(claim.first) <= self.max_messages;
        let by_other = (0..)
            .zip(&self.claims)
            .any(|(other, claim)| other != line && claim.as_ref().is_some_and(near));
        // A second copy of one packet confirms nothing.
        let by_itself = self.claims[line].is_some_and(|claim| span.first >= claim.end);
        if by_other || (by_itself && self.claims[line].as_ref().is_some_and(near)) {
            self.clear();
            return true;
        }
        self.claims[line] = Some(span);
        self.any = true;
        false
    }
}
