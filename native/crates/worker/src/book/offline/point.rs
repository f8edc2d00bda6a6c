//! Points of a stream that are asked for: a venue sequence, a receive time, a time of the day.
//!
//! What is meant by a point is the state after the last message at or before it:
//!
//! | Text | Point | Passed by |
//! |---|---|---|
//! | `123456` | venue sequence; of a file, the number of the message | a message or a snapshot behind it |
//! | `2026-01-02T14:31:02.5Z` | receive time (journals) | a record received later |
//! | `09:31:02.5` | the venue's time of day (ITCH 5.0) | a message stamped later |
//!
//! A journal may hold several sessions; a sequence and a time of day are those of the newest.

use std::str::FromStr;

use tickdeck_book::Record;
use tickdeck_wire::moldudp64::Blocks;
use tickdeck_wire::record::{LostEvent, SnapshotEvent, kind};

use super::protocol::Protocol;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: u64 = 86_400;

/// One point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A venue sequence number.
    Sequence(u64),
    /// UTC ns.
    Received(u64),
    /// Nanoseconds since midnight at the venue.
    DayTime(u64),
}

/// A point with the text that it was asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// As it was written.
    pub(super) text: String,
    /// What it means.
    pub(super) point: Point,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let point = if is_number {
            text.parse().ok().map(Point::Sequence)
        } else if text.contains(['T', 't']) {
            received(text).map(Point::Received)
        } else {
            day_time(text).map(Point::DayTime)
        };
        let point = point.ok_or_else(|| {
            format!(
                "{text:?} is no point: write a sequence (123456), a time of the venue's day \
                 (09:31:02.5) or a receive time (2026-01-02T14:31:02.5Z)"
            )
        })?;
        let text = text.to_owned();
        Ok(Self { text, point })
    }
}

/// Where a record passes a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    /// Before its first message.
    Before,
    /// After its message with this number.
    After(u64),
    /// With its end.
    AtEnd,
    /// Not yet.
    NotYet,
}

/// The points that were not reached yet.
pub(super) struct Points {
    protocol: Protocol,
    waiting: Vec<Waiting>,
    /// Sequences and times of day count from this record on.
    session_from: u64,
}

struct Waiting {
    index: usize,
    point: Point,
    due: Passed,
}

impl Points {
    /// Waits for points; answers name them by their place in the list.
    pub(super) fn new(protocol: Protocol, wanted: &[Wanted], session_from: u64) -> Self {
        let waiting = wanted.iter().enumerate().map(|(index, wanted)| Waiting {
            index,
            point: wanted.point,
            due: Passed::NotYet,
        });
        Self {
            protocol,
            waiting: waiting.collect(),
            session_from,
        }
    }

    /// Whether every point was reached.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Looks at a record before it is applied; the points that it passes at once.
    pub(super) fn before(&mut self, record: &Record<'_>) -> Vec<usize> {
        for waiting in &mut self.waiting {
            waiting.due = passed(self.protocol, waiting.point, record, self.session_from);
        }
        self.take(Passed::Before)
    }

    /// The points that are reached with the message just applied.
    #[inline]
    pub(super) fn after(&mut self, sequence: u64) -> Vec<usize> {
        let due = Passed::After(sequence);
        if self.waiting.iter().any(|waiting| waiting.due == due) {
            return self.take(due);
        }
        Vec::new()
    }

    /// The points that are reached with the end of the record just applied.
    pub(super) fn at_end(&mut self) -> Vec<usize> {
        self.take(Passed::AtEnd)
    }

    /// The points that the input ended before.
    pub(super) fn rest(&mut self) -> Vec<usize> {
        self.waiting
            .drain(..)
            .map(|waiting| waiting.index)
            .collect()
    }

    fn take(&mut self, due: Passed) -> Vec<usize> {
        let reached = self.waiting.extract_if(.., |waiting| waiting.due == due);
        reached.map(|waiting| waiting.index).collect()
    }
}

/// Whether messages and records up to this one all lie at or before the point: a snapshot whose
/// next record this is may be the beginning.
pub(super) fn may_begin_with(
    protocol: Protocol,
    point: Point,
    record: &Record<'_>,
    session_from: u64,
) -> bool {
    match passed(protocol, point, record, session_from) {
        Passed::Before => false,
        Passed::After(_) | Passed::AtEnd | Passed::NotYet => true,
    }
}

