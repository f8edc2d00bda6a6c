//! Makes the parts, starts the threads, watches them and stops them in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use tickdeck_arbiter::Arbiter;
use tickdeck_journal::{Codec, OnFailure, SyncPolicy, Writer, WriterConfig};
use tickdeck_net::Receiver;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_ring::RingConfig;
use tickdeck_stats::Header;
use tickdeck_wire::ledger::LedgerNote;

use super::Metrics;
use super::capture::{self, Tap, order::CutOrder};
use super::drain::DrainDeadline;
use super::failure::{journal_failure, net_failure};
use super::gap_rows::GapRows;
use super::journal::{JournalThread, STILL_GROWING, undrained};
use super::journal_orders::JournalOrder;
use super::journal_watch::{JournalStatus, JournalWatch};
use super::ladder::link::{Asker, WatchEnd, link as ladder_link};
use super::ladder::report::LineReport;
use super::ladder::watch::{HostMetrics, ReportOrder, Watcher};
use super::lines::{OpenLines, open_lines};
use super::link::{ReceiveEnd, RecoveryEnd, link};
use super::merge::Merge;
use super::merge_orders::MergeOrder;
use super::metrics::ReceiveMetrics;
use super::opening::{open_journal, recovery_mode};
use super::protocol::Wire;
use super::publisher::Publisher;
use super::receive::ReceiveThread;
use super::recovery::{Order, Place, recovery_thread};
use super::recovery_ops;
use super::recovery_port::RecoveryPort;
use super::resume::{Beginning, begin, drain_old_ring};
use super::retention::{self, RetentionThread};
use crate::exit::{Code, Failure, chain};
use crate::lifecycle::StopFlag;
use crate::spec::{self, Spec, journal::WalCodec};

/// Gaps open at a time; beyond that packets behind a new gap are dropped and asked for later.
pub(super) const GAP_CAPACITY: usize = 1024;
/// Events that one call into the merge causes at most, short of a session's end.
const EVENTS_PER_CALL: usize = 4 * GAP_CAPACITY;
/// Orders that wait for a thread.
const ORDERS: usize = 8;
/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// How long the receive thread may take to begin.
const START_LIMIT: Duration = Duration::from_secs(10);
const NS_PER_MS: u64 = 1_000_000;

/// The queues between the threads.
pub(super) struct Queues {
    pub(super) recovery_orders: recovery_ops::Orders,
    pub(super) merge_orders: Producer<MergeOrder>,
    pub(super) journal_orders: Producer<JournalOrder>,
    pub(super) report_orders: Producer<ReportOrder>,
    pub(super) capture_orders: Option<SyncSender<CutOrder>>,
    pub(super) inner: InnerQueues,
}

/// The ends that the threads get.
pub(super) struct InnerQueues {
    recovery: Option<(ReceiveEnd, RecoveryEnd, Consumer<Order>)>,
    merge_orders: Consumer<MergeOrder>,
    journal_orders: Consumer<JournalOrder>,
    report_orders: Consumer<ReportOrder>,
    ladder: (Asker, WatchEnd),
    capture: Option<capture::Ends>,
}

impl Queues {
    pub(super) fn new(spec: &Spec) -> Result<Self, Failure> {
        let exchange = &spec.exchange;
        let (merge_orders, merge_inbox) = RingBuffer::new(ORDERS);
        let (journal_orders, journal_inbox) = RingBuffer::new(ORDERS);
        let (report_orders, report_inbox) = RingBuffer::new(ORDERS);
        let (mut recovery_orders, mut recovery) = (None, None);
        if exchange.recovery.has_source() {
            // Each hole lies behind something held or at the end of a gap.
            let most_holes = exchange.arbiter.hold_capacity_packets + 2 * GAP_CAPACITY;
            let (receive, inner) = link(most_holes, exchange.receive.max_packet_bytes)?;
            let (orders, inbox) = RingBuffer::new(ORDERS);
            recovery_orders = Some((orders, inner.wake.clone()));
            recovery = Some((receive, inner, inbox));
        }
        let (capture_orders, capture) = capture::link(&exchange.capture).unzip();
        let inner = InnerQueues {
            recovery,
            merge_orders: merge_inbox,
            journal_orders: journal_inbox,
            report_orders: report_inbox,
            ladder: ladder_link(),
            capture,
        };
        Ok(Self {
            recovery_orders,
            merge_orders,
            journal_orders,
            report_orders,
            capture_orders,
            inner,
        })
    }
}

