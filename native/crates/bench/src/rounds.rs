//! Paired rounds: the subject and its baseline alternate on the same input in one run, so that
//! what the machine does to one it does to the other.

use std::time::Instant;

use serde_json::{Value, json};

/// One side of a comparison.
pub(crate) struct Contender<'a> {
    /// As printed.
    pub(crate) name: &'static str,
    /// Does the whole work once and returns a checksum that all contenders must share.
    pub(crate) run: Box<dyn FnMut() -> u64 + 'a>,
}

/// Two contenders came to different results, so their times mean nothing.
#[derive(Debug, thiserror::Error)]
#[error("{name} came to {found:#x}, {baseline} to {wanted:#x}: the figures would be void")]
pub(crate) struct WrongResult {
    name: &'static str,
    baseline: &'static str,
    found: u64,
    wanted: u64,
}

/// Runs the contenders in turn, one discarded warm-up and then `rounds` counted rounds, and gives
/// nanoseconds per item: median, min and max of each, and of the per-round ratio to the first
/// contender, which is the baseline.
pub(crate) fn compare(
    contenders: &mut [Contender<'_>],
    items: u64,
    rounds: usize,
) -> Result<Value, WrongResult> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        let mut wanted = None;
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let found = (contender.run)();
            let elapsed_ns = start.elapsed().as_nanos() as f64;
            let (baseline, wanted) = *wanted.get_or_insert((contender.name, found));
            if found != wanted {
                return Err(WrongResult {
                    name: contender.name,
                    baseline,
                    found,
                    wanted,
                });
            }
            if round > 0 {
                times.push(elapsed_ns / items as f64);
            }
        }
    }
    let baseline = times[0].clone();
    let rows = contenders.iter().zip(&times).map(|(contender, times)| {
        let ratios: Vec<f64> = times.iter().zip(&baseline).map(|(a, b)| a / b).collect();
        json!({"name": contender.name, "ns_per_item": spread(times), "ratio": spread(&ratios)})
    });
    Ok(json!({"items": items, "rounds": rounds, "results": rows.collect::<Vec<_>>()}))
}

/// Median, min and max, rounded to two decimals.
pub(crate) fn spread(values: &[f64]) -> Value {
    spread_to(values, 2)
}

/// Median, min and max, rounded to so many decimals.
pub(crate) fn spread_to(values: &[f64], decimals: i32) -> Value {
    let scale = 10f64.powi(decimals);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    let round = |value: f64| (value * scale).round() / scale;
    json!({"median": round(median), "min": round(sorted[0]), "max": round(sorted[sorted.len() - 1])})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The median of an even and of an odd number of rounds.
    #[test]
    fn medians() {
        assert_eq!(spread(&[3.0, 1.0, 2.0])["median"], 2.0);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0])["median"], 2.5);
    }

    /// A contender with another result voids the run.
    #[test]
    fn different_results_are_refused() {
        let contender = |name, result| Contender {
            name,
            run: Box::new(move || result),
        };
        let mut both = [contender("a", 1), contender("b", 2)];
        assert!(compare(&mut both, 1, 5).is_err());
    }
}
