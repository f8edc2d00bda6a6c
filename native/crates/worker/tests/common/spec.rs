//! Parts of a spec that the tests of several workers need, as the daemon writes them.

use std::path::Path;

use serde_json::{Value, json};

/// A journal of small segments in `dir`, with group commits.
pub(crate) fn journal(dir: &Path) -> Value {
    json!({"data_dir": dir, "segment_size_bytes": 1_048_576, "segment_max_age_ms": 0,
           "sync_policy": "batch", "fsync_interval_ms": 2, "compress_wal": false, "codec": "zstd",
           "recovery_mode": "tail", "on_failure": "degrade", "retain_max_bytes": 0,
           "retain_max_age_s": 0})
}

/// No exporter: every key as the daemon's default has it.
pub(crate) fn tcp_export() -> Value {
    json!({"enabled": false, "mode": "listen", "addr": null, "collectors": [], "auth_token": null,
           "tls_cert": null, "tls_key": null, "tls_client_ca": null, "tls_revoked": [],
           "connect_timeout_ms": 3000, "write_timeout_ms": 10_000, "reconnect_backoff_ms": 100,
           "max_subscribers": 16, "channel_capacity": 8_388_608, "backpressure_on_full": true,
           "slow_policy": "disconnect", "lag_soft_bytes": 8_388_608, "lag_soft_ms": 5000,
           "lag_hard_bytes": 33_554_432, "lag_hard_ms": 30_000, "allow_written": false,
           "heartbeat_ms": 1000, "heartbeat_timeout_ms": 5000, "subscribers": []})
}
