//! Which segments may go: pure, so that a test can walk through any history.

#[cfg(test)]
mod tests;

use crate::pins::{BOOK_PIN, Pin};

/// How much a log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of segment files; 0 is no limit.
    pub max_bytes: u64,
    /// Time since a segment was closed, in seconds; 0 is no limit.
    pub max_age_s: u64,
    /// Nothing goes before a book worker has written its pin.
    pub needs_book_pin: bool,
}

/// A closed segment, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Its last sequence.
    pub(crate) last_seq: u64,
    pub(crate) bytes: u64,
    /// Monotonic time since it was closed; never more than that.
    pub(crate) age_ns: u64,
}

/// Why a segment that the limits would give up stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// By the pin of this client.
    Pin(String),
    /// There are books, and their worker has written no pin yet.
    NoBookPin,
    /// The log's next writer needs a record in it to know where the venue's stream goes on.
    Resume,
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    /// How many of the oldest segments.
    pub(crate) prune: usize,
    /// Clients whose pins are passed, because their backlog is beyond their own cap.
    pub(crate) lost: Vec<String>,
    /// Why the next one stays although it is beyond the limits.
    pub(crate) held: Option<Held>,
    /// The next one may go as well; this round was to take no more.
    pub(crate) more: bool,
}

/// Decides. `open_bytes` is the size of the segment that is still written, `needed_seq` the first
/// sequence that the log's next writer needs; at most `most` segments go.
pub(crate) fn decide(
    segments: &[Closed],
    open_bytes: u64,
    pins: &[Pin],
    limits: &Limits,
    needed_seq: Option<u64>,
    most: usize,
) -> Decision {
    let mut decision = Decision::default();
    let mut bytes = open_bytes + segments.iter().map(|it| it.bytes).sum::<u64>();
    let has_book = pins.iter().any(|pin| pin.client == BOOK_PIN);
    for segment in segments {
        let too_many = limits.max_bytes > 0 && bytes > limits.max_bytes;
        if !too_many && !is_older(segment.age_ns, limits.max_age_s) {
            break;
        }
        let holder = if limits.needs_book_pin && !has_book {
            Some(Held::NoBookPin)
        } else if needed_seq.is_some_and(|seq| segment.last_seq >= seq) {
            Some(Held::Resume)
        } else {
            None
        };
        let waiting = |pin: &&Pin| {
            !pin.lost && pin.acked_seq < segment.last_seq && !decision.lost.contains(&pin.client)
        };
        let waiting: Vec<&Pin> = pins.iter().filter(waiting).collect();
        // All that is left is not older than this segment, and all of it is this reader's backlog.
        let holds = |pin: &&&Pin| !is_beyond_cap(pin, bytes, segment.age_ns);
        let holder = holder.or_else(|| {
            let pin = waiting.iter().find(holds)?;
            Some(Held::Pin(pin.client.clone()))
        });
        if holder.is_some() {
            decision.held = holder;
            break;
        }
        if decision.prune == most {
            decision.more = true;
            break;
        }
        let passed = waiting.iter().map(|pin| pin.client.clone());
        decision.lost.extend(passed);
        decision.prune += 1;
        bytes -= segment.bytes;
    }
    decision
}

/// Whether a reader has let its backlog grow beyond what it may hold; the books' may be any size.
pub(crate) fn is_beyond_cap(pin: &Pin, backlog_bytes: u64, oldest_age_ns: u64) -> bool {
    let too_many = pin.retain_max_bytes > 0 && backlog_bytes > pin.retain_max_bytes;
    pin.client != BOOK_PIN && (too_many || is_older(oldest_age_ns, pin.retain_max_age_s))
}

fn is_older(age_ns: u64, max_age_s: u64) -> bool {
    max_age_s > 0 && age_ns >= max_age_s.saturating_mul(NS_PER_S)
}

/// A moment of one boot's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) boot_id: [u8; 16],
    pub(crate) mono_ns: u64,
}

/// How long ago segments were closed, by monotonic clocks alone: a step of the wall clock changes
/// nothing. Across boots only the times that the machine was up are known and counted, so that a
/// segment is never taken for older than it is. Where a moment is not known, that of the next newer
/// segment counts.
pub(crate) fn ages(closed: &[Option<Moment>], now: Moment) -> Vec<u64> {
    let mut ages = vec![0; closed.len()];
    let (mut boot, mut before, mut youngest) = (now, 0_u64, 0_u64);
    for (age, moment) in ages.iter_mut().zip(closed).rev() {
        if let Some(moment) = moment {
            if moment.boot_id == boot.boot_id {
                let since = boot.mono_ns.saturating_sub(moment.mono_ns);
                youngest = youngest.max(before.saturating_add(since));
            } else {
                // At least the whole of the boots behind.
                before = before.saturating_add(boot.mono_ns);
                boot = *moment;
                youngest = youngest.max(before);
            }
        }
        *age = youngest;
    }
    ages
}

const NS_PER_S: u64 = 1_000_000_000;
