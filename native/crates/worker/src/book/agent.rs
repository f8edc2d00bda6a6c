//! The thread that owns the books: records, queries, snapshots, in turns.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use serde_json::json;
use tickdeck_book::{BooksConfig, Phase, TickRules};
use tickdeck_net::clock;
use tickdeck_stats::{Header, State};

use super::answers::{BookDepth, BookList, DepthKind};
use super::checkpoints::Own;
use super::commands::{Answer, DrainDeadline, LIST_LIMIT, Query, Request};
use super::feed::{Feed, Stage};
use super::handover::Handover;
use super::metrics::Metrics;
use super::patrol::Patrol;
use super::snapshots::{Snapshots, Written};
use super::venue::{BookChannel, VenueKind};
use crate::control::ControlError;
use crate::exit::Failure;
use crate::idle::Idle;
use crate::lifecycle::{self, StopFlag};

/// Queries answered between two batches.
const QUERIES_PER_PASS: usize = 4;

/// A pass without work costs a sleep of this,
const IDLE_SLEEP: Duration = Duration::from_micros(50);

/// and after so many of them in a row a longer one: a quiet channel costs next to nothing.
const SHORT_SLEEPS: u32 = 200;
const QUIET_SLEEP: Duration = Duration::from_micros(300);

/// Numbers are published after work, and otherwise as often as this.
const PUBLISH_NS: u64 = 10_000_000;

/// How long the last snapshot of a drain may take to reach the disk.
const LAST_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of the agent.
pub(crate) struct Settings {
    /// Whose books.
    pub(crate) venue: VenueKind,
    /// Sizes of the books.
    pub(crate) books: BooksConfig,
    /// The configured ticks of the instruments.
    pub(crate) ticks: TickRules,
    /// Time between two snapshots while something changes.
    pub(crate) snapshot_interval_ns: u64,
    /// Messages between two checkpoints; 0: none is taken.
    pub(crate) checkpoint_messages: u64,
    /// Descriptor that gets a newline when the worker is ready.
    pub(crate) ready_fd: Option<u32>,
}

/// Everything that the thread owns.
pub(crate) struct Agent {
    pub(crate) settings: Settings,
    pub(crate) feed: Feed,
    pub(crate) snapshots: Snapshots,
    pub(crate) handover: Handover,
    pub(crate) patrol: Patrol,
    pub(crate) metrics: Metrics,
    pub(crate) header: Header,
    pub(crate) requests: Receiver<Request>,
    pub(crate) stop: StopFlag,
    pub(crate) drain_deadline: DrainDeadline,
}

/// The agent at work: the books exist.
struct Duty {
    agent: Agent,
    channel: BookChannel,
    /// A snapshot was looked for, or there is none to look for.
    is_restored: bool,
    is_ready: bool,
    shown: Option<(State, Stage)>,
    publish_due_ns: u64,
    snapshot_due_ns: u64,
    last_snapshot: Option<Written>,
    /// Cursor of the last snapshot that was begun.
    snapshot_cursor: u64,
    /// Messages after which the next checkpoint is taken.
    checkpoint_due: u64,
    /// Who waits for the snapshot being written, and who for the next one.
    waiting: Vec<Request>,
    asked: Vec<Request>,
}

impl Agent {
    /// Works until the stop flag is set, then drains.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut channel = self.settings.venue.channel(self.settings.books);
        let rules = self.settings.ticks.clone();
        channel.books_mut().configure_ticks(rules);
        let snapshot_cursor = channel.cursor();
        let mut duty = Duty {
            agent: self,
            channel,
            is_restored: false,
            is_ready: false,
            shown: None,
            publish_due_ns: 0,
            snapshot_due_ns: 0,
            last_snapshot: None,
            snapshot_cursor,
            checkpoint_due: 0,
            waiting: Vec::new(),
            asked: Vec::new(),
        };
        let mut idle = Idle::new(0, 32, IDLE_SLEEP);
        let mut quiet = 0_u32;
        while !duty.agent.stop.is_set() {
            let count = duty.do_work()?;
            quiet = if count > 0 {
                0
            } else {
                quiet.saturating_add(1)
            };
            if quiet > SHORT_SLEEPS {
                thread::sleep(QUIET_SLEEP);
            } else {
                idle.idle(count);
            }
        }
        duty.drain()
    }
}

