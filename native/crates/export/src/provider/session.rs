//! One subscriber: SUBSCRIBE, then blocks, heartbeats and acknowledgements until an end.

use super::event::{Action, CloseReason, Event, Outbox, Status, StreamState};
use super::slow::{Lag, SlowWatch};
use super::subscribe::{bound, judge};
use super::window::Window;
use super::{Admission, HeadHistory, LogView, SessionConfig, SlowPolicy, refusal};
use crate::frame::{self, Decoder, HEADER_LEN};
use crate::message::{
    ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Guarantee, Heartbeat, MAX_CONTROL_PAYLOAD,
    Message, Sentence, SubOk, Subscribe, kind,
};

/// The machine of one subscriber.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    admission: Admission,
    decoder: Decoder,
    stream: Option<Stream>,
    closed: bool,
    heard_ns: u64,
    subscribe_by_ns: u64,
    /// When the socket last took something, or had nothing to take.
    moved_ns: u64,
    heartbeat_due_ns: u64,
    /// Frames that brought nothing, in the present second.
    idle_frames: (u64, u32),
    stop: Option<StopOrder>,
}

/// A subscription in force.
#[derive(Debug)]
struct Stream {
    guarantee: Guarantee,
    next_seq: u64,
    acked_seq: u64,
    window: Window,
    watch: SlowWatch,
    /// The newest epoch that the subscriber was told.
    epoch: u64,
}

#[derive(Clone, Copy, Debug)]
struct StopOrder {
    target_seq: u64,
    deadline_ns: u64,
}

/// What every step may look at.
#[derive(Clone, Copy, Debug)]
struct Moment<'a> {
    now_ns: u64,
    log: &'a LogView,
    history: &'a HeadHistory,
}

/// No more is read from the log while so much waits for the socket.
const HIGH_WATER_BYTES: usize = 256 * 1024;
/// Frames in a second that acknowledge nothing new; a client sends about one.
const MAX_IDLE_FRAMES: u32 = 100;

impl Session {
    /// A session of a peer that has proved itself.
    #[must_use]
    pub fn new(now_ns: u64, config: SessionConfig, admission: Admission) -> Self {
        Self {
            heartbeat_due_ns: now_ns + config.heartbeat_ns,
            subscribe_by_ns: now_ns + config.timeout_ns,
            config,
            admission,
            decoder: Decoder::new(MAX_CONTROL_PAYLOAD),
            stream: None,
            closed: false,
            heard_ns: now_ns,
            moved_ns: now_ns,
            idle_frames: (now_ns, 0),
            stop: None,
        }
    }

    /// Takes an event. `history` is of the watermark that subscribers follow.
    pub fn step(
        &mut self,
        now_ns: u64,
        log: &LogView,
        history: &HeadHistory,
        event: Event<'_>,
        out: &mut Outbox,
    ) {
        if self.closed {
            return;
        }
        let moment = Moment {
            now_ns,
            log,
            history,
        };
        if out.bytes.is_empty() {
            self.moved_ns = now_ns;
        }
        match event {
            Event::Received(bytes) => self.on_received(moment, bytes, out),
            Event::PeerClosed => self.close(CloseReason::PeerClosed, out),
            Event::Progress => self.moved_ns = now_ns,
            Event::Block {
                base_seq,
                last_seq,
                epoch_low,
                bytes,
                hole,
            } => {
                self.announce_epoch(moment, epoch_low, out);
                self.on_block(base_seq, last_seq, bytes, out);
                if let Some((from, to)) = hole {
                    push_gap(from, to, GapReason::JournalHole, out);
                }
            }
            Event::Missing { from, to, reason } => self.on_missing(from, to, reason, out),
            Event::Broken(text) => {
                let frame = refusal(ErrorCode::Internal, 0, "the log cannot be read");
                out.bytes.extend_from_slice(&frame);
                self.close(CloseReason::Broken(text.to_owned()), out);
            }
            Event::Tick { utc_ns } => self.on_tick(moment, utc_ns, out),
            Event::Stop { deadline_ns } => {
                let target_seq = self.bound(log);
                self.stop.get_or_insert(StopOrder {
                    target_seq,
                    deadline_ns,
                });
                self.finish_stop(moment, out);
            }
            Event::Heard => {
                self.heard_ns = now_ns;
                self.subscribe_by_ns = now_ns + self.config.timeout_ns;
            }
            Event::Busy(text) => {
                out.bytes
                    .extend_from_slice(&refusal(ErrorCode::Busy, 0, text));
                self.close(CloseReason::Refused(ErrorCode::Busy, text.to_owned()), out);
            }
            Event::End(reason) => self.leave(reason, "", CloseReason::Ended(reason), out),
        }
    }

