//! Facts of the machine that a figure is worth nothing without.

use std::fs;

use serde_json::{Value, json};

/// Readings before a run.
pub(crate) struct Machine {
    load: String,
    times: Times,
}

impl Machine {
    pub(crate) fn before() -> Self {
        Self {
            load: load(),
            times: Times::now(),
        }
    }

    /// The facts, with what changed since.
    pub(crate) fn after(&self) -> Value {
        let (before, after) = (&self.times, Times::now());
        let all = after.all.saturating_sub(before.all).max(1);
        let steal = after.steal.saturating_sub(before.steal);
        let steal_percent = (steal as f64 * 10_000.0 / all as f64).round() / 100.0;
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        json!({
            "kernel": read("/proc/sys/kernel/osrelease").trim(),
            "cpu": field("model name"),
            "cpus": cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            "l2": cache(2),
            "l3": cache(3),
            "load_before": self.load,
            "load_after": load(),
            "steal_percent": steal_percent,
            "is_noisy": steal_percent > NOISY_STEAL_PERCENT,
            "version": env!("CARGO_PKG_VERSION"),
            "build": if cfg!(debug_assertions) { "debug: the figures are void" } else { "release" },
        })
    }
}

/// Above this a run is called noisy; it is reported all the same.
const NOISY_STEAL_PERCENT: f64 = 2.0;

/// Ticks of all processors since boot.
struct Times {
    all: u64,
    steal: u64,
}

impl Times {
    fn now() -> Self {
        let text = read("/proc/stat");
        let numbers: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .map_while(|word| word.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; what follows is part of user and nice.
        Self {
            all: numbers.iter().take(8).sum(),
            steal: numbers.get(7).copied().unwrap_or(0),
        }
    }
}

fn load() -> String {
    let text = read("/proc/loadavg");
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    averages.join(" ")
}

/// Size of a cache of the first processor, as the kernel writes it.
fn cache(level: u32) -> String {
    let directory = "/sys/devices/system/cpu/cpu0/cache";
    let of_level = (0..8)
        .find(|index| read(&format!("{directory}/index{index}/level")).trim() == level.to_string());
    of_level.map_or_else(String::new, |index| {
        read(&format!("{directory}/index{index}/size"))
            .trim()
            .to_owned()
    })
}

/// A file, or nothing where this kernel has none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
