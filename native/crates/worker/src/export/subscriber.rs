//! One subscriber: its socket, its cursor, its session.

#[cfg(test)]
mod tests;

use std::io;

use rustix::event::PollFlags;
use serde_json::{Value, json};
use tickdeck_export::auth::ClientId;
use tickdeck_export::message::{ErrorCode, GapReason};
use tickdeck_export::provider::{
    Action, Admission, CloseReason, Event, HeadHistory, LogView, Outbox, Session, SessionConfig,
    StreamState, refusal,
};
use tickdeck_journal::{BlockCursor, BlockStep, Missing, MissingCause, SharedSegments};
use tickdeck_net::clock::{monotonic_ns, realtime_ns};

use super::channel::Channel;
use super::guest::{Guest, Ticket, write_some};

/// What everybody is served from.
pub(super) struct Shelf<'a> {
    pub(super) segments: &'a SharedSegments,
    pub(super) log: &'a LogView,
    pub(super) history: &'a HeadHistory,
    /// When the look began that `log` knows epochs and oldest record from.
    pub(super) seen_ns: u64,
}

/// What a turn did, for counters and orders.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) declared: u64,
    pub(super) write_failures: u64,
    /// More can be done at once.
    pub(super) is_busy: bool,
    /// It has subscribed, and needs nothing up to here.
    pub(super) begun: Option<u64>,
    /// The newest acknowledgement.
    pub(super) acked: Option<u64>,
    /// It has ended in this turn.
    pub(super) ended: Option<CloseReason>,
}

/// A connected subscriber.
pub(super) struct Subscriber {
    channel: Channel,
    pub(super) peer: String,
    session: Session,
    out: Outbox,
    cursor: Option<BlockCursor>,
    ticket: Ticket,
    since_ns: u64,
    /// A log seen before may lack an epoch that this one was told when it was here last.
    welcomed_ns: u64,
    /// It has been listened to; until then it waits for a sight of the log, and no longer than this.
    is_heard: bool,
    patience_ns: u64,
    tick_ns: u64,
    /// The log did not give what its watermark promises: it is asked again then.
    stalled_ns: u64,
    closing: Option<Closing>,
}

/// The last bytes of a subscriber that has ended.
#[derive(Clone, Copy, Debug)]
struct Closing {
    until_ns: u64,
    is_written: bool,
}

/// Bytes read or sent in one turn before the others have theirs.
const READ_BUDGET: usize = 64 * 1024;
const SEND_BUDGET: u64 = 1 << 20;
/// Time between two ticks at least, and at most.
const TICK_LEAST_NS: u64 = 1_000_000;
const TICK_MOST_NS: u64 = 50_000_000;
const STALL_NS: u64 = 50_000_000;
/// How long an ended one may take its last bytes.
const LINGER_NS: u64 = 500_000_000;

impl Subscriber {
    pub(super) fn new(
        now_ns: u64,
        guest: Guest,
        config: SessionConfig,
        admission: Admission,
    ) -> Self {
        let patience_ns = now_ns + config.timeout_ns;
        Self {
            channel: guest.channel,
            peer: guest.peer,
            session: Session::new(now_ns, config, admission),
            out: Outbox {
                bytes: guest.unsent,
                actions: Vec::new(),
            },
            cursor: None,
            ticket: guest.ticket,
            since_ns: realtime_ns(),
            welcomed_ns: monotonic_ns(),
            is_heard: false,
            patience_ns,
            tick_ns: now_ns,
            stalled_ns: 0,
            closing: None,
        }
    }

    /// Its name; an anonymous one has none.
    pub(super) fn name(&self) -> Option<&ClientId> {
        self.session.admission().name.as_ref()
    }