    /// How far the cursor may be read now, while `pending` bytes wait for the socket; `None`: not
    /// at all.
    #[must_use]
    pub fn read_limit(&self, log: &LogView, pending: usize) -> Option<u64> {
        let stream = self.stream.as_ref().filter(|_| !self.closed)?;
        let limit = self.limit(log);
        let open = pending < HIGH_WATER_BYTES && stream.window.has_room();
        (open && stream.next_seq <= limit).then_some(limit)
    }

    /// When the session wants a tick, if nothing happens before.
    #[must_use]
    pub fn deadline_ns(&self) -> u64 {
        let mut deadline_ns = (self.heard_ns + self.config.timeout_ns)
            .min(self.moved_ns + self.config.write_timeout_ns)
            .min(self.heartbeat_due_ns);
        match &self.stream {
            None => deadline_ns = deadline_ns.min(self.subscribe_by_ns),
            Some(stream) if self.admission.policy == SlowPolicy::Disconnect => {
                let at_ns = stream.watch.deadline_ns();
                deadline_ns = at_ns.map_or(deadline_ns, |at_ns| deadline_ns.min(at_ns));
            }
            Some(_) => {}
        }
        if let Some(stop) = self.stop {
            deadline_ns = deadline_ns.min(stop.deadline_ns);
        }
        deadline_ns
    }

