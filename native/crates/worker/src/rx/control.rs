//! The ops of the control socket.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rtrb::{Producer, PushError};
use serde_json::{Value, json};

use super::journal::Seal;
use super::recovery::RetryNow;
use super::wake::Wake;
use crate::control::{Call, ControlError};
use crate::lifecycle::StopFlag;

/// What the hello line names.
pub(super) const OPS: &[&str] = &["status", "drain", "recovery.start", "journal.seal"];

/// Answers calls; other threads take their orders from queues, one per cycle.
pub(super) struct Ops {
    pub(super) worker: String,
    pub(super) incarnation: String,
    pub(super) generation: u64,
    pub(super) stats_path: String,
    pub(super) stop: StopFlag,
    /// `None` when there is nobody to ask.
    pub(super) recovery: Option<(Producer<RetryNow>, Wake)>,
    pub(super) journal: Producer<Seal>,
}

impl Ops {
    pub(super) fn handle(&mut self, call: &Call<'_>) -> Result<Value, ControlError> {
        match call.op {
            "status" => Ok(self.status()),
            "drain" => {
                self.stop.set();
                Ok(json!({"state": "DRAINING"}))
            }
            "recovery.start" => self.start_recovery(call),
            "journal.seal" => self.seal(call),
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

    fn start_recovery(&mut self, call: &Call<'_>) -> Result<Value, ControlError> {
        let id = call.u64("gap_id")?.filter(|id| *id != 0);
        let Some((orders, wake)) = &mut self.recovery else {
            return Err(ControlError::new(
                "WRONG_STATE",
                "recovery.replay_protocol is \"none\": there is nobody to ask",
            ));
        };
        let (reply, answer) = sync_channel(1);
        push(orders, RetryNow { id, reply }, "recovery")?;
        wake.wake();
        let gaps = wait_for(&answer, call)?;
        match id {
            Some(id) if gaps == 0 => Err(ControlError::new(
                "NOT_FOUND",
                format!("gap {id} is not being recovered: it is closed, or waits for the lines"),
            )),
            _ => Ok(json!({"gaps": gaps})),
        }
    }

    fn seal(&mut self, call: &Call<'_>) -> Result<Value, ControlError> {
        let (reply, answer) = sync_channel(1);
        push(&mut self.journal, Seal { reply }, "journal")?;
        match wait_for(&answer, call)? {
            Ok((segments, durable_seq)) => {
                Ok(json!({"segments": segments, "durable_seq": durable_seq}))
            }
            Err(text) => Err(ControlError::new("WRONG_STATE", text)),
        }
    }
}

fn push<T>(orders: &mut Producer<T>, order: T, thread: &str) -> Result<(), ControlError> {
    orders.push(order).map_err(|PushError::Full(_)| {
        let text = format!("the {thread} thread has not taken its last orders; try again later");
        ControlError::new("BUSY", text)
    })
}

fn wait_for<T>(answer: &std::sync::mpsc::Receiver<T>, call: &Call<'_>) -> Result<T, ControlError> {
    answer
        .recv_timeout(Duration::from_millis(call.deadline_ms))
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => ControlError::new(
                "DEADLINE_EXCEEDED",
                format!(
                    "{}: no answer within {} ms; it may still happen",
                    call.op, call.deadline_ms
                ),
            ),
            RecvTimeoutError::Disconnected => {
                ControlError::new("WRONG_STATE", format!("{}: the worker is ending", call.op))
            }
        })
}
