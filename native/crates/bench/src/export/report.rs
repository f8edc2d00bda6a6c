//! The report of the two ways, and what of it is wanted.

use serde_json::{Value, json};

use super::run::Run;
use crate::print;
use crate::rounds::{percentile, spread_to};

/// Figures that the ways are compared by, all in us.
const FIGURES: [&str; 8] = [
    "lag_us_p50",
    "lag_us_p99",
    "append_lag_us_p50",
    "append_lag_us_p99",
    "write_us_p50",
    "write_us_p99",
    "sync_us_p50",
    "sync_us_p99",
];
/// Most that the bad ones may make a figure grow to.
const WANTED_RATIO: f64 = 1.10;
/// The lag may grow by so much instead.
const WANTED_LAG_DIFFERENCE_US: f64 = 1_000.0;

/// Figures of both ways, their ratio and difference within the round, and the verdict. The runs of a
/// round have the same place in both.
pub(super) fn of(alone: &[Run], beside: &[Run]) -> Value {
    let (mut ratios, mut differences) = (json!({}), json!({}));
    for figure in FIGURES {
        let pairs: Vec<(f64, f64)> = alone
            .iter()
            .zip(beside)
            .filter_map(|(a, b)| Some((value(a, figure)?, value(b, figure)?)))
            .collect();
        if pairs.is_empty() {
            continue;
        }
        let all = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).collect::<Vec<f64>>();
        ratios[figure] = spread_to(&all(|(a, b)| b / a), 2);
        differences[figure] = spread_to(&all(|(a, b)| b - a), 1);
    }
    let verdict = json!({
        "lag_us_p99": lag_verdict(&ratios["lag_us_p99"], &differences["lag_us_p99"]),
        "write_us_p50": write_verdict(&ratios["write_us_p50"]),
        "write_us_p99": write_verdict(&ratios["write_us_p99"]),
    });
    json!({
        "alone": way(alone),
        "beside": way(beside),
        "ratio": ratios,
        "difference": differences,
        "verdict": verdict,
    })
}

fn lag_verdict(ratio: &Value, difference: &Value) -> Value {
    let is_met = ratio["median"]
        .as_f64()
        .is_some_and(|it| it <= WANTED_RATIO)
        || difference["median"]
            .as_f64()
            .is_some_and(|it| it <= WANTED_LAG_DIFFERENCE_US);
    json!({"wanted": "x 1.10 or 1 ms more", "is_met": is_met})
}

fn write_verdict(ratio: &Value) -> Value {
    let is_met = ratio["median"]
        .as_f64()
        .is_some_and(|it| it <= WANTED_RATIO);
    json!({"wanted": "x 1.10", "is_met": is_met})
}

type Count = fn(&Run) -> u64;

fn way(runs: &[Run]) -> Value {
    let mut way = json!({});
    for figure in FIGURES {
        let values: Vec<f64> = runs.iter().filter_map(|run| value(run, figure)).collect();
        if !values.is_empty() {
            way[figure] = spread_to(&values, 1);
        }
    }
    let counts: [(&str, Count); 6] = [
        ("records", |run| run.records),
        ("writes", |run| run.write_us.len() as u64),
        ("subscribers", |run| run.subscribers),
        ("violations", |run| run.violations),
        ("accepted", |run| run.accepted),
        ("bad_connections", |run| run.bad_connections),
    ];
    for (name, count) in counts {
        let values: Vec<f64> = runs.iter().map(|run| count(run) as f64).collect();
        way[name] = spread_to(&values, 0);
    }
    way
}

/// A figure of one run; `None` when nothing was taken.
fn value(run: &Run, figure: &str) -> Option<f64> {
    let (of, percent) = figure.rsplit_once("_p")?;
    let values = match of {
        "lag_us" => &run.lag_us,
        "append_lag_us" => &run.append_lag_us,
        "write_us" => &run.write_us,
        _ => &run.sync_us,
    };
    percentile(values, percent.parse().ok()?)
}

/// Prints the figures and the verdict.
pub(crate) fn print(report: &Value) {
    println!(
        "one healthy subscriber without and with {} bad ones; {} records/s of {} bytes, {} ms a run, \
         median (min-max) of {} rounds, us",
        report["bad_subscribers"],
        report["rate"],
        report["record_bytes"],
        report["measured_ms"],
        report["rounds"],
    );
    for figure in FIGURES {
        println!(
            "{:<18} alone {:<28} beside {:<28} x {:<18} difference {}",
            figure,
            print::spread(&report["alone"][figure]),
            print::spread(&report["beside"][figure]),
            print::spread(&report["ratio"][figure]),
            print::spread(&report["difference"][figure]),
        );
    }
    for way in ["alone", "beside"] {
        let it = &report[way];
        println!(
            "{way}: {} records, {} writes, {} subscribers at the end, {} let in, {} violations; the \
             bad ones connected {} times",
            print::spread(&it["records"]),
            print::spread(&it["writes"]),
            print::spread(&it["subscribers"]),
            print::spread(&it["accepted"]),
            print::spread(&it["violations"]),
            print::spread(&it["bad_connections"]),
        );
    }
    for (figure, verdict) in report["verdict"].as_object().into_iter().flatten() {
        println!(
            "{figure}: wanted {}: {}",
            verdict["wanted"].as_str().unwrap_or_default(),
            if verdict["is_met"] == true {
                "met"
            } else {
                "MISSED"
            },
        );
    }
    println!("in {}", report["dir"]);
    print::machine(&report["machine"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(lag: f64, write: f64) -> Vec<Run> {
        vec![Run {
            lag_us: vec![lag],
            write_us: vec![write],
            ..Run::default()
        }]
    }

    fn verdicts(alone: &[Run], beside: &[Run]) -> [bool; 2] {
        let report = of(alone, beside);
        ["lag_us_p99", "write_us_p99"].map(|it| report["verdict"][it]["is_met"] == true)
    }

    /// The lag may grow by a tenth or a millisecond, a write by a tenth only.
    #[test]
    fn verdicts_hold_the_limits() {
        assert_eq!(
            verdicts(&runs(100.0, 100.0), &runs(1_099.0, 109.0)),
            [true, true]
        );
        assert_eq!(
            verdicts(&runs(100.0, 100.0), &runs(1_101.0, 112.0)),
            [false, false]
        );
        assert_eq!(
            verdicts(&runs(20_000.0, 1.0), &runs(21_900.0, 1.0)),
            [true, true]
        );
        assert_eq!(
            verdicts(&runs(20_000.0, 1.0), &runs(22_400.0, 1.0)),
            [false, true]
        );
    }

    /// What nobody measured is not met.
    #[test]
    fn nothing_is_no_success() {
        assert_eq!(
            verdicts(&[Run::default()], &[Run::default()]),
            [false, false]
        );
    }
}
