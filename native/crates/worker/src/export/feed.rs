//! The thread that serves subscribers: one cursor each, non-blocking sockets, one wait for all.
//!
//! Nobody waits for anybody here: a turn of one subscriber is bounded in bytes read and bytes sent,
//! and what it does not take stays in the log.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, Timespec, poll};
use serde_json::Value;
use tickdeck_export::auth::ClientId;
use tickdeck_export::message::ErrorCode;
use tickdeck_export::provider::{
    CloseReason, Event, Head, HeadHistory, LogView, Roster, Seat, SlowPolicy,
};
use tickdeck_journal::{JournalError, Tail, TailEnd};
use tickdeck_net::clock::monotonic_ns;

use super::admission::Admissions;
use super::audit::Audit;
use super::guest::Guest;
use super::marks::{Mark, Marks};
use super::metrics::FeedMetrics;
use super::pins::PinBoard;
use super::sight::SharedSight;
use super::subscriber::{Done, Shelf, Subscriber};
use crate::exit::Failure;
use crate::lifecycle::StopFlag;

/// Rows of `export.subscribers`, as of the last tenth of a second.
pub(super) type Rows = Arc<Mutex<Vec<Value>>>;

/// The wait while somebody follows the end of the log: its growth is looked for, not told.
const LIVE_WAIT_NS: u64 = 500_000;
const IDLE_WAIT_NS: u64 = 10_000_000;
const REPORT_NS: u64 = 100_000_000;
/// Ended subscribers that are still shown.
const SHOWN_ENDED: usize = 16;
/// Ended subscribers whose last bytes are on the way, at most.
pub(super) const MAX_CLOSING: usize = 64;

/// What the thread is made of.
pub(super) struct Feed {
    pub(super) marks: Marks,
    pub(super) sight: SharedSight,
    pub(super) admissions: Admissions,
    pub(super) guests: Receiver<Guest>,
    pub(super) metrics: FeedMetrics,
    pub(super) audit: Audit,
    pub(super) rows: Rows,
    pub(super) pins: PinBoard,
    pub(super) stop: StopFlag,
    pub(super) drain_ns: Box<dyn Fn() -> u64 + Send>,
}

/// What changes while it works.
struct Hall {
    log: LogView,
    /// When the look began that `log` and `tail` are from.
    seen_ns: u64,
    tail: Option<Tail>,
    mark: Mark,
    /// Failed looks since the last sentence about them, and when the next one may be said.
    failed_looks: u64,
    complain_ns: u64,
    history: HeadHistory,
    roster: Roster,
    subscribers: Vec<Subscriber>,
    ended: VecDeque<Value>,
    report_ns: u64,
    /// When a stop is over, whatever is left.
    stop_ns: Option<u64>,
}

