//! What the control socket asks of the journal thread: it alone writes into the log's directory.

use std::sync::mpsc::{SyncSender, sync_channel};

use rtrb::Producer;
use serde_json::{Value, json};
use tickdeck_journal::{JournalError, Loss, Writer};

use super::control::{push, wait_for};
use crate::control::{Call, ControlError};
use crate::exit::chain;

/// An order, and who gets its answer or why it failed.
pub(super) struct JournalOrder {
    what: What,
    reply: SyncSender<Result<Value, String>>,
}

#[derive(Clone, Copy)]
enum What {
    /// Seal the active segment.
    Seal,
    /// Mark the recovery report as seen.
    Acknowledge,
    /// Tell what the log lacks since this writer opened it.
    Losses,
}

/// Passes the call on and waits for its answer.
pub(super) fn ask(
    orders: &mut Producer<JournalOrder>,
    call: &Call<'_>,
) -> Result<Value, ControlError> {
    let what = match call.op {
        "journal.seal" => What::Seal,
        "journal.acknowledge" => What::Acknowledge,
        "journal.losses" => What::Losses,
        other => return Err(ControlError::unknown_op(other)),
    };
    let (reply, answer) = sync_channel(1);
    push(orders, JournalOrder { what, reply }, "journal")?;
    wait_for(&answer, call, || orders.is_abandoned())?
        .map_err(|text| ControlError::new("WRONG_STATE", text))
}

impl JournalOrder {
    /// Does it, on the journal thread.
    pub(super) fn carry_out(self, writer: &mut Writer) {
        let result = match self.what {
            What::Seal => seal(writer),
            What::Acknowledge => acknowledge(writer),
            What::Losses => Ok(losses(writer)),
        };
        let answer = result.map_err(|error| chain(&error));
        if self.reply.send(answer).is_err() {
            tracing::warn!("whoever asked the journal did not wait for the answer");
        }
    }
}

fn seal(writer: &mut Writer) -> Result<Value, JournalError> {
    writer.seal()?;
    let (segments, durable_seq) = (writer.counters().segments, writer.watermarks().durable);
    Ok(json!({"segments": segments, "durable_seq": durable_seq}))
}

fn acknowledge(writer: &mut Writer) -> Result<Value, JournalError> {
    let was_waiting = writer.acknowledge_report()?;
    if was_waiting {
        tracing::info!("the journal's recovery report is acknowledged");
    }
    Ok(json!({"acknowledged": was_waiting}))
}

fn losses(writer: &Writer) -> Value {
    let row = |loss: Loss| json!({"kind": loss.kind.name(), "from": loss.from, "to": loss.to});
    let rows: Vec<Value> = writer.losses().map(row).collect();
    json!({
        "log_id": format!("{:032x}", u128::from_be_bytes(writer.log_id())),
        "losses": rows,
    })
}