    pub(super) fn admission(&self) -> &Admission {
        self.session.admission()
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn pending(&self) -> usize {
        self.out.bytes.len()
    }

    /// Whether it has ended and only its last bytes are on the way.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether nothing more happens.
    pub(super) fn is_over(&self, now_ns: u64) -> bool {
        self.closing
            .is_some_and(|closing| now_ns >= closing.until_ns)
    }

    /// Its subscription is still to come.
    pub(super) fn is_subscribing(&self, now_ns: u64, shelf: &Shelf<'_>) -> bool {
        let status = self.session.status(now_ns, shelf.log, shelf.history);
        status.state == StreamState::Subscribing
    }

    /// Whether it may be listened to: what it asks for is judged by the log as it was seen after
    /// its arrival. By an older sight, one that knows a newer epoch would seem to have forked, and
    /// would throw its copy away.
    pub(super) fn may_speak(&self, seen_ns: u64) -> bool {
        seen_ns >= self.welcomed_ns || self.is_closing()
    }

    /// What to wait for at its socket. What one has said that is not listened to yet would wake us
    /// again and again.
    pub(super) fn interest(&self, seen_ns: u64) -> PollFlags {
        let mut interest = self.channel.interest(self.pending() > 0);
        interest.set(PollFlags::IN, self.may_speak(seen_ns));
        interest
    }

    /// Whether it has said something that its socket does not show, and may.
    pub(super) fn has_pending(&self, seen_ns: u64) -> bool {
        self.may_speak(seen_ns) && self.channel.has_pending()
    }

    /// Turned away before it had a seat.
    pub(super) fn turn_away(&mut self, now_ns: u64, code: ErrorCode, text: &str) {
        self.out.bytes.extend_from_slice(&refusal(code, 0, text));
        self.begin_closing(now_ns);
    }

    /// One event from outside, such as a stop.
    pub(super) fn tell(
        &mut self,
        now_ns: u64,
        shelf: &Shelf<'_>,
        event: Event<'_>,
        done: &mut Done,
    ) {
        if self.closing.is_none() {
            self.step(now_ns, shelf, event, done);
        }
    }

    /// Reads, ticks, takes blocks, writes: as far as socket, window and budget go.
    pub(super) fn turn(&mut self, now_ns: u64, shelf: &Shelf<'_>) -> Done {
        let mut done = Done::default();
        if self.may_speak(shelf.seen_ns) {
            if !self.is_heard {
                self.is_heard = true;
                self.tell(now_ns, shelf, Event::Heard, &mut done);
            }
            if let Err(error) = self.read(now_ns, shelf, &mut done) {
                tracing::debug!(peer = self.peer, %error, "read failed");
                self.step(now_ns, shelf, Event::PeerClosed, &mut done);
            }
        } else if now_ns >= self.patience_ns {
            let text = "the log cannot be looked at now; try again later";
            self.step(now_ns, shelf, Event::Busy(text), &mut done);
        }
        if self.closing.is_none() && now_ns >= self.tick_ns {
            let utc_ns = realtime_ns();
            self.step(now_ns, shelf, Event::Tick { utc_ns }, &mut done);
            let due_ns = self.session.deadline_ns();
            self.tick_ns = due_ns.clamp(now_ns + TICK_LEAST_NS, now_ns + TICK_MOST_NS);
        }
        loop {
            self.take_blocks(now_ns, shelf, &mut done);
            let before = self.pending();
            if !self.write(now_ns, shelf, &mut done) || before == 0 {
                break;
            }
            if done.bytes >= SEND_BUDGET {
                done.is_busy = true;
                break;
            }
        }
        done
    }

    fn read(&mut self, now_ns: u64, shelf: &Shelf<'_>, done: &mut Done) -> io::Result<()> {
        let (mut chunk, mut taken) = ([0; 16 * 1024], 0);
        while taken < READ_BUDGET {
            match self.channel.read(&mut chunk) {
                Ok(0) => {
                    if let Some(closing) = &mut self.closing {
                        closing.until_ns = now_ns;
                    }
                    self.tell(now_ns, shelf, Event::PeerClosed, done);
                    return Ok(());
                }
                Ok(length) => {
                    taken += length;
                    self.tell(now_ns, shelf, Event::Received(&chunk[..length]), done);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.closing.is_some() => {
                    self.closing = Some(Closing {
                        until_ns: now_ns,
                        is_written: true,
                    });
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        done.is_busy = true;
        Ok(())
    }

    /// Moves blocks from the log into the outgoing bytes, as many as the session lets.
    fn take_blocks(&mut self, now_ns: u64, shelf: &Shelf<'_>, done: &mut Done) {
        while self.closing.is_none() && now_ns >= self.stalled_ns {
            let Some(limit) = self.session.read_limit(shelf.log, self.out.bytes.len()) else {
                return;
            };
            let Some(cursor) = &mut self.cursor else {
                return;
            };
            let event = match cursor.next(limit) {
                Ok(BlockStep::Block(block)) => {
                    done.frames += 1;
                    Event::Block {
                        base_seq: block.base_seq,
                        last_seq: block.last_seq,
                        epoch_low: block.epoch_low,
                        bytes: block.bytes,
                        hole: block.hole.map(|hole| (hole.from, hole.to)),
                    }
                }
                Ok(BlockStep::Missing(Missing { from, to, cause })) => {
                    let reason = match &cause {
                        MissingCause::Pruned => GapReason::Pruned,
                        MissingCause::Damaged(problem) => {
                            tracing::error!(%problem, "damaged records are not sent");
                            GapReason::Corrupt
                        }
                    };
                    Event::Missing { from, to, reason }
                }
                Ok(BlockStep::End) => {
                    self.stalled_ns = now_ns + STALL_NS;
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read");
                    let text = error.to_string();
                    return self.step(now_ns, shelf, Event::Broken(&text), done);
                }
            };
            let (log, history) = (shelf.log, shelf.history);
            self.session
                .step(now_ns, log, history, event, &mut self.out);
            self.act(now_ns, shelf, done);
        }
    }

    /// Gives the socket what it takes; false when it takes no more, or all is sent.
    fn write(&mut self, now_ns: u64, shelf: &Shelf<'_>, done: &mut Done) -> bool {
        let had = self.pending();
        let taken = match write_some(&mut self.channel, &mut self.out.bytes) {
            Ok(taken) => taken,
            Err(error) => {
                done.write_failures += 1;
                tracing::debug!(peer = self.peer, %error, "write failed");
                self.out.bytes.clear();
                self.step(now_ns, shelf, Event::PeerClosed, done);
                self.finish_writing(now_ns);
                return false;
            }
        };
        done.bytes += taken as u64;
        if taken > 0 {
            self.tell(now_ns, shelf, Event::Progress, done);
        }
        if self.out.bytes.is_empty() {
            self.finish_writing(now_ns);
        }
        taken == had
    }

    /// The last byte of an ended one is written: it gets the end, and a moment to read it.
    fn finish_writing(&mut self, now_ns: u64) {
        let Some(closing) = self.closing.as_mut().filter(|it| !it.is_written) else {
            return;
        };
        closing.is_written = true;
        if let Err(error) = self.channel.close_write() {
            tracing::debug!(peer = self.peer, %error, "not closed in order");
            closing.until_ns = now_ns;
        }
    }

    fn step(&mut self, now_ns: u64, shelf: &Shelf<'_>, event: Event<'_>, done: &mut Done) {
        let (log, history) = (shelf.log, shelf.history);
        self.session
            .step(now_ns, log, history, event, &mut self.out);
        self.act(now_ns, shelf, done);
    }

    /// Carries out what the session ordered.
    fn act(&mut self, now_ns: u64, shelf: &Shelf<'_>, done: &mut Done) {
        for action in std::mem::take(&mut self.out.actions) {
            match action {
                Action::Seek(seq) => {
                    self.stalled_ns = 0;
                    if self.cursor.is_none() {
                        done.begun = Some(seq - 1);
                    }
                    match BlockCursor::over(shelf.segments, seq) {
                        Ok(cursor) => self.cursor = Some(cursor),
                        Err(error) => {
                            tracing::error!(%error, "the journal cannot be opened");
                            let text = error.to_string();
                            return self.step(now_ns, shelf, Event::Broken(&text), done);
                        }
                    }
                }
                Action::Acked(seq) => {
                    done.acked = Some(seq);
                    self.ticket.set_served();
                }
                Action::Declared(gap) => done.declared += gap.to - gap.from + 1,
                Action::Close(reason) => {
                    done.ended = Some(reason);
                    self.begin_closing(now_ns);
                }
            }
        }
    }

    fn begin_closing(&mut self, now_ns: u64) {
        self.cursor = None;
        self.closing = Some(Closing {
            until_ns: now_ns + LINGER_NS,
            is_written: false,
        });
    }

    /// A row of `export.subscribers`.
    ///
    /// `kept_seq` is what is known to be durable of the pin of one that is retained for.
    pub(super) fn row(
        &self,
        now_ns: u64,
        shelf: &Shelf<'_>,
        kept_seq: Option<u64>,
        reason: &str,
    ) -> Value {
        let status = self.session.status(now_ns, shelf.log, shelf.history);
        json!({
            "id": self.name().map_or("", ClientId::as_str),
            "peer": self.peer,
            "state": status.state.name(),
            "sent_seq": status.sent_seq,
            "acked_seq": status.acked_seq,
            "kept_seq": kept_seq,
            "lag_bytes": status.lag_bytes,
            "lag_records": status.lag_records,
            "lag_ms": status.lag_ns / 1_000_000,
            "policy": self.admission().policy.name(),
            "since_ns": self.since_ns,
            "reason": reason,
        })
    }

    /// Acknowledged sequence and records behind, once it has subscribed.
    pub(super) fn place(&self, now_ns: u64, shelf: &Shelf<'_>) -> Option<(u64, u64)> {
        let status = self.session.status(now_ns, shelf.log, shelf.history);
        let has_begun = status.state != StreamState::Subscribing;
        has_begun.then_some((status.acked_seq, status.lag_records))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.ticket.set_over();
    }
}
