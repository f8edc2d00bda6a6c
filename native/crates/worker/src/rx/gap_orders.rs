//! What operators do to single gaps: the ops `recovery.accept_loss` and `recovery.annotate`, and
//! how the receive thread carries them out.
//!
//! | Op | Arguments | Result |
//! |---|---|---|
//! | `recovery.accept_loss` | `{gap_id, actor, reason}` | `{gaps: 1, messages}`: what is lost now |
//! | `recovery.annotate` | `{gap_id, actor, note}` | `{gap_id}` |
//!
//! Both leave a GAP_NOTE in the stream. The receive thread looks for orders once per pass and is
//! not woken for one, so an order takes up to the 50 ms that it sleeps at most.

use std::sync::mpsc::{SyncSender, sync_channel};

use rtrb::Producer;
use serde_json::{Value, json};
use tickdeck_arbiter::LossReason;
use tickdeck_net::clock;
use tickdeck_stats::GapState;
use tickdeck_wire::ledger::LedgerNote;

use super::control::{push, wait_for};
use super::link::Command;
use super::merge::Merge;
use super::merge_orders::MergeOrder;
use crate::control::{Call, ControlError};

/// What goes in front of the reason when a loss is accepted.
const ACCEPTED: &str = "loss accepted: ";

/// An operator's order to the receive thread.
pub(super) struct GapOrder {
    verb: Verb,
    id: u64,
    actor: String,
    note: String,
    /// Gets the number of messages given up, or `None` when there is no such gap.
    reply: SyncSender<Option<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// What is missing of an open gap is lost.
    AcceptLoss,
    /// Says something about a gap, open or closed.
    Annotate,
}

/// Answers `recovery.accept_loss`.
pub(super) fn accept_loss(
    orders: &mut Producer<MergeOrder>,
    call: &Call<'_>,
) -> Result<Value, ControlError> {
    let most = LedgerNote::MAX_NOTE - ACCEPTED.len();
    let note = format!("{ACCEPTED}{}", text(call, "reason", most)?);
    let (id, messages) = carry_out(orders, call, Verb::AcceptLoss, note)?;
    let messages = messages.ok_or_else(|| {
        let text = format!("gap {id} is not open: it was filled or given up, or there is none");
        ControlError::new("NOT_FOUND", text)
    })?;
    Ok(json!({"gaps": 1, "messages": messages}))
}

/// Answers `recovery.annotate`.
pub(super) fn annotate(
    orders: &mut Producer<MergeOrder>,
    call: &Call<'_>,
) -> Result<Value, ControlError> {
    let note = text(call, "note", LedgerNote::MAX_NOTE)?;
    let (id, found) = carry_out(orders, call, Verb::Annotate, note)?;
    found.ok_or_else(|| {
        let text = format!("this incarnation of the worker has seen no gap {id}");
        ControlError::new("NOT_FOUND", text)
    })?;
    Ok(json!({"gap_id": id}))
}

fn carry_out(
    orders: &mut Producer<MergeOrder>,
    call: &Call<'_>,
    verb: Verb,
    note: String,
) -> Result<(u64, Option<u64>), ControlError> {
    let id = call.u64("gap_id")?.filter(|id| *id != 0);
    let id = id.ok_or_else(|| {
        ControlError::invalid_args(format!("{}: gap_id is missing: the gap's number", call.op))
    })?;
    let (reply, answer) = sync_channel(1);
    let order = GapOrder {
        verb,
        id,
        actor: text(call, "actor", LedgerNote::MAX_ACTOR)?,
        note,
        reply,
    };
    push(orders, MergeOrder::Gap(order), "receive")?;
    Ok((id, wait_for(&answer, call, || orders.is_abandoned())?))
}

/// A text for the ledger, which is refused rather than cut.
fn text(call: &Call<'_>, key: &str, most: usize) -> Result<String, ControlError> {
    let text = call.str(key)?.unwrap_or_default().trim();
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(ControlError::invalid_args(format!(
            "{}: {key} goes into the ledger: 1 to {most} bytes without control characters",
            call.op
        )));
    }
    Ok(text.to_owned())
}

impl Merge {
    #[cold]
    pub(super) fn carry_out(&mut self, order: &GapOrder, now_ns: u64) {
        let result = match order.verb {
            Verb::AcceptLoss => self.lost_if_accepted(order.id),
            Verb::Annotate => self.rows.has_seen(order.id).then_some(0),
        };
        if result.is_some() {
            // In front of the loss, so that the row of it tells that there is a note.
            self.note(order);
        }
        if result.is_some() && order.verb == Verb::AcceptLoss {
            self.accept_loss(order.id, now_ns);
        }
        if order.reply.try_send(result).is_err() {
            tracing::warn!(gap = order.id, "the operator did not wait for the answer");
        }
    }

    /// What would be lost of a gap that still waits for something.
    fn lost_if_accepted(&self, id: u64) -> Option<u64> {
        let open = self.arbiter.gaps().find(|view| view.gap.id == id);
        match open {
            Some(view) => view.given_up.is_none().then_some(view.missing),
            // The stream has passed it, and its row waits for a snapshot.
            None => {
                let row = self.rows.get(id);
                let row = row.filter(|row| row.state == GapState::Snapshot);
                row.map(|row| row.missing)
            }
        }
    }

    fn accept_loss(&mut self, id: u64, now_ns: u64) {
        // Told at once: the output may be far from the gap.
        self.tell(Command::Closed { id });
        if self.arbiter.gaps().any(|view| view.gap.id == id) {
            self.give_up(id, LossReason::Operator, now_ns);
            self.settle(now_ns);
        } else {
            self.rows.snapshot_failed(id, LossReason::Operator);
        }
    }

    fn note(&mut self, order: &GapOrder) {
        self.rows.noted(order.id);
        self.publisher.publish_note(&LedgerNote {
            gap_id: order.id,
            at_ns: clock::realtime_ns(),
            actor: &order.actor,
            note: &order.note,
        });
    }
}