fn passed(protocol: Protocol, point: Point, record: &Record<'_>, session_from: u64) -> Passed {
    if let Point::Received(wanted) = point {
        let is_later = record.rx_ns > wanted;
        return if is_later {
            Passed::Before
        } else {
            Passed::NotYet
        };
    }
    if record.seq < session_from {
        return Passed::NotYet;
    }
    match (point, record.kind) {
        (Point::Sequence(wanted), kind::DATA) => {
            if record.venue_seq > wanted {
                Passed::Before
            } else if protocol.numbers_messages() {
                Passed::After(wanted)
            } else if record.venue_seq == wanted {
                Passed::AtEnd
            } else {
                Passed::NotYet
            }
        }
        (Point::Sequence(wanted), kind::GAP_LOST) => {
            let lost = LostEvent::decode(record.payload);
            let is_behind = lost.is_ok_and(|lost| lost.gap.first > wanted);
            if is_behind {
                Passed::Before
            } else {
                Passed::NotYet
            }
        }
        // The books of the whole channel, as they are behind message `resume_sequence - 1`.
        (Point::Sequence(wanted), kind::SNAPSHOT_BEGIN) => {
            let snapshot = SnapshotEvent::decode(record.payload);
            let is_behind = snapshot.is_ok_and(|snapshot| {
                snapshot.scope == SnapshotEvent::WHOLE_CHANNEL
                    && snapshot.resume_sequence > wanted.saturating_add(1)
            });
            if is_behind {
                Passed::Before
            } else {
                Passed::NotYet
            }
        }
        (Point::DayTime(wanted), kind::DATA) => {
            let mut messages = Blocks::new(record.payload);
            let later = messages.position(|message| {
                protocol
                    .day_time_ns(message)
                    .is_some_and(|time_ns| time_ns > wanted)
            });
            match later {
                None => Passed::NotYet,
                Some(0) => Passed::Before,
                Some(index) => Passed::After(record.venue_seq + index as u64 - 1),
            }
        }
        _ => Passed::NotYet,
    }
}

/// `HH:MM:SS` with a fraction of up to nine digits, in ns since midnight.
fn day_time(text: &str) -> Option<u64> {
    let (clock, fraction) = text
        .split_once('.')
        .map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':').map(two_digits);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = (hours * 60 + minutes) * 60 + seconds;
    Some(whole * SECOND_NS + fraction.map_or(Some(0), fraction_ns)?)
}

/// RFC 3339 in UTC ns, from 1970 on.
fn received(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (clock, offset_s) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (clock, offset) = rest.split_at(at);
            let (hours, minutes) = offset[1..].split_once(':')?;
            let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
            let ahead_s = i64::try_from((hours * 60 + minutes) * 60).ok()?;
            (
                clock,
                if offset.starts_with('-') {
                    -ahead_s
                } else {
                    ahead_s
                },
            )
        }
    };
    let mut parts = date.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let (month, day) = (two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    let midnight_s = days_since_1970(year, month, day)?.checked_mul(DAY_S)?;
    let midnight_s = midnight_s.checked_add_signed(-offset_s)?;
    midnight_s
        .checked_mul(SECOND_NS)?
        .checked_add(day_time(clock)?)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let february = 28 + u64::from(is_leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || !(1..=*months.get(month)?).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year)
        .map(|year| 365 + u64::from(is_leap(year)))
        .sum();
    Some(years + months[..month].iter().sum::<u64>() + day - 1)
}

fn two_digits(text: &str) -> Option<u64> {
    let is_right = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_right { text.parse().ok() } else { None }
}

fn fraction_ns(digits: &str) -> Option<u64> {
    let is_right = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_right {
        return None;
    }
    let scale = 10_u64.pow(9 - digits.len() as u32);
    digits.parse::<u64>().ok().map(|value| value * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str) -> Option<Point> {
        text.parse::<Wanted>().ok().map(|wanted| wanted.point)
    }

    /// Each way of writing a point means what it says, to the nanosecond.
    #[test]
    fn points_are_read() {
        assert_eq!(point("123456"), Some(Point::Sequence(123_456)));
        let half_past = (9 * 3600 + 31 * 60 + 2) * SECOND_NS + SECOND_NS / 2;
        assert_eq!(point("09:31:02.5"), Some(Point::DayTime(half_past)));
        assert_eq!(point("00:00:00.000000001"), Some(Point::DayTime(1)));
        let second = Some(Point::Received(1_767_364_262_500_000_000));
        for text in [
            "2026-01-02T14:31:02.5Z",
            "2026-01-02t09:31:02.5-05:00",
            "2026-01-02T20:01:02.500000000+05:30",
        ] {
            assert_eq!(point(text), second, "{text}");
        }
        assert_eq!(point("1970-01-01T00:00:00Z"), Some(Point::Received(0)));
        let leap = Some(Point::Received(951_782_400 * SECOND_NS));
        assert_eq!(point("2000-02-29T00:00:00Z"), leap);
    }

    /// What is no point is refused, and the refusal shows how one is written.
    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-1",
            "1e3",
            "noon",
            "9:31:02",
            "24:00:00",
            "09:60:00",
            "09:31",
            "09:31:02.",
            "09:31:02.0000000001",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-02T14:31:02",
            "1969-12-31T23:59:59Z",
            "99999999999999999999",
            "2026-01-02T14:31:02+5",
            "1970-01-01T00:00:00+01:00",
            "9999-01-01T00:00:00Z",
        ] {
            let refusal = text.parse::<Wanted>().expect_err(text);
            assert!(refusal.contains("09:31:02.5"), "{refusal}");
        }
    }
}
