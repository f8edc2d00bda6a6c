//! Whether a subscription can be served, and from where.

use super::{Admission, LogView, SlowPolicy};
use crate::message::{ErrorCode, Guarantee, Refused, Sentence, Start, Subscribe};

/// The sequence that will come first, or why not.
pub(super) fn judge(
    asked: &Subscribe,
    admission: &Admission,
    log: &LogView,
) -> Result<u64, Refused> {
    if asked.guarantee == Guarantee::Written && !admission.allow_written {
        return Err(refused(
            ErrorCode::Denied,
            0,
            "guarantee written is not allowed",
        ));
    }
    let has_copy = asked.log_id != [0; 16];
    if has_copy && asked.log_id != log.log_id {
        return Err(refused(
            ErrorCode::WrongLog,
            0,
            "this is another log; begin a new copy",
        ));
    }
    match asked.start {
        Start::Earliest => Ok(log.first_available),
        Start::Live => Ok(bound(asked.guarantee, log) + 1),
        Start::Seq(from) => from_seq(from, asked, admission, log),
    }
}

/// Newest sequence that a guarantee lets through.
pub(super) fn bound(guarantee: Guarantee, log: &LogView) -> u64 {
    match guarantee {
        Guarantee::Durable => log.durable,
        Guarantee::Written => log.written.max(log.durable),
    }
}

fn from_seq(
    from: u64,
    asked: &Subscribe,
    admission: &Admission,
    log: &LogView,
) -> Result<u64, Refused> {
    let next_seq = log.written.max(log.durable) + 1;
    if let Some(at) = forked_at(from, asked.epoch, log) {
        return Err(refused(
            ErrorCode::Forked,
            at,
            "the copy differs from the log; cut it and ask again",
        ));
    }
    if from > next_seq && !log.end_is_known {
        return Err(refused(
            ErrorCode::Busy,
            0,
            "how far the log goes is not known yet; try again later",
        ));
    }
    if from > next_seq {
        return Err(refused(
            ErrorCode::Forked,
            next_seq,
            "the log ends before; cut the copy and ask again",
        ));
    }
    // One that the log is retained for learns what it lost as a gap.
    if from < log.first_available && admission.policy != SlowPolicy::Retain {
        return Err(refused(
            ErrorCode::Pruned,
            log.first_available,
            "no longer kept",
        ));
    }
    Ok(from)
}

/// Where a copy taken in `epoch` and reaching up to `from` leaves the log's history.
///
/// An epoch ends where the next one begins. What was read under an epoch and lies behind its end was
/// lost with its writer, and the numbers were given out again.
fn forked_at(from: u64, epoch: u64, log: &LogView) -> Option<u64> {
    if epoch == 0 {
        return None;
    }
    if epoch > log.epoch() {
        // The log is older than the copy: nothing says that they agree anywhere.
        return Some(log.first_available);
    }
    let later = log.epochs.iter().find(|(newer, _)| *newer > epoch);
    later
        .map(|(_, base_seq)| *base_seq)
        .filter(|end| from > *end)
}

fn refused(code: ErrorCode, seq: u64, text: &str) -> Refused {
    let text = Sentence::new(text);
    Refused { code, seq, text }
}
