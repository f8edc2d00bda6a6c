//! Time, the venue, and the wiring between the merge and the recovery.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Arbiter, Arrival, Config, Disposition, Event, LossReason, Source, Start};
use tickdeck_recovery::{Action, Engine, Verdict};
use tickdeck_wire::moldudp64::{Packet, Session, end_of_session, heartbeat};

use crate::check::Checked;
use crate::network::Line;
use crate::random::Random;
use crate::server::{Manner, Server, packet};

pub(crate) const MS: u64 = 1_000_000;
/// No run may take longer.
const LIMIT_NS: u64 = 3_600_000 * MS;

/// Further ahead than any real packet ever is.
const MAX_JUMP: u64 = 5_000;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) stale: u64,
    pub(crate) hold_dropped: u64,
    pub(crate) gaps_filled: u64,
    pub(crate) retransmitted: u64,
    pub(crate) wrong_session: u64,
    pub(crate) session_changes: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) wrong_session_answers: u64,
    pub(crate) not_asked_answers: u64,
    pub(crate) stale_answers: u64,
    pub(crate) bad_answers: u64,
    pub(crate) injections_dropped: u64,
    pub(crate) slo_violations: u64,
    pub(crate) forged_jumps: u64,
    pub(crate) forged_ends: u64,
}

enum Thing {
    /// The venue sends its next packet.
    Send,
    /// The venue shows where it stands.
    Quiet,
    FromLine(u8, Vec<u8>),
    FromServer(Vec<u8>),
    /// An answer reaches the merge.
    Injected(Vec<u8>),
    Timer,
}

/// One session of the venue.
struct Part {
    session: Session,
    messages: u64,
    ends: bool,
}

