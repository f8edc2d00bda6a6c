//! From figures to JSON, and from JSON to a table.

use serde_json::{Map, Value, json};

use super::Options;
use super::contender::{Contender, ContenderPath, Stage};
use super::measure::{Figures, FlowFigures, LatencyFigures, Lost};
use crate::rounds::{spread, spread_to};

/// One row for each path.
pub(crate) fn paths(contenders: &[Contender], figures: &[Vec<Figures>], rounds: usize) -> Value {
    let of = |path, stage| {
        let wanted = Contender { path, stage };
        let index = contenders.iter().position(|one| *one == wanted)?;
        Some(Rounds(&figures[index]))
    };
    let common = of(ContenderPath::Recvmmsg, Stage::Bare);
    let rows = ContenderPath::ALL.iter().filter_map(|path| {
        let stages = Stages {
            bare: of(*path, Stage::Bare)?,
            untimed: of(*path, Stage::BareUntimed),
            alone: of(*path, Stage::Alone),
            merged: of(*path, Stage::Merged),
            journalled: of(*path, Stage::Journalled),
            common: common?,
        };
        Some(row(*path, &stages, rounds))
    });
    json!({ "paths": rows.collect::<Vec<_>>() })
}

/// Adds what belongs to any report.
pub(crate) fn complete(body: Value, options: &Options, machine: &Value) -> Value {
    let frame_bytes = u64::from(options.payload_bytes) + 14 + 20 + 8;
    // Preamble and gap between frames are 20 bytes, the check sequence 4; the least frame is 64.
    let wire_bytes = (frame_bytes + 4).max(64) + 20;
    let mut report = json!({
        "payload_bytes": options.payload_bytes,
        "wire_bytes": wire_bytes,
        "frames_per_s_at_10gbe": 10_000_000_000 / 8 / wire_bytes,
        "wire": "veth between two network namespaces; AF_XDP copies every frame here",
        "lines": "A and B with the same messages, batches of 64 in turn; latency: A alone",
        "sender": format!("{:?}", options.sender).to_lowercase(),
        "sender_cpu": options.sender_cpu,
        "softirq_cpu": options.sender_cpu,
        "reader_cpu": options.reader_cpu,
        "machine": machine,
        "gate": "ratios within a round only; absolute figures are for orientation",
    });
    if let (Value::Object(report), Value::Object(body)) = (&mut report, body) {
        report.extend(body);
    }
    report
}

/// Drops by layer, without those that are 0.
pub(crate) fn by_layer(lost: &Lost) -> Value {
    let path = &lost.path;
    let layers = [
        ("wire", lost.wire),
        ("socket", path.socket_drops),
        ("packet_ring", path.packet_ring_drops),
        ("packet_ring_freezes", path.packet_ring_freezes),
        ("xsk_dropped", path.xsk_dropped),
        ("xsk_invalid_descs", path.xsk_invalid_descs),
        ("xsk_ring_full", path.xsk_ring_full),
        ("xsk_fill_ring_empty", path.xsk_fill_ring_empty),
    ];
    let layers = layers.into_iter().filter(|(_, count)| *count > 0);
    Value::Object(
        layers
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect(),
    )
}

/// The table.
pub(crate) fn print(report: &Value) {
    let machine = &report["machine"];
    println!(
        "{} bytes of payload: {} frames/s are the line rate of 10 GbE. {}",
        report["payload_bytes"],
        report["frames_per_s_at_10gbe"],
        text(&report["wire"]),
    );
    println!(
        "kernel {}, {} x {}, load {} -> {}, steal {} %{}, {} build",
        text(&machine["kernel"]),
        machine["cpus"],
        text(&machine["cpu"]),
        text(&machine["load_before"]),
        text(&machine["load_after"]),
        machine["steal_percent"],
        if machine["is_noisy"] == true {
            " (noisy)"
        } else {
            ""
        },
        text(&machine["build"]),
    );
    for row in rows(report, "soak") {
        println!(
            "{:<42} {:>4} s  {:>9}/s  {:>10} sent  {:>8} dropped {}",
            text(&row["contender"]),
            row["seconds"],
            row["sent_per_s"],
            row["sent"],
            row["dropped"],
            row["dropped_by_layer"],
        );
    }
    for row in rows(report, "unavailable") {
        println!(
            "not measured: {}: {}",
            text(&row["contender"]),
            text(&row["why"])
        );
    }
    for row in rows(report, "paths") {
        println!("\n{}  ({} rounds)", text(&row["path"]), row["rounds"]);
        for (name, value) in row["details"].as_object().into_iter().flatten() {
            let unit = match name {
                name if name.contains("ratio") => "x ",
                name if name.contains("per_wake") => "  ",
                _ => "ns",
            };
            println!(
                "  {:<44} {unit} {:>9} ({}-{})",
                name.replace('_', " "),
                value["median"],
                value["min"],
                value["max"],
            );
        }
        println!(
            "  sent/s {} · dropped {} {}",
            row["sent_per_s"], row["dropped"], row["dropped_by_layer"]
        );
    }
}

