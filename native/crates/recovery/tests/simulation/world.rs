//! Time, the things that happen in it, and what must hold after each of them.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Arbiter, Arrival, Content, Disposition, Reset, Source, Unit};
use tickdeck_recovery::{Engine, RangeSource};
use tickdeck_wire::moldudp64::{Packet, Session, heartbeat};

use crate::check::Checked;
use crate::plan::Plan;
use crate::random::Random;
use crate::report::Report;
use crate::servers::Delivery;
use crate::snapshots::Outcome;

pub(crate) const MS: u64 = 1_000_000;
/// No run may take longer.
const LIMIT_NS: u64 = 3_600_000 * MS;
/// Nor more steps.
const MOST_STEPS: u64 = 1_000_000;
/// What the wall clock shows at first.
const UTC_NS: u64 = 1_700_000_000_000 * MS;

pub(crate) enum Thing {
    /// The venue sends its next packet.
    Send,
    /// The venue shows where it stands.
    Quiet,
    FromLine(u8, Vec<u8>),
    FromServer(RangeSource, Delivery),
    /// The wanted part of an answer reaches the merge.
    Injected(Part),
    /// A snapshot of this session has ended.
    Snapshot(Session, Outcome),
    /// A snapshot was published: the output that stands goes on.
    GoOn,
    /// An operator decides something.
    Order,
    Timer,
}

/// The part of an answer that was asked for.
pub(crate) struct Part {
    pub(crate) source: Source,
    pub(crate) session: Session,
    pub(crate) first: u64,
    pub(crate) count: u16,
    pub(crate) blocks: Vec<u8>,
}

/// What a run has come to.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    /// Steps of the wall clock come from here, so that they change nothing else.
    clock: Random,
    pub(crate) utc_offset_ns: u64,
    pub(crate) now_ns: u64,
    queue: BTreeMap<(u64, u64), Thing>,
    queued: u64,
    pub(crate) timer_ns: Option<u64>,
    /// The session that the venue is in, as an index, and what it has sent of it.
    pub(crate) part: usize,
    pub(crate) sent: u64,
    pub(crate) arbiter: Arbiter,
    pub(crate) engine: Engine,
    pub(crate) checked: Checked,
    /// When a request was made last, and how many were made early, by source.
    pub(crate) requested: BTreeMap<RangeSource, (u64, u64)>,
    fed: u64,
    /// The line that has not been heard since a forged packet came on it.
    pub(crate) forged_on: Option<u8>,
    pub(crate) report: Report,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let arbiter = Arbiter::new(plan.merge).expect("a valid configuration");
        Self {
            random: Random::new(plan.seed ^ 0x5EED),
            clock: Random::new(plan.seed ^ 0xC10C),
            utc_offset_ns: UTC_NS,
            now_ns: 0,
            queue: BTreeMap::new(),
            queued: 0,
            timer_ns: None,
            part: 0,
            sent: 0,
            arbiter,
            engine: Engine::new(plan.recovery.clone()),
            checked: Checked::default(),
            requested: BTreeMap::new(),
            fed: 0,
            forged_on: None,
            report: Report::default(),
            plan,
        }
    }

    pub(crate) fn run(mut self) -> Report {
        self.at(0, Thing::Quiet);
        self.at(MS, Thing::Send);
        for at_ns in self.plan.orders.clone() {
            self.at(at_ns, Thing::Order);
        }
        while !self.is_complete() {
            let ((at_ns, _), thing) = self.queue.pop_first().expect("the venue is never silent");
            assert!(
                at_ns < LIMIT_NS && self.report.steps < MOST_STEPS,
                "the stream came to its end in time"
            );
            self.now_ns = at_ns;
            self.step(thing);
            self.settle();
            self.check();
            self.report.steps += 1;
        }
        self.check_end();
        Report::of(self)
    }

    pub(crate) fn at(&mut self, at_ns: u64, thing: Thing) {
        self.queued += 1;
        self.queue.insert((at_ns, self.queued), thing);
    }

    fn step(&mut self, thing: Thing) {
        match thing {
            Thing::Send => self.send(),
            Thing::Quiet => self.quiet(),
            Thing::FromLine(line, bytes) => {
                self.step_clock();
                self.maybe_forge(line, &bytes);
                self.arrive(line, &bytes);
            }
            Thing::FromServer(source, delivery) => self.judge(source, delivery),
            Thing::Injected(part) => self.inject(&part),
            Thing::Snapshot(session, outcome) => self.end_snapshot(session, outcome),
            Thing::GoOn => self.go_on(),
            Thing::Order => self.order(),
            // One that was set for later goes off as well, and stays alone.
            Thing::Timer => self.timer_ns = self.timer_ns.filter(|ns| *ns > self.now_ns),
        }
    }

    /// The wall clock is set, by hours, forwards or back.
    fn step_clock(&mut self) {
        if self.clock.chance(self.plan.clock_step_permille) {
            let hour_ns = 3_600_000 * MS;
            self.utc_offset_ns = UTC_NS - hour_ns + self.clock.between(0, 2 * hour_ns);
            self.report.clock_steps += 1;
        }
    }

    pub(crate) fn arrive(&mut self, line: u8, bytes: &[u8]) {
        let packet = Packet::parse(bytes).expect("only whole packets are merged");
        let disposition = self.merge(Source::Line(line), packet.into());
        if self.forged_on == Some(line) && !is_refused(disposition) {
            self.forged_on = None;
        }
    }

    fn inject(&mut self, part: &Part) {
        let unit = Unit {
            session: part.session,
            first_sequence: part.first,
            reset: Reset::Unknown,
            content: Content::Blocks {
                count: part.count,
                blocks: &part.blocks,
            },
        };
        self.merge(part.source, unit);
    }

    fn merge(&mut self, source: Source, unit: Unit<'_>) -> Disposition {
        let arrival = Arrival {
            source,
            unit,
            rx_ns: self.utc_offset_ns + self.now_ns,
            stamp: 1,
            now_ns: self.now_ns,
        };
        let disposition = self.arbiter.on_packet(arrival, &mut self.checked);
        if !is_refused(disposition) {
            self.fed += u64::from(unit.count());
        }
        disposition
    }

    fn check(&self) {
        let counters = self.arbiter.counters();
        assert!(
            counters.held_packets <= self.plan.merge.hold_capacity_packets as u64,
            "the hold is bounded"
        );
        assert!(
            self.arbiter.gaps().count() <= self.plan.merge.gap_capacity,
            "the gap table is bounded"
        );
        let most = self.plan.recovery.storm_gaps;
        assert!(
            !self.engine.storm() || 2 * self.engine.open_gaps() >= most,
            "a storm ends below the half of its beginning"
        );
        assert!(
            self.engine.open_gaps() <= self.arbiter.gaps().count(),
            "the recovery knows no gap that is closed"
        );
        let taken = counters.delivered + counters.held_messages + counters.conflicts;
        let refused = counters.duplicates + counters.stale + counters.hold_dropped;
        assert_eq!(self.fed, taken + refused, "each message is counted once");
        assert_eq!(counters.conflicts, self.checked.conflicts, "each is told");
        assert!(
            counters.conflicts <= self.report.forged_messages,
            "only other bytes are a conflict"
        );
        if self.plan.is_served() {
            assert_eq!(
                self.checked.lost_for_want_of_an_answer(),
                0,
                "with a working server nothing is lost"
            );
        }
    }

    /// The venue has sent everything and the output has passed it.
    fn is_complete(&self) -> bool {
        let last = self.plan.parts.last().expect("at least one session");
        let stream = self.checked.streams.get(&last.session);
        let passed = stream.is_some_and(|stream| stream.next == last.messages + 1);
        let told = !last.ends || self.checked.ended.contains(&last.session);
        self.part + 1 == self.plan.parts.len() && passed && told
    }

    /// Of a session that ended everything was delivered or told as lost, back to its start.
    fn check_end(&self) {
        for part in &self.plan.parts {
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
        let counters = self.arbiter.counters();
        let lost: u64 = self.checked.lost_by.iter().sum();
        assert_eq!(counters.messages_lost, lost, "each loss was told");
        assert!(self.checked.ledger.is_empty(), "every gap was closed");
        assert_eq!(
            self.engine.open_gaps(),
            0,
            "the recovery has forgotten them"
        );
    }
}

