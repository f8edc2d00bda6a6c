//! The sim's numbers in its stats file; without a runtime directory they go nowhere.

use tickdeck_net::clock::monotonic_ns;
use tickdeck_sim::RequestCounters;
use tickdeck_sim::faults::{LINE_COUNT, LineCounters};
use tickdeck_stats::{Builder, Counter, Gauge, Header};

const LINE_LABELS: [&str; LINE_COUNT] = ["line=A", "line=B"];

/// Values of both threads.
#[derive(Default)]
pub(super) struct Meters {
    pub(super) play: Option<PlayMeters>,
    pub(super) requests: Option<RequestMeters>,
}

/// Written by the player.
pub(super) struct PlayMeters {
    header: Header,
    messages_sent: Counter,
    next_sequence: Gauge,
    faults_active: Gauge,
    state: Gauge,
    lines: [LineMeters; LINE_COUNT],
}

struct LineMeters {
    packets_sent: Counter,
    packets_dropped: Counter,
    messages_dropped: Counter,
    packets_duplicated: Counter,
    packets_reordered: Counter,
    packets_delayed: Counter,
}

/// Written by the request server.
pub(super) struct RequestMeters {
    requests: Counter,
    answers: Counter,
    messages: Counter,
    refused: [Counter; 4],
}

/// What the player knows.
pub(super) struct PlayFacts<'a> {
    pub(super) next_sequence: u64,
    pub(super) faults_active: u64,
    pub(super) state: u64,
    pub(super) packets_sent: [u64; LINE_COUNT],
    pub(super) lines: [&'a LineCounters; LINE_COUNT],
}

/// The values, before the file exists.
pub(super) struct Declared {
    messages_sent: Counter,
    next_sequence: Gauge,
    faults_active: Gauge,
    state: Gauge,
    lines: [LineMeters; LINE_COUNT],
    requests: RequestMeters,
}

impl Declared {
    /// Declares all values.
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        let messages_sent = builder.counter("sim_messages_sent_total", "messages", "");
        let next_sequence = builder.gauge("sim_next_sequence", "sequence", "");
        let faults_active = builder.gauge("sim_faults_active", "faults", "");
        let state = builder.state("sim_state", "state", "");
        let lines = LINE_LABELS.map(|labels| LineMeters::new(builder, labels));
        builder.begin_thread();
        let requests = RequestMeters::new(builder);
        Self {
            messages_sent,
            next_sequence,
            faults_active,
            state,
            lines,
            requests,
        }
    }

    /// The meters, once the file exists.
    pub(super) fn publish(self, header: Header) -> Meters {
        let play = PlayMeters {
            header,
            messages_sent: self.messages_sent,
            next_sequence: self.next_sequence,
            faults_active: self.faults_active,
            state: self.state,
            lines: self.lines,
        };
        Meters {
            play: Some(play),
            requests: Some(self.requests),
        }
    }
}

impl PlayMeters {
    /// Writes everything; called every few milliseconds.
    pub(super) fn publish(&self, facts: &PlayFacts<'_>) {
        self.messages_sent.set(facts.next_sequence - 1);
        self.next_sequence.set(facts.next_sequence);
        self.faults_active.set(facts.faults_active);
        self.state.set(facts.state);
        for (index, line) in self.lines.iter().enumerate() {
            line.packets_sent.set(facts.packets_sent[index]);
            line.publish(facts.lines[index]);
        }
        self.header.progress();
        self.header.heartbeat(monotonic_ns());
    }
}

impl LineMeters {
    fn new(builder: &mut Builder, labels: &str) -> Self {
        let mut packets = |name| builder.counter(name, "packets", labels);
        let packets_sent = packets("sim_packets_sent_total");
        let packets_dropped = packets("sim_packets_dropped_total");
        let packets_duplicated = packets("sim_packets_duplicated_total");
        let packets_reordered = packets("sim_packets_reordered_total");
        let packets_delayed = packets("sim_packets_delayed_total");
        let messages_dropped = builder.counter("sim_messages_dropped_total", "messages", labels);
        Self {
            packets_sent,
            packets_dropped,
            messages_dropped,
            packets_duplicated,
            packets_reordered,
            packets_delayed,
        }
    }

    fn publish(&self, counters: &LineCounters) {
        self.packets_dropped
            .set(counters.packets_dropped + counters.packets_overflowed);
        self.messages_dropped.set(counters.messages_dropped);
        self.packets_duplicated.set(counters.packets_duplicated);
        self.packets_reordered.set(counters.packets_reordered);
        self.packets_delayed.set(counters.packets_delayed);
    }
}

impl RequestMeters {
    fn new(builder: &mut Builder) -> Self {
        let requests = builder.counter("sim_requests_total", "requests", "");
        let answers = builder.counter("sim_request_packets_sent_total", "packets", "");
        let messages = builder.counter("sim_request_messages_sent_total", "messages", "");
        let refused = ["invalid", "wrong_session", "beyond_sent", "stopped"].map(|reason| {
            let labels = format!("reason={reason}");
            builder.counter("sim_requests_refused_total", "requests", &labels)
        });
        Self {
            requests,
            answers,
            messages,
            refused,
        }
    }

    /// Writes everything; called after each request.
    pub(super) fn publish(&self, counters: &RequestCounters) {
        self.requests.set(counters.requests);
        self.answers.set(counters.answers);
        self.messages.set(counters.messages);
        let RequestCounters {
            invalid,
            wrong_session,
            beyond_sent,
            stopped,
            ..
        } = *counters;
        for (meter, count) in
            self.refused
                .iter()
                .zip([invalid, wrong_session, beyond_sent, stopped])
        {
            meter.set(count);
        }
    }
}