/// The threads at work.
pub(super) struct Running {
    receive: JoinHandle<(u64, Result<(), Failure>)>,
    recovery: Option<JoinHandle<Result<(), Failure>>>,
    journal: JoinHandle<Result<(), Failure>>,
    journal_dir: PathBuf,
    drain: DrainDeadline,
    watcher: Watcher,
    journal_watch: JournalWatch,
    capture: Option<JoinHandle<()>>,
    retention: JoinHandle<()>,
    started: mpsc::Receiver<()>,
    recovery_stop: Arc<AtomicBool>,
    capture_stop: Arc<AtomicBool>,
    retention_stop: Arc<AtomicBool>,
    end: Arc<AtomicU64>,
}

/// Recovers the journal, makes the ring, opens the sockets, starts the threads.
pub(super) fn start(
    spec: &Spec,
    metrics: Metrics,
    queues: InnerQueues,
    header: &Header,
    stop: &StopFlag,
    drain: DrainDeadline,
) -> Result<Running, Failure> {
    let Log {
        writer,
        config,
        begun,
    } = open_log(spec)?;
    let ring = create_ring(spec, &writer)?;
    let ring_reader = tickdeck_ring::Reader::open(&spec.ring_path)
        .map_err(|error| Failure::failed(chain(&error)))?;
    let lines = open_lines(spec)?;
    let (port, recovery_end) = match queues.recovery {
        Some((receive, recovery, orders)) => {
            (Some(RecoveryPort::new(receive)), Some((recovery, orders)))
        }
        None => (None, None),
    };
    let (asker, watch_end) = queues.ladder;
    let orders = queues.report_orders;
    let watcher = make_watcher(spec, &lines, watch_end, orders, metrics.host)?;
    let recovery_stop = Arc::new(AtomicBool::new(false));
    let recovery = recovery_end
        .map(|(end, orders)| {
            let (counters, readiness) = (metrics.recovery, metrics.readiness);
            let place = Place {
                next_seq: writer.next_seq(),
                is_snapshot_cut: begun.is_snapshot_cut,
            };
            let stop = &recovery_stop;
            recovery_thread(spec, end, orders, counters, readiness, place, stop)
        })
        .transpose()?;
    let (tap, capture) = capture::open(spec, queues.capture, metrics.capture)?;
    let capture_stop = Arc::new(AtomicBool::new(false));
    let retention_stop = Arc::new(AtomicBool::new(false));
    let retention = RetentionThread {
        dir: config.dir.clone(),
        limits: retention::limits(&spec.exchange),
        session_wanted: Arc::default(),
        metrics: metrics.retention,
        unreadable: None,
    };
    let ends = MergeEnds {
        port,
        session_wanted: Arc::clone(&retention.session_wanted),
        asker,
        orders: queues.merge_orders,
        tap,
    };
    let receive = ReceiveThread {
        lines,
        merge: make_merge(spec, begun, ring, ends, metrics.receive)?,
        header: header.clone(),
        wait: spec.exchange.receive.wait,
        cpu: spec.exchange.receive.cpu,
        stop: stop.clone(),
        batch: spec.exchange.receive.batch,
        woken: false,
        show_due_ns: 0,
        beside_due_ns: 0,
    };
    let end = Arc::new(AtomicU64::new(STILL_GROWING));
    let journal_watch = JournalWatch {
        status: JournalStatus::of(&writer),
        gauge: metrics.journal_state,
    };
    let journal = JournalThread {
        ring: ring_reader,
        writer,
        config,
        orders: queues.journal_orders,
        metrics: metrics.journal,
        status: Arc::clone(&journal_watch.status),
        end: Arc::clone(&end),
        drain: drain.clone(),
    };
    let journal_dir = spec.exchange.journal.data_dir.clone();
    let (starting, started) = mpsc::channel();
    Ok(Running {
        journal: spawn("journal", move || journal.run())?,
        journal_dir,
        drain,
        recovery: recovery
            .map(|thread| spawn("recovery", move || thread.run()))
            .transpose()?,
        capture: capture
            .map(|thread| {
                let stop = Arc::clone(&capture_stop);
                spawn("capture", move || thread.run(&stop))
            })
            .transpose()?,
        retention: {
            let stop = Arc::clone(&retention_stop);
            spawn("retention", move || retention.run(&stop))?
        },
        receive: spawn("receive", move || receive.run(&starting))?,
        watcher,
        journal_watch,
        started,
        recovery_stop,
        capture_stop,
        retention_stop,
        end,
    })
}

