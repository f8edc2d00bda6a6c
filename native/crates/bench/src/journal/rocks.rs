//! What RocksDB took in another run: for orientation, never a denominator that decides.

use serde_json::{Value, json};

/// A stored figure of `db_bench` fillseq.
struct Anchor {
    batch: u64,
    /// Policy of ours that it stands beside: no sync, or one for each batch.
    policy: &'static str,
    records_per_second: f64,
}

const NOTE: &str = "stored figures of another run: RocksDB 7.8.3 db_bench fillseq, keys of 16 and \
                    values of 64 bytes, memtable insert included, batches of 1 and 1,000, sync 0 \
                    beside `os`, sync 1 beside `always`; on a 2-vCPU KVM guest with virtio disk";

const ANCHORS: [Anchor; 4] = [
    anchor(1, "os", 632e3),
    anchor(1_000, "os", 2.31e6),
    anchor(1, "always", 5.25e3),
    anchor(1_000, "always", 1.29e6),
];

const fn anchor(batch: u64, policy: &'static str, records_per_second: f64) -> Anchor {
    Anchor {
        batch,
        policy,
        records_per_second,
    }
}

/// Uncompressed rows of about the same batch and of the same promise, beside the stored figures.
pub(super) fn beside(rows: &[Value]) -> Value {
    let mut pairs = Vec::new();
    for row in rows.iter().filter(|row| row["codec"] == "none") {
        let batch = row["batch"].as_u64().unwrap_or(0);
        for anchor in &ANCHORS {
            let is_near = batch == anchor.batch || (anchor.batch..=1_024).contains(&batch);
            let is_near = is_near && (anchor.batch > 1 || batch == 1);
            let ours = row["journal"]["records_per_second"]["median"].as_f64();
            if let Some(ours) = ours.filter(|_| is_near && row["policy"] == anchor.policy) {
                pairs.push(json!({
                    "policy": anchor.policy,
                    "batch": batch,
                    "stored_batch": anchor.batch,
                    "stored_records_per_second": anchor.records_per_second,
                    "ratio_to_stored": (ours / anchor.records_per_second * 100.0).round() / 100.0,
                }));
            }
        }
    }
    json!({"note": NOTE, "is_gate": false, "wanted_of_a_pair": 3.0, "rows": pairs})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(policy: &str, codec: &str, batch: u64) -> Value {
        json!({
            "policy": policy, "codec": codec, "batch": batch,
            "journal": {"records_per_second": {"median": 4.62e6}},
        })
    }

    /// Only rows of the same promise and about the same batch are set beside a figure.
    #[test]
    fn like_is_set_beside_like() {
        let rows = [
            row("os", "none", 1_024),
            row("os", "zstd", 1_024),
            row("os", "none", 256),
            row("os", "none", 4_096),
            row("batch", "none", 1_024),
            row("always", "none", 1),
        ];
        let beside = beside(&rows);
        let pairs = beside["rows"].as_array().unwrap();
        assert_eq!(pairs.len(), 2, "{pairs:?}");
        assert_eq!(pairs[0]["ratio_to_stored"], 2.0);
        assert_eq!(pairs[1]["stored_batch"], 1);
    }
}
