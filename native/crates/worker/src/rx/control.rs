//! The ops of the control socket.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rtrb::{Producer, PushError};
use serde_json::{Value, json};
use tickdeck_net::clock::monotonic_ns;

use super::capture::order::{self, CutOrder};
use super::checkpoints::{self, Pace};
use super::drain::DrainDeadline;
use super::gap_orders;
use super::journal_orders::{self, JournalOrder};
use super::ladder::watch::ReportOrder;
use super::merge_orders::MergeOrder;
use super::recovery_ops;
use crate::control::{Call, ControlError};
use crate::lifecycle::StopFlag;

/// What the hello line names.
pub(super) const OPS: &[&str] = &[
    "status",
    "drain",
    "recovery.start",
    "recovery.snapshot",
    "recovery.sources",
    "recovery.accept_loss",
    "recovery.annotate",
    "book.checkpoint",
    "journal.seal",
    "journal.acknowledge",
    "journal.losses",
    "receive.report",
    "capture.cut",
];

/// How often a wait looks whether the other thread is still there.
const SLICE: Duration = Duration::from_millis(50);

/// Answers calls; other threads take their orders from queues, one per cycle.
pub(super) struct Ops {
    pub(super) worker: String,
    pub(super) incarnation: String,
    pub(super) generation: u64,
    pub(super) stats_path: String,
    pub(super) stop: StopFlag,
    pub(super) drain: DrainDeadline,
    /// `None` when there is nobody to ask.
    pub(super) recovery: recovery_ops::Orders,
    /// To the receive thread.
    pub(super) merge: Producer<MergeOrder>,
    /// Keeps checkpoints rare.
    pub(super) checkpoints: Pace,
    pub(super) journal: Producer<JournalOrder>,
    pub(super) report: Producer<ReportOrder>,
    /// `None` when nothing is captured.
    pub(super) capture: Option<SyncSender<CutOrder>>,
}

impl Ops {
    pub(super) fn handle(&mut self, call: &Call<'_>) -> Result<Value, ControlError> {
        match call.op {
            "status" => Ok(self.status()),
            "drain" => {
                let wanted_ms = call.u64("deadline_ms")?;
                let deadline_ms = self.drain.order(wanted_ms, monotonic_ns());
                self.stop.set();
                Ok(json!({"state": "DRAINING", "deadline_ms": deadline_ms}))
            }
            "recovery.start" => recovery_ops::start(&mut self.recovery, call),
            "recovery.snapshot" => recovery_ops::snapshot(&mut self.recovery, call),
            "recovery.sources" => recovery_ops::sources(&mut self.recovery, call),
            "recovery.accept_loss" => gap_orders::accept_loss(&mut self.merge, call),
            "recovery.annotate" => gap_orders::annotate(&mut self.merge, call),
            "book.checkpoint" => checkpoints::publish(&mut self.merge, &mut self.checkpoints, call),
            "journal.seal" | "journal.acknowledge" | "journal.losses" => {
                journal_orders::ask(&mut self.journal, call)
            }
            "receive.report" => self.report(call),
            "capture.cut" => order::cut(self.capture.as_ref(), call),
            other => Err(ControlError::unknown_op(other)),
        }
    }

    fn status(&self) -> Value {
        let state = if self.stop.is_set() {
            "DRAINING"
        } else {
            "RUNNING"
        };
        json!({
            "worker": self.worker,
            "incarnation": self.incarnation,
            "generation": self.generation,
            "pid": std::process::id(),
            "state": state,
            "stats": self.stats_path,
        })
    }

    fn report(&mut self, call: &Call<'_>) -> Result<Value, ControlError> {
        let (reply, answer) = sync_channel(1);
        push(&mut self.report, ReportOrder { reply }, "main")?;
        wait_for(&answer, call, || self.report.is_abandoned())
    }
}

/// Puts an order into the queue of a thread.
pub(super) fn push<T>(
    orders: &mut Producer<T>,
    order: T,
    thread: &str,
) -> Result<(), ControlError> {
    orders.push(order).map_err(|PushError::Full(_)| {
        let text = format!("the {thread} thread has not taken its last orders; try again later");
        ControlError::new("BUSY", text)
    })
}

/// Waits in slices: an order in the queue of a thread that has ended is never dropped, so only
/// the queue itself tells that nobody will answer.
pub(super) fn wait_for<T>(
    answer: &Receiver<T>,
    call: &Call<'_>,
    is_abandoned: impl Fn() -> bool,
) -> Result<T, ControlError> {
    let ending = || ControlError::new("WRONG_STATE", format!("{}: the worker is ending", call.op));
    let deadline = Instant::now() + Duration::from_millis(call.deadline_ms);
    loop {
        // Looked at before the wait: an answer that was given before the end is still taken.
        let was_abandoned = is_abandoned();
        let left = deadline.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left.min(SLICE)) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(ending()),
            Err(RecvTimeoutError::Timeout) if was_abandoned => return Err(ending()),
            Err(RecvTimeoutError::Timeout) if left > SLICE => {}
            Err(RecvTimeoutError::Timeout) => {
                let text = format!(
                    "{}: no answer within {} ms; it may still happen",
                    call.op, call.deadline_ms
                );
                return Err(ControlError::new("DEADLINE_EXCEEDED", text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;

    /// An order to a thread that has ended is refused soon, one to a busy thread at the deadline.
    #[test]
    fn order_to_an_ended_thread_is_refused() {
        let (mut orders, inbox) = RingBuffer::new(1);
        let (reply, answer) = sync_channel::<()>(1);
        push(&mut orders, reply, "journal").expect("room");
        let wait = |deadline_ms| {
            let (op, args) = ("journal.seal", &json!({}));
            let call = Call {
                op,
                args,
                deadline_ms,
            };
            let start = Instant::now();
            let error = wait_for(&answer, &call, || orders.is_abandoned()).expect_err("no answer");
            (error.code, start.elapsed())
        };
        let (code, took) = wait(120);
        assert_eq!(code, "DEADLINE_EXCEEDED");
        assert!(took >= Duration::from_millis(120), "{took:?}");
        drop(inbox);
        let (code, took) = wait(60_000);
        assert_eq!(code, "WRONG_STATE");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}
