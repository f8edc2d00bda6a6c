//! A report of paired rounds as text.

use serde_json::Value;

/// Prints what a comparison found, and what else is known of it.
pub(crate) fn results(report: &Value) {
    println!(
        "{} items, median (min-max) of {} rounds",
        report["items"], report["rounds"]
    );
    for row in report["results"].as_array().into_iter().flatten() {
        let [time, cpu, ratio] =
            ["ns_per_item", "cpu_ns_per_item", "ratio"].map(|key| spread(&row[key]));
        println!(
            "{:<26} {time} ns, thread CPU {cpu}; x {ratio} to {}",
            text(&row["name"]),
            text(&row["ratio_to"]),
        );
    }
    for key in ["skipped_probe", "skipped_file"] {
        if let Some(reason) = report[key].as_str() {
            println!("left out: {reason}");
        }
    }
    state(report);
    anchors(&report["anchors"]);
    machine(&report["machine"]);
}

fn state(report: &Value) {
    if let Some(clock) = report["clock"].as_str() {
        println!("clock: {clock}");
    }
    let state = &report["state"];
    if state.is_object() {
        println!(
            "{} books end with {} orders on {} levels, {} faults, state hash {}",
            state["books"],
            state["orders"],
            state["levels"],
            state["faults"],
            text(&state["state_hash"]),
        );
    }
    if let Some(bytes) = report["peak_memory_bytes"].as_f64() {
        println!(
            "peak memory: {:.1} MB, {}",
            bytes / 1e6,
            text(&report["peak_memory"])
        );
    }
}

fn anchors(anchors: &Value) {
    let rows = anchors["rows"].as_array().into_iter().flatten();
    for row in rows {
        println!(
            "not a gate: {} took {} ns: x {} in memory, x {} with the file (wanted of a pair: {}, {})",
            text(&row["name"]),
            row["stored_ns_per_message"],
            row["ratio_to_stored"],
            row["ratio_to_stored_with_file"],
            row["wanted_of_a_pair"],
            row["wanted_of_a_pair_with_file"],
        );
    }
    if let Some(note) = anchors["note"].as_str() {
        println!("            {note}");
    }
}

/// Prints the facts of the machine.
pub(crate) fn machine(machine: &Value) {
    if machine.is_object() {
        println!(
            "{} x {}, L2 {}, L3 {}, kernel {}; load {} to {}, steal {} %{}; {} build",
            machine["cpus"],
            text(&machine["cpu"]),
            text(&machine["l2"]),
            text(&machine["l3"]),
            text(&machine["kernel"]),
            text(&machine["load_before"]),
            text(&machine["load_after"]),
            machine["steal_percent"],
            if machine["is_noisy"] == true {
                ": noisy"
            } else {
                ""
            },
            text(&machine["build"]),
        );
    }
}

/// Median, min and max.
pub(crate) fn spread(of: &Value) -> String {
    format!("{} ({}-{})", of["median"], of["min"], of["max"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
