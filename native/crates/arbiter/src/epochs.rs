//! The epochs of a protocol whose sessions have no names.
//!
//! CME MDP3 and EOBI number the packets of a channel from 1 and begin again: weekly, or when the
//! service restarts. Between two such resets lies an epoch, which is a session to the merge and
//! is named by its count: `EPOCH00001`. Nothing on the wire says which epoch a packet is of; its
//! number and its sending time do, each line for itself, as a line's times never go back:
//!
//! | Number and time, against what the line had before | Meaning |
//! |---|---|
//! | higher number | the line goes on |
//! | same or lower number, same or older time | a late copy |
//! | same or lower number, newer time | a reset |
//! | any number, newer time, and the packet announces a reset | a reset |
//! | older than the line's first packet of the epoch | a straggler of the epoch before: refused |
//!
//! One packet ends no epoch: a reset is a claim, and the packet is refused, until a second one
//! agrees. That is another line that claims a reset too, or the same line going on behind its
//! claim. A line that goes on where it was takes its claim back. Then the next epoch begins; other
//! lines follow when they show the reset themselves or when their times are newer than it.
//!
//! A line is measured against the second newest packet it went on with. So one packet with a
//! forged number spoils nothing: what follows goes on from the one before it. And where two packets
//! have higher numbers and older times, the clock was set back: it is measured against them.
//!
//! The number is 32 bits wide on the wire. Where it overflows, it begins again, so that is a reset
//! like any other. Three things cannot be seen: a reset whose first packets are all missed until the
//! numbers have passed the old ones, one within the first two packets of an epoch, and one on a line
//! whose very first packet was forged, with number and time far ahead.

use std::cmp::Ordering;

use tickdeck_wire::moldudp64::Session;

use crate::config::MAX_LINES;
use crate::unit::Reset;

/// Why a packet of an older epoch is refused, as a word for metrics.
pub(crate) const STRAGGLER: &str = "straggler";
/// Why the first packet after a reset is refused, as a word for metrics.
pub(crate) const UNCONFIRMED_RESET: &str = "unconfirmed_reset";

/// By how much the sending times of two lines may differ for the same packet.
const SKEW_NS: u64 = 100_000_000;
/// How long a claim waits for a second packet.
const CLAIM_NS: u64 = 300_000_000_000;
/// Epochs are counted in five digits; then the count begins again.
const MOST: u32 = 99_999;
const PREFIX: &[u8; 5] = b"EPOCH";

/// What epochs were told apart by, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochCounters {
    /// Resets that two packets agreed on.
    pub resets: u64,
    /// Those of them that the venue announced.
    pub resets_announced: u64,
    /// Packets refused because nothing had confirmed their reset yet.
    pub unconfirmed: u64,
    /// Packets refused because they were of an older epoch.
    pub stragglers: u64,
}

