//! What an identity may do, by the spec.

use tickdeck_export::auth::ClientId;
use tickdeck_export::provider::{Admission, SessionConfig, SlowLimits, SlowPolicy};

use crate::spec::TcpExport;
use crate::spec::export::{ExportSubscriber, SlowPolicy as Configured};

/// The rules of the spec, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Admissions {
    spec: TcpExport,
}

impl Admissions {
    pub(super) fn new(spec: &TcpExport) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn max_subscribers(&self) -> usize {
        self.spec.max_subscribers
    }

    /// Times and sizes of every session.
    pub(super) fn session(&self) -> SessionConfig {
        let spec = &self.spec;
        SessionConfig {
            heartbeat_ns: ns(spec.heartbeat_ms),
            timeout_ns: ns(spec.heartbeat_timeout_ms),
            write_timeout_ns: ns(spec.write_timeout_ms),
            max_window_bytes: u32::try_from(spec.channel_capacity).unwrap_or(u32::MAX),
            waits_on_full_window: spec.backpressure_on_full,
        }
    }

    /// Connections of one identity: as its table says, one without a table. The anonymous share all
    /// places: the kernel has told that they are our own.
    pub(super) fn quota(&self, name: Option<&ClientId>) -> usize {
        let Some(name) = name else {
            return self.spec.max_subscribers;
        };
        self.table(name).map_or(1, |table| table.max_connections)
    }

    pub(super) fn admit(&self, name: Option<ClientId>) -> Admission {
        let spec = &self.spec;
        let table = name.as_ref().and_then(|name| self.table(name));
        let policy = policy(table.map_or(spec.slow_policy, |table| table.slow_policy));
        // Whoever has no name has no pin: nothing is retained for it.
        let policy = match (policy, &name) {
            (SlowPolicy::Retain, None) => SlowPolicy::Disconnect,
            (policy, _) => policy,
        };
        Admission {
            allow_written: table.map_or(spec.allow_written, |table| table.allow_written),
            policy,
            limits: SlowLimits {
                soft_bytes: spec.lag_soft_bytes,
                soft_ns: ns(spec.lag_soft_ms),
                hard_bytes: spec.lag_hard_bytes,
                hard_ns: ns(spec.lag_hard_ms),
            },
            name,
        }
    }

    /// The table of a subscriber, if it has one.
    pub(super) fn table(&self, name: &ClientId) -> Option<&ExportSubscriber> {
        let tables = &self.spec.subscribers;
        tables.iter().find(|table| table.id == name.as_str())
    }
}

fn policy(configured: Configured) -> SlowPolicy {
    match configured {
        Configured::Disconnect => SlowPolicy::Disconnect,
        Configured::SkipToLive => SlowPolicy::SkipToLive,
        Configured::Retain => SlowPolicy::Retain,
    }
}

fn ns(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}