impl Running {
    /// Returns when the receive thread polls its lines.
    pub(super) fn wait_until_started(&self) -> Result<(), Failure> {
        match self.started.recv_timeout(START_LIMIT) {
            Ok(()) => Ok(()),
            // Its own result, which goes first, says why.
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Failure::failed(
                "the receive thread ended before it polled a line",
            )),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Failure::failed(
                "the receive thread did not start within 10 s",
            )),
        }
    }

    /// Gives the heartbeat and watches for drops until the stop is set or a thread has ended.
    pub(super) fn watch(&mut self, header: &Header, stop: &StopFlag) {
        let has_ended =
            |thread: &Option<JoinHandle<_>>| thread.as_ref().is_some_and(JoinHandle::is_finished);
        while !(stop.is_set()
            || self.receive.is_finished()
            || self.journal.is_finished()
            || self.retention.is_finished()
            || has_ended(&self.recovery)
            || self.capture.as_ref().is_some_and(JoinHandle::is_finished))
        {
            header.heartbeat(monotonic_ns());
            self.journal_watch.tick(monotonic_ns());
            self.watcher.tick();
            thread::sleep(HEARTBEAT);
        }
    }

    /// Leaves the groups, stops the recovery, has the rest of the ring journalled and sealed.
    /// Returns the first failure of any thread; a journal whose device hangs is not waited for.
    pub(super) fn stop(self, header: &Header, stop: &StopFlag) -> Result<(), Failure> {
        stop.set();
        // Nobody answers its orders any more.
        drop(self.watcher);
        // A receive thread that panicked has no end to tell: what it left in the ring is read by
        // the next incarnation.
        let (end_seq, received) = joined("receive", self.receive).unwrap_or_else(|f| (0, Err(f)));
        self.recovery_stop.store(true, Ordering::Relaxed);
        let recovered = match self.recovery {
            Some(thread) => joined("recovery", thread).and_then(|result| result),
            None => Ok(()),
        };
        self.capture_stop.store(true, Ordering::Release);
        self.retention_stop.store(true, Ordering::Release);
        self.end.store(end_seq, Ordering::Release);
        let is_cutting = || self.capture.as_ref().is_some_and(|it| !it.is_finished());
        let since_ns = monotonic_ns();
        while !self.journal.is_finished() || is_cutting() {
            let now_ns = monotonic_ns();
            header.heartbeat(now_ns);
            self.journal_watch.tick(now_ns);
            let given_up = self.journal_watch.given_up(since_ns, now_ns, &self.drain);
            if let Some((durable_seq, cause)) = given_up {
                let stuck = Err(undrained(&self.journal_dir, end_seq, durable_seq, cause));
                return received.and(recovered).and(stuck);
            }
            thread::sleep(Duration::from_millis(5));
        }
        let journalled = joined("journal", self.journal).and_then(|result| result);
        if journalled.is_err() {
            self.journal_watch.failed();
        }
        let captured = self.capture.map_or(Ok(()), |it| joined("capture", it));
        let retained = joined("retention", self.retention);
        received
            .and(recovered)
            .and(journalled)
            .and(captured)
            .and(retained)
    }
}

/// The journal, continued, and where the merge goes on.
struct Log {
    writer: Writer,
    config: WriterConfig,
    begun: Beginning,
}

fn open_log(spec: &Spec) -> Result<Log, Failure> {
    let journal = &spec.exchange.journal;
    let wire = Wire::of(&spec.exchange);
    let mut config = WriterConfig::new(
        &journal.data_dir,
        journal.segment_size_bytes,
        sync_policy(journal)?,
        wire.schema_id(),
    );
    config.segment_max_age_ms = journal.segment_max_age_ms;
    config.on_failure = match journal.on_failure {
        spec::journal::OnFailure::Degrade => OnFailure::Degrade,
        spec::journal::OnFailure::Halt => OnFailure::Halt,
    };
    if journal.compress_wal {
        config.codec = match journal.codec {
            WalCodec::Lz4 => Codec::Lz4,
            WalCodec::Zstd => Codec::Zstd,
        };
    }
    let opened = open_journal(&config, recovery_mode(journal.recovery_mode));
    let (mut writer, report) = opened.map_err(|error| journal_failure(&error))?;
    let drained =
        drain_old_ring(&spec.ring_path, &mut writer).map_err(|error| journal_failure(&error))?;
    // The reader below sees only what was handed to the kernel.
    writer.flush().map_err(|error| journal_failure(&error))?;
    let begun = begin(&config.dir, spec.exchange.recovery.start_at, wire)
        .map_err(|error| journal_failure(&error))?;
    tracing::info!(
        clean = report.clean,
        next_seq = writer.next_seq(),
        from_old_ring = drained.records,
        lost_in_old_ring = drained.lost,
        start = ?begun.start,
        "journal opened"
    );
    Ok(Log {
        writer,
        config,
        begun,
    })
}

fn sync_policy(journal: &spec::Journal) -> Result<SyncPolicy, Failure> {
    let name = match journal.sync_policy {
        spec::SyncPolicy::Os => "os",
        spec::SyncPolicy::Interval => "interval",
        spec::SyncPolicy::Batch => "batch",
        spec::SyncPolicy::Always => "always",
    };
    SyncPolicy::from_name(name, journal.fsync_interval_ms).map_err(|error| journal_failure(&error))
}