pub(crate) struct World {
    random: Random,
    now_ns: u64,
    queue: BTreeMap<(u64, u64), Thing>,
    queued: u64,
    timer_ns: Option<u64>,
    lines: Vec<Line>,
    server: Server,
    parts: Vec<Part>,
    part: usize,
    sent: u64,
    interval_ns: u64,
    common_loss_permille: u64,
    injection_loss_permille: u64,
    arbiter: Arbiter,
    engine: Engine,
    min_request_interval_ns: u64,
    last_request_ns: Option<u64>,
    early_requests: u64,
    checked: Checked,
    fed: u64,
    forgery_permille: u64,
    /// The line that has not been heard since a forged packet came on it.
    forged_on: Option<u8>,
    hold_capacity: u64,
    gap_capacity: usize,
    report: Report,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let interval_ns = random.pick(&[MS / 50, MS / 5, 2 * MS]);
        let messages = random.between(50, 600);
        let duration_ns = interval_ns * messages;
        let hold_capacity = random.pick(&[1, 3, 16, 256]);
        let gap_capacity = random.pick(&[1, 4, 64]);
        let start = random.pick(&[Start::SessionStart, Start::FirstSeen]);
        let server = Server::new(&mut random);
        let min_request_interval_ns = random.pick(&[0, MS, 5 * MS]);
        let recovery = tickdeck_recovery::Config {
            min_request_interval_ns,
            request_timeout_ns: random.between(5, 50) * MS,
            retry_attempts: if server.manner == Manner::Working {
                60
            } else {
                5
            },
            retry_backoff_ns: random.between(0, 20) * MS,
            slo_ns: 500 * MS,
            max_messages_per_request: random.pick(&[1, 20, 2000]),
            gap_capacity,
        };
        let config = Config {
            reorder_window_ns: random.pick(&[0, MS, 5 * MS]),
            hold_capacity_packets: hold_capacity,
            gap_capacity,
            max_packet_bytes: 8000,
            session_takeover_ns: 3_000 * MS,
            max_jump_messages: MAX_JUMP,
            start,
            lines: 2,
            reorder_window_min_ns: 0,
            ..Config::default()
        };
        let mut parts = vec![Part {
            session: Session(*b"MONDAY    "),
            messages,
            ends: random.chance(700),
        }];
        if random.chance(300) {
            parts.push(Part {
                session: Session(*b"TUESDAY   "),
                messages: random.between(20, 100),
                ends: true,
            });
        }
        let forgery_permille = random.pick(&[0, 0, 5, 50]);
        Self {
            lines: (0..2)
                .map(|_| Line::new(&mut random, duration_ns))
                .collect(),
            common_loss_permille: random.pick(&[0, 10, 100]),
            injection_loss_permille: random.pick(&[0, 0, 100]),
            random,
            now_ns: 0,
            queue: BTreeMap::new(),
            queued: 0,
            timer_ns: None,
            server,
            parts,
            part: 0,
            sent: 0,
            interval_ns,
            arbiter: Arbiter::new(config).expect("a valid configuration"),
            engine: Engine::new(recovery),
            min_request_interval_ns,
            last_request_ns: None,
            early_requests: 0,
            checked: Checked::default(),
            fed: 0,
            forgery_permille,
            forged_on: None,
            hold_capacity: hold_capacity as u64,
            gap_capacity,
            report: Report::default(),
        }
    }

    pub(crate) fn run(mut self) -> Report {
        self.at(0, Thing::Quiet);
        self.at(MS, Thing::Send);
        while !self.is_complete() {
            let ((at_ns, _), thing) = self.queue.pop_first().expect("the venue is never silent");
            assert!(at_ns < LIMIT_NS, "the stream came to its end in time");
            self.now_ns = at_ns;
            self.step(thing);
            self.settle();
            self.check();
            self.report.steps += 1;
        }
        self.check_end();
        self.finish()
    }

    fn at(&mut self, at_ns: u64, thing: Thing) {
        self.queued += 1;
        self.queue.insert((at_ns, self.queued), thing);
    }

    fn step(&mut self, thing: Thing) {
        match thing {
            Thing::Send => self.send(),
            Thing::Quiet => self.quiet(),
            Thing::FromLine(line, bytes) => {
                if self.random.chance(self.forgery_permille) {
                    self.forge(line);
                }
                self.arrive(Source::Line(line), &bytes);
            }
            Thing::Injected(bytes) => self.arrive(Source::Retransmit, &bytes),
            Thing::FromServer(bytes) => self.judge(bytes),
            Thing::Timer => self.timer_ns = None,
        }
    }

    fn send(&mut self) {
        let Part {
            session, messages, ..
        } = self.parts[self.part];
        if self.sent == messages {
            return;
        }
        let count = self.random.between(1, 8).min(messages - self.sent);
        let bytes = packet(session, session, self.sent + 1, count);
        self.sent += count;
        self.multicast(&bytes);
        let pause_ns = self.random.between(0, 2 * self.interval_ns);
        self.at(self.now_ns + pause_ns, Thing::Send);
    }

    /// A heartbeat, or the end of the session once all is sent; then maybe the next session.
    fn quiet(&mut self) {
        let part = &self.parts[self.part];
        let (session, next) = (part.session, self.sent + 1);
        let over = self.sent == part.messages;
        if over && part.ends {
            self.multicast(&end_of_session(session, next));
        } else {
            self.multicast(&heartbeat(session, next));
        }
        if over && self.part + 1 < self.parts.len() && self.random.chance(20) {
            self.part += 1;
            self.sent = 0;
            self.at(self.now_ns + MS, Thing::Send);
        }
        self.at(self.now_ns + 50 * MS, Thing::Quiet);
    }

    fn multicast(&mut self, bytes: &[u8]) {
        if self.random.chance(self.common_loss_permille) {
            return;
        }
        for line in 0..self.lines.len() {
            for at_ns in self.lines[line].arrivals(&mut self.random, self.now_ns) {
                self.at(at_ns, Thing::FromLine(line as u8, bytes.to_vec()));
            }
        }
    }

    fn arrive(&mut self, source: Source, bytes: &[u8]) {
        let packet = Packet::parse(bytes).expect("only whole packets are merged");
        let arrival = Arrival {
            source,
            unit: packet.into(),
            rx_ns: self.now_ns,
            stamp: 1,
            now_ns: self.now_ns,
        };
        let disposition = self.arbiter.on_packet(arrival, &mut self.checked);
        match disposition {
            Disposition::WrongSession
            | Disposition::SequenceOverflow
            | Disposition::ImplausibleJump => {}
            _ => {
                self.fed += u64::from(packet.count());
                if matches!(source, Source::Line(line) if self.forged_on == Some(line)) {
                    self.forged_on = None;
                }
            }
        }
    }

    /// A packet of the current session that nobody sent: far ahead, or an end that is none. One
    /// far ahead comes only while no other is unanswered by its line, as two agree.
    fn forge(&mut self, line: u8) {
        let Some(session) = self.arbiter.session() else {
            return;
        };
        if self.random.chance(500) {
            let known = self.checked.streams.get(&session).map_or(1, |s| s.next);
            // Of the last session only: one that another follows may never be heard to go on.
            if self.part + 1 == self.parts.len() && session == self.parts[self.part].session {
                let end = self.random.between(known.saturating_sub(5).max(1), known);
                self.report.forged_ends += 1;
                self.arrive(Source::Line(line), &end_of_session(session, end));
            }
        } else if self.forged_on.is_none() {
            let ahead = [1_000 + 2 * MAX_JUMP, 1 << 40, 1 << 61, u64::MAX - 200];
            let far = self.random.pick(&ahead) + self.random.between(0, 100);
            let bytes = match self.random.between(0, 2) {
                0 => heartbeat(session, far).to_vec(),
                1 => end_of_session(session, far).to_vec(),
                _ => packet(session, session, far, 3),
            };
            self.forged_on = Some(line);
            self.report.forged_jumps += 1;
            self.arrive(Source::Line(line), &bytes);
        }
    }

    fn judge(&mut self, bytes: Vec<u8>) {
        let Ok(packet) = Packet::parse(&bytes) else {
            self.report.bad_answers += 1;
            return;
        };
        if self.engine.on_answer(&packet, self.now_ns) != Verdict::Wanted {
            return;
        }
        if self.random.chance(self.injection_loss_permille) {
            self.report.injections_dropped += 1;
            return;
        }
        self.at(self.now_ns + MS / 100, Thing::Injected(bytes));
    }

    /// Carries events to the recovery and its actions back until nothing is left to do.
    fn settle(&mut self) {
        self.arbiter.poll(self.now_ns, &mut self.checked);
        loop {
            for event in std::mem::take(&mut self.checked.events) {
                self.tell_recovery(event);
            }
            match self.engine.poll(self.now_ns) {
                Some(action) => self.act(action),
                None if self.checked.events.is_empty() => break,
                None => {}
            }
        }
        let deadlines = [
            self.arbiter.next_deadline_ns(),
            self.engine.next_deadline_ns(),
        ];
        let at_ns = deadlines.into_iter().flatten().min();
        if let Some(at_ns) = at_ns.filter(|at_ns| self.timer_ns.is_none_or(|ns| *at_ns < ns)) {
            self.timer_ns = Some(at_ns);
            self.at(at_ns.max(self.now_ns), Thing::Timer);
        }
    }

    fn tell_recovery(&mut self, event: Event) {
        match event {
            Event::GapWaitOver { gap } if self.server.manner == Manner::Absent => {
                let reason = LossReason::NoRecoverySource;
                self.arbiter
                    .give_up(gap.id, reason, self.now_ns, &mut self.checked);
            }
            Event::GapWaitOver { gap } => {
                let session = self.arbiter.session().expect("a gap has a session");
                for (first, last) in self.arbiter.holes(gap.id) {
                    let opened = self
                        .engine
                        .open(gap.id, session, first, last, gap.opened_ns);
                    opened.expect("the recovery has room for every gap of the merge");
                }
            }
            Event::GapProgress {
                id, first, last, ..
            } => {
                self.engine.narrowed(id, first, last, self.now_ns);
            }
            Event::GapFilled { gap, .. } | Event::GapUnrecovered { gap, .. } => {
                self.engine.closed(gap.id, self.now_ns);
            }
            Event::Session { .. }
            | Event::GapOpened { .. }
            | Event::GapLost { .. }
            | Event::Stopped { .. } => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Request { id, request, .. } => {
                let (first, last) = (
                    request.first_sequence,
                    request.first_sequence + u64::from(request.count) - 1,
                );
                let asked_is_missing = self
                    .arbiter
                    .holes(id)
                    .any(|hole| hole.0 <= first && hole.1 >= last);
                assert!(asked_is_missing, "only what is missing is asked for");
                let earliest_ns = self
                    .last_request_ns
                    .map_or(0, |ns| ns + self.min_request_interval_ns);
                self.early_requests += u64::from(self.now_ns < earliest_ns);
                assert!(
                    self.early_requests <= 2 * self.engine.counters().injected_packets,
                    "requests that no answer allows keep their distance"
                );
                self.last_request_ns = Some(self.now_ns);
                for (at_ns, bytes) in self.server.answer(&mut self.random, request, self.now_ns) {
                    self.at(at_ns, Thing::FromServer(bytes));
                }
            }
            Action::GiveUp { id, reason } => {
                self.arbiter
                    .give_up(id, reason, self.now_ns, &mut self.checked);
            }
            Action::SloMissed { .. } => self.report.slo_violations += 1,
        }
    }

    fn check(&self) {
        let counters = self.arbiter.counters();
        assert!(
            counters.held_packets <= self.hold_capacity,
            "the hold is bounded"
        );
        assert!(
            self.arbiter.gaps().count() <= self.gap_capacity,
            "the gap table is bounded"
        );
        let taken = counters.delivered + counters.held_messages;
        let refused = counters.duplicates + counters.stale + counters.hold_dropped;
        assert_eq!(self.fed, taken + refused, "each message is counted once");
        if self.server.manner == Manner::Working {
            assert_eq!(
                self.checked.unanswered, 0,
                "with a working server nothing is lost"
            );
        }
    }

    /// The venue has sent everything and the output has passed it.
    fn is_complete(&self) -> bool {
        let last = self.parts.last().expect("at least one session");
        let stream = self.checked.streams.get(&last.session);
        let passed = stream.is_some_and(|stream| stream.next == last.messages + 1);
        let told = !last.ends || self.checked.ended.contains(&last.session);
        self.part + 1 == self.parts.len() && passed && told
    }

    /// Of a session that ended everything was delivered or told as lost, back to its start.
    fn check_end(&self) {
        for part in &self.parts {
            let Some(stream) = self.checked.streams.get(&part.session) else {
                panic!("session {} was seen", part.session);
            };
            let start = stream.next - stream.delivered - stream.lost;
            assert!(start >= 1, "the stream begins in the session");
            if self.checked.ended.contains(&part.session) {
                assert_eq!(
                    stream.next,
                    part.messages + 1,
                    "an ended session is complete"
                );
            }
        }
    }

    fn finish(self) -> Report {
        let counters = self.arbiter.counters();
        let recovery = self.engine.counters();
        Report {
            delivered: counters.delivered,
            lost: counters.messages_lost,
            duplicates: counters.duplicates,
            stale: counters.stale,
            hold_dropped: counters.hold_dropped,
            gaps_filled: counters.gaps_filled,
            retransmitted: counters.retransmitted,
            wrong_session: counters.wrong_session,
            session_changes: counters.session_changes,
            requests: recovery.requests,
            retries: recovery.retries,
            wrong_session_answers: recovery.wrong_session_packets,
            not_asked_answers: recovery.not_asked_packets,
            stale_answers: recovery.stale_packets,
            ..self.report
        }
    }
}

