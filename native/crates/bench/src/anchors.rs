//! What other engines took on another machine: for orientation, never a denominator that decides.

use serde_json::{Value, json};

/// An engine's stored figure.
pub(crate) struct Anchor {
    name: &'static str,
    ns_per_message: f64,
    /// The stretch of the goals, for engines paired on one machine.
    wanted: f64,
    /// The same with the file read inside both clocks.
    wanted_with_file: Option<f64>,
}

/// What was measured: virtual machine of two cores, Intel Xeon with 2 MiB of L2 and 480 MiB of L3.
const MACHINE: &str = "stored figures of another machine (2-vCPU KVM guest, Intel Xeon, 2.6 GHz, \
                       L3 480 MiB, gcc 12 -O3 -march=native, file read inside their clock); \
                       the ratios mix two machines and decide nothing";

const NONE_OF_THIS_SIZE: &str = "no stored figures of other engines for a day of this size";

pub(crate) const DECODE: [Anchor; 1] = [anchor("CppTrader itch_handler", 14.66, 0.6, Some(0.9))];

/// 500 instruments, 8 million messages.
const BENCHMARK_DAY: [Anchor; 2] = [
    anchor("CppTrader market_manager (L3)", 138.57, 0.25, Some(0.30)),
    anchor("itch-order-book (levels only)", 37.00, 0.9, Some(1.0)),
];

/// 8,000 instruments, 12 million messages.
const FULL_MARKET_DAY: [Anchor; 2] = [
    anchor("CppTrader market_manager (L3)", 373.0, 0.25, None),
    anchor("itch-order-book (levels only)", 49.8, 1.2, None),
];

const fn anchor(
    name: &'static str,
    ns_per_message: f64,
    wanted: f64,
    wanted_with_file: Option<f64>,
) -> Anchor {
    Anchor {
        name,
        ns_per_message,
        wanted,
        wanted_with_file,
    }
}

/// The engines' figures for a day of about this size; none for a size that they were not taken at.
pub(crate) fn of_day(instruments: usize, messages: u64) -> &'static [Anchor] {
    match instruments {
        400..=600 if messages >= 7_000_000 => &BENCHMARK_DAY,
        7_000..=9_000 if messages >= 10_000_000 => &FULL_MARKET_DAY,
        _ => &[],
    }
}

/// The anchors with our medians in relation to them, in memory and with the file in the clock.
pub(crate) fn beside(anchors: &[Anchor], in_memory: &Value, with_file: &Value) -> Value {
    let ratio = |median: &Value, anchor: &Anchor| {
        let ratio = median.as_f64().map(|ns| ns / anchor.ns_per_message);
        json!(ratio.map(|ratio| (ratio * 1_000.0).round() / 1_000.0))
    };
    let rows = anchors.iter().map(|anchor| {
        json!({
            "name": anchor.name,
            "stored_ns_per_message": anchor.ns_per_message,
            "ratio_to_stored": ratio(in_memory, anchor),
            "wanted_of_a_pair": anchor.wanted,
            "ratio_to_stored_with_file": ratio(with_file, anchor),
            "wanted_of_a_pair_with_file": anchor.wanted_with_file,
        })
    });
    let note = if anchors.is_empty() {
        NONE_OF_THIS_SIZE
    } else {
        MACHINE
    };
    json!({"note": note, "is_gate": false, "rows": rows.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures stand beside days of the size that they were taken at, and beside no other.
    #[test]
    fn other_days_have_no_anchors() {
        let stored = |instruments, messages| {
            let anchors = of_day(instruments, messages).iter();
            anchors.map(|it| it.ns_per_message).collect::<Vec<f64>>()
        };
        assert_eq!(stored(500, 8_000_000), [138.57, 37.00]);
        assert_eq!(stored(8_000, 12_000_000), [373.0, 49.8]);
        for (instruments, messages) in [(500, 500_000), (8_000, 8_000_000), (3_000, 12_000_000)] {
            assert!(stored(instruments, messages).is_empty(), "{instruments}");
        }
    }
}
