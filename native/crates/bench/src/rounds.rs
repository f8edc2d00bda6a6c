//! Paired rounds: the subject and its baseline alternate on the same input in one run, so that
//! what the machine does to one it does to the other.

use std::time::Instant;

use serde_json::{Value, json};
use tickdeck_net::clock::thread_cpu_ns;

/// One side of a comparison.
pub(crate) struct Contender<'a> {
    /// As printed.
    pub(crate) name: &'static str,
    /// Those that follow, up to the next baseline, are compared with it.
    pub(crate) is_baseline: bool,
    /// Does the whole work once.
    pub(crate) run: Box<dyn FnMut() -> Timed + 'a>,
}

/// One run of a contender.
pub(crate) struct Timed {
    /// A checksum that all contenders must share.
    pub(crate) result: u64,
    wall_ns: f64,
    cpu_ns: f64,
}

impl Timed {
    /// The same times with a checksum that was taken later.
    pub(crate) fn with_result(self, result: u64) -> Self {
        Self { result, ..self }
    }
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

/// Does `work` on the clock, wall and processor time of this thread. Its checksum is made of what
/// it leaves behind, when the clock has stopped.
pub(crate) fn timed<T>(work: impl FnOnce() -> T, checksum: impl FnOnce(T) -> u64) -> Timed {
    let (start, start_cpu_ns) = (Instant::now(), thread_cpu_ns());
    let left = std::hint::black_box(work());
    let cpu_ns = (thread_cpu_ns() - start_cpu_ns) as f64;
    let wall_ns = start.elapsed().as_nanos() as f64;
    Timed {
        result: checksum(left),
        wall_ns,
        cpu_ns,
    }
}

/// Runs the contenders in turn, one discarded warm-up and then `rounds` counted rounds, and gives
/// nanoseconds per item, wall and processor time of the thread: median, min and max of each, and of
/// the per-round ratio of wall times to the baseline before it. The first is a baseline.
pub(crate) fn compare(
    contenders: &mut [Contender<'_>],
    items: u64,
    rounds: usize,
) -> Result<Value, WrongResult> {
    let mut walls = vec![Vec::with_capacity(rounds); contenders.len()];
    let mut cpus = walls.clone();
    for round in 0..=rounds {
        let mut wanted = None;
        for (at, contender) in contenders.iter_mut().enumerate() {
            let run = (contender.run)();
            let (baseline, wanted) = *wanted.get_or_insert((contender.name, run.result));
            if run.result != wanted {
                return Err(WrongResult {
                    name: contender.name,
                    baseline,
                    found: run.result,
                    wanted,
                });
            }
            if round > 0 {
                walls[at].push(run.wall_ns / items as f64);
                cpus[at].push(run.cpu_ns / items as f64);
            }
        }
    }
    let mut baseline = 0;
    let mut rows = Vec::with_capacity(contenders.len());
    for (at, contender) in contenders.iter().enumerate() {
        if contender.is_baseline {
            baseline = at;
        }
        let pairs = walls[at].iter().zip(&walls[baseline]);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        rows.push(json!({
            "name": contender.name,
            "ns_per_item": spread(&walls[at]),
            "cpu_ns_per_item": spread(&cpus[at]),
            "items_per_second": per_second(&walls[at]),
            "ratio": spread(&ratios),
            "ratio_to": contenders[baseline].name,
        }));
    }
    Ok(json!({"items": items, "rounds": rounds, "results": rows}))
}

/// Items a second at the median of these times per item.
fn per_second(walls_ns: &[f64]) -> u64 {
    let median = spread_to(walls_ns, 6)["median"].as_f64();
    median.map_or(0, |ns| (1e9 / ns) as u64)
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

/// The value at this percentage of the values in order, to one decimal; `None` of nothing.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    let value = sorted.get(rank.saturating_sub(1))?;
    Some((value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender<'a>(name: &'static str, is_baseline: bool, result: u64) -> Contender<'a> {
        Contender {
            name,
            is_baseline,
            run: Box::new(move || timed(|| result, |result| result)),
        }
    }

    /// The median of an even and of an odd number of rounds.
    #[test]
    fn medians() {
        assert_eq!(spread(&[3.0, 1.0, 2.0])["median"], 2.0);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0])["median"], 2.5);
    }

    /// Percentiles of few values are values; of none there is none.
    #[test]
    fn percentiles() {
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 50.0), Some(2.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 99.0), Some(3.0));
    }

    /// A contender with another result voids the run.
    #[test]
    fn different_results_are_refused() {
        let mut both = [contender("a", true, 1), contender("b", false, 2)];
        assert!(compare(&mut both, 1, 5).is_err());
    }

    /// Each is compared with the nearest baseline before it, a baseline with itself.
    #[test]
    fn ratios_name_their_baseline() {
        let mut all = [("a", true), ("b", false), ("c", true), ("d", false)]
            .map(|(name, is_baseline)| contender(name, is_baseline, 7));
        let report = compare(&mut all, 1, 5).unwrap();
        let to = [0, 1, 2, 3].map(|row| report["results"][row]["ratio_to"].clone());
        assert_eq!(to, ["a", "a", "c", "c"]);
    }
}