/// Which epoch each line is in.
#[derive(Debug)]
pub(crate) struct Epochs {
    /// The current one, from 1; 0 before the first packet.
    number: u32,
    /// The sending time from which a packet of any line is of the current epoch.
    start_ns: u64,
    reset: Reset,
    lines: [Line; MAX_LINES],
    counters: EpochCounters,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// The epoch it is in; 0: it was never heard.
    epoch: u32,
    /// The sending time of its first packet of that epoch.
    start_ns: u64,
    /// Its first packet of that epoch.
    first: Mark,
    /// What it went on with last, and before that.
    newest: Mark,
    before: Mark,
    /// Its last packet with a higher number and an older time.
    stray: Option<Mark>,
    claim: Option<Claim>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    sequence: u64,
    /// Sending time, ns; only compared.
    time_ns: u64,
    /// Whether it announced a reset.
    announces: bool,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    mark: Mark,
    /// When it came, monotonic ns.
    now_ns: u64,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self {
            number: 0,
            start_ns: 0,
            reset: Reset::Unknown,
            lines: [Line::default(); MAX_LINES],
            counters: EpochCounters::default(),
        }
    }

    /// Goes on in the epoch that `session` names, behind the last packet of it that was merged.
    /// `None` when it names none.
    pub(crate) fn resume(session: Session, sequence: u64, time_ns: u64) -> Option<Self> {
        let number = number_of(session)?;
        let last = Mark {
            sequence,
            time_ns,
            announces: false,
        };
        let line = Line {
            epoch: number,
            first: last,
            newest: last,
            before: last,
            ..Line::default()
        };
        Some(Self {
            number,
            lines: [line; MAX_LINES],
            ..Self::new()
        })
    }

    /// The current epoch's name; `None` before the first packet.
    pub(crate) fn session(&self) -> Option<Session> {
        (self.number > 0).then(|| name_of(self.number))
    }

    /// How the current epoch is known to have followed the one before.
    pub(crate) fn reset(&self) -> Reset {
        self.reset
    }

    pub(crate) fn counters(&self) -> &EpochCounters {
        &self.counters
    }

    /// Whether a packet of a line is of the current epoch; else the reason why it is refused.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        line: u8,
        sequence: u64,
        time_ns: u64,
        announces: bool,
        now_ns: u64,
    ) -> Result<(), &'static str> {
        let mark = Mark {
            sequence,
            time_ns,
            announces,
        };
        let own = &mut self.lines[usize::from(line)];
        let is_next = own.epoch == self.number
            && sequence > own.newest.sequence
            && time_ns >= own.newest.time_ns
            && announces <= own.newest.announces;
        if is_next && own.claim.is_none() && self.number > 0 {
            (own.before, own.newest) = (own.newest, mark);
            return Ok(());
        }
        self.judge_other(line, mark, now_ns)
    }

    /// Whether an answer, which came by no line, can be of the current epoch. Another host counts
    /// its epochs for itself, so their name proves nothing: the packet must have been sent between
    /// those around it that lines have brought.
    pub(crate) fn judge_answer(&mut self, sequence: u64, time_ns: u64) -> Result<(), &'static str> {
        let here = self.lines.iter().filter(|line| line.epoch == self.number);
        let fits = |mark: &Mark| match sequence.cmp(&mark.sequence) {
            Ordering::Less => time_ns <= mark.time_ns.saturating_add(SKEW_NS),
            Ordering::Equal => true,
            Ordering::Greater => time_ns.saturating_add(SKEW_NS) >= mark.time_ns,
        };
        let mut marks = here.flat_map(|line| [line.first, line.before]);
        if self.number == 0 || time_ns < self.start_ns || !marks.all(|mark| fits(&mark)) {
            self.counters.stragglers += 1;
            return Err(STRAGGLER);
        }
        Ok(())
    }

    #[cold]
    fn judge_other(&mut self, line: u8, mark: Mark, now_ns: u64) -> Result<(), &'static str> {
        if self.number == 0 {
            self.number = 1;
        }
        let own = &mut self.lines[usize::from(line)];
        let resets = own.is_reset(&mark);
        if own.epoch != self.number {
            let is_here = mark.time_ns >= self.start_ns
                || (resets && mark.time_ns >= self.start_ns.saturating_sub(SKEW_NS));
            if !is_here {
                self.counters.stragglers += 1;
                return Err(STRAGGLER);
            }
            own.enter(self.number, mark, self.start_ns);
            return Ok(());
        }
        if mark.time_ns < own.start_ns {
            self.counters.stragglers += 1;
            return Err(STRAGGLER);
        }
        if resets {
            return self.claim(line, mark, now_ns);
        }
        own.go_on(mark);
        Ok(())
    }

    /// A line claims a reset: the next epoch begins if another packet has claimed it before.
    fn claim(&mut self, line: u8, mark: Mark, now_ns: u64) -> Result<(), &'static str> {
        let index = usize::from(line);
        let is_fresh = |claim: &Claim| now_ns.saturating_sub(claim.now_ns) < CLAIM_NS;
        let own = self.lines[index].claim.filter(is_fresh);
        let own = own.filter(|claim| mark.follows(&claim.mark));
        let others = self.lines.iter().enumerate();
        let other = others
            .filter(|(other, _)| *other != index)
            .find_map(|(_, line)| line.claim.filter(is_fresh));
        let Some(first) = own.or(other) else {
            self.lines[index].claim = Some(Claim { mark, now_ns });
            self.counters.unconfirmed += 1;
            return Err(UNCONFIRMED_RESET);
        };
        let announced = mark.announces || first.mark.announces;
        // Another line's claim may be forged: its time must not let stragglers in.
        self.start_ns = if own.is_some() {
            first.mark.time_ns
        } else {
            first.mark.time_ns.max(mark.time_ns)
        };
        self.number = self.number % MOST + 1;
        self.reset = if announced {
            Reset::Announced
        } else {
            Reset::Unannounced
        };
        self.counters.resets += 1;
        self.counters.resets_announced += u64::from(announced);
        for line in &mut self.lines {
            line.claim = None;
        }
        self.lines[index].enter(self.number, mark, self.start_ns);
        Ok(())
    }
}

impl Line {
    fn is_reset(&self, mark: &Mark) -> bool {
        let begins_again = mark.sequence <= self.before.sequence;
        let announces_anew = mark.announces && !self.newest.announces;
        let reference = if begins_again {
            self.before
        } else {
            self.newest
        };
        self.epoch > 0 && (begins_again || announces_anew) && mark.time_ns > reference.time_ns
    }

    fn enter(&mut self, epoch: u32, mark: Mark, start_ns: u64) {
        *self = Self {
            epoch,
            start_ns: start_ns.min(mark.time_ns),
            first: mark,
            newest: mark,
            before: mark,
            stray: None,
            claim: None,
        };
    }

    /// A packet of the epoch that is no reset: the next one, a late copy, or one that shows that
    /// the newest was forged. Two with higher numbers and older times that go on from one another
    /// show that the clock before was ahead, and was set back.
    fn go_on(&mut self, mark: Mark) {
        if mark.follows(&self.newest) {
            self.before = self.newest;
        } else if !mark.follows(&self.before) {
            if mark.sequence > self.newest.sequence {
                match self.stray.replace(mark) {
                    Some(stray) if mark.follows(&stray) => {
                        (self.before, self.newest) = (stray, mark);
                    }
                    _ => {}
                }
            }
            return;
        }
        self.newest = mark;
        self.claim = None;
    }
}

impl Mark {
    fn follows(&self, other: &Self) -> bool {
        self.sequence > other.sequence && self.time_ns >= other.time_ns
    }
}

fn name_of(number: u32) -> Session {
    let mut name = [b'0'; 10];
    name[..5].copy_from_slice(PREFIX);
    let mut rest = number;
    for digit in name[5..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Session(name)
}

fn number_of(session: Session) -> Option<u32> {
    let digits = session.0.strip_prefix(PREFIX)?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number > 0 && name_of(number) == session).then_some(number)
}

#[cfg(test)]
mod tests;