struct Stages<'a> {
    bare: Rounds<'a>,
    untimed: Option<Rounds<'a>>,
    alone: Option<Rounds<'a>>,
    merged: Option<Rounds<'a>>,
    journalled: Option<Rounds<'a>>,
    /// The bare recvmmsg loop.
    common: Rounds<'a>,
}

/// The rounds of one contender.
#[derive(Clone, Copy)]
struct Rounds<'a>(&'a [Figures]);

/// One number of a round, when it was measured.
type Reading = fn(&Figures) -> Option<f64>;

impl Rounds<'_> {
    fn values(self, reading: Reading) -> Option<Vec<f64>> {
        self.0.iter().map(reading).collect()
    }

    fn spread(self, reading: Reading) -> Option<Value> {
        self.values(reading).map(|values| spread(&values))
    }

    /// Of the ratios to another contender within the same round.
    fn ratio(self, other: Self, reading: Reading) -> Option<Value> {
        let (ours, theirs) = (self.values(reading)?, other.values(reading)?);
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        // The cheapest path is at a few hundredths of the common measure.
        Some(spread_to(&ratios, 4))
    }

    /// Of the differences to another contender within the same round.
    fn added(self, other: Self, reading: Reading) -> Option<Value> {
        let (ours, theirs) = (self.values(reading)?, other.values(reading)?);
        let added: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
        Some(spread(&added))
    }
}

const FULL_CPU: Reading = |figures| Some(figures.full.cpu_ns_per_packet());
const PACED_CPU: Reading = |figures| figures.paced.as_ref().map(FlowFigures::cpu_ns_per_packet);
const DRAIN: Reading = |figures| {
    figures
        .drain
        .as_ref()
        .map(|drain| drain.wall_ns_per_packet())
};
const DRAIN_CPU: Reading = |figures| {
    figures
        .drain
        .as_ref()
        .map(|drain| drain.cpu_ns_per_packet())
};
const SENDER_CPU: Reading = |figures| Some(figures.full.sent.cpu_ns_per_packet());
const PER_WAKE: Reading = |figures| {
    let full = &figures.full;
    Some(full.received as f64 / full.waits.max(1) as f64)
};
const P50: Reading = |figures| nanoseconds(figures, |latency| latency.p50_ns);
const P99: Reading = |figures| nanoseconds(figures, |latency| latency.p99_ns);
const P999: Reading = |figures| nanoseconds(figures, |latency| latency.p999_ns);
const MAX: Reading = |figures| nanoseconds(figures, |latency| latency.max_ns);

fn nanoseconds(figures: &Figures, of: fn(&LatencyFigures) -> u64) -> Option<f64> {
    figures.latency.as_ref().map(|latency| of(latency) as f64)
}

fn row(path: ContenderPath, stages: &Stages<'_>, rounds: usize) -> Value {
    let details = details(stages);
    let shown = stages.alone.unwrap_or(stages.bare);
    let sum = lost_of(shown);
    let rates: Vec<f64> = shown.0.iter().map(|one| one.full.sent.rate()).collect();
    let median = |name: &str| {
        details
            .get(name)
            .map_or(Value::Null, |one| one["median"].clone())
    };
    let cpu = details.get("cpu").cloned().unwrap_or(Value::Null);
    json!({
        "path": path.name(),
        "rounds": rounds,
        "cpu_ns_per_packet": median("cpu"),
        "bare_cpu_ns_per_packet": median("bare_cpu"),
        "ratio_to_bare": median("cpu_ratio_to_bare"),
        "min": cpu["min"],
        "max": cpu["max"],
        "drain_ns_per_packet": median("drain"),
        "bare_drain_ns_per_packet": median("bare_drain"),
        "drain_ratio_to_bare": median("drain_ratio_to_bare"),
        "drain_ratio_to_bare_recvmmsg": median("drain_ratio_to_bare_recvmmsg"),
        "merged_drain_ratio_to_bare": median("merged_drain_ratio_to_bare"),
        "journalled_drain_ratio_to_merged": median("journalled_drain_ratio_to_merged"),
        "added_by_merge_and_ring_ns_per_packet": median("added_by_merge_and_ring_drain"),
        "latency_p50_ratio_to_bare_recvmmsg": median("latency_p50_ratio_to_bare_recvmmsg"),
        "sent_per_s": spread(&rates)["median"],
        "dropped": sum.packets(),
        "bare_dropped": lost_of(stages.bare).packets(),
        "merged_dropped": stages.merged.map(|merged| lost_of(merged).packets()),
        "dropped_by_layer": by_layer(&sum),
        "details": details,
    })
}

