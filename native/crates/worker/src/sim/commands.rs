//! The ops of the control socket, handed to the player as orders.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use serde_json::{Value, json};
use tickdeck_sim::SimError;

use super::fault_json::FaultSpec;
use crate::control::{Call, ControlError};
use crate::lifecycle::StopFlag;

/// What the hello line lists.
pub(super) const OPS: [&str; 7] = [
    "play",
    "status",
    "fault.arm",
    "fault.renew",
    "fault.clear",
    "fault.list",
    "drain",
];

/// An order to the player, and where its answer goes.
pub(super) struct Order {
    pub(super) what: What,
    pub(super) reply: Sender<Result<Value, ControlError>>,
}

/// What the player is told to do.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    Play,
    Status,
    Arm(FaultSpec),
    Renew {
        fault_id: u64,
        lease_ms: u64,
    },
    /// All faults without an id.
    Clear {
        fault_id: Option<u64>,
    },
    List,
}

/// A handler for the control server. The player takes orders between packets, so a call waits for
/// its answer only as long as the caller does.
pub(super) fn handler(
    orders: Sender<Order>,
    stop: StopFlag,
) -> impl FnMut(&Call<'_>) -> Result<Value, ControlError> + Send + 'static {
    move |call| {
        if call.op == "drain" {
            stop.set();
            return Ok(json!({}));
        }
        let (reply, answer) = mpsc::channel();
        let stopping = || ControlError::new("WRONG_STATE", "the sim is stopping");
        orders
            .send(Order {
                what: parse(call)?,
                reply,
            })
            .map_err(|_| stopping())?;
        match answer.recv_timeout(Duration::from_millis(call.deadline_ms)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(stopping()),
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("{}: the player did not answer in time", call.op);
                Err(ControlError::new("DEADLINE_EXCEEDED", text))
            }
        }
    }
}

/// The control error of a refused fault.
pub(super) fn fault_error(error: &SimError) -> ControlError {
    let code = match error {
        SimError::NoSuchFault { .. } => "NOT_FOUND",
        SimError::TooManyFaults { .. } => "RESOURCE_EXHAUSTED",
        _ => "INVALID_ARGS",
    };
    ControlError::new(code, error.to_string())
}

fn parse(call: &Call<'_>) -> Result<What, ControlError> {
    let required = |key: &str| {
        call.u64(key)?.ok_or_else(|| {
            ControlError::invalid_args(format!("{}: argument {key} is missing", call.op))
        })
    };
    Ok(match call.op {
        "play" => What::Play,
        "status" => What::Status,
        "fault.arm" => What::Arm(
            FaultSpec::from_json(call.args)
                .map_err(|error| ControlError::invalid_args(format!("fault.arm: {error}")))?,
        ),
        "fault.renew" => What::Renew {
            fault_id: required("fault_id")?,
            lease_ms: required("lease_ms")?,
        },
        "fault.clear" => What::Clear {
            fault_id: call.u64("fault_id")?,
        },
        "fault.list" => What::List,
        other => return Err(ControlError::unknown_op(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(op: &'a str, args: &'a Value) -> Call<'a> {
        Call {
            op,
            args,
            deadline_ms: 1_000,
        }
    }

    /// Proves that each op becomes its order and that each mistake has its code.
    #[test]
    fn ops_become_orders() {
        let lease = json!({"fault_id": 3, "lease_ms": 50});
        let renew = What::Renew {
            fault_id: 3,
            lease_ms: 50,
        };
        assert_eq!(parse(&call("fault.renew", &lease)).expect("renew"), renew);
        let clear = parse(&call("fault.clear", &json!({}))).expect("clear");
        assert_eq!(clear, What::Clear { fault_id: None });
        let arm = json!({"fault": "cut", "args": {"line": "A"}, "lease_ms": 9});
        assert!(matches!(parse(&call("fault.arm", &arm)), Ok(What::Arm(_))));
        let code = |op, args| parse(&call(op, &args)).expect_err("refused").code;
        assert_eq!(code("fault.renew", json!({"fault_id": 3})), "INVALID_ARGS");
        assert_eq!(code("fault.arm", json!({})), "INVALID_ARGS");
        assert_eq!(code("melt", json!({})), "UNKNOWN_OP");
    }

    /// Proves that a player that is gone is an answer, not a hang.
    #[test]
    fn a_player_that_is_gone_is_an_answer() {
        let (orders, inbox) = mpsc::channel();
        drop(inbox);
        let stop = StopFlag::on_signals().expect("signals");
        let mut handler = handler(orders, stop.clone());
        let error = handler(&call("status", &json!({}))).expect_err("gone");
        assert_eq!(error.code, "WRONG_STATE");
        assert!(!stop.is_set());
        handler(&call("drain", &json!({}))).expect("drain needs no player");
        assert!(stop.is_set());
    }
}
