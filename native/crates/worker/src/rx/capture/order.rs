//! The op `capture.cut`: `{from_ns?, to_ns?, reason?}` to
//! `{path, packets, first_ns, last_ns, lapped, bytes}`.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use serde_json::{Value, json};

use super::cutter::{Cut, CutError};
use super::plan::Span;
use crate::control::{Call, ControlError};
use crate::rx::control::wait_for;

/// Longest reason, in characters: it goes into the file.
const REASON_MAX: usize = 200;

/// An order to cut a file.
pub(in crate::rx) struct CutOrder {
    pub(super) span: Span,
    pub(super) reason: String,
    /// Gets the file, or why there is none.
    pub(super) reply: SyncSender<Result<Cut, CutError>>,
}

/// Checks the arguments, has the file cut, waits for it.
pub(in crate::rx) fn cut(
    orders: Option<&SyncSender<CutOrder>>,
    call: &Call<'_>,
) -> Result<Value, ControlError> {
    let (span, reason) = arguments(call)?;
    let Some(orders) = orders else {
        return Err(ControlError::new(
            "WRONG_STATE",
            "nothing is captured: set capture.enabled = true in the exchange's file",
        ));
    };
    let (reply, answer) = sync_channel(1);
    let order = CutOrder {
        span,
        reason,
        reply,
    };
    orders.try_send(order).map_err(|error| match error {
        TrySendError::Full(_) => ControlError::new(
            "BUSY",
            "the capture thread has not taken its last orders; try again later",
        ),
        TrySendError::Disconnected(_) => {
            ControlError::new("WRONG_STATE", "capture.cut: the worker is ending")
        }
    })?;
    // An order in the queue of a thread that ends is dropped, which ends the wait.
    match wait_for(&answer, call, || false)? {
        Ok(cut) => Ok(json!({
            "path": cut.path.display().to_string(),
            "packets": cut.packets,
            "first_ns": cut.first_ns,
            "last_ns": cut.last_ns,
            "lapped": cut.lapped,
            "bytes": cut.bytes,
        })),
        Err(error @ CutError::Empty(_)) => Err(ControlError::new("NOT_FOUND", error.to_string())),
        Err(error @ CutError::Io { .. }) => {
            Err(ControlError::new("UNAVAILABLE", error.to_string()))
        }
    }
}

fn arguments(call: &Call<'_>) -> Result<(Span, String), ControlError> {
    let from_ns = call.u64("from_ns")?.unwrap_or(0);
    let to_ns = call.u64("to_ns")?.unwrap_or(u64::MAX);
    let reason = call.str("reason")?.unwrap_or("").trim();
    if from_ns > to_ns {
        return Err(ControlError::invalid_args(format!(
            "{}: from_ns {from_ns} is behind to_ns {to_ns}",
            call.op
        )));
    }
    if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(ControlError::invalid_args(format!(
            "{}: the reason goes into the file: at most {REASON_MAX} characters, no control \
             characters",
            call.op
        )));
    }
    Ok((Span { from_ns, to_ns }, reason.to_owned()))
}