    /// Who it is and what it may.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self, now_ns: u64, log: &LogView, history: &HeadHistory) -> Status {
        let Some(stream) = &self.stream else {
            return Status {
                state: match self.closed {
                    true => StreamState::Closed,
                    false => StreamState::Subscribing,
                },
                sent_seq: 0,
                acked_seq: 0,
                in_flight_bytes: 0,
                lag_records: 0,
                lag_bytes: 0,
                lag_ns: 0,
            };
        };
        let state = match (self.closed, self.stop) {
            (true, _) => StreamState::Closed,
            (_, Some(_)) => StreamState::Draining,
            _ if stream.watch.is_catching_up() => StreamState::CatchingUp,
            _ => StreamState::Live,
        };
        Status {
            state,
            sent_seq: stream.next_seq - 1,
            acked_seq: stream.acked_seq,
            in_flight_bytes: stream.window.bytes(),
            lag_records: bound(stream.guarantee, log).saturating_sub(stream.acked_seq),
            lag_bytes: history.bytes_behind(stream.acked_seq),
            lag_ns: history.age_ns(now_ns, stream.acked_seq),
        }
    }

    fn on_received(&mut self, moment: Moment<'_>, bytes: &[u8], out: &mut Outbox) {
        self.heard_ns = moment.now_ns;
        self.decoder.feed(bytes);
        while !self.closed {
            let (kind, seq, payload) = match self.decoder.next() {
                Ok(None) => return,
                Ok(Some(frame)) => (frame.kind, frame.seq, frame.payload.to_vec()),
                Err(error) => {
                    return self.violated(ErrorCode::BadFrame, error.to_string(), out);
                }
            };
            let payload = &payload[..];
            match Message::parse(&frame::Frame { kind, seq, payload }) {
                Ok(message) => self.on_message(moment, &message, out),
                Err(error) => self.violated(ErrorCode::BadFrame, error.to_string(), out),
            }
        }
    }

    fn on_message(&mut self, moment: Moment<'_>, message: &Message<'_>, out: &mut Outbox) {
        match message {
            Message::Ack(ack) => self.on_ack(moment, ack.seq, out),
            Message::Subscribe(asked) if self.stream.is_none() => {
                self.on_subscribe(moment, asked, out);
            }
            Message::Subscribe(_) => {
                self.violated(ErrorCode::Violation, "a second SUBSCRIBE".into(), out);
            }
            Message::Goodbye(goodbye) => self.close(CloseReason::Goodbye(goodbye.reason), out),
            other => {
                let text = format!("frame type {} is not a subscriber's", other.kind());
                self.violated(ErrorCode::Violation, text, out);
            }
        }
    }

    fn on_subscribe(&mut self, moment: Moment<'_>, asked: &Subscribe, out: &mut Outbox) {
        let (log, now_ns) = (moment.log, moment.now_ns);
        let start_seq = match judge(asked, &self.admission, log) {
            Ok(start_seq) => start_seq,
            Err(refused) => {
                let reason = CloseReason::Refused(refused.code, refused.text.as_str().to_owned());
                Message::Err(refused).push(&mut out.bytes);
                return self.close(reason, out);
            }
        };
        let window_bytes = asked.window_bytes.clamp(1, self.config.max_window_bytes);
        let ms = |ns: u64| u32::try_from(ns / 1_000_000).unwrap_or(u32::MAX);
        Message::SubOk(SubOk {
            start_seq,
            epoch: log.epoch(),
            first_available: log.first_available,
            next_seq: log.written.max(log.durable) + 1,
            durable_seq: log.durable,
            window_bytes,
            schema_id: log.schema_id,
            heartbeat_ms: ms(self.config.heartbeat_ns),
            timeout_ms: ms(self.config.timeout_ns),
        })
        .push(&mut out.bytes);
        self.heartbeat_due_ns = now_ns + self.config.heartbeat_ns;
        self.stream = Some(Stream {
            guarantee: asked.guarantee,
            next_seq: start_seq,
            acked_seq: start_seq - 1,
            window: Window::new(window_bytes),
            watch: SlowWatch::new(self.admission.limits, now_ns),
            epoch: log.epoch(),
        });
        out.actions.push(Action::Seek(start_seq));
    }

    fn on_ack(&mut self, moment: Moment<'_>, seq: u64, out: &mut Outbox) {
        let Some(stream) = &mut self.stream else {
            let text = "ACK before SUBSCRIBE".to_owned();
            return self.violated(ErrorCode::Violation, text, out);
        };
        if seq >= stream.next_seq {
            let text = format!("ACK of {seq}, sent up to {}", stream.next_seq - 1);
            return self.violated(ErrorCode::Violation, text, out);
        }
        if seq < stream.acked_seq {
            let text = format!("ACK of {seq} after {}", stream.acked_seq);
            return self.violated(ErrorCode::Violation, text, out);
        }
        if seq == stream.acked_seq {
            return self.on_idle_frame(moment, out);
        }
        stream.acked_seq = seq;
        let freed = stream.window.acked(seq);
        stream.watch.note_acked(freed);
        out.actions.push(Action::Acked(seq));
        self.finish_stop(moment, out);
    }

    fn on_idle_frame(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let (since_ns, count) = &mut self.idle_frames;
        if moment.now_ns - *since_ns >= 1_000_000_000 {
            (*since_ns, *count) = (moment.now_ns, 0);
        }
        *count += 1;
        if *count > MAX_IDLE_FRAMES {
            let text = "a flood of ACKs that acknowledge nothing".to_owned();
            self.violated(ErrorCode::Violation, text, out);
        }
    }

    fn on_block(&mut self, base_seq: u64, last_seq: u64, bytes: &[u8], out: &mut Outbox) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        assert!(
            base_seq <= stream.next_seq && last_seq >= stream.next_seq,
            "block {base_seq}-{last_seq} where {} is due",
            stream.next_seq
        );
        frame::push(&mut out.bytes, kind::DATA, base_seq, bytes);
        stream.window.sent(last_seq, bytes.len() + HEADER_LEN);
        stream.next_seq = last_seq + 1;
    }

    fn on_missing(&mut self, from: u64, to: u64, reason: GapReason, out: &mut Outbox) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        assert!(from == stream.next_seq && to >= from, "gap {from}-{to}");
        stream.next_seq = to + 1;
        push_gap(from, to, reason, out);
    }

    fn on_tick(&mut self, moment: Moment<'_>, utc_ns: u64, out: &mut Outbox) {
        let now_ns = moment.now_ns;
        if self.stream.is_none() && now_ns >= self.subscribe_by_ns {
            let text = "no SUBSCRIBE in time".to_owned();
            return self.leave(
                GoodbyeReason::Timeout,
                &text,
                CloseReason::Timeout(text.clone()),
                out,
            );
        }
        if now_ns - self.heard_ns > self.config.timeout_ns {
            let ms = self.config.timeout_ns / 1_000_000;
            let text = format!("nothing heard for {ms} ms");
            return self.leave(
                GoodbyeReason::Timeout,
                &text,
                CloseReason::Timeout(text.clone()),
                out,
            );
        }
        if now_ns - self.moved_ns > self.config.write_timeout_ns {
            let ms = self.config.write_timeout_ns / 1_000_000;
            return self.close(
                CloseReason::Timeout(format!("the socket took nothing for {ms} ms")),
                out,
            );
        }
        self.judge_lag(moment, out);
        if !self.closed && now_ns >= self.heartbeat_due_ns {
            self.beat(moment, utc_ns, out);
        }
        self.finish_stop(moment, out);
    }

    fn beat(&mut self, moment: Moment<'_>, utc_ns: u64, out: &mut Outbox) {
        self.heartbeat_due_ns = moment.now_ns + self.config.heartbeat_ns;
        // A peer that does not read gets no heap of heartbeats.
        let Some(stream) = &mut self.stream else {
            return;
        };
        if out.bytes.len() < HIGH_WATER_BYTES {
            stream.epoch = stream.epoch.max(moment.log.epoch());
            push_heartbeat(stream, moment.log, utc_ns, out);
        }
    }

    /// The subscriber learns of an epoch before the first block of it: it keeps the epoch beside
    /// what it acknowledges.
    fn announce_epoch(&mut self, moment: Moment<'_>, epoch_low: u32, out: &mut Outbox) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let low = |epoch: u64| epoch & u64::from(u32::MAX);
        if u64::from(epoch_low) > low(stream.epoch) {
            let of_block = stream.epoch - low(stream.epoch) + u64::from(epoch_low);
            stream.epoch = moment.log.epoch().max(of_block);
            push_heartbeat(stream, moment.log, 0, out);
        }
    }

    fn judge_lag(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let policy = self.admission.policy;
        let Some(stream) = &mut self.stream else {
            return;
        };
        // Who skips is judged by what is not sent yet: what is on the way is bounded by its window.
        let from = match policy {
            SlowPolicy::SkipToLive => stream.next_seq - 1,
            SlowPolicy::Disconnect | SlowPolicy::Retain => stream.acked_seq,
        };
        let lag = Lag {
            bytes: moment.history.bytes_behind(from),
            age_ns: moment.history.age_ns(moment.now_ns, from),
        };
        let mut slow = stream.watch.judge(moment.now_ns, lag);
        let waiting = stream.next_seq <= bound(stream.guarantee, moment.log);
        if !self.config.waits_on_full_window && waiting && !stream.window.has_room() {
            slow = slow.or_else(|| Some("its window is full".to_owned()));
        }
        let Some(why) = slow else { return };
        match policy {
            SlowPolicy::Disconnect => {
                self.leave(
                    GoodbyeReason::Slow,
                    &why,
                    CloseReason::Slow(why.clone()),
                    out,
                );
            }
            SlowPolicy::SkipToLive => self.skip(moment.log, out),
            // The caps of its pin are kept by whoever prunes the log.
            SlowPolicy::Retain => {}
        }
    }

    fn skip(&mut self, log: &LogView, out: &mut Outbox) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.watch.forgive();
        let (from, to) = (stream.next_seq, bound(stream.guarantee, log));
        // One gap is said once: as long as it cannot be sent, the next one would follow it.
        if from <= to && out.bytes.len() < HIGH_WATER_BYTES {
            stream.next_seq = to + 1;
            push_gap(from, to, GapReason::Policy, out);
            out.actions.push(Action::Seek(to + 1));
        }
    }

    fn bound(&self, log: &LogView) -> u64 {
        let guarantee = self.stream.as_ref().map(|stream| stream.guarantee);
        guarantee.map_or(0, |guarantee| bound(guarantee, log))
    }

    fn limit(&self, log: &LogView) -> u64 {
        let limit = self.bound(log);
        self.stop.map_or(limit, |stop| limit.min(stop.target_seq))
    }

    fn finish_stop(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(stop) = self.stop.filter(|_| !self.closed) else {
            return;
        };
        let acked_seq = self.stream.as_ref().map(|stream| stream.acked_seq);
        let unacked = acked_seq.map_or(0, |acked_seq| stop.target_seq.saturating_sub(acked_seq));
        if unacked == 0 || moment.now_ns >= stop.deadline_ns {
            let reason = CloseReason::Stopped { unacked };
            self.leave(GoodbyeReason::Stopping, "", reason, out);
        }
    }

    fn violated(&mut self, code: ErrorCode, text: String, out: &mut Outbox) {
        out.bytes.extend_from_slice(&refusal(code, 0, &text));
        self.close(CloseReason::Violation(text), out);
    }

    fn leave(&mut self, reason: GoodbyeReason, text: &str, why: CloseReason, out: &mut Outbox) {
        let next_seq = self.stream.as_ref().map_or(0, |stream| stream.next_seq);
        let text = Sentence::new(text);
        Message::Goodbye(Goodbye {
            next_seq,
            reason,
            text,
        })
        .push(&mut out.bytes);
        self.close(why, out);
    }

    fn close(&mut self, reason: CloseReason, out: &mut Outbox) {
        self.closed = true;
        out.actions.push(Action::Close(reason));
    }
}

fn push_gap(from: u64, to: u64, reason: GapReason, out: &mut Outbox) {
    let gap = Gap { from, to, reason };
    Message::Gap(gap).push(&mut out.bytes);
    out.actions.push(Action::Declared(gap));
}

fn push_heartbeat(stream: &Stream, log: &LogView, utc_ns: u64, out: &mut Outbox) {
    Message::Heartbeat(Heartbeat {
        next_seq: stream.next_seq,
        written: log.written.max(log.durable),
        durable: log.durable,
        utc_ns,
        epoch: stream.epoch,
    })
    .push(&mut out.bytes);
}