impl Duty {
    /// One pass; returns how much was done.
    fn do_work(&mut self) -> Result<usize, Failure> {
        let now_ns = clock::monotonic_ns();
        let mut count = self.answer_queries();
        if self.is_restored {
            count += self
                .agent
                .feed
                .poll(&mut self.channel, &self.agent.metrics, now_ns);
        } else if self.agent.feed.open_log(now_ns).is_some() {
            self.restore(now_ns);
            count += 1;
        }
        let phase = self.agent.feed.phase(now_ns);
        self.channel.books_mut().set_phase(phase);
        count += self.take_snapshots(now_ns);
        count += self.take_checkpoint(phase);
        let channel = &mut self.channel;
        count += self.agent.patrol.walk(channel, now_ns, count > 0);
        self.publish(now_ns, count > 0);
        self.announce()?;
        Ok(count)
    }

    fn restore(&mut self, now_ns: u64) {
        let Agent {
            feed,
            snapshots,
            metrics,
            settings,
            ..
        } = &mut self.agent;
        let (restored, refused) = snapshots.restore(feed, settings.venue, settings.books);
        metrics.snapshot_errors.add(refused);
        if let Some(channel) = restored {
            self.snapshot_cursor = channel.cursor();
            self.channel = channel;
            self.channel
                .books_mut()
                .configure_ticks(settings.ticks.clone());
        }
        self.is_restored = true;
        self.snapshot_due_ns = now_ns + self.agent.settings.snapshot_interval_ns;
    }

    fn publish(&mut self, now_ns: u64, worked: bool) {
        let Agent {
            feed,
            snapshots,
            metrics,
            header,
            handover,
            patrol,
            ..
        } = &self.agent;
        header.progress();
        if worked || now_ns >= self.publish_due_ns {
            self.publish_due_ns = now_ns + PUBLISH_NS;
            metrics.publish(&self.channel, feed, snapshots);
            metrics.publish_checks(feed.checkpoints(), handover, patrol);
        }
        if worked && feed.stage() == Stage::Ring {
            header.last_packet(now_ns);
        }
        let state = if self.is_ready {
            State::Ready
        } else {
            State::Starting
        };
        if self.shown != Some((state, feed.stage())) {
            header.set_sub_state(state, feed.stage() as u32);
            self.shown = Some((state, feed.stage()));
        }
    }

    /// READY, once: the ring is attached and its end was reached.
    fn announce(&mut self) -> Result<(), Failure> {
        if self.is_ready
            || self.agent.feed.stage() != Stage::Ring
            || !self.agent.feed.is_caught_up()
        {
            return Ok(());
        }
        self.is_ready = true;
        let messages = self.channel.books().counters().messages;
        self.checkpoint_due = messages.saturating_add(self.agent.settings.checkpoint_messages);
        self.agent
            .header
            .set_sub_state(State::Ready, Stage::Ring as u32);
        tracing::info!(cursor = self.channel.cursor(), "ready");
        lifecycle::announce_ready(self.agent.settings.ready_fd)
    }

