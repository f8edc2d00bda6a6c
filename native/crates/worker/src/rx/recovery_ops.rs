//! What operators order of the recovery: the ops `recovery.start`, `recovery.snapshot` and
//! `recovery.sources`.
//!
//! | Op | Arguments | Result |
//! |---|---|---|
//! | `recovery.start` | `{gap_id?}` | `{gaps}`: asked for again now |
//! | `recovery.snapshot` | `{gap_id?}` | `{gaps}`: left to a snapshot; without a gap one is taken anyway |
//! | `recovery.sources` | `{}` | `{sources: […]}`: whether each would answer now, and since when that is known |

use std::sync::mpsc::{SyncSender, sync_channel};

use rtrb::Producer;
use serde_json::{Value, json};

use super::control::{push, wait_for};
use super::recovery::Order;
use super::wake::Wake;
use crate::control::{Call, ControlError};

/// The way to the recovery thread; `None` when there is no source.
pub(super) type Orders = Option<(Producer<Order>, Wake)>;

/// Answers `recovery.start`.
pub(super) fn start(orders: &mut Orders, call: &Call<'_>) -> Result<Value, ControlError> {
    let id = gap_id(call)?;
    let gaps = carry_out(orders, call, |reply| Order::Retry { id, reply })?;
    found(id, gaps)
}

/// Answers `recovery.snapshot`.
pub(super) fn snapshot(orders: &mut Orders, call: &Call<'_>) -> Result<Value, ControlError> {
    let id = gap_id(call)?;
    let gaps = carry_out(orders, call, |reply| Order::Snapshot { id, reply })?;
    let gaps = gaps.ok_or_else(|| {
        let text = "recovery.snapshot.protocol is \"none\": there is no source of snapshots";
        ControlError::new("WRONG_STATE", text)
    })?;
    found(id, gaps)
}

/// Answers `recovery.sources`.
pub(super) fn sources(orders: &mut Orders, call: &Call<'_>) -> Result<Value, ControlError> {
    if orders.is_none() {
        return Ok(json!({"sources": []}));
    }
    carry_out(orders, call, |reply| Order::Sources { reply })
}

fn gap_id(call: &Call<'_>) -> Result<Option<u64>, ControlError> {
    Ok(call.u64("gap_id")?.filter(|id| *id != 0))
}

fn carry_out<T>(
    orders: &mut Orders,
    call: &Call<'_>,
    order: impl FnOnce(SyncSender<T>) -> Order,
) -> Result<T, ControlError> {
    let Some((orders, wake)) = orders else {
        return Err(ControlError::new(
            "WRONG_STATE",
            "the exchange has no recovery source: there is nobody to ask",
        ));
    };
    let (reply, answer) = sync_channel(1);
    push(orders, order(reply), "recovery")?;
    wake.wake();
    wait_for(&answer, call, || orders.is_abandoned())
}

fn found(id: Option<u64>, gaps: usize) -> Result<Value, ControlError> {
    match id {
        Some(id) if gaps == 0 => Err(ControlError::new(
            "NOT_FOUND",
            format!("gap {id} is not being recovered: it is closed, or waits for the lines"),
        )),
        _ => Ok(json!({"gaps": gaps})),
    }
}