/// Every figure with its range, by name.
fn details(stages: &Stages<'_>) -> Map<String, Value> {
    let Stages {
        bare,
        untimed,
        alone,
        merged,
        journalled,
        common,
    } = *stages;
    let mut details = Map::new();
    let mut add = |name: String, value: Option<Value>| {
        if let Some(value) = value {
            details.insert(name, value);
        }
    };
    let costs = [
        ("cpu", FULL_CPU),
        ("paced_cpu", PACED_CPU),
        ("drain", DRAIN),
        ("drain_cpu", DRAIN_CPU),
    ];
    for (name, reading) in costs {
        add(format!("bare_{name}"), bare.spread(reading));
        if let Some(untimed) = untimed {
            add(
                format!("bare_without_times_{name}"),
                untimed.spread(reading),
            );
        }
        if let Some(alone) = alone {
            add(name.to_owned(), alone.spread(reading));
            add(format!("{name}_ratio_to_bare"), alone.ratio(bare, reading));
            let ratio = alone.ratio(common, reading);
            add(format!("{name}_ratio_to_bare_recvmmsg"), ratio);
        }
        if let (Some(alone), Some(merged)) = (alone, merged) {
            add(format!("merged_{name}"), merged.spread(reading));
            let ratio = merged.ratio(bare, reading);
            add(format!("merged_{name}_ratio_to_bare"), ratio);
            let added = merged.added(alone, reading);
            add(format!("added_by_merge_and_ring_{name}"), added);
        }
        if let (Some(merged), Some(journalled)) = (merged, journalled) {
            add(format!("journalled_{name}"), journalled.spread(reading));
            let ratio = journalled.ratio(merged, reading);
            add(format!("journalled_{name}_ratio_to_merged"), ratio);
        }
        let ratio = bare.ratio(common, reading);
        add(format!("bare_{name}_ratio_to_bare_recvmmsg"), ratio);
    }
    add("bare_packets_per_wake".to_owned(), bare.spread(PER_WAKE));
    add("bare_sender_cpu".to_owned(), bare.spread(SENDER_CPU));
    if let Some(alone) = alone {
        add("sender_cpu".to_owned(), alone.spread(SENDER_CPU));
        add("packets_per_wake".to_owned(), alone.spread(PER_WAKE));
    }
    for (name, reading) in [("p50", P50), ("p99", P99), ("p999", P999), ("max", MAX)] {
        add(format!("bare_latency_{name}"), bare.spread(reading));
        if let Some(alone) = alone {
            add(format!("latency_{name}"), alone.spread(reading));
        }
    }
    add(
        "bare_latency_p50_ratio_to_bare_recvmmsg".to_owned(),
        bare.ratio(common, P50),
    );
    if let Some(alone) = alone {
        let ratio = alone.ratio(bare, P50);
        add("latency_p50_ratio_to_bare".to_owned(), ratio);
        let ratio = alone.ratio(common, P50);
        add("latency_p50_ratio_to_bare_recvmmsg".to_owned(), ratio);
    }
    details
}

/// What was lost in all measurements of all rounds.
fn lost_of(rounds: Rounds<'_>) -> Lost {
    let all = rounds.0.iter().flat_map(all_lost);
    all.fold(Lost::default(), |sum, one| Lost {
        wire: sum.wire + one.wire,
        path: sum.path.plus(&one.path),
    })
}

/// What was lost in each of a round's measurements.
fn all_lost(figures: &Figures) -> impl Iterator<Item = Lost> {
    let paced = figures.paced.as_ref().map(|paced| paced.lost);
    let drain = figures.drain.as_ref().map(|drain| drain.lost);
    let latency = figures.latency.as_ref().map(|latency| latency.lost);
    [Some(figures.full.lost), paced, drain, latency]
        .into_iter()
        .flatten()
}

fn rows<'a>(report: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    report[name].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