    fn answer_queries(&mut self) -> usize {
        let mut count = 0;
        while count < QUERIES_PER_PASS
            && let Ok(request) = self.agent.requests.try_recv()
        {
            count += 1;
            match &request.query {
                Query::Status => {
                    let status = self.status();
                    request.answer(Ok(status));
                }
                Query::List { hashes, offset } => {
                    let list = self.list(*hashes, *offset);
                    request.answer(Ok(list));
                }
                Query::Depth {
                    symbol,
                    kind,
                    levels,
                } => {
                    let depth = self.depth(symbol, *kind, *levels);
                    request.answer(depth);
                }
                Query::Snapshot if self.agent.feed.log_id().is_none() => {
                    let text = "there is no journal yet that a snapshot could refer to";
                    request.answer(Err(ControlError::new("WRONG_STATE", text)));
                }
                Query::Snapshot => self.asked.push(request),
                Query::Check { .. } => self.agent.patrol.ask(&self.channel, request),
            }
        }
        count
    }

    fn list(&self, hashes: bool, offset: usize) -> Answer {
        Answer::List(BookList::of(&self.channel, hashes, offset, LIST_LIMIT))
    }

    fn depth(
        &self,
        symbol: &str,
        kind: Option<DepthKind>,
        levels: usize,
    ) -> Result<Answer, ControlError> {
        let depth = BookDepth::of(&self.channel, symbol, kind, levels).ok_or_else(|| {
            let text = format!("there is no such book of {symbol:?}; book.list names them");
            ControlError::new("NOT_FOUND", text)
        })?;
        Ok(Answer::Depth(Box::new(depth)))
    }

    fn status(&self) -> Answer {
        let (feed, books) = (&self.agent.feed, self.channel.books());
        let trust = books.channel_trust();
        Answer::Facts(json!({
            "state": self.state_name(),
            "stage": feed.stage().name(),
            "problem": feed.problem(),
            "cursor": self.channel.cursor(),
            "lag_records": feed.lag(self.channel.cursor()),
            "session": self.channel.session().map(|session| session.to_string()),
            "session_ended": self.channel.session_ended(),
            "next_sequence": self.channel.next_sequence(),
            "messages": books.counters().messages,
            "records": self.channel.counters().records,
            "sequence_errors": self.channel.counters().sequence_errors,
            "lost_messages": self.channel.counters().lost_messages,
            "faults": books.counters().faults_total(),
            "books": books.len() + books.price_books().len(),
            "orders": books.order_count(),
            "suspect": books.suspect_count(),
            "trust": trust.name(),
            "suspect_since": trust.doubt().map(|doubt| doubt.since),
            "suspect_cause": trust.doubt().map(|doubt| doubt.cause.name()),
            "snapshot": self.last_snapshot.as_ref().map(snapshot_json),
        }))
    }