fn is_refused(disposition: Disposition) -> bool {
    matches!(
        disposition,
        Disposition::WrongSession | Disposition::SequenceOverflow | Disposition::ImplausibleJump
    )
}

/// The venue.
impl World {
    fn send(&mut self) {
        let part = &self.plan.parts[self.part];
        let (session, messages) = (part.session, part.messages);
        if self.sent == messages {
            return;
        }
        let most = self.plan.most_messages_per_packet;
        let count = self.random.between(1, most).min(messages - self.sent);
        let bytes = crate::servers::packet(session, self.sent + 1, count);
        self.sent += count;
        self.multicast(&bytes);
        let pause_ns = self.random.between(0, 2 * self.plan.interval_ns);
        self.at(self.now_ns + pause_ns, Thing::Send);
    }

    /// A heartbeat, or the end of the session once all is sent; then maybe the next session.
    fn quiet(&mut self) {
        let part = &self.plan.parts[self.part];
        let (session, next) = (part.session, self.sent + 1);
        let over = self.sent == part.messages;
        if over && part.ends {
            self.multicast(&tickdeck_wire::moldudp64::end_of_session(session, next));
        } else {
            self.multicast(&heartbeat(session, next));
        }
        if over && self.part + 1 < self.plan.parts.len() && self.random.chance(20) {
            self.part += 1;
            self.sent = 0;
            self.at(self.now_ns + MS, Thing::Send);
        }
        self.at(self.now_ns + 50 * MS, Thing::Quiet);
    }

    fn multicast(&mut self, bytes: &[u8]) {
        let mut storms = self.plan.storms.iter();
        let storms = storms.any(|(start, end)| (*start..*end).contains(&self.now_ns));
        let permille = if storms {
            500
        } else {
            self.plan.common_loss_permille
        };
        if self.random.chance(permille) {
            return;
        }
        for line in 0..self.plan.lines.len() {
            for at_ns in self.plan.lines[line].arrivals(&mut self.random, self.now_ns) {
                self.at(at_ns, Thing::FromLine(line as u8, bytes.to_vec()));
            }
        }
    }
}
