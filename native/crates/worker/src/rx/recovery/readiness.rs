//! Whether each source would answer now: what its last probe, or its last use, has shown, and when.

use serde_json::{Value, json};
use tickdeck_stats::{Builder, Gauge};

/// The sources, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rx) enum SourceName {
    /// A server of requests.
    Request,
    /// A stream that is resumed at a number.
    Stream,
    /// The journal of another host.
    Peer,
    /// A snapshot of the venue's state.
    Snapshot,
}

impl SourceName {
    const ALL: [Self; 4] = [Self::Request, Self::Stream, Self::Peer, Self::Snapshot];

    /// The source in metrics and answers.
    pub(in crate::rx) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Peer => "peer",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What is known of a source. The number is the metric's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum State {
    Unknown = 0,
    Ready = 1,
    Failed = 2,
    InUse = 3,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::InUse => "in_use",
        }
    }
}

/// The metrics of the sources.
pub(in crate::rx) struct ReadinessMetrics {
    by_source: [[Gauge; 3]; SourceName::ALL.len()],
}

impl ReadinessMetrics {
    pub(in crate::rx) fn new(builder: &mut Builder) -> Self {
        let by_source = SourceName::ALL.map(|source| {
            let labels = format!("source={}", source.name());
            [
                builder.state("recovery_source_state", "state", &labels),
                builder.gauge("recovery_source_probed_ns", "ns", &labels),
                builder.gauge("recovery_source_rtt_ns", "ns", &labels),
            ]
        });
        Self { by_source }
    }
}

/// What is known of every configured source.
pub(super) struct Readiness {
    sources: Vec<Known>,
    metrics: ReadinessMetrics,
}

struct Known {
    source: SourceName,
    protocol: &'static str,
    address: String,
    state: State,
    detail: String,
    /// UTC; 0: never.
    probed_ns: u64,
    rtt_ns: u64,
}

impl Readiness {
    pub(super) fn new(metrics: ReadinessMetrics) -> Self {
        Self {
            sources: Vec::new(),
            metrics,
        }
    }

    /// Adds a configured source, of which nothing is known yet.
    pub(super) fn add(&mut self, source: SourceName, protocol: &'static str, address: String) {
        self.sources.push(Known {
            source,
            protocol,
            address,
            state: State::Unknown,
            detail: "not probed yet".to_owned(),
            probed_ns: 0,
            rtt_ns: 0,
        });
    }

    /// It answered a probe.
    pub(super) fn ready(&mut self, source: SourceName, rtt_ns: u64, at_ns: u64) {
        self.set(source, State::Ready, String::new(), Some((at_ns, rtt_ns)));
    }

    /// It answered what it was asked in earnest, which times no round trip: the last one stays.
    pub(super) fn answered(&mut self, source: SourceName, at_ns: u64) {
        let known = self.sources.iter().find(|known| known.source == source);
        let rtt_ns = known.map_or(0, |known| known.rtt_ns);
        self.ready(source, rtt_ns, at_ns);
    }

    /// It did not; `detail` says what was seen.
    pub(super) fn failed(&mut self, source: SourceName, detail: String, at_ns: u64) {
        self.set(source, State::Failed, detail, Some((at_ns, 0)));
    }

    /// It is asked in earnest now.
    pub(super) fn in_use(&mut self, source: SourceName) {
        self.set(source, State::InUse, String::new(), None);
    }

    /// The answer of the op `recovery.sources`.
    pub(super) fn report(&self) -> Value {
        let sources: Vec<Value> = self
            .sources
            .iter()
            .map(|known| {
                json!({
                    "source": known.source.name(), "protocol": known.protocol,
                    "address": known.address, "state": known.state.name(),
                    "detail": known.detail, "probed_ns": known.probed_ns,
                    "rtt_ns": known.rtt_ns,
                })
            })
            .collect();
        json!({"sources": sources})
    }

    fn set(&mut self, source: SourceName, state: State, detail: String, probe: Option<(u64, u64)>) {
        let Some(known) = self.sources.iter_mut().find(|known| known.source == source) else {
            debug_assert!(false, "{source:?} is not configured");
            return;
        };
        if state == State::Failed && known.state != State::Failed {
            let (source, address) = (source.name(), &known.address);
            tracing::warn!(source, %address, %detail, "recovery source does not answer");
        }
        known.state = state;
        known.detail = detail;
        if let Some((at_ns, rtt_ns)) = probe {
            (known.probed_ns, known.rtt_ns) = (at_ns, rtt_ns);
        }
        let [shown_state, probed_ns, rtt] = &self.metrics.by_source[source as usize];
        shown_state.set(state as u64);
        probed_ns.set(known.probed_ns);
        rtt.set(known.rtt_ns);
    }
}
