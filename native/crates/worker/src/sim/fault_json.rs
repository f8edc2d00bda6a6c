//! Faults as JSON: on the control socket and the command line.
//!
//! `{"fault": name, "args": {…}, "seed": N, "lease_ms": N}` with these arguments; `line` is `"A"`,
//! `"B"` or `"AB"`:
//!
//! | Fault | Arguments |
//! |---|---|
//! | `drop` | `line`, and either `probability` (0 to 1) or `ranges` ([[first, last], …]) |
//! | `cut` | `line` |
//! | `duplicate` | `line`, `probability` |
//! | `reorder` | `line`, `probability`, `depth` (packets) |
//! | `delay` | `line`, `delay_us` |
//! | `request_stop` | none |
//! | `lie` | `server` (`request`, `soup`, `glimpse`, `peer`), `lie` (a word of the table in |
//! | | `tickdeck_sim::lies`), `probability` (1 when absent), `delay_ms` of a slow answer (1000) |

use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Value, json};
use tickdeck_sim::SimError;
use tickdeck_sim::faults::{Fault, FaultEngine, FaultView, Lines};
use tickdeck_sim::lies::{Lie, Server};

/// A fault to be armed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaultSpec {
    pub(super) fault: Fault,
    pub(super) seed: Option<u64>,
    pub(super) lease_ms: u64,
}

impl FaultSpec {
    /// Reads the arguments of `fault.arm`.
    pub(super) fn from_json(value: &Value) -> serde_json::Result<Self> {
        let arm = Arm::deserialize(value)?;
        let args = arm.args.unwrap_or_else(|| json!({}));
        let fault = match arm.fault.as_str() {
            "drop" => drop_fault(read("drop", args)?)?,
            "cut" => read("cut", args).map(|CutArgs { line }| Fault::Cut { lines: line.0 })?,
            "duplicate" => {
                let ShareArgs { line, probability } = read("duplicate", args)?;
                Fault::Duplicate {
                    lines: line.0,
                    probability,
                }
            }
            "reorder" => {
                let ReorderArgs {
                    line,
                    probability,
                    depth,
                } = read("reorder", args)?;
                Fault::Reorder {
                    lines: line.0,
                    probability,
                    depth,
                }
            }
            "delay" => {
                let DelayArgs { line, delay_us } = read("delay", args)?;
                Fault::Delay {
                    lines: line.0,
                    delay_ns: delay_us.saturating_mul(1_000),
                }
            }
            "request_stop" => read("request_stop", args).map(|NoArgs {}| Fault::RequestStop)?,
            "lie" => lie_fault(read("lie", args)?)?,
            other => {
                let known = "drop, cut, duplicate, reorder, delay, request_stop, lie";
                let text = format!("there is no fault {other:?}; there are {known}");
                return Err(serde_json::Error::custom(text));
            }
        };
        Ok(Self {
            fault,
            seed: arm.seed,
            lease_ms: arm.lease_ms,
        })
    }

    /// Arms the fault; `default_seed` is for faults that name none.
    pub(super) fn arm(
        &self,
        engine: &mut FaultEngine,
        default_seed: u64,
        now_ns: u64,
    ) -> Result<u64, SimError> {
        let lease_ns = self.lease_ms.saturating_mul(1_000_000);
        engine.arm(
            self.fault.clone(),
            self.seed.unwrap_or(default_seed),
            lease_ns,
            now_ns,
        )
    }
}

impl FromStr for FaultSpec {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> serde_json::Result<Self> {
        Self::from_json(&serde_json::from_str(text)?)
    }
}

