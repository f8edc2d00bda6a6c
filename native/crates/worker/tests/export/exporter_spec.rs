//! The spec of the exporter under test.

use std::path::Path;

use serde_json::{Value, json};

use super::spec;

/// The spec of an exporter: the exchange around it is of no meaning.
pub(crate) fn whole(journal_dir: &Path, dir: &Path, root: &Path) -> Value {
    let line = |name: &str, group: &str| {
        json!({"name": name, "group": group, "port": 31001, "interface": "127.0.0.1",
               "source": null, "receive": "recvmmsg"})
    };
    let recovery = json!({"replay_protocol": "none", "request_address": null,
                         "min_request_interval_ms": 5, "request_timeout_ms": 50,
                         "retry_attempts": 10, "retry_backoff_ms": 20, "slo_ms": 500,
                         "unrecoverable_policy": "declare_lost", "start_at": "session_start",
                         "username": null, "password_file": null, "peer_address": null,
                         "connect_timeout_ms": 1000, "retry_backoff_max_ms": 500,
                         "storm_gaps": 64, "probe_interval_ms": 0,
                         "snapshot": {"protocol": "none", "address": null, "group": null,
                                      "port": null, "interface": null, "source": null,
                                      "timeout_ms": 10_000, "max_bytes": 1_048_576}});
    json!({
        "schema": "tickdeck.spec/v1", "kind": "export", "worker": "T-export",
        "incarnation": "00000000-0000-4000-8000-000000000001", "generation": 1,
        "runtime_dir": dir, "ring_path": root.join("ring"), "snapshot_dir": root.join("snapshots"),
        "exchange": {
            "name": "T", "protocol": "moldudp64", "decoder": "itch50",
                "eobi_release": "14.1", "channel": 1,
            "general": {"mlock_all": false},
                "afxdp": {"enable": null, "require": "any", "frame_count": 1024, "rx_ring": 1024,
                          "huge_pages": false},
            "receive": {"cpu": null, "wait": "block", "rcvbuf_bytes": 65536, "batch": 64,
                        "max_packet_bytes": 2048, "busy_poll_us": 0, "busy_poll_budget": 64,
                        "timestamps": "hardware_or_kernel"},
            "packet_mmap": {"enable": null, "queues": 1, "block_bytes": 262_144,
                            "block_count": 128, "retire_ms": 1},
            "lines": [line("A", "239.81.0.1"), line("B", "239.81.0.2")],
            "arbiter": {"reorder_window_ns": 2_000_000, "reorder_window_min_ns": 100_000,
                        "reorder_window_packets": 16, "hold_capacity_packets": 1024,
                        "session_takeover_ms": 3000},
            "ring": {"slot_count": 4096},
            "recovery": recovery,
            "journal": spec::journal(journal_dir),
            "tcp_export": spec::tcp_export(),
            "capture": {"enabled": false, "ring_bytes": 1_048_576, "before_ms": 1000,
                        "after_ms": 50, "cut_on_gap": true, "max_files": 10,
                        "data_dir": root.join("captures")},
            "book": {"enabled": true, "snapshot_interval_ms": 3_600_000,
                     "initial_orders": 1024, "checkpoint_messages": 0,
                     "check_interval_ms": 10, "ticks": []}
        }
    })
}