    fn state_name(&self) -> &'static str {
        match (self.agent.stop.is_set(), self.is_ready) {
            (true, _) => "DRAINING",
            (false, true) => "READY",
            (false, false) => "STARTING",
        }
    }

    /// Ends finished snapshots and begins those that are due or asked for.
    fn take_snapshots(&mut self, now_ns: u64) -> usize {
        let mut count = 0;
        if let Some(written) = self.agent.snapshots.finished() {
            self.on_written(written);
            count += 1;
        }
        let is_due =
            now_ns >= self.snapshot_due_ns && self.channel.cursor() != self.snapshot_cursor;
        if (is_due || !self.asked.is_empty()) && self.agent.snapshots.is_idle() {
            self.begin_snapshot(now_ns);
            count += 1;
        }
        count
    }

    /// Takes a checkpoint when enough messages were applied and nothing is being caught up with, and
    /// hands it to the receiver. Called between two records.
    fn take_checkpoint(&mut self, phase: Phase) -> usize {
        let every = self.agent.settings.checkpoint_messages;
        let Agent {
            feed,
            handover,
            metrics,
            ..
        } = &mut self.agent;
        if handover.finished() == Some(true) {
            metrics.checkpoints.add(1);
        }
        let messages = self.channel.books().counters().messages;
        let is_live = phase == Phase::Live && self.is_ready && !self.channel.is_loading();
        if every == 0 || messages < self.checkpoint_due || !is_live || !handover.is_idle() {
            return 0;
        }
        let Some(log_id) = feed.log_id() else {
            return 0;
        };
        self.checkpoint_due = messages.saturating_add(every);
        let own = Own::of(&self.channel);
        feed.checkpoints_mut().remember(own);
        handover.give(log_id, own.checkpoint);
        1
    }

    fn begin_snapshot(&mut self, now_ns: u64) {
        // Books that a venue's snapshot is just filling are not worth keeping.
        let is_usable = self.is_restored && !self.channel.is_loading();
        let Some(log_id) = self.agent.feed.log_id().filter(|_| is_usable) else {
            return;
        };
        self.snapshot_due_ns = now_ns + self.agent.settings.snapshot_interval_ns;
        if self
            .agent
            .snapshots
            .begin(&self.channel, &log_id, clock::realtime_ns())
        {
            self.snapshot_cursor = self.channel.cursor();
            self.waiting.append(&mut self.asked);
        }
    }

    fn on_written(&mut self, written: Written) {
        let metrics = &self.agent.metrics;
        match &written.result {
            Ok(path) => {
                metrics.snapshots.add(1);
                metrics.snapshot_bytes.set(written.bytes as u64);
                tracing::debug!(path = %path.display(), cursor = written.cursor, "snapshot");
            }
            Err(error) => {
                metrics.snapshot_errors.add(1);
                tracing::error!(error, cursor = written.cursor, "snapshot not written");
            }
        }
        for request in self.waiting.drain(..) {
            request.answer(match &written.result {
                Ok(_) => Ok(Answer::Facts(snapshot_json(&written))),
                Err(error) => Err(ControlError::new("UNAVAILABLE", error.clone())),
            });
        }
        self.last_snapshot = Some(written);
    }

    /// Applies what the ring holds now, writes a last snapshot, and leaves.
    fn drain(mut self) -> Result<(), Failure> {
        self.agent.header.set_state(State::Draining);
        let goal = self.channel.cursor() + self.agent.feed.lag(self.channel.cursor());
        let deadline = self.agent.drain_deadline.get();
        let begun_ns = clock::monotonic_ns();
        tracing::info!(cursor = self.channel.cursor(), goal, "draining");
        let deadline_ns = begun_ns.saturating_add(deadline.as_nanos() as u64);
        loop {
            let now_ns = clock::monotonic_ns();
            self.answer_queries();
            let is_done = !self.is_restored || self.channel.cursor() >= goal;
            if is_done || now_ns >= deadline_ns {
                break;
            }
            if self
                .agent
                .feed
                .poll(&mut self.channel, &self.agent.metrics, now_ns)
                == 0
            {
                thread::sleep(IDLE_SLEEP);
            }
        }
        self.finish_snapshot();
        if self.channel.cursor() != self.snapshot_cursor || !self.asked.is_empty() {
            self.begin_snapshot(clock::monotonic_ns());
            self.finish_snapshot();
        }
        let Agent {
            feed,
            snapshots,
            metrics,
            handover,
            patrol,
            ..
        } = &self.agent;
        metrics.publish(&self.channel, feed, snapshots);
        metrics.publish_checks(feed.checkpoints(), handover, patrol);
        match &self.last_snapshot {
            Some(Written {
                result: Err(error), ..
            }) => Err(Failure::failed(format!(
                "last snapshot not written: {error}"
            ))),
            _ => Ok(()),
        }
    }

    fn finish_snapshot(&mut self) {
        if let Some(written) = self.agent.snapshots.wait(LAST_SNAPSHOT_TIMEOUT) {
            self.on_written(written);
        }
    }
}

fn snapshot_json(written: &Written) -> serde_json::Value {
    let (path, error) = match &written.result {
        Ok(path) => (Some(path.display().to_string()), None),
        Err(error) => (None, Some(error)),
    };
    json!({"cursor": written.cursor, "bytes": written.bytes, "path": path, "error": error})
}