impl Feed {
    /// Works until a stop, and until what was available then is acknowledged or its time is over.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let mut hall = Hall {
            log: LogView::default(),
            seen_ns: 0,
            tail: None,
            mark: Mark::default(),
            failed_looks: 0,
            complain_ns: 0,
            history: HeadHistory::default(),
            roster: Roster::new(self.admissions.max_subscribers()),
            subscribers: Vec::new(),
            ended: VecDeque::new(),
            report_ns: 0,
            stop_ns: None,
        };
        loop {
            let now_ns = monotonic_ns();
            let gone = self.welcome(now_ns, &mut hall);
            self.look(now_ns, &mut hall)?;
            if self.stop.is_set() && hall.stop_ns.is_none() {
                self.begin_stop(now_ns, &mut hall);
            }
            let busy = self.turn(now_ns, &mut hall);
            self.report(now_ns, &mut hall);
            if let Some(stop_ns) = hall.stop_ns
                && gone
                && (hall.subscribers.is_empty() || now_ns >= stop_ns)
            {
                return Ok(());
            }
            wait(&hall.subscribers, hall.seen_ns, busy)?;
        }
    }

    /// Takes down how far the log goes now. What cannot be read now stays as it was seen last:
    /// those who are served go on.
    fn look(&mut self, now_ns: u64, hall: &mut Hall) -> Result<(), Failure> {
        match self.marks.read(now_ns) {
            Ok(mark) => hall.mark = mark,
            Err(error) => self.complain(now_ns, hall, &error),
        }
        // A subscription is judged by the log as it is now, not as it was a second ago.
        let shelf = shelf(&self.sight, &hall.log, &hall.history, hall.seen_ns);
        let subscribes = |it: &Subscriber| !it.is_closing() && it.is_subscribing(now_ns, &shelf);
        if hall.subscribers.iter().any(subscribes) {
            self.sight.ask();
        }
        self.take_sight(hall)?;
        let (mark, log) = (hall.mark, &mut hall.log);
        if mark.is_told {
            self.sight.end_is_told();
            hall.tail = None;
        }
        (log.written, log.durable) = (mark.written, mark.durable);
        log.end_is_known = mark.is_told;
        if let Some(tail) = hall.tail {
            log.written = log.written.max(tail.last_seq);
            // What ends before a checkpoint is damaged.
            log.end_is_known |= tail.end == TailEnd::Clean && tail.last_seq >= mark.durable;
        }
        let (seq, bytes) = (mark.durable, mark.bytes);
        hall.history.note(now_ns, Head { seq, bytes });
        Ok(())
    }

    /// Takes over what was seen of the log since.
    fn take_sight(&self, hall: &mut Hall) -> Result<(), Failure> {
        let seen = self.sight.get();
        if seen.taken_ns == hall.seen_ns {
            return Ok(());
        }
        let (log, outline) = (&mut hall.log, &seen.outline);
        if log.log_id != [0; 16] && log.log_id != outline.log_id {
            return Err(Failure::failed(
                "another log lies in the journal's directory",
            ));
        }
        (log.log_id, log.schema_id) = (outline.log_id, outline.schema_id);
        log.first_available = outline.first_seq;
        log.epochs.clone_from(&outline.epochs);
        (hall.seen_ns, hall.tail) = (seen.taken_ns, seen.tail);
        Ok(())
    }

    /// Says once a second that the log cannot be looked at.
    fn complain(&self, now_ns: u64, hall: &mut Hall, error: &JournalError) {
        self.metrics.look_failures.add(1);
        hall.failed_looks += 1;
        if now_ns >= hall.complain_ns {
            hall.complain_ns = now_ns + 10 * REPORT_NS;
            let failures = std::mem::take(&mut hall.failed_looks);
            tracing::error!(%error, failures, "the log cannot be looked at; its last sight stays");
        }
    }

    /// Seats those who have proved themselves; true when no more can come.
    fn welcome(&mut self, now_ns: u64, hall: &mut Hall) -> bool {
        loop {
            let guest = match self.guests.try_recv() {
                Ok(guest) => guest,
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            };
            let name = guest.identity.name.clone();
            let quota = self.admissions.quota(name.as_ref());
            let (id, peer) = (text(name.as_ref()), guest.peer.clone());
            let admission = self.admissions.admit(name.clone());
            let config = self.admissions.session();
            let mut subscriber = Subscriber::new(now_ns, guest, config, admission);
            match hall.roster.enter(name.as_ref(), quota) {
                Seat::Taken => {
                    self.metrics.accepted.add(1);
                    self.testify(now_ns, "accept", &id, &peer, "");
                }
                seat => {
                    let reason = match seat {
                        Seat::OverQuota => "this identity has all its connections",
                        _ => "all places are taken",
                    };
                    self.metrics.rejected.add(1);
                    self.testify(now_ns, "deny", &id, &peer, reason);
                    subscriber.turn_away(now_ns, ErrorCode::Busy, reason);
                }
            }
            hall.subscribers.push(subscriber);
        }
    }

    fn begin_stop(&mut self, now_ns: u64, hall: &mut Hall) {
        let deadline_ns = now_ns + (self.drain_ns)();
        // Beyond it, only last bytes are on the way.
        hall.stop_ns = Some(deadline_ns + REPORT_NS * 10);
        let shelf = shelf(&self.sight, &hall.log, &hall.history, hall.seen_ns);
        for subscriber in &mut hall.subscribers {
            let mut done = Done::default();
            let was_closing = subscriber.is_closing();
            subscriber.tell(now_ns, &shelf, Event::Stop { deadline_ns }, &mut done);
            self.book(
                now_ns,
                subscriber,
                done,
                &mut hall.roster,
                &mut hall.ended,
                &shelf,
                was_closing,
            );
        }
    }

    /// A turn for each; true when somebody could do more at once.
    fn turn(&mut self, now_ns: u64, hall: &mut Hall) -> bool {
        let shelf = shelf(&self.sight, &hall.log, &hall.history, hall.seen_ns);
        let mut busy = false;
        for subscriber in &mut hall.subscribers {
            let was_closing = subscriber.is_closing();
            let done = subscriber.turn(now_ns, &shelf);
            busy |= done.is_busy;
            self.book(
                now_ns,
                subscriber,
                done,
                &mut hall.roster,
                &mut hall.ended,
                &shelf,
                was_closing,
            );
        }
        let closing = hall.subscribers.iter().filter(|it| it.is_closing()).count();
        let mut excess = closing.saturating_sub(MAX_CLOSING);
        hall.subscribers.retain(|subscriber| {
            let is_excess = subscriber.is_closing() && excess > 0;
            excess -= usize::from(is_excess);
            !is_excess && !subscriber.is_over(now_ns)
        });
        busy
    }

    /// Counts what was done, and gives the seat back of one that has ended.
    #[expect(
        clippy::too_many_arguments,
        reason = "parts of the hall that are borrowed apart"
    )]
    fn book(
        &self,
        now_ns: u64,
        subscriber: &Subscriber,
        done: Done,
        roster: &mut Roster,
        ended: &mut VecDeque<Value>,
        shelf: &Shelf<'_>,
        was_closing: bool,
    ) {
        let metrics = &self.metrics;
        metrics.sent_frames.add(done.frames);
        metrics.sent_bytes.add(done.bytes);
        metrics.dropped.add(done.declared);
        metrics.write_failures.add(done.write_failures);
        let admission = subscriber.admission();
        if let (Some(name), SlowPolicy::Retain) = (&admission.name, admission.policy) {
            if let Some(seq) = done.begun {
                self.pins.begun(name, seq);
            }
            if let Some(seq) = done.acked {
                self.pins.acked(name, seq);
            }
        }
        let Some(reason) = done.ended.filter(|_| !was_closing) else {
            return;
        };
        let verdict = match &reason {
            CloseReason::Violation(_) => {
                metrics.violations.add(1);
                "violation"
            }
            CloseReason::Refused(..) => "deny",
            _ => "end",
        };
        let (id, why) = (
            text(subscriber.name()),
            format!("{}: {reason}", reason.name()),
        );
        self.testify(now_ns, verdict, &id, &subscriber.peer, &why);
        roster.leave(subscriber.name());
        if ended.len() == SHOWN_ENDED {
            ended.pop_front();
        }
        let kept_seq = self.kept(subscriber);
        ended.push_back(subscriber.row(now_ns, shelf, kept_seq, &why));
    }

    /// What is durable of a subscriber's pin; `None` when nothing is retained for it.
    fn kept(&self, subscriber: &Subscriber) -> Option<u64> {
        let admission = subscriber.admission();
        match (&admission.name, admission.policy) {
            (Some(name), SlowPolicy::Retain) => self.pins.kept(name),
            _ => None,
        }
    }

    fn testify(&self, now_ns: u64, verdict: &str, id: &str, peer: &str, reason: &str) {
        if !self.audit.write(now_ns, verdict, id, peer, reason) {
            self.metrics.audit_suppressed.add(1);
        }
    }

    fn report(&self, now_ns: u64, hall: &mut Hall) {
        if now_ns < hall.report_ns {
            return;
        }
        hall.report_ns = now_ns + REPORT_NS;
        self.audit.settle(now_ns);
        let shelf = shelf(&self.sight, &hall.log, &hall.history, hall.seen_ns);
        let seated: Vec<_> = hall
            .subscribers
            .iter()
            .filter(|it| !it.is_closing())
            .collect();
        let places: Vec<_> = seated
            .iter()
            .filter_map(|it| Some((it.name().is_some(), it.place(now_ns, &shelf)?)))
            .collect();
        let named = places.iter().filter(|(is_named, _)| *is_named);
        let acked = named.map(|(_, (acked, _))| *acked).min();
        let lag = places.iter().map(|(_, (_, lag))| *lag).max();
        let queued: usize = hall.subscribers.iter().map(Subscriber::pending).sum();
        let metrics = &self.metrics;
        metrics.active.set(seated.len() as u64);
        metrics.queued_bytes.set(queued as u64);
        metrics.lag_records.set(lag.unwrap_or(0));
        if let Some(acked) = acked {
            metrics.acked_seq.set(acked);
        }
        let live = seated
            .iter()
            .map(|it| it.row(now_ns, &shelf, self.kept(it), ""));
        let rows = live.chain(hall.ended.iter().cloned()).collect();
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

fn shelf<'a>(
    sight: &'a SharedSight,
    log: &'a LogView,
    history: &'a HeadHistory,
    seen_ns: u64,
) -> Shelf<'a> {
    Shelf {
        segments: sight.segments(),
        log,
        history,
        seen_ns,
    }
}

fn text(name: Option<&ClientId>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

/// Waits for a socket, or until the log may have grown.
fn wait(subscribers: &[Subscriber], seen_ns: u64, busy: bool) -> Result<(), Failure> {
    let mut sockets: Vec<_> = subscribers
        .iter()
        .filter_map(|it| {
            let interest = it.interest(seen_ns);
            // One that hung up would wake us for nothing, whatever it is waited for.
            (!interest.is_empty()).then(|| PollFd::new(it.channel(), interest))
        })
        .collect();
    let pends = subscribers.iter().any(|it| it.has_pending(seen_ns));
    let wait_ns = match (busy || pends, subscribers.is_empty()) {
        (true, _) => 0,
        (_, true) => IDLE_WAIT_NS,
        _ => LIVE_WAIT_NS,
    };
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: wait_ns.cast_signed(),
    };
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Failure::failed(format!("wait for subscribers: {error}"))),
    }
}
