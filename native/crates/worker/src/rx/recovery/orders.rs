//! What operators order through the control socket.

use std::sync::mpsc::SyncSender;

use serde_json::Value;

/// An order, and who gets its answer.
pub(in crate::rx) enum Order {
    /// Ask again now, for one gap or for all.
    Retry {
        /// The gap; `None`: all.
        id: Option<u64>,
        /// Gets the number of gaps.
        reply: SyncSender<usize>,
    },
    /// Leave a gap, or all of them, to a snapshot; without a gap one is taken in any case.
    Snapshot {
        /// The gap; `None`: all.
        id: Option<u64>,
        /// Gets the number of gaps; `None` when there is no source of snapshots.
        reply: SyncSender<Option<usize>>,
    },
    /// Tell what is known of the sources.
    Sources {
        /// Gets the answer.
        reply: SyncSender<Value>,
    },
}