impl Report {
    fn fields(&mut self) -> [(&'static str, &mut u64); 20] {
        [
            ("steps", &mut self.steps),
            ("delivered", &mut self.delivered),
            ("lost", &mut self.lost),
            ("duplicates", &mut self.duplicates),
            ("stale", &mut self.stale),
            ("hold_dropped", &mut self.hold_dropped),
            ("gaps_filled", &mut self.gaps_filled),
            ("retransmitted", &mut self.retransmitted),
            ("wrong_session", &mut self.wrong_session),
            ("session_changes", &mut self.session_changes),
            ("requests", &mut self.requests),
            ("retries", &mut self.retries),
            ("wrong_session_answers", &mut self.wrong_session_answers),
            ("not_asked_answers", &mut self.not_asked_answers),
            ("stale_answers", &mut self.stale_answers),
            ("bad_answers", &mut self.bad_answers),
            ("injections_dropped", &mut self.injections_dropped),
            ("slo_violations", &mut self.slo_violations),
            ("forged_jumps", &mut self.forged_jumps),
            ("forged_ends", &mut self.forged_ends),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for ((_, sum), (_, value)) in self.fields().into_iter().zip(other.fields()) {
            *sum += *value;
        }
    }

    pub(crate) fn assert_everything_occurred(mut self) {
        for (name, count) in self.fields() {
            assert!(
                *count > 0,
                "{name} never occurred: the simulation has become too tame"
            );
        }
    }
}