fn create_ring(spec: &Spec, writer: &Writer) -> Result<tickdeck_ring::Writer, Failure> {
    let exchange = &spec.exchange;
    let longest = exchange
        .receive
        .max_packet_bytes
        .max(SHORTEST_SLOT)
        .next_multiple_of(8);
    let slot_bytes = u32::try_from(longest)
        .map_err(|_| Failure::new(Code::Config, "receive.max_packet_bytes is beyond 32 bits"))?;
    let config = RingConfig {
        slot_count: exchange.ring.slot_count,
        slot_bytes,
        start_seq: writer.next_seq(),
        log_id: writer.log_id(),
        incarnation: spec.incarnation_bytes()?,
    };
    tickdeck_ring::Writer::create(&spec.ring_path, &config)
        .map_err(|error| Failure::failed(chain(&error)))
}

/// The merge's ends of its queues with other threads.
struct MergeEnds {
    session_wanted: Arc<AtomicBool>,
    port: Option<RecoveryPort>,
    asker: Asker,
    orders: Consumer<MergeOrder>,
    tap: Option<Tap>,
}

fn make_merge(
    spec: &Spec,
    begun: Beginning,
    ring: tickdeck_ring::Writer,
    ends: MergeEnds,
    metrics: ReceiveMetrics,
) -> Result<Merge, Failure> {
    let exchange = &spec.exchange;
    let window = &exchange.arbiter;
    let arbiter = Arbiter::new(tickdeck_arbiter::Config {
        lines: exchange.lines.len(),
        reorder_window_ns: window.reorder_window_ns,
        // A window that is set shorter than the usual shortest is that short.
        reorder_window_min_ns: window.reorder_window_min_ns.min(window.reorder_window_ns),
        reorder_window_packets: window.reorder_window_packets as usize,
        hold_capacity_packets: exchange.arbiter.hold_capacity_packets,
        max_packet_bytes: exchange.receive.max_packet_bytes,
        gap_capacity: GAP_CAPACITY,
        session_takeover_ns: exchange.arbiter.session_takeover_ms * NS_PER_MS,
        start: begun.start,
        ..tickdeck_arbiter::Config::default()
    })
    .map_err(|error| Failure::new(Code::Config, format!("exchange.arbiter: {error}")))?;
    Ok(Merge {
        framing: begun.framing,
        arbiter,
        publisher: Publisher::new(
            ring,
            exchange.channel,
            metrics.ring,
            metrics.race,
            EVENTS_PER_CALL,
        ),
        rows: GapRows::new(
            metrics.gaps,
            spec.incarnation_bytes()?,
            exchange.channel,
            GAP_CAPACITY,
        ),
        asker: ends.asker,
        orders: ends.orders,
        session_wanted: ends.session_wanted,
        port: ends.port,
        policy: exchange.recovery.unrecoverable_policy,
        lines: metrics.lines,
        receivers: metrics.receivers,
        metrics: metrics.merge,
        race: metrics.lines_race,
        requests_dropped: metrics.requests_dropped,
        stop_target: None,
        is_loading: false,
        position_due_ns: 0,
        hopeless: Vec::with_capacity(GAP_CAPACITY),
        loss_logged_ns: None,
        failure: None,
        tap: ends.tap,
    })
}

fn make_watcher(
    spec: &Spec,
    lines: &[OpenLines],
    end: WatchEnd,
    orders: Consumer<ReportOrder>,
    metrics: HostMetrics,
) -> Result<Watcher, Failure> {
    let configured = &spec.exchange.lines;
    let mut reports = Vec::with_capacity(configured.len());
    let mut interfaces = Vec::with_capacity(configured.len());
    for line in configured {
        let is_its = |open: &&OpenLines| open.numbers.contains(&line.name.index());
        for (receiver, open) in (1..).zip(lines).filter(|(_, open)| is_its(open)) {
            reports.push(LineReport {
                line: line.name.label(),
                receiver,
                rung: open.receiver.rung(),
                rungs: open.rungs.clone(),
            });
        }
        let interface = tickdeck_net::find_interface(&line.interface);
        interfaces.push(interface.map_err(|error| net_failure(&error))?);
    }
    let stats = spec
        .runtime_dir
        .join(format!("stats.{}.dat", spec.incarnation));
    Ok(Watcher::new(
        end, orders, metrics, reports, interfaces, stats,
    ))
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Failure::failed(format!("start the {name} thread: {error}")))
}

fn joined<T>(name: &str, thread: JoinHandle<T>) -> Result<T, Failure> {
    let panicked = |_| {
        Failure::failed(format!(
            "the {name} thread panicked; its last words are in the log"
        ))
    };
    thread.join().map_err(panicked)
}

/// Enough for the longest event.
const SHORTEST_SLOT: usize = LedgerNote::MAX_LEN;

#[cfg(test)]
mod steady_tests;
#[cfg(test)]
mod stopping_tests;
