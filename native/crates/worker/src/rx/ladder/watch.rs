//! The watcher: judges gaps, keeps the history of the host's counters, answers the report.
//!
//! It runs within the heartbeat of the main thread, which may read files. Verdicts are therefore
//! some tens of milliseconds later than their gap; the receive thread's counters are of the gap's
//! moment, those of the host of the verdict's.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

use rtrb::Consumer;
use serde_json::Value;
use tickdeck_net::Interface;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_stats::Counter;
use tickdeck_stats::reader::Reader;

use super::history::History;
use super::host::{HostCounts, HostReader};
use super::link::{Found, GapNote, Note, WatchEnd};
use super::own::OwnCounts;
use super::report::{self, LastVerdict, LineReport};
use super::verdict::{Losses, Verdict};
use super::{Count, Layer};

/// Time between two readings of the host.
const READ_INTERVAL_NS: u64 = 1_000_000_000;
/// Least time between two verdicts in the log.
const LOG_INTERVAL_NS: u64 = 100_000_000;

/// An operator's question.
pub(in crate::rx) struct ReportOrder {
    /// Gets the report.
    pub(in crate::rx) reply: SyncSender<Value>,
}

/// What the watcher shows in the stats file: what the layers of the host lost since the start.
pub(in crate::rx) struct HostMetrics {
    pub(in crate::rx) nic: Counter,
    pub(in crate::rx) softnet: Counter,
}

pub(in crate::rx) struct Watcher {
    end: WatchEnd,
    orders: Consumer<ReportOrder>,
    metrics: HostMetrics,
    lines: Vec<LineReport>,
    stats_path: PathBuf,
    host: HostReader,
    /// What was read first: growth since the start is counted from here.
    first_host: HostCounts,
    first_own: Option<OwnCounts>,
    hosts: History<HostCounts>,
    owns: History<OwnCounts>,
    last: Option<LastVerdict>,
    read_due_ns: u64,
    logged_ns: Option<u64>,
}

impl Watcher {
    /// Takes the first reading of the host.
    pub(in crate::rx) fn new(
        end: WatchEnd,
        orders: Consumer<ReportOrder>,
        metrics: HostMetrics,
        lines: Vec<LineReport>,
        interfaces: Vec<Interface>,
        stats_path: PathBuf,
    ) -> Self {
        let mut host = HostReader::new(interfaces);
        let first_host = host.read();
        for (layer, error) in &first_host.errors {
            tracing::warn!(
                layer = layer.name(),
                error,
                "drops of this layer cannot be seen: verdicts on gaps may be \"unknown\""
            );
        }
        let mut hosts = History::new();
        let now_ns = monotonic_ns();
        hosts.add(now_ns, first_host.clone());
        Self {
            end,
            orders,
            metrics,
            lines,
            stats_path,
            host,
            first_host,
            first_own: None,
            hosts,
            owns: History::new(),
            last: None,
            read_due_ns: now_ns + READ_INTERVAL_NS,
            logged_ns: None,
        }
    }

    /// Does what is due: readings, verdicts, reports.
    pub(in crate::rx) fn tick(&mut self) {
        if monotonic_ns() >= self.read_due_ns {
            self.read_host();
        }
        let mut is_read = false;
        while let Ok(note) = self.end.notes.pop() {
            match note {
                Note::Counts { at_ns, own } => {
                    let counts = own.counts();
                    self.first_own.get_or_insert(counts);
                    self.owns.add(at_ns, counts);
                    self.show_host(at_ns, &counts);
                }
                Note::Gap(gap) => {
                    if !std::mem::replace(&mut is_read, true) {
                        self.read_host();
                    }
                    self.judge(gap);
                }
            }
        }
        while let Ok(order) = self.orders.pop() {
            self.read_host();
            if order.reply.send(self.report()).is_err() {
                tracing::warn!("the operator who asked for a report did not wait for it");
            }
        }
    }

    fn read_host(&mut self) {
        let reading = self.host.read();
        let now_ns = monotonic_ns();
        self.hosts.add(now_ns, reading);
        self.read_due_ns = now_ns + READ_INTERVAL_NS;
    }

