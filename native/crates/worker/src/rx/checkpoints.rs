//! Checkpoints of the books on their way into the stream: the op `book.checkpoint`.
//!
//! | Op | Arguments | Result |
//! |---|---|---|
//! | `book.checkpoint` | `{log_id, cursor, messages, next_sequence, state_hash, books, trust}` | `{seq}`: where it stands |
//!
//! `log_id` and `state_hash` are hexadecimal digits. The book worker asks; the receive thread
//! publishes it as a SNAPSHOT_ANCHOR, into ring and journal alike, if it is of this log and names a
//! place that the stream has passed. It takes up to the 50 ms that the thread sleeps at most.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rtrb::Producer;
use serde_json::{Value, json};
use tickdeck_wire::record::Checkpoint;

use super::control::{push, wait_for};
use super::merge::Merge;
use super::merge_orders::MergeOrder;
use crate::control::{Call, ControlError};

/// Least time between two checkpoints, so that nobody fills the stream with them.
const INTERVAL: Duration = Duration::from_millis(10);

/// A checkpoint for the receive thread.
pub(super) struct CheckpointOrder {
    log_id: [u8; 16],
    checkpoint: Checkpoint,
    /// Gets the number of its record, or why there is none.
    reply: SyncSender<Result<u64, Refused>>,
}

/// Why a checkpoint does not go into the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The cursor counts in another log.
    OtherLog,
    /// The stream has not come so far; its next record.
    Beyond(u64),
}

/// When the last checkpoint was ordered.
#[derive(Default)]
pub(super) struct Pace(Option<Instant>);

impl Pace {
    /// Whether another one may be ordered now; counts as ordered then.
    fn admits(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now >= last + INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// Answers `book.checkpoint`.
pub(super) fn publish(
    orders: &mut Producer<MergeOrder>,
    pace: &mut Pace,
    call: &Call<'_>,
) -> Result<Value, ControlError> {
    let (log_id, checkpoint) = read(call)?;
    if !pace.admits(Instant::now()) {
        let text = format!(
            "{}: the last one was taken less than {} ms ago; ask again later",
            call.op,
            INTERVAL.as_millis()
        );
        return Err(ControlError::new("BUSY", text));
    }
    let (reply, answer) = sync_channel(1);
    let order = CheckpointOrder {
        log_id,
        checkpoint,
        reply,
    };
    push(orders, MergeOrder::Checkpoint(order), "receive")?;
    match wait_for(&answer, call, || orders.is_abandoned())? {
        Ok(seq) => Ok(json!({"seq": seq})),
        Err(refused) => {
            let text = match refused {
                Refused::OtherLog => "its cursor counts in another log".to_owned(),
                Refused::Beyond(next) => {
                    let cursor = checkpoint.cursor;
                    format!("its cursor {cursor} is beyond the next record {next}")
                }
            };
            let text = format!("{}: {text}; take another one", call.op);
            Err(ControlError::new("WRONG_STATE", text))
        }
    }
}

fn read(call: &Call<'_>) -> Result<([u8; 16], Checkpoint), ControlError> {
    let number = |key| {
        let absent = || missing(call, key, "an unsigned integer");
        call.u64(key)?.ok_or_else(absent)
    };
    let hex = |key, digits| {
        let wanted = format!("{digits} hexadecimal digits");
        let is_hex =
            |text: &&str| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        let text = call.str(key)?.filter(is_hex);
        let value = text.and_then(|text| u128::from_str_radix(text, 16).ok());
        value.ok_or_else(|| missing(call, key, &wanted))
    };
    let small = |key, most| {
        let value = number(key)?;
        let is_small = value <= most;
        let wanted = format!("0 to {most}");
        is_small
            .then_some(value)
            .ok_or_else(|| missing(call, key, &wanted))
    };
    let log_id = hex("log_id", 32)?.to_be_bytes();
    let checkpoint = Checkpoint {
        cursor: number("cursor")?,
        messages: number("messages")?,
        next_sequence: number("next_sequence")?,
        // The digits say that it fits.
        state_hash: hex("state_hash", 16)? as u64,
        books: small("books", u64::from(u32::MAX))? as u32,
        trust: small("trust", 3)? as u8,
    };
    Ok((log_id, checkpoint))
}

fn missing(call: &Call<'_>, key: &str, wanted: &str) -> ControlError {
    ControlError::invalid_args(format!("{}: argument {key} must be {wanted}", call.op))
}

impl Merge {
    /// Publishes a checkpoint that is of this stream and of a place behind it.
    #[cold]
    pub(super) fn publish_checkpoint(&mut self, order: &CheckpointOrder) {
        let next = self.publisher.next_seq();
        let result = if order.log_id != self.publisher.log_id() {
            Err(Refused::OtherLog)
        } else if order.checkpoint.cursor == 0 || order.checkpoint.cursor > next {
            Err(Refused::Beyond(next))
        } else {
            Ok(self.publisher.publish_checkpoint(&order.checkpoint))
        };
        if order.reply.try_send(result).is_err() {
            tracing::warn!(
                cursor = order.checkpoint.cursor,
                "the book worker did not wait for the answer"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One checkpoint in ten milliseconds, whatever is asked.
    #[test]
    fn checkpoints_are_rare() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let asked = (0..100).map(|millis| start + Duration::from_millis(millis));
        assert_eq!(asked.filter(|now| pace.admits(*now)).count(), 10);
    }

    /// What is missing, of another type or too large is refused with its name, before anything is
    /// ordered.
    #[test]
    fn bad_arguments_are_refused_by_name() {
        let whole = json!({"log_id": "000102030405060708090a0b0c0d0e0f", "cursor": 5,
                           "messages": 7, "next_sequence": 8, "state_hash": "00000000000000ff",
                           "books": 3, "trust": 1});
        let read = |args: &Value| {
            read(&Call {
                op: "book.checkpoint",
                args,
                deadline_ms: 1,
            })
        };
        let (log_id, checkpoint) = read(&whole).expect("whole");
        assert_eq!(log_id[15], 15);
        assert_eq!((checkpoint.state_hash, checkpoint.trust), (255, 1));
        for (key, bad) in [
            ("log_id", json!("0001")),
            ("cursor", Value::Null),
            ("messages", json!(-1)),
            ("next_sequence", json!("8")),
            ("state_hash", json!("zz000000000000ff")),
            ("books", json!(1_u64 << 32)),
            ("trust", json!(4)),
        ] {
            let mut args = whole.clone();
            args[key] = bad;
            let error = read(&args).expect_err(key);
            assert_eq!(error.code, "INVALID_ARGS");
            assert!(error.message.contains(key), "{}", error.message);
        }
    }
}
