//! The report as text.

use serde_json::Value;

use crate::print;

/// Prints a table: a line for each case, ours and the bare loop's figures.
pub(crate) fn print(report: &Value) {
    if report["following"].is_object() {
        following(report);
    } else if report["beside_rocksdb"].is_object() {
        rocksdb(&report["beside_rocksdb"]);
    } else {
        table(report);
    }
    println!("in {}", report["dir"]);
    print::machine(&report["machine"]);
}

fn table(report: &Value) {
    println!(
        "{}-byte records, medians of {} rounds; the bare loop writes the same bytes with as many \
         calls and syncs",
        report["payload_bytes"], report["rounds"]
    );
    println!(
        "{:<8} {:<4} {:>5} {:>11} {:>23} {:>6} {:>6} {:>7} {:>15} {:>15}  ratio to bare",
        "policy",
        "cdc",
        "batch",
        "records/s",
        "min-max",
        "cpu ns",
        "bare",
        "B/rec",
        "sync us p50 p99",
        "bare p50 p99"
    );
    for row in report["results"].as_array().into_iter().flatten() {
        let (ours, bare) = (&row["journal"], &row["bare"]);
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let rate = &ours["records_per_second"];
        let per_record = number(&ours["bytes_on_disk"]["median"]) / number(&row["records"]);
        println!(
            "{:<8} {:<4} {:>5} {:>11} {:>23} {:>6} {:>6} {:>7.1} {:>15} {:>15}  {}",
            text(&row["policy"]),
            text(&row["codec"]),
            row["batch"],
            number(&rate["median"]),
            format!("{}-{}", number(&rate["min"]), number(&rate["max"])),
            ours["cpu_ns_per_record"]["median"],
            bare["cpu_ns_per_record"]["median"],
            per_record,
            syncs(ours),
            syncs(bare),
            print::spread(&row["ratio"]),
        );
    }
}

fn syncs(side: &Value) -> String {
    match (side["sync_us_p50"].as_f64(), side["sync_us_p99"].as_f64()) {
        (Some(p50), Some(p99)) => format!("{p50:.0} {p99:.0}"),
        _ => "-".to_owned(),
    }
}

fn rocksdb(beside: &Value) {
    println!("RocksDB {}", text(&beside["rocksdb"]));
    println!("{}", text(&beside["note"]));
    for row in beside["rows"].as_array().into_iter().flatten() {
        println!(
            "{:<7} batch {:>5}: records/s journal {}, RocksDB {}: x {}{}",
            text(&row["policy"]),
            row["batch"],
            print::spread(&row["journal_records_per_second"]),
            print::spread(&row["rocksdb_records_per_second"]),
            print::spread(&row["ratio"]),
            match row["wanted"].as_f64() {
                Some(wanted) => format!(" (wanted: {wanted})"),
                None => String::new(),
            },
        );
    }
}

fn following(report: &Value) {
    let (it, channels) = (&report["following"], &report["channels"]);
    println!(
        "merge and publish, ns per packet of a thread offering {} packets/s, journal off {}, on {}: \
         x {} (wanted: 1.03); of {} packets {} journalled, {} overrun in all rounds",
        it["rate"],
        print::spread(&it["off_ns_per_packet"]),
        print::spread(&it["on_ns_per_packet"]),
        print::spread(&it["ratio"]),
        it["packets"],
        print::spread(&it["journalled"]),
        it["overrun"],
    );
    println!(
        "ring to log, records/s: one channel {}, one busy and 15 idle {}: x {} (wanted: {})",
        print::spread(&channels["one_channel_records_per_second"]),
        print::spread(&channels["sixteen_channels_records_per_second"]),
        print::spread(&channels["ratio"]),
        channels["wanted"],
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