/// An armed fault as JSON: what it was armed with, its id, the time left and its hits.
pub(super) fn view(view: &FaultView<'_>) -> Value {
    let args = match view.fault {
        Fault::Drop { lines, probability } | Fault::Duplicate { lines, probability } => {
            json!({"line": lines.name(), "probability": probability})
        }
        Fault::DropRanges { lines, ranges } => json!({"line": lines.name(), "ranges": ranges}),
        Fault::Cut { lines } => json!({"line": lines.name()}),
        Fault::Reorder {
            lines,
            probability,
            depth,
        } => {
            json!({"line": lines.name(), "probability": probability, "depth": depth})
        }
        Fault::Delay { lines, delay_ns } => {
            json!({"line": lines.name(), "delay_us": delay_ns / 1_000})
        }
        Fault::RequestStop => json!({}),
        Fault::Lie {
            server,
            lie,
            probability,
            delay_ns,
        } => {
            json!({"server": server.name(), "lie": lie.name(), "probability": probability,
                   "delay_ms": delay_ns / 1_000_000})
        }
    };
    json!({
        "fault_id": view.id, "fault": view.fault.name(), "args": args, "seed": view.seed,
        "remaining_ms": view.remaining_ns.div_ceil(1_000_000), "hits": view.hits,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arm {
    fault: String,
    args: Option<Value>,
    seed: Option<u64>,
    lease_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropArgs {
    line: LineNames,
    probability: Option<f64>,
    ranges: Option<Vec<(u64, u64)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutArgs {
    line: LineNames,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareArgs {
    line: LineNames,
    probability: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReorderArgs {
    line: LineNames,
    probability: f64,
    depth: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelayArgs {
    line: LineNames,
    delay_us: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LieArgs {
    server: String,
    lie: String,
    probability: Option<f64>,
    delay_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct LineNames(Lines);

impl TryFrom<String> for LineNames {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let lines = Lines::from_name(&name);
        lines
            .map(Self)
            .ok_or_else(|| format!("line {name:?} is not \"A\", \"B\" or \"AB\""))
    }
}

fn drop_fault(args: DropArgs) -> serde_json::Result<Fault> {
    let lines = args.line.0;
    match (args.probability, args.ranges) {
        (Some(probability), None) => Ok(Fault::Drop { lines, probability }),
        (None, Some(ranges)) => Ok(Fault::DropRanges { lines, ranges }),
        _ => Err(serde_json::Error::custom(
            "drop wants either probability or ranges",
        )),
    }
}

fn lie_fault(args: LieArgs) -> serde_json::Result<Fault> {
    let unknown = |what: &str, name: &str, known: Vec<&str>| {
        let text = format!("fault lie: there is no {what} {name:?}; there are ");
        serde_json::Error::custom(text + &known.join(", "))
    };
    let server = Server::from_name(&args.server).ok_or_else(|| {
        let known = Server::ALL.map(Server::name).to_vec();
        unknown("server", &args.server, known)
    })?;
    let lie = Lie::from_name(&args.lie)
        .ok_or_else(|| unknown("lie", &args.lie, Lie::ALL.map(Lie::name).to_vec()))?;
    Ok(Fault::Lie {
        server,
        lie,
        probability: args.probability.unwrap_or(1.0),
        delay_ns: args.delay_ms.unwrap_or(1_000).saturating_mul(1_000_000),
    })
}

fn read<T: DeserializeOwned>(fault: &str, args: Value) -> serde_json::Result<T> {
    serde_json::from_value(args)
        .map_err(|error| serde_json::Error::custom(format!("fault {fault}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves for every fault that what was armed is what is listed, under the same names.
    #[test]
    fn what_is_armed_is_listed() {
        let faults = [
            ("drop", json!({"line": "AB", "probability": 0.25})),
            ("drop", json!({"line": "A", "ranges": [[10, 19], [40, 40]]})),
            ("cut", json!({"line": "B"})),
            ("duplicate", json!({"line": "A", "probability": 1.0})),
            (
                "reorder",
                json!({"line": "A", "probability": 0.5, "depth": 3}),
            ),
            ("delay", json!({"line": "B", "delay_us": 1500})),
            ("request_stop", json!({})),
            (
                "lie",
                json!({"server": "soup", "lie": "slow", "probability": 0.5, "delay_ms": 20}),
            ),
        ];
        let mut engine = FaultEngine::new();
        for (name, args) in &faults {
            let value = json!({"fault": name, "args": args, "seed": 7, "lease_ms": 2_000});
            let spec: FaultSpec = value.to_string().parse().expect("a fault");
            spec.arm(&mut engine, 1, 0).expect("armed");
        }
        let listed: Vec<Value> = engine.armed(1).map(|armed| view(&armed)).collect();
        for ((id, (name, args)), listed) in (1..).zip(&faults).zip(&listed) {
            let expected = json!({"fault_id": id, "fault": name, "args": args, "seed": 7,
                                  "remaining_ms": 2_000, "hits": 0});
            assert_eq!(*listed, expected);
        }
        assert_eq!(listed.len(), faults.len());
    }

    /// Proves that a fault without a seed takes the default one.
    #[test]
    fn a_seed_is_optional() {
        let spec: FaultSpec = r#"{"fault":"request_stop","lease_ms":5}"#
            .parse()
            .expect("no args, no seed");
        let mut engine = FaultEngine::new();
        spec.arm(&mut engine, 42, 0).expect("armed");
        assert_eq!(engine.armed(0).next().map(|armed| armed.seed), Some(42));
    }

    /// Proves that each mistake is refused with its name.
    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                json!({"fault": "melt", "lease_ms": 1}),
                "no fault \"melt\"; there are drop",
            ),
            (json!({"fault": "cut", "args": {"line": "A"}}), "lease_ms"),
            (
                json!({"fault": "lie", "args": {"server": "x", "lie": "stale"}, "lease_ms": 1}),
                "no server \"x\"; there are request, soup",
            ),
            (
                json!({"fault": "lie", "args": {"server": "peer", "lie": "x"}, "lease_ms": 1}),
                "no lie \"x\"; there are wrong_session",
            ),
            (
                json!({"fault": "cut", "args": {"line": "C"}, "lease_ms": 1}),
                "line \"C\" is not",
            ),
            (
                json!({"fault": "cut", "args": {}, "lease_ms": 1}),
                "fault cut: missing field `line`",
            ),
            (
                json!({"fault": "delay", "args": {"line": "A", "delay_ms": 1}, "lease_ms": 1}),
                "unknown field `delay_ms`",
            ),
            (
                json!({"fault": "drop", "args": {"line": "A"}, "lease_ms": 1}),
                "either probability or ranges",
            ),
            (
                json!({"fault": "cut", "args": {"line": "A"}, "lease": 1, "lease_ms": 1}),
                "`lease`",
            ),
        ];
        for (value, expected) in cases {
            let error = FaultSpec::from_json(&value)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