    /// Shows what the host lost by the newest reading that is no younger than the receive thread's
    /// of `at_ns`: what an XSK refused must be known before the interface's drops are believed.
    fn show_host(&self, at_ns: u64, own: &OwnCounts) {
        let (Some((_, host)), Some(first_own)) = (self.hosts.before(at_ns), &self.first_own) else {
            return;
        };
        let losses = Losses::between(&[(&self.first_host.counts, &host.counts), (first_own, own)]);
        let show = |counter: &Counter, layer| {
            // A counter of the host may start again; ours only grows.
            if let Some(lost) = losses.of(layer).filter(|lost| *lost > counter.get()) {
                counter.set(lost);
            }
        };
        show(&self.metrics.nic, Layer::Nic);
        show(&self.metrics.softnet, Layer::Softnet);
    }

    fn judge(&mut self, gap: GapNote) {
        let Some((losses, base_ns)) = self.losses_of(gap) else {
            return;
        };
        let verdict = losses.verdict();
        let now_ns = monotonic_ns();
        self.log(&gap, verdict, &losses, now_ns);
        let found = Found {
            id: gap.id,
            layer: verdict.code(),
            lost: verdict.count(),
        };
        if self.end.found.push(found).is_err() {
            tracing::warn!(
                gap = gap.id,
                "the receive thread does not take its verdicts"
            );
        }
        self.last = Some(LastVerdict {
            gap_id: gap.id,
            verdict,
            losses,
            at_ns: now_ns,
            base_ns,
        });
    }

    /// What every layer lost between the last reading before the gap and the one at the gap, and
    /// when the former was. `None` when the receive thread has told no reading, which it does
    /// before it tells a gap.
    fn losses_of(&self, gap: GapNote) -> Option<(Losses, u64)> {
        let (_, own_now) = self.owns.latest()?;
        let (own_ns, own_base) = self.owns.before(gap.since_ns)?;
        let (host_ns, host_base) = self.hosts.before(gap.since_ns)?;
        let (_, host_now) = self.hosts.latest()?;
        let losses = Losses::between(&[(&host_base.counts, &host_now.counts), (own_base, own_now)])
            // What it dropped behind this gap comes after it.
            .with(Layer::Arbiter, gap.hold_dropped);
        Some((losses, (*own_ns).min(*host_ns)))
    }

    fn log(&mut self, gap: &GapNote, verdict: Verdict, losses: &Losses, now_ns: u64) {
        let is_due = |at_ns| now_ns.saturating_sub(at_ns) >= LOG_INTERVAL_NS;
        if self.logged_ns.is_none_or(is_due) {
            self.logged_ns = Some(now_ns);
            let grown: Vec<String> = losses
                .grown()
                .map(|(layer, lost)| format!("{} {lost}", layer.name()))
                .collect();
            tracing::warn!(
                gap = gap.id,
                verdict = %verdict,
                grown = grown.join(", "),
                "both lines missed a gap; verdicts are logged ten times a second at most"
            );
        }
    }

    fn report(&self) -> Value {
        let empty = [];
        let own = |at: Option<&(u64, OwnCounts)>| at.map_or(empty.to_vec(), |(_, o)| o.to_vec());
        let now_ns = monotonic_ns();
        let minute_ago_ns = now_ns.saturating_sub(60 * 1_000_000_000);
        let (host_errors, host) = match self.hosts.latest() {
            Some((_, reading)) => (&reading.errors[..], &reading.counts[..]),
            None => (&[][..], &[][..]),
        };
        let host_minute = self.hosts.before(minute_ago_ns);
        let mut counters = report::counters(
            host,
            &self.first_host.counts,
            host_minute.map_or(&[], |(_, reading)| &reading.counts),
            host_errors,
        );
        counters.extend(report::counters(
            &own(self.owns.latest()),
            self.first_own.as_ref().map_or(&[], |counts| &counts[..]),
            &own(self.owns.before(minute_ago_ns)),
            &[],
        ));
        let (journal, error) = self.journal_overrun();
        // It counts from 0 at the start of the worker.
        let zero = [Count {
            value: Some(0),
            ..journal
        }];
        counters.extend(report::counters(&[journal], &zero, &[], &error));
        report::report(&self.lines, counters, self.last.as_ref(), now_ns)
    }

    /// Of the journal thread only the stats file tells.
    fn journal_overrun(&self) -> (Count, Vec<(Layer, String)>) {
        let name = "journal_overrun_total";
        let read = Reader::open(&self.stats_path).map_err(|error| error.to_string());
        let value = read.and_then(|reader| {
            let absent = || format!("{}: no {name}", self.stats_path.display());
            reader.value(name, "").ok_or_else(absent)
        });
        let count = Count::loss(Layer::Journal, "overrun", "records", value.clone().ok());
        (
            count,
            value
                .err()
                .map(|error| (Layer::Journal, error))
                .into_iter()
                .collect(),
        )
    }
}
