//! The wiring between the merge and the recovery, as a receiver has it.

use tickdeck_arbiter::{Event, LossReason, Source};
use tickdeck_recovery::{Action, Fault, RangeSource, SnapshotReason, Verdict, cut_blocks};
use tickdeck_wire::moldudp64::{Packet, Session};

use crate::servers::{Ask, Delivery, Server};
use crate::snapshots::{Outcome, Use};
use crate::world::{MS, Part, Thing, World};

/// Actions of the recovery at one time.
const MOST_ROUNDS: u64 = 100_000;
/// As far as any request reaches over what is not missing.
const MOST_REACH: u64 = 4096;

impl World {
    /// Something came from a server: only what the engine wants goes on to the merge.
    pub(crate) fn judge(&mut self, source: RangeSource, delivery: Delivery) {
        let bytes = match delivery {
            Delivery::Bytes(bytes) => bytes,
            Delivery::More(ask) => self.server(source).more(ask),
            Delivery::Fault(fault) => return self.engine.on_fault(source, fault, self.now_ns),
        };
        let packet = match Packet::parse(&bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.report.bad_answers += 1;
                return self
                    .engine
                    .on_fault(source, Fault::from(&error), self.now_ns);
            }
        };
        let verdict = self.engine.on_answer(source, (&packet).into(), self.now_ns);
        let Verdict::Wanted { first, last } = verdict else {
            return;
        };
        if self.random.chance(self.plan.injection_loss_permille) {
            self.report.injections_dropped += 1;
            return;
        }
        let part = Part {
            source: merge_source(source),
            session: packet.session(),
            first,
            count: (last - first + 1) as u16,
            blocks: cut_blocks(packet.blocks(), packet.first_sequence(), first, last).to_vec(),
        };
        let jitter_ns = self.random.between(0, self.plan.injection_jitter_ns);
        self.at(self.now_ns + MS / 100 + jitter_ns, Thing::Injected(part));
    }

    /// Carries events to the recovery and its actions back until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        self.arbiter.poll(self.now_ns, &mut self.checked);
        for round in 0.. {
            assert!(round < MOST_ROUNDS, "the recovery comes to rest");
            for event in std::mem::take(&mut self.checked.events) {
                self.tell_recovery(event);
            }
            match self.engine.poll(self.now_ns) {
                Some(action) => self.act(action),
                None if self.checked.events.is_empty() => break,
                None => {}
            }
        }
        let of_engine_ns = self.engine.next_deadline_ns();
        assert!(
            of_engine_ns.is_none_or(|ns| ns > self.now_ns),
            "a recovery at rest does not spin"
        );
        let deadlines = [self.arbiter.next_deadline_ns(), of_engine_ns];
        if let Some(at_ns) = deadlines.into_iter().flatten().min() {
            let at_ns = at_ns.max(self.now_ns);
            if self.timer_ns.is_none_or(|ns| at_ns < ns) {
                self.timer_ns = Some(at_ns);
                self.at(at_ns, Thing::Timer);
            }
        }
    }

    fn tell_recovery(&mut self, event: Event) {
        match event {
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
                let closed = self.engine.narrowed(id, first, last, self.now_ns);
                self.note_closed(closed);
            }
            Event::GapLost { gap, .. } => {
                let closed = self
                    .engine
                    .narrowed(gap.id, gap.first, gap.last, self.now_ns);
                self.note_closed(closed);
            }
            Event::GapFilled { gap, .. } | Event::GapUnrecovered { gap, .. } => {
                let closed = self.engine.closed(gap.id, self.now_ns);
                self.note_closed(closed);
            }
            _ => {}
        }
    }

    fn note_closed(&mut self, closed: Option<tickdeck_recovery::Closed>) {
        if let Some(closed) = closed {
            self.report.slowest_ns = self.report.slowest_ns.max(closed.latency_ns);
            self.note_fault(closed.fault);
        }
    }

    fn note_fault(&mut self, fault: Fault) {
        self.checked.ledger.name_fault(fault);
        if self.plan.is_honest() && self.plan.snapshot.is_none() {
            let of_the_network = [
                Fault::None,
                Fault::Silent,
                Fault::Slow,
                Fault::Partial,
                Fault::Stale,
            ];
            assert!(
                of_the_network.contains(&fault),
                "{fault:?} of a server that works"
            );
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Request {
                id,
                source,
                session,
                first,
                count,
                ..
            } => self.request(
                id,
                source,
                Ask {
                    session,
                    first,
                    count,
                },
            ),
            Action::Joined { id, .. } => {
                assert!(self.checked.ledger.is_open(id), "asked for an open gap");
            }
            Action::Snapshot { reason, gaps, .. } => self.snapshot(reason, gaps),
            Action::GiveUp { id, reason, fault } => {
                self.note_fault(fault);
                self.arbiter
                    .give_up(id, reason, self.now_ns, &mut self.checked);
            }
            Action::SloMissed { .. } => self.report.slo_violations += 1,
        }
    }

    fn request(&mut self, id: u64, source: RangeSource, ask: Ask) {
        self.check_request(id, source, ask);
        let mut servers = std::mem::take(&mut self.plan.servers);
        let server = servers.iter_mut().find(|server| server.kind == source);
        let server = server.expect("only a configured source is asked");
        for (at_ns, delivery) in server.answer(&mut self.random, ask, self.now_ns) {
            self.at(at_ns, Thing::FromServer(source, delivery));
        }
        self.plan.servers = servers;
    }

    fn server(&self, source: RangeSource) -> &Server {
        let mut servers = self.plan.servers.iter();
        let server = servers.find(|server| server.kind == source);
        server.expect("only a configured source is asked")
    }

    /// A request begins and ends with something missing, keeps its distance and its length.
    fn check_request(&mut self, id: u64, source: RangeSource, ask: Ask) {
        let (first, last) = (ask.first, ask.first + ask.count - 1);
        assert!(self.checked.ledger.is_open(id), "asked for an open gap");
        assert_eq!(self.arbiter.session(), Some(ask.session));
        let mut after = first;
        for view in self.arbiter.gaps().filter(|view| view.gap.id >= id) {
            for hole in self.arbiter.holes(view.gap.id) {
                if hole.0 <= last && hole.1 >= first {
                    assert!(hole.0 <= after + MOST_REACH, "a request reaches that far");
                    after = hole.1 + 1;
                }
            }
        }
        assert!(after > last, "a request ends with something missing");
        let begins = self
            .arbiter
            .holes(id)
            .any(|hole| (hole.0..=hole.1).contains(&first));
        assert!(begins, "a request begins with something missing of its gap");
        let mut sources = self.plan.recovery.sources.iter();
        let config = sources.find(|config| config.kind == source);
        let most = config.map_or(0, |config| config.max_messages_per_request);
        assert!((1..=most).contains(&ask.count), "no request is too long");
        let interval_ns = self.plan.recovery.min_request_interval_ns;
        let counters = self.engine.source_counters(source).expect("configured");
        let (last_ns, early) = self.requested.get(&source).copied().unwrap_or_default();
        let is_early = counters.requests > 1 && self.now_ns < last_ns + interval_ns;
        let early = early + u64::from(is_early);
        assert!(
            early <= 2 * counters.answers,
            "requests that no answer allows keep their distance"
        );
        self.requested.insert(source, (self.now_ns, early));
    }

    fn snapshot(&mut self, reason: SnapshotReason, gaps: usize) {
        let waiting: Vec<u64> = self.engine.awaiting_snapshot().collect();
        assert_eq!(waiting.len(), gaps, "as many wait as were told");
        assert!(
            reason != SnapshotReason::Exhausted || !self.plan.is_served(),
            "a server that works is not exhausted"
        );
        let (Some(session), Some(server)) = (self.arbiter.session(), &self.plan.snapshot) else {
            return self.engine.snapshot_failed(Fault::Refused, self.now_ns);
        };
        let mut parts = self.plan.parts[..self.part].iter();
        let past = parts.find(|part| part.session == session);
        let next = past.map_or(self.sent, |part| part.messages) + 1;
        let (at_ns, outcome) = server.answer(&mut self.random, next, self.now_ns);
        if server.used == Use::GoOn {
            self.checked.take_snapshot(u64::MAX);
            for id in waiting {
                self.arbiter
                    .give_up(id, LossReason::Snapshot, self.now_ns, &mut self.checked);
            }
        }
        self.at(at_ns, Thing::Snapshot(session, outcome));
    }

    pub(crate) fn end_snapshot(&mut self, session: Session, outcome: Outcome) {
        let resume = match outcome {
            Outcome::Done(resume) if self.arbiter.session() == Some(session) => resume,
            Outcome::Done(_) => return self.engine.snapshot_failed(Fault::Stale, self.now_ns),
            Outcome::Failed(fault) => return self.engine.snapshot_failed(fault, self.now_ns),
        };
        let used = self.plan.snapshot.as_ref().map(|server| server.used);
        if used == Some(Use::Stop) && !self.stop_at(resume) {
            return self.engine.snapshot_failed(Fault::Stale, self.now_ns);
        }
        self.report.snapshots_taken += 1;
        self.engine.snapshot_done(resume, self.now_ns);
    }

    /// Stops the output where the snapshot resumes; it goes on when that is published.
    fn stop_at(&mut self, resume: u64) -> bool {
        let before = self.checked.stream().snapshot_to;
        self.checked.take_snapshot(resume);
        let (now_ns, out) = (self.now_ns, &mut self.checked);
        if self.arbiter.stop_at(resume, now_ns, out).is_err() {
            self.checked.stream().snapshot_to = before;
            return false;
        }
        assert!(self.checked.stands, "a stop is told");
        let publish_ns = self.random.between(0, 5 * MS);
        self.at(self.now_ns + publish_ns, Thing::GoOn);
        self.report.stops += 1;
        true
    }

    pub(crate) fn go_on(&mut self) {
        let stood = std::mem::take(&mut self.checked.stands);
        let goes_on = self.arbiter.go_on(self.now_ns, &mut self.checked);
        assert_eq!(goes_on, stood, "it goes on when it stood");
    }

    pub(crate) fn order(&mut self) {
        let lowest = self.arbiter.gaps().next().map(|view| view.gap.id);
        match (self.random.between(0, 3), lowest) {
            (0, id) => {
                self.engine.retry_now(id, self.now_ns);
            }
            (1, id) => {
                self.engine.snapshot_now(id, self.now_ns);
            }
            (2, _) => {
                self.engine.snapshot_now(None, self.now_ns);
            }
            (_, Some(id)) => {
                self.engine.accept_loss(id);
            }
            (_, None) => return,
        }
        self.report.orders += 1;
    }
}

fn merge_source(source: RangeSource) -> Source {
    match source {
        RangeSource::Request => Source::Retransmit,
        RangeSource::Stream => Source::Stream,
        RangeSource::Peer => Source::Peer,
    }
}
